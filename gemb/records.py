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

ROOT = Path(__file__).resolve().parents[1]
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


class MethodResult(Strict):
    """One method on one task's test items."""

    method: str
    accuracy: Score
    macro_accuracy: Score
    difference: Score | None = None  # the adaptor's accuracy minus this method's, paired
    outside: float | None = None  # share of answers outside the label set


class Example(Strict):
    """One test item with the answer given, for showing."""

    item_id: str
    answer: str
    given: str
    logprob: float
    neighbours: list[dict[str, Any]] = []


class SubsetResult(Strict):
    """Test items reported apart from the headline."""

    subset: str
    items: int
    methods: list[MethodResult]
    extra: dict[str, float] = {}


class TaskResult(Strict):
    """One task under one protocol."""

    task: str
    protocol: str
    split: str
    n_train: int
    n_val: int
    n_test: int
    classes: list[str]
    groups: int
    source: str
    methods: list[MethodResult]
    subsets: list[SubsetResult] = []
    controls: list[MethodResult] = []
    curve: list[dict[str, Any]] = []
    history: list[dict[str, Any]] = []
    confusion: dict[str, dict[str, float]] = {}
    examples: list[Example] = []
    extra: dict[str, float] = {}
    notes: list[str] = []
    # share of answers that differ, asked in one batch or one by one, in the run's own precision
    batch_disagreement: float | None = None
    seconds_embedding: float
    seconds_training: float
    seconds_answering: float
    items_per_second: float
    price_usd: float

    def method(self, name: str) -> MethodResult:
        """The result of one method; the error names those there are."""
        found = {m.method: m for m in [*self.methods, *self.controls]}
        if name not in found:
            raise KeyError(f"{self.task}: no method {name!r}; there are: {', '.join(found)}")
        return found[name]


class SingleTaskRecord(Strict):
    """The record of ``01_single_task``."""

    experiment: str = "single_task"
    provenance: Provenance
    results: list[TaskResult]

    def of(self, task: str, protocol: str = "leak-free") -> TaskResult:
        """The result of one task under one protocol."""
        for result in self.results:
            if (result.task, result.protocol) == (task, protocol):
                return result
        raise KeyError(f"no record of {task!r} under {protocol!r}")

    def has(self, task: str, protocol: str = "leak-free") -> bool:
        """Whether there is a result of that task under that protocol."""
        return any((r.task, r.protocol) == (task, protocol) for r in self.results)


class SpeechResult(Strict):
    """One way to a transcript of open-vocabulary speech: a set-up, a floor or a ceiling."""

    name: str
    kind: str
    items: int
    exact: Score
    wer: Score
    cer: Score
    overlap: Score  # F1 of words, order ignored
    by_length: list[dict[str, Any]] = []
    n_train: int | None = None
    parameters: int | None = None
    tokens: float | None = None  # virtual tokens a sentence, mean
    bits: Score | None = None  # what its own vector saves on the right sentence, against another's
    history: list[dict[str, Any]] = []
    examples: list[Example] = []


class Recognition(Strict):
    """Sentences that were trained on, spoken by other voices, and sentences that were not."""

    sentences: int
    n_train: int
    known: Score
    unseen: Score
    class_mean: Score  # nearest class mean on the same vectors


class Probe(Strict):
    """How well a linear probe finds words in a vector."""

    arm: str
    words: int
    auc: Score  # over words
    by_word: list[dict[str, Any]]


class CurvePoint(Strict):
    """One training of a learning curve over sentences."""

    arm: str
    n_train: int
    exact: Score
    wer: Score
    overlap: Score
    bits: Score
    train_loss: float


class OpenVocabularyRecord(Strict):
    """The record of ``02_librispeech_failure``."""

    experiment: str = "librispeech_failure"
    provenance: Provenance
    n_train: int
    n_test: int
    results: list[SpeechResult]
    recognition: list[Recognition]
    probes: list[Probe]
    curve: list[CurvePoint]
    nearest_training_wer: Score  # the most a copy of a training sentence could get right
    notes: list[str] = []

    def of(self, name: str) -> SpeechResult:
        """The result called ``name``; the error names those there are."""
        found = {r.name: r for r in self.results}
        if name not in found:
            raise KeyError(f"no result {name!r}; there are: {', '.join(found)}")
        return found[name]


class SharedTask(Strict):
    """What a shared adaptor does on one of its tasks."""

    task: str
    items: int
    accuracy: Score
    outside: float  # share of answers outside the task's label set
    words: float  # of an answer, mean
    frequent: list[tuple[str, float]]  # the most frequent answers and their shares


class Trial(Strict):
    """One shared adaptor: how it was trained, and what it does on each task."""

    name: str
    group: str  # sweep, capacity, collapse, rescue, confirmation
    encoder: str
    seed: int
    num_virtual_tokens: int
    hidden: int
    parameters: int
    tasks: int
    passes: int  # training items times epochs
    seconds: float
    changed: dict[str, Any]  # settings that differ from the profile's
    validation: float  # mean of the tasks' accuracies on validation items
    results: list[SharedTask]
    history: list[dict[str, Any]] = []

    @property
    def mean(self) -> float:
        """Mean of the tasks' accuracies."""
        return sum(r.accuracy.value for r in self.results) / len(self.results)


class MultitaskRecord(Strict):
    """The record of ``04_multitask_scaling``."""

    experiment: str = "multitask_scaling"
    provenance: Provenance
    encoders: list[str]
    single: dict[str, list[SharedTask]]  # by encoder: each task's own adaptor, one virtual token
    trials: list[Trial]
    swap: list[dict[str, Any]]  # items that two tasks share, asked with either prompt

    def trial(self, name: str, encoder: str | None = None) -> Trial:
        """The trial of that name, of the headline's encoder if none is given."""
        for found in self.trials:
            if (found.name, found.encoder) == (name, encoder or self.encoders[0]):
                return found
        raise KeyError(f"no trial {name!r}; there are: {', '.join(t.name for t in self.trials)}")


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
