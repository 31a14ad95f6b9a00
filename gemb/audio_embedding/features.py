"""What of a sound does not change in training, so that it is computed once and kept.

Frames of a frozen audio encoder, or the log-mel spectrogram that an audio tower reads.
"""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import soundfile
import torch
from torch.nn.functional import adaptive_avg_pool1d

from gemb import records
from gemb.data import manifests
from gemb.data.items import Item, Media
from gemb.data.media import RATE, MediaError, cut, decode_audio
from gemb.encoders import moonshine, yamnet
from gemb.encoders.base import EncoderIdentity, Failure
from gemb.encoders.open_concat import OpenConcat, in_threads
from gemb.tasks import Modality

# Frames a second: Moonshine's strides of 64, 3 and 2 samples; YAMNet's patches start every 0.48 s.
FRAME_RATES = {"moonshine-base": RATE / (64 * 3 * 2), "yamnet": 1 / 0.48}
PARAMETERS = {"moonshine-base": moonshine.PARAMETERS, "yamnet": yamnet.PARAMETERS}
DIMS = {"moonshine-base": moonshine.DIM, "yamnet": yamnet.DIM}
_MIN_SAMPLES = round(moonshine.MIN_SECONDS * RATE)

_PREPROCESSING = "1"


class Features:
    """One array of frames a sound, as an encoder that :func:`gemb.embed.embed` can keep.

    Args:
        name, revision: What makes the frames.
        dim: F.
        prepare: ``[samples]`` at 16 kHz to ``[T, F]``.
        max_seconds: A longer clip is refused.
    """

    modalities: tuple[Modality, ...] = ("audio",)
    views: tuple[str, ...] = ("whole", "frames")

    def __init__(
        self,
        name: str,
        revision: str,
        dim: int,
        prepare: Callable[[np.ndarray], np.ndarray],
        max_seconds: float,
    ):
        self.name, self.revision, self.dim = name, revision, dim
        self._prepare, self._max_seconds = prepare, max_seconds

    def identity(self, view: str = "whole") -> EncoderIdentity:
        """What decides the frames."""
        if view not in self.views:
            raise ValueError(f"no view {view!r} in {self.name}; there are: whole, frames")
        return EncoderIdentity(self.name, self.revision, self.dim, _PREPROCESSING, view)

    def encode(self, items: Sequence[Item], view: str = "whole") -> list[np.ndarray | Failure]:
        """Frames ``[T, F]`` of each sound, or (``whole``) their mean ``[1, F]``, in order.

        Rounded to half precision, as the store keeps them: kept frames equal new ones.
        """
        self.identity(view)

        def frames(item: Item, data: bytes) -> np.ndarray:
            samples = decode_audio(data, suffix=item.media.suffix, name=item.id)
            seconds = len(samples) / RATE
            if seconds > self._max_seconds:
                raise MediaError(
                    item.id,
                    f"the sound is {seconds:.1f} s long, more than {self._max_seconds:g} s",
                    "cut it, or embed it with parts whose long_clips is 'average'",
                )
            padded = np.pad(samples, (0, max(0, _MIN_SAMPLES - len(samples))))
            return self._prepare(padded).astype(np.float16).astype(np.float32)

        rows = in_threads(items, frames)
        if view == "frames":
            return rows
        return [r if isinstance(r, Failure) else r.mean(0, keepdims=True) for r in rows]


def frozen(part: str, max_seconds: float) -> Features:
    """The frames of one of :data:`~gemb.audio_embedding.config.FROZEN`.

    Its weights are fetched and loaded when they are first needed.
    """
    parts = OpenConcat()

    def prepare(samples: np.ndarray) -> np.ndarray:
        if part == "moonshine-base":
            return parts.speech_model.frames(samples)
        return parts.sound_model.features(samples)

    files = sorted(f"{f.path} {f.sha256}" for f in manifests.get(part).files)
    revision = hashlib.sha256("\n".join(files).encode()).hexdigest()[:12]
    return Features(part, revision, DIMS[part], prepare, max_seconds)


def log_mel(extractor: Any, max_seconds: float) -> Features:
    """The log-mel spectrogram ``[T, bins]`` of an audio tower's own feature extractor."""

    def prepare(samples: np.ndarray) -> np.ndarray:
        # Padded to 30 s and cut again, as Qwen's processors do.
        out = extractor(
            samples, sampling_rate=RATE, return_attention_mask=True, return_tensors="np"
        )
        return out.input_features[0].T[out.attention_mask[0].astype(bool)]

    revision = records.digest(extractor.to_dict())[:12]
    return Features("log-mel", revision, extractor.feature_size, prepare, max_seconds)


def tokens(
    frames: Sequence[torch.Tensor], native: float, rate: float | None, stack: int
) -> torch.Tensor:
    """Frames ``[T_i, F_i]`` of one clip as ``[n, stack · ΣF_i]``, at most ``rate`` a second.

    The first encoder's frames, ``native`` a second, set n; those of the others are averaged or
    repeated onto it.
    """
    share = min((rate or native) / native, 1 / stack)
    if share == 1 and len(frames) == 1:
        return frames[0]
    count = max(1, round(len(frames[0]) * share))
    pooled = [adaptive_avg_pool1d(f.T[None], count * stack)[0].T for f in frames]
    return torch.cat(pooled, dim=1).reshape(count, -1)


def pieces(item: Item, seconds: float) -> list[Item]:
    """A long sound cut into equal parts of at most so many seconds; a short one as it is."""
    samples = decode_audio(item.media.bytes(), suffix=item.media.suffix, name=item.id)
    if len(samples) <= seconds * RATE:
        return [item]
    parts = np.array_split(samples, math.ceil(len(samples) / (seconds * RATE)))
    return _parts(item, parts, {"of": item.media.key, "seconds": seconds, "version": 1})


def chunks(item: Item, seconds: float) -> list[Item]:
    """A sound cut into parts of so many seconds, of which the last may be shorter."""
    samples = decode_audio(item.media.bytes(), suffix=item.media.suffix, name=item.id)
    return _parts(item, cut(samples, seconds), {"chunks": seconds, "of": item.media.key})


def _parts(item: Item, parts: Sequence[np.ndarray], about: dict[str, Any]) -> list[Item]:
    """Parts of a sound as items; what they are ``about`` keeps their vectors apart."""

    def medium(number: int, part: np.ndarray) -> Media:
        def make() -> bytes:
            buffer = io.BytesIO()
            soundfile.write(buffer, part, RATE, format="WAV", subtype="FLOAT")
            return buffer.getvalue()

        return Media.from_recipe({"part": number, **about}, make, "wav")

    return [
        Item(f"{item.id}#{n}", "audio", medium(n, part), item.answer, item.group)
        for n, part in enumerate(parts)
    ]
