"""Items to vectors, through the store: in batches, with progress, resumable."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from gemb.data.items import Item
from gemb.encoders.base import Encoder, Failure, Group, encode_each
from gemb.progress import progress
from gemb.store import Store

Released = Callable[[Sequence[str]], Mapping[str, np.ndarray]]


@dataclass
class Embedded:
    """What :func:`embed` has to say: vectors by item key, and what went wrong."""

    vectors: dict[str, np.ndarray] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    computed: int = 0
    seconds: float = 0.0

    def matrix(self, items: Sequence[Item]) -> np.ndarray:
        """The vectors of items that have one each, ``[N, D]``."""
        return np.concatenate([self.vectors[i.media.key] for i in items])


def embed(
    items: Sequence[Item],
    encoder: Encoder,
    store: Store,
    view: str = "whole",
    released: Released | None = None,
    batch_size: int = 64,
    label: str = "embedding",
) -> Embedded:
    """Vectors of ``items``: from the store, or encoded now and stored as they are finished.

    Args:
        items: Any items; several may share a key and are then encoded once.
        encoder: Makes what the store lacks.
        store: Keeps every batch as soon as it is there, so that a kill loses no more than what
            is under way.
        view: ``whole`` or another of the encoder's views.
        released: Published vectors by key, asked before anything is encoded;
            for items whose media are not on this machine.
        batch_size: Items a batch, of an encoder that has one under way at a time.
        label: Of the progress shown.
    """
    identity = encoder.identity(view)
    out, start = Embedded(), time.perf_counter()
    first = {i.media.key: i for i in reversed(items)}
    todo = store.missing(identity, list(first))
    if todo and released is not None:
        found = released(todo)
        if found:
            store.put(identity, list(found), list(found.values()))
            todo = [k for k in todo if k not in found]
    items = [first[k] for k in todo]
    with progress(label, len(items)) as bar:

        def keep(group: Group) -> None:
            """Store before anything else happens: it may have been paid for."""
            good = {n: r for n, r in group.items() if not isinstance(r, Failure)}
            store.put(identity, [todo[n] for n in good], list(good.values()))
            out.failures += [r for r in group.values() if isinstance(r, Failure)]
            out.computed += len(good)
            bar.update(len(group))

        encode_each(encoder, items, view, keep, batch_size)
    if out.computed:
        store.compact(identity)
    out.vectors = store.get(identity, list(first))
    out.seconds = time.perf_counter() - start
    return out
