"""The Gemini embedding API, through Google's own client.

What the API does not promise is checked: as many vectors as contents, of the dimension asked for,
finite, of length one. A response that fails a check is not used.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Sequence

import numpy as np
from google.genai import types

from gemb.data.items import Item
from gemb.encoders import keys
from gemb.encoders.base import EncoderIdentity, Failure
from gemb.encoders.gemini.contents import PREPROCESSING, VIEWS, contents, seconds_of
from gemb.encoders.gemini.session import Keep, Session
from gemb.encoders.gemini.wire import BASE_URL, GeminiError
from gemb.encoders.prices import Amount, Limits, dollars
from gemb.errors import UnknownName
from gemb.tasks import Modality

__all__ = ["Gemini", "GeminiError"]

log = logging.getLogger(__name__)

DEFAULT_MODEL = "gemini-embedding-2"
DIM = 3072
# About two minutes in all, longer than any quota a minute.
RETRY = types.HttpRetryOptions(attempts=8, initial_delay=1.0, max_delay=60.0)


class Gemini:
    """Images, sounds and texts in one space, by a model that is paid for.

    By name ``gemini``, ``gemini:<model>`` or ``gemini:<model>:<dimension>``. The key is read from
    ``GOOGLE_API_KEY`` or ``GEMINI_API_KEY`` when the first request is made. PNG, JPEG, MP3 and
    WAV of plain PCM are sent as they are; other images as PNG, other sounds, and those too large
    for a request, as WAV of 16 kHz, always the same bytes for the same file.

    With ``GOOGLE_GEMINI_BASE_URL`` another server is asked, such as ``gemb serve``; its vectors
    are kept apart by that address.

    Views:
        ``whole``: one content and one vector an item; a sound of up to 180 s.
        ``chunks:<seconds>``: a sound cut into pieces of that length, one content each.

    Args:
        argument: Model and dimension.
        limits: How fast and how far; see :class:`~gemb.encoders.prices.Limits`.
        retry: When Google's client tries again, and after how long.
        timeout: Seconds for one request.
        concurrency: Requests under way at a time, which is what a kill may cost.
    """

    name = "gemini"
    modalities: tuple[Modality, ...] = ("image", "audio", "text")
    views = VIEWS

    def __init__(
        self,
        argument: str = "",
        *,
        limits: Limits | None = None,
        retry: types.HttpRetryOptions = RETRY,
        timeout: float = 120.0,
        concurrency: int = 4,
    ):
        model, _, dim = argument.partition(":")
        if dim and not (dim.isdecimal() and int(dim) > 0):
            raise UnknownName(f"gemini:{argument}: {dim!r} is no dimension, such as 768")
        self.model, self.dim = model or DEFAULT_MODEL, int(dim or DIM)
        self.limits = limits or Limits()
        self.retry, self.timeout, self.concurrency = retry, timeout, concurrency
        self.spent = 0.0  # dollars, by the list price of the tokens reported

    @property
    def revision(self) -> str:
        """The model's id; and where it is asked for, if not of Google."""
        base_url = os.environ.get(BASE_URL)
        return f"{self.model} at {base_url.rstrip('/')}" if base_url else self.model

    def identity(self, view: str = "whole") -> EncoderIdentity:
        """What decides a vector; ``chunks:1.0`` is ``chunks:1``."""
        seconds = seconds_of(view)
        if seconds is not None:
            view = f"chunks:{seconds:g}"
        return EncoderIdentity(self.name, self.revision, self.dim, PREPROCESSING, view)

    def encode(self, items: Sequence[Item], view: str = "whole") -> list[np.ndarray | Failure]:
        """Vectors float32 ``[n_i, dim]`` of each item, in order, or a failure in its place.

        Raises:
            GeminiError: No key, a wrong one, an unknown model, a spent quota, no connection.
        """
        found: dict[int, np.ndarray | Failure] = {}
        self.encode_each(items, view, found.update)
        return [found[n] for n in range(len(items))]

    def encode_each(self, items: Sequence[Item], view: str, keep: Keep) -> None:
        """As :meth:`encode`; ``keep`` gets each group of vectors as soon as it has returned.

        The requests run in a thread of their own: a notebook has an event loop already, and
        Ctrl-C, which reaches the main thread alone, cannot cut off ``keep``.
        """
        session = Session(self, view, keep)
        raised: list[BaseException] = []
        ended = threading.Event()  # an interrupted Thread.join takes the thread for ended

        def work() -> None:
            try:
                asyncio.run(session.run(items))
            except BaseException as error:
                raised.append(error)
            finally:
                ended.set()

        threading.Thread(target=work, name="gemini", daemon=True).start()
        try:
            _await(ended)
        except KeyboardInterrupt:
            log.warning("waiting for the requests under way, which are paid for (Ctrl-C: do not)")
            session.stop()
            _await(ended)
            raise
        if raised:
            raise raised[0]

    def amount(self, item: Item, view: str = "whole") -> Amount:
        """What of the item would be sent.

        Raises:
            MediaError, MediaUnavailable: It cannot be.
        """
        return sum((c.amount for c in contents(0, item, seconds_of(view))), Amount())

    def price(self, amount: Amount) -> float | None:
        """Dollars by the price list; a server on this machine is free."""
        if keys.is_this_machine(os.environ.get(BASE_URL, "")):
            return 0.0
        return dollars(self.model, amount)


def _await(ended: threading.Event) -> None:
    while not ended.wait(0.2):  # on Windows a wait without an end cannot be interrupted
        pass
