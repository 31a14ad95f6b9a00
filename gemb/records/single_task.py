"""The record of section 1."""

from __future__ import annotations

from typing import Any

from gemb.records.base import Example, Provenance, Score, Strict


class MethodResult(Strict):
    """One method on one task's test items."""

    method: str
    accuracy: Score
    macro_accuracy: Score
    difference: Score | None = None  # the adaptor's accuracy minus this method's, paired
    outside: float | None = None  # share of answers outside the label set
    items: int | None = None  # asked; a slow method is asked some of the test items


class Voted(Strict):
    """The adaptors of several seeds, answering by vote."""

    seeds: int
    accuracy: Score
    over_regression: Score  # minus logistic regression's accuracy, paired


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
    voted: Voted | None = None
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
    seconds_embedding: float | None  # None where the vectors were there and nobody measured
    seconds_training: float
    seconds_answering: float
    items_per_second: float
    price_usd: float | None  # of embedding; None where no price is known

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
