"""ESC-50: the sounds of six CIFAR-10 classes, the study's own for picture-to-sound transfer."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from gemb.data.fetch import fetch
from gemb.data.items import Item, Media
from gemb.data.readers.files import DataFileError, read_bytes

DATASET = "esc-50"

# Answers are CIFAR-10's words; deer, horse, ship and truck have no sound in ESC-50. The study
# names six classes and not what it pools: all four birds, and both sounds of cars, give 400
# clips, of which its 59.8% is a whole number.
CATEGORIES: dict[str, tuple[str, ...]] = {
    "airplane": ("airplane",),
    "automobile": ("car_horn", "engine"),
    "bird": ("chirping_birds", "crow", "rooster", "hen"),
    "cat": ("cat",),
    "dog": ("dog",),
    "frog": ("frog",),
}

_COLUMNS = ("filename", "fold", "category", "src_file")


def items(root: Path | None = None) -> list[Item]:
    """The 400 clips of six classes, all for testing, grouped by source recording.

    Args:
        root: Folder with ``meta/esc50.csv`` and ``audio/``; fetched where not given.

    Raises:
        DataFileError: A file or a column is missing, a category has no clip, or a recording is
            in two folds.
    """
    folder = root or fetch(DATASET)
    table = folder / "meta" / "esc50.csv"
    text = read_bytes(table, DATASET).decode("utf-8-sig", errors="replace")
    reader = csv.DictReader(io.StringIO(text))
    if missing := [c for c in _COLUMNS if c not in (reader.fieldnames or ())]:
        there = ", ".join(reader.fieldnames or ())
        problem = f"has no column {', '.join(missing)}; it has: {there or 'none'}"
        raise DataFileError(table, problem, DATASET)
    answers = {c: answer for answer, categories in CATEGORIES.items() for c in categories}
    result: list[Item] = []
    folds: dict[str, str] = {}
    for row in reader:
        if folds.setdefault(row["src_file"], row["fold"]) != row["fold"]:
            problem = f"recording {row['src_file']} is in two folds"
            raise DataFileError(table, problem, DATASET)
        if row["category"] not in answers:
            continue
        path = folder / "audio" / Path(row["filename"]).name
        if not path.is_file():
            raise DataFileError(path, f"named by {table.name}, and not there", DATASET)
        result.append(
            Item(
                id=f"{DATASET}/{path.stem}",
                modality="audio",
                media=Media.from_file(path),
                answer=answers[row["category"]],
                group=row["src_file"],
                split="test",
                meta={"category": row["category"], "fold": row["fold"]},
            )
        )
    if absent := set(answers) - {i.meta["category"] for i in result}:
        raise DataFileError(table, f"has no clip of {', '.join(sorted(absent))}", DATASET)
    return result
