"""What an audio–text embedding has to beat, on the same pairs.

Each is a model as :mod:`~gemb.audio_embedding.retrieval` asks for:

- ``RandomVectors``: a vector drawn by the hash of the input.
- ``ClassNames``: the ten most probable AudioSet names that YAMNet hears, as the mean of their
  MiniLM vectors. Needs no training; knows sounds and no words.
- ``Transcripts``: what Moonshine writes down, as MiniLM reads it. Needs no training; knows words
  and no sounds.
- ``LinearHeads``: one linear map of frozen features of the sound (Moonshine's mean frame beside
  YAMNet's mean patch) and one of MiniLM's vector of the caption, trained together by symmetric
  InfoNCE on the training pairs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from gemb import encoders, records
from gemb.audio_embedding.retrieval import DIRECTIONS, AudioTextModel, evaluate
from gemb.audio_embedding.train import InfoNCE
from gemb.data.fetch import cache_dir, fetch
from gemb.data.items import Item, Pair
from gemb.data.media import decode_audio
from gemb.embed import embed
from gemb.encoders import minilm, moonshine, yamnet
from gemb.encoders.base import Encoder, Failure
from gemb.encoders.minilm import MiniLM
from gemb.encoders.moonshine import MIN_SECONDS, RATE, MoonshineBase
from gemb.encoders.open_concat import BLOCKS
from gemb.errors import UserError
from gemb.progress import progress
from gemb.store import Store

DIM = 256  # of the space that the linear heads share
EPOCHS, BATCH_SIZE, LEARNING_RATE, TEMPERATURE = 40, 256, 1e-3, 0.05
PENALTIES = (1e-3, 1e-1, 1.0)  # weight decay, chosen on validation pairs

# What tables call them, and the parameters of all that runs; of linear heads without the heads.
RANDOM, NAMES, WORDS = "random", "YAMNet's class names, MiniLM", "Moonshine's transcript, MiniLM"
LINEAR = "linear heads"
PARAMETERS = {
    RANDOM: 0,
    NAMES: yamnet.PARAMETERS + minilm.PARAMETERS,
    WORDS: moonshine.PARAMETERS + moonshine.DECODER_PARAMETERS + minilm.PARAMETERS,
    LINEAR: moonshine.PARAMETERS + yamnet.PARAMETERS + minilm.PARAMETERS,
}


class RandomVectors:
    """Vectors without any meaning: chance, with the scatter that chance has."""

    def __init__(self, seed: int = 0):
        self._seed = seed

    def embed_audio(self, items: Sequence[Item]) -> np.ndarray:
        return self._drawn([i.media.key for i in items])

    def embed_text(self, texts: Sequence[str]) -> np.ndarray:
        return self._drawn(texts)

    def _drawn(self, names: Sequence[str]) -> np.ndarray:
        digests = [hashlib.sha256(f"{self._seed}|{n}".encode()).digest() for n in names]
        rows = [np.random.default_rng(list(d)).normal(size=DIM) for d in digests]
        return unit(np.stack(rows))


class _Reader:
    """Texts as MiniLM reads them."""

    @cached_property
    def _text(self) -> MiniLM:
        return MiniLM()

    def embed_text(self, texts: Sequence[str]) -> np.ndarray:
        return self._text.vectors(texts)


class ClassNames(_Reader):
    """AudioSet's names of what YAMNet hears, in MiniLM's space: ``open-bound:posteriors``."""

    def __init__(self, store: Store | None = None):
        self._encoder, self._store = encoders.load("open-bound:posteriors"), store

    def embed_audio(self, items: Sequence[Item]) -> np.ndarray:
        return _vectors(self._encoder, items, self._store, "class names")


class Transcripts(_Reader):
    """What Moonshine understands, in MiniLM's space.

    Decoding takes most of a second a clip: transcripts are kept in the cache, by the clip's key.
    """

    def embed_audio(self, items: Sequence[Item]) -> np.ndarray:
        return self.embed_text(self.transcribe(items))

    def transcribe(self, items: Sequence[Item]) -> list[str]:
        """What is heard in each; of a sound without speech some words or none."""
        path = cache_dir() / "measured" / "pairs-transcripts.json"
        kept: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
        todo = [i for i in {i.media.key: i for i in items}.values() if i.media.key not in kept]
        try:
            with progress("transcribing", len(todo)) as bar:
                for item in todo:
                    kept[item.media.key] = self.hear(item)
                    bar.update(1)
        finally:
            if todo:
                records.write_text(path, json.dumps(kept))
        return [kept[i.media.key] for i in items]

    def hear(self, item: Item) -> str:
        """What is heard in one, transcribed anew."""
        samples = decode_audio(item.media.bytes(), suffix=item.media.suffix, name=item.id)
        short = max(0, round(MIN_SECONDS * RATE) - len(samples))
        return self._speech.transcribe(np.pad(samples, (0, short)))

    @cached_property
    def _speech(self) -> MoonshineBase:
        return MoonshineBase(fetch("moonshine-base"))


class Frozen(_Reader):
    """The frozen features that the linear heads see: of sounds ``[N, 1440]``, of texts
    ``[N, 384]``; of sounds kept in the store, where one is given."""

    def __init__(self, store: Store | None = None):
        self._encoder, self._store = encoders.load("open-concat"), store

    def sounds(self, items: Sequence[Item]) -> np.ndarray:
        vectors = _vectors(self._encoder, items, self._store, "frozen features")
        return vectors[:, BLOCKS["speech"].start : BLOCKS["sound"].stop]


@dataclass(frozen=True)
class LinearHeads:
    """Two linear maps into one space; see the module.

    Attributes:
        frozen: Makes the features.
        mean: Of the training sounds' features, ``[1440]``.
        spread: Their standard deviation, ``[1440]``.
        audio: ``[1440, DIM]``.
        text: ``[384, DIM]``.
        penalty: The weight decay that was best on validation pairs.
    """

    frozen: Frozen
    mean: np.ndarray
    spread: np.ndarray
    audio: np.ndarray
    text: np.ndarray
    penalty: float

    @property
    def parameters(self) -> int:
        """How many are trained."""
        return self.audio.size + self.text.size

    def embed_audio(self, items: Sequence[Item]) -> np.ndarray:
        return unit((self.frozen.sounds(items) - self.mean) / self.spread @ self.audio)

    def embed_text(self, texts: Sequence[str]) -> np.ndarray:
        return unit(self.frozen.embed_text(texts) @ self.text)

    @classmethod
    def fit(
        cls, train: Sequence[Pair], val: Sequence[Pair], frozen: Frozen, seed: int = 0
    ) -> LinearHeads:
        """Train on pairs; the weight decay is what retrieves the validation pairs best.

        Pairs of one caption are not each other's negatives.

        Raises:
            UserError: There are no pairs to train on or to choose by.
        """
        if not train or not val:
            raise UserError("linear heads need pairs to train on and pairs to choose by")
        sounds = frozen.sounds([i for i, _ in train])
        mean, spread = sounds.mean(0), sounds.std(0)
        spread[spread < 1e-6] = 1.0
        inputs = (
            torch.from_numpy((sounds - mean) / spread).float(),
            torch.from_numpy(frozen.embed_text([c for _, c in train])).float(),
        )
        numbers = {c: n for n, c in enumerate(dict.fromkeys(c for _, c in train))}
        group = torch.tensor([numbers[c] for _, c in train])
        best: tuple[float, LinearHeads] | None = None
        for penalty in PENALTIES:
            audio, text = _heads(*inputs, group, penalty, seed)
            model = cls(frozen, mean, spread, audio, text, penalty)
            found = evaluate(model, val)
            score = float(np.mean([found.values[d]["cvR@5"].mean() for d in DIRECTIONS]))
            if best is None or score > best[0]:
                best = (score, model)
        assert best is not None
        return best[1]


def _heads(
    sounds: Tensor, texts: Tensor, group: Tensor, penalty: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Two maps ``[F, DIM]`` trained by symmetric InfoNCE on rows that belong together."""
    generator = torch.Generator().manual_seed(seed)
    audio, text = (
        (torch.randn(x.shape[1], DIM, generator=generator) / x.shape[1] ** 0.5).requires_grad_()
        for x in (sounds, texts)
    )
    criterion = InfoNCE(TEMPERATURE, learnable=False)
    optimiser = torch.optim.AdamW([audio, text], lr=LEARNING_RATE, weight_decay=penalty)
    for _ in range(EPOCHS):
        for index in torch.randperm(len(sounds), generator=generator).split(BATCH_SIZE):
            optimiser.zero_grad()
            heard = normalize(sounds[index] @ audio, dim=1)
            read = normalize(texts[index] @ text, dim=1)
            criterion(heard, read, group[index, None]).backward()
            optimiser.step()
    return audio.detach().numpy(), text.detach().numpy()


def untrained(store: Store | None = None) -> dict[str, AudioTextModel]:
    """The baselines that need no training, by the name that tables give them."""
    return {
        RANDOM: RandomVectors(),
        NAMES: ClassNames(store),
        WORDS: Transcripts(),
    }


def _vectors(
    encoder: Encoder, items: Sequence[Item], store: Store | None, label: str
) -> np.ndarray:
    """One vector an item, ``[N, D]``.

    Raises:
        UserError: One could not be encoded.
    """
    if store is not None:
        found = embed(items, encoder, store, label=label)
        failures = found.failures
        if not failures:
            return found.matrix(items)
    else:
        rows = encoder.encode(items)
        failures = [r for r in rows if isinstance(r, Failure)]
        if not failures:
            return np.concatenate([r for r in rows if not isinstance(r, Failure)])
    raise UserError(f"{failures[0].reason} ({len(failures)} of {len(items)} items; leave them out)")


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows of length one, float32."""
    return (rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)).astype(
        np.float32
    )
