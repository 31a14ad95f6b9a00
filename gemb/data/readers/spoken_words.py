"""Ten command words by synthetic voices; a stand-in for Google Speech Commands."""

from __future__ import annotations

from gemb.data import speech
from gemb.data.items import Item

DATASET = "spoken-words"

# The ten words of the study's task.
WORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")

# (rate, pitch) of each take. Only eSpeak NG has a pitch, so the other engines,
# which are fewer, are given more rates instead.
_ESPEAK_TAKES = ((1.0, 50), (0.8, 40), (1.2, 60))
_OTHER_TAKES = tuple((rate, speech.PITCH) for rate in (1.0, 0.8, 0.9, 1.1, 1.2))


def items() -> list[Item]:
    """Each word by each voice in several takes: 1,130 clips; nothing is spoken yet.

    Train and test share no engine's speaker and no accent of eSpeak NG: an
    item's group is its voice's base. ``meta`` holds voice, engine, gender and
    accent.

    Raises:
        SourceUnavailable: A speech engine is not on this machine and cannot be had.
    """
    speech.require(speech.VOICES)
    return [
        item
        for split, voices in (("train", speech.TRAINING_VOICES), ("test", speech.TEST_VOICES))
        for voice in voices
        for word in WORDS
        for item in _takes(word, voice, split)
    ]


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
