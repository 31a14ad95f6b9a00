"""SVHN: digits of house numbers in street photographs, the study's own dataset for digits."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gemb.data.fetch import fetch
from gemb.data.items import Item
from gemb.data.readers.files import DataFileError, pixels_medium
from gemb.data.readers.mat import load_variables

DATASET = "svhn"

# Answers are words, as for the stand-in.
ANSWERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_ZERO = 10  # the label of the digit 0; MATLAB counts from 1
_SIDE = 32  # pixels


def items(root: Path | None = None) -> list[Item]:
    """All digits, training set first, in the publisher's order.

    The official test set is the leak-free one; which digits come from one house is not said.

    Args:
        root: Folder with ``train_32x32.mat`` and ``test_32x32.mat``; fetched where not given.

    Raises:
        DataFileError: A file is missing, damaged, or does not hold images and labels.
    """
    folder = root or fetch(DATASET)
    result = []
    for split in ("train", "test"):
        path = folder / f"{split}_32x32.mat"
        images, labels = load_variables(path, ("X", "y"), DATASET)
        if images.dtype != np.uint8 or images.shape[:3] != (_SIDE, _SIDE, 3):
            problem = f"images of shape {images.shape} and kind {images.dtype}"
            raise DataFileError(path, problem, DATASET)
        labels = labels.ravel()
        if labels.shape != images.shape[3:]:
            problem = f"{len(labels)} labels for {images.shape[3]} images"
            raise DataFileError(path, problem, DATASET)
        if wrong := set(labels.tolist()) - set(range(1, _ZERO + 1)):
            raise DataFileError(path, f"label {min(wrong)} is not 1 to 10", DATASET)
        in_rows = np.ascontiguousarray(np.moveaxis(images, 3, 0))  # [N, 32, 32, 3]
        result += [
            Item(
                id=f"{DATASET}/{split}/{index:05d}",
                modality="image",
                media=pixels_medium(image),
                answer=ANSWERS[int(label) % _ZERO],
                split=split,
            )
            for index, (image, label) in enumerate(zip(in_rows, labels, strict=True))
        ]
    return result
