"""What every encoder promises."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from gemb.data.items import Item
from gemb.encoders.prices import Amount, Limits
from gemb.errors import UserError
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
        """A short name for folders and tables, unique to the identity.

        Names hold what such names may not: ``nomic-embed-text:latest``, a folder's blanks.
        """
        text = "|".join((self.name, self.revision, str(self.dim), self.preprocessing, self.view))
        short = re.sub(r"[^A-Za-z0-9_.-]", "-", self.name)[:100]
        return f"{short}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


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

    @property
    def name(self) -> str: ...
    @property
    def revision(self) -> str: ...
    @property
    def dim(self) -> int: ...
    @property
    def modalities(self) -> tuple[Modality, ...]: ...
    @property
    def views(self) -> tuple[str, ...]: ...

    def identity(self, view: str = "whole") -> EncoderIdentity: ...

    def encode(self, items: Sequence[Item], view: str = "whole") -> list[np.ndarray | Failure]:
        """Vectors of each item, float32 ``[n_i, dim]``, in the order given.

        An item that cannot be encoded gives a :class:`Failure` in its place;
        no row is dropped or shifted and the other items go on.
        """
        ...


def require(encoder: Encoder, modalities: Iterable[Modality], remedy: str) -> None:
    """Refuse an encoder that does not read all of these.

    Raises:
        UserError: Says what it reads, what is wanted, and the remedy.
    """
    wanting = [m for m in dict.fromkeys(modalities) if m not in encoder.modalities]
    if wanting:
        raise UserError(
            f"{encoder.name} reads {', '.join(encoder.modalities)}, not {', '.join(wanting)}: "
            + remedy
        )


def chunk_seconds(
    view: str, name: str, views: Sequence[str], least: float, most: float
) -> float | None:
    """The seconds of the view ``chunks:<seconds>``, ``None`` of another that there is.

    Args:
        view: What is asked for.
        name: The encoder's.
        views: The encoder's.
        least: Seconds of a chunk.
        most: Seconds of a chunk.

    Raises:
        ValueError: There is no such view.
    """
    kind, _, length = view.partition(":")
    if view in views:
        return None
    try:
        seconds = float(length)
    except ValueError:
        seconds = -1.0
    if kind != "chunks" or not least <= seconds <= most:
        raise ValueError(
            f"no view {view!r} in {name}; there are: {', '.join(views)}, "
            f"with {least:g} to {most:g} seconds"
        )
    return seconds


def whole_identity(encoder: Encoder, preprocessing: str, view: str) -> EncoderIdentity:
    """The identity of an encoder that has the view ``whole`` alone.

    Raises:
        ValueError: Another view is asked for.
    """
    if view != "whole":
        raise ValueError(f"no view {view!r} in {encoder.name}; there is: whole")
    return EncoderIdentity(encoder.name, encoder.revision, encoder.dim, preprocessing, view)


class ItemEncoder:
    """An encoder that takes one item after the other: ``name``, ``dim``, ``modalities`` and
    :meth:`vector` are all that is left to say.

    Attributes:
        revision: To be changed with the weights.
        preprocessing: To be raised whenever the same weights would give another vector.
    """

    name: str
    revision: str = "1"
    preprocessing: str = "1"
    dim: int
    modalities: tuple[Modality, ...]
    views: tuple[str, ...] = ("whole",)

    def vector(self, item: Item) -> np.ndarray:
        """The vector ``[D]`` of an item; whatever it raises becomes that item's failure."""
        raise NotImplementedError

    def identity(self, view: str = "whole") -> EncoderIdentity:
        """What decides a vector; there is one view."""
        return whole_identity(self, self.preprocessing, view)

    def encode(self, items: Sequence[Item], view: str = "whole") -> list[np.ndarray | Failure]:
        """Vectors float32 ``[1, D]`` of each item, in order, or a failure in its place."""
        self.identity(view)
        out: list[np.ndarray | Failure] = []
        for item in items:
            try:
                if item.modality not in self.modalities:
                    reads = ", ".join(self.modalities)
                    raise ValueError(f"{self.name} reads {reads}, not {item.modality}")
                out.append(np.asarray(self.vector(item), np.float32).reshape(1, self.dim))
            except Exception as error:  # one item's fault says nothing about the others
                out.append(failure(item, error))
        return out


def failure(item: Item, error: Exception) -> Failure:
    """What an error says of an item, its id before it."""
    text = str(error) or type(error).__name__
    return Failure(item.id, text if text.startswith(item.id) else f"{item.id}: {text}")


# Vectors or a failure by the item's place among those asked for.
Group = Mapping[int, np.ndarray | Failure]


@runtime_checkable
class Concurrent(Protocol):
    """An encoder that has several batches under way, which are finished in any order."""

    def encode_each(self, items: Sequence[Item], view: str, keep: Callable[[Group], None]) -> None:
        """As :meth:`Encoder.encode`, but ``keep`` is called with each group as it is finished.

        No more is asked for in a group's place until ``keep`` has returned. On
        Ctrl-C and on a fatal error what is under way is still awaited and kept.
        """
        ...


@runtime_checkable
class Paid(Protocol):
    """An encoder that costs money."""

    limits: Limits
    spent: float

    def amount(self, item: Item, view: str = "whole") -> Amount:
        """What of the item would be sent."""
        ...

    def price(self, amount: Amount) -> float | None:
        """Dollars; ``None`` where no price is known."""
        ...


def price_of(encoder: Encoder, items: Sequence[Item], view: str = "whole") -> float | None:
    """Dollars for the vectors of ``items``: 0 where the encoder is free, ``None`` if not known."""
    if not isinstance(encoder, Paid):
        return 0.0
    return encoder.price(sum((encoder.amount(i, view) for i in items), Amount()))


def encode_each(
    encoder: Encoder,
    items: Sequence[Item],
    view: str,
    keep: Callable[[Group], None],
    batch_size: int = 64,
) -> None:
    """``keep`` the vectors of ``items`` group by group, by whichever way the encoder has."""
    if isinstance(encoder, Concurrent):
        encoder.encode_each(items, view, keep)
        return
    for begin in range(0, len(items), batch_size):
        batch = items[begin : begin + batch_size]
        results = encoder.encode(batch, view)
        if len(results) != len(batch):
            raise RuntimeError(f"{encoder.name} gave {len(results)} results for {len(batch)} items")
        keep(dict(enumerate(results, begin)))
