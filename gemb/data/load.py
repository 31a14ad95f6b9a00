"""The items of a task: from raw data if they can be had, else from the released files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from gemb.data import released
from gemb.data.fetch import SourceUnavailable
from gemb.data.items import Item
from gemb.tasks import Task

# One reader a dataset, by dotted path: reading one imports no other.
READERS: dict[str, str] = {
    "fashion-mnist": "gemb.data.readers.fashion_mnist",
    "mnist-digits": "gemb.data.readers.mnist_digits",
    "tuxpaint-objects": "gemb.data.readers.tuxpaint_objects",
    "packaged-sounds": "gemb.data.readers.packaged_sounds",
    "rendered-words": "gemb.data.readers.rendered_words",
    "voice-gender": "gemb.data.readers.voice_gender",
    "hedgewars-emotion": "gemb.data.readers.hedgewars_emotion",
    "spoken-words": "gemb.data.readers.spoken_words",
    "spoken-commands": "gemb.data.readers.spoken_commands",
}


@dataclass(frozen=True)
class Loaded:
    """Items with where they came from: ``raw``, or ``released`` and why."""

    items: list[Item]
    source: str
    why: str = ""


def load(task: Task, source: str = "raw") -> Loaded:
    """All items of ``task``.

    Args:
        task: Its ``dataset`` names the reader.
        source: ``released`` uses the committed files without asking for raw data.

    Raises:
        SourceUnavailable: If raw data cannot be had and nothing is released for the task.
    """
    return load_dataset(task.dataset, source, task.name)


def load_dataset(name: str, source: str = "raw", released_as: str | None = None) -> Loaded:
    """All items of a dataset; as :func:`load`, which see.

    Args:
        name: Of the dataset's manifest.
        source: ``raw`` or ``released``.
        released_as: What its released items are filed under, if not under its name.
    """
    filed = released_as or name
    if source == "released":
        return Loaded(released.items(filed), "released", "as the profile asks")
    reader: Callable[[], list[Item]] = import_module(READERS[name]).items
    try:
        return Loaded(reader(), "raw")
    except SourceUnavailable as error:
        if not released.has(filed):
            raise
        return Loaded(released.items(filed), "released", str(error))
