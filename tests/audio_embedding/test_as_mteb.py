"""One small task of mteb's own kind, run by mteb offline on a model of ours."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import soundfile
from tiny_audio import noise

from gemb.audio_embedding import retrieval
from gemb.audio_embedding.as_mteb import MtebEncoder
from gemb.audio_embedding.config import Training
from gemb.audio_embedding.model import AudioEmbedder
from gemb.audio_embedding.train import Pairs, train
from gemb.data.items import Item, Media
from gemb.data.media import RATE, decode_audio
from gemb.errors import UserError

PITCHES = tuple(range(200, 1400, 100))  # Hz


def tone(pitch: float) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * pitch * np.arange(RATE // 4) / RATE).astype(np.float32)


def item(pitch: float) -> Item:
    buffer = io.BytesIO()  # 16 bits' rounding would be all that YAMNet hears beside a pure tone
    soundfile.write(buffer, tone(pitch), RATE, format="WAV", subtype="FLOAT")
    return Item(str(pitch), "audio", Media(buffer.getvalue, "wav"), "")


@pytest.fixture
def trained(build: Callable[..., AudioEmbedder]) -> AudioEmbedder:
    """YAMNet and a tiny language model that have learnt something of how tones are called."""
    model = build()
    pairs = Pairs(model.prepare([item(p) for p in PITCHES]), [f"{p} hertz" for p in PITCHES])
    settings = Training(batch_size=12, chunk=12, steps=40, learning_rate=3e-3, bfloat16=False)
    train(model, pairs, settings, ("projection", "body"))
    return model


def task(direction: str) -> Any:
    from datasets import Dataset
    from mteb.abstasks.retrieval import AbsTaskRetrieval
    from mteb.abstasks.retrieval_dataset_loaders import RetrievalSplitData
    from mteb.abstasks.task_metadata import TaskMetadata

    ids = [f"{n:03d}" for n in range(len(PITCHES))]
    sounds = Dataset.from_dict(
        {
            "id": ids,
            "audio": [{"array": tone(p).tolist(), "sampling_rate": RATE} for p in PITCHES],
        }
    )
    texts = Dataset.from_dict({"id": ids, "text": [f"{p} hertz" for p in PITCHES]})

    class TonesRetrieval(AbsTaskRetrieval):
        metadata = TaskMetadata(
            name="TonesRetrieval",
            description="Sine tones and what they are called.",
            reference=None,
            dataset={"path": "made/here", "revision": "1"},
            type="Any2AnyRetrieval",
            category=direction,
            modalities=["audio", "text"],
            eval_splits=["test"],
            eval_langs=["eng-Latn"],
            main_score="hit_rate_at_5",
            bibtex_citation="",
        )

        def load_data(self, num_proc: int | None = None, **_: Any) -> None:
            self.dataset = {
                "default": {
                    "test": RetrievalSplitData(
                        queries=texts if direction == "t2a" else sounds,
                        corpus=sounds if direction == "t2a" else texts,
                        relevant_docs={i: {i: 1} for i in ids},
                        top_ranked=None,
                    )
                }
            }
            self.data_loaded = True

    return TonesRetrieval()


@pytest.mark.slow  # mteb imports for ten seconds
@pytest.mark.parametrize(("category", "ours"), [("t2a", "text-to-audio"), ("a2t", "audio-to-text")])
def test_mteb_runs_a_trained_model_and_finds_what_we_find(
    category: str,
    ours: retrieval.Direction,
    trained: AudioEmbedder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import mteb

    model = MtebEncoder(trained, "gemb/tones", "1")
    result = mteb.evaluate(model, task(category), cache=None, show_progress_bar=False)
    (by_mteb,) = result.task_results[0].scores["test"]

    pairs = [(item(p), f"{p} hertz") for p in PITCHES]
    found = retrieval.evaluate(trained, pairs, ties="mteb")
    names = {"cvR@1": "hit_rate_at_1", "cvR@5": "hit_rate_at_5", "NDCG@10": "ndcg_at_10"}
    for metric, theirs in names.items():
        mean = found.values[ours][metric].mean()
        assert mean == pytest.approx(by_mteb[theirs], abs=1e-5), metric
    assert by_mteb["hit_rate_at_5"] > 5 / len(PITCHES)  # chance
    assert result.model_name == "gemb/tones" and result.model_revision == "1"


def test_a_model_of_ours_gives_mteb_its_own_vectors(build) -> None:
    model, words = build(), ["a hum", "a hiss"]
    sounds = [noise(0.5, n, str(n)) for n in range(2)]
    heard = [decode_audio(i.media.bytes(), suffix="wav", name=i.id) for i in sounds]
    rows = [{"array": samples, "sampling_rate": RATE} for samples in heard]
    found = MtebEncoder(model, "gemb/tiny").encode([{"audio": rows}, {"text": words}])
    own = np.concatenate([model.embed_audio(sounds), model.embed_text(words)])
    np.testing.assert_allclose(found, own, atol=1e-5)


def test_it_keeps_mtebs_protocol(build) -> None:
    from mteb.models import EncoderProtocol

    assert isinstance(MtebEncoder(build(), "gemb/tiny"), EncoderProtocol)


def test_stereo_is_averaged_and_what_is_neither_sound_nor_text_is_refused(build) -> None:
    model = MtebEncoder(build(), "gemb/tiny")
    stereo = {"array": np.stack([tone(400), tone(400)]), "sampling_rate": RATE}
    mono = {"array": tone(400), "sampling_rate": RATE}
    first, second = model.encode([{"audio": [stereo, mono]}])
    np.testing.assert_allclose(first, second, atol=1e-5)
    with pytest.raises(UserError, match="choose an audio"):
        model.encode([{"image": []}])
