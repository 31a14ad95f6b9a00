"""Recorded sounds of categories that are also in pictures; a stand-in for ESC-50.

Sounds of animals, instruments, tools and vehicles from programs and games that
Debian packages, in categories of :mod:`~gemb.data.readers.tuxpaint_objects`, to
test on sounds what was trained on pictures. The manifest ``packaged-sounds``
lists them and says how they were chosen.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from gemb.data import manifests
from gemb.data.fetch import fetch
from gemb.data.items import Item, Media
from gemb.data.readers.files import DataFileError

DATASET = "packaged-sounds"


def items(root: Path | None = None) -> list[Item]:
    """Every sound that the manifest lists, in its order.

    The group is the source recording: takes of one animal or thing in one
    package. ``meta`` holds package, which is the manifest of the source, file,
    and name, what sounds.

    Args:
        root: Folder that holds the sources, such as ``scratch/``, as they lie in
            the cache; fetched where not given.

    Raises:
        SourceUnavailable: A package cannot be had.
        DataFileError: A sound is missing or empty.
    """
    manifest = manifests.get(DATASET)
    folders = {name: root / name if root else fetch(name) for name in manifest.needs}
    return [
        _item(folders, place, answer, group)
        for answer, groups in manifest.generator["sounds"].items()
        for group, places in groups.items()
        for place in places
    ]


def _item(folders: dict[str, Path], place: str, answer: str, group: str) -> Item:
    package, _, file = place.partition("/")
    path = folders[package] / file
    if not path.is_file():
        raise DataFileError(path, "the file is missing", package)
    if not path.stat().st_size:
        raise DataFileError(path, "the file is empty", package)
    return Item(
        id=f"{DATASET}/{PurePosixPath(place).with_suffix('')}",
        modality="audio",
        media=Media.from_file(path),
        answer=answer,
        group=f"{answer}/{group}",
        meta={"package": package, "file": file, "name": group.partition("/")[0]},
    )
