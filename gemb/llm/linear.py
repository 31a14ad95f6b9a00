"""A linear map whose weight never changes."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

Product = Callable[[Tensor, Tensor | None], Tensor]


class FrozenLinear:
    """``x·Wᵀ + b``, and the gradient of ``x``.

    oneDNN multiplies bfloat16 on a CPU 5 to 20% faster, and a handful of rows
    twice as fast, if the weight lies in its own blocked order already; a frozen
    weight can be put there once, one copy for each direction. ``packed`` asks
    for that; where it cannot be done, and without it, products are PyTorch's own.
    The numbers are the same either way.

    Attributes:
        weight: ``[out, in]``.
        bias: ``[out]`` or ``None``.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None = None, packed: bool = False):
        self.weight, self.bias = weight, bias
        self._forward: Product | None = None
        self._backward: Product | None = None
        if packed and can_pack(weight):
            self._forward = _packed(weight, bias)
            self._backward = _packed(weight.t(), None)

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        """``[T, in]`` → ``[T, out]``; ``residual [T, out]`` is added within the product."""
        if self._forward is not None:
            return self._forward(x, residual)
        if residual is None:
            return F.linear(x, self.weight, self.bias)
        out = torch.addmm(residual, x, self.weight.t())
        return out if self.bias is None else out.add_(self.bias)

    def backward(self, grad: Tensor) -> Tensor:
        """``[T, out]`` → ``[T, in]``."""
        return grad @ self.weight if self._backward is None else self._backward(grad, None)

    def rows(self, start: int, stop: int | None = None) -> FrozenLinear:
        """The map to outputs ``start`` to ``stop`` only, unpacked."""
        bias = None if self.bias is None else self.bias[start:stop]
        return FrozenLinear(self.weight[start:stop], bias)


def can_pack(weight: Tensor) -> bool:
    """Whether this machine multiplies ``weight`` through oneDNN in bfloat16."""
    return (
        weight.dtype == torch.bfloat16
        and weight.device.type == "cpu"
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
        and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    )


def _packed(weight: Tensor, bias: Tensor | None) -> Product:
    # These two are what torch.compile puts in place of a frozen linear layer.
    blocks = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous())
    linear = torch.ops.mkldnn._linear_pointwise

    def product(x: Tensor, residual: Tensor | None) -> Tensor:
        if residual is None:
            return linear(x, blocks, bias, "none", [], "")
        return linear.binary(x, residual, blocks, bias, "add")

    return product
