"""The model: sounds and texts through one language model's body to one vector each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoConfig, AutoFeatureExtractor, AutoTokenizer

import gemb
from gemb import records
from gemb.adaptor import spread
from gemb.audio_embedding import features, surgery
from gemb.audio_embedding.config import Parts
from gemb.data.items import Item
from gemb.device import best_device
from gemb.embed import embed
from gemb.encoders.base import Failure
from gemb.errors import UserError
from gemb.store import Store

# What a clip or a text is before anything trainable: frames ``[n, F]`` or words.
Input = np.ndarray | str

MAX_TEXT_TOKENS = 512  # what is longer is cut
_CONFIG, _WEIGHTS = "config.json", "model.safetensors"


class Projection(nn.Module):
    """Frames ``[.., F]`` to audio tokens ``[.., H]``: one linear map, its inputs standardised.

    ``scale`` is the size of a word's embedding, so that a new projection gives tokens of that size.
    """

    mean: Tensor
    spread: Tensor
    scale: Tensor

    def __init__(self, linear: nn.Linear, scale: float = 1.0):
        super().__init__()
        self.linear = linear
        self.register_buffer("mean", torch.zeros(linear.in_features))
        self.register_buffer("spread", torch.ones(linear.in_features))
        self.register_buffer("scale", torch.tensor(scale))

    def standardise_by(self, frames: np.ndarray) -> None:
        """Take mean and spread of each dimension from training frames ``[N, F]``."""
        self.mean.copy_(torch.from_numpy(frames.mean(0)))
        self.spread.copy_(torch.from_numpy(spread(frames)))

    def forward(self, frames: Tensor) -> Tensor:
        inputs = (frames.to(self.mean.dtype) - self.mean) / self.spread
        out: Tensor = self.scale * self.linear(inputs)
        return out


class AudioEmbedder(nn.Module):
    """Audio encoder → projection → language model's body → pooling → unit length.

    Attributes:
        parts: What it is made of.
        provenance: Where its weights come from, plain JSON; kept with the model.
        body, tokenizer: The language model without its head.
        projection: From frames to the body's width.
        tower: The audio tower, where it is none of the frozen encoders.
    """

    def __init__(
        self,
        parts: Parts,
        body: Any,
        tokenizer: Any,
        projection: Projection,
        tower: surgery.Tower | None = None,
        extractor: Any = None,
        provenance: Mapping[str, Any] | None = None,
    ):
        super().__init__()
        self.parts, self.body, self.tokenizer = parts, body, tokenizer
        self.projection, self.tower, self.extractor = projection, tower, extractor
        self.provenance: dict[str, Any] = dict(provenance or {})
        self._features: list[features.Features] | None = None

    # --- made, saved, loaded ---------------------------------------------------------------

    @classmethod
    def build(
        cls, parts: Parts, seed: int = 0, device: torch.device | str | None = None
    ) -> AudioEmbedder:
        """Put pretrained parts together; a new projection is drawn with ``seed``.

        Without ``device`` CUDA is taken where there is one.

        Raises:
            UserError: A part cannot be had or does not fit, or has fewer layers than are kept.
        """
        dtype, where = getattr(torch, parts.dtype), _device(device)
        body, tokenizer, revision = surgery.body(parts.llm, dtype, where)
        parts = surgery.framed(parts, tokenizer)
        if parts.layers is not None:
            surgery.prune(body, parts.layers)
        hidden = body.config.hidden_size
        found = {"llm": revision}
        tower = extractor = own = None
        if parts.is_frozen:
            width = sum(features.DIMS[a] for a in parts.audio) * parts.stack
            found |= {f.name: f.revision for f in _frozen(parts)}
        else:
            tower, own, extractor, found["audio"] = surgery.tower(parts.audio[0], dtype)
            width = tower.dim * parts.stack
        fits = own is not None and (own.in_features, own.out_features) == (width, hidden)
        if parts.projection == "own" and not fits:
            assert own is not None
            raise UserError(
                f"the projection of {parts.audio[0]} maps {own.in_features} to "
                f"{own.out_features} dimensions, and {width} to {hidden} are wanted: take "
                "projection 'new' or 'auto'"
            )
        if own is not None and fits and parts.projection != "new":
            projection = Projection(own)
        else:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                linear = nn.Linear(width, hidden, dtype=dtype)
            words = body.get_input_embeddings().weight
            projection = Projection(linear, float(words.detach().float().square().mean().sqrt()))
        model = cls(
            parts, body, tokenizer, projection.to(dtype), tower, extractor, {"revisions": found}
        )
        return model._on(where)

    def prune(self, layers: int) -> None:
        """Keep the first ``layers`` layers of the body."""
        surgery.prune(self.body, layers)
        self.parts = self.parts.model_copy(update={"layers": layers})

    def save(self, folder: Path) -> None:
        """Write weights, configurations, tokenizer and provenance; readable without the parts."""
        folder.mkdir(parents=True, exist_ok=True)
        state = {k: v.contiguous() for k, v in self.state_dict().items()}
        save_file(state, folder / f".{_WEIGHTS}")
        self.tokenizer.save_pretrained(folder)
        if self.tower is not None:
            self.extractor.save_pretrained(folder)
        content = {
            "parts": self.parts.model_dump(mode="json"),
            "body": _plain(self.body.config),
            "tower": None if self.tower is None else _plain(self.tower.encoder.config),
            "weights_sha256": _sha256(folder / f".{_WEIGHTS}"),
            "gemb_version": gemb.__version__,
            "provenance": self.provenance,
        }
        (folder / f".{_WEIGHTS}").replace(folder / _WEIGHTS)
        records.write_text(folder / _CONFIG, json.dumps(content, indent=1) + "\n")

    @classmethod
    def load(cls, folder: Path, device: torch.device | str | None = None) -> AudioEmbedder:
        """Read a saved model; without ``device`` to CUDA where there is one.

        Raises:
            UserError: The folder holds none, or its files do not belong together.
        """
        content = read_config(folder)
        parts = Parts.model_validate(content["parts"])
        try:
            state = load_file(folder / _WEIGHTS)
        except (OSError, SafetensorError) as error:
            raise UserError(f"{folder / _WEIGHTS}: {error}; make the model again") from error
        if _sha256(folder / _WEIGHTS) != content["weights_sha256"]:
            raise UserError(f"{folder / _WEIGHTS} is not what {_CONFIG} says: make the model again")
        dtype = getattr(torch, parts.dtype)
        config = AutoConfig.for_model(**content["body"])
        prefixed = {k[5:]: v for k, v in state.items() if k.startswith("body.")}
        body = surgery.filled(surgery.body_class(config), config, prefixed, dtype, folder)
        tower = extractor = None
        if content["tower"] is not None:
            config = AutoConfig.for_model(**content["tower"])
            family = surgery.FAMILIES[config.model_type]
            tower = surgery.Tower(family.cls._from_config(config, dtype=dtype))
            extractor = AutoFeatureExtractor.from_pretrained(folder)
        weight = state["projection.linear.weight"]
        linear = nn.Linear(
            weight.shape[1],
            weight.shape[0],
            bias="projection.linear.bias" in state,
            dtype=weight.dtype,
        )
        projection = Projection(linear).to(weight.dtype)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        model = cls(parts, body, tokenizer, projection, tower, extractor, content["provenance"])
        model.load_state_dict(state)
        return model._on(device)

    def _on(self, device: torch.device | str | None) -> AudioEmbedder:
        self.to(_device(device))
        if self.device.type == "cpu":
            # The backward pass of the CPU's fused attention is slow on short sequences.
            self.body.set_attn_implementation("eager")
        return self.eval()

    # --- from media to inputs --------------------------------------------------------------

    @property
    def features(self) -> list[features.Features]:
        """What makes the frames of a clip, one for each audio encoder."""
        if self._features is None:
            self._features = (
                _frozen(self.parts)
                if self.tower is None
                else [features.log_mel(self.extractor, self.parts.max_seconds)]
            )
        return self._features

    def prepare(
        self, items: Sequence[Item], store: Store | None = None
    ) -> list[np.ndarray | Failure]:
        """All of each sound that no training changes: tokens ``[n, F]`` before the projection.

        Of an audio tower its log-mel spectrogram. In the order given, a failure in the place of
        what cannot be had; kept in ``store`` where there is one.
        """
        columns = [_frames(f, items, store) for f in self.features]
        out: list[np.ndarray | Failure] = []
        for row in zip(*columns, strict=True):
            bad = next((r for r in row if isinstance(r, Failure)), None)
            out.append(bad if bad is not None else self._pooled(row))
        return out

    def _pooled(self, row: Sequence[Any]) -> np.ndarray:
        if self.tower is not None:
            return np.asarray(row[0])
        native = features.FRAME_RATES[self.parts.audio[0]]
        frames = [torch.from_numpy(r) for r in row]
        return features.tokens(frames, native, self.parts.rate, self.parts.stack).numpy()

    # --- from inputs to vectors ------------------------------------------------------------

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return self.projection.mean.device

    @property
    def dim(self) -> int:
        """D, the length of a vector."""
        return int(self.body.config.hidden_size)

    def forward(self, inputs: Sequence[Input]) -> Tensor:
        """Unit vectors, float32 ``[B, D]``, of sounds (from :meth:`prepare`) or of texts."""
        sequences = self.text_tokens(inputs) if _are_texts(inputs) else self.audio_tokens(inputs)
        lengths = torch.tensor([len(s) for s in sequences], device=self.device)
        padded = pad_sequence(sequences, batch_first=True)  # [B, T, H]
        mask = torch.arange(padded.shape[1], device=self.device) < lengths[:, None]  # [B, T]
        hidden = self.body(
            inputs_embeds=padded, attention_mask=mask.long(), use_cache=False
        ).last_hidden_state.float()
        if self.parts.pooling == "last":
            pooled = hidden[torch.arange(len(hidden), device=self.device), lengths - 1]
        else:
            pooled = (hidden * mask[..., None]).sum(1) / lengths[:, None]
        return normalize(pooled, dim=1)

    def text_tokens(self, texts: Sequence[Any]) -> list[Tensor]:
        """Embeddings ``[T_i, H]`` of the tokens of each text."""
        rows = self.tokenizer(list(texts), truncation=True, max_length=MAX_TEXT_TOKENS)["input_ids"]
        return list(self._words(list(chain(*rows))).split([len(ids) for ids in rows]))

    def audio_tokens(self, clips: Sequence[Any]) -> list[Tensor]:
        """Prefix, projected frames and suffix ``[T_i, H]`` of each prepared clip."""
        frames = [torch.from_numpy(c).to(self.device) for c in clips]
        if self.tower is not None:
            parts = self.parts
            frames = [
                features.tokens([f], self.tower.family.rate, parts.rate, parts.stack)
                for f in self.tower(frames)
            ]
        projected = self.projection(torch.cat(frames)).split([len(f) for f in frames])
        before, after = (
            self._words(self.tokenizer(text, add_special_tokens=False)["input_ids"])
            for text in (self.parts.prefix, self.parts.suffix)
        )
        return [torch.cat([before, p.to(before.dtype), after]) for p in projected]

    def _words(self, ids: Sequence[int]) -> Tensor:
        out: Tensor = self.body.get_input_embeddings()(
            torch.tensor(ids, dtype=torch.long, device=self.device)
        )
        return out

    # --- what others use -------------------------------------------------------------------

    def embed_audio(self, items: Sequence[Item], store: Store | None = None) -> np.ndarray:
        """Unit vectors, float32 ``[N, D]``, of sounds.

        Raises:
            UserError: One cannot be embedded; the first is named.
        """
        return _whole(self.vectors_of(items, store), self.dim)

    def vectors_of(
        self, items: Sequence[Item], store: Store | None = None
    ) -> list[np.ndarray | Failure]:
        """As :meth:`embed_audio`, each ``[D]``, with a failure in the place of what failed."""
        pieces = [self._pieces(i) for i in items]
        prepared = self.prepare([p for row in pieces for p in row], store)
        good = [p for p in prepared if not isinstance(p, Failure)]
        vectors = iter(self.embed(good))
        rows: Iterator[np.ndarray | Failure] = iter(
            [p if isinstance(p, Failure) else next(vectors) for p in prepared]
        )
        return [_mean([next(rows) for _ in row]) for row in pieces]

    def embed_text(self, texts: Sequence[str]) -> np.ndarray:
        """Unit vectors, float32 ``[N, D]``, of texts.

        Raises:
            UserError: A text is empty.
        """
        for number, text in enumerate(texts):
            if not text.strip():
                raise UserError(f"text {number} is empty: nothing can be embedded of it")
        return self.embed(list(texts))

    @torch.inference_mode()
    def embed(self, inputs: Sequence[Input], tokens: int = 1024) -> np.ndarray:
        """Unit vectors, float32 ``[N, D]``, of prepared clips or of texts.

        Inputs of like length go together, as many as have about ``tokens`` tokens.
        """
        out = np.zeros((len(inputs), self.dim), np.float32)
        lengths = self.lengths(inputs)
        with _evaluating(self):
            for index in by_length(lengths, tokens=tokens):
                out[index] = self([inputs[i] for i in index]).cpu().numpy()
        return out

    def lengths(self, inputs: Sequence[Input]) -> list[int]:
        """How many tokens each input takes in the body, without prefix and suffix."""
        if not inputs:
            return []
        if _are_texts(inputs):
            rows = self.tokenizer(list(inputs), truncation=True, max_length=MAX_TEXT_TOKENS)
            return [len(ids) for ids in rows["input_ids"]]
        counts = torch.tensor([len(x) for x in inputs])
        return (counts if self.tower is None else self.tower.family.frames(counts)).tolist()

    def _pieces(self, item: Item) -> list[Item]:
        if self.parts.long_clips == "refuse":
            return [item]
        try:
            return features.pieces(item, self.parts.max_seconds)
        except (OSError, RuntimeError, ValueError):
            return [item]  # whoever reads it next says what is wrong with it


def by_length(
    lengths: Sequence[int], count: int | None = None, tokens: int | None = None
) -> list[list[int]]:
    """Indices in batches, inputs of like length together, longest first.

    A batch holds at most ``count`` inputs, and at most ``tokens`` tokens with its padding (but
    always one input).
    """
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    out, begin = [], 0
    while begin < len(order):
        fits = len(order) if tokens is None else max(1, tokens // max(1, lengths[order[begin]]))
        size = min(fits, count or fits)
        out.append(order[begin : begin + size])
        begin += size
    return out


def read_config(folder: Path) -> dict[str, Any]:
    """The JSON of a saved model.

    Raises:
        UserError: The folder holds none.
    """
    try:
        content: dict[str, Any] = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
        content["parts"], content["weights_sha256"]
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"{folder} holds no audio embedding model ({type(error).__name__}: {error}); make one "
            "with `gemb audio train`"
        ) from error
    return content


def _plain(config: Any) -> dict[str, Any]:
    """A configuration as JSON, without the place it was read from."""
    out: dict[str, Any] = json.loads(config.to_json_string(use_diff=False))
    out.pop("_name_or_path", None)
    return out


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _device(device: torch.device | str | None) -> torch.device:
    return torch.device(device) if device is not None else best_device()


def _frozen(parts: Parts) -> list[features.Features]:
    return [features.frozen(name, parts.max_seconds) for name in parts.audio]


def _frames(
    encoder: features.Features, items: Sequence[Item], store: Store | None
) -> list[np.ndarray | Failure]:
    if store is None:
        return encoder.encode(items, "frames")
    found = embed(items, encoder, store, view="frames", label=f"frames of {encoder.name}")
    keys = {i.id: i.media.key for i in items}
    failed = {keys[f.item_id]: f for f in found.failures}
    return [failed.get(i.media.key) or found.vectors[i.media.key] for i in items]


def _are_texts(inputs: Sequence[Any]) -> bool:
    return isinstance(inputs[0], str)


def _mean(rows: Sequence[np.ndarray | Failure]) -> np.ndarray | Failure:
    """The mean of a clip's pieces, at unit length; a failure if one failed."""
    good = [r for r in rows if not isinstance(r, Failure)]
    if len(good) < len(rows):
        return next(r for r in rows if isinstance(r, Failure))
    if len(good) == 1:
        return good[0]
    mean = np.mean(good, axis=0)
    return (mean / np.linalg.norm(mean)).astype(np.float32)


def _whole(rows: Sequence[np.ndarray | Failure], dim: int) -> np.ndarray:
    out = np.zeros((len(rows), dim), np.float32)
    for number, row in enumerate(rows):
        if isinstance(row, Failure):
            raise UserError(row.reason)
        out[number] = row
    return out


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """In ``eval`` mode inside, and as it was afterwards."""
    was = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was)
