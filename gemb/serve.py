"""A server on the Gemini embedding API's wire format, over any encoder of ours.

Google's own client, pointed at it by base URL, gets vectors without a key and without a network.
The vectors are the encoder's, scaled to length one as Gemini's are; they are not Gemini's.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import json
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from gemb.data.items import Item, Media
from gemb.encoders.base import Encoder, Failure
from gemb.errors import UserError
from gemb.tasks import Modality

HOST, PORT = "127.0.0.1", 8808
KEY = "GEMB_SERVE_KEY"

MAX_BODY = 20_000_000  # bytes of a request, as at Google
MAX_DECODED = 15_000_000  # bytes of one medium
MAX_CONTENTS = 100  # of a batch
MAX_WAITING = 32  # requests
READ_SECONDS, ENCODE_SECONDS = 60.0, 300.0

# Google's names of the errors that are given here.
_STATUS = {
    400: "INVALID_ARGUMENT",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


class ApiError(Exception):
    """Answered in Google's form: code, message, status and details."""

    def __init__(self, code: int, message: str, details: Sequence[dict[str, Any]] = ()):
        super().__init__(message)
        self.body: dict[str, Any] = {
            "code": code,
            "message": message,
            "status": _STATUS.get(code, "UNKNOWN"),
        }
        if details:
            self.body["details"] = list(details)


Vectors = list[list[float]]
# What tests put around the making of an answer, to have the server fail: it is given the handler,
# the items and what makes their vectors, and may wait, raise an ApiError, cut the connection, or
# give other vectors.
Hook = Callable[
    [RequestHandler, Sequence[Item], Callable[[Sequence[Item]], Awaitable[Vectors]]],
    Awaitable[Vectors],
]


class _Embed(RequestHandler):
    """``POST /<version>/models/<model>:embedContent`` and ``:batchEmbedContents``."""

    def initialize(
        self,
        encoder: Encoder,
        models: Sequence[str],
        key: str | None,
        hook: Hook | None,
        pool: ThreadPoolExecutor,
        waiting: set[RequestHandler],
    ) -> None:
        self._encoder, self._models, self._secret = encoder, models, key
        self._hook, self._pool, self._waiting = hook, pool, waiting

    async def post(self, model: str, method: str) -> None:
        try:
            if len(self._waiting) >= MAX_WAITING:
                raise ApiError(503, "Too many requests are waiting. Try again later.")
            self._waiting.add(self)
            self._check_key()
            if model not in self._models:
                raise ApiError(
                    404, f"models/{model} is not found; here is: {', '.join(self._models)}"
                )
            items = self._items(method == "batchEmbedContents")
            if self._hook:
                vectors = await self._hook(self, items, self._vectors)
            else:
                vectors = await self._vectors(items)
        except ApiError as error:
            self.set_status(error.body["code"])
            self.finish({"error": error.body})
            return
        finally:
            self._waiting.discard(self)
        found = [{"values": v} for v in vectors]
        self.finish(
            {"embeddings": found} if method.startswith("batch") else {"embedding": found[0]}
        )

    def write_error(self, status_code: int, **_: Any) -> None:
        """Whatever else goes wrong, without its traceback."""
        self.finish({"error": ApiError(status_code, self._reason).body})

    def _check_key(self) -> None:
        if self._secret is None:
            return
        given = self.request.headers.get("x-goog-api-key") or self.get_query_argument("key", "")
        if not given:
            raise ApiError(403, "This server wants a key, in the header x-goog-api-key.")
        if not hmac.compare_digest(given.encode(), self._secret.encode()):
            reason = {"@type": "type.googleapis.com/google.rpc.ErrorInfo"}
            raise ApiError(
                400,
                "API key not valid. Please pass a valid API key.",
                [reason | {"reason": "API_KEY_INVALID", "domain": "gemb"}],
            )

    def _items(self, batch: bool) -> list[Item]:
        """What is to be embedded, checked."""
        if len(self.request.body) > MAX_BODY:
            raise ApiError(400, f"Request payload size exceeds the limit: {MAX_BODY} bytes.")
        try:
            body = json.loads(self.request.body)
            requests = body["requests"] if batch else [body]
            if not requests or len(requests) > MAX_CONTENTS:
                raise ApiError(
                    400, f"{len(requests)} requests in one batch; at most {MAX_CONTENTS} can be."
                )
            return [self._item(n, request) for n, request in enumerate(requests)]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ApiError(400, f"Invalid JSON payload: {type(error).__name__}: {error}") from None

    def _item(self, number: int, request: dict[str, Any]) -> Item:
        name = f"requests[{number}]"
        dim = _either(request, "outputDimensionality", "output_dimensionality")
        if dim is None:  # Google's documentation has it in a config, too
            config = _either(request, "embedContentConfig", "embed_content_config") or {}
            dim = _either(config, "outputDimensionality", "output_dimensionality")
        if dim not in (None, self._encoder.dim):
            raise ApiError(
                400,
                f"{name}: output_dimensionality {dim} is not to be had: {self._encoder.name} gives "
                f"{self._encoder.dim}.",
            )
        parts = request["content"]["parts"]
        if len(parts) != 1:
            raise ApiError(400, f"{name}: {len(parts)} parts; a content has one here.")
        (part,) = parts
        if "text" in part:
            written: bytes = part["text"].encode()
            return self._known(Item(name, "text", Media(lambda: written, "txt"), ""))
        inline = _either(part, "inlineData", "inline_data")
        if inline is None:
            raise ApiError(400, f"{name}: neither text nor inline data.")
        mime_type = str(_either(inline, "mimeType", "mime_type"))
        try:
            # either alphabet and no padding are fine, as in all of Google's JSON
            text = str(inline["data"]).replace("-", "+").replace("_", "/").rstrip("=")
            data = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
        except binascii.Error as error:
            raise ApiError(400, f"{name}: Base64 decoding failed: {error}.") from None
        if len(data) > MAX_DECODED:
            raise ApiError(400, f"{name}: {len(data)} bytes exceed the limit of {MAX_DECODED}.")
        kind, _, suffix = mime_type.partition("/")
        if kind not in ("image", "audio"):
            raise ApiError(400, f"{name}: Unsupported MIME type: {mime_type}.")
        modality: Modality = "image" if kind == "image" else "audio"
        return self._known(Item(name, modality, Media(lambda: data, suffix), ""))

    def _known(self, item: Item) -> Item:
        if item.modality not in self._encoder.modalities:
            raise ApiError(400, f"{item.id}: {self._encoder.name} does not take {item.modality}.")
        return item

    async def _vectors(self, items: Sequence[Item]) -> Vectors:
        work = asyncio.get_running_loop().run_in_executor(
            self._pool, partial(self._encoder.encode, items)
        )
        try:
            found = await asyncio.wait_for(work, ENCODE_SECONDS)
        except TimeoutError:
            raise ApiError(504, f"Embedding took over {ENCODE_SECONDS:.0f} s.") from None
        except UserError as error:  # the encoder's weights cannot be fetched, say
            raise ApiError(500, str(error)) from None
        rows = []
        for result in found:
            if isinstance(result, Failure):
                raise ApiError(400, f"Unable to process input: {result.reason}")
            rows.append((result[0] / np.maximum(np.linalg.norm(result[0]), 1e-12)).tolist())
        return rows


def _either(given: dict[str, Any], camel: str, snake: str) -> Any:
    """A field by either of its names; clients send both kinds."""
    return given.get(camel, given.get(snake))


@contextmanager
def running(
    encoder: Encoder,
    *,
    host: str = HOST,
    port: int = 0,
    models: Sequence[str] = (),
    key: str | None = None,
    hook: Hook | None = None,
) -> Iterator[str]:
    """A server in a thread of its own, as long as the context lasts; gives its base URL.

    Requests are taken side by side and encoded one after the other.

    Args:
        encoder: Makes the vectors, of the view ``whole``.
        host: To listen on; by default this machine alone can reach it.
        port: 0 takes any that is free.
        models: Model ids to answer to, besides the encoder's name.
        key: What clients must send, if any.
        hook: For tests.

    Raises:
        UserError: The port is taken, or the address is not this machine's.
    """
    try:
        sockets = bind_sockets(port, host)
    except OSError as error:
        raise UserError(
            f"cannot listen on {host}:{port} ({error.strerror}): choose another --port"
        ) from None
    started, ended = threading.Event(), asyncio.Event()
    pool = ThreadPoolExecutor(1)
    application = Application(
        [
            (
                r"/(?:v1|v1beta)/models/([^/:]+):(embedContent|batchEmbedContents)",
                _Embed,
                {
                    "encoder": encoder,
                    "models": (encoder.name, *models),
                    "key": key,
                    "hook": hook,
                    "pool": pool,
                    "waiting": set(),
                },
            )
        ],
        default_handler_class=_NotFound,
        log_function=lambda _: None,  # an address may hold a key
    )
    loop = asyncio.new_event_loop()

    async def main() -> None:
        server = HTTPServer(
            application,
            # The body is read and then refused politely up to twice the limit.
            max_body_size=2 * MAX_BODY,
            max_buffer_size=2 * MAX_BODY,
            body_timeout=READ_SECONDS,
            idle_connection_timeout=READ_SECONDS,
        )
        server.add_sockets(sockets)
        started.set()
        await ended.wait()
        server.stop()
        await server.close_all_connections()

    thread = threading.Thread(target=loop.run_until_complete, args=(main(),), daemon=True)
    thread.start()
    started.wait()
    address, chosen = sockets[0].getsockname()[:2]
    try:
        yield f"http://{f'[{address}]' if ':' in address else address}:{chosen}"
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()
        pool.shutdown(wait=False, cancel_futures=True)
        loop.close()


class _NotFound(RequestHandler):
    """Any other address."""

    def prepare(self) -> None:
        self.set_status(404)
        self.finish({"error": ApiError(404, "Not found: see the embedding methods.").body})
