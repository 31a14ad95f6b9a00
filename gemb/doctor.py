"""What is there: the machine, the libraries, the cache, and whether a key is set."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys

import psutil
import typer

from gemb import __version__, profiles
from gemb.data.fetch import FetchError, cache_dir, offline, status
from gemb.data.manifests import ManifestError

# Read in this order by google-genai.
_KEYS = ("GOOGLE_API_KEY", "GEMINI_API_KEY")


def report() -> list[tuple[str, str]]:
    """Names and values, in the order to read them; no key's value is among them.

    Nothing is downloaded, and a part that cannot be looked at is reported in
    its place rather than raised.
    """
    return [
        ("gemb", __version__),
        ("Python", f"{platform.python_version()} ({sys.executable})"),
        ("platform", f"{platform.platform()}, {os.cpu_count()} logical processors"),
        ("torch", _torch()),
        ("LLM runs in", _llm()),
        ("memory", _memory()),
        ("pip", _version("pip")),
        ("apt-get", shutil.which("apt-get") or "absent: Debian packages cannot be fetched here"),
        ("espeak-ng", _version("espeakng-loader")),
        ("Gemini key", _key()),
        ("network", "not touched: OFFLINE is set" if offline() else "used where needed"),
        *_cache(),
        *(
            (f"profile {p.name}", "; ".join(filter(None, (p.duration, p.purpose))))
            for p in profiles.PROFILES.values()
        ),
        *_manifests(),
    ]


def print_report() -> None:
    """Print :func:`report`, one aligned line each."""
    lines = report()
    width = max(len(name) for name, _ in lines)
    for name, value in lines:
        typer.echo(f"{name:{width}}  {value}")


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "absent"


def _torch() -> str:
    if importlib.util.find_spec("torch") is None:
        return "absent"
    import torch

    if torch.version.cuda is None:
        build = "CPU build"
    elif torch.cuda.is_available():
        build = f"CUDA {torch.version.cuda} build, {torch.cuda.get_device_name()}"
    else:
        build = f"CUDA {torch.version.cuda} build, no device"
    return f"{torch.__version__} ({build}), {torch.get_num_threads()} threads"


def _llm() -> str:
    if importlib.util.find_spec("torch") is None:
        return "torch is absent"
    from gemb import device

    place = device.best_device()
    return device.describe(device.best_dtype(place), place)


def _memory() -> str:
    memory = psutil.virtual_memory()
    return f"{memory.available / 2**30:.1f} of {memory.total / 2**30:.1f} GiB available"


def _key() -> str:
    there = [name for name in _KEYS if os.environ.get(name)]
    return f"present ({', '.join(there)})" if there else "absent (only the profile paper needs one)"


def _cache() -> list[tuple[str, str]]:
    try:
        folder = cache_dir()
    except FetchError as error:
        return [("cache", str(error))]
    free = shutil.disk_usage(folder).free
    return [("cache", str(folder)), ("disk", f"{free / 2**30:.1f} GiB free at the cache")]


def _manifests() -> list[tuple[str, str]]:
    try:
        return [
            (
                s.manifest.name,
                _state(s.manifest.download_bytes, s.bytes, s.present)
                + (", by hand" if s.manifest.by_hand and not s.present else ""),
            )
            for s in status()
        ]
    except (FetchError, ManifestError) as error:
        return [("parts and data", str(error))]


def _state(download: int, kept: int, present: bool) -> str:
    if present:
        return f"present, {kept / 1e6:.1f} MB" if kept else "present"
    return f"to be fetched, {download / 1e6:.1f} MB" if download else "to be made from others"
