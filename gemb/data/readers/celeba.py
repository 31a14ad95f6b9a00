"""CelebA: faces, the study's own for transfer from voices to pictures."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

from gemb.data.fetch import fetch
from gemb.data.items import Item, Media
from gemb.data.readers.files import DataFileError, read_bytes

DATASET = "celeba"

_ARCHIVE, _FOLDER = "img_align_celeba.zip", "img_align_celeba"
_ATTRIBUTE = "Male"
_ANSWERS = {"1": "male", "-1": "female"}
_TEST = "2"  # in list_eval_partition.txt; 0 trains, 1 validates


def items(root: Path | None = None) -> list[Item]:
    """The first photograph of each person in the official test partition, all for testing.

    Groups are persons. Photographs are read from the archive, which is not unpacked.

    Args:
        root: Folder with ``img_align_celeba.zip`` and the three lists; fetched where not given.

    Raises:
        DataFileError: A file is missing or damaged, or lacks the attribute.
    """
    folder = root or fetch(DATASET)
    archive = folder / _ARCHIVE
    partition = _pairs(folder / "list_eval_partition.txt")
    person = _pairs(folder / "identity_CelebA.txt")
    male = _attribute(folder / "list_attr_celeba.txt")
    try:
        there = set(_opened(archive).namelist())
    except (OSError, zipfile.BadZipFile) as error:
        problem = "the file is missing" if isinstance(error, FileNotFoundError) else str(error)
        raise DataFileError(archive, f"not a whole zip file ({problem})", DATASET) from error
    result: dict[str, Item] = {}
    for name in sorted(n for n, part in partition.items() if part == _TEST):
        if name not in person or name not in male:
            raise DataFileError(folder, f"its lists say nothing of {name}", DATASET)
        if person[name] in result:
            continue
        member = f"{_FOLDER}/{name}"
        if member not in there:
            raise DataFileError(archive, f"holds no {member}", DATASET)
        result[person[name]] = Item(
            id=f"{DATASET}/{Path(name).stem}",
            modality="image",
            media=Media(_reading(archive, member), "jpg"),
            answer=male[name],
            group=f"person {person[name]}",
            split="test",
        )
    if not result:
        raise DataFileError(folder / "list_eval_partition.txt", "names no test image", DATASET)
    return list(result.values())


@cache
def _opened(archive: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(archive)  # reading its list of 200,000 names takes a second


def _reading(archive: Path, member: str) -> Callable[[], bytes]:
    def read() -> bytes:
        try:
            return _opened(archive).read(member)
        except (OSError, zipfile.BadZipFile) as error:
            raise DataFileError(archive, f"{member} is damaged ({error})", DATASET) from error

    return read


def _lines(path: Path) -> list[list[str]]:
    text = read_bytes(path, DATASET).decode("utf-8", errors="replace")
    return [line.split() for line in text.splitlines() if line.strip()]


def _pairs(path: Path) -> dict[str, str]:
    """A list of file names, each with one number."""
    rows = _lines(path)
    if wrong := next((r for r in rows if len(r) != 2), None):
        raise DataFileError(path, f"{' '.join(wrong)[:60]!r} is not a name and a number", DATASET)
    return dict(rows)


def _attribute(path: Path) -> dict[str, str]:
    """The answer for each file name: a count, the attributes' names, then a row each of ±1."""
    rows = _lines(path)
    names = rows[1] if len(rows) > 1 else []
    if _ATTRIBUTE not in names:
        raise DataFileError(path, f"has no attribute {_ATTRIBUTE}", DATASET)
    column = names.index(_ATTRIBUTE) + 1
    result = {}
    for row in rows[2:]:
        if len(row) != len(names) + 1 or row[column] not in _ANSWERS:
            raise DataFileError(path, f"{row[0]}: not {len(names)} values of 1 or -1", DATASET)
        result[row[0]] = _ANSWERS[row[column]]
    return result
