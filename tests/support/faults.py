"""A server of the embedding API that fails as real ones do, over an encoder that is only a hash."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from google.genai import types
from tornado.web import Finish, RequestHandler

from gemb import serve
from gemb.data.items import Item, Media
from gemb.embed import embed
from gemb.encoders.base import EncoderIdentity, Failure
from gemb.encoders.gemini import Gemini
from gemb.encoders.prices import Limits
from gemb.serve import ApiError, Vectors
from gemb.store import Store

DIM = 16
KINDS = (
    "429 with hint",
    "429",
    "500",
    "503",
    "slow",
    "cut",
    "cut halfway",
    "short list",
    "wrong dimension",
    "NaN",
    "duplicate",
)
BAD = "[bad]"  # a text that the encoder refuses


def vector(data: bytes) -> np.ndarray:
    """What the hash encoder makes of these bytes, of length one ``[16]``."""
    seed = int.from_bytes(hashlib.sha256(data).digest()[:8], "big")
    found = np.random.default_rng(seed).standard_normal(DIM).astype(np.float32)
    return found / np.linalg.norm(found)


class HashEncoder:
    """Every content another vector, whatever it is; refuses texts that say they are bad."""

    name, revision, dim = "hash", "1", DIM
    modalities, views = ("image", "audio", "text"), ("whole",)

    def identity(self, view: str = "whole") -> EncoderIdentity:
        return EncoderIdentity(self.name, self.revision, self.dim, "1", view)

    def encode(self, items: Sequence[Item], view: str = "whole") -> list[np.ndarray | Failure]:
        found: list[np.ndarray | Failure] = []
        for item in items:
            data = item.media.bytes()
            bad = data.startswith(BAD.encode())
            found.append(Failure(item.id, "it is bad") if bad else vector(data)[None])
        return found


class Faults:
    """A hook of the server that lets a share of all batches fail, and counts what it is asked.

    Whether and how a batch fails is drawn from its content, so that it does not depend on the
    order in which requests arrive; the same batch fails twice at most.

    Args:
        rate: Share of requests that fail.
        kinds: In which ways.
        largest: Contents that a batch may have.
        slow: Seconds that a slow answer takes.
        late: Seconds that any answer may take, drawn too: answers overtake each other.
    """

    def __init__(
        self,
        rate: float = 0.0,
        kinds: Sequence[str] = KINDS,
        *,
        largest: int = 100,
        slow: float = 1.0,
        late: float = 0.0,
    ):
        self.rate, self.kinds, self.largest = rate, tuple(kinds), largest
        self.slow, self.late = slow, late
        self.asked: Counter[bytes] = Counter()  # times that each batch was asked for
        self.sizes: list[int] = []  # of the batches asked for
        self.drawn: Counter[str] = Counter()
        self.answered: Counter[bytes] = Counter()  # contents whose vectors were sent as they are

    async def __call__(
        self,
        handler: RequestHandler,
        items: Sequence[Item],
        make: Callable[[Sequence[Item]], Awaitable[Vectors]],
    ) -> Vectors:
        self.sizes.append(len(items))
        if len(items) > self.largest:
            raise ApiError(400, f"at most {self.largest} requests can be in one batch")
        batch = b"|".join(i.media.bytes() for i in items)
        self.asked[batch] += 1
        draw = random.Random(f"{batch!r} {self.asked[batch]}")
        fails = draw.random() < self.rate and self.asked[batch] <= 2
        kind = draw.choice(self.kinds) if fails else ""
        self.drawn[kind] += 1
        await asyncio.sleep(self.late * draw.random())
        match kind:
            case "429 with hint":
                raise ApiError(429, "Slow down.", [retry_info(0.05)])
            case "429" | "500" | "503":
                raise ApiError(int(kind), "Try again.")
            case "slow":
                await asyncio.sleep(self.slow)
            case "cut" | "cut halfway":
                stream = handler.detach()
                if kind == "cut halfway":
                    await stream.write(b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"emb')
                stream.close()
                raise Finish
        vectors = await make(items)
        match kind:
            case "short list":
                vectors = vectors[:-1]
            case "wrong dimension":
                vectors = [[*v, 0.0] for v in vectors]
            case "NaN":
                vectors[-1][0] = float("nan")
            case "duplicate":
                vectors[-1] = vectors[0]
            case _:
                self.answered.update(i.media.bytes() for i in items)
        return vectors


def retry_info(seconds: float) -> dict[str, str]:
    return {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{seconds}s"}


def quota_failure(quota: str) -> dict[str, object]:
    return {
        "@type": "type.googleapis.com/google.rpc.QuotaFailure",
        "violations": [{"quotaId": quota}],
    }


@contextmanager
def server(hook: serve.Hook | None = None, **options) -> Iterator[str]:
    with serve.running(HashEncoder(), models=("gemini-embedding-2",), hook=hook, **options) as url:
        yield url


def quick(**options) -> Gemini:
    """The Gemini encoder, without limits and in a hurry."""
    return Gemini(
        f"gemini-embedding-2:{DIM}",
        **{
            "limits": Limits(requests_per_minute=1e6, tokens_per_minute=1e9),
            "retry": types.HttpRetryOptions(
                attempts=8, initial_delay=0.01, max_delay=0.05, jitter=0.01
            ),
            "timeout": 1.5,
            **options,
        },
    )


def texts(stop: int, start: int = 0, bad: Sequence[int] = ()) -> list[Item]:
    """Items from ``start``, each with another text; those numbered in ``bad`` are refused."""
    return [
        Item(f"text/{n}", "text", Media.from_text(f"{BAD if n in bad else ''} number {n}"), "")
        for n in range(start, stop)
    ]


def embed_texts(folder: Path, url: str, span: tuple[int, int]) -> None:
    """For a process of its own, to be killed."""
    os.environ["GOOGLE_GEMINI_BASE_URL"] = url
    embed(texts(*span), quick(), Store(folder))
