"""Images, sounds and texts in one space of 384 dimensions, from parts that share none.

No model that binds pictures, sounds and texts ships in any package. This one is put together:
EfficientNet-Lite0 says which ImageNet classes it sees, YAMNet which AudioSet classes it hears, and
MiniLM knows where the names of both lie among all texts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import load_file

from gemb.data import manifests
from gemb.data.fetch import fetch
from gemb.data.items import Item
from gemb.data.manifests import MANIFESTS
from gemb.encoders import minilm, open_concat
from gemb.encoders.base import EncoderIdentity, Failure, whole_identity
from gemb.errors import UnknownName, UserError
from gemb.tasks import Modality

DIM = minilm.DIM
TOP = 10  # most probable classes of a medium; the others say more noise than content
HEADS = MANIFESTS / "released" / "bound-heads.safetensors"
VARIANTS = ("posteriors", "trained")

_PREPROCESSING = "1"

Inputs = tuple[np.ndarray, np.ndarray]  # features and class scores of one medium


class OpenBound:
    """One space for images, sounds and texts, L2-normalised, 384 dimensions.

    Two variants, by name ``open-bound:posteriors`` and ``open-bound:trained``:

    - ``posteriors``, without training: the mean of the MiniLM vectors of the ten most probable
      class names, weighted by their probability. Of a sound the most probable over its patches.
      AudioSet's names hold the answers of many a sound task: that is told wherever it is used.
    - ``trained``: the same plus a linear map of the features (EfficientNet's of an image,
      Moonshine's and YAMNet's of a sound), trained by symmetric InfoNCE on pairs of medium and
      caption from which the tested categories were left out.

    A text is its MiniLM vector in both. ``open-bound`` alone is the one that found more captions
    of held-out pairs, the mean over pictures, sounds and speech (:func:`validation`).
    """

    name = "open-bound"
    dim = DIM
    modalities: tuple[Modality, ...] = ("image", "audio", "text")
    views = ("whole",)

    def __init__(self, variant: str = "", heads: Path = HEADS):
        variant = variant or better(heads)
        if variant not in VARIANTS:
            raise UnknownName(f"no open-bound:{variant}; there are: {', '.join(VARIANTS)}")
        if variant == "trained" and not heads.exists():
            raise UserError(
                f"open-bound:trained needs {heads.name}, which is not released yet: "
                "use open-bound:posteriors"
            )
        self.variant, self._heads_file = variant, heads
        self._concat = open_concat.OpenConcat()
        self._text = minilm.MiniLM()

    @cached_property
    def revision(self) -> str:
        """Stands for the weights of all parts, the names, and the heads where they are used."""
        names = [f"{f.path} {f.sha256}" for f in manifests.get("imagenet-names").files]
        parts = [self.variant, self._concat.revision, self._text.revision, *sorted(names)]
        if self.variant == "trained":
            parts.append(hashlib.sha256(self._heads_file.read_bytes()).hexdigest())
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]

    def identity(self, view: str = "whole") -> EncoderIdentity:
        """What decides a vector; there is one view."""
        return whole_identity(self, _PREPROCESSING, view)

    def encode(self, items: Sequence[Item], view: str = "whole") -> list[np.ndarray | Failure]:
        """Vectors float32 ``[1, 384]`` of each item, in order, or a failure in its place."""
        self.identity(view)
        found: dict[int, np.ndarray | Failure] = {}
        for modality in ("image", "audio", "text"):
            where = [n for n, i in enumerate(items) if i.modality == modality]
            if not where:
                continue
            some = [items[n] for n in where]
            if modality == "text":
                vectors = self._text.encode(some)
            elif modality == "image":
                vectors = self._bound(self.image_inputs(some), "image", self.image_names)
            else:
                vectors = self._bound(self.sound_inputs(some), "sound", self.sound_names)
            found.update(zip(where, vectors, strict=True))
        return [found[n] for n in range(len(items))]

    def image_inputs(self, items: Sequence[Item]) -> list[Inputs | Failure]:
        """Features ``[1280]`` and class scores ``[1000]`` of images."""
        return self._concat.image_inputs(items)

    def sound_inputs(self, items: Sequence[Item]) -> list[Inputs | Failure]:
        """Features ``[1440]`` and class scores ``[521]`` of sounds."""
        return self._concat.sound_inputs(items)

    @cached_property
    def image_names(self) -> np.ndarray:
        """MiniLM vectors of the names of ImageNet's classes, ``[1000, 384]``."""
        folder = fetch("imagenet-names")
        words = dict(
            line.split("\t", 1)
            for line in (folder / "words.txt").read_text(encoding="utf-8").splitlines()
        )
        synsets = (folder / "synsets.txt").read_text(encoding="utf-8").split()
        return self._text.vectors([words[s] for s in synsets])

    @cached_property
    def sound_names(self) -> np.ndarray:
        """MiniLM vectors of the names of AudioSet's classes, ``[521, 384]``."""
        return self._text.vectors(self._concat.sound_model.class_names)

    @cached_property
    def _heads(self) -> dict[str, np.ndarray]:
        return {k: v.astype(np.float32) for k, v in load_file(self._heads_file).items()}

    def _bound(
        self,
        inputs: Sequence[Inputs | Failure],
        kind: str,
        names: np.ndarray,
    ) -> list[np.ndarray | Failure]:
        """Vectors of media from their features ``[F]`` and class scores ``[C]``."""
        out: list[np.ndarray | Failure] = []
        for given in inputs:
            if isinstance(given, Failure):
                out.append(given)
                continue
            features, scores = given
            vector = named(scores, names)
            if self.variant == "trained":
                vector = vector + features @ self._heads[kind]
            out.append((vector / np.linalg.norm(vector))[None].astype(np.float32))
        return out


def validation(heads: Path = HEADS) -> dict[str, dict[str, float]]:
    """Of held-out pairs, how many media find their own caption first: by kind, then variant.

    As kept with the heads when they were trained; empty where there are none.
    """
    if not heads.exists():
        return {}
    with safe_open(heads, "numpy") as file:
        found: dict[str, dict[str, float]] = json.loads(file.metadata()["validation"])
    return found


def better(heads: Path = HEADS) -> str:
    """The variant that is better on held-out pairs; ``posteriors`` on a tie or without heads."""
    by_kind = validation(heads).values()
    means = {v: float(np.mean([k[v] for k in by_kind])) if by_kind else 0.0 for v in VARIANTS}
    return max(VARIANTS, key=lambda v: means[v])


def named(scores: np.ndarray, names: np.ndarray, top: int = TOP) -> np.ndarray:
    """The mean of the names' vectors ``[C, D]`` weighted by the scores ``[C]``, normalised ``[D]``.

    Of the ``top`` most probable classes alone.
    """
    best = np.argsort(-scores, kind="stable")[:top]
    mean = scores[best] @ names[best]
    return mean / np.linalg.norm(mean)
