"""The pitch estimator, on sounds whose pitch is known."""

import math

import numpy as np
import pytest

from gemb.data.pitch import median_f0


def tone(pitch: float, rate: int, seconds: float = 0.5) -> np.ndarray:
    """A voice-like sound: harmonics that fall off."""
    time = np.arange(round(rate * seconds)) / rate
    harmonics = np.arange(1, 8)[:, None]
    return (np.sin(2 * np.pi * pitch * harmonics * time) / harmonics).sum(axis=0)


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
@pytest.mark.parametrize("pitch", [85.0, 123.4, 210.0, 330.0])
def test_a_tone_has_its_pitch(pitch: float, rate: int) -> None:
    assert median_f0(tone(pitch, rate), rate) == pytest.approx(pitch, rel=0.005)


def test_pitch_survives_noise_and_loudness() -> None:
    noise = np.random.default_rng(0).normal(size=8_000)
    noisy = 0.01 * tone(120, 16_000) + 5e-4 * noise
    assert median_f0(noisy, 16_000) == pytest.approx(120, rel=0.02)


@pytest.mark.parametrize(
    "samples",
    [np.zeros(8_000), np.zeros(0), np.ones(50), np.random.default_rng(0).normal(size=8_000)],
    ids=["silence", "nothing", "too short", "noise"],
)
def test_what_has_no_pitch_gives_nan(samples: np.ndarray) -> None:
    assert math.isnan(median_f0(samples, 16_000))


def test_a_rate_too_low_is_refused() -> None:
    with pytest.raises(ValueError, match="too low"):
        median_f0(np.ones(1_000), 500)
