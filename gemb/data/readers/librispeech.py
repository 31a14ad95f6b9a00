"""LibriSpeech: read English sentences, the study's own data for open vocabulary."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from gemb.data.fetch import fetch
from gemb.data.items import Item, Media
from gemb.data.readers import spoken_sentences
from gemb.data.readers.files import DataFileError, read_bytes
from gemb.errors import UnknownName

DATASET = "librispeech"
# Their readers are others: whom an adaptor was trained on, it is not tested on.
TRAIN, TEST = "librispeech-dev-clean", "librispeech-test-clean"

_UTTERANCE = re.compile(r"(\d+)-\d+-\d+")
_WORDS = re.compile(r"[a-z']+( [a-z']+)*")


@dataclass(frozen=True)
class Reading:
    """A sentence as one reader reads it."""

    id: str
    path: Path
    speaker: str
    part: str


def sentences() -> list[str]:
    """Sentences to train and validate on, of 8 to 20 words, each once, in a hash's order."""
    return [s for s, r in readings().items() if r.part == TRAIN]


def unseen() -> list[str]:
    """Sentences to test on, by readers of whom no sentence is trained on; in a hash's order."""
    return [s for s, r in readings().items() if r.part == TEST]


def readings(root: Path | None = None) -> dict[str, Reading]:
    """Every sentence of 8 to 20 words, in a hash's order, with the reading it is heard in.

    The study draws 1,000 such sentences; a profile takes the first so many of each part. A
    sentence that is read more than once counts as the test part's, and in its first reading.

    Args:
        root: Folder that holds a folder for each part's manifest, as in the cache; fetched
            where not given.

    Raises:
        DataFileError: A transcript is damaged, or names a recording that is not there.
    """
    return _readings(*((root / p if root else fetch(p)) for p in (TEST, TRAIN)))


@cache
def _readings(*folders: Path) -> dict[str, Reading]:
    found: dict[str, Reading] = {}
    for folder, part in zip(folders, (TEST, TRAIN), strict=True):
        transcripts = sorted((folder / "speech").glob("*/*/*.trans.txt"))
        if not transcripts:
            raise DataFileError(folder / "speech", "holds no transcripts", part)
        for path in transcripts:
            for line in read_bytes(path, part).decode("utf-8", errors="replace").splitlines():
                utterance, _, text = line.partition(" ")
                match, sentence = _UTTERANCE.fullmatch(utterance), text.strip().lower()
                if not match or not sentence:
                    problem = f"{line[:60]!r} is not an utterance's number and its words"
                    raise DataFileError(path, problem, part)
                audio = path.with_name(f"{utterance}.flac")
                if not audio.is_file():
                    raise DataFileError(audio, f"named by {path.name}, and not there", part)
                words = len(sentence.split(" ")) if _WORDS.fullmatch(sentence) else 0
                if spoken_sentences.MIN_WORDS <= words <= spoken_sentences.MAX_WORDS:
                    found.setdefault(sentence, Reading(utterance, audio, match[1], part))

    def order(sentence: str) -> str:
        return hashlib.sha256(sentence.encode()).hexdigest()

    return {s: found[s] for s in sorted(found, key=order)}


def item(sentence: str) -> Item:
    """A sentence as its reader reads it.

    Raises:
        UnknownName: It is none of :func:`readings`.
    """
    reading = readings().get(sentence)
    if reading is None:
        raise UnknownName(f"no sentence {sentence!r} of LibriSpeech's clean parts")
    return Item(
        id=f"{DATASET}/{reading.id}",
        modality="audio",
        media=Media.from_file(reading.path),
        answer=sentence,
        group=reading.speaker,
        split="test" if reading.part == TEST else "train",
        meta={"transcript": sentence, "speaker": reading.speaker},
    )


def text_item(sentence: str) -> Item:
    """The sentence itself as a medium, for an encoder of text."""
    return Item(
        id=f"{DATASET}/text/{hashlib.sha256(sentence.encode()).hexdigest()[:12]}",
        modality="text",
        media=Media.from_text(sentence),
        answer=sentence,
        group=sentence,
        meta={"transcript": sentence},
    )


def require() -> None:
    """Make sure that the recordings are here.

    Raises:
        SourceUnavailable: They cannot be had.
    """
    readings()
