"""One decoder layer of the Llama family, with a hand-written backward pass.

A training step here needs one thing: the gradient of a few answer tokens' loss
with respect to a few virtual tokens, through frozen weights, in short sequences
of unequal lengths. transformers' forward under autograd does more than that.
A layer here computes the same numbers and leaves out the rest:

- Tokens are packed, ``[T, H]`` without padding. Only attention sees them padded
  on the right, ``[B, S]``; causality alone keeps the padding out of sight.
- Attention is written out. At these lengths its products are tiny, and the
  CPU's flash backward takes longer than all of the step's matrix products.
  Probabilities are held with keys first, ``[.., K, Q]``: softmax over a
  dimension that is not the last is vectorised whatever its size; over rows of
  27 it is five times slower.
- q, k, v and gate, up are one product each, and transformers' own modules
  become views of the fused weights, so that nothing is held twice.
- It is one autograd function that keeps the layer's input, the rotated queries,
  keys and values, the probabilities and the two halves of the gated MLP. What
  else the backward pass needs it recomputes; weights receive no gradients.

Shapes: T packed tokens, L of them asking, H hidden, B sequences of at most S
tokens, P prefix tokens, N key-value heads with G query heads each, D a head's
width, K = P + S keys, Q = G·S queries of a key-value head, F the MLP's width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from gemb.llm.linear import FrozenLinear


@dataclass(frozen=True)
class Norm:
    """``x · rsqrt(mean(x²) + eps) · weight`` over the last dimension."""

    weight: Tensor
    eps: float

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised ``x`` and, in float32, the reciprocal root mean square ``r [.., 1]``."""
        norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
        r = norm.square_().div_(x.shape[-1]).add_(self.eps).rsqrt_()
        # Row factors take the tensor's own precision: mixing two costs twenty times as much.
        return (x * r.to(x.dtype)).mul_(self.weight), r

    def backward(self, grad: Tensor, x: Tensor, r: Tensor, residual: Tensor | None) -> Tensor:
        """Gradient of ``x``, added to ``residual`` if any; overwrites ``grad``.

        With g = grad · weight: dx = r · (g − x · r² · mean(g·x)).
        """
        g = grad.mul_(self.weight)
        c = torch.linalg.vecdot(g, x)[..., None] * (r * r / -x.shape[-1])
        g.addcmul_(x, c.to(x.dtype))
        r = r.to(x.dtype)
        return g.mul_(r) if residual is None else torch.addcmul(residual, g, r)


@dataclass(frozen=True)
class Layer:
    """One decoder layer's weights; a head norm is ``None`` where the model has none."""

    attention_norm: Norm
    qkv: FrozenLinear  # H → (N·G + 2·N)·D
    q_norm: Norm | None  # over D
    k_norm: Norm | None
    out: FrozenLinear  # N·G·D → H
    mlp_norm: Norm
    gate_up: FrozenLinear  # H → 2·F
    down: FrozenLinear  # F → H
    heads: tuple[int, int, int]  # N, G, D


def _fuse(modules: Sequence[torch.nn.Linear], packed: bool) -> FrozenLinear:
    """Stack the modules' weights and make the modules views of the stack."""
    weight = torch.cat([m.weight for m in modules])
    for module, rows in zip(modules, weight.split([m.out_features for m in modules]), strict=True):
        module.weight.data = rows
    if modules[0].bias is None:
        return FrozenLinear(weight, None, packed)
    bias = torch.cat([m.bias for m in modules])
    for module, rows in zip(modules, bias.split([m.out_features for m in modules]), strict=True):
        module.bias.data = rows
    return FrozenLinear(weight, bias, packed)


def fuse_layer(module: Any, heads: tuple[int, int, int], packed: bool, last: bool) -> Layer:
    """Weights of a transformers layer, whose modules become views of the fused ones.

    ``packed`` keeps them in the processor's own order as well; the ``last`` layer's
    queries are made of fewer rows than its keys, so its qkv is used in parts and is not.
    """

    def norm(m: Any) -> Norm:
        return Norm(m.weight.detach(), m.variance_epsilon)

    def single(m: torch.nn.Linear) -> FrozenLinear:
        return FrozenLinear(m.weight.detach(), None if m.bias is None else m.bias.detach(), packed)

    attention, mlp = module.self_attn, module.mlp
    has_qk_norm = hasattr(attention, "q_norm")
    with torch.no_grad():
        return Layer(
            attention_norm=norm(module.input_layernorm),
            qkv=_fuse([attention.q_proj, attention.k_proj, attention.v_proj], packed and not last),
            q_norm=norm(attention.q_norm) if has_qk_norm else None,
            k_norm=norm(attention.k_norm) if has_qk_norm else None,
            out=single(attention.o_proj),
            mlp_norm=norm(module.post_attention_layernorm),
            gate_up=_fuse([mlp.gate_proj, mlp.up_proj], packed),
            down=single(mlp.down_proj),
            heads=heads,
        )


@dataclass(frozen=True)
class Rows:
    """Packed rows and their places in the padded ``[B, S]`` grid of attention.

    ``slots [T]`` is the place of each row, counted row by row through the grid;
    ``None`` where the rows fill the grid and packed and padded are the same.
    ``rotations`` holds cos and sin ``[T, heads, D]`` of their positions, by number
    of heads: repeated, since long contiguous rows multiply fastest, and with the
    first half of sin negated.
    """

    grid: tuple[int, int]
    slots: Tensor | None
    rotations: dict[int, tuple[Tensor, Tensor]]

    def pad(self, packed: Tensor) -> Tensor:
        """``[T, ...]`` → ``[B, S, ...]``, zero where there is no token."""
        shape = (*self.grid, *packed.shape[1:])
        if self.slots is None:
            return packed.view(shape)
        padded = packed.new_zeros(self.grid[0] * self.grid[1], *packed.shape[1:])
        return padded.index_copy_(0, self.slots, packed).view(shape)

    def unpad(self, padded: Tensor) -> Tensor:
        """``[B, S, ...]`` → ``[T, ...]``."""
        rows = padded.flatten(0, 1)
        return rows if self.slots is None else rows.index_select(0, self.slots)

    def rotate(self, x: Tensor, inverse: bool = False) -> Tensor:
        """Rotary position embedding of ``x [T, heads, D]``: each pair (i, i + D/2) is turned.

        The inverse turns back; being the transpose, it is also the backward pass.
        """
        heads, d = x.shape[1:]
        cos, sin = self.rotations[heads]
        if inverse:
            swapped = torch.roll(x * sin, d // 2, -1)
        else:
            swapped = torch.roll(x, d // 2, -1).mul_(sin)
        return swapped.addcmul_(x, cos)

    def select(self, index: Tensor, grid: tuple[int, int], slots: Tensor | None) -> Rows:
        rotations = {n: (cos[index], sin[index]) for n, (cos, sin) in self.rotations.items()}
        return Rows(grid, slots, rotations)


@dataclass(frozen=True)
class Queries:
    """Which tokens of a layer ask, and what they may see.

    ``index [L]`` picks them among the T packed tokens, ``None`` means all.
    ``bias`` is 0 where a key may be seen and −inf where not: ``[K, Q]``, or
    ``[B·N, K, Q]`` where it depends on the sequence.
    """

    index: Tensor | None
    rows: Rows
    bias: Tensor


class Past(Protocol):
    """Keys and values that stand before a layer's own."""

    def extend(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """``[B, N, S, D]`` of the layer's tokens → ``[B·N, K, D]`` of all."""
        ...


@dataclass(frozen=True)
class NoPast:
    def extend(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        return k.flatten(0, 1), v.flatten(0, 1)


@dataclass(frozen=True)
class SharedPrefix:
    """Keys and values ``[1, N, P, D]`` of the tokens with which all sequences begin."""

    k: Tensor
    v: Tensor

    def extend(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        def joined(shared: Tensor, own: Tensor) -> Tensor:
            return torch.cat([shared.expand(own.shape[0], -1, -1, -1), own], 2).flatten(0, 1)

        return joined(self.k, k), joined(self.v, v)


class DecoderLayer(torch.autograd.Function):
    """``[T, H]`` → ``[L, H]``, the outputs of the tokens that ask."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, layer: Layer, rows: Rows, queries: Queries, past: Past
    ) -> Tensor:
        out, saved = forward(x, layer, rows, queries, past, train=ctx.needs_input_grad[0])
        if ctx.needs_input_grad[0]:
            ctx.saved, ctx.context = saved, (layer, rows, queries)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None, None]:
        saved, ctx.saved = ctx.saved, None
        return backward(grad, saved, *ctx.context), None, None, None, None


@dataclass
class Saved:
    """What a layer's forward leaves for its backward."""

    x: Tensor  # [T, H] the layer's input
    r: Tensor  # [T, 1] its reciprocal root mean square
    # Where there are head norms: queries [L, N·G, D] and keys [T, N, D] before them, each
    # followed by its reciprocal root mean square.
    head_norms: tuple[Tensor, Tensor, Tensor, Tensor] | None
    q: Tensor  # [B·N, Q, D]
    k: Tensor  # [B·N, K, D]
    v: Tensor  # [B·N, K, D]
    p: Tensor  # [B·N, K, Q] attention probabilities
    y: Tensor  # [L, H] after attention
    y_r: Tensor  # [L, 1]
    slopes: Tensor  # [L, 2·F] of silu(gate)·up by gate and by up


def forward(
    x: Tensor, layer: Layer, rows: Rows, queries: Queries, past: Past, train: bool = False
) -> tuple[Tensor, Saved]:
    """Outputs ``[L, H]`` of the tokens of ``x [T, H]`` that ask, and what backward needs.

    Without ``train`` the slopes are not made.
    """
    n, g, d = layer.heads
    h, r = layer.attention_norm.forward(x)
    q, k, v = _project(h, layer, queries.index)
    head_norms = None
    if layer.q_norm is not None and layer.k_norm is not None:
        raw_q, raw_k = q, k
        q, q_r = layer.q_norm.forward(q)
        k, k_r = layer.k_norm.forward(k)
        head_norms = raw_q, q_r, raw_k, k_r
    q = _to_query_heads(queries.rows.pad(queries.rows.rotate(q)), n, g, d)
    k, v = past.extend(rows.pad(rows.rotate(k)).transpose(1, 2), rows.pad(v).transpose(1, 2))
    # Softmax over keys of k·qᵀ/√D + bias
    p = torch.baddbmm(queries.bias, k, q.transpose(1, 2), alpha=d**-0.5).softmax(1)
    o = torch.bmm(p.transpose(1, 2), v)  # [B·N, Q, D]
    o = queries.rows.unpad(_from_query_heads(o, queries.rows.grid, n, g, d))  # [L, N·G·D]
    y = layer.out.forward(o, residual=x if queries.index is None else x[queries.index])
    h, y_r = layer.mlp_norm.forward(y)
    gate_up = layer.gate_up.forward(h)
    gate, up = gate_up.chunk(2, dim=-1)
    activated = F.silu(gate)
    z = activated * up
    if train:  # both halves are spent: the slopes take their place
        torch.ops.aten.silu_backward.grad_input(up, gate, grad_input=gate)
        up.copy_(activated)
    out = layer.down.forward(z, residual=y)
    return out, Saved(x, r, head_norms, q, k, v, p, y, y_r, gate_up)


def backward(grad: Tensor, saved: Saved, layer: Layer, rows: Rows, queries: Queries) -> Tensor:
    """Gradient ``[T, H]`` of the layer's input, given that of its output ``[L, H]``."""
    n, g, d = layer.heads
    # MLP: z = silu(gate)·up, out = y + z·downᵀ
    dz = layer.down.backward(grad)  # [L, F]
    d_gate_up = saved.slopes.view(len(dz), 2, -1).mul_(dz[:, None]).flatten(1)
    dh = layer.gate_up.backward(d_gate_up)
    dy = layer.mlp_norm.backward(dh, saved.y, saved.y_r, residual=grad)
    # Attention: S = k·qᵀ/√D + bias, P = softmax over keys, o = Pᵀ·v
    do = _to_query_heads(queries.rows.pad(layer.out.backward(dy).view(-1, n * g, d)), n, g, d)
    dv = torch.bmm(saved.p, do)  # [B·N, K, D]
    dp = torch.bmm(saved.v, do.transpose(1, 2))  # [B·N, K, Q]
    ds = torch.ops.aten._softmax_backward_data(dp, saved.p, 1, dp.dtype).mul_(d**-0.5)
    dq = torch.bmm(ds.transpose(1, 2), saved.k)  # [B·N, Q, D]
    dk = torch.bmm(ds, saved.q)  # [B·N, K, D]
    grid = queries.rows.grid
    dq = queries.rows.unpad(_from_query_heads(dq, grid, n, g, d)).view(-1, n * g, d)
    dq = queries.rows.rotate(dq, inverse=True)
    dk = rows.rotate(rows.unpad(_from_key_heads(dk, rows.grid, n)), inverse=True)
    dv = rows.unpad(_from_key_heads(dv, rows.grid, n))
    if saved.head_norms is not None and layer.q_norm is not None and layer.k_norm is not None:
        raw_q, q_r, raw_k, k_r = saved.head_norms
        dq = layer.q_norm.backward(dq, raw_q, q_r, residual=None)
        dk = layer.k_norm.backward(dk, raw_k, k_r, residual=None)
    if queries.index is None:
        dh = layer.qkv.backward(torch.cat([dq, dk, dv], 1).flatten(1))
        return layer.attention_norm.backward(dh, saved.x, saved.r, residual=dy)
    # Tokens that do not ask get gradients as keys and values only.
    asked = n * g * d
    dh = layer.qkv.rows(asked).backward(torch.cat([dk, dv], 1).flatten(1))
    dh.index_add_(0, queries.index, layer.qkv.rows(0, asked).backward(dq.flatten(1)))
    residual = torch.zeros_like(saved.x).index_copy_(0, queries.index, dy)
    return layer.attention_norm.backward(dh, saved.x, saved.r, residual=residual)


class HeadLoss(torch.autograd.Function):
    """Cross-entropies ``[L]`` of ``targets [L]`` given the last layer's output ``[L, H]``.

    The gradients are made along with the losses, from the same probabilities, so
    that nothing as large as the vocabulary waits for the backward pass; rows go
    through in groups for the same reason.
    """

    GROUP = 256

    @staticmethod
    def forward(ctx: Any, x: Tensor, norm: Norm, head: FrozenLinear, targets: Tensor) -> Tensor:
        h, r = norm.forward(x)
        losses, gradients = [], []
        groups = zip(h.split(HeadLoss.GROUP), targets.split(HeadLoss.GROUP), strict=True)
        for part, target in groups:
            logits = head.forward(part)  # [l, V]
            top, best = logits.max(-1, keepdim=True)
            p = torch.softmax(logits, -1, dtype=torch.float32)
            # log Σ exp = max − log p(max), which no small probability can make infinite
            log_sum = top.float() - p.gather(1, best).log()
            losses.append(log_sum - logits.gather(1, target[:, None]).float())
            if ctx.needs_input_grad[0]:
                p.scatter_add_(1, target[:, None], p.new_full((len(target), 1), -1.0))
                gradients.append(head.backward(p.to(part.dtype)))
        if gradients:
            ctx.gradients = norm.backward(torch.cat(gradients), x, r, residual=None)
        return torch.cat(losses)[:, 0]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        return ctx.gradients * grad[:, None].to(ctx.gradients.dtype), None, None, None


def _project(h: Tensor, layer: Layer, index: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Queries ``[L, N·G, D]``, keys and values ``[T, N, D]`` of normalised ``h [T, H]``."""
    n, g, d = layer.heads
    if index is None:
        qkv = layer.qkv.forward(h).view(-1, n * g + 2 * n, d)
        return qkv.split([n * g, n, n], 1)
    asked = n * g * d
    q = layer.qkv.rows(0, asked).forward(h[index]).view(-1, n * g, d)
    k, v = layer.qkv.rows(asked).forward(h).view(-1, 2 * n, d).chunk(2, 1)
    return q, k, v


def _to_query_heads(x: Tensor, n: int, g: int, d: int) -> Tensor:
    """``[B, S, N·G, D]`` → ``[B·N, G·S, D]``: a key-value head's queries side by side."""
    b, s = x.shape[:2]
    return x.reshape(b, s, n, g, d).permute(0, 2, 3, 1, 4).reshape(b * n, g * s, d)


def _from_query_heads(x: Tensor, grid: tuple[int, int], n: int, g: int, d: int) -> Tensor:
    """``[B·N, G·S, D]`` → ``[B, S, N·G·D]``."""
    b, s = grid
    return x.view(b, n, g, s, d).permute(0, 3, 1, 2, 4).reshape(b, s, n * g * d)


def _from_key_heads(x: Tensor, grid: tuple[int, int], n: int) -> Tensor:
    """``[B·N, P + S, D]`` → ``[B, S, N, D]``: the prefix gets no gradient."""
    b, s = grid
    return x.view(b, n, -1, x.shape[-1])[:, :, -s:].transpose(1, 2)
