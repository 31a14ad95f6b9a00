"""The encoder anyone can run: three open models side by side in one vector, on a CPU.

An image fills the first block with EfficientNet-Lite0's features; a sound the
other two, with Moonshine's (what is said) and YAMNet's (what sounds).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property

import numpy as np
import torch

from gemb.data import manifests
from gemb.data.fetch import fetch
from gemb.data.items import Item, MediaUnavailable
from gemb.data.media import RATE, MediaError, cut, decode_audio, decode_image
from gemb.encoders import efficientnet, moonshine, yamnet
from gemb.encoders.base import EncoderIdentity, Failure, chunk_seconds
from gemb.errors import UserError
from gemb.tasks import Modality

DIM = efficientnet.DIM + moonshine.DIM + yamnet.DIM
BLOCKS = {
    "image": slice(0, 1280),
    "speech": slice(1280, 1696),
    "sound": slice(1696, 2720),
}
PARTS = ("efficientnet-lite0", "moonshine-base", "yamnet")  # names of their manifests

_MIN_SAMPLES = round(moonshine.MIN_SECONDS * RATE)

# To be raised whenever the same file would give another vector.
_PREPROCESSING = "1"


class OpenConcat:
    """EfficientNet-Lite0 ‖ Moonshine base ‖ YAMNet, 2,720 dimensions.

    Each block is L2-normalised; those the modality does not use are zero. The
    same file gives the same vector to 1e-5, whatever else is in the batch. The
    weights are fetched and loaded when a part is first used.

    Views:
        ``whole``: an image or a sound of up to 180 s, one vector ``[1, 2720]``.
            Moonshine's frames and YAMNet's patches are averaged.
        ``chunks:<seconds>``: a sound cut into pieces of that length without
            overlap, each encoded as ``whole`` would be, ``[n, 2720]``. The last
            piece may be shorter; a rest under 0.1 s joins the piece before it.
        ``frames``: Moonshine's frames as they are, ``[T, 416]``, about 41 a
            second, not normalised and without the blocks that would be zero;
            the identity says 416.

    Sounds under 0.1 s are padded with zeros at their end to 0.1 s.
    """

    name = "open-concat"
    dim = DIM
    modalities: tuple[Modality, ...] = ("image", "audio")
    views = ("whole", "chunks:<seconds>", "frames")

    @cached_property
    def revision(self) -> str:
        """Stands for the weights: a hash of the checksums in the parts' manifests."""
        files = [
            f"{part} {file.path} {file.sha256}"
            for part in PARTS
            for file in manifests.get(part).files
        ]
        return hashlib.sha256("\n".join(sorted(files)).encode()).hexdigest()[:12]

    def identity(self, view: str = "whole") -> EncoderIdentity:
        """What decides a vector under ``view``; ``chunks:1.0`` is ``chunks:1``."""
        seconds = self._chunk_seconds(view)
        if seconds is not None:
            view = f"chunks:{seconds:g}"
        dim = moonshine.DIM if view == "frames" else DIM
        return EncoderIdentity(self.name, self.revision, dim, _PREPROCESSING, view)

    def encode(self, items: Sequence[Item], view: str = "whole") -> list[np.ndarray | Failure]:
        """Vectors of each item, float32 ``[n_i, 2720]`` (``[T, 416]`` of frames), in order.

        Returns:
            A :class:`Failure` in the place of an item that cannot be read or
            that the view does not fit; the other items go on.

        Raises:
            ValueError: There is no such view.
            FetchError: The weights cannot be fetched.
        """
        seconds = self._chunk_seconds(view)
        images = [i for i, item in enumerate(items) if item.modality == "image"]
        sounds = [i for i, item in enumerate(items) if item.modality == "audio"]
        found: dict[int, np.ndarray | Failure] = {}
        if images and view == "whole":
            vectors = self._encode_images([items[i] for i in images])
            found.update(zip(images, vectors, strict=True))
        if sounds:
            vectors = self._encode_sounds([items[i] for i in sounds], view, seconds)
            found.update(zip(sounds, vectors, strict=True))
        return [
            found.get(i, Failure(item.id, f"{self.name} has no view {view!r} of {item.modality}"))
            for i, item in enumerate(items)
        ]

    def _chunk_seconds(self, view: str) -> float | None:
        limits = moonshine.MIN_SECONDS, moonshine.MAX_SECONDS
        return chunk_seconds(view, self.name, self.views, *limits)

    # The models, each fetched and loaded on first use.

    @cached_property
    def image_model(self) -> efficientnet.EfficientNetLite0:
        return efficientnet.EfficientNetLite0(fetch("efficientnet-lite0"))

    @cached_property
    def speech_model(self) -> moonshine.MoonshineBase:
        return moonshine.MoonshineBase(fetch("moonshine-base"))

    @cached_property
    def sound_model(self) -> yamnet.YamNet:
        return yamnet.YamNet(fetch("yamnet"))

    def image_inputs(self, items: Sequence[Item]) -> list[tuple[np.ndarray, np.ndarray] | Failure]:
        """Normalised features ``[1280]`` and ImageNet posteriors ``[1000]`` of each image."""
        model = self.image_model

        def pixels(item: Item, data: bytes) -> np.ndarray:
            return model.prepare(decode_image(data, name=item.id))

        prepared = in_threads(items, pixels)
        features = model.features([p for p in prepared if not isinstance(p, Failure)])
        pairs = zip(_normalised(features), model.class_scores(features), strict=True)
        return [p if isinstance(p, Failure) else next(pairs) for p in prepared]

    def sound_inputs(self, items: Sequence[Item]) -> list[tuple[np.ndarray, np.ndarray] | Failure]:
        """Features of each sound, Moonshine's beside YAMNet's, each normalised ``[1440]``, and
        AudioSet's posteriors, the highest over its patches ``[521]``."""
        speech_model, sound_model = self.speech_model, self.sound_model

        def joined(item: Item, data: bytes) -> np.ndarray:
            samples = _decode_whole(item, data)
            speech = speech_model.frames(_pad(samples)).mean(axis=0, keepdims=True)
            features, scores = sound_model.features_and_scores(samples)
            sound = features.mean(axis=0, keepdims=True)
            return np.concatenate(
                [_normalised(speech)[0], _normalised(sound)[0], scores.max(axis=0)]
            )

        width = moonshine.DIM + yamnet.DIM
        return [
            row if isinstance(row, Failure) else (row[:width], row[width:])
            for row in in_threads(items, joined)
        ]

    def _encode_images(self, items: Sequence[Item]) -> list[np.ndarray | Failure]:
        model = self.image_model

        def pixels(item: Item, data: bytes) -> np.ndarray:
            return model.prepare(decode_image(data, name=item.id))

        prepared = in_threads(items, pixels)
        features = iter(model.features([p for p in prepared if not isinstance(p, Failure)]))
        return [
            p if isinstance(p, Failure) else _place(image=next(features)[None]) for p in prepared
        ]

    def _encode_sounds(
        self, items: Sequence[Item], view: str, seconds: float | None
    ) -> list[np.ndarray | Failure]:
        # Loaded here, before the threads start: a model that cannot be fetched
        # is one error and not one failure an item.
        speech_model, sound_model = self.speech_model, self.sound_model

        def frames(item: Item, data: bytes) -> np.ndarray:
            return speech_model.frames(_pad(_decode_whole(item, data)))

        def pooled(item: Item, data: bytes) -> np.ndarray:
            if seconds is None:
                pieces = [_decode_whole(item, data)]
            else:
                samples = decode_audio(data, suffix=item.media.suffix, name=item.id)
                pieces = cut(samples, seconds)
            speech = [speech_model.frames(_pad(piece)).mean(axis=0) for piece in pieces]
            sound = [sound_model.features(piece).mean(axis=0) for piece in pieces]
            return _place(speech=np.stack(speech), sound=np.stack(sound))

        return in_threads(items, frames if view == "frames" else pooled)


def in_threads(
    items: Iterable[Item], work: Callable[[Item, bytes], np.ndarray]
) -> list[np.ndarray | Failure]:
    """``work`` on each item's bytes, in order; what is refused becomes a failure.

    The bytes are read or generated here, one after the other, since a
    generator need not bear threads; decoding and models run beside it.
    """
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:

        def start(item: Item) -> Future[np.ndarray] | Failure:
            try:
                return pool.submit(work, item, item.media.bytes())
            except MediaUnavailable as error:
                return Failure(item.id, f"{item.id}: its bytes cannot be had: {error}")
            except UserError:  # a wrong checksum, say: not this item's fault
                raise
            except (OSError, RuntimeError, ValueError) as error:
                return Failure(item.id, f"{item.id}: its bytes cannot be had: {error}")

        def finish(item: Item, started: Future[np.ndarray] | Failure) -> np.ndarray | Failure:
            if isinstance(started, Failure):
                return started
            try:
                return started.result()
            except MediaError as error:
                return Failure(item.id, str(error))
            except (RuntimeError, ValueError, OSError, ArithmeticError) as error:
                # a decoder or a model that chokes on one item says nothing about the others
                return Failure(item.id, f"{item.id}: {type(error).__name__}: {error}")

        return [finish(i, s) for i, s in [(item, start(item)) for item in items]]


def _decode_whole(item: Item, data: bytes) -> np.ndarray:
    samples = decode_audio(data, suffix=item.media.suffix, name=item.id)
    seconds = len(samples) / RATE
    if seconds > moonshine.MAX_SECONDS:
        raise MediaError(
            item.id,
            f"the sound is {seconds:.0f} s long, more than {moonshine.MAX_SECONDS:.0f} s",
            "cut it, or encode it with the view chunks:<seconds>",
        )
    return samples


def _pad(samples: np.ndarray) -> np.ndarray:
    return np.pad(samples, (0, max(0, _MIN_SAMPLES - len(samples))))


def _place(**blocks: np.ndarray) -> np.ndarray:
    """Each block ``[n, its width]``, normalised, in its place of zeros ``[n, 2720]``."""
    rows = len(next(iter(blocks.values())))
    vectors = np.zeros((rows, DIM), np.float32)
    for name, values in blocks.items():
        vectors[:, BLOCKS[name]] = _normalised(values)
    return vectors


def _normalised(values: np.ndarray) -> np.ndarray:
    """Rows ``[n, d]`` of length one; a row without any feature (a silent patch) stays zero."""
    return values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)
