"""169 device commands by synthetic voices; a stand-in for Fluent Speech Commands."""

from __future__ import annotations

from itertools import product

from gemb.data import speech
from gemb.data.items import Item

DATASET = "spoken-commands"

# The grammar: each line is a pattern whose parts are spoken in turn, and the
# commands are all combinations. This project's own; the study's dataset has 248
# phrasings of which the study counts 169, so as many are made here.
_PATTERNS: tuple[tuple[tuple[str, ...], ...], ...] = (
    (
        ("turn on", "turn off", "switch on", "switch off"),
        ("the lights", "the lamp", "the heating", "the fan"),
        ("", "in the kitchen", "in the bedroom", "in the bathroom", "in the hall"),
    ),
    (
        ("turn up", "turn down"),
        ("the heating", "the volume", "the music"),
        ("", "in the kitchen", "in the bedroom", "in the bathroom"),
    ),
    (
        ("open", "close"),
        ("the blinds", "the curtains", "the window", "the door"),
        ("", "in the bedroom", "in the living room"),
    ),
    (("play", "pause", "stop"), ("the music", "the radio", "the film")),
    (
        ("bring me", "get me"),
        ("my shoes", "my socks", "the newspaper", "some juice", "a glass of water"),
    ),
    (("make it",), ("louder", "quieter", "warmer", "cooler", "brighter", "darker")),
    (
        ("change the language to", "set the language to"),
        ("english", "german", "chinese", "korean"),
    ),
    (
        ("start", "stop"),
        ("the dishwasher", "the washing machine", "the coffee machine", "the vacuum cleaner"),
    ),
)

COMMANDS: tuple[str, ...] = tuple(
    " ".join(filter(None, parts)) for pattern in _PATTERNS for parts in product(*pattern)
)

# (rate, pitch): an eSpeak NG voice speaks a command in one of these takes, in
# turn; a training voice of another engine, of which there are few, in two.
_ESPEAK_TAKES = ((1.0, 50), (0.85, 40), (1.15, 60))
_OTHER_RATES = (1.0, 0.85, 1.15)


def items() -> list[Item]:
    """Each command by each voice: 5,577 clips; nothing is spoken yet.

    Train and test share no engine's speaker and no accent of eSpeak NG: an
    item's group is its voice's base. All commands are on both sides. ``meta``
    holds voice, engine, gender and accent.

    Raises:
        SourceUnavailable: A speech engine is not on this machine and cannot be had.
    """
    speech.require(speech.VOICES)
    return [
        Item(
            id=f"{DATASET}/{split}/{voice.id}/{number:03d}/{take}",
            modality="audio",
            media=speech.media(command, voice, rate, pitch),
            answer=command,
            group=voice.base,
            split=split,
            meta=voice.meta(),
        )
        for split, voices in (("train", speech.TRAINING_VOICES), ("test", speech.TEST_VOICES))
        for place, voice in enumerate(voices)
        for number, command in enumerate(COMMANDS)
        for take, (rate, pitch) in enumerate(_takes(voice, split, place + number))
    ]


def _takes(voice: speech.Voice, split: str, turn: int) -> list[tuple[float, int]]:
    if voice.engine == "espeak-ng":
        return [_ESPEAK_TAKES[turn % 3]]
    count = 2 if split == "train" else 1
    return [(_OTHER_RATES[(turn + i) % 3], speech.PITCH) for i in range(count)]
