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
    """One way from pictures to sounds, or a control."""

    name: str
    kind: str  # transfer, ceiling, retrieval, control
    encoder: str
    items: int
    accuracy: Score
    macro: Score
    pictures: Score | None = None  # the same adaptor on test pictures
    by_category: list[CategoryResult] = []
    confusion: dict[str, dict[str, float]] = {}


class TransferRecord(Strict):
    """The record of ``03_esc50_transfer``."""

    experiment: str = "esc50_transfer"
    provenance: Provenance
    default: str  # the variant of the shared space that is better on validation pairs
    validation: dict[str, dict[str, float]]  # retrieval of captions, by variant and modality
    categories: list[str]
    sounds: int
    groups: int
    pictures_trained: int
    majority: float
    results: list[TransferResult]
    degradation: list[dict[str, Any]]
    not_run: dict[str, str]

    def of(self, name: str) -> TransferResult:
        """The result called ``name``; the error names those there are."""
        found = {r.name: r for r in self.results}
        if name not in found:
            raise KeyError(f"no result {name!r}; there are: {', '.join(found)}")
        return found[name]
