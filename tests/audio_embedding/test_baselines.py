"""The baselines on a handful of synthetic clips."""

from pathlib import Path

import numpy as np
import pytest

from gemb.audio_embedding import baselines, retrieval
from gemb.audio_embedding.baselines import ClassNames, Frozen, LinearHeads, RandomVectors
from gemb.audio_embedding.retrieval import DIRECTIONS
from gemb.data import speech
from gemb.data.items import Item, Media, Pair
from gemb.data.media import RATE, encode_wav
from gemb.errors import UserError
from gemb.store import Store

COMMANDS = ("turn on the lights", "stop the music", "bring me my shoes", "open the window")
VOICES = [v for v in speech.TRAINING_VOICES if v.engine == "espeak-ng"]


def spoken(words: str, voice: speech.Voice) -> Item:
    return Item(f"{voice.id}/{words}", "audio", speech.media(words, voice), words)


def heard(name: str, seed: int) -> Item:
    """Noise whose loudness tells what it is: for heads to tell apart, not for ears."""
    rng = np.random.default_rng(seed)
    low = np.cumsum(rng.normal(size=RATE)) / 200 if name == "rumble" else rng.normal(size=RATE) / 5
    samples = np.clip(low - low.mean(), -0.9, 0.9).astype(np.float32)
    return Item(f"{name}/{seed}", "audio", Media(lambda: encode_wav(samples), "wav"), name)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(baselines, "cache_dir", lambda: tmp_path)
    return tmp_path


def test_random_vectors_are_the_same_each_time_and_know_nothing() -> None:
    pairs = [(spoken(f"word {n}", VOICES[0]), f"word {n}") for n in range(200)]
    found = retrieval.evaluate(RandomVectors(), pairs)
    for direction in DIRECTIONS:
        interval = found.interval(direction, "cvR@10")
        assert interval.low <= 0.05 <= interval.high
    first, again = (RandomVectors(1).embed_text(["a", "b"]) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, RandomVectors(2).embed_text(["a", "b"]))


def test_transcripts_find_what_is_said_and_are_kept(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = [(spoken(c, VOICES[0]), c) for c in COMMANDS[:3]]
    model = baselines.Transcripts()
    found = retrieval.evaluate(model, pairs)
    assert found.values["audio-to-text"]["cvR@1"].mean() == 1
    monkeypatch.setattr(baselines.MoonshineBase, "transcribe", None)  # not needed again
    assert len(baselines.Transcripts().transcribe([i for i, _ in pairs])) == 3


def test_class_names_are_unit_vectors_in_the_space_of_texts() -> None:
    model = ClassNames()
    vectors = model.embed_audio([heard("hiss", 0), heard("rumble", 0)])
    assert vectors.shape == (2, 384) and model.embed_text(["hiss"]).shape == (1, 384)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_linear_heads_learn_pairs_and_keep_their_features_in_the_store(tmp_path: Path) -> None:
    def pairs(seeds: range) -> list[Pair]:
        return [(heard(n, s), n) for n in ("hiss", "rumble") for s in seeds]

    frozen = Frozen(Store(tmp_path))
    model = LinearHeads.fit(pairs(range(4)), pairs(range(4, 6)), frozen)
    assert model.parameters == (1440 + 384) * baselines.DIM
    assert model.penalty in baselines.PENALTIES
    found = retrieval.evaluate(model, pairs(range(6, 9)))
    assert found.values["audio-to-text"]["cvR@1"].mean() == 1
    assert found.gallery.relevant.shape == (6, 2)
    np.testing.assert_allclose(
        Frozen(None).sounds([heard("hiss", 0)]), frozen.sounds([heard("hiss", 0)]), atol=1e-5
    )


def test_what_cannot_be_heard_or_learned_from_is_refused() -> None:
    silent = Item("silent", "audio", Media(lambda: encode_wav(np.zeros(RATE)), "wav"), "x")
    with pytest.raises(UserError, match=r"silent.*1 of 1 items"):
        Frozen().sounds([silent])
    with pytest.raises(UserError, match="need pairs"):
        LinearHeads.fit([], [], Frozen())
