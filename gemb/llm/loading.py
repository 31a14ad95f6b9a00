"""Finding, converting and loading a language model's weights."""

from __future__ import annotations

import hashlib
import io
import logging
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from gemb.data import manifests
from gemb.data.fetch import offline
from gemb.errors import UserError

log = logging.getLogger(__name__)


class LLMUnavailable(UserError, RuntimeError):
    """A language model that is nowhere to be found; says what was tried."""


def best_device() -> torch.device:
    """CUDA where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


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


def load(name: str, dtype: torch.dtype) -> tuple[Any, Any, str]:
    """Load model, tokenizer and revision of a manifest's part, a folder or a hub id."""
    if _is_manifest(name):
        source, revision = _from_manifest(name), manifests.get(name).version
    elif Path(name).is_dir():
        source, revision = name, "local"
    else:
        source, revision = name, ""
    try:
        with _quiet():
            tokenizer = AutoTokenizer.from_pretrained(source, local_files_only=offline())
            model = AutoModelForCausalLM.from_pretrained(
                source, dtype=dtype, local_files_only=offline()
            )
    except (OSError, ValueError) as error:
        known = ", ".join(n for n, m in manifests.load_all().items() if m.kind == "part")
        raise LLMUnavailable(
            f"language model {name!r} could not be loaded: it is neither a manifest ({known}) nor "
            f"a folder with a transformers model"
            f"{', and OFFLINE keeps from the hub' if offline() else ' nor a reachable hub id'}: "
            f"{error}"
        ) from error
    return model, tokenizer, revision or getattr(model.config, "_commit_hash", None) or "unknown"


def weights_sha256(model: torch.nn.Module, as_dtype: torch.dtype | None = None) -> str:
    """sha256 of all parameters, by name, optionally rounded to ``as_dtype`` first."""
    digest = hashlib.sha256()
    for name, parameter in sorted(model.named_parameters()):
        values = parameter.detach().to("cpu", as_dtype or parameter.dtype).contiguous()
        digest.update(f"{name} {tuple(values.shape)} {values.dtype}\n".encode())
        digest.update(values.view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _is_manifest(name: str) -> bool:
    return (manifests.MANIFESTS / f"{name}.yaml").is_file()


def _from_manifest(name: str) -> str:
    """Folder of a fetched part; a GGUF file is converted to safetensors once."""
    from gemb.data.fetch import cache_dir, fetch

    folder = fetch(name)
    gguf = next(folder.rglob("*.gguf"), None)
    if gguf is None:
        return str(folder)
    checksum = next(f.sha256 for f in manifests.get(name).files if f.path.endswith(".gguf"))
    converted = cache_dir() / "converted" / f"{name}-{(checksum or 'unverified')[:12]}"
    if not converted.is_dir():
        _convert_gguf(gguf, converted)
    return str(converted)


def _convert_gguf(gguf: Path, target: Path) -> None:
    """Dequantise a GGUF file to float32 safetensors; ``target`` appears whole or not at all.

    transformers reads GGUF too, but takes some 20 seconds at each load.
    """
    log.info("converting %s to safetensors, once, about half a minute", gguf.name)
    target.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        # The reader of GGUF draws a progress bar that no setting turns off.
        with _quiet(), redirect_stderr(io.StringIO()):
            tokenizer = AutoTokenizer.from_pretrained(str(gguf.parent), gguf_file=gguf.name)
            model: Any = AutoModelForCausalLM.from_pretrained(
                str(gguf.parent), gguf_file=gguf.name, dtype=torch.float32
            )
            # The weights are plain floats from here on.
            model.hf_quantizer = None
            model.config.__dict__.pop("quantization_config", None)
            model.save_pretrained(work)
            tokenizer.save_pretrained(work)
        work.chmod(0o755)
        try:
            work.rename(target)
        except OSError:
            if not target.is_dir():  # otherwise another process was faster
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence transformers' progress bars and advice while loading."""
    level = transformers_logging.get_verbosity()
    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        if bars:
            transformers_logging.enable_progress_bar()
