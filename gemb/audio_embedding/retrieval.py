"""How well sounds find their captions, and captions their sounds.

Of every query all documents are ranked by the similarity of their vectors. What is reported:

- ``cvR@k``, the source's name: is any right document among the first k? (mteb: ``hit_rate_at_k``.)
  With one right document a query it is recall@k; with several it is looser.
- ``NDCG@10`` with binary relevance.
- ``MRR``, the reciprocal rank of the first right document, mean over queries, without a cut-off.

Ties: documents of equal similarity are in every order equally often, and each score is its exact
mean over those orders. So no order of files can help or harm, and a model that gives every input
one vector scores chance and neither 0 nor 1. mteb instead puts the later document id first;
``ties="mteb"`` does as it does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol

import numpy as np
from scipy.stats import rankdata

from gemb.data.items import Item, Pair
from gemb.errors import UserError
from gemb.metrics import Bootstrap, Interval

Direction = Literal["text-to-audio", "audio-to-text"]
Ties = Literal["expected", "mteb"]

DIRECTIONS: tuple[Direction, ...] = ("text-to-audio", "audio-to-text")
HITS_AT = (1, 5, 10)
NDCG_AT = 10
METRICS = (*(f"cvR@{k}" for k in HITS_AT), f"NDCG@{NDCG_AT}", "MRR")

# Similarities closer than this tie: two copies of one vector may differ in the last bit of their
# dot products, depending on where in a matrix they stand.
DECIMALS = 6


class AudioTextModel(Protocol):
    """What retrieval asks of a model; rows are L2-normalised and in the order given."""

    def embed_audio(self, items: Sequence[Item]) -> np.ndarray:
        """Vectors ``[N, D]`` of sounds."""
        ...

    def embed_text(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors ``[N, D]`` of texts."""
        ...


@dataclass(frozen=True)
class Gallery:
    """Sounds and captions among which is searched, each once.

    Attributes:
        items: The sounds, ``[N]``.
        captions: The captions, ``[M]``.
        relevant: bool ``[N, M]``: whether the caption is one of the sound's.
    """

    items: tuple[Item, ...]
    captions: tuple[str, ...]
    relevant: np.ndarray

    @classmethod
    def of(cls, pairs: Sequence[Pair]) -> Gallery:
        """Every item (by id) and every caption (by its text) of ``pairs``, in their order.

        Raises:
            UserError: There are no pairs.
        """
        if not pairs:
            raise UserError("no pairs to search among: choose another subset or a larger size")
        items = {item.id: item for item, _ in pairs}
        rows = {key: n for n, key in enumerate(items)}
        columns = {c: n for n, c in enumerate(dict.fromkeys(caption for _, caption in pairs))}
        relevant = np.zeros((len(rows), len(columns)), dtype=bool)
        for item, caption in pairs:
            relevant[rows[item.id], columns[caption]] = True
        return cls(tuple(items.values()), tuple(columns), relevant)

    def queries(self, direction: Direction) -> np.ndarray:
        """Which documents are right for each query of a direction, bool ``[Q, documents]``."""
        return self.relevant.T if direction == "text-to-audio" else self.relevant


@dataclass(frozen=True)
class Retrieval:
    """Scores of one model on one gallery, query by query.

    Attributes:
        gallery: What was searched.
        values: By direction and metric, ``[Q]``.
    """

    gallery: Gallery
    values: Mapping[Direction, Mapping[str, np.ndarray]]

    def interval(self, direction: Direction, metric: str = "cvR@5") -> Interval:
        """The mean over queries with its 95% bootstrap interval.

        Captions are drawn one by one; sounds by their group, since takes of one
        recording share their luck.
        """
        return self._bootstraps[direction].interval(self.values[direction][metric])

    def gain(self, over: Retrieval, direction: Direction, metric: str = "cvR@5") -> Interval:
        """How much better than ``over`` on the same gallery, with a paired 95% interval.

        Raises:
            ValueError: The galleries differ.
        """
        return self._bootstraps[direction].interval(self.difference(over, direction, metric))

    def difference(self, over: Retrieval, direction: Direction, metric: str) -> np.ndarray:
        """How much better than ``over`` each query is answered, ``[Q]``.

        Raises:
            ValueError: The galleries differ.
        """
        mine, other = self.gallery, over.gallery
        if mine.captions != other.captions or [i.id for i in mine.items] != [
            i.id for i in other.items
        ]:
            raise ValueError("the two were not asked the same queries")
        return self.values[direction][metric] - over.values[direction][metric]

    def table(self) -> dict[Direction, dict[str, Interval]]:
        """Every metric in both directions."""
        return {d: {m: self.interval(d, m) for m in METRICS} for d in DIRECTIONS}

    @cached_property
    def groups(self) -> dict[Direction, list[str]]:
        """Which queries of a direction share their luck, ``[Q]``."""
        return {
            "text-to-audio": list(self.gallery.captions),
            "audio-to-text": [i.group or i.id for i in self.gallery.items],
        }

    @cached_property
    def _bootstraps(self) -> dict[Direction, Bootstrap]:
        return {d: Bootstrap([""] * len(g), g) for d, g in self.groups.items()}


def mean(
    found: Mapping[str, Retrieval],
    direction: Direction,
    over: Mapping[str, Retrieval] | None = None,
    metric: str = "cvR@5",
) -> Interval:
    """The mean over all galleries with its 95% interval; with ``over`` of the gain on that.

    Every gallery counts the same. What stands in several is drawn in all of them at once.

    Raises:
        ValueError: The galleries of the two differ.
    """
    parts = {
        name: one.difference(over[name], direction, metric)
        if over
        else one.values[direction][metric]
        for name, one in found.items()
    }
    galleries = [name for name, values in parts.items() for _ in values]
    groups = [group for one in found.values() for group in one.groups[direction]]
    return Bootstrap(galleries, groups).interval(np.concatenate([*parts.values()]), macro=True)


def evaluate(model: AudioTextModel, pairs: Sequence[Pair], ties: Ties = "expected") -> Retrieval:
    """Embed the sounds and captions of ``pairs``, and search both ways."""
    gallery = Gallery.of(pairs)
    return search(
        gallery, model.embed_audio(gallery.items), model.embed_text(gallery.captions), ties
    )


def search(
    gallery: Gallery, audio: np.ndarray, text: np.ndarray, ties: Ties = "expected"
) -> Retrieval:
    """Scores of vectors ``[N, D]`` of the gallery's sounds and ``[M, D]`` of its captions.

    Raises:
        ValueError: The shapes do not fit, or a vector is not finite.
    """
    if (len(audio), len(text)) != gallery.relevant.shape or audio.shape[1:] != text.shape[1:]:
        raise ValueError(
            f"vectors {audio.shape} and {text.shape} for {gallery.relevant.shape[0]} sounds "
            f"and {gallery.relevant.shape[1]} captions"
        )
    similarity = np.round(audio.astype(np.float64) @ text.astype(np.float64).T, DECIMALS)
    if not np.isfinite(similarity).all():
        raise ValueError("a vector holds NaN or infinity")
    return Retrieval(
        gallery,
        {
            "text-to-audio": scores(similarity.T, gallery.queries("text-to-audio"), ties),
            "audio-to-text": scores(similarity, gallery.queries("audio-to-text"), ties),
        },
    )


def chance(gallery: Gallery) -> Retrieval:
    """What a model without any knowledge scores: all documents tie."""
    return search(gallery, np.zeros((len(gallery.items), 1)), np.zeros((len(gallery.captions), 1)))


def scores(
    similarity: np.ndarray, relevant: np.ndarray, ties: Ties = "expected"
) -> dict[str, np.ndarray]:
    """Every metric of every query, each ``[Q]``.

    Args:
        similarity: ``[Q, documents]``, higher is nearer.
        relevant: bool of the same shape.
        ties: ``expected`` means over the orders of equal documents; ``mteb`` puts the
            later document first.

    Raises:
        ValueError: A query has no right document.
    """
    if not relevant.any(axis=1).all():
        raise ValueError(f"query {int(np.argmin(relevant.any(axis=1)))} has no right document")
    if ties == "mteb":
        # among equals the ordinal rank grows with the position
        similarity = rankdata(similarity, method="ordinal", axis=1)
    rows = [_query(s, r) for s, r in zip(similarity, relevant, strict=True)]
    return {m: np.array([row[m] for row in rows]) for m in METRICS}


def _query(similarity: np.ndarray, relevant: np.ndarray) -> dict[str, float]:
    """The metrics of one query, exact means over the orders of documents that tie."""
    wanted = similarity[relevant]
    ahead = (similarity > wanted[:, None]).sum(1)  # of each right document
    level = (similarity == wanted[:, None]).sum(1)  # and how many stand where it stands
    # A document that ties with `level` others holds each of their ranks equally often.
    gain = np.zeros(len(similarity) + 1)  # sum of the discounts of the first n ranks
    gain[1:] = np.cumsum(_discounts(len(similarity)))
    ndcg = ((gain[ahead + level] - gain[ahead]) / level).sum() / gain[len(wanted)]
    # Where the first right document may stand: among `n` that tie, `r` of them right, the one
    # at place j is right and none before it is.
    n, first = int(level[wanted.argmax()]), int(ahead[wanted.argmax()])
    r = int((wanted == wanted.max()).sum())
    before = np.arange(n - r + 1)  # wrong ones that happen to stand ahead
    none_yet = np.cumprod(np.concatenate([[1.0], (n - r - before[:-1]) / (n - before[:-1])]))
    here = none_yet * r / (n - before)  # sums to 1
    ranks = first + 1 + before
    hits = {f"cvR@{k}": float(here[ranks <= k].sum()) for k in HITS_AT}
    return hits | {f"NDCG@{NDCG_AT}": float(ndcg), "MRR": float((here / ranks).sum())}


def _discounts(count: int) -> np.ndarray:
    """What a right document at each rank from 1 is worth in NDCG; nothing beyond the cut-off."""
    ranks = np.arange(1, count + 1)
    return np.where(ranks <= NDCG_AT, 1 / np.log2(ranks + 1), 0.0)
