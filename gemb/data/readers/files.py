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
from gemb.errors import UserError


class DataFileError(UserError, ValueError):
    """A data file that is missing or damaged; names the file and the remedy."""

    def __init__(self, path: Path, problem: str, dataset: str):
        super().__init__(
            f"{path}: {problem}. Delete it if it is there, and run `gemb fetch {dataset}`."
        )


def read_bytes(path: Path, dataset: str) -> bytes:
    """The bytes of ``path``, a file of the manifest ``dataset``."""
    try:
        return path.read_bytes()
    except OSError as error:
        problem = "the file is missing" if isinstance(error, FileNotFoundError) else str(error)
        raise DataFileError(path, problem, dataset) from error


def read_gzip(path: Path, dataset: str) -> bytes:
    """The unpacked bytes of ``path``, a gzip file of the manifest ``dataset``."""
    packed = read_bytes(path, dataset)
    try:
        return gzip.decompress(packed)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataFileError(path, f"not a whole gzip file ({error})", dataset) from error


def sha256(path: Path, dataset: str) -> str:
    """The hash of a file of the manifest ``dataset``."""
    return hashlib.sha256(read_bytes(path, dataset)).hexdigest()


def seed_of(*parts: object) -> int:
    """A seed for :class:`numpy.random.RandomState` that depends on nothing but ``parts``."""
    text = "|".join(map(str, parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def pixels_medium(pixels: np.ndarray) -> Media:
    """An image of bytes, grey ``[height, width]`` or colour ``[height, width, 3]``, as a PNG
    that is encoded when asked for.

    The key is made from the pixels, not from the PNG, whose bytes depend on
    the version of the compressor.
    """
    recipe = {
        "generator": "grey-png" if pixels.ndim == 2 else "rgb-png",
        "version": 1,
        "shape": list(pixels.shape),
        "pixels": hashlib.sha256(pixels.tobytes()).hexdigest(),
    }
    return Media.from_recipe(recipe, lambda: encoded(Image.fromarray(pixels), "PNG"), "png")


def encoded(image: Image.Image, form: str) -> bytes:
    """``image`` as the bytes of a PNG or, at quality 90, of a JPEG file."""
    buffer = io.BytesIO()
    image.save(buffer, format=form, quality=90)
    return buffer.getvalue()
