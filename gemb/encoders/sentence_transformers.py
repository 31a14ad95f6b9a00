"""Any model that sentence-transformers loads: of texts, of pictures, of sounds, or of all."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from gemb.data.fetch import offline
from gemb.data.items import Item
from gemb.data.media import RATE, decode_audio, decode_image
from gemb.encoders.base import EncoderIdentity, Failure, failure, whole_identity
from gemb.errors import UserError
from gemb.tasks import Modality

# To be raised whenever the same file would give another vector.
_PREPROCESSING = "1"


class ModelUnavailable(UserError, RuntimeError):
    """A model that is neither in a folder nor to be had from the hub; says what was tried."""


class SentenceTransformers:
    """What ``SentenceTransformer(source).encode`` gives, as it is: normalised or not.

    Text goes in as text, a picture decoded to RGB, a sound decoded to mono at the rate that the
    model's processor asks for. Which of them the model reads, it says itself. No code that comes
    with a model is run.

    Args:
        source: Folder or hub id.
    """

    views = ("whole",)

    def __init__(self, source: str):
        self.source = source
        self._folder = Path(source) if Path(source).is_dir() else None
        # A folder is known by its own name: its place on the disk identifies nothing.
        short = self._folder.resolve().name if self._folder else source
        self.name = f"sentence-transformers/{short}"

    @cached_property
    def revision(self) -> str:
        """A hash of the folder's files, or the hub's commit."""
        if self._folder is None:
            return self._commit
        digest = hashlib.sha256()
        for path in sorted(self._folder.rglob("*")):
            inside = path.relative_to(self._folder)
            if path.is_file() and path.name != "README.md" and inside.parts[0][0] != ".":
                with path.open("rb") as file:
                    content = hashlib.file_digest(file, "sha256").hexdigest()
                digest.update(f"{content}  {inside.as_posix()}\n".encode())
        return digest.hexdigest()[:12]

    @property
    def dim(self) -> int:
        """D, as the model says."""
        return int(self._model.get_embedding_dimension())

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """What the model reads."""
        known: tuple[Modality, ...] = ("image", "audio", "text")
        return tuple(m for m in known if self._model.supports(m))

    def identity(self, view: str = "whole") -> EncoderIdentity:
        """What decides a vector; there is one view."""
        return whole_identity(self, _PREPROCESSING, view)

    def encode(self, items: Sequence[Item], view: str = "whole") -> list[np.ndarray | Failure]:
        """Vectors float32 ``[1, D]`` of each item, in order, or a failure in its place."""
        self.identity(view)
        found: dict[int, np.ndarray | Failure] = {}
        for modality in self.modalities:
            inputs: dict[int, Any] = {}
            for number, item in enumerate(items):
                if item.modality == modality:
                    try:
                        inputs[number] = {modality: self._decode(item)}
                    except (OSError, RuntimeError, ValueError) as error:
                        found[number] = failure(item, error)
            vectors = self._vectors([items[n] for n in inputs], list(inputs.values()))
            found.update(zip(inputs, vectors, strict=True))
        reads = ", ".join(self.modalities)
        return [
            found.get(n, Failure(i.id, f"{i.id}: {self.name} reads {reads}, not {i.modality}"))
            for n, i in enumerate(items)
        ]

    def _vectors(self, items: Sequence[Item], inputs: list[Any]) -> list[np.ndarray | Failure]:
        """Vectors of decoded inputs; where a batch is refused, of each by itself."""
        if not inputs:
            return []
        try:
            rows = self._model.encode(inputs, show_progress_bar=False)
        except Exception as error:  # models raise whatever an input makes them trip over
            if len(inputs) == 1:
                return [failure(items[0], error)]
            return [self._vectors([i], [x])[0] for i, x in zip(items, inputs, strict=True)]
        return [
            row[None]
            if np.isfinite(row).all()
            else Failure(item.id, f"{item.id}: the model gave NaN or infinity")
            for item, row in zip(items, np.asarray(rows, np.float32), strict=True)
        ]

    def _decode(self, item: Item) -> Any:
        data = item.media.bytes()
        if item.modality == "image":
            return decode_image(data, name=item.id)
        if item.modality == "audio":
            samples = decode_audio(data, suffix=item.media.suffix, name=item.id, rate=self._rate)
            return {"array": samples, "sampling_rate": self._rate}
        text = data.decode("utf-8")
        if not text.strip():
            raise ValueError("the text is empty")
        return text

    @property
    def _rate(self) -> int:
        """Samples a second that the model's processor asks for."""
        processor = self._model.processor
        extractor = getattr(processor, "feature_extractor", processor)
        return int(getattr(extractor, "sampling_rate", RATE))

    @cached_property
    def _commit(self) -> str:
        from huggingface_hub import snapshot_download

        try:  # the small files alone: the weights are left to whoever loads them
            snapshot = snapshot_download(
                self.source, allow_patterns=["*.json"], local_files_only=offline()
            )
        except (OSError, ValueError) as error:
            raise self._unavailable(error) from error
        return Path(snapshot).name

    @cached_property
    def _model(self) -> Any:
        from sentence_transformers import SentenceTransformer

        try:
            return SentenceTransformer(
                str(self._folder or self.source),
                revision=None if self._folder else self._commit,
                local_files_only=offline() or self._folder is not None,
            )
        except (ImportError, OSError, ValueError) as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: Exception) -> ModelUnavailable:
        hub = "OFFLINE keeps from the hub" if offline() else "not to be had from the hub"
        where = "the folder holds no model that can be loaded" if self._folder else hub
        return ModelUnavailable(
            f"sentence-transformers:{self.source}: {where}, give a folder or a hub id: {error}"
        )
