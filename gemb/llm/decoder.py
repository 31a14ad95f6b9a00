"""Packed sequences through a model of the Llama family: training and answering.

Beside what each layer saves (see :mod:`gemb.llm.layer`): the beginning that all
sequences share, the chat template's first tokens, is run once and its keys and
values are kept; the last layer runs queries and MLP only for tokens that have a
label; an answer that has ended leaves the batch.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from gemb.llm.layer import (
    DecoderLayer,
    HeadLoss,
    NoPast,
    Norm,
    Past,
    Queries,
    Rows,
    SharedPrefix,
    forward,
    fuse_layer,
)
from gemb.llm.linear import FrozenLinear
from gemb.llm.packing import Packed

MODEL_TYPES = ("llama", "qwen2", "qwen3")
# Written-out attention holds [B, heads, S, S] probabilities; longer sequences
# are left to transformers' flash attention.
MAX_LENGTH = 512
# Packed weights are held beside the model's own, twice: only where that is little memory.
PACKED_WEIGHTS = 500_000_000
_KEPT_PREFIXES = 8


def supports(model: Any) -> bool:
    """Whether this module computes what ``model`` does."""
    config = model.config
    return (
        config.model_type in MODEL_TYPES
        and config.hidden_act == "silu"
        and set(getattr(config, "layer_types", None) or ["full_attention"]) == {"full_attention"}
        and config.rope_parameters["rope_type"] in ("default", "linear", "llama3", "yarn")
        # Quantised or LoRA-wrapped layers are other classes.
        and all(type(module) is torch.nn.Linear for module in _projections(model))
    )


def _projections(model: Any) -> list[torch.nn.Module]:
    return [
        module
        for layer in model.model.layers
        for block in (layer.self_attn, layer.mlp)
        for name, module in block.named_children()
        if name.endswith("_proj")
    ]


class _Cache:
    """One layer's keys and values ``[2, B, N, C, D]``, filled column by column."""

    def __init__(self, columns: Tensor):
        self._columns, self.filled = columns, 0

    def extend(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        start, self.filled = self.filled, self.filled + k.shape[2]
        self._columns[0, :, :, start : self.filled] = k
        self._columns[1, :, :, start : self.filled] = v
        k, v = self._columns[:, :, :, : self.filled]
        return k.flatten(0, 1), v.flatten(0, 1)

    def select(self, rows: Tensor) -> None:
        self._columns = self._columns.index_select(1, rows)


class PackedDecoder:
    """Runs a batch through a model of the Llama family (see :class:`~gemb.llm.packing.Decoder`).

    The model must stay on its device and in its precision from here on.
    """

    def __init__(self, model: Any):
        config, body = model.config, model.model
        last = body.layers[-1]
        n = config.num_key_value_heads
        d = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        heads = (n, config.num_attention_heads // n, d)
        self._heads = heads
        packed = sum(p.numel() for p in model.parameters()) <= PACKED_WEIGHTS
        self._layers = [
            fuse_layer(module, heads, packed, last=module is last) for module in body.layers
        ]
        self._norm = Norm(body.norm.weight.detach(), body.norm.variance_epsilon)
        self._embeddings, self._rotary = body.embed_tokens, body.rotary_emb
        self._head = FrozenLinear(
            model.lm_head.weight.detach(),
            None if model.lm_head.bias is None else model.lm_head.bias.detach(),
            packed,
        )
        self._prefixes: OrderedDict[tuple[int, ...], list[SharedPrefix]] = OrderedDict()

    def losses(self, batch: Packed, labels: Sequence[tuple[int, ...]]) -> Tensor:
        x, lengths, shared = batch.embeds, batch.lengths, len(batch.prefix)
        # All that is copied to a GPU is copied before the layers: a copy waits for what runs there.
        targets = torch.tensor(list(chain(*labels)), device=x.device)
        rows, asking = self._rows(lengths, shared, x)
        last = self._last(rows, lengths, [len(row) for row in labels], shared, x)
        pasts: Sequence[Past] = self._prefix(batch.prefix) or [NoPast()] * len(self._layers)
        for layer, past in zip(self._layers, pasts, strict=True):
            queries = last if layer is self._layers[-1] else asking
            x = DecoderLayer.apply(x, layer, rows, queries, past)
        return HeadLoss.apply(x, self._norm, self._head, targets)

    @torch.no_grad()
    def greedy(
        self, batch: Packed, stop: Sequence[int], max_new_tokens: int
    ) -> list[tuple[list[int], list[float]]]:
        embeds, lengths, device = batch.embeds, batch.lengths, batch.embeds.device
        past, n, g, d = len(batch.prefix), *self._heads
        columns = past + max(lengths) + max_new_tokens - 1
        caches = [_Cache(embeds.new_empty(2, len(lengths), n, columns, d)) for _ in self._layers]
        for cache, shared in zip(caches, self._prefix(batch.prefix) or [], strict=False):
            cache.extend(shared.k, shared.v)
        rows, asking = self._rows(lengths, past, embeds)
        last = self._last(rows, lengths, [1] * len(lengths), past, embeds)
        x = self._run(embeds, rows, asking, caches, last)
        # [B, C] columns that hold a token of the sequence, or will
        counts = torch.tensor(lengths, device=device)
        column = torch.arange(columns, device=device)
        seen = (column < past + counts[:, None]) | (column >= past + max(lengths))
        results: list[tuple[list[int], list[float]]] = [([], []) for _ in lengths]
        alive = list(range(len(lengths)))
        for step in range(max_new_tokens):
            logits = self._head.forward(self._norm.forward(x)[0]).float()
            best, tokens = logits.max(-1)
            logprobs = best - logits.logsumexp(-1)
            going = []
            for row, (token, logprob) in enumerate(
                zip(tokens.tolist(), logprobs.tolist(), strict=True)
            ):
                results[alive[row]][0].append(token)
                results[alive[row]][1].append(logprob)
                if token not in stop:
                    going.append(row)
            if not going or step == max_new_tokens - 1:
                break
            if len(going) < len(alive):
                keep = torch.tensor(going, device=device)
                tokens, counts, seen = tokens[keep], counts[keep], seen[keep]
                for cache in caches:
                    cache.select(keep)
                alive = [alive[row] for row in going]
            rows = Rows((len(alive), 1), None, self._rotations(embeds, past + counts + step))
            bias = embeds.new_zeros(len(alive), caches[0].filled + 1, g)
            bias.masked_fill_(~seen[:, : bias.shape[1], None], float("-inf"))
            asking = Queries(None, rows, bias.repeat_interleave(n, 0))
            x = self._run(self._embeddings(tokens), rows, asking, caches, asking)
        return results

    def _run(
        self, x: Tensor, rows: Rows, asking: Queries, pasts: Sequence[Past], last: Queries
    ) -> Tensor:
        for layer, past in zip(self._layers, pasts, strict=True):
            x, _ = forward(x, layer, rows, last if layer is self._layers[-1] else asking, past)
        return x

    def _rows(self, lengths: Sequence[int], past: int, like: Tensor) -> tuple[Rows, Queries]:
        """All tokens, which stand after ``past`` prefix tokens, as keys and as queries."""
        width = max(lengths)
        counts = torch.tensor(lengths)
        places = torch.arange(width).expand(len(lengths), width)
        real = places < counts[:, None]
        slots = None if bool(real.all()) else real.flatten().nonzero()[:, 0].to(like.device)
        positions = places[real].to(like.device) + past
        rows = Rows((len(lengths), width), slots, self._rotations(like, positions))
        steps = torch.arange(width, device=like.device)
        return rows, Queries(None, rows, self._bias(steps, past, width, like))

    def _last(
        self, rows: Rows, lengths: Sequence[int], keep: Sequence[int], past: int, like: Tensor
    ) -> Queries:
        """The last ``keep[i]`` tokens of each sequence as the only queries."""
        device = like.device
        width = max(keep)
        ends = torch.tensor(lengths).cumsum(0)
        counts = torch.tensor(keep)
        places = torch.arange(width).expand(len(keep), width)
        real = places < counts[:, None]
        first = torch.tensor(lengths) - counts  # within its sequence
        index = ((ends - counts)[:, None] + places)[real].to(device)
        slots = None if bool(real.all()) else real.flatten().nonzero()[:, 0].to(device)
        # Padding asks as the sequence's last token; nobody reads what it gets.
        steps = (first[:, None] + torch.minimum(places, counts[:, None] - 1)).to(device)
        bias = self._bias(steps, past, rows.grid[1], like)  # [B, K, Q]
        bias = bias.repeat_interleave(self._heads[0], 0)
        return Queries(index, rows.select(index, (len(keep), width), slots), bias)

    def _bias(self, steps: Tensor, past: int, width: int, like: Tensor) -> Tensor:
        """``[.., P + width, G·S]``: 0 where a query at ``steps [.., S]`` sees a key, else −inf."""
        keys = torch.arange(-past, width, device=steps.device)
        unseen = keys[:, None] > steps[..., None, :]
        bias = torch.zeros(unseen.shape, dtype=like.dtype, device=like.device)
        bias.masked_fill_(unseen, float("-inf"))
        return bias.repeat(*[1] * (bias.ndim - 1), self._heads[1])

    def _rotations(self, like: Tensor, positions: Tensor) -> dict[int, tuple[Tensor, Tensor]]:
        """See :class:`Rows`; the model's own module knows the frequencies."""
        n, g, d = self._heads
        cos, sin = (t[0, :, None] for t in self._rotary(like, positions[None]))  # [T, 1, D]
        sin[..., : d // 2].neg_()
        return {heads: (cos.repeat(1, heads, 1), sin.repeat(1, heads, 1)) for heads in (n * g, n)}

    @torch.no_grad()
    def _prefix(self, prefix: tuple[int, ...]) -> list[SharedPrefix] | None:
        """Each layer's keys and values of ``prefix``, kept for the next batch."""
        if not prefix:
            return None
        if prefix not in self._prefixes:
            x = self._embeddings(torch.tensor(prefix, device=self._embeddings.weight.device))
            rows, queries = self._rows([len(prefix)], 0, x)
            kept = []
            for layer in self._layers:
                x, saved = forward(x, layer, rows, queries, NoPast())
                kept.append(SharedPrefix(saved.k[None], saved.v[None]))
            self._prefixes[prefix] = kept
            if len(self._prefixes) > _KEPT_PREFIXES:
                self._prefixes.popitem(last=False)
        self._prefixes.move_to_end(prefix)
        return self._prefixes[prefix]
