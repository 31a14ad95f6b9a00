"""The sound block: numbers that differ from upstream's would show as wrong names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gemb.data.fetch import fetch
from gemb.data.media import decode_audio
from gemb.encoders import yamnet
from gemb.encoders.yamnet import PARAMETERS, YamNet, patches

# "Turn on the kitchen light." by eSpeak NG, voice en-us.
SPEECH = Path(__file__).with_name("turn_on_the_kitchen_light.ogg")
SECONDS = np.arange(48_000) / 16_000
NOISE = np.random.default_rng(0).standard_normal(48_000)


@pytest.fixture(scope="module")
def model() -> YamNet:
    return YamNet(fetch("yamnet"))


@pytest.mark.parametrize(
    ("name", "samples"),
    [
        ("Speech", decode_audio(SPEECH.read_bytes(), suffix="ogg", name="speech")),
        ("Beep, bleep", 0.3 * np.sin(2 * np.pi * 1000 * SECONDS)),
        ("White noise", 0.1 * NOISE),
        ("Silence", 1e-5 * NOISE),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_it_names_what_it_hears(model: YamNet, name: str, samples: np.ndarray) -> None:
    scores = model.class_scores(samples.astype(np.float32)).mean(axis=0)
    assert model.class_names[int(scores.argmax())] == name


def test_shapes(model: YamNet) -> None:
    samples = (0.1 * NOISE[:24_000]).astype(np.float32)
    features, scores = model.features(samples), model.class_scores(samples)
    assert features.shape == (3, 1024) and features.dtype == np.float32
    assert scores.shape == (3, 521) and scores.dtype == np.float32
    assert len(model.class_names) == 521
    assert scores.min() >= 0 and scores.max() <= 1


@pytest.mark.parametrize(
    ("seconds", "count"), [(0.01, 1), (0.975, 1), (0.98, 2), (1.455, 2), (1.46, 3), (10.0, 20)]
)
def test_patches(seconds: float, count: int) -> None:
    found = patches(np.zeros(round(seconds * 16_000), np.float32))
    assert found.shape == (count, 96, 64) and found.dtype == np.uint8
    assert (found == 0).all()  # log(0.001), the lowest step


def test_a_tone_lights_its_mel_band() -> None:
    """64 bands centred every 39.8 mel from 225 on; 1032 Hz is 1021 mel, the centre of number 20."""
    patch = patches(np.sin(2 * np.pi * 1032 * SECONDS[:16_000]).astype(np.float32))[0]
    assert (patch.argmax(axis=1) == 20).all()


def test_parameters_are_those_of_the_weights_file() -> None:
    assert (fetch("yamnet") / "model.data").stat().st_size == 4 * PARAMETERS


def test_products_of_8_bits_do_not_saturate(model: YamNet) -> None:
    """On x86 without VNNI onnxruntime's do, unless the graph is computed in floats."""
    levels = yamnet.ort.GraphOptimizationLevel
    floats = yamnet._session(fetch("yamnet"), levels.ORT_ENABLE_BASIC)
    for sound in (0.1 * NOISE, 0.3 * np.sin(2 * np.pi * 1000 * SECONDS)):
        patch = patches(sound)[:1, None]
        wanted = floats.run([yamnet._FEATURES], {"audio": patch})[0][0]
        given = model._session.run([yamnet._FEATURES], {"audio": patch})[0][0]
        assert given @ wanted > 0.95 * np.linalg.norm(given) * np.linalg.norm(wanted)
