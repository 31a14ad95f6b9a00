"""The adaptor: the only part that is trained. One vector in, k virtual tokens out."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from huggingface_hub import PyTorchModelHubMixin
from torch import Tensor, nn

import gemb
from gemb.errors import UserError

# Below this spread a dimension counts as constant and is not divided by it.
MIN_SPREAD = 1e-6
# No dimension is blown up beyond this: its spread counts as at least half the typical one. Chosen
# on validation items: rarely active dimensions otherwise drown the others when items are few.
SPREAD_FLOOR = 0.5

# What `save_pretrained` and `push_to_hub` make the model card of; ``report`` is what a training
# has to say of itself.
MODEL_CARD = """---
{{ card_data }}
---

{{ report | default("# An adaptor of gemb", true) }}

It turns the vectors of one frozen encoder into virtual tokens for one frozen language model, and is
of no use with others: `config.json` names both, and loading it with others is refused. It is
loaded by `gemb ask`, or in Python by `gemb.adaptor.Adaptor.from_pretrained`.
"""


class AdaptorMismatch(UserError, ValueError):
    """An adaptor was asked to work with another encoder or LLM than it was trained for."""


def num_parameters(dim: int, hidden: int, llm_hidden: int, num_virtual_tokens: int) -> int:
    """Parameters of ``Linear(dim, hidden) → GELU → Linear(hidden, k · llm_hidden)``.

    The study's two published counts, 17M and 261M, follow from
    ``(3072, 3072, 2560)`` at 1 and 32 virtual tokens.
    """
    out = num_virtual_tokens * llm_hidden
    return dim * hidden + hidden + hidden * out + out


def spread(vectors: np.ndarray) -> np.ndarray:
    """What each dimension of ``vectors`` ``[N, D]`` is divided by, ``[D]``.

    Its standard deviation, but at least half the root mean square of those of
    all dimensions in use; 1 where it is under 1e-6, as in a block that the
    modality does not use.
    """
    deviation = vectors.std(0)
    used = deviation >= MIN_SPREAD
    if not used.any():
        return np.ones_like(deviation)
    floor = SPREAD_FLOOR * float(np.sqrt((deviation[used] ** 2).mean()))
    return np.where(used, np.maximum(deviation, floor), 1.0).astype(vectors.dtype)


class Adaptor(
    nn.Module,
    PyTorchModelHubMixin,
    library_name="gemb",
    license="apache-2.0",
    tags=["virtual tokens", "embedding", "frozen language model"],
    model_card_template=MODEL_CARD,
):
    """``Linear(D, hidden) → GELU → Linear(hidden, k·H)`` after standardising each dimension.

    Saved and loaded with ``save_pretrained``, ``from_pretrained`` and
    ``push_to_hub``: safetensors, a JSON config and a model card.

    Args:
        dim: Dimension D of the embeddings.
        llm_hidden: Width H of the language model.
        num_virtual_tokens: k, virtual tokens for each vector.
        hidden: Width of the hidden layer.
        encoder: Slug of the encoder's identity it is trained on.
        llm: Identity of the language model it is trained for.
        gemb_version: Of the package that trained it.
        noise: Deviation of Gaussian noise on the standardised inputs, in training only, and not
            on dimensions in which the training vectors are all alike.
        output_scale: The last layer's output is multiplied by it. Virtual tokens that are read
            well are a hundred times as long as those of words, so Adam, whose steps have one
            size for all weights, gets there sooner if the output counts for more.
        activation: ``gelu``; ``none`` makes the adaptor one linear map, as a product of two, so
            that it is trained just as the other.
        condition: Width of what tells prompts apart, 0 without. Each hidden unit is then scaled
            and shifted by linear functions of it (FiLM: Perez et al., 2018), which start as the
            identity.
        about: What it takes to use it elsewhere: ``encoder`` and ``llm``, by which both are
            loaded, and the ``prompt`` it was trained with.
    """

    mean: Tensor
    spread: Tensor
    used: Tensor

    def __init__(
        self,
        dim: int,
        llm_hidden: int,
        num_virtual_tokens: int = 1,
        hidden: int = 448,
        encoder: str = "",
        llm: str = "",
        gemb_version: str = gemb.__version__,
        noise: float = 0.0,
        output_scale: float = 1.0,
        activation: Literal["gelu", "none"] = "gelu",
        condition: int = 0,
        about: dict[str, str] | None = None,
    ):
        super().__init__()
        self.about = about or {}
        self.condition = condition
        if condition:
            self.film = nn.Linear(condition, 2 * hidden)
            nn.init.zeros_(self.film.weight)
            nn.init.zeros_(self.film.bias)
        self.noise, self.output_scale = noise, output_scale
        self.num_virtual_tokens, self.llm_hidden = num_virtual_tokens, llm_hidden
        self.encoder, self.llm = encoder, llm
        out = num_virtual_tokens * llm_hidden
        self.layers = nn.Sequential(
            nn.Linear(dim, hidden),
            nn.GELU() if activation == "gelu" else nn.Identity(),
            nn.Linear(hidden, out),
        )
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("spread", torch.ones(dim))
        # 1 where the training vectors differ at all: elsewhere noise would only be in training
        self.register_buffer("used", torch.ones(dim), persistent=False)

    def standardise_by(self, vectors: np.ndarray) -> None:
        """Take mean and :func:`spread` of each dimension from training vectors ``[N, D]``."""
        self.mean.copy_(torch.from_numpy(vectors.mean(0)))
        self.spread.copy_(torch.from_numpy(spread(vectors)))
        self.used.copy_(torch.from_numpy(vectors.std(0) >= MIN_SPREAD))

    @property
    def last(self) -> nn.Linear:
        """The layer whose output, scaled, is the virtual tokens."""
        layer = self.layers[-1]
        assert isinstance(layer, nn.Linear)
        return layer

    def before_last(self, vectors: Tensor, prompts: Tensor | None = None) -> Tensor:
        """What the last layer sees, ``[B, .., h]`` of ``[B, .., D]``; in training with noise.

        ``prompts`` ``[B, condition]`` is read by a conditioned adaptor and by no other.
        """
        x = (vectors - self.mean) / self.spread
        if self.training and self.noise:
            # on few items this does what a ridge penalty does for a linear map (Bishop, 1995)
            x = x + self.noise * self.used * torch.randn_like(x)
        x = self.layers[:-1](x)
        if self.condition:
            if prompts is None:
                raise ValueError("this adaptor is conditioned on the prompt: give it one")
            scale, shift = self.film(prompts).chunk(2, dim=-1)  # [B, h] each
            wide = (len(x), *[1] * (x.ndim - 2), x.shape[-1])
            x = x * (1 + scale.reshape(wide)) + shift.reshape(wide)
        return x

    def forward(self, vectors: Tensor, prompts: Tensor | None = None) -> Tensor:
        """Virtual tokens ``[B, n·k, H]`` of vectors ``[B, n, D]``, ``[B, k, H]`` of ``[B, D]``."""
        if vectors.ndim == 2:
            vectors = vectors.unsqueeze(1)
        out: Tensor = self.output_scale * self.last(self.before_last(vectors, prompts))
        return out.reshape(len(vectors), -1, self.llm_hidden)

    @classmethod
    def from_pretrained(  # type: ignore[override]
        cls,
        source: str | Path,
        *,
        encoder: str | None = None,
        llm: str | None = None,
        **options: Any,
    ) -> Adaptor:
        """Load an adaptor from a folder or a hub id.

        Args:
            source: Folder or hub id.
            encoder: Slug of the encoder it is going to read, if that is to be checked.
            llm: Slug of the language model it is going to speak to, if that is to be checked.
            options: Of ``huggingface_hub``, such as ``revision``.

        Raises:
            AdaptorMismatch: It was trained for another encoder or LLM.
        """
        with contextlib.redirect_stdout(io.StringIO()):  # it prints where it loads from
            adaptor: Adaptor = super().from_pretrained(source, **options)
        return adaptor.require(encoder or adaptor.encoder, llm or adaptor.llm)

    def require(self, encoder: str, llm: str) -> Adaptor:
        """Return itself if it was trained for this encoder and LLM.

        An LLM is known by the hash of its weights, with which its slug ends: it may have been a
        hub id in training and a folder now.

        Raises:
            AdaptorMismatch: Otherwise; the message names both.
        """
        for what, mine, given, same in (
            ("encoder", self.encoder, encoder, self.encoder == encoder),
            ("LLM", self.llm, llm, self.llm.rpartition("-")[2] == llm.rpartition("-")[2]),
        ):
            if not same:
                raise AdaptorMismatch(
                    f"this adaptor was trained for the {what} {mine!r}, not {given!r}: "
                    f"use that {what}, or train an adaptor for yours"
                )
        return self

    def mask(self, vectors_mask: Tensor) -> Tensor:
        """The mask ``[B, n·k]`` of the virtual tokens, from that of the vectors ``[B, n]``."""
        return vectors_mask.repeat_interleave(self.num_virtual_tokens, dim=1)
