"""The client against a server on this machine that answers as OpenAI's embeddings do."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from gemb import encoders
from gemb.data.items import Item, Media
from gemb.encoders import Failure, openai_compatible
from gemb.encoders.openai_compatible import ServerError
from gemb.errors import UserError

KEY = "sk-very-secret"


def vector(text):
    return [float(len(text)), float(text.count("e")), 1.0]


class Server(ThreadingHTTPServer):
    """Answers rightly, after the faults that ``faults`` holds, one a request."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.faults, self.seen = [], []

    @property
    def spec(self):
        return f"openai-compatible:http://127.0.0.1:{self.server_address[1]}/v1#tiny"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *args):
        pass

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append((self.path, self.headers.get("Authorization"), asked))
        data = [{"index": n, "embedding": vector(t)} for n, t in enumerate(asked["input"])]
        status, body = 200, {"data": data[::-1]}  # the index says which is whose
        if "too long" in asked["input"]:
            status, body = 400, {"error": {"message": "too many tokens"}}
        elif self.server.faults:
            status, body = self.server.faults.pop(0)(data)
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        if status == 302:
            self.send_header("Location", "http://127.0.0.1:1/elsewhere")
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.delenv(openai_compatible.KEY, raising=False)
    running = Server()
    threading.Thread(target=running.serve_forever, args=(0.05,), daemon=True).start()
    yield running
    running.shutdown()
    running.server_close()


def text(name, content):
    return Item(name, "text", Media.from_text(content), "")


def test_each_text_gets_its_own_vector_and_what_is_no_text_is_named(server):
    encoder = encoders.load(server.spec)
    items = [
        text("a", "the sea"),
        text("b", "  "),
        Item("c", "image", Media(lambda: b"", "png"), ""),
        text("d", "tree"),
    ]
    a, b, c, d = encoder.encode(items)
    assert encoder.dim == 3 and a.dtype == np.float32
    assert a.tolist() == [vector("the sea")] and d.tolist() == [vector("tree")]
    assert b == Failure("b", "b: the text is empty")
    assert isinstance(c, Failure) and "reads text, not image" in c.reason
    path, key, asked = server.seen[-1]
    assert path == "/v1/embeddings" and asked["model"] == "tiny" and key is None


def test_one_text_that_is_refused_does_not_take_the_others_along(server):
    encoder = encoders.load(server.spec)
    contents = ["one", "two", "too long", "four", "five"]
    found = encoder.encode([text(c, c) for c in contents])
    for content, row in zip(contents, found, strict=True):
        if content == "too long":
            assert isinstance(row, Failure) and "too many tokens" in row.reason
        else:
            assert row.tolist() == [vector(content)]


def test_a_busy_server_is_asked_again(server):
    encoder = encoders.load(server.spec)
    assert encoder.dim == 3
    server.faults = [lambda data: (503, {"error": "busy"})]
    assert encoder.encode([text("a", "tree")])[0].tolist() == [vector("tree")]
    assert len(server.seen) == 3


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (lambda data: (401, {"error": f"bad key {KEY}"}), "set OPENAI_API_KEY"),
        (lambda data: (404, {"error": "no such model"}), "is 'tiny' a model of it"),
        (lambda data: (302, {}), "HTTP 302"),
        (lambda data: (200, {"data": data[1:]}), "1 vectors for 2 texts"),
        (lambda data: (200, {"data": [data[0], data[0]]}), "2 vectors for 2 texts"),
        (lambda data: (200, {"vectors": []}), "not OpenAI's form"),
        (lambda data: (200, {"data": [d | {"embedding": [float("nan")]} for d in data]}), "NaN"),
        (lambda data: (200, {"data": [d | {"embedding": [1.0]} for d in data]}), "then of others"),
    ],
)
def test_what_is_wrong_with_all_stops_at_once_and_never_shows_the_key(
    server, monkeypatch, fault, said
):
    monkeypatch.setenv(openai_compatible.KEY, KEY)
    encoder = encoders.load(server.spec)
    assert encoder.dim == 3
    server.faults = [fault]
    with pytest.raises(ServerError, match=said) as raised:
        encoder.encode([text("a", "tree"), text("b", "sea")])
    assert KEY not in str(raised.value)
    assert len(server.seen) == 2 and server.seen[-1][1] == f"Bearer {KEY}"


def test_addresses_and_keys_that_will_not_do_are_refused(monkeypatch):
    monkeypatch.setenv(openai_compatible.KEY, KEY)
    for spec in ("localhost#m", "http://localhost:1/v1", "http://me:pw@localhost/v1#m"):
        with pytest.raises(ServerError, match="is not <address>#<model>"):
            encoders.load(f"openai-compatible:{spec}")
    with pytest.raises(UserError, match="not sent unencrypted") as raised:
        encoders.load("openai-compatible:http://example.org/v1#m")
    assert KEY not in str(raised.value)


def test_a_key_that_no_header_can_carry_is_refused_and_not_shown(server, monkeypatch):
    monkeypatch.setenv(openai_compatible.KEY, f"{KEY}\nanother line")
    with pytest.raises(UserError, match="OPENAI_API_KEY holds") as raised:
        encoders.load(server.spec).encode([text("a", "tree")])
    assert "secret" not in str(raised.value)
    monkeypatch.setenv(openai_compatible.KEY, f"{KEY}\n")  # as a file gives it
    encoders.load(server.spec).encode([text("a", "tree")])
    assert server.seen[-1][1] == f"Bearer {KEY}"


def test_a_server_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr(openai_compatible, "ATTEMPTS", 1)
    encoder = encoders.load("openai-compatible:http://127.0.0.1:1/v1#m")
    with pytest.raises(ServerError, match=r"127\.0\.0\.1:1/v1: no answer"):
        encoder.identity()
