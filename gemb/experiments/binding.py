"""Training the heads of ``open-bound`` on captioned pictures, sounds and speech."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file
from torch.nn.functional import normalize

from gemb.audio_embedding.train import InfoNCE
from gemb.data.items import Item
from gemb.data.readers import captioned
from gemb.encoders.base import Failure
from gemb.encoders.minilm import MiniLM
from gemb.encoders.open_bound import OpenBound, named

TEMPERATURE = 0.05  # sentence-transformers' default for this loss
PENALTIES = (10.0, 30.0, 100.0, 300.0)  # weight decay, chosen on held-out pairs
EPOCHS, BATCH_SIZE, LEARNING_RATE = 60, 256, 1e-3
FOLDS = 5
SPEECH = 400  # sentences beside the few sounds, so that a sound's head hears words too


@dataclass(frozen=True)
class Pairs:
    """Media and their captions as a head sees them."""

    features: np.ndarray  # [N, F]
    base: np.ndarray  # [N, 384] the mean of class names
    texts: np.ndarray  # [N, 384]
    captions: tuple[str, ...]
    kinds: tuple[str, ...]  # picture, sound or speech: scored apart

    def take(self, index: np.ndarray) -> Pairs:
        """Some of the pairs."""
        return Pairs(
            self.features[index],
            self.base[index],
            self.texts[index],
            tuple(self.captions[i] for i in index),
            tuple(self.kinds[i] for i in index),
        )


@dataclass(frozen=True)
class Head:
    """A trained head and what held-out pairs say of it: by kind of pair, then by variant."""

    weight: np.ndarray  # [F, 384]
    penalty: float
    validation: dict[str, dict[str, float]]


def seen() -> dict[str, list[str]]:
    """What the heads are trained on: the stamps, and every word of captions and sentences, sorted.

    It is released, so that anybody can see without the packages what a space was bound by.

    Raises:
        SourceUnavailable: The packages cannot be had.
    """
    stamps = [*captioned.pictures(), *captioned.sounds()]
    captions = [i.answer for i in (*stamps, *captioned.speech(SPEECH))]
    words = {word for caption in captions for word in re.findall(r"[\w'-]+", caption.lower())}
    return {
        "stamps": sorted(i.id.removeprefix("captioned/") for i in stamps),
        "words": sorted(words),
    }


def train_heads() -> dict[str, Head]:
    """The heads for images and for sounds, on all captioned media that packages hold.

    Raises:
        SourceUnavailable: The packages cannot be had.
    """
    encoder, text = OpenBound("posteriors"), MiniLM()
    pictures = captioned.pictures()
    sounds, speech = captioned.sounds(), captioned.speech(SPEECH)
    kinds = ["sound"] * len(sounds) + ["speech"] * len(speech)
    return {
        "image": choose(pairs(pictures, ["picture"] * len(pictures), encoder, text)),
        "sound": choose(pairs([*sounds, *speech], kinds, encoder, text)),
    }


def pairs(items: Sequence[Item], kinds: Sequence[str], encoder: OpenBound, text: MiniLM) -> Pairs:
    """The inputs of a head for items of one modality, whose answers are captions."""
    if items[0].modality == "image":
        inputs, names = encoder.image_inputs(items), encoder.image_names
    else:
        inputs, names = encoder.sound_inputs(items), encoder.sound_names
    kept = [
        (item, kind, given)
        for item, kind, given in zip(items, kinds, inputs, strict=True)
        if not isinstance(given, Failure)
    ]
    return Pairs(
        np.stack([features for _, _, (features, _) in kept]).astype(np.float32),
        np.stack([named(scores, names) for _, _, (_, scores) in kept]).astype(np.float32),
        text.vectors([i.answer for i, _, _ in kept]),
        tuple(i.answer for i, _, _ in kept),
        tuple(kind for _, kind, _ in kept),
    )


def train(data: Pairs, penalty: float, seed: int = 0) -> np.ndarray:
    """A head ``[F, 384]`` by symmetric InfoNCE; it starts at zero, where it changes nothing.

    Pairs of one caption are not each other's negatives.
    """
    torch.manual_seed(seed)
    features, base, texts = (torch.from_numpy(a) for a in (data.features, data.base, data.texts))
    ids = {c: n for n, c in enumerate(dict.fromkeys(data.captions))}
    labels = torch.tensor([[ids[c]] for c in data.captions])
    loss = InfoNCE(TEMPERATURE, learnable=False)
    head = torch.zeros(features.shape[1], texts.shape[1], requires_grad=True)
    optimiser = torch.optim.AdamW([head], lr=LEARNING_RATE, weight_decay=penalty)
    for _ in range(EPOCHS):
        for index in torch.randperm(len(features)).split(BATCH_SIZE):
            optimiser.zero_grad()
            vectors = normalize(base[index] + features[index] @ head, dim=1)
            loss(vectors, texts[index], labels[index]).backward()
            optimiser.step()
    return head.detach().numpy()


def hits(data: Pairs, vectors: np.ndarray) -> dict[str, float]:
    """By kind, the share of ``vectors`` ``[N, 384]`` whose own caption is nearest of the kind's."""
    out = {}
    for kind in dict.fromkeys(data.kinds):
        rows = np.array([n for n, k in enumerate(data.kinds) if k == kind])
        first = {data.captions[n]: n for n in reversed(rows)}
        captions = list(first)
        nearest = (vectors[rows] @ data.texts[list(first.values())].T).argmax(1)
        out[kind] = float(
            np.mean([captions[m] == data.captions[n] for m, n in zip(nearest, rows, strict=True)])
        )
    return out


def held_out(data: Pairs, penalty: float, seed: int = 0) -> np.ndarray:
    """The vector ``[N, 384]`` of each pair's medium by a head that never saw its caption."""
    captions = list(dict.fromkeys(data.captions))
    shuffled = np.random.default_rng(seed).permutation(len(captions))
    fold_of = {captions[n]: place % FOLDS for place, n in enumerate(shuffled)}
    fold = np.array([fold_of[c] for c in data.captions])
    out = np.empty_like(data.base)
    for number in range(FOLDS):
        inside, outside = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        head = train(data.take(inside), penalty, seed)
        out[outside] = data.base[outside] + data.features[outside] @ head
    return out


def choose(data: Pairs) -> Head:
    """The head whose penalty is best on held-out pairs, trained again on all pairs.

    Best is the mean over the kinds of pair; of equals the greatest penalty.
    """
    scores = {p: hits(data, held_out(data, p)) for p in PENALTIES}
    best = max(scores, key=lambda p: (np.mean(list(scores[p].values())), p))
    plain = hits(data, data.base)
    validation = {
        kind: {
            "posteriors": plain[kind],
            "trained": scores[best][kind],
            "pairs": data.kinds.count(kind),
        }
        for kind in plain
    }
    return Head(train(data, best), best, validation)


def write(heads: dict[str, Head], path: Path) -> None:
    """Keep the heads in float16, and with them what held-out pairs said of them."""
    validation = {k: v for head in heads.values() for k, v in head.validation.items()}
    save_file(
        {k: head.weight.astype(np.float16) for k, head in heads.items()},
        path,
        {"validation": json.dumps(validation)},
    )
