"""The items of a task: from raw data if they can be had, else from the released files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module

from gemb.data import released
from gemb.data.fetch import SourceUnavailable
from gemb.data.items import Item
from gemb.data.splits import Fold, folds_of, leak_free_folds
from gemb.profiles import Sizes
from gemb.tasks import Task

# One reader a dataset, by dotted path: reading one imports no other. After a colon stands the
# function, where it is not ``items``.
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
    # the study's own
    "cifar-10": "gemb.data.readers.cifar10",
    "svhn": "gemb.data.readers.svhn",
    "iiit5k": "gemb.data.readers.iiit5k",
    "ravdess-gender": "gemb.data.readers.ravdess:gender",
    "ravdess-emotion": "gemb.data.readers.ravdess:emotion",
    "speech-commands": "gemb.data.readers.speech_commands",
    "fluent-speech-commands": "gemb.data.readers.fluent_speech_commands",
    "esc-50": "gemb.data.readers.esc50",
    "celeba": "gemb.data.readers.celeba",
}


@dataclass(frozen=True)
class Loaded:
    """Items with where they came from: ``raw``, ``official``, or ``released`` and why.

    ``places`` says of released items in which part of which fold they were.
    """

    items: list[Item]
    source: str
    why: str = ""
    places: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def folds(self, task: Task, sizes: Sizes) -> list[Fold]:
        """The task's leak-free folds; of released items those that they were released from.

        Raises:
            ValueError: If the items lack the marks that ``task.split`` needs.
        """
        if self.places:
            return folds_of(self.items, self.places, sizes)
        return leak_free_folds(task, self.items, sizes)


def load(task: Task, source: str = "raw") -> Loaded:
    """All items of ``task``.

    Args:
        task: Its ``dataset`` names the reader.
        source: ``released`` uses the committed files without asking for raw data;
            ``official`` the study's own dataset, for which nothing stands in.

    Raises:
        SourceUnavailable: If raw data cannot be had and nothing is released for the task.
    """
    return load_dataset(task.under(source).dataset, source, task.name)


def load_dataset(name: str, source: str = "raw", released_as: str | None = None) -> Loaded:
    """All items of a dataset; as :func:`load`, which see.

    Args:
        name: Of the dataset's manifest.
        source: ``raw``, ``released`` or ``official``.
        released_as: What its released items are filed under, if not under its name.
    """
    filed = released_as or name
    if source == "released":
        return _released(filed, "as the profile asks")
    module, _, function = READERS[name].partition(":")
    reader: Callable[[], list[Item]] = getattr(import_module(module), function or "items")
    try:
        return Loaded(reader(), source)
    except SourceUnavailable as error:
        if source == "official" or not released.has(filed):
            raise
        return _released(filed, str(error))


def _released(filed: str, why: str) -> Loaded:
    return Loaded(released.items(filed), "released", why, released.places(filed))
