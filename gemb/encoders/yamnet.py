"""YAMNet: what makes a sound, as 1,024 AudioSet features of each 0.96 s patch."""

from __future__ import annotations

import csv
import logging
from functools import cache, cached_property
from pathlib import Path

import numpy as np
import onnxruntime as ort
from scipy.special import expit

log = logging.getLogger(__name__)

DIM = 1024
PARAMETERS = 3_739_273  # of the graph's weights file, four bytes each
RATE = 16_000  # Hz
# Upstream's features: magnitude of the 512-point Fourier transform of 25 ms
# (Hann) every 10 ms, 64 mel bands of 125-7,500 Hz, log(mel + 0.001), and
# patches of 96 frames every 48.
_WINDOW, _HOP, _FFT = 400, 160, 512  # samples
_BANDS, _LOW, _HIGH, _OFFSET = 64, 125.0, 7_500.0, 1e-3
_PATCH, _PATCH_HOP = 96, 48  # frames
# How the quantised graph wants its input: uint8 steps of log mel.
_SCALE, _ZERO = 0.04793788, 144
# The pooled features before the classifier, and the logits before quantisation.
_FEATURES, _LOGITS = "/model/Reshape_output_0_qdq", "class_scores_updated"
# Cosine of the features of white noise, computed in two ways, if both are right: at 0.99 a step of
# one of 6,144 inputs leaves them, saturated products at 0.7.
_AGREE = 0.9


class YamNet:
    """The quantised (w8a8) ONNX graph, patch by patch.

    Args:
        folder: Holds ``model.onnx``, ``model.data`` and ``yamnet_class_map.csv``.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        levels = ort.GraphOptimizationLevel
        self._session = _session(folder, levels.ORT_ENABLE_ALL)
        # On x86 without VNNI onnxruntime's products of 8-bit integers saturate at 16 bits (its
        # issues 6004 and 14642): features of common sounds then have cosines of 0.5 to 0.95 with
        # the right ones. Less optimised, the same graph is computed in floats: three times
        # slower, and right. White noise tells which it is.
        floats = _session(folder, levels.ORT_ENABLE_BASIC)
        noise = patches(0.1 * np.random.default_rng(0).standard_normal(RATE))[:1, None]
        a, b = (s.run([_FEATURES], {"audio": noise})[0][0] for s in (self._session, floats))
        if a @ b < _AGREE * np.linalg.norm(a) * np.linalg.norm(b):
            log.info("YAMNet: this processor's 8-bit products saturate, so floats are used")
            self._session = floats

    def features(self, samples: np.ndarray) -> np.ndarray:
        """Features of 16 kHz mono ``[samples]``, float32 ``[patches, 1024]``, not normalised."""
        return self._run(samples, _FEATURES)[0]

    def class_scores(self, samples: np.ndarray) -> np.ndarray:
        """Probability of each of :attr:`class_names`, float32 ``[patches, 521]``.

        The classes are not exclusive: a row does not sum to one.
        """
        return expit(self._run(samples, _LOGITS)[0])

    def features_and_scores(self, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Both of the above from one pass."""
        features, logits = self._run(samples, _FEATURES, _LOGITS)
        return features, expit(logits)

    @cached_property
    def class_names(self) -> list[str]:
        """AudioSet's names of the 521 classes, in the order of the scores."""
        with (self._folder / "yamnet_class_map.csv").open(encoding="utf-8", newline="") as file:
            return [row["display_name"] for row in csv.DictReader(file)]

    def _run(self, samples: np.ndarray, *outputs: str) -> list[np.ndarray]:
        # The graph takes one patch at a time.
        found = [
            self._session.run(list(outputs), {"audio": p[None, None]}) for p in patches(samples)
        ]
        return [np.concatenate(rows) for rows in zip(*found, strict=True)]


def _session(folder: Path, level: ort.GraphOptimizationLevel) -> ort.InferenceSession:
    """The graph, optimised up to ``level``."""
    options = ort.SessionOptions()
    options.graph_optimization_level = level
    options.intra_op_num_threads = 1  # one patch is too little for two
    options.inter_op_num_threads = 1
    # The graph is given as bytes, so it must be told where its weights lie.
    options.add_session_config_entry(
        "session.model_external_initializers_file_folder_path", str(folder)
    )
    graph = _with_outputs((folder / "model.onnx").read_bytes(), _FEATURES, _LOGITS)
    return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def patches(samples: np.ndarray) -> np.ndarray:
    """Quantised log-mel patches of 16 kHz mono ``[samples]``, uint8 ``[patches, 96, 64]``.

    As upstream does, a clip is padded with zeros to 0.975 s, which is one
    patch, and beyond that to a whole number of 0.48 s hops.
    """
    first = _WINDOW + (_PATCH - 1) * _HOP
    hop = _PATCH_HOP * _HOP
    hops = max(0, -(-(len(samples) - first) // hop))
    padded = np.pad(samples, (0, first + hops * hop - len(samples)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_WINDOW) / _WINDOW)  # periodic
    magnitude = np.abs(np.fft.rfft(frames * hann, _FFT))  # [frames, 257]
    log_mel = np.log(magnitude @ _mel_weights() + _OFFSET)  # [frames, 64]
    steps = np.clip(np.round(log_mel / _SCALE + _ZERO), 0, 255).astype(np.uint8)
    return np.stack([steps[i * _PATCH_HOP :][:_PATCH] for i in range(hops + 1)])


@cache
def _mel_weights() -> np.ndarray:
    """Triangles on the HTK mel scale, straight in mel as TensorFlow draws them, ``[257, 64]``."""

    def mel(hertz: np.ndarray) -> np.ndarray:
        return 1127.0 * np.log1p(hertz / 700.0)

    bins = mel(np.linspace(0, RATE / 2, _FFT // 2 + 1))[:, None]
    edges = np.linspace(mel(np.array(_LOW)), mel(np.array(_HIGH)), _BANDS + 2)
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return np.maximum(0, np.minimum(rising, falling))


def _with_outputs(model: bytes, *names: str) -> bytes:
    """Add inner values of an ONNX model to its outputs, without the onnx package.

    The model is a Protocol Buffers message, and by that format's rules two
    messages one after the other are read as one: repeated fields, such as a
    graph's outputs, as both lists joined. So it is enough to append a model
    that has a graph (field 7) of outputs (field 12) with a name (field 1).
    """

    def field(number: int, content: bytes) -> bytes:
        assert len(content) < 128, "lengths from 128 on take more than one byte"
        return bytes([number << 3 | 2, len(content)]) + content

    outputs = b"".join(field(12, field(1, name.encode())) for name in names)
    return model + field(7, outputs)
