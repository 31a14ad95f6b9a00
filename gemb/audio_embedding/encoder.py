"""A trained model as an encoder of the study: ``open-audio:<folder>``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from gemb import records
from gemb.audio_embedding import features
from gemb.audio_embedding.config import Parts
from gemb.audio_embedding.model import AudioEmbedder, read_config
from gemb.data.items import Item
from gemb.encoders.base import EncoderIdentity, Failure, chunk_seconds, failure
from gemb.tasks import Modality


class OpenAudio:
    """Sounds and texts in one space, by a model that ``gemb audio train`` saved.

    Views:
        ``whole``: a sound or a text, one unit vector ``[1, D]``.
        ``chunks:<seconds>``: a sound cut into pieces of that length, the last may
            be shorter, each encoded as ``whole`` would be, ``[n, D]``.

    Args:
        folder: Holds the model.
    """

    name = "open-audio"
    modalities: tuple[Modality, ...] = ("audio", "text")
    views = ("whole", "chunks:<seconds>")

    def __init__(self, folder: str | Path):
        self._folder = Path(folder).expanduser()
        self._config = read_config(self._folder)
        self.dim = int(self._config["body"]["hidden_size"])

    @cached_property
    def model(self) -> AudioEmbedder:
        """The model, loaded on first use."""
        return AudioEmbedder.load(self._folder)

    @cached_property
    def revision(self) -> str:
        """Stands for the weights, the parts and the frozen audio encoders."""
        frozen = [(f.name, f.revision) for f in self.model.features]
        said = [self._config["weights_sha256"], self._config["parts"], frozen]
        return records.digest(said)[:12]

    def identity(self, view: str = "whole") -> EncoderIdentity:
        """What decides a vector; ``chunks:1.0`` is ``chunks:1``."""
        seconds = self._chunk_seconds(view)
        if seconds is not None:
            view = f"chunks:{seconds:g}"
        return EncoderIdentity(self.name, self.revision, self.dim, "1", view)

    def encode(self, items: Sequence[Item], view: str = "whole") -> list[np.ndarray | Failure]:
        """Unit vectors float32 ``[n_i, D]`` of each item, in order, or a failure in its place."""
        seconds = self._chunk_seconds(view)
        out: dict[int, np.ndarray | Failure] = {}
        sounds: dict[int, list[Item]] = {}
        texts: dict[int, str] = {}
        for number, item in enumerate(items):
            try:
                if item.modality not in self.modalities:
                    raise ValueError(f"{self.name} reads audio and text, not {item.modality}")
                if item.modality == "audio":
                    sounds[number] = [item] if seconds is None else features.chunks(item, seconds)
                    continue
                if seconds is not None:
                    raise ValueError(f"{self.name} has no view {view!r} of text")
                text = item.media.bytes().decode("utf-8")
                if not text.strip():
                    raise ValueError("the text is empty")
                texts[number] = text
            except (OSError, RuntimeError, ValueError) as error:
                out[number] = failure(item, error)
        vectors = iter(self.model.vectors_of([part for row in sounds.values() for part in row]))
        for number, row in sounds.items():
            out[number] = _rows([next(vectors) for _ in row])
        for number, vector in zip(texts, self.model.embed_text(list(texts.values())), strict=True):
            out[number] = vector[None].copy()
        return [out[n] for n in range(len(items))]

    def _chunk_seconds(self, view: str) -> float | None:
        # a rest of under 0.1 s stays with the piece before it
        longest = Parts.model_validate(self._config["parts"]).max_seconds - 0.1
        return chunk_seconds(view, self.name, self.views, 0.1, longest)


def _rows(parts: Sequence[np.ndarray | Failure]) -> np.ndarray | Failure:
    """The vectors of a sound's parts as rows, or the first failure."""
    failed = next((p for p in parts if isinstance(p, Failure)), None)
    return failed or np.stack([p for p in parts if not isinstance(p, Failure)])
