"""RAVDESS: two sentences by 24 actors in eight emotions; the study's own voices."""

from __future__ import annotations

from pathlib import Path

from gemb.data.fetch import fetch
from gemb.data.items import Item, Media
from gemb.data.readers.files import DataFileError

SOURCE = "ravdess"

# The publisher's codes in a file's name, MM-VV-EE-II-SS-RR-AA: modality, vocal channel,
# emotion, intensity, statement, repetition, actor.
_EMOTIONS = {
    "01": "neutral", "02": "calm", "03": "happy", "04": "sad",
    "05": "angry", "06": "fearful", "07": "disgust", "08": "surprised",
}  # fmt: skip
_STATEMENTS = {"01": "Kids are talking by the door", "02": "Dogs are sitting by the door"}
_ACTORS = {f"{n:02d}" for n in range(1, 25)}
_AUDIO_SPEECH = ["03", "01"]


def gender(root: Path | None = None) -> list[Item]:
    """Every recording, asked whether a man or a woman speaks; see :func:`emotion`."""
    return _items("gender", root)


def emotion(root: Path | None = None) -> list[Item]:
    """Every recording, asked for the emotion; grouped by actor.

    Args:
        root: Folder with ``Actor_01`` to ``24`` below ``speech``; fetched where not given.

    Raises:
        DataFileError: There are no recordings, or a name does not follow the publisher's code.
    """
    return _items("emotion", root)


def _items(asked: str, root: Path | None) -> list[Item]:
    folder = (root or fetch(SOURCE)) / "speech"
    paths = sorted(folder.glob("**/Actor_*/*.wav"))
    if not paths:
        raise DataFileError(folder, "holds no Actor_*/*.wav", SOURCE)
    result = []
    for path in paths:
        codes = path.stem.split("-")
        if (
            len(codes) != 7
            or codes[:2] != _AUDIO_SPEECH
            or codes[2] not in _EMOTIONS
            or codes[4] not in _STATEMENTS
            or codes[6] not in _ACTORS
        ):
            problem = "its name is no code of RAVDESS's speech, such as 03-01-06-01-02-01-12.wav"
            raise DataFileError(path, problem, SOURCE)
        answers = {
            "emotion": _EMOTIONS[codes[2]],
            "gender": "male" if int(codes[6]) % 2 else "female",
        }
        result.append(
            Item(
                id=f"{SOURCE}-{asked}/{path.stem}",
                modality="audio",
                media=Media.from_file(path),
                answer=answers[asked],
                group=f"actor {codes[6]}",
                meta={
                    **answers,
                    "speaker": codes[6],
                    "language": "en",
                    "transcript": _STATEMENTS[codes[4]],
                },
            )
        )
    return result
