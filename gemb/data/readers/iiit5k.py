"""IIIT 5K-word: words cut out of photographs, the study's own dataset for scene text."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gemb.data.fetch import fetch
from gemb.data.items import Item, Media
from gemb.data.readers.files import DataFileError
from gemb.data.readers.mat import load_variables

DATASET = "iiit5k"

# Of the publisher's two tables for each part this one has the words without the lexicons, a
# thousand words to each picture, which take long to read.
_TABLE = "{split}CharBound"
_NAME, _WORD = "ImgName", "chars"


def items(root: Path | None = None) -> list[Item]:
    """All words, training set first, in the publisher's order.

    The official test set is the leak-free one. Words whose file names begin with the same
    number are taken to come from one picture and are one group.

    Args:
        root: Folder with ``trainCharBound.mat``, ``testCharBound.mat``, ``train/`` and
            ``test/``; fetched where not given.

    Raises:
        DataFileError: A file is missing, damaged, or lacks a field.
    """
    folder = root or fetch(DATASET)
    result = []
    for split in ("train", "test"):
        variable = _TABLE.format(split=split)
        path = folder / f"{variable}.mat"
        (table,) = load_variables(path, (variable,), DATASET)
        fields = table.dtype.names or ()
        if missing := [f for f in (_NAME, _WORD) if f not in fields]:
            problem = f"{variable} has no field {', '.join(missing)}; it has: {', '.join(fields)}"
            raise DataFileError(path, problem, DATASET)
        for row in table.ravel():
            name, word = _text(row[_NAME]), _text(row[_WORD])
            image = folder / name
            if Path(name).parts[:-1] != (split,) or not image.is_file():
                raise DataFileError(image, f"named by {path.name}, and not there", DATASET)
            if not word:
                raise DataFileError(path, f"{name} has no word", DATASET)
            result.append(
                Item(
                    id=f"{DATASET}/{split}/{image.stem}",
                    modality="image",
                    media=Media.from_file(image),
                    answer=word.lower(),
                    group=f"{DATASET}/{image.stem.split('_')[0]}",
                    split=split,
                )
            )
    return result


def _text(value: object) -> str:
    """A MATLAB text, which arrives in one or more arrays of one element."""
    while isinstance(value, np.ndarray):
        value = value.ravel()[0] if value.size else ""
    return str(value)
