"""Fashion-MNIST: 70,000 grey photographs of clothes, 28×28, the study's own clothing dataset."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from gemb.data.fetch import fetch
from gemb.data.items import Item
from gemb.data.readers.files import DataFileError, pixels_medium, read_gzip

DATASET = "fashion-mnist"

# The label's number is its place. The publisher's names, shortened to one
# lower-case word where they are longer: "T-shirt/top" and "Ankle boot".
ANSWERS = (
    "t-shirt", "trouser", "pullover", "dress", "coat",
    "sandal", "shirt", "sneaker", "bag", "boot",
)  # fmt: skip

# The publisher's file prefixes, by this project's name for the split.
_PREFIXES = {"train": "train", "test": "t10k"}

# Magic numbers of the IDX format: two zero bytes, 8 for unsigned bytes, then
# the number of dimensions.
_LABELS_MAGIC, _IMAGES_MAGIC = 0x0801, 0x0803


def items(root: Path | None = None) -> list[Item]:
    """All 70,000 images, training set first, in the publisher's order.

    The official test set is the leak-free one; images have no groups.

    Args:
        root: Folder with the publisher's four ``*-ubyte.gz`` files; fetched where not given.

    Raises:
        DataFileError: A file is missing, truncated or not in the IDX format.
    """
    folder = root or fetch(DATASET)
    result = []
    for split, prefix in _PREFIXES.items():
        images = _read_idx(folder / f"{prefix}-images-idx3-ubyte.gz", _IMAGES_MAGIC)
        labels_path = folder / f"{prefix}-labels-idx1-ubyte.gz"
        labels = _read_idx(labels_path, _LABELS_MAGIC)
        if len(images) != len(labels):
            raise DataFileError(
                labels_path, f"{len(labels)} labels for {len(images)} images", DATASET
            )
        if labels.size and labels.max() >= len(ANSWERS):
            raise DataFileError(labels_path, f"label {labels.max()} is not 0 to 9", DATASET)
        result += [
            Item(
                id=f"{DATASET}/{split}/{index:05d}",
                modality="image",
                media=pixels_medium(image),
                answer=ANSWERS[label],
                split=split,
            )
            for index, (image, label) in enumerate(zip(images, labels, strict=True))
        ]
    return result


def _read_idx(path: Path, magic: int) -> np.ndarray:
    """The array of bytes in a gzipped IDX file: magic, one big-endian length a dimension, data."""
    raw = read_gzip(path, DATASET)
    found = int.from_bytes(raw[:4], "big")
    if found != magic:
        raise DataFileError(path, f"magic number {found:#06x} instead of {magic:#06x}", DATASET)
    dimensions = magic & 0xFF
    header = 4 + 4 * dimensions
    shape = tuple(int.from_bytes(raw[at : at + 4], "big") for at in range(4, header, 4))
    if len(raw) != header + math.prod(shape):
        raise DataFileError(path, f"{len(raw)} bytes for an array of shape {shape}", DATASET)
    return np.frombuffer(raw, np.uint8, offset=header).reshape(shape)
