"""How an answer is judged, and how sure one can be of the score."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_EDGE = re.compile(r"^[\s\"'`.,!?:;]+|[\s\"'`.,!?:;]+$")


def normalise(text: str) -> str:
    """The form in which answers are compared: Unicode NFKC, case folded, white
    space collapsed, and quotes and punctuation at either end removed."""
    text = unicodedata.normalize("NFKC", text).casefold()
    return _EDGE.sub("", " ".join(text.split()))


def exact_match(answer: str, truth: str) -> bool:
    """Whether two answers are the same after :func:`normalise`."""
    return normalise(answer) == normalise(truth)


def cer(answers: Sequence[str], truths: Sequence[str]) -> float:
    """Character error rate over all items, after :func:`normalise`."""
    import jiwer

    return float(jiwer.cer([normalise(t) for t in truths], [normalise(a) for a in answers]))


def wer(answers: Sequence[str], truths: Sequence[str]) -> float:
    """Word error rate over all items, after :func:`normalise`."""
    import jiwer

    return float(jiwer.wer([normalise(t) for t in truths], [normalise(a) for a in answers]))


def word_edits(answer: str, truth: str) -> tuple[int, int]:
    """Word errors of one answer (substituted, left out, put in), and the words of the truth."""
    import jiwer

    done = jiwer.process_words(normalise(truth), normalise(answer))
    errors = done.substitutions + done.deletions + done.insertions
    return errors, done.hits + done.substitutions + done.deletions


def character_edits(answer: str, truth: str) -> tuple[int, int]:
    """Character errors of one answer, and the characters of the truth."""
    import jiwer

    done = jiwer.process_characters(normalise(truth), normalise(answer))
    errors = done.substitutions + done.deletions + done.insertions
    return errors, done.hits + done.substitutions + done.deletions


def word_overlap(answer: str, truth: str) -> float:
    """The words that two texts share, in whatever order: F1 of the two bags of words.

    As SQuAD's F1 (Rajpurkar et al., 2016), after :func:`normalise` and with articles kept. English
    sentences share some words by chance: compare with shuffled pairs.
    """
    a, b = Counter(normalise(answer).split()), Counter(normalise(truth).split())
    shared = sum((a & b).values())
    return 2 * shared / (a.total() + b.total()) if shared else 0.0


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95% interval."""

    value: float
    low: float
    high: float


def _interval(*bounds: float) -> Interval:
    """Rounded far below what is shown, so that a constant does not lie outside its own interval,
    a rounding error away, because drawings sum it in another order."""
    return Interval(*(round(float(b), 12) for b in bounds))


class Bootstrap:
    """Intervals of accuracy and macro accuracy, resampling whole groups.

    Items of one group (a speaker, a stamp) share their luck, so groups and
    not items are drawn with replacement. The same draws serve every method,
    which makes differences between methods paired.

    Args:
        classes: The true answer of each item, ``[N]``.
        groups: The group of each item, ``[N]``; ``None`` makes an item its own group.
        draws: Number of resamplings.
        seed: Of the draws.
    """

    def __init__(
        self,
        classes: Sequence[str],
        groups: Sequence[str | None],
        draws: int = 2000,
        seed: int = 0,
    ):
        if not classes:
            raise ValueError("no items to score")
        keys = [g if g is not None else f"item {i}" for i, g in enumerate(groups)]
        _, self._group = np.unique(keys, return_inverse=True)
        _, self._class = np.unique(list(classes), return_inverse=True)
        self._shape = (int(self._group.max()) + 1, int(self._class.max()) + 1)
        n_groups = self._shape[0]
        rng = np.random.default_rng(seed)
        self._weights = rng.multinomial(
            n_groups, np.full(n_groups, 1 / n_groups), size=draws
        ).astype(np.float64)
        self._counts = self._table(np.ones(len(keys)))

    def _table(self, values: np.ndarray) -> np.ndarray:
        """Sums of ``values`` by group and class, ``[G, C]``."""
        table = np.zeros(self._shape)
        np.add.at(table, (self._group, self._class), values)
        return table

    def _statistic(self, values: np.ndarray, macro: bool) -> tuple[float, np.ndarray]:
        """The statistic on all items, and on every resampling ``[draws]``."""
        sums = self._table(np.asarray(values, dtype=np.float64))
        s = np.vstack([np.ones(self._shape[0]), self._weights]) @ sums
        n = np.vstack([np.ones(self._shape[0]), self._weights]) @ self._counts
        if macro:
            # a class that a resampling misses is left out of that resampling's mean
            with np.errstate(invalid="ignore"):
                out = np.nanmean(np.where(n > 0, s / n, np.nan), axis=1)
        else:
            out = s.sum(1) / n.sum(1)
        return float(out[0]), out[1:]

    def ratio(
        self, numerators: np.ndarray, denominators: np.ndarray, macro: bool = False
    ) -> Interval:
        """Sum of ``numerators`` over sum of ``denominators``, both ``[N]``, such as errors over
        words, or the mean of class means over that; with its 95% interval.

        Resamplings whose denominators are all 0 are left out.
        """
        above, aboves = self._statistic(numerators, macro)
        below, belows = self._statistic(denominators, macro)
        if not below:
            raise ValueError("the denominators are all 0")
        drawn = belows > 0
        low, high = np.percentile(aboves[drawn] / belows[drawn], [2.5, 97.5])
        return _interval(above / below, low, high)

    def interval(self, values: np.ndarray, macro: bool = False) -> Interval:
        """Mean of ``values`` ``[N]`` (or mean of class means) with its 95% interval.

        For several seeds give the seed-averaged correctness of each item.
        Two intervals of one object may be compared by giving their difference.
        """
        value, draws = self._statistic(values, macro)
        low, high = np.percentile(draws, [2.5, 97.5])
        return _interval(value, low, high)
