"""Landscape photographs for generated images to stand on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from gemb.data.fetch import fetch
from gemb.data.readers.files import DataFileError

DATASET = "endless-sky"

_SIDE = (200, 361)  # of the square cut out, in pixels; the photographs are 720×360


def photographs(root: Path | None = None) -> dict[str, list[Path]]:
    """The photographs by kind of scenery (``beach``, ``fog``, …), both in alphabetical order.

    Args:
        root: Folder that holds ``land/``; fetched where not given.

    Raises:
        DataFileError: There are none.
    """
    folder = (root or fetch(DATASET)) / "land"
    kinds: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("*.jpg")):
        kinds.setdefault(path.stem.rstrip("0123456789"), []).append(path)
    if not kinds:
        raise DataFileError(folder, "holds no .jpg files", DATASET)
    return kinds


def square(path: Path, size: int, rng: np.random.RandomState) -> Image.Image:
    """A square cut out of a photograph at random, ``size`` pixels wide, perhaps mirrored."""
    with Image.open(path) as photograph:
        side = min(int(rng.randint(*_SIDE)), *photograph.size)
        left = int(rng.randint(photograph.width - side + 1))
        top = int(rng.randint(photograph.height - side + 1))
        cut = photograph.convert("RGB").resize(
            (size, size), Image.Resampling.BICUBIC, (left, top, left + side, top + side)
        )
    return cut.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if rng.randint(2) else cut
