"""all-MiniLM-L6-v2: what a text means, as one vector of 384 dimensions."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch

from gemb.data import manifests
from gemb.data.fetch import fetch
from gemb.data.items import Item
from gemb.encoders.base import EncoderIdentity, Failure, whole_identity
from gemb.tasks import Modality

DIM = 384
MANIFEST = "minilm"
PARAMETERS = 22_713_216  # of the weights file
MAX_TOKENS = 256  # as published with the model; what is longer is cut

_PREPROCESSING = "1"


class MiniLM:
    """Texts to L2-normalised vectors: the mean of the last hidden states, as published.

    In float32, one length at a time, so that a text's vector does not depend
    on the others in the batch. Items carry their text as UTF-8.
    """

    name = "minilm"
    dim = DIM
    modalities: tuple[Modality, ...] = ("text",)
    views = ("whole",)

    @cached_property
    def revision(self) -> str:
        """A hash of the checksums in the manifest."""
        files = sorted(f"{f.path} {f.sha256}" for f in manifests.get(MANIFEST).files)
        return hashlib.sha256("\n".join(files).encode()).hexdigest()[:12]

    def identity(self, view: str = "whole") -> EncoderIdentity:
        """What decides a vector; there is one view."""
        return whole_identity(self, _PREPROCESSING, view)

    def encode(self, items: Sequence[Item], view: str = "whole") -> list[np.ndarray | Failure]:
        """Vectors float32 ``[1, 384]`` of each item, in order; a failure where it is no text."""
        self.identity(view)
        texts: dict[int, str] = {}
        failures: dict[int, Failure] = {}
        for number, item in enumerate(items):
            try:
                if item.modality != "text":
                    raise ValueError(f"{self.name} reads text, not {item.modality}")
                text = item.media.bytes().decode("utf-8")
                if not text.strip():
                    raise ValueError("the text is empty")
                texts[number] = text
            except (OSError, RuntimeError, ValueError) as error:
                failures[number] = Failure(item.id, f"{item.id}: {error}")
        rows = dict(zip(texts, self.vectors(list(texts.values())), strict=True))
        return [failures[n] if n in failures else rows[n][None].copy() for n in range(len(items))]

    @torch.inference_mode()
    def vectors(self, texts: Sequence[str], batch_size: int = 64) -> np.ndarray:
        """Vectors ``[N, 384]`` of texts."""
        tokenizer, model = self._parts
        ids = [tokenizer(t, truncation=True, max_length=MAX_TOKENS)["input_ids"] for t in texts]
        out = np.zeros((len(texts), DIM), np.float32)
        for length in sorted({len(i) for i in ids}):  # equal lengths need no padding
            same = [n for n, i in enumerate(ids) if len(i) == length]
            for begin in range(0, len(same), batch_size):
                part = same[begin : begin + batch_size]
                batch = torch.tensor([ids[n] for n in part])  # [B, T]
                mean = model(input_ids=batch).last_hidden_state.mean(1)
                out[part] = torch.nn.functional.normalize(mean, dim=1).numpy()
        return out

    @cached_property
    def _parts(self) -> tuple[Any, Any]:
        from transformers import AutoModel, AutoTokenizer
        from transformers.utils import logging

        folder = fetch(MANIFEST)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        shown = logging.is_progress_bar_enabled()
        logging.disable_progress_bar()  # half a second is not worth a bar
        try:
            model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
        finally:
            if shown:
                logging.enable_progress_bar()
        return tokenizer, model
