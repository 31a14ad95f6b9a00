"""A trained model as an encoder of the study: ``open-audio:<folder>``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from gemb import records
from gemb.audio_embedding.model import AudioEmbedder, read_config
from gemb.data.items import Item
from gemb.encoders.base import EncoderIdentity, Failure, whole_identity
from gemb.tasks import Modality


class OpenAudio:
    """Sounds and texts in one space, by a model that ``gemb audio train`` saved.

    Args:
        folder: Holds the model.
    """

    name = "open-audio"
    modalities: tuple[Modality, ...] = ("audio", "text")
    views = ("whole",)

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
        """What decides a vector; there is one view."""
        return whole_identity(self, "1", view)

    def encode(self, items: Sequence[Item], view: str = "whole") -> list[np.ndarray | Failure]:
        """Unit vectors float32 ``[1, D]`` of each item, in order, or a failure in its place."""
        self.identity(view)
        out: dict[int, np.ndarray | Failure] = {}
        sounds = [n for n, i in enumerate(items) if i.modality == "audio"]
        out.update(zip(sounds, self.model.vectors_of([items[n] for n in sounds]), strict=True))
        texts: dict[int, str] = {}
        for number, item in enumerate(items):
            if number in out:
                continue
            try:
                if item.modality != "text":
                    raise ValueError(f"{self.name} reads audio and text, not {item.modality}")
                texts[number] = item.media.bytes().decode("utf-8")
                if not texts[number].strip():
                    raise ValueError("the text is empty")
            except (OSError, RuntimeError, ValueError) as error:
                texts.pop(number, None)
                out[number] = Failure(item.id, f"{item.id}: {error}")
        out.update(zip(texts, self.model.embed_text(list(texts.values())), strict=True))
        rows = [out[n] for n in range(len(items))]
        return [r if isinstance(r, Failure) else r[None].copy() for r in rows]
