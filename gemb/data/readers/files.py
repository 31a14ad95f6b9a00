"""What the image readers share: opening data files with errors that say what to do."""

from __future__ import annotations

import gzip
import hashlib
import io
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from gemb.data.items import Media


class DataFileError(ValueError):
    """A data file that is missing or damaged; names the file and the remedy."""

    def __init__(self, path: Path, problem: str, dataset: str):
        super().__init__(
            f"{path}: {problem}. Delete the file and run `gemb fetch {dataset}` to get it again."
        )


def read_gzip(path: Path, dataset: str) -> bytes:
    """The unpacked bytes of ``path``, a gzip file of the manifest ``dataset``."""
    try:
        return gzip.decompress(path.read_bytes())
    except FileNotFoundError:
        raise DataFileError(path, "the file is missing", dataset) from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataFileError(path, f"not a whole gzip file ({error})", dataset) from error


def pixels_medium(pixels: np.ndarray) -> Media:
    """A grey image ``[height, width]`` of bytes as a PNG that is encoded when asked for.

    The key is made from the pixels, not from the PNG, whose bytes depend on
    the version of the compressor.
    """
    recipe = {
        "generator": "grey-png",
        "version": 1,
        "shape": list(pixels.shape),
        "pixels": hashlib.sha256(pixels.tobytes()).hexdigest(),
    }
    return Media.from_recipe(recipe, lambda: png(Image.fromarray(pixels)), "png")


def png(image: Image.Image) -> bytes:
    """``image`` as the bytes of a PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()
