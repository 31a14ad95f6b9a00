"""Results with all that is needed to doubt them: the one source of figures, tables and prose."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict

ROOT = Path(__file__).resolve().parents[2]
PUBLISHED = ROOT / "book" / "records"

# Packages whose version may change a number.
PACKAGES = ("torch", "transformers", "numpy", "scikit-learn", "onnxruntime", "pillow", "lancedb")


class Strict(BaseModel):
    """Base of all records: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid")


class Score(Strict):
    """A metric with its 95% interval and, apart, the spread over seeds."""

    value: float
    low: float
    high: float
    seed_std: float | None = None


class Provenance(Strict):
    """Where a record comes from."""

    profile: str
    settings: dict[str, Any]
    encoder: str
    llm: str
    manifests: dict[str, str]
    source: str
    packages: dict[str, str]
    machine: str
    finished: str
    seconds: float


class Example(Strict):
    """One test item with the answer given, for showing."""

    item_id: str
    answer: str
    given: str
    logprob: float
    neighbours: list[dict[str, Any]] = []


R = TypeVar("R", bound=BaseModel)


def write_text(path: Path, text: str) -> None:
    """Write a text file so that a kill leaves the old one or the new one, never half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(temporary, 0o644)
    os.replace(temporary, path)


def write(record: BaseModel, path: Path) -> None:
    """Write a record as indented JSON; numbers are rounded to six digits."""
    data = _rounded(record.model_dump(mode="json"))
    write_text(path, json.dumps(data, indent=1, ensure_ascii=False) + "\n")


def read(kind: type[R], path: Path) -> R:
    """Read a record; raises :class:`ValueError` naming the file if it is none."""
    try:
        return kind.model_validate_json(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no {kind.__name__}: {error}") from error


def published(kind: type[R], experiment: str) -> R | None:
    """The committed record of an experiment: the study's, else that of a smaller profile."""
    for profile in ("study", "local"):
        path = PUBLISHED / f"{experiment}.{profile}.json"
        if path.exists():
            return read(kind, path)
    return None


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_rounded(v) for v in value]
    return value


def digest(value: Any) -> str:
    """sha256 of a JSON-able value in canonical form."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def machine() -> str:
    """Processor, cores and system, in words; no host name."""
    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [
            r.split(":", 1)[1].strip()
            for r in cpuinfo.read_text().splitlines()
            if r.startswith("model name")
        ]
        processor = names[0] if names else processor
    python = platform.python_version()
    return f"{processor}, {os.cpu_count()} cores, {platform.system()}, Python {python}"


def provenance(
    profile: Any, encoder: str, llm: str, manifests: Mapping[str, str], source: str, seconds: float
) -> Provenance:
    """Provenance of a run that has just finished."""
    return Provenance(
        profile=profile.name,
        settings=profile.model_dump(mode="json"),
        encoder=encoder,
        llm=llm,
        manifests=dict(manifests),
        source=source,
        packages={p: metadata.version(p) for p in PACKAGES},
        machine=machine(),
        finished=datetime.now(UTC).strftime("%Y-%m-%d"),
        seconds=seconds,
    )
