"""English sentences of 8 to 20 words by synthetic voices; a stand-in for LibriSpeech."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from gemb.data import released, speech
from gemb.data.items import Item, Media
from gemb.data.readers.files import DataFileError

DATASET = "spoken-sentences"
SOURCE = "wordnet"
MIN_WORDS, MAX_WORDS = 8, 20  # the study's bounds

_FILES = ("data.adj", "data.adv", "data.noun", "data.verb")
# An example stands in quotes; one that quotes somebody is followed by a dash and a name.
_EXAMPLE = re.compile(r'"([^"]+)"(\s*-+\s*[A-Z])?')
_PLAIN = re.compile(r"[A-Za-z' ,;:.!?-]+")

# Engines that every platform has; with flite, which only Linux has, a reader
# elsewhere would hear other clips.
_BRITISH = tuple(v for v in speech.TRAINING_VOICES if v.engine == "espeak-ng")
_BY_NAME = {v.id: v for v in speech.VOICES}
_JOE, _HEART = _BY_NAME["piper-joe"], _BY_NAME["hibari-heart"]
_AMERICAN = (_BY_NAME["espeak-ng-en-us+m7"], _BY_NAME["espeak-ng-en-us+f5"])


def _hash(*parts: str) -> int:
    return int(hashlib.sha256("|".join(parts).encode()).hexdigest(), 16)


def sentences(root: Path | None = None) -> list[str]:
    """Every sentence once, in an order that a hash decides: 11,733 of them.

    Lower case, words of letters and apostrophes, one blank between two.

    Args:
        root: Folder with WordNet's ``data.*`` to take them from; else the released list is
            read, which was made so.

    Raises:
        DataFileError: A file is missing or holds no example.
    """
    if root is None:
        return released.sentences()
    found: dict[str, None] = {}
    for name in _FILES:
        path = root / name
        try:
            text = path.read_text(encoding="latin-1")
        except OSError as error:
            raise DataFileError(path, str(error), SOURCE) from error
        glosses = [
            line.partition("|")[2] for line in text.splitlines() if not line.startswith("  ")
        ]
        examples = [m for gloss in glosses for m in _EXAMPLE.finditer(gloss)]
        if not examples:
            raise DataFileError(path, "no quoted example in it", SOURCE)
        for match in examples:
            if match[2] is None and _PLAIN.fullmatch(match[1]):
                words = re.findall(r"[a-z]+(?:'[a-z]+)?", match[1].lower())
                if MIN_WORDS <= len(words) <= MAX_WORDS:
                    found[" ".join(words)] = None
    return sorted(found, key=lambda s: _hash("order", s))


def voice_of(sentence: str) -> speech.Voice:
    """The one voice that speaks a sentence where voices are not the question."""
    draw = _hash("voice", sentence)
    return (_HEART, _JOE, _british(sentence), _british(sentence))[draw % 4]


def _british(sentence: str, number: int = 0) -> speech.Voice:
    """One of eSpeak NG's British voices, another for each ``number``."""
    return _BRITISH[(_hash("british", sentence) + 7 * number) % len(_BRITISH)]


def training_voices(sentence: str, count: int = 3) -> list[speech.Voice]:
    """Voices that speak a sentence to train on where test voices must be unseen."""
    return [_HEART, *(_british(sentence, n) for n in range(count - 1))][:count]


def test_voice(sentence: str) -> speech.Voice:
    """The voice that speaks a sentence to test on; never one of :func:`training_voices`."""
    return (_JOE, *_AMERICAN)[_hash("test voice", sentence) % 3]


def item(sentence: str, voice: speech.Voice | None = None) -> Item:
    """A sentence as ``voice`` speaks it; by :func:`voice_of` where none is given."""
    voice = voice or voice_of(sentence)
    return Item(
        id=f"{DATASET}/{voice.id}/{hashlib.sha256(sentence.encode()).hexdigest()[:12]}",
        modality="audio",
        media=speech.media(sentence, voice),
        answer=sentence,
        group=sentence,
        meta=voice.meta() | {"transcript": sentence},
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


def require(voices: Sequence[speech.Voice] = (_JOE, _HEART, *_AMERICAN)) -> None:
    """Make sure that the engines are here.

    Raises:
        SourceUnavailable: One cannot be had.
    """
    speech.require(voices)
