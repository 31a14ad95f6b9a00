"""The speech block, and the transcripts that later serve as a ceiling."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from gemb.data.fetch import fetch
from gemb.data.media import decode_audio
from gemb.encoders.moonshine import DECODER_PARAMETERS, PARAMETERS, MoonshineBase

# "Turn on the kitchen light." by eSpeak NG, voice en-us.
SPEECH = Path(__file__).with_name("turn_on_the_kitchen_light.ogg")


@pytest.fixture(scope="module")
def model() -> MoonshineBase:
    return MoonshineBase(fetch("moonshine-base"))


def test_it_understands_english(model: MoonshineBase) -> None:
    speech = decode_audio(SPEECH.read_bytes(), suffix="ogg", name="speech")
    assert model.transcribe(speech).rstrip(".") == "Turn on the kitchen light"


@pytest.mark.parametrize(("seconds", "frames"), [(0.1, 2), (1.0, 40), (40.0, 1665)])
def test_frames(model: MoonshineBase, seconds: float, frames: int) -> None:
    samples = np.random.default_rng(0).standard_normal(round(seconds * 16_000)) * 0.1
    found = model.frames(samples.astype(np.float32))
    assert found.shape == (frames, 416) and found.dtype == np.float32


@pytest.mark.parametrize("seconds", [0.05, 180.1])
def test_lengths_it_does_not_take(model: MoonshineBase, seconds: float) -> None:
    with pytest.raises(ValueError, match=r"0\.1 to 180 s"):
        model.frames(np.zeros(round(seconds * 16_000), np.float32))


def test_transcripts_end(model: MoonshineBase) -> None:
    noise = np.random.default_rng(0).standard_normal(16_000).astype(np.float32) * 0.1
    assert len(model.transcribe(noise)) < 100


@pytest.mark.parametrize(
    ("file", "count"),
    [("encoder_model", PARAMETERS), ("decoder_model_merged", DECODER_PARAMETERS)],
)
def test_parameters_are_those_of_the_graph(file: str, count: int) -> None:
    from onnxruntime.tools.ort_format_model.ort_flatbuffers_py.fbs.InferenceSession import (
        InferenceSession,
    )

    data = (fetch("moonshine-base") / f"{file}.ort").read_bytes()
    graph = InferenceSession.GetRootAsInferenceSession(data, 0).Model().Graph()
    weights = [graph.Initializers(n) for n in range(graph.InitializersLength())]
    assert sum(math.prod(map(w.Dims, range(w.DimsLength()))) for w in weights) == count
