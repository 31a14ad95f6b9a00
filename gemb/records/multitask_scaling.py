"""The record of section 4."""

from __future__ import annotations

from typing import Any

from gemb.records.base import Provenance, Score, Strict


class SharedTask(Strict):
    """What a shared adaptor does on one of its tasks."""

    task: str
    items: int
    accuracy: Score
    majority: float = 0.0  # of always giving the most frequent right answer
    outside: float  # share of answers outside the task's label set
    words: float  # of an answer, mean
    frequent: list[tuple[str, float]]  # the most frequent answers and their shares

    @property
    def learnt(self) -> bool:
        """Whether it is surely better than always giving the most frequent right answer."""
        return self.accuracy.low > self.majority


# How the name of a trial in the study's own form begins, as far as that form is known.
STUDYS_FORM = "the study's form"


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
    validation: float  # accuracy on the validation items of all tasks together
    results: list[SharedTask]
    # mean of its tasks' accuracies over that of the tasks' own adaptors, of all its tasks and of
    # those that their own adaptors learn; none if these are never right
    of_own: Score | None = None
    of_learnt: Score | None = None
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
    seconds: float = 0.0  # of all its trainings and answers, whenever they were done
    swap: list[dict[str, Any]]  # one task's items, asked with its prompt and with another's

    def trial(self, name: str, encoder: str | None = None) -> Trial:
        """The trial of that name, of the headline's encoder if none is given."""
        for found in self.trials:
            if (found.name, found.encoder) == (name, encoder or self.encoders[0]):
                return found
        raise KeyError(f"no trial {name!r}; there are: {', '.join(t.name for t in self.trials)}")
