"""Fluent Speech Commands: the study's own dataset for sentence-level speech."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from pathlib import Path

from gemb.data.fetch import fetch
from gemb.data.items import Item, Media
from gemb.data.readers.files import DataFileError, read_bytes
from gemb.data.readers.speech_commands import refuse_shared_speakers

DATASET = "fluent-speech-commands"

# The study counts 169 commands where the dataset has 248 phrasings, and does not say how it
# came to them. Here they are the phrasings with most training recordings.
COMMANDS = 169

_COLUMNS = ("path", "speakerId", "transcription")
_SPLITS = {"train": "train", "valid": "train", "test": "test"}


def items(root: Path | None = None) -> list[Item]:
    """The recordings of the 169 most frequent phrasings, grouped by speaker.

    A phrasing is a transcription in lower case without punctuation. Counted are the
    recordings of the publisher's training speakers; of equally frequent ones the first in the
    alphabet is taken, and one that no test speaker says is not. The publisher's test speakers
    test; those of its training and validation sets are for training.

    Args:
        root: Folder with ``data/{train,valid,test}_data.csv`` and ``wavs/``; fetched where not
            given.

    Raises:
        DataFileError: A file is missing, a column is, or a speaker is in both parts.
    """
    folder = root or fetch(DATASET)
    rows = [
        (split, row, phrasing(row["transcription"]))
        for name, split in _SPLITS.items()
        for row in _rows(folder / "data" / f"{name}_data.csv")
    ]
    counts = Counter(text for split, _, text in rows if split == "train")
    tested = {text for split, _, text in rows if split == "test"}
    frequent = sorted(tested & set(counts), key=lambda text: (-counts[text], text))
    commands = set(frequent[:COMMANDS])
    result = []
    for split, row, text in rows:
        if text not in commands:
            continue
        path = folder / row["path"]
        if not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
            raise DataFileError(path, "named by the tables in data/, and not there", DATASET)
        result.append(
            Item(
                id=f"{DATASET}/{path.stem}",
                modality="audio",
                media=Media.from_file(path),
                answer=text,
                group=row["speakerId"],
                split=split,
                meta={"speaker": row["speakerId"], "transcript": text},
            )
        )
    return refuse_shared_speakers(result, folder / "data", DATASET)


def phrasing(transcription: str) -> str:
    """A transcription in lower case, words of letters and apostrophes, one blank between two."""
    return " ".join(re.findall(r"[a-z]+(?:'[a-z]+)*", transcription.lower().replace("’", "'")))


def _rows(path: Path) -> list[dict[str, str]]:
    text = read_bytes(path, DATASET).decode("utf-8-sig", errors="replace")
    reader = csv.DictReader(io.StringIO(text))
    if missing := [c for c in _COLUMNS if c not in (reader.fieldnames or ())]:
        there = ", ".join(c for c in reader.fieldnames or () if c)
        problem = f"has no column {', '.join(missing)}; it has: {there or 'none'}"
        raise DataFileError(path, problem, DATASET)
    rows = list(reader)
    for number, row in enumerate(rows, 2):
        if not all(row[c] for c in _COLUMNS) or not phrasing(row["transcription"]):
            raise DataFileError(path, f"line {number} is not whole", DATASET)
    return rows
