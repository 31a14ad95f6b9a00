"""One call of the encoder: what is under way, what it costs, and what becomes of each answer."""

from __future__ import annotations

import asyncio
import logging
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Protocol

import httpx2
import numpy as np
from aiolimiter import AsyncLimiter
from google import genai
from google.genai import errors, types

from gemb.data.items import Item, MediaUnavailable
from gemb.data.media import MediaError
from gemb.encoders.base import Failure, Group
from gemb.encoders.gemini import wire
from gemb.encoders.gemini.contents import MAX_BYTES, Content, contents, seconds_of
from gemb.encoders.gemini.wire import GeminiError, remedy
from gemb.encoders.prices import Amount, Limits
from gemb.errors import UserError

log = logging.getLogger(__name__)

# Of a request. The documentation's 8,192 tokens may be meant of a content or of a request. How
# many contents a batch takes is found out by halving.
MAX_CONTENTS, MAX_TOKENS = 32, 8_192
ASKED = 3  # times that a batch is asked for if the response fails its checks
REFUSED = 64  # requests refused in a row, after which the items are not to blame

Keep = Callable[[Group], None]


class Settings(Protocol):
    """What a session wants to know of its encoder, and where it says what it spent."""

    model: str
    dim: int
    limits: Limits
    spent: float
    retry: types.HttpRetryOptions
    timeout: float
    concurrency: int

    def price(self, amount: Amount) -> float | None: ...


@dataclass
class Split:
    """A batch that was refused: if both its halves are taken, it was too large."""

    size: int
    taken: int = 0


@dataclass
class Batch:
    """The contents of one request."""

    contents: list[Content]
    split: Split | None = None

    @property
    def amount(self) -> Amount:
        return sum((c.amount for c in self.contents), Amount())


class Mismatch(Exception):
    """A response that does not fit what was asked."""


class Session:
    """One call of ``encode_each``: its event loop, its client, its pace, what is left to do."""

    def __init__(self, encoder: Settings, view: str, keep: Keep):
        self._encoder, self._keep = encoder, keep
        self._seconds = seconds_of(view)
        limits = encoder.limits
        # A batch is no more than a tenth of what a minute may take, so that it flows evenly.
        self._max_contents = int(max(1, min(MAX_CONTENTS, limits.requests_per_minute // 10)))
        self._max_tokens = min(MAX_TOKENS, limits.tokens_per_minute / 10)
        self._requests = _bucket(limits.requests_per_minute, self._max_contents)
        self._tokens = _bucket(limits.tokens_per_minute, self._max_tokens)
        self._todo: Iterator[list[Content]] = iter(())
        self._refused_batches: list[Batch] = []
        self._rows: dict[int, dict[int, np.ndarray]] = {}  # of items whose parts are not all there
        self._failed: set[int] = set()
        # dollars put aside for what each task has under way
        self._put_aside: dict[asyncio.Task[None] | None, float] = {}
        self._tokens_estimated = self._tokens_reported = 0.0
        self._refused_in_a_row = 0
        self._stopped = False
        self._tasks: list[asyncio.Task[None]] = []
        self._wire: wire.Client | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def run(self, items: Sequence[Item]) -> None:
        """Every item to ``keep``, as a vector or a failure."""
        self._loop = asyncio.get_running_loop()
        self._todo = self._prepared(items)
        secret, encoder = wire.key(), self._encoder
        if encoder.limits.max_dollars is not None and encoder.price(Amount(characters=1)) is None:
            raise GeminiError(
                f"no price is known for {encoder.model}, so that no sum can be kept to: leave the "
                "limit away, or choose a model with a price"
            )
        async with wire.Client(secret, encoder.timeout, self._unanswered) as self._wire:
            client = genai.Client(
                api_key=secret,
                vertexai=False,
                http_options=types.HttpOptions(
                    retry_options=encoder.retry,
                    timeout=round(encoder.timeout * 1000),
                    httpx_async_client=self._wire,
                ),
            )
            self._tasks = [
                asyncio.create_task(self._work(client)) for _ in range(encoder.concurrency)
            ]
            try:
                outcomes = await asyncio.gather(*self._tasks, return_exceptions=True)
            finally:
                client.close()
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome from None

    def stop(self) -> None:
        """Ask for nothing more; what is on the wire is paid for and awaited. From any thread."""
        self._stopped = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._cancel_the_waiting)

    def _cancel_the_waiting(self) -> None:
        if self._wire is not None:
            self._wire.stopped = True
            for task in self._tasks:
                if task not in self._wire.under_way:
                    task.cancel()

    async def _work(self, client: genai.Client) -> None:
        try:
            while not self._stopped and (batch := self._next()) is not None:
                await self._embed(client, batch)
        except Exception:
            self.stop()
            raise

    # --- what is asked for ----------------------------------------------------

    def _prepared(self, items: Sequence[Item]) -> Iterator[list[Content]]:
        """The contents of each item, made as they are needed; what cannot be sent is settled."""
        for number, item in enumerate(items):
            try:
                yield contents(number, item, self._seconds)
            except MediaUnavailable as error:
                self._fail(number, item.id, f"its bytes cannot be had: {error}")
            except MediaError as error:
                self._keep({number: Failure(item.id, str(error))})
            except UserError:  # a wrong checksum, say: not this item's fault
                raise
            except (OSError, RuntimeError, ValueError) as error:
                self._fail(number, item.id, f"its bytes cannot be had: {error}")

    def _next(self) -> Batch | None:
        """The next contents, as many as fit into a request; an item's stay together if they fit."""
        if self._refused_batches:
            return self._refused_batches.pop()
        found: list[Content] = []
        for some in self._todo:
            if found and not self._fits(found + some):
                self._todo = chain([some], self._todo)
                break
            found += some
        rest, found = found[self._max_contents :], found[: self._max_contents]
        if rest:
            self._todo = chain([rest], self._todo)
        return Batch(found) if found else None

    def _fits(self, contents: Sequence[Content]) -> bool:
        return (
            len(contents) <= self._max_contents
            and sum(c.amount.tokens for c in contents) <= self._max_tokens
            and sum(len(c.data) for c in contents) <= MAX_BYTES
        )

    # --- one request ----------------------------------------------------------

    async def _embed(self, client: genai.Client, batch: Batch) -> None:
        try:
            vectors = await self._vectors(client, batch)
        except errors.APIError as error:
            self._refuse(batch, error)
            return
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise GeminiError(
                f"no answer from {os.environ.get(wire.BASE_URL) or 'the Gemini API'} after "
                f"{self._encoder.retry.attempts} attempts ({type(error).__name__}: {error}); what "
                "was embedded is stored: check the connection and run it again"
            ) from None
        self._accept(batch, vectors)

    async def _vectors(self, client: genai.Client, batch: Batch) -> np.ndarray:
        """The checked vectors of a batch ``[N, D]``; a response that does not fit is not used."""
        for _ in range(ASKED):
            try:
                vectors = self._checked(batch, await self._answer(client, batch))
                await self._confirm(client, batch, vectors)
                return vectors
            except Mismatch as error:
                why = str(error)
                log.warning("a response is not used, and asked for again: %s", why)
        raise GeminiError(
            f"the server's response does not fit what was asked, {ASKED} times: {why}. Nothing of "
            "it is stored; what came before is. Run it again, and if it stays, try another model"
        )

    async def _answer(self, client: genai.Client, batch: Batch) -> types.EmbedContentResponse:
        amount = batch.amount
        await self._requests.acquire(min(amount.contents, self._requests.max_rate))
        left = amount.tokens  # of one long sound more than the limiter gives at once
        while left > 0:
            await self._tokens.acquire(min(left, self._tokens.max_rate))
            left -= self._tokens.max_rate
        with self._reserved(amount):
            try:
                response = await client.aio.models.embed_content(
                    model=self._encoder.model,
                    contents=[c.sent for c in batch.contents],
                    config=types.EmbedContentConfig(output_dimensionality=self._encoder.dim),
                )
            except ValueError as error:  # no JSON, or other JSON than the client knows
                self._pay(amount, types.EmbedContentResponse())
                raise Mismatch(f"it cannot be read ({type(error).__name__})") from None
            self._pay(amount, response)
        return response

    async def _confirm(self, client: genai.Client, batch: Batch, vectors: np.ndarray) -> None:
        """Ask for contents alone that got another's vector: a mistake, or are they so alike?"""
        for number in _alike(batch, vectors):
            content, vector = batch.contents[number], vectors[number]
            (alone,) = await self._vectors(client, Batch([content]))
            if np.linalg.norm(alone - vector) > 0.05 * np.linalg.norm(alone):
                raise Mismatch(f"{content.item_id} has another item's vector")

    def _checked(self, batch: Batch, response: types.EmbedContentResponse) -> np.ndarray:
        rows = [e.values or [] for e in response.embeddings or []]
        if len(rows) != len(batch.contents):
            raise Mismatch(f"{len(rows)} vectors for {len(batch.contents)} contents")
        dims = {len(r) for r in rows}
        if dims != {self._encoder.dim}:
            raise Mismatch(f"vectors of {sorted(dims)} dimensions, not {self._encoder.dim}")
        vectors = np.array(rows, np.float32)
        norms = np.linalg.norm(vectors, axis=1)
        if not np.isfinite(norms).all():
            raise Mismatch("a vector holds NaN or infinity")
        # The older text model gives shortened vectors as they are.
        unit = not self._encoder.model.startswith("gemini-embedding-001")
        if (np.abs(norms - 1) > 0.01).any() if unit else not norms.all():
            raise Mismatch(f"vectors of length {norms.min():.3g} to {norms.max():.3g}")
        return vectors

    @contextmanager
    def _reserved(self, amount: Amount) -> Iterator[None]:
        """The price of a request, put aside while it is under way; refused above the limit."""
        # Estimated, and scaled by what the estimates have been short of so far.
        scale = max(1.0, self._tokens_reported / (self._tokens_estimated or 1.0))
        task = asyncio.current_task()
        self._put_aside[task] = (self._encoder.price(amount) or 0.0) * scale
        try:
            self._keep_to_the_limit()
            yield
        finally:
            del self._put_aside[task]

    def _unanswered(self) -> None:
        """Count an attempt that may have been paid for; ask again only within the limit."""
        self._encoder.spent += self._put_aside[asyncio.current_task()]
        self._keep_to_the_limit()

    def _keep_to_the_limit(self) -> None:
        spent, limit = self._encoder.spent, self._encoder.limits.max_dollars
        if limit is not None and spent + sum(self._put_aside.values()) > limit:
            raise GeminiError(
                f"the next request would pass the limit of ${limit:.2f} (${spent:.4f} spent); what "
                "was embedded is stored: raise the limit and run it again to go on"
            )

    def _pay(self, amount: Amount, response: types.EmbedContentResponse) -> None:
        usage = response.usage_metadata
        reported = (usage.prompt_token_count if usage else None) or amount.tokens
        self._tokens_estimated += amount.tokens
        self._tokens_reported += reported
        price = self._encoder.price(amount) or 0.0
        self._encoder.spent += price * reported / (amount.tokens or 1.0)

    # --- what becomes of it ---------------------------------------------------

    def _accept(self, batch: Batch, vectors: np.ndarray) -> None:
        self._refused_in_a_row = 0
        if batch.split is not None:
            batch.split.taken += 1
            if batch.split.taken == 2:
                self._max_contents = min(self._max_contents, (batch.split.size + 1) // 2)
        whole: dict[int, np.ndarray | Failure] = {}
        for content, vector in zip(batch.contents, vectors, strict=True):
            rows = self._rows.setdefault(content.number, {})
            rows[content.part] = vector
            if len(rows) == content.parts:
                whole[content.number] = np.stack([rows[p] for p in range(content.parts)])
                del self._rows[content.number]
        self._keep(whole)

    def _refuse(self, batch: Batch, error: errors.APIError) -> None:
        """Halve the batch, or name the item; a refusal that would meet all items is raised."""
        said = error.message or str(error)
        if cure := remedy(error, self._encoder.model):
            raise GeminiError(f"{said.rstrip('.')} ({error.code}): {cure}") from None
        self._refused_in_a_row += 1
        if self._refused_in_a_row >= REFUSED:
            raise GeminiError(
                f"{REFUSED} requests in a row were refused, the last with: {said} What was "
                "embedded is stored"
            ) from None
        contents = batch.contents
        if len(contents) == 1:
            self._fail(contents[0].number, contents[0].item_id, f"the API refuses it: {said}")
            return
        middle = (len(contents) + 1) // 2
        split = Split(len(contents))
        halves = [Batch(contents[middle:], split), Batch(contents[:middle], split)]
        self._refused_batches += halves

    def _fail(self, number: int, item_id: str, why: str) -> None:
        if number in self._failed:
            return
        self._failed.add(number)
        self._keep({number: Failure(item_id, f"{item_id}: {why}")})


def _bucket(per_minute: float, burst: float) -> AsyncLimiter:
    """A limiter under which no minute, wherever it begins, takes more than ``per_minute``."""
    refill = max(per_minute - burst, per_minute / 2)  # a minute
    return AsyncLimiter(burst, 60 * burst / refill)


def _alike(batch: Batch, vectors: np.ndarray) -> list[int]:
    """Places of contents that share a vector with another content."""
    places: dict[bytes, list[int]] = defaultdict(list)
    for number, vector in enumerate(vectors):
        places[vector.tobytes()].append(number)
    return [
        n
        for found in places.values()
        if len({batch.contents[n].data for n in found}) > 1
        for n in found
    ]
