"""What others report of audio–text retrieval, and where two reports of one model differ.

The table ``data_manifests/published_audio_scores.csv`` has two sources, never mixed:

- ``mteb``: the results that mteb publishes (embeddings-benchmark/results at f4cc6c8b, 2026-08-20).
  Its AudioCaps has 883 clips and 4,411 captions; its first Clotho, of which these are, splits
  captions at full stops and leaves 905 of 5,585 queries empty, so that scores on it are too low
  and comparable among themselves alone. Parameters and training data as in mteb's model cards.
- ``article``: the article on bootstrapping audio embeddings that this project follows.

Scores are percentages.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache

from gemb.data.manifests import MANIFESTS

TABLE = MANIFESTS / "published_audio_scores.csv"


@dataclass(frozen=True)
class Published:
    """One model on one dataset in one direction.

    Attributes:
        source: ``mteb`` or ``article``.
        model: As the source names it.
        parameters: In all; ``None`` where not stated.
        heard: What sounds it was fine-tuned on: ``captioned sound``, ``captioned music``,
            ``sound without captions``, ``speech``, ``none``, ``not fine-tuned``, ``not stated``.
        dataset: AudioCaps, AudioSetStrong, Clotho or MACS.
        direction: ``text-to-audio`` or ``audio-to-text``.
        scores: By metric, of those reported.
        same_as: mteb's name of the same model, where the article reports one that mteb has.
        note: What else to know.
    """

    source: str
    model: str
    parameters: int | None
    heard: str
    dataset: str
    direction: str
    scores: dict[str, float]
    same_as: str
    note: str


_METRICS = {"cvR1": "cvR@1", "cvR5": "cvR@5", "cvR10": "cvR@10", "NDCG10": "NDCG@10"}


@cache
def published() -> tuple[Published, ...]:
    """Every row of the table."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        return tuple(
            Published(
                row["source"],
                row["model"],
                int(row["parameters"]) if row["parameters"] else None,
                row["heard"],
                row["dataset"],
                row["direction"],
                {name: float(row[key]) for key, name in _METRICS.items() if row[key]},
                row["same_as"],
                row["note"],
            )
            for row in csv.DictReader(file)
        )


def without_audio() -> list[Published]:
    """Models that were fine-tuned without a sound; their bases may have heard some."""
    return [p for p in published() if p.heard == "none"]


def differences() -> list[tuple[Published, Published]]:
    """What the article and mteb both report of one model, dataset and direction."""
    field = {(p.model, p.dataset, p.direction): p for p in published() if p.source == "mteb"}
    return [
        (p, field[key])
        for p in published()
        if (key := (p.same_as, p.dataset, p.direction)) in field
    ]
