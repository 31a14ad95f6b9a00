"""Ten command words by synthetic voices; a stand-in for Google Speech Commands."""

from __future__ import annotations

from pathlib import Path

from gemb.data import speech
from gemb.data.fetch import fetch
from gemb.data.items import Item, Media
from gemb.data.readers.files import DataFileError

DATASET = "spoken-words"

# The ten words of the study's task.
WORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")

# (rate, pitch) of each take. Only eSpeak NG has a pitch, so the other engines,
# which are fewer, are given more rates instead.
_ESPEAK_TAKES = ((1.0, 50), (0.8, 40), (1.2, 60))
_OTHER_TAKES = tuple((rate, speech.PITCH) for rate in (1.0, 0.8, 0.9, 1.1, 1.2))


# Real recordings of the words, and who speaks: all that the packaged recordings
# of single English words hold. Too few for more than a look.
_RECORDINGS = (
    ("no", "asterisk-en", "prompts/vm-no.g722", "asterisk-allison", "female"),
    ("no", "klettres", "en/syllab/no.ogg", "klettres-en", "male"),
    ("no", "klettres", "en_GB/syllab/no.ogg", "klettres-en_GB", "female"),
)


def items(root: Path | None = None) -> list[Item]:
    """Each word by each voice in several takes, 1,010 clips, and three real recordings.

    Train and test share no engine's speaker and no accent of eSpeak NG: an
    item's group is its voice's base. ``meta`` holds voice, engine, gender,
    accent and language. Nothing is spoken yet. The subset ``real-recordings``
    is for testing alone.

    Args:
        root: Folder that holds ``asterisk-en`` and ``klettres`` as fetched;
            fetched where not given.

    Raises:
        SourceUnavailable: A collection or a speech engine cannot be had.
        DataFileError: A recording is missing.
    """
    return synthetic() + recordings(root)


def synthetic() -> list[Item]:
    """The clips by synthetic voices."""
    speech.require(speech.VOICES)
    return [
        item
        for split, voices in (("train", speech.TRAINING_VOICES), ("test", speech.TEST_VOICES))
        for voice in voices
        for word in WORDS
        for item in _takes(word, voice, split)
    ]


def recordings(root: Path | None = None) -> list[Item]:
    """The real recordings; ``root`` as in :func:`items`."""
    found = []
    for word, manifest, name, speaker, gender in _RECORDINGS:
        path = (root / manifest if root else fetch(manifest)) / name
        if not path.is_file():
            raise DataFileError(path, "the file is missing", manifest)
        found.append(
            Item(
                id=f"{DATASET}/real/{speaker}/{word}",
                modality="audio",
                media=Media.from_file(path),
                answer=word,
                group=speaker,
                split="test",
                subset="real-recordings",
                meta={"voice": speaker, "engine": "human", "gender": gender, "language": "en"},
            )
        )
    return found


def _takes(word: str, voice: speech.Voice, split: str) -> list[Item]:
    takes = _ESPEAK_TAKES if voice.engine == "espeak-ng" else _OTHER_TAKES
    return [
        Item(
            id=f"{DATASET}/{split}/{voice.id}/{word}/{number}",
            modality="audio",
            media=speech.media(word, voice, rate, pitch),
            answer=word,
            group=voice.base,
            split=split,
            meta=voice.meta(),
        )
        for number, (rate, pitch) in enumerate(takes)
    ]
