"""The encoder as its callers see it: items in, vectors or failures out, in order."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from gemb import encoders
from gemb.data.fetch import FetchError
from gemb.data.items import Item, Media
from gemb.data.media import RATE, cut, encode_png, encode_wav
from gemb.encoders import open_concat
from gemb.encoders.base import Encoder, Failure
from gemb.encoders.open_concat import BLOCKS, OpenConcat

# "Turn on the kitchen light." by eSpeak NG, voice en-us.
SPEECH = Path(__file__).with_name("turn_on_the_kitchen_light.ogg")


def image(seed: int = 0, width: int = 64, height: int = 48) -> bytes:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return encode_png(Image.fromarray(coarse).resize((width, height), Image.Resampling.NEAREST))


def tone(seconds: float = 1.0, hertz: float = 440.0, rate: int = 16_000) -> np.ndarray:
    return 0.3 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal(round(seconds * 16_000))


Encode = Callable[..., list[np.ndarray]]


def an_image(data: bytes, id: str = "images/1", suffix: str = "png") -> Item:
    return Item(id, "image", Media(lambda: data, suffix), "answer")


def a_sound(data: bytes | np.ndarray, id: str = "sounds/1", suffix: str = "wav") -> Item:
    wav = encode_wav(data) if isinstance(data, np.ndarray) else data
    return Item(id, "audio", Media(lambda: wav, suffix), "answer")


@pytest.fixture(scope="module")
def encoder() -> OpenConcat:
    return OpenConcat()


@pytest.fixture(scope="module")
def encode(encoder: OpenConcat) -> Encode:
    """Encode items, none of which may fail."""

    def encode(*items: Item, view: str = "whole") -> list[np.ndarray]:
        vectors = []
        for found in encoder.encode(items, view):
            assert not isinstance(found, Failure), found.reason
            vectors.append(found)
        return vectors

    return encode


def test_it_is_in_the_registry_and_loads_nothing_yet() -> None:
    encoder = encoders.load("open-concat")
    assert isinstance(encoder, Encoder)
    identity = encoder.identity()
    assert (identity.name, identity.dim, identity.view) == ("open-concat", 2720, "whole")
    assert encoder.dim == 2720
    assert not {"image_model", "speech_model", "sound_model"} & set(vars(encoder))


def test_identities_differ_by_view_and_by_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = OpenConcat()
    views = ("whole", "chunks:1", "chunks:2", "frames")
    assert len({encoder.identity(view).slug for view in views}) == len(views)
    assert encoder.identity("chunks:2.0") == encoder.identity("chunks:2")
    assert encoder.identity("frames").dim == 416
    monkeypatch.setattr(open_concat, "PARTS", ("efficientnet-lite0", "moonshine-base"))
    assert OpenConcat().identity() != encoder.identity()


@pytest.mark.parametrize("view", ["half", "chunks", "chunks:", "chunks:x", "chunks:0",
                                  "chunks:-1", "chunks:nan", "chunks:181", "frames:1"])  # fmt: skip
def test_a_view_that_does_not_exist_is_an_error(encoder: OpenConcat, view: str) -> None:
    with pytest.raises(ValueError, match=r"there are: whole, chunks:<seconds>, frames"):
        encoder.encode([an_image(image())], view)
    with pytest.raises(ValueError, match=view):
        encoder.identity(view)


def test_blocks_cover_the_vector() -> None:
    edges = [(block.start, block.stop) for block in BLOCKS.values()]
    assert edges == [(0, 1280), (1280, 1696), (1696, 2720)]


def test_an_image_fills_its_block(encode: Encode) -> None:
    (vector,) = encode(an_image(image()))
    assert vector.shape == (1, 2720) and vector.dtype == np.float32
    assert np.linalg.norm(vector[0, BLOCKS["image"]]) == pytest.approx(1, abs=1e-5)
    assert not vector[0, 1280:].any()


def test_a_sound_fills_its_two_blocks(encode: Encode) -> None:
    (vector,) = encode(a_sound(tone()))
    assert vector.shape == (1, 2720) and vector.dtype == np.float32
    assert not vector[0, BLOCKS["image"]].any()
    assert np.linalg.norm(vector[0, BLOCKS["speech"]]) == pytest.approx(1, abs=1e-5)
    assert np.linalg.norm(vector[0, BLOCKS["sound"]]) == pytest.approx(1, abs=1e-5)


def test_vectors_do_not_depend_on_the_batch(encoder: OpenConcat) -> None:
    """Random batches of all kinds, failures among them, against one item at a time."""
    rng = np.random.default_rng(0)
    items = [
        an_image(image(seed, 20 + 9 * seed, 200 - 8 * seed), f"i/{seed}") for seed in range(11)
    ]
    items += [
        a_sound(noise(seconds, seed), f"s/{seed}")
        for seed, seconds in enumerate((0.02, 0.1, 0.5, 0.5, 0.97, 1.3, 2.0))
    ]
    items += [an_image(b"", "i/bad"), a_sound(b"", "s/bad")]
    alone = {item.id: encoder.encode([item])[0] for item in items}
    for _ in range(3):
        batch = [items[i] for i in rng.choice(len(items), size=rng.integers(3, 20))]
        for item, found in zip(batch, encoder.encode(batch), strict=True):
            expected = alone[item.id]
            if isinstance(expected, Failure):
                assert found == expected
            else:
                assert isinstance(found, np.ndarray)
                np.testing.assert_allclose(found, expected, atol=1e-5, rtol=0)


def test_nothing_in_nothing_out(encoder: OpenConcat) -> None:
    assert encoder.encode([]) == []


def test_chunks_are_encoded_as_wholes(encode: Encode) -> None:
    samples = np.concatenate([noise(1, 1), noise(1, 2), noise(0.4, 3)])
    (chunks,) = encode(a_sound(samples), view="chunks:1")
    pieces = encode(*(a_sound(samples[a : a + 16_000]) for a in (0, 16_000, 32_000)))
    assert chunks.shape == (3, 2720)
    np.testing.assert_allclose(chunks, np.concatenate(pieces), atol=1e-5, rtol=0)


def test_a_rest_under_a_tenth_of_a_second_joins_the_chunk_before(encode: Encode) -> None:
    clip, shorter, tiny = a_sound(noise(2.09)), a_sound(noise(0.3)), a_sound(noise(0.05))
    assert [len(v) for v in encode(clip, shorter, tiny, view="chunks:1")] == [2, 1, 1]
    np.testing.assert_array_equal(encode(shorter, view="chunks:1"), encode(shorter))


def test_a_silent_chunk_keeps_its_place(encode: Encode) -> None:
    samples = np.concatenate([tone(1), np.zeros(16_000), tone(1)])
    (chunks,) = encode(a_sound(samples), view="chunks:1")
    assert chunks.shape == (3, 2720) and np.isfinite(chunks).all()


def test_frames_are_what_the_mean_is_made_of(encode: Encode) -> None:
    (frames,) = encode(a_sound(noise(1.5)), view="frames")
    (whole,) = encode(a_sound(noise(1.5)))
    assert frames.dtype == np.float32 and frames.shape == (61, 416)  # about 41 a second
    mean = frames.mean(axis=0)
    np.testing.assert_allclose(whole[0, BLOCKS["speech"]], mean / np.linalg.norm(mean), atol=1e-6)


def test_a_short_sound_is_padded_to_a_tenth_of_a_second(encode: Encode) -> None:
    short = tone(0.04)
    padded = np.pad(short, (0, 1600 - len(short)))
    found, expected = encode(a_sound(short), a_sound(padded))
    np.testing.assert_array_equal(found, expected)


def test_long_sounds_are_refused_or_chunked(encoder: OpenConcat) -> None:
    long = a_sound(np.resize(tone(1), 181 * 16_000))
    for view in ("whole", "frames"):
        (found,) = encoder.encode([long], view)
        assert isinstance(found, Failure) and "181 s long" in found.reason
        assert "chunks:<seconds>" in found.reason


@pytest.mark.slow
def test_three_minutes_at_once_and_in_chunks(encode: Encode) -> None:
    long = a_sound(noise(180))
    assert encode(long)[0].shape == (1, 2720)
    assert encode(long, view="chunks:30")[0].shape == (6, 2720)


def test_failures_stand_in_their_places_and_the_rest_go_on(
    encoder: OpenConcat, tmp_path: Path
) -> None:
    nan = tmp_path / "nan.wav"
    sf.write(nan, np.full(16_000, np.nan), 16_000, subtype="FLOAT")
    good, nowhere = image(), tmp_path / "nowhere.png"
    cases = [
        (an_image(good, "ok/0"), None),
        (an_image(b"", "bad/1"), "empty"),
        (an_image(encode_png(Image.new("RGB", (1, 1))), "bad/2"), "1×1"),
        (an_image(encode_png(Image.new("L", (20_000, 16))), "bad/3"), "20000×16"),
        (an_image(good[: len(good) // 2], "bad/4"), "truncated"),
        (an_image(b"some text", "bad/5"), "not an image"),
        (a_sound(b"", "bad/6"), "empty"),
        (a_sound(nan.read_bytes(), "bad/7"), "NaN"),
        (a_sound(np.zeros(16_000), "bad/8"), "silent"),
        (a_sound(b"some text", "bad/9", "mp3"), "not a sound"),
        (a_sound(good, "bad/10"), "not a sound|audio track"),
        (Item("bad/11", "audio", Media.absent("0" * 64, "not released"), ""), "not released"),
        (Item("bad/12", "image", Media(nowhere.read_bytes, "png", "1"), ""), "nowhere"),
        (an_image(good, "ok/13", "jpg"), None),  # a wrong extension
        (a_sound(SPEECH.read_bytes(), "ok/14", "wav"), None),
    ]
    found = encoder.encode([item for item, _ in cases])
    assert len(found) == len(cases)
    for (item, why), result in zip(cases, found, strict=True):
        if why is None:
            assert isinstance(result, np.ndarray) and result.shape == (1, 2720), item.id
        else:
            assert isinstance(result, Failure) and result.item_id == item.id
            assert re.search(f"^{item.id}: .*({why})", result.reason), result.reason


@pytest.mark.parametrize("view", ["frames", "chunks:1"])
def test_views_of_sound_alone_refuse_an_image(encoder: OpenConcat, view: str) -> None:
    picture, sound = encoder.encode([an_image(image()), a_sound(tone())], view)
    assert isinstance(picture, Failure) and view in picture.reason
    assert isinstance(sound, np.ndarray)


def test_weights_that_cannot_be_had_are_one_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GEMB_HOME", str(tmp_path))
    monkeypatch.delenv("GEMB_SOURCES", raising=False)
    monkeypatch.setenv("OFFLINE", "1")
    for item in (an_image(image()), a_sound(tone())):
        with pytest.raises(FetchError):
            OpenConcat().encode([item])


def test_the_vectors_have_not_changed(encode: Encode) -> None:
    """Vectors are stored and released: if this fails, raise the preprocessing version."""
    ramp = np.add.outer(np.arange(64), 2 * np.arange(96))[..., None] + np.array([0, 60, 120])
    picture = an_image(encode_png(Image.fromarray((ramp % 256).astype(np.uint8))))
    speech = a_sound(SPEECH.read_bytes(), suffix="ogg")
    expected: list[dict[int, float]] = [
        {113: 0.3387, 897: 0.2338, 989: 0.2154},
        {1570: -0.5444, 1589: -0.3003, 1627: 0.2845, 1751: 0.2823, 2022: 0.2823, 2663: 0.2823},
        {1570: -0.7671, 1589: 0.2285, 1627: 0.3855, 1957: 0.2329, 2605: 0.2458, 2622: 0.2717},
    ]
    for vector, values in zip(encode(picture, a_sound(tone(1.5)), speech), expected, strict=True):
        np.testing.assert_allclose(vector[0, list(values)], list(values.values()), atol=1e-3)


@given(st.integers(1, 200_000), st.floats(0.1, 4.0))
def test_cutting_loses_and_repeats_no_sample(count: int, seconds: float) -> None:
    samples = np.arange(count)
    pieces = cut(samples, seconds)
    np.testing.assert_array_equal(np.concatenate(pieces), samples)
    size = round(seconds * RATE)
    assert all(len(p) == size for p in pieces[:-1])
    assert len(pieces) == 1 or 0.1 * RATE <= len(pieces[-1]) < size + 0.1 * RATE
