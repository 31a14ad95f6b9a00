"""Prompts, virtual tokens and answers as one sequence each, without padding."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Protocol

import torch
from torch import Tensor

from gemb.llm.template import Prompt


@dataclass(frozen=True)
class Packed:
    """A batch of embedded sequences, one after the other.

    Attributes:
        embeds: ``[T, H]``, differentiable with respect to the virtual tokens.
        lengths: B lengths, which sum to T.
        prefix: Tokens with which every sequence begins; they are not in ``embeds``.
    """

    embeds: Tensor
    lengths: list[int]
    prefix: tuple[int, ...] = ()


class Decoder(Protocol):
    """What runs a batch through the language model."""

    def losses(self, batch: Packed, labels: Sequence[tuple[int, ...]]) -> Tensor:
        """Cross-entropies of all labels, ``[L]`` float32, answer after answer.

        ``labels[i]`` are predicted by as many last tokens of sequence i.
        """
        ...

    def greedy(
        self, batch: Packed, stop: Sequence[int], max_new_tokens: int
    ) -> list[tuple[list[int], list[float]]]:
        """Greedy continuation of each sequence: token ids, a stop token included, and their
        log-probabilities."""
        ...


def pack(
    embeddings: torch.nn.Module,
    virtual: Tensor,
    prompts: Sequence[Prompt],
    continuations: Sequence[tuple[int, ...]],
    mask: Tensor | None,
    dtype: torch.dtype,
    share_prefix: bool,
) -> Packed:
    """Embed ``before | virtual | after | continuation`` of every row.

    Where a prompt has several places for virtual tokens, each gets an equal share, in order.

    Args:
        embeddings: The language model's, of token ids.
        virtual: ``[B, n, H]``.
        mask: ``[B, n]``, true where a virtual token is one, or ``None`` for all.
        share_prefix: Leave out the beginning that all rows have in common.
    """
    if mask is None:
        counts = [virtual.shape[1]] * len(prompts)
        tokens = virtual.flatten(0, 1)
    else:
        mask = mask.to(virtual.device, torch.bool)
        counts = mask.sum(1).tolist()
        tokens = virtual[mask]
    # Every sequence keeps at least one token of its own.
    shareable = share_prefix and all(prompt.after for prompt in prompts)
    prefix = _common_prefix(prompt.before for prompt in prompts) if shareable else ()
    ids: list[int] = []
    places: list[int] = []  # of the virtual tokens among the T
    lengths = []
    for prompt, continuation, count in zip(prompts, continuations, counts, strict=True):
        start = len(ids)
        ids += prompt.before[len(prefix) :]
        share, rest = divmod(count, prompt.places)
        if rest:
            raise ValueError(f"{count} virtual tokens for a prompt of {prompt.places} places")
        for text in (*prompt.between, prompt.after):
            places += range(len(ids), len(ids) + share)
            ids += [0] * share  # any token: its embedding is overwritten
            ids += text
        ids += continuation
        lengths.append(len(ids) - start)
    device = next(embeddings.parameters()).device
    embeds = embeddings(torch.tensor(ids, device=device))
    if places:
        where = torch.tensor(places, device=device)
        embeds = embeds.index_copy(0, where, tokens.to(device, dtype))
    return Packed(embeds, lengths, prefix)


def _common_prefix(sequences: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
    columns = takewhile(lambda column: len(set(column)) == 1, zip(*sequences, strict=False))
    return tuple(column[0] for column in columns)
