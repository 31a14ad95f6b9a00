"""CIFAR-10: 60,000 colour photographs in ten classes, the study's own dataset for objects."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gemb.data.fetch import fetch
from gemb.data.items import Item
from gemb.data.readers.files import DataFileError, pixels_medium
from gemb.data.unpickle import load

DATASET = "cifar-10"

# The label's number is its place; the publisher's names.
ANSWERS = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"
)  # fmt: skip

_BATCHES = {"train": [f"data_batch_{n}" for n in range(1, 6)], "test": ["test_batch"]}
_SIDE = 32  # pixels


def items(root: Path | None = None) -> list[Item]:
    """All images, training set first, in the publisher's order.

    The official test set is the leak-free one; images have no groups.

    Args:
        root: Folder with ``data_batch_1`` to ``5`` and ``test_batch``; fetched where not given.

    Raises:
        DataFileError: A file is missing, or no pickle of images and labels.
        PickleRefused: It is damaged, or would do anything but build them.
    """
    folder = root or fetch(DATASET)
    result = []
    for split, names in _BATCHES.items():
        number = 0
        for name in names:
            for image, label in zip(*_batch(folder / name), strict=True):
                result.append(
                    Item(
                        id=f"{DATASET}/{split}/{number:05d}",
                        modality="image",
                        media=pixels_medium(image),
                        answer=ANSWERS[label],
                        split=split,
                    )
                )
                number += 1
    return result


def _batch(path: Path) -> tuple[np.ndarray, list[int]]:
    """Images ``[N, 32, 32, 3]`` and their labels."""
    try:
        batch = load(path)
    except FileNotFoundError as error:
        raise DataFileError(path, "the file is missing", DATASET) from error
    if missing := {b"data", b"labels"} - set(batch):
        names = ", ".join(sorted(m.decode() for m in missing))
        raise DataFileError(path, f"has no {names}", DATASET)
    data, labels = batch[b"data"], batch[b"labels"]
    if not isinstance(data, np.ndarray) or data.shape[1:] != (3 * _SIDE * _SIDE,):
        raise DataFileError(path, "its data are not rows of 3,072 bytes", DATASET)
    if not isinstance(labels, list) or len(labels) != len(data):
        raise DataFileError(path, f"not a label for each of {len(data)} images", DATASET)
    for label in labels:
        if type(label) is not int or not 0 <= label < len(ANSWERS):
            raise DataFileError(path, f"label {label!r} is not 0 to 9", DATASET)
    # a row holds the red, then the green, then the blue pixels
    planes = data.reshape(-1, 3, _SIDE, _SIDE)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), labels
