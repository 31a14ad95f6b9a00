"""The record of section 3."""

from __future__ import annotations

from typing import Any

from gemb.records.base import Provenance, Score, Strict


class CategoryResult(Strict):
    """One category of a transfer's test sounds."""

    category: str
    items: int
    groups: int
    accuracy: Score
    logprob: float  # mean, of the tokens of the answers given
    said: list[tuple[str, float]]  # the most frequent answers and their shares


class TransferResult(Strict):
    """One way from what was trained on to what is tested, or a control."""

    name: str
    kind: str  # transfer, ceiling, retrieval, control
    encoder: str
    items: int
    accuracy: Score
    macro: Score
    own: Score | None = None  # macro, of the same adaptor on test items of the trained modality
    by_category: list[CategoryResult] = []
    confusion: dict[str, dict[str, float]] = {}


class Transfer(Strict):
    """An adaptor trained on one modality, and asked about another."""

    trained_on: str  # what the training items are, such as pictures
    tested_on: str
    data: str  # both datasets, in words
    encoder: str  # of the headline
    categories: list[str]
    items: int  # tested
    groups: int
    n_train: int
    majority: float
    results: list[TransferResult]
    degradation: list[dict[str, Any]]

    def of(self, name: str) -> TransferResult:
        """The result called ``name``; the error names those there are."""
        found = {r.name: r for r in self.results}
        if name not in found:
            raise KeyError(f"no result {name!r}; there are: {', '.join(found)}")
        return found[name]

    @property
    def headline(self) -> TransferResult:
        """The trained adaptor on the headline's encoder."""
        return self.of(f"adaptor on {self.encoder}")


class TransferRecord(Strict):
    """The record of ``03_esc50_transfer``."""

    experiment: str = "esc50_transfer"
    provenance: Provenance
    validation: dict[str, dict[str, float]]  # of open-bound: captions found, by kind and variant
    transfers: list[Transfer]
    not_run: dict[str, str]
    seconds: float = 0.0  # of all its trainings and their answers, whenever they were done
