"""Speech Commands, ten words: the study's own dataset for word-level speech."""

from __future__ import annotations

from pathlib import Path

from gemb.data import manifests
from gemb.data.fetch import fetch
from gemb.data.items import Item, Media
from gemb.data.readers.files import DataFileError, read_bytes

DATASET = "speech-commands"

_SPEAKER_MARK = "_nohash_"  # the speaker stands before it in a file's name


def items(root: Path | None = None) -> list[Item]:
    """Every recording of the ten words, grouped by speaker.

    Those in ``testing_list.txt`` test, all others are for training.

    Args:
        root: Folder with ``testing_list.txt`` and one folder a word; fetched where not given.

    Raises:
        DataFileError: A word or the list is missing, the list names a recording that is not
            there, or a speaker is in both parts.
    """
    folder = root or fetch(DATASET)
    listed = folder / "testing_list.txt"
    words = manifests.get(DATASET).classes
    named = read_bytes(listed, DATASET).decode("utf-8", errors="replace").split()
    test = {name for name in named if name.split("/")[0] in words}
    if not test:
        raise DataFileError(listed, f"names no recording of {', '.join(words)}", DATASET)
    result, seen = [], set()
    for word in words:
        paths = sorted((folder / word).glob("*.wav"))
        if not paths:
            raise DataFileError(folder / word, "holds no recordings", DATASET)
        for path in paths:
            name = f"{word}/{path.name}"
            speaker, mark, _ = path.stem.partition(_SPEAKER_MARK)
            if not mark:
                problem = f"its name does not say who speaks, before {_SPEAKER_MARK}"
                raise DataFileError(path, problem, DATASET)
            seen.add(name)
            result.append(
                Item(
                    id=f"{DATASET}/{word}/{path.stem}",
                    modality="audio",
                    media=Media.from_file(path),
                    answer=word,
                    group=speaker,
                    split="test" if name in test else "train",
                    meta={"speaker": speaker, "transcript": word},
                )
            )
    if absent := test - seen:
        raise DataFileError(folder / min(absent), f"named by {listed.name}, not there", DATASET)
    return refuse_shared_speakers(result, listed, DATASET)


def refuse_shared_speakers(items: list[Item], path: Path, dataset: str) -> list[Item]:
    """The items, if no group is in both of their splits.

    Raises:
        DataFileError: One is; names ``path``, which says how they are split.
    """
    train, test = ({i.group for i in items if i.split == s} for s in ("train", "test"))
    if shared := train & test:
        problem = f"speaker {min(map(str, shared))} is in training and test"
        raise DataFileError(path, problem, dataset)
    return items
