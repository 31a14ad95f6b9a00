"""Which items train, validate and test, and how a sample is drawn."""

from __future__ import annotations

import hashlib
import warnings
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

from gemb.data.items import Item
from gemb.profiles import Sizes
from gemb.tasks import Task


@dataclass(frozen=True)
class Fold:
    """Training, validation and test items; no item is in two of them.

    ``extra`` are test items of other subsets than ``main``, reported apart.
    """

    train: tuple[Item, ...]
    val: tuple[Item, ...]
    test: tuple[Item, ...]
    extra: tuple[Item, ...] = ()


def _order(item_id: str, salt: str) -> str:
    return hashlib.sha256(f"{salt}|{item_id}".encode()).hexdigest()


def sample(items: Sequence[Item], count: int, salt: str = "sample") -> list[Item]:
    """At most ``count`` items, as many of each answer as there are.

    Within an answer the order is that of a hash of the item's id, so a
    smaller sample lies inside a larger one and does not depend on the order
    of ``items``.
    """
    by_answer: dict[str, list[Item]] = defaultdict(list)
    for item in sorted(items, key=lambda i: _order(i.id, salt)):
        by_answer[item.answer].append(item)
    queues = [by_answer[a] for a in sorted(by_answer, key=lambda a: _order(a, salt))]
    picked: list[Item] = []
    rank = 0
    while len(picked) < count and any(rank < len(q) for q in queues):
        picked += [q[rank] for q in queues if rank < len(q)]
        rank += 1
    return picked[:count]


def _grouped(items: Sequence[Item], parts: int) -> list[list[Item]]:
    """``items`` in ``parts`` parts of like size and like answers, no group in two of them."""
    groups = [i.group or i.id for i in items]
    parts = min(parts, len(set(groups)))
    if parts < 2:
        raise ValueError(f"{items[0].id} and its like: one group alone cannot be split")
    answers = [i.answer for i in items]
    # scikit-learn refuses to stratify where every answer has fewer items than there are parts
    kind = StratifiedGroupKFold if max(Counter(answers).values()) >= parts else GroupKFold
    splitter = kind(parts, shuffle=True, random_state=0)
    with warnings.catch_warnings():  # an answer with fewer items than parts is no error here
        warnings.simplefilter("ignore", UserWarning)
        found = list(splitter.split(items, answers, groups))
    return [[items[k] for k in held] for _, held in found]


def _without(items: Sequence[Item], held: Sequence[Item]) -> list[Item]:
    ids = {i.id for i in held}
    return [i for i in items if i.id not in ids]


def _validation(items: Sequence[Item], count: int, by_group: bool, salt: str) -> list[Item]:
    """Items of the training pool to choose models on; whole groups if asked.

    Of the fifths into which the groups are parted the one with most answers,
    then most groups, is taken: one speaker alone has one gender, and on one
    answer nothing can be chosen.
    """
    if not by_group:
        return sample(items, min(count, max(1, len(items) // 5)), salt)

    def variety(part: Sequence[Item]) -> tuple[int, int]:
        return len({i.answer for i in part}), len({i.group for i in part})

    return sample(max(_grouped(items, 5), key=variety), count, salt)


def random_fold(items: Sequence[Item], sizes: Sizes, seed: int) -> Fold:
    """The study's protocol: a random fifth is the test set, redrawn with each seed."""
    pool = sample([i for i in items if i.subset == "main"], sizes.train + sizes.val + sizes.test)
    test = sample(pool, max(1, round(0.2 * len(pool))), f"test {seed}")
    rest = _without(pool, test)
    val = _validation(rest, sizes.val, by_group=False, salt=f"val {seed}")
    train = sample(_without(rest, val), sizes.train, f"train {seed}")
    return Fold(tuple(train), tuple(val), tuple(test[: sizes.test]))


def leak_free_folds(task: Task, items: Sequence[Item], sizes: Sizes) -> list[Fold]:
    """The fixed split in which nothing that identifies a group is in both training and test.

    Raises:
        ValueError: If the items lack the marks that ``task.split`` needs.
    """
    items = sorted(items, key=lambda i: _order(i.id, "pool"))
    main = [i for i in items if i.subset == "main"]
    extra_train = [i for i in items if i.subset != "main" and i.split == "train"]
    extra_test = [i for i in items if i.subset != "main" and i.split != "train"]
    if task.split == "none":
        return [random_fold(items, sizes, seed=0)]
    if task.split == "folds":
        parts = _grouped(main, sizes.folds)
        pools = [(_without(main, part), part) for part in parts]
    else:
        pools = [([i for i in main if i.split == "train"], [i for i in main if i.split == "test"])]
    folds = []
    for number, (pool, test) in enumerate(pools):
        if not pool or not test:
            raise ValueError(f"{task.name}: no {'test' if pool else 'training'} items are marked")
        by_group = task.split in ("holdout", "folds")
        # validation groups are taken from the pool before it is sampled, and stay whole
        val = _validation(pool, sizes.val, by_group, "val")
        val_groups = {i.group for i in val} if by_group else set()
        val_ids = {i.id for i in val}
        train = [i for i in pool if i.id not in val_ids and i.group not in val_groups]
        extra = extra_test if number == 0 else ()
        whole = Fold((*train, *extra_train), tuple(val), tuple(test), tuple(extra))
        folds.append(_cut(whole, sizes, len(pools)))
    return folds


def _cut(fold: Fold, sizes: Sizes, folds: int) -> Fold:
    """At most as many items of each part of one of ``folds`` folds as ``sizes`` says."""
    extra = [i for i in fold.train if i.subset != "main"]
    n_extra = sizes.train // 3 if extra else 0
    main = [i for i in fold.train if i.subset == "main"]
    return Fold(
        tuple(sample(main, sizes.train - n_extra) + sample(extra, n_extra)),
        fold.val[: sizes.val],
        tuple(sample(fold.test, max(1, sizes.test // folds))),
        tuple(_subsets(fold.extra, sizes.test)),
    )


def places(folds: Sequence[Fold]) -> dict[str, dict[str, str]]:
    """In which part of which fold each item is, by its id: ``{"0": "train", "1": "test"}``."""
    out: dict[str, dict[str, str]] = defaultdict(dict)
    for number, fold in enumerate(folds):
        for part in fields(fold):
            for item in getattr(fold, part.name):
                out[item.id][str(number)] = part.name
    return out


def folds_of(
    items: Sequence[Item], places: Mapping[str, Mapping[str, str]], sizes: Sizes
) -> list[Fold]:
    """The folds that ``places`` remembers, no more than ``sizes`` says and each cut down to it.

    Where raw data cannot be had, a split drawn anew among the released items would not be the
    one they were released from.
    """
    numbers = sorted({n for where in places.values() for n in where}, key=int)[: sizes.folds]

    def part(number: str, name: str, salt: str = "sample") -> tuple[Item, ...]:
        mine = [i for i in items if places[i.id].get(number) == name]
        return tuple(sample(mine, len(mine), salt))

    whole = [
        Fold(part(n, "train"), part(n, "val", "val"), part(n, "test"), part(n, "extra"))
        for n in numbers
    ]
    return [_cut(fold, sizes, len(whole)) for fold in whole]


def _subsets(items: Sequence[Item], count: int) -> list[Item]:
    """At most ``count`` items of each subset that is reported apart."""
    names = sorted({i.subset for i in items})
    return [i for name in names for i in sample([j for j in items if j.subset == name], count)]
