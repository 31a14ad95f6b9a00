"""Progress: a bar on a terminal, now and then a line elsewhere (notebooks, CI logs)."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from tqdm import tqdm

SECONDS_BETWEEN_LINES = 60.0


class Bar(Protocol):
    """What is told of progress."""

    def update(self, count: int) -> object:
        """So many more things are done."""
        ...


class _Lines:
    """Says how far it is on standard error, at most once a minute and never if it is quick."""

    def __init__(self, label: str, total: int):
        self._label, self._total, self._done = label, total, 0
        self._started = self._said = time.perf_counter()

    def update(self, count: int) -> None:
        self._done += count
        now = time.perf_counter()
        if now - self._said < SECONDS_BETWEEN_LINES or not self._done:
            return
        self._said = now
        left = (now - self._started) / self._done * (self._total - self._done) / 60
        print(
            f"{self._label}: {self._done / self._total:.0%}, about {left:.0f} min left",
            file=sys.stderr,
            flush=True,
        )


@contextmanager
def progress(label: str, total: int) -> Iterator[Bar]:
    """Something whose ``update(count)`` is to be called as ``total`` things get done."""
    if not sys.stderr.isatty():
        yield _Lines(label, total)
        return
    with tqdm(total=total, desc=label, unit="item") as bar:
        yield bar
