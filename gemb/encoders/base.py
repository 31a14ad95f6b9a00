"""What every encoder promises."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from gemb.data.items import Item
from gemb.tasks import Modality


@dataclass(frozen=True)
class EncoderIdentity:
    """What decides a vector besides the item: two identities never share vectors."""

    name: str
    revision: str
    dim: int
    preprocessing: str
    view: str = "whole"

    @property
    def slug(self) -> str:
        """A short name for folders and tables, unique to the identity."""
        text = "|".join((self.name, self.revision, str(self.dim), self.preprocessing, self.view))
        return f"{self.name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}".replace("/", "-")


@dataclass(frozen=True)
class Failure:
    """Stands in the place of the vectors of an item that could not be encoded."""

    item_id: str
    reason: str


@runtime_checkable
class Encoder(Protocol):
    """Turns items into vectors.

    ``whole`` gives one vector an item and every encoder has it;
    ``chunks:<seconds>`` and ``frames`` exist where ``views`` says so.
    """

    name: str
    revision: str
    dim: int
    modalities: tuple[Modality, ...]
    views: tuple[str, ...]

    def identity(self, view: str = "whole") -> EncoderIdentity: ...

    def encode(self, items: Sequence[Item], view: str = "whole") -> list[np.ndarray | Failure]:
        """Vectors of each item, float32 ``[n_i, dim]``, in the order given.

        An item that cannot be encoded gives a :class:`Failure` in its place;
        no row is dropped or shifted and the other items go on.
        """
        ...
