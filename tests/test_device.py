"""Which device and precision are taken."""

import pytest
import torch

from gemb.device import best_device, best_dtype, describe


def test_precision_follows_the_hardware(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    assert best_dtype(cpu) == torch.bfloat16
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True})
    assert best_dtype(cpu) == torch.float32
    gpu = torch.device("cuda")
    for native, dtype in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda native=native, **_: native)
        assert best_dtype(gpu) == dtype


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_is_the_cpu() -> None:
    assert best_device() == torch.device("cpu")
    assert describe(torch.bfloat16, best_device()) == "bfloat16 on cpu"
