"""Training the heads of ``open-bound`` on captioned pictures and sounds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from gemb.data.items import Item
from gemb.encoders.base import Failure
from gemb.encoders.minilm import MiniLM
from gemb.encoders.open_bound import OpenBound, named

TEMPERATURE = 0.05  # sentence-transformers' default for this loss
PENALTIES = (1e-3, 1e-2, 1e-1, 1.0)  # weight decay, chosen on validation pairs
EPOCHS, BATCH_SIZE, LEARNING_RATE = 60, 256, 1e-3


@dataclass(frozen=True)
class Pairs:
    """Media and their captions as a head sees them."""

    features: np.ndarray  # [N, F]
    base: np.ndarray  # [N, 384] the mean of class names
    texts: np.ndarray  # [N, 384]
    groups: tuple[str, ...]  # pairs of one caption are one group

    def take(self, index: np.ndarray) -> Pairs:
        """Some of the pairs."""
        return Pairs(
            self.features[index],
            self.base[index],
            self.texts[index],
            tuple(self.groups[i] for i in index),
        )


def pairs(items: Sequence[Item], encoder: OpenBound, text: MiniLM) -> Pairs:
    """The inputs of a head for items of one modality, whose answers are captions."""
    if items[0].modality == "image":
        inputs, names = encoder.image_inputs(items), encoder.image_names
    else:
        inputs, names = encoder.sound_inputs(items), encoder.sound_names
    kept = [
        (i, given) for i, given in zip(items, inputs, strict=True) if not isinstance(given, Failure)
    ]
    return Pairs(
        np.stack([g[0] for _, g in kept]).astype(np.float32),
        np.stack([named(g[1], names) for _, g in kept]).astype(np.float32),
        text.vectors([i.answer for i, _ in kept]),
        tuple(i.answer for i, _ in kept),
    )


def train(data: Pairs, penalty: float, seed: int = 0) -> np.ndarray:
    """A head ``[F, 384]`` by symmetric InfoNCE; it starts at zero, where it changes nothing.

    Pairs of one caption are not each other's negatives.
    """
    torch.manual_seed(seed)
    features, base, texts = (torch.from_numpy(a) for a in (data.features, data.base, data.texts))
    ids = {g: n for n, g in enumerate(dict.fromkeys(data.groups))}
    group = torch.tensor([ids[g] for g in data.groups])
    head = torch.zeros(features.shape[1], texts.shape[1], requires_grad=True)
    optimiser = torch.optim.AdamW([head], lr=LEARNING_RATE, weight_decay=penalty)
    for _ in range(EPOCHS):
        for index in torch.randperm(len(features)).split(BATCH_SIZE):
            optimiser.zero_grad()
            vectors = normalize(base[index] + features[index] @ head, dim=1)
            info_nce(vectors, texts[index], group[index]).backward()
            optimiser.step()
    return head.detach().numpy()


def info_nce(vectors: Tensor, texts: Tensor, group: Tensor) -> Tensor:
    """Symmetric InfoNCE (van den Oord et al., 2018) of matched rows ``[B, D]``, both normalised.

    ``group`` ``[B]``: rows of one group are alike, and left out of each other's negatives.
    """
    logits = vectors @ texts.T / TEMPERATURE
    alike = (group[:, None] == group[None]) & ~torch.eye(len(group), dtype=torch.bool)
    logits = logits.masked_fill(alike, -torch.inf)
    target = torch.arange(len(group))
    return (cross_entropy(logits, target) + cross_entropy(logits.T, target)) / 2


def hits(data: Pairs, head: np.ndarray | None) -> float:
    """Share of media whose own caption is the nearest of all their captions."""
    vectors = data.base if head is None else data.base + data.features @ head
    first = {g: n for n, g in reversed(list(enumerate(data.groups)))}
    captions = list(first)
    texts = data.texts[list(first.values())]
    nearest = (vectors @ texts.T).argmax(1)
    return float(np.mean([captions[n] == g for n, g in zip(nearest, data.groups, strict=True)]))


def parted(data: Pairs, share: float = 0.2, seed: int = 0) -> tuple[Pairs, Pairs]:
    """Training and validation pairs; no caption is on both sides."""
    groups = list(dict.fromkeys(data.groups))
    rng = np.random.default_rng(seed)
    held = set(rng.permutation(groups)[: max(1, round(share * len(groups)))].tolist())
    inside = np.array([g in held for g in data.groups])
    return data.take(np.flatnonzero(~inside)), data.take(np.flatnonzero(inside))


def choose(data: Pairs) -> tuple[np.ndarray, float, float, float]:
    """The head whose penalty is best on validation pairs, trained again on all pairs.

    Returns:
        The head, its penalty, its validation score, and that without any head.
    """
    inside, outside = parted(data)
    scores = {p: hits(outside, train(inside, p)) for p in PENALTIES}
    best = max(scores, key=lambda p: (scores[p], p))
    return train(data, best), best, scores[best], hits(outside, None)


def write(
    heads: dict[str, np.ndarray], validation: dict[str, dict[str, float]], path: Path
) -> None:
    """Keep the heads in float16, and with them what validation said of them."""
    save_file(
        {k: v.astype(np.float16) for k, v in heads.items()},
        path,
        {"validation": json.dumps(validation)},
    )
