"""A frozen linear map gives the same numbers whichever way its weight lies."""

import pytest
import torch

from gemb.llm.linear import FrozenLinear, can_pack


@pytest.mark.parametrize("rows", [1, 7, 64])
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_packed_and_plain_agree_in_both_directions(rows, biased, dtype):
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(*shape, generator=generator).to(dtype)

    weight, bias = draw(48, 32), draw(48) if biased else None
    plain, packed = FrozenLinear(weight, bias), FrozenLinear(weight, bias, packed=True)
    x, residual, grad = draw(rows, 32), draw(rows, 48), draw(rows, 48)
    # one rounding more or less, in products of size about sqrt(32)
    close = {"rtol": 0.02, "atol": 0.1} if dtype == torch.bfloat16 else {"rtol": 1e-5, "atol": 1e-5}
    exact = x.double() @ weight.double().T + (0 if bias is None else bias.double())
    for linear in (plain, packed):
        torch.testing.assert_close(linear.forward(x).double(), exact, **close)
        torch.testing.assert_close(
            linear.forward(x, residual).double(), exact + residual.double(), **close
        )
        torch.testing.assert_close(
            linear.backward(grad).double(), grad.double() @ weight.double(), **close
        )
        torch.testing.assert_close(linear.rows(8, 24).forward(x).double(), exact[:, 8:24], **close)


def test_only_bfloat16_on_a_cpu_is_packed():
    assert not can_pack(torch.zeros(4, 4))
    assert not can_pack(torch.zeros(4, 4, dtype=torch.bfloat16, device="meta"))
