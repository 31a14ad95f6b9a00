"""Who speaks, a woman or a man: real speakers in many languages; a stand-in for RAVDESS gender.

Twenty-four speakers from three collections, twelve women and twelve men: captions
of Tux Paint's stamps and letters of KLettres, one volunteer a language, and the
telephone prompts of Asterisk, professional speakers whose gender the package
states. Where nobody states it, it is inferred from the pitch of the whole
speaker, and ``meta["label_source"]`` says so: for those speakers a baseline that
answers from pitch has an advantage.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import soundfile

from gemb.data.fetch import fetch
from gemb.data.items import Item, Media
from gemb.data.readers import spoken_words
from gemb.data.readers.files import DataFileError
from gemb.data.speech import Gender

DATASET = "voice-gender"
SYNTHETIC = "synthetic-voices"  # the subset shared with spoken words

# A speaker with 900 clips must not outweigh one with 45.
CLIPS_A_SPEAKER = 40

_SHORTEST, _LONGEST = 0.3, 6.0  # seconds: below is a breath, above costs time and tells no more
_G722_BYTES_A_SECOND = 8000  # 64 kbit/s, no header

# Asterisk's files that are not speech.
_NOT_SPEECH = ("beep", "2tone", "silence/", "tt-", "confbridge-join", "confbridge-leave")


@dataclass(frozen=True)
class Speaker:
    """One voice; ``places`` are manifests with the glob of the speaker's files in each.

    ``inferred_from`` is the median pitch in Hz where the gender is inferred,
    0 where the package states it.
    """

    name: str
    gender: Gender
    language: str
    places: tuple[tuple[str, str], ...]
    inferred_from: int = 0

    @property
    def label_source(self) -> str:
        if self.inferred_from:
            return f"inferred from a median pitch of {self.inferred_from} Hz"
        return "stated by the package"


def _asterisk(name: str, gender: Gender, *languages: str) -> Speaker:
    places = tuple((f"asterisk-{language}", "prompts/**/*.g722") for language in languages)
    return Speaker(f"asterisk-{name}", gender, "+".join(languages), places)


def _tuxpaint(language: str, gender: Gender, pitch: int) -> Speaker:
    place = ("tuxpaint-stamps", f"stamps/**/*_desc_{language}.ogg")
    return Speaker(f"tuxpaint-{language}", gender, language, (place,), pitch)


def _klettres(language: str, gender: Gender, pitch: int) -> Speaker:
    place = ("klettres", f"{language}/**/*.ogg")
    return Speaker(f"klettres-{language}", gender, language.partition("_")[0], (place,), pitch)


# Left out: languages in which several people speak (fr of Tux Paint, de of
# KLettres), whose pitch leaves the gender open (he) or may be a child's (ar,
# pt_BR, tn), and those that would double a speaker of another collection who may
# be the same volunteer (da and es of KLettres, lt of Tux Paint).
SPEAKERS: tuple[Speaker, ...] = (
    _asterisk("allison", "female", "en", "es"),  # one woman, two languages
    _asterisk("june", "female", "fr"),
    _asterisk("ivrvoice", "female", "ru"),
    _asterisk("carlo", "male", "it"),
    _tuxpaint("be", "female", 262),
    _tuxpaint("el", "female", 204),
    _tuxpaint("es", "female", 255),
    _tuxpaint("ro", "female", 247),
    _tuxpaint("bg", "male", 115),
    _tuxpaint("ca", "male", 145),
    _tuxpaint("da", "male", 120),
    _tuxpaint("nl", "male", 111),
    _tuxpaint("ru", "male", 130),
    _klettres("cs", "female", 252),
    _klettres("en_GB", "female", 242),
    _klettres("it", "female", 222),
    _klettres("nl", "female", 216),
    _klettres("uk", "female", 230),
    _klettres("en", "male", 138),
    _klettres("fr", "male", 119),
    _klettres("hu", "male", 110),
    _klettres("lt", "male", 130),
    _klettres("ml", "male", 113),
    _klettres("nds", "male", 109),
)


def items(root: Path | None = None) -> list[Item]:
    """At most 40 clips of each speaker, and the clips of ``spoken_words`` as another subset.

    Real speakers are grouped by speaker and have no fixed split. The subset
    ``synthetic-voices`` has the very media of ``spoken_words`` with the voice's
    documented gender as answer, and its split: only the prompt tells the two
    tasks apart. ``meta`` holds language, speaker and label_source.

    Args:
        root: Folder that holds ``tuxpaint-stamps``, ``klettres`` and
            ``asterisk-<language>`` as fetched; fetched where not given.

    Raises:
        SourceUnavailable: A collection or a speech engine cannot be had.
        DataFileError: A file is missing or damaged.
    """
    real = [
        Item(
            id=f"{DATASET}/{speaker.name}/{name}",
            modality="audio",
            media=Media.from_file(path),
            answer=speaker.gender,
            group=speaker.name,
            meta={
                "language": language,
                "speaker": speaker.name,
                "gender": speaker.gender,
                "label_source": speaker.label_source,
            },
        )
        for speaker in SPEAKERS
        for name, language, path in _clips(speaker, root)
    ]
    return real + synthetic()


def synthetic() -> list[Item]:
    """The clips of ``spoken_words``, asked for the gender of the voice."""
    return [
        Item(
            id=f"{DATASET}/synthetic/{item.id.partition('/')[2]}",
            modality="audio",
            media=item.media,
            answer=item.meta["gender"],
            group=item.group,
            split=item.split,
            subset=SYNTHETIC,
            meta={**item.meta, "speaker": item.meta["voice"], "word": item.answer,
                  "label_source": "stated by the engine"},
        )
        for item in spoken_words.synthetic()
    ]  # fmt: skip


def _clips(speaker: Speaker, root: Path | None) -> list[tuple[str, str, Path]]:
    """(name, language, path) of the speaker's clips, spread evenly over the places."""
    share = CLIPS_A_SPEAKER // len(speaker.places)
    clips = []
    for (manifest, glob), language in zip(speaker.places, speaker.language.split("+"), strict=True):
        folder = root / manifest if root else fetch(manifest)
        found = list(_suitable(folder, glob, manifest, share))
        if not found:
            raise DataFileError(folder / glob, "there is no such file with speech", manifest)
        clips += [
            (f"{language}/{path.relative_to(folder).with_suffix('').as_posix()}", language, path)
            for path in found
        ]
    return clips


def _suitable(folder: Path, glob: str, manifest: str, count: int) -> Iterator[Path]:
    """The first ``count`` files of fitting length, in the order of a hash of their name."""

    def order(path: Path) -> str:
        name = path.relative_to(folder).as_posix()
        return hashlib.sha256(name.encode()).hexdigest()

    for path in sorted(folder.glob(glob), key=order):
        if count == 0:
            return
        name = path.relative_to(folder).as_posix()
        if any(part in name for part in _NOT_SPEECH):
            continue
        if _SHORTEST <= _seconds(path, manifest) <= _LONGEST:
            count -= 1
            yield path


def _seconds(path: Path, manifest: str) -> float:
    if path.suffix == ".g722":
        return path.stat().st_size / _G722_BYTES_A_SECOND
    try:
        duration: float = soundfile.info(path).duration
    except soundfile.LibsndfileError as error:
        raise DataFileError(path, f"not a sound ({error.error_string})", manifest) from None
    return duration
