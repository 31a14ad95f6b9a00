"""``gemb serve`` by Google's own client, and by hand."""

import base64
import json
import re
import socket
import subprocess
import sys
import urllib.error
import urllib.request

import numpy as np
import pytest
from faults import DIM, HashEncoder, server, vector
from google import genai
from google.genai import errors, types
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gemb import serve
from gemb.data.items import Item, Media
from gemb.encoders.minilm import MiniLM
from gemb.errors import UserError


@pytest.fixture(scope="module")
def url():
    with server() as found:
        yield found


def post(address, body, **headers):
    """Status and JSON of the answer."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(address, data, {"x-goog-api-key": "k", **headers})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def text(words, **more):
    return {"content": {"parts": [{"text": words}]}, **more}


def inline(data, mime_type="image/png", camel=True):
    names = ("inlineData", "mimeType") if camel else ("inline_data", "mime_type")
    part = {names[0]: {"data": data, names[1]: mime_type}}
    return {"content": {"parts": [part], "role": "user"}}


def asked(url, key="any", **what):
    """By Google's client."""
    options = types.HttpOptions(base_url=url)
    with genai.Client(api_key=key, vertexai=False, http_options=options) as client:
        return client.models.embed_content(**what)


def test_googles_client_gets_the_encoders_vectors(url):
    contents = [
        types.Content(parts=[types.Part.from_text(text="one")]),
        types.Content(parts=[types.Part.from_bytes(data=b"\xfb\xff\x00", mime_type="audio/wav")]),
    ]
    found = asked(
        url,
        model="hash",
        contents=contents,
        config=types.EmbedContentConfig(output_dimensionality=DIM),
    )
    expected = [vector(b"one"), vector(b"\xfb\xff\x00")]
    np.testing.assert_allclose([e.values for e in found.embeddings], expected, atol=1e-6)


def test_an_encoder_of_ours_gives_the_same_vectors_through_it():
    words = ["a red bird", "the sea at night"]
    items = [Item(w, "text", Media.from_text(w), "") for w in words]
    direct = np.concatenate(MiniLM().encode(items))
    with serve.running(MiniLM()) as url:
        contents = [types.Content(parts=[types.Part.from_text(text=w)]) for w in words]
        found = asked(url, model="minilm", contents=contents)
        part = types.Part.from_bytes(data=b"x", mime_type="image/png")
        with pytest.raises(errors.ClientError, match="minilm does not take image"):
            asked(url, model="minilm", contents=[types.Content(parts=[part])])
    np.testing.assert_allclose([e.values for e in found.embeddings], direct, atol=1e-5)


@pytest.mark.parametrize("version", ["v1", "v1beta"])
@pytest.mark.parametrize("camel", [True, False])
def test_both_versions_methods_and_spellings(url, version, camel):
    data = base64.b64encode(b"\xfb\xff\x00").decode()
    urlsafe = base64.urlsafe_b64encode(b"\xfb\xff\x00").decode().rstrip("=")
    for written in (data, urlsafe):
        body = inline(written, camel=camel) | {
            "outputDimensionality" if camel else "output_dimensionality": DIM
        }
        status, one = post(f"{url}/{version}/models/hash:embedContent", body)
        assert status == 200
        np.testing.assert_allclose(one["embedding"]["values"], vector(b"\xfb\xff\x00"), atol=1e-6)
        batch = {"requests": [body, text("x")]}
        status, two = post(f"{url}/{version}/models/gemini-embedding-2:batchEmbedContents", batch)
        assert status == 200 and two["embeddings"][0] == one["embedding"]
        assert len(two["embeddings"]) == 2


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "Invalid JSON"),
        (b"[" * 100_000, "Invalid JSON"),
        ({"requests": []}, "at most 100"),
        ({"requests": [text("x")] * 101}, "at most 100"),
        ({"requests": [text("x", outputDimensionality=8)]}, "hash gives 16"),
        ({"requests": [text("x"), {"content": {"parts": []}}]}, r"requests\[1\]: 0 parts"),
        ({"requests": [{"content": {"parts": [{"text": "a"}, {"text": "b"}]}}]}, "2 parts"),
        ({"requests": [{"content": {"parts": [{}]}}]}, "neither text nor inline data"),
        (b'{"requests": [{"content": {"parts": [{"text": "\\ud800"}]}}]}', "surrogates"),
        ({"requests": [inline("*")]}, "Base64"),
        ({"requests": [inline("AAAA", "video/mp4")]}, "Unsupported MIME type: video/mp4"),
        ({"requests": [text("fine"), text("[bad]")]}, r"Unable to process input: it is bad"),
        ({"requests": [inline("A" * 20_000_000)]}, "payload size exceeds the limit: 20000000"),
    ],
)
def test_what_is_wrong_is_said_as_google_says_it(url, body, said):
    status, answer = post(f"{url}/v1beta/models/hash:batchEmbedContents", body)
    assert (status, answer["error"]["code"]) == (400, 400)
    assert answer["error"]["status"] == "INVALID_ARGUMENT"
    assert re.search(said, answer["error"]["message"])


def test_a_medium_is_limited_when_decoded(url, monkeypatch):
    monkeypatch.setattr(serve, "MAX_DECODED", 10)
    body = {"requests": [inline(base64.b64encode(b"x" * 11).decode())]}
    status, answer = post(f"{url}/v1/models/hash:batchEmbedContents", body)
    assert status == 400 and "11 bytes exceed the limit of 10" in answer["error"]["message"]


def test_a_body_beyond_all_bounds_is_cut_off(url):
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(
            b"POST /v1/models/hash:embedContent HTTP/1.1\r\nHost: x\r\n"
            b"Content-Length: 99000000000\r\n\r\n"
        )
        assert b"400" in connection.recv(100) and connection.recv(100) == b""


def test_an_unknown_model_or_address_is_not_found(url):
    status, answer = post(f"{url}/v1/models/other:embedContent", text("x"))
    assert status == 404 and answer["error"]["status"] == "NOT_FOUND"
    assert "here is: hash, gemini-embedding-2" in answer["error"]["message"]
    for path in ("/", "/v1/models/hash:generateContent", "/v2/models/hash:embedContent"):
        status, answer = post(url + path, text("x"))
        assert status == 404 and answer["error"]["status"] == "NOT_FOUND"


def test_a_key_is_wanted_only_if_asked_for():
    with server(key="right") as url:
        address = f"{url}/v1/models/hash:embedContent"
        assert post(address, text("x"), **{"x-goog-api-key": "right"})[0] == 200
        assert post(f"{address}?key=right", text("x"), **{"x-goog-api-key": ""})[0] == 200
        status, answer = post(address, text("x"), **{"x-goog-api-key": ""})
        assert status == 403 and answer["error"]["status"] == "PERMISSION_DENIED"
        with pytest.raises(errors.ClientError, match="API key not valid") as error:
            asked(url, "wrong", model="hash", contents="x")
        assert error.value.code == 400


def test_an_encoder_that_breaks_gives_no_traceback_away():
    class Broken(HashEncoder):
        def encode(self, items, view="whole"):
            raise ZeroDivisionError("a secret of the inside")

    class Absent(HashEncoder):
        def encode(self, items, view="whole"):
            raise UserError("its weights cannot be fetched")

    for encoder, said in ((Broken(), "Internal Server Error"), (Absent(), "cannot be fetched")):
        with serve.running(encoder) as url:
            status, answer = post(f"{url}/v1/models/hash:embedContent", text("x"))
        assert status == 500 and answer["error"]["status"] == "INTERNAL"
        assert said in answer["error"]["message"] and "secret" not in json.dumps(answer)


def test_only_this_machine_can_reach_it_and_a_port_that_is_taken_is_said(url):
    host, port = url.removeprefix("http://").split(":")
    assert host == "127.0.0.1"
    with (
        pytest.raises(UserError, match="choose another --port"),
        serve.running(HashEncoder(), port=int(port)),
    ):
        pass


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["requests", "content", "parts", "text", "inlineData", "data", "x"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(body=_json)
def test_no_body_makes_it_fail(url, body):
    for method in ("embedContent", "batchEmbedContents"):
        status, answer = post(f"{url}/v1/models/hash:{method}", body)
        assert status in (200, 400) and ("error" in answer) == (status == 400)


@pytest.mark.slow
def test_the_command_serves_until_ctrl_c():
    command = "from gemb.cli import main; main()"
    with subprocess.Popen(
        [sys.executable, "-c", command, "serve", "--encoder", "minilm", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    ) as process:
        first = process.stdout.readline()
        assert "minilm at http://127.0.0.1:" in first and "384 dimensions" in first
        url = first.split(" at ")[1].split(",")[0]
        status, answer = post(f"{url}/v1/models/minilm:embedContent", text("a bird"))
        assert status == 200 and len(answer["embedding"]["values"]) == 384
        process.send_signal(2)
        assert process.wait(30) == 0 and "ended" in process.stdout.read()
