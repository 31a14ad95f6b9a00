"""Where models run and in what precision; and which process this is, where there are several."""

from __future__ import annotations

import sys

import psutil
import torch
from accelerate import PartialState


def this_process() -> PartialState:
    """Which process of an ``accelerate launch`` this is, or the only one, and its device.

    The first call makes them a group. Without CUDA it is the CPU, also where accelerate knows of
    another accelerator: nothing here is tested on those.
    """
    return PartialState(cpu=not torch.cuda.is_available())


def best_device() -> torch.device:
    """A GPU where there is one (under ``accelerate launch`` this process's own), else the CPU."""
    return this_process().device


def best_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where the hardware multiplies it natively, else float32.

    On a CPU that is AVX512-BF16 or AMX: there a training step takes about a
    third of the float32 step's time. Without them bfloat16 is emulated, and slower.
    """
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    elif device.type == "cpu":
        capabilities = torch.cpu.get_capabilities()
        native = bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    else:
        native = False
    return torch.bfloat16 if native else torch.float32


def describe(dtype: torch.dtype, device: torch.device) -> str:
    """Precision and place in words, such as ``bfloat16 on cuda:0 (NVIDIA H100)``."""
    gpu = f" ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else ""
    return f"{str(dtype).removeprefix('torch.')} on {device}{gpu}"


def peak_megabytes() -> float:
    """The most memory this process has had, resident, in millions of bytes."""
    if sys.platform == "linux":  # getrusage would tell the parent's peak, which a child inherits
        with open("/proc/self/status", encoding="ascii") as status:
            line = next(x for x in status if x.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6
    if sys.platform == "win32":
        return float(psutil.Process().memory_info().peak_wset) / 1e6
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
