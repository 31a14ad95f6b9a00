"""What a reviewer asks for: simple methods on the same vectors, the same split.

Every method sees the same training items, standardised by the training mean
and deviation as the adaptor's are, and its one setting is chosen on the same
validation items. Ties go to the setting named first.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid
from sklearn.neural_network import MLPClassifier

from gemb.adaptor import MIN_SPREAD, spread

# (setting, classifier) candidates of each method.
CANDIDATES: dict[str, Callable[[int], list]] = {
    "k-NN": lambda seed: [KNeighborsClassifier(k, metric="cosine") for k in (1, 5, 15)],
    "nearest class mean": lambda seed: [NearestCentroid()],
    "logistic regression": lambda seed: [
        LogisticRegression(C=c, max_iter=300) for c in (1e-3, 1e-2, 1e-1, 1.0)
    ],
    "MLP head": lambda seed: [
        MLPClassifier((256,), alpha=a, max_iter=60, random_state=seed) for a in (1e-2, 1.0)
    ],
}


def standardise(train: np.ndarray, *others: np.ndarray) -> list[np.ndarray]:
    """All arrays ``[N, D]`` as the adaptor standardises them; unused dimensions dropped."""
    used = train.std(0) >= MIN_SPREAD
    return [((a - train.mean(0)) / spread(train))[:, used] for a in (train, *others)]


def majority(answers: Sequence[str], count: int) -> list[str]:
    """The most frequent training answer, always (the first in the alphabet on a tie)."""
    counts = Counter(answers)
    best = min(counts, key=lambda a: (-counts[a], a))
    return [best] * count


def predictions(
    train: np.ndarray,
    train_answers: Sequence[str],
    val: np.ndarray,
    val_answers: Sequence[str],
    test: np.ndarray,
    seed: int = 0,
    methods: Sequence[str] = tuple(CANDIDATES),
) -> dict[str, list[str]]:
    """Answers of every baseline to ``test`` ``[N, D]``, by method, the majority first."""
    out = {"majority": majority(train_answers, len(test))}
    if len(set(train_answers)) < 2 or not (train.std(0) >= MIN_SPREAD).any():  # nothing to learn
        return out | dict.fromkeys(methods, out["majority"])
    x, x_val, x_test = standardise(train, val, test)
    for method in methods:
        candidates = CANDIDATES[method](seed)
        best_score, best = -1.0, candidates[0]
        for classifier in candidates:
            if isinstance(classifier, KNeighborsClassifier) and classifier.n_neighbors > len(x):
                continue
            with warnings.catch_warnings():
                # a tiny sample may not converge, may have classes without any spread, and there
                # may be nearly as many answers as items
                warnings.filterwarnings("ignore", message="The number of unique classes")
                warnings.simplefilter("ignore", ConvergenceWarning)
                warnings.filterwarnings("ignore", module="sklearn.neighbors._nearest_centroid")
                classifier.fit(x, list(train_answers))
            score = (
                float(np.mean(classifier.predict(x_val) == np.array(val_answers)))
                if len(candidates) > 1
                else 1.0
            )
            if score > best_score:
                best_score, best = score, classifier
        out[method] = [str(a) for a in best.predict(x_test)]
    return out
