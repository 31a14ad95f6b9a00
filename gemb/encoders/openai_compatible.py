"""Text embeddings of any server that answers ``POST {base}/embeddings`` as OpenAI's does.

Of text alone: servers that take pictures or sounds at this address each have a form of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import httpx2
import numpy as np
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from gemb.data.items import Item
from gemb.encoders import keys
from gemb.encoders.base import EncoderIdentity, Failure, failure, whole_identity
from gemb.errors import UserError
from gemb.tasks import Modality

KEY = "OPENAI_API_KEY"
TIMEOUT = 120.0  # seconds; a server on a CPU is slow
ATTEMPTS = 5
_BUSY = (429, 500, 502, 503, 504)  # worth another attempt
_REFUSED = (400, 413, 422)  # what was sent is at fault, be it one text of many


class ServerError(UserError, RuntimeError):
    """The server cannot be used; says which, why and what to do. Never shows the key."""


class _Busy(ServerError):
    """Likely to go away by itself."""


class _Refused(ServerError):
    """The server does not take this batch."""


class OpenAICompatible:
    """Vectors as a server returns them, in float32.

    The key comes from ``OPENAI_API_KEY`` if that is set; it goes to the given address alone, since
    redirects are not followed, and never over plain HTTP to another machine. Servers do not say
    which weights they run: the address stands for them in the identity.

    Args:
        spec: ``<address>#<model>``, such as ``http://localhost:8000/v1#nomic-embed-text``.
    """

    modalities: tuple[Modality, ...] = ("text",)
    views = ("whole",)

    def __init__(self, spec: str):
        base, _, self.model = spec.partition("#")
        url = httpx2.URL(base)
        if url.scheme not in ("http", "https") or not url.host or url.userinfo or not self.model:
            raise ServerError(
                f"openai-compatible:{spec} is not <address>#<model>, such as "
                "openai-compatible:http://localhost:8000/v1#nomic-embed-text"
            )
        self.revision = base.rstrip("/")
        self.name = f"openai-compatible/{self.model}"
        self._key = keys.from_environment(KEY)
        keys.refuse_in_the_clear(self._key, KEY, base)

    @cached_property
    def dim(self) -> int:
        """D; asked of the server once, with one word."""
        return len(self._embed(["word"])[0])

    def identity(self, view: str = "whole") -> EncoderIdentity:
        """What decides a vector; there is one view."""
        return whole_identity(self, "none", view)

    def encode(self, items: Sequence[Item], view: str = "whole") -> list[np.ndarray | Failure]:
        """Vectors float32 ``[1, D]`` of each item, in order, or a failure in its place.

        Raises:
            ServerError: The server is not to be reached, refuses the key or the model, stays
                busy, or answers with something else than one vector a text.
        """
        self.identity(view)
        found: dict[int, np.ndarray | Failure] = {}
        texts: dict[int, str] = {}
        for number, item in enumerate(items):
            try:
                if item.modality != "text":
                    raise ValueError(f"{self.name} reads text, not {item.modality}")
                texts[number] = item.media.bytes().decode("utf-8")
                if not texts[number].strip():
                    raise ValueError("the text is empty")
            except (OSError, RuntimeError, ValueError) as error:
                texts.pop(number, None)
                found[number] = failure(item, error)
        rows = self._each(list(texts.values()))
        for number, row in zip(texts, rows, strict=True):
            found[number] = (
                Failure(items[number].id, f"{items[number].id}: {row}")
                if isinstance(row, str)
                else row[None]
            )
        return [found[n] for n in range(len(items))]

    def _each(self, texts: list[str]) -> list[np.ndarray | str]:
        """A vector ``[D]`` of each text, or why there is none; a batch refused is halved."""
        if not texts:
            return []
        try:
            rows = self._embed(texts)
        except _Refused as error:
            if len(texts) == 1:
                return [str(error)]
            half = len(texts) // 2
            return self._each(texts[:half]) + self._each(texts[half:])
        if any(len(row) != self.dim for row in rows):
            raise ServerError(f"{self.revision}: vectors of {self.dim} dimensions, then of others")
        return list(rows)

    def _embed(self, texts: list[str]) -> list[np.ndarray]:
        """One request, tried again while the server is busy."""
        for attempt in Retrying(
            retry=retry_if_exception_type(_Busy),
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_exponential_jitter(initial=0.5, max=20),
            reraise=True,
        ):
            with attempt:
                return self._request(texts)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _request(self, texts: list[str]) -> list[np.ndarray]:
        try:
            answer = self._client.post(
                f"{self.revision}/embeddings", json={"model": self.model, "input": texts}
            )
        except httpx2.TransportError as error:
            raise _Busy(f"{self.revision}: no answer ({type(error).__name__}: {error})") from None
        if answer.status_code != 200:
            raise self._error(answer)
        try:
            data = sorted(answer.json()["data"], key=lambda row: row["index"])
            rows = [np.array(row["embedding"], np.float32) for row in data]
        except (KeyError, TypeError, ValueError) as error:
            raise ServerError(
                f"{self.revision}: the answer is not OpenAI's form ({error!r})"
            ) from None
        if [row["index"] for row in data] != list(range(len(texts))):
            raise ServerError(f"{self.revision}: {len(rows)} vectors for {len(texts)} texts")
        if not all(row.ndim == 1 and len(row) and np.isfinite(row).all() for row in rows):
            raise ServerError(f"{self.revision}: a vector is empty or holds NaN or infinity")
        return rows

    def _error(self, answer: httpx2.Response) -> ServerError:
        status = answer.status_code
        said = answer.text[:300]
        if self._key:  # a server may repeat it
            said = said.replace(self._key, f"<{KEY}>")
        text = f"{self.revision}: HTTP {status}: {said}"
        if status in (401, 403):
            return ServerError(f"{text}; set {KEY} to a key of this server")
        if status == 404:
            return ServerError(f"{text}; is {self.model!r} a model of it, and the address right?")
        if status in _BUSY:
            return _Busy(text)
        return _Refused(text) if status in _REFUSED else ServerError(text)

    @cached_property
    def _client(self) -> httpx2.Client:
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        return httpx2.Client(headers=headers, timeout=TIMEOUT, follow_redirects=False)
