"""Emotions of game voices, by the event they are shouted at; a weak stand-in for RAVDESS.

Hedgewars has voice packs: the same events (a hit, a victory, an insult, …)
played by different voices. An event is put under one emotion here, so labels are
the acting that an event calls for, not what listeners heard; and since an event
has the same phrase in every pack of a language, much of the emotion is in the
words. ``meta["transcript"]`` is for the baseline that shows how much.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from gemb.data.fetch import fetch
from gemb.data.items import Item, Media
from gemb.data.readers.files import DataFileError

DATASET = "hedgewars-emotion"
SOURCE = "hedgewars-voices"

# Events by emotion, named without the number of the take. Left out, because no
# one emotion goes with them: Boring, Comeonthen, Fire, Flyaway, Hurry, Kamikaze,
# Melon, Missed, Thisoneismine, Watchthis.
EVENTS: dict[str, tuple[str, ...]] = {
    "anger": (
        "Bugger", "Coward", "Cutitout", "Drat", "Gonnagetyou", "Illgetyou", "Justyouwait",
        "Leavemealone", "Nutter", "Revenge", "Sameteam", "Stupid", "Traitor", "Watchit",
        "Whatthe", "Youllregretthat",
    ),
    "effort": ("Firepunch", "Jump"),
    "fear": (
        "Grenade", "Incoming", "Nooo", "Ohdear", "Oops", "Runaway", "Takecover", "Uh-oh",
    ),
    "joy": (
        "Amazing", "Brilliant", "Enemydown", "Excellent", "Firstblood", "Flawless", "Laugh",
        "Victory",
    ),
    "neutral": ("Byebye", "Hello", "Hmm", "Reinforcements", "Solong", "Yessir"),
    "pain": ("Ooff", "Ouch", "Ow", "PoisonCough", "PoisonMoan"),
}  # fmt: skip

# Packs that share recordings are one voice: Classic and Default have 20 files in
# common, and Default_uk took its shouts of pain and effort from Default.
_VOICES = {"Classic": "Default", "Default_uk": "Default"}

# Speech through a vocoder, on one note.
_NOT_HUMAN = ("Robot",)

_LANGUAGES = {"es": "es", "pl": "pl", "ru": "ru", "uk": "uk"}  # suffix of the pack's name

_EMOTION = {event: emotion for emotion, events in EVENTS.items() for event in events}


def items(root: Path | None = None) -> list[Item]:
    """All clips of events with an emotion, in the order of packs and events.

    The group is the voice. A recording that several packs or events share is
    taken once, for the first of them, and not at all where their emotions
    differ. ``meta`` holds pack, language, event, and transcript, which is the
    event's name: the English phrase without spaces, whatever the language spoken.

    Args:
        root: Folder with ``voices/<pack>/<event>.ogg``; fetched where not given.

    Raises:
        SourceUnavailable: The game's data cannot be had.
        DataFileError: No voices there, or an empty file.
    """
    folder = (root or fetch(SOURCE)) / "voices"
    recordings: dict[str, list[tuple[Path, str]]] = {}  # by content
    for path in sorted(folder.glob("*/*.ogg")):
        event = path.stem.rstrip("0123456789")
        if path.parent.name in _NOT_HUMAN:
            continue
        data = path.read_bytes()
        if not data:
            raise DataFileError(path, "the file is empty", SOURCE)
        recordings.setdefault(hashlib.sha256(data).hexdigest(), []).append((path, event))
    if not recordings:
        raise DataFileError(folder, "no voice packs in this folder", SOURCE)
    return [
        _item(*uses[0])
        for uses in recordings.values()
        if len({_EMOTION.get(event) for _, event in uses}) == 1 and uses[0][1] in _EMOTION
    ]


def _item(path: Path, event: str) -> Item:
    pack = path.parent.name
    return Item(
        id=f"{DATASET}/{pack}/{path.stem}",
        modality="audio",
        media=Media.from_file(path),
        answer=_EMOTION[event],
        group=_VOICES.get(pack, pack),
        meta={
            "pack": pack,
            "language": _LANGUAGES.get(pack.partition("_")[2], "en"),
            "event": event,
            "transcript": event.lower(),
        },
    )
