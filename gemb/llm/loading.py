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

import httpx2
import psutil
import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from gemb.data import manifests
from gemb.data.fetch import offline
from gemb.errors import UserError
from gemb.llm import qwen3

log = logging.getLogger(__name__)

# Short names of models on the hub, at the revision that is meant; any other id works as well.
# The study's model first; the second is the original, whose thinking the prompts switch off.
HUB: dict[str, tuple[str, str]] = {
    "qwen3-4b": ("Qwen/Qwen3-4B-Instruct-2507", "cdbee75f17c01a7cc42f958dc650907174af0554"),
    "qwen3-4b-original": ("Qwen/Qwen3-4B", "1cfa9a7208912126459214e8b04321603b3df60c"),
}
# What a model needs of its repository: the weights once, no copies in other formats.
_FILES = ["*.json", "*.safetensors", "*.txt", "*.jinja", "*.model"]


class LLMUnavailable(UserError, RuntimeError):
    """A language model that cannot be loaded; says why, and what to do."""


def load(name: str, dtype: torch.dtype, device: torch.device) -> tuple[Any, Any, str]:
    """Load model, tokenizer and revision of a part, a folder, a short name or a hub id."""
    if name == qwen3.TINY:
        model, tokenizer = qwen3.build()
        return model.to(device, dtype), tokenizer, "random"
    hub = None
    if _is_manifest(name):
        source, revision = _from_manifest(name), manifests.get(name).version
    elif Path(name).is_dir():
        source, revision = name, "local"
    else:
        hub, pinned = HUB.get(name, (name, None))
        source = _from_hub(name, hub, pinned, ["config.json"])
        revision = Path(source).name
    _require_memory(name, source, dtype, device)
    if hub:
        source = _from_hub(name, hub, revision, _FILES)  # gigabytes, now that they will fit
    try:
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(source, local_files_only=True)
            if not tokenizer("a").input_ids:  # transformers makes some of nothing
                raise ValueError("there are no tokenizer's files")
            model = AutoModelForCausalLM.from_pretrained(
                source,
                dtype=dtype,
                local_files_only=True,
                device_map={"": device},  # straight to a GPU, not by way of as much memory
            )
    except (OSError, ValueError, torch.OutOfMemoryError) as error:
        raise _broken(name, source, error) from error
    return model, tokenizer, revision


def _others() -> str:
    """What else may be given as a language model."""
    parts = manifests.load_all().values()
    names = [m.name for m in parts if any(f.path.endswith(".gguf") for f in m.files)]
    return f"one of {', '.join([*names, *HUB])}, a folder with a transformers model, or a hub id"


def parameters(folder: str) -> int:
    """How many parameters the model in ``folder`` has, by its configuration alone."""
    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    with torch.device("meta"):
        return int(AutoModelForCausalLM.from_config(config).num_parameters())


def _require_memory(name: str, folder: str, dtype: torch.dtype, device: torch.device) -> None:
    """Refuse a model whose weights alone are more than what is free."""
    try:
        with quiet():
            count = parameters(folder)
    except (OSError, ValueError) as error:
        raise _broken(name, folder, error) from error
    need = count * dtype.itemsize
    on_gpu = device.type == "cuda"
    free = torch.cuda.mem_get_info(device)[0] if on_gpu else psutil.virtual_memory().available
    if need > free:
        half = dtype == torch.float32 and " (half as much where the hardware has bfloat16)"
        raise LLMUnavailable(
            f"language model {name!r} has {count / 1e9:.1f} billion parameters, which take "
            f"{need / 1e9:.1f} GB in {str(dtype).removeprefix('torch.')}{half or ''}, and "
            f"{free / 1e9:.1f} GB of {'GPU ' if on_gpu else ''}memory are free: close what else "
            f"uses it, take a {'GPU' if on_gpu else 'machine'} with more, or a smaller model "
            f"such as smollm2-135m"
        )


def _from_hub(name: str, hub: str, revision: str | None, files: list[str]) -> str:
    """Folder of a model's ``files`` on the hub, downloaded where they are not here yet."""
    what = f"language model {name!r}{f' ({hub} on the hub)' if hub != name else ''}"
    try:
        return snapshot_download(
            hub, revision=revision, allow_patterns=files, local_files_only=offline()
        )
    except GatedRepoError as error:
        raise LLMUnavailable(
            f"{what} is read only by those who have agreed to its terms: agree at "
            f"https://huggingface.co/{hub}, then log in with `hf auth login`"
        ) from error
    except (RepositoryNotFoundError, RevisionNotFoundError, HFValidationError) as error:
        raise LLMUnavailable(
            f"{what} is not there, or not for you to see (`hf auth login`): give {_others()}"
        ) from error
    except (OSError, httpx2.HTTPError) as error:
        why = (
            "OFFLINE keeps from the hub"
            if offline()
            else f"could not be had from the hub ({str(error).splitlines()[0]})"
        )
        raise LLMUnavailable(
            f"{what} is not on this machine, and {why}: run this once with a network, or copy the "
            f"model's folder here and give its path; or else give {_others()}"
        ) from error


def _broken(name: str, folder: str, error: Exception) -> LLMUnavailable:
    return LLMUnavailable(
        f"language model {name!r} could not be loaded from {folder}: {error}. Such a folder holds "
        f"config.json, the tokenizer's files and *.safetensors, as save_pretrained writes them"
    )


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
        with quiet(), redirect_stderr(io.StringIO()):
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
def quiet() -> Iterator[None]:
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
