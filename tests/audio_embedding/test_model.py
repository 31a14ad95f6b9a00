import io
import json

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_audio import RATE, clips, noise

from gemb.audio_embedding.features import FRAME_RATES, tokens
from gemb.audio_embedding.model import AudioEmbedder, by_length
from gemb.data.items import Item, Media
from gemb.encoders.base import Failure
from gemb.errors import UserError
from gemb.store import Store


@pytest.mark.parametrize("pooling", ["mean", "last"])
def test_neither_padding_nor_company_changes_a_vector(build, pooling):
    model = build(pooling=pooling, prefix="a", suffix="b")
    for inputs in (clips([1, 7, 3, 40]), ["a", "a longer text", "two words"]):
        with torch.no_grad():
            together = model(inputs).numpy()
            alone = np.concatenate([model([x]).numpy() for x in inputs])
        assert together.shape == (len(inputs), model.dim) and together.dtype == np.float32
        np.testing.assert_allclose(together, alone, atol=1e-5)
        np.testing.assert_allclose(model.embed(inputs, tokens=12), alone, atol=1e-5)
        np.testing.assert_allclose(np.linalg.norm(alone, axis=1), 1, atol=1e-5)


def test_a_vector_is_the_mean_of_the_last_hidden_states_of_the_body(build, tiny_llm):
    from transformers import AutoModel, AutoTokenizer

    ids = AutoTokenizer.from_pretrained(tiny_llm)("some words", return_tensors="pt").input_ids
    with torch.no_grad():
        mean = AutoModel.from_pretrained(tiny_llm)(ids).last_hidden_state[0].mean(0)
    vector = build().embed_text(["some words"])[0]
    np.testing.assert_allclose(vector, mean / mean.norm(), atol=1e-5)


def test_a_saved_model_is_read_without_its_parts_and_gives_the_same(build, tmp_path, tiny_llm):
    model = build(layers=2, suffix="!")
    model.projection.standardise_by(np.concatenate(clips([50])))
    assert set(model.provenance["revisions"]) == {"llm", "yamnet"}
    model.provenance["note"] = "kept"
    model.save(tmp_path / "m")
    again = AudioEmbedder.load(tmp_path / "m", "cpu")
    assert again.parts == model.parts and again.provenance == model.provenance
    assert len(again.body.layers) == 2
    kept = json.loads((tmp_path / "m" / "config.json").read_text())
    assert str(tiny_llm) not in json.dumps(kept | {"parts": ""})
    for inputs in (clips([3, 9]), ["one", "two words"]):
        np.testing.assert_array_equal(again.embed(inputs), model.embed(inputs))

    weights = tmp_path / "m" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"abcd")
    with pytest.raises(UserError, match="make the model again"):
        AudioEmbedder.load(tmp_path / "m", "cpu")
    with pytest.raises(UserError, match="holds no audio embedding model"):
        AudioEmbedder.load(tmp_path / "elsewhere")


def test_frames_come_at_the_stated_rate_and_a_store_changes_nothing(build, tmp_path):
    items = [noise(3.0, name="three"), noise(0.5, 1, name="half")]
    model = build(rate=1.0)
    fresh = model.prepare(items)
    assert [c.shape for c in fresh] == [(3, 1024), (1, 1024)]
    store = Store(tmp_path)
    for _ in range(2):  # first written, then read
        for a, b in zip(fresh, model.prepare(items, store), strict=True):
            np.testing.assert_array_equal(a, b)
    assert model.embed_audio(items).shape == (2, model.dim)
    stacked = build(rate=1.0, stack=2).prepare(items[:1])[0]
    assert stacked.shape == (3, 2048)


def test_a_clip_too_long_is_refused_by_name_or_averaged(build):
    long = noise(5.0, name="long")
    refusing = build(max_seconds=2.0)
    with pytest.raises(UserError, match=r"long: the sound is 5.0 s long.*average"):
        refusing.embed_audio([noise(1.0), long])
    averaging = build(max_seconds=2.0, long_clips="average")
    whole = averaging.embed_audio([long])
    samples = soundfile.read(io.BytesIO(long.media.bytes()), dtype="float32")[0]
    rows = []
    for part in np.array_split(samples, 3):
        buffer = io.BytesIO()
        soundfile.write(buffer, part, RATE, format="WAV", subtype="FLOAT")
        media = Media(buffer.getvalue, "wav")
        rows.append(averaging.embed_audio([Item("part", "audio", media, "")])[0])
    mean = np.mean(rows, axis=0)
    np.testing.assert_allclose(whole[0], mean / np.linalg.norm(mean), atol=1e-5)


def test_what_cannot_be_read_fails_in_its_place(build):
    broken = Item("broken", "audio", Media(lambda: b"no sound", "wav"), "")
    rows = build().vectors_of([noise(1.0), broken, noise(1.0, 2)])
    assert [isinstance(r, Failure) for r in rows] == [False, True, False]
    assert "broken" in rows[1].reason
    with pytest.raises(UserError, match="text 1 is empty"):
        build().embed_text(["a", " "])


@given(
    length=st.integers(1, 200),
    rate=st.none() | st.floats(0.5, 60),
    stack=st.integers(1, 4),
)
def test_tokens_are_averages_in_order_at_most_so_many_a_second(length, rate, stack):
    native = FRAME_RATES["moonshine-base"]
    frames = torch.arange(length, dtype=torch.float32)[:, None].repeat(1, 2)
    other = torch.arange(-(-length // 20), dtype=torch.float32)[:, None]
    out = tokens([frames, other], native, rate, stack)
    seconds = length / native
    assert out.shape[1] == stack * 3
    assert len(out) <= max(1, seconds * min(rate or native, native / stack) + 0.5 + 1e-6)
    inner = out.reshape(-1, 3)
    assert (inner.diff(dim=0) >= 0).all()  # in order
    assert inner.min() >= 0 and inner[:, 0].max() <= length - 1
    if len(inner) == length:
        torch.testing.assert_close(inner[:, :2], frames)


@given(
    lengths=st.lists(st.integers(1, 50)),
    count=st.none() | st.integers(1, 9),
    tokens=st.none() | st.integers(1, 99),
)
def test_batches_by_length_hold_everything_once_within_bounds(lengths, count, tokens):
    batches = by_length(lengths, count, tokens)
    assert sorted(i for b in batches for i in b) == list(range(len(lengths)))
    flat = [lengths[i] for b in batches for i in b]
    assert flat == sorted(lengths, reverse=True)
    for batch in batches:
        assert len(batch) <= (count or len(lengths))
        assert len(batch) == 1 or len(batch) * lengths[batch[0]] <= (tokens or 10**9)
