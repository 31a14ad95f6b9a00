"""What flows through the pipeline: one item is one medium with its answer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from gemb.errors import UserError
from gemb.tasks import Modality


class MediaUnavailable(UserError, RuntimeError):
    """The bytes of an item are not on this machine; only its vector may be."""


class Media:
    """The encoded bytes of one image or sound, read or generated only when asked for.

    ``key`` identifies the content: the sha256 of the file's bytes, or, for a
    generated medium, of its recipe, so that a store can be asked for a vector
    before anything is generated.
    """

    def __init__(self, load: Callable[[], bytes], suffix: str, key: str | None = None):
        self._load, self._key, self.suffix = load, key, suffix.lower().lstrip(".")

    @classmethod
    def from_file(cls, path: Path) -> Media:
        """A file as it lies on disk; its key is the sha256 of its bytes."""
        return cls(path.read_bytes, path.suffix)

    @classmethod
    def from_text(cls, text: str) -> Media:
        """A text as a medium of its own; its bytes are its UTF-8."""
        return cls(text.encode, "txt")

    @classmethod
    def from_recipe(
        cls, recipe: Mapping[str, Any], make: Callable[[], bytes], suffix: str
    ) -> Media:
        """A generated medium. ``recipe`` is everything that decides its content:
        generator, version, parameters, seed; it must be plain JSON."""
        text = json.dumps(recipe, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return cls(make, suffix, key=hashlib.sha256(text.encode()).hexdigest())

    @classmethod
    def absent(cls, key: str, why: str) -> Media:
        """A medium known by key alone, as in the released vectors."""

        def load() -> bytes:
            raise MediaUnavailable(why)

        return cls(load, "", key=key)

    def bytes(self) -> bytes:
        """The encoded file (PNG, WAV, OGG, …); generated anew at each call."""
        return self._load()

    @cached_property
    def key(self) -> str:
        return self._key or hashlib.sha256(self._load()).hexdigest()


@dataclass(frozen=True)
class Item:
    """One medium and its answer.

    Attributes:
        id: Stable and unique in its dataset, such as ``fashion-mnist/test/00042``.
        modality: ``image``, ``audio`` or ``text``.
        media: The bytes.
        answer: The exact text the language model should give.
        group: What must not be split between training and test (speaker,
            voice engine, stamp); ``None`` where items are independent.
        split: ``train`` or ``test`` where dataset or reader fixes the
            leak-free split; ``None`` where groups or chance decide.
        subset: ``main`` for what the headline is computed on; any other name
            is reported apart (real recordings, unseen words, …). Items of
            another subset are tested on and never trained on, unless their
            split says ``train``.
        meta: Plain strings for baselines and tables: language, voice, engine,
            transcript, attribution, …
    """

    id: str
    modality: Modality
    media: Media
    answer: str
    group: str | None = None
    split: str | None = None
    subset: str = "main"
    meta: Mapping[str, str] = field(default_factory=dict)


Pair = tuple[Item, str]  # a medium and a caption of it
