"""The pitch of a voice: what a listener would guess its speaker's gender from.

Used to infer labels where a recording does not say who speaks, and for the
baseline that answers from pitch alone.
"""

from __future__ import annotations

import math

import numpy as np

# The pitch of speech lies inside these bounds, in Hz: below is hum, above
# shouting and falsetto.
LOWEST, HIGHEST = 70.0, 400.0

# Between what is usual for men (about 120 Hz) and for women (about 210 Hz).
FEMALE_FROM = 165.0

_HOP = 0.010  # seconds
_DIP = 0.15  # the normalised difference of a voiced frame falls below this
_QUIET = 0.1  # frames below this part of the loudest frame's level are left out


def median_f0(samples: np.ndarray, rate: int) -> float:
    """Median fundamental frequency of the voiced frames, in Hz; NaN if there are none.

    The method is YIN (A. de Cheveigné, H. Kawahara: YIN, a fundamental
    frequency estimator for speech and music. JASA 111(4), 2002) without its
    last step.

    Args:
        samples: Mono sound ``[N]``, any scale.
        rate: Samples a second.
    """
    longest, shortest = math.ceil(rate / LOWEST), math.floor(rate / HIGHEST)
    if shortest < 2:
        raise ValueError(f"a rate of {rate} Hz is too low to find pitches up to {HIGHEST:.0f} Hz")
    samples = np.asarray(samples, np.float64)
    if len(samples) < 2 * longest:
        return math.nan
    frames = np.lib.stride_tricks.sliding_window_view(samples, 2 * longest)
    frames = frames[:: max(1, round(_HOP * rate))]  # [F, 2·longest]
    level = np.sqrt((frames**2).mean(axis=1))
    frames = frames[level > _QUIET * level.max()]
    if len(frames) == 0:  # digital silence
        return math.nan
    lags = [_period(curve, shortest) for curve in _difference(frames, longest)]
    found = [lag for lag in lags if lag]
    return rate / float(np.median(found)) if found else math.nan


def _difference(frames: np.ndarray, longest: int) -> np.ndarray:
    """Cumulative-mean-normalised difference ``[F, longest + 1]`` at lags from 0."""
    size = frames.shape[1] + longest  # long enough that the correlation does not wrap
    window = frames[:, :longest]
    spectrum = np.fft.rfft(frames, size) * np.conj(np.fft.rfft(window, size))
    correlation = np.fft.irfft(spectrum, size)[:, : longest + 1]
    squares = np.cumsum(frames**2, axis=1)
    squares = np.concatenate([np.zeros((len(frames), 1)), squares], axis=1)
    lags = np.arange(longest + 1)
    energy = squares[:, lags + longest] - squares[:, lags]  # of each lagged window
    difference = np.maximum(energy[:, :1] + energy - 2 * correlation, 0)
    running_mean = np.cumsum(difference[:, 1:], axis=1) / lags[1:]
    normalised = difference[:, 1:] / np.maximum(running_mean, 1e-12)
    return np.concatenate([np.ones((len(frames), 1)), normalised], axis=1)


def _period(curve: np.ndarray, shortest: int) -> float | None:
    """The lag of the first deep dip, refined between samples; ``None`` if unvoiced."""
    below = np.flatnonzero(curve[shortest:-1] < _DIP)
    if len(below) == 0:
        return None
    lag = int(below[0]) + shortest
    while lag + 1 < len(curve) - 1 and curve[lag + 1] < curve[lag]:
        lag += 1
    before, here, after = curve[lag - 1 : lag + 2]
    bend = before - 2 * here + after
    return lag + (0.5 * (before - after) / bend if bend > 0 else 0.0)
