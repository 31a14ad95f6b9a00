"""The Gemini encoder by Google's own client, against a server that speaks its wire format."""

import asyncio
import io
import os
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile as sf
from faults import DIM, KINDS, Faults, quick, quota_failure, retry_info, server, texts, vector
from PIL import Image

from gemb import encoders
from gemb.data.items import Item, Media
from gemb.data.media import RATE, cut, decode_audio, encode_png, encode_wav
from gemb.embed import embed
from gemb.encoders.base import Concurrent, Encoder, Failure, Paid, price_of
from gemb.encoders.gemini import Gemini, GeminiError
from gemb.encoders.prices import Amount, Limits, dollars
from gemb.errors import UnknownName, UserError
from gemb.serve import ApiError
from gemb.store import Store


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """No key and no address but those that a test sets."""
    for name in ("GOOGLE_API_KEY", "GEMINI_API_KEY", "GOOGLE_GEMINI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def served(monkeypatch):
    """Starts a server with a hook, and lets Google's client find it."""
    started = []

    def start(hook=None, **options):
        context = server(hook, **options)
        monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", context.__enter__())
        started.append(context)
        return hook

    yield start
    for context in started:
        context.__exit__(None, None, None)


def refusing(code, message, *details):
    """A hook that refuses everything, and counts how often."""

    async def hook(handler, items, make):
        hook.asked += 1
        raise ApiError(code, message, details)

    hook.asked = 0
    return hook


def picture(format="PNG"):
    pixels = np.random.default_rng(0).integers(0, 256, (16, 20, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format=format)
    return buffer.getvalue()


def tone(seconds, format="WAV", subtype=None):
    samples = np.sin(np.arange(round(seconds * RATE)) / 7).astype(np.float32) / 2
    buffer = io.BytesIO()
    sf.write(buffer, samples, RATE, format=format, subtype=subtype)
    return buffer.getvalue()


def medium(modality, data, suffix=""):
    return Item(f"{modality}/{suffix}", modality, Media(lambda: data, suffix), "")


def check(items, found):
    """Every vector is its own item's."""
    for item, rows in zip(items, found, strict=True):
        np.testing.assert_allclose(rows, vector(item.media.bytes())[None], atol=1e-6)


def test_one_content_an_item_and_every_vector_its_own(served):
    hook = served(Faults(late=0.05))
    items = texts(150)
    encoder = quick()
    check(items, encoder.encode(items))
    assert sum(hook.sizes) == 150 and max(hook.sizes) == 32
    assert set(hook.answered.values()) == {1}
    for protocol in (Encoder, Concurrent, Paid):
        assert isinstance(encoder, protocol)


@pytest.mark.parametrize(
    ("item", "sent"),
    [
        (medium("image", picture("PNG"), "png"), None),
        (medium("image", picture("JPEG"), "jpg"), None),
        (medium("audio", tone(0.5), "wav"), None),
        (medium("audio", tone(0.5, "MP3"), "mp3"), None),
        (
            medium("image", picture("BMP"), "bmp"),
            encode_png(Image.open(io.BytesIO(picture("BMP"))).convert("RGB")),
        ),
        (
            medium("audio", tone(0.5, "FLAC"), "flac"),
            encode_wav(decode_audio(tone(0.5, "FLAC"), suffix="flac", name="x")),
        ),
        (
            medium("audio", tone(0.5, "WAV", "FLOAT"), "wav"),
            encode_wav(decode_audio(tone(0.5, "WAV", "FLOAT"), suffix="wav", name="x")),
        ),
    ],
    ids=lambda value: value.id if isinstance(value, Item) else "",
)
def test_media_are_sent_as_they_are_or_converted_and_always_alike(served, item, sent):
    hook = served(Faults())
    for _ in range(2):
        (rows,) = quick().encode([item])
        np.testing.assert_allclose(rows[0], vector(sent or item.media.bytes()), atol=1e-6)
    assert list(hook.answered) == [sent or item.media.bytes()]


def test_a_picture_too_large_for_a_request_is_named_and_not_sent(served):
    hook = served(Faults())
    noise = np.random.default_rng(0).integers(0, 256, (2200, 2200, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, format="PNG", compress_level=0)
    large, small = medium("image", buffer.getvalue(), "large"), medium("image", picture(), "small")
    failure, rows = quick().encode([large, small])
    assert "image/large: the picture has 15 MB" in failure.reason
    np.testing.assert_allclose(rows[0], vector(small.media.bytes()), atol=1e-6)
    assert list(hook.answered) == [small.media.bytes()]


def test_chunks_are_contents_of_their_own(served):
    served(Faults(largest=4))
    data = tone(7.3)
    short, long = medium("audio", tone(0.4), "a"), medium("audio", data, "b")
    one, many = quick().encode([short, long], "chunks:1")
    assert one.shape == (1, DIM) and many.shape == (8, DIM)
    pieces = cut(decode_audio(data, suffix="wav", name="x"), 1.0)
    for row, piece in zip(many, pieces, strict=True):
        np.testing.assert_allclose(row, vector(encode_wav(piece)), atol=1e-6)


def test_an_item_that_cannot_be_sent_is_named_and_costs_nothing(served):
    hook = served(Faults())
    items = [
        medium("audio", tone(200.0, "FLAC"), "long"),
        medium("audio", b"", "empty"),
        medium("image", b"no image", "png"),
        medium("text", b"  ", "blank"),
        Item("away", "image", Media.absent("k", "only its vector is here"), ""),
        *texts(2),
    ]
    found = quick().encode(items)
    check(items[5:], found[5:])
    assert [isinstance(f, Failure) for f in found] == [True] * 5 + [False] * 2
    for item, failure in zip(items[:5], found, strict=False):
        assert failure.item_id == item.id and item.id in failure.reason
    assert "200 s long" in found[0].reason and "chunks" in found[0].reason
    assert hook.sizes == [2]
    (failure,) = quick().encode(items[-1:], "chunks:1")
    assert "text has no chunks" in failure.reason


def test_a_bad_item_is_found_by_halving_and_the_others_go_on(served):
    served(Faults())
    items = texts(70, bad=[0, 33, 34])
    found = quick().encode(items)
    failures = [f for f in found if isinstance(f, Failure)]
    assert [f.item_id for f in failures] == ["text/0", "text/33", "text/34"]
    assert all("it is bad" in f.reason and f.item_id in f.reason for f in failures)
    good = [n for n, f in enumerate(found) if not isinstance(f, Failure)]
    check([items[n] for n in good], [found[n] for n in good])


def test_a_batch_that_is_too_large_is_halved_and_the_size_remembered(served):
    hook = served(Faults(largest=6))
    items = texts(200)
    check(items, quick(concurrency=1).encode(items))
    assert set(hook.answered.values()) == {1}
    assert hook.sizes[:4] == [32, 16, 8, 4]
    assert sum(s > 6 for s in hook.sizes) < 8


@pytest.mark.parametrize("kind", KINDS)
def test_each_fault_ends_with_every_vector_right(served, kind):
    hook = served(Faults(0.5, [kind], slow=0.6))
    items = texts(60)
    encoder = quick(limits=Limits(requests_per_minute=100_000, tokens_per_minute=1e9), timeout=0.5)
    check(
        items,
        encoder.encode(items[:20]) + encoder.encode(items[20:40]) + encoder.encode(items[40:]),
    )
    assert hook.drawn[kind] >= 1


@pytest.mark.parametrize(
    ("hook", "said"),
    [
        (refusing(400, "API key not valid. Please pass a valid API key."), "check the key"),
        (refusing(403, "Your API key was reported as leaked."), "aistudio.google.com"),
        (refusing(404, "models/gemini-embedding-3 is not found"), "gemini:<model>"),
        (refusing(400, "output_dimensionality 16 is not to be had"), "gemini:<model>:<dimension>"),
        (refusing(429, "Spent.", quota_failure("RequestsPerDayPerProject")), "PerDay"),
        (refusing(429, "Spent.", retry_info(3600)), "quota is spent"),
    ],
    ids=["wrong key", "blocked key", "model", "dimension", "quota a day", "hint of an hour"],
)
def test_what_concerns_every_item_stops_at_once_with_the_remedy(served, tmp_path, hook, said):
    served(hook)
    started = time.perf_counter()
    store = Store(tmp_path)
    with pytest.raises(GeminiError, match=said):
        embed(texts(500), quick(), store)
    assert hook.asked <= 4 and time.perf_counter() - started < 10
    assert store.count(quick().identity()) == 0


def test_an_outage_ends_after_some_attempts(served):
    hook = refusing(503, "The model is overloaded.")
    served(hook)
    with pytest.raises(GeminiError, match="run it again later"):
        quick().encode(texts(3))
    assert hook.asked == 8
    os.environ["GOOGLE_GEMINI_BASE_URL"] = "http://127.0.0.1:9"
    with pytest.raises(GeminiError, match=r"no answer from http://127.0.0.1:9 after 8 attempts"):
        quick().encode(texts(3))


def test_a_response_that_stays_wrong_is_never_stored(served, tmp_path):
    async def hook(handler, items, make):
        hook.asked += 1
        return (await make(items))[1:]

    hook.asked = 0
    served(hook)
    store = Store(tmp_path)
    with pytest.raises(GeminiError, match="31 vectors for 32 contents"):
        embed(texts(500), quick(), store)
    assert store.count(quick().identity()) == 0 and hook.asked <= 4 * 3


def test_equal_vectors_are_believed_only_if_each_alone_gets_them_too(served):
    async def shifted(handler, items, make):
        vectors = await make(items)
        return [vectors[0], *vectors[:-1]]

    served(shifted)
    with pytest.raises(GeminiError, match="has another item's vector"):
        quick().encode(texts(3))

    one = vector(b"one").tolist()

    async def alike(handler, items, make):
        return [one for _ in items]

    served(alike)
    for rows in quick().encode(texts(3)):
        np.testing.assert_allclose(rows, [one], atol=1e-6)


def test_the_wait_that_a_server_asks_for_is_kept_by_all_requests(served):
    times = []

    async def hook(handler, items, make):
        times.append(time.perf_counter())
        if len(times) == 1:
            raise ApiError(429, "Slow down.", [retry_info(1.0)])
        return await make(items)

    served(hook)
    quick(concurrency=1).encode(texts(70))
    assert times[1] - times[0] >= 1.0


def test_requests_are_paced(served):
    served(Faults())
    limits = Limits(requests_per_minute=6_000, tokens_per_minute=1e9)
    started = time.perf_counter()
    quick(limits=limits).encode(texts(160))
    # 32 contents at once, and the other 128 at 99.5 a second
    assert time.perf_counter() - started >= 128 / 99.5
    assert limits.minutes(Amount(contents=54_000)) == pytest.approx(10)


def test_a_content_of_more_tokens_than_come_at_once_waits_for_all_of_them(served):
    served(Faults())
    limits = Limits(requests_per_minute=1e6, tokens_per_minute=2.4e6)
    long = [Item(w, "text", Media.from_text(w * 4 * 40_000), "") for w in "ab"]
    started = time.perf_counter()
    check(long, quick(limits=limits).encode(long))
    # 8,192 tokens at once, and the other 71,808 at 39,863 a second
    assert time.perf_counter() - started >= 71_808 / 39_863


def test_a_sound_that_is_too_large_for_a_request_is_sent_in_fewer_bytes(served, monkeypatch):
    hook = served(Faults())
    samples = np.sin(np.arange(48_000) / 9)[:, None].repeat(2, 1) / 2
    buffer = io.BytesIO()
    sf.write(buffer, samples, 48_000, format="WAV")
    # the package has a function of this name, too
    monkeypatch.setattr(sys.modules["gemb.encoders.gemini.contents"], "MAX_BYTES", 100_000)
    assert len(buffer.getvalue()) > 100_000
    quick().encode([medium("audio", buffer.getvalue(), "wav")])
    expected = encode_wav(decode_audio(buffer.getvalue(), suffix="wav", name="x"))
    assert list(hook.answered) == [expected] and len(expected) < 100_000


def test_a_limit_of_dollars_stops_before_it_is_passed(served, tmp_path):
    hook = served(Faults())
    encoder, store = quick(), Store(tmp_path)
    encoder.price = lambda amount: 0.01 * amount.contents
    encoder.limits.max_dollars = 1.0
    with pytest.raises(GeminiError, match=r"would pass the limit of \$1\.00"):
        embed(texts(300), encoder, store)
    paid = sum(hook.answered.values())
    assert 0 < paid <= 100 and store.count(encoder.identity()) == paid
    assert encoder.spent == pytest.approx(0.01 * paid)
    encoder.price = lambda amount: None
    with pytest.raises(GeminiError, match="no price is known"):
        encoder.encode(texts(1))


@pytest.mark.parametrize("kind", ["slow", "cut"])
def test_an_attempt_without_an_answer_counts_as_paid(served, tmp_path, kind):
    hook = served(Faults(1.0, [kind], slow=0.6))  # each batch fails twice
    encoder = quick(concurrency=1, timeout=0.3)
    encoder.price = lambda amount: 0.01 * amount.contents
    items = texts(4)
    check(items, encoder.encode(items))
    assert encoder.spent == pytest.approx(3 * 0.04)
    encoder = quick(concurrency=1, timeout=0.3)
    encoder.price, encoder.limits.max_dollars = lambda amount: 0.01 * amount.contents, 0.1
    items = texts(8)[4:]
    with pytest.raises(GeminiError, match=r"would pass the limit of \$0\.10 \(\$0\.0800 spent\)"):
        embed(items, encoder, Store(tmp_path))
    assert hook.sizes == [4] * (3 + 2), "no third attempt"


def test_prices_are_those_of_the_list():
    ravdess = Amount(contents=1440, seconds=1440 * 4)
    assert dollars("gemini-embedding-2", ravdess) == pytest.approx(0.92, abs=0.02)
    pictures = Amount(contents=10_000, images=10_000)
    assert dollars("gemini-embedding-2", pictures) == pytest.approx(1.20, abs=0.05)
    assert dollars("gemini-embedding-001", pictures) is None
    assert Gemini("some-other-model").price(pictures) is None
    encoder = Gemini()
    assert encoder.amount(medium("audio", tone(2.0), "wav")) == Amount(contents=1, seconds=2.0)
    assert encoder.amount(medium("audio", tone(2.0), "wav"), "chunks:1").contents == 2
    sounds = [medium("audio", tone(2.0), "wav")] * 3
    assert price_of(encoder, sounds) == dollars(encoder.model, Amount(contents=3, seconds=6.0))
    assert price_of(Gemini("some-other-model"), sounds) is None
    assert price_of(encoders.load("open-concat"), sounds) == 0.0


def test_model_dimension_address_and_view_are_all_part_of_the_identity(monkeypatch):
    plain = encoders.load("gemini")
    assert (plain.model, plain.dim) == ("gemini-embedding-2", 3072)
    slugs = {
        plain.identity().slug,
        plain.identity("chunks:2").slug,
        encoders.load("gemini:gemini-embedding-2-preview").identity().slug,
        encoders.load("gemini:gemini-embedding-2:768").identity().slug,
    }
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", "http://127.0.0.1:8808/")
    slugs.add(plain.identity().slug)
    assert len(slugs) == 5
    assert plain.identity("chunks:2.0") == plain.identity("chunks:2")
    with pytest.raises(UnknownName, match="no dimension"):
        encoders.load("gemini:gemini-embedding-2:many")
    with pytest.raises(ValueError, match="no view 'frames'"):
        plain.identity("frames")


def test_without_a_key_it_is_said_where_to_get_one():
    with pytest.raises(GeminiError, match=r"GOOGLE_API_KEY or GEMINI_API_KEY.*gemb serve"):
        Gemini().encode(texts(1))


@pytest.mark.parametrize("beside", ["\nanother line", " # mine", "\u201d"])
def test_a_key_that_no_header_can_carry_is_refused_and_not_shown(served, monkeypatch, beside):
    hook = served(Faults())
    monkeypatch.setenv("GEMINI_API_KEY", f"AIza-very-secret{beside}")
    with pytest.raises(UserError, match="GEMINI_API_KEY holds") as raised:
        quick().encode(texts(1))
    assert "secret" not in str(raised.value) and not hook.sizes
    monkeypatch.setenv("GEMINI_API_KEY", " AIza-very-secret\n")
    check(texts(1), quick().encode(texts(1)))


def test_it_runs_where_an_event_loop_is_running(served):
    served(Faults())

    async def cell():
        return quick().encode(texts(3))

    check(texts(3), asyncio.run(cell()))


def test_the_key_is_in_no_file_log_or_traceback_of_failing_runs(tmp_path):
    """The server even echoes it, all loggers are at their most talkative, nothing is caught."""
    secret = "AIza-very-secret-0123456789"

    async def hook(handler, items, make):
        given = handler.request.headers["x-goog-api-key"]
        assert given == secret
        hook.asked += 1
        raise ApiError((403, 400, 503)[min(hook.asked, 3) - 1], f"The key {given} is blocked.")

    hook.asked = 0
    script = """
import logging, sys, traceback
from pathlib import Path
logging.basicConfig(level=logging.DEBUG, handlers=[
    logging.StreamHandler(), logging.FileHandler(Path(sys.argv[1], "log.txt"))])
from faults import quick, texts
from gemb.embed import embed
from gemb.store import Store
store = Store(Path(sys.argv[1], "vectors"))
for _ in range(2):
    try:
        print(embed(texts(1), quick(), store).failures)
    except Exception:
        traceback.print_exc()
embed(texts(1), quick(), store)
"""
    with server(hook) as url:
        done = subprocess.run(
            [sys.executable, "-c", script, tmp_path],
            env={
                **os.environ,
                "GEMINI_API_KEY": secret,
                "GOOGLE_GEMINI_BASE_URL": url,
                "PYTHONPATH": os.pathsep.join(sys.path),
            },
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 1 and "Traceback" in done.stderr and "(key)" in done.stderr
    assert "text/0: the API refuses it: The key (key) is blocked." in done.stdout
    assert hook.asked >= 3 and "DEBUG" in (tmp_path / "log.txt").read_text()
    written = [p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()]
    assert not any(
        secret.encode() in w for w in [*written, done.stdout.encode(), done.stderr.encode()]
    )


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("http://embeddings.example.org", "not sent unencrypted"),
        ("https://me:pw@embeddings.example.org", "user name"),
    ],
)
def test_a_key_goes_to_no_address_that_would_show_it(monkeypatch, address, said):
    monkeypatch.setenv("GEMINI_API_KEY", "AIza-secret")
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", address)
    with pytest.raises(UserError, match=said) as raised:
        quick().encode(texts(1))
    assert "secret" not in str(raised.value) and "pw" not in str(raised.value)
