import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gemb import tasks
from gemb.data.items import Item, Media
from gemb.data.splits import folds_of, leak_free_folds, places, random_fold, sample
from gemb.profiles import Sizes

SIZES = Sizes(train=40, val=10, test=20, folds=3)


def items(count=200, answers=4, groups=12, split=None, subset="main", prefix="i"):
    return [
        Item(
            f"{prefix}/{n}",
            "image",
            Media.absent(f"{prefix}{n}", ""),
            f"a{n % answers}",
            group=f"g{n % groups}" if groups else None,
            subset=subset,
            split=split(n) if split else None,
        )
        for n in range(count)
    ]


def task(split):
    return dataclasses.replace(tasks.get("objects"), split=split)


@given(st.integers(1, 60), st.integers(1, 60))
def test_a_smaller_sample_lies_inside_a_larger_one(a, b):
    pool = items()
    small, large = sample(pool, min(a, b)), sample(pool, max(a, b))
    assert [i.id for i in small] == [i.id for i in large][: len(small)]


def test_a_sample_is_balanced_and_ignores_the_order_of_the_pool():
    pool = items()
    got = sample(pool, 40)
    assert {sum(i.answer == a for i in got) for a in ("a0", "a1", "a2", "a3")} == {10}
    assert [i.id for i in sample(pool[::-1], 40)] == [i.id for i in got]


@settings(max_examples=20, deadline=None)
@given(st.integers(8, 20), st.integers(2, 4), st.integers(2, 5))
def test_folds_over_groups_share_no_group_and_test_every_item_once(groups, folds, answers):
    pool = items(150, answers, groups)
    got = leak_free_folds(task("folds"), pool, Sizes(train=999, val=5, test=9999, folds=folds))
    tested = [i.id for f in got for i in f.test]
    assert sorted(tested) == sorted(i.id for i in pool)
    for fold in got:
        parts = [{i.group for i in p} for p in (fold.train, fold.val, fold.test)]
        assert not (parts[0] & parts[2] or parts[1] & parts[2] or parts[0] & parts[1])


def test_a_hold_out_keeps_validation_groups_apart_too():
    pool = items(split=lambda n: "test" if n % 12 >= 9 else "train")
    (fold,) = leak_free_folds(task("holdout"), pool, SIZES)
    assert {i.group for i in fold.test} <= {"g9", "g10", "g11"}
    assert not {i.group for i in fold.train} & {i.group for i in fold.val}
    assert len(fold.train) == 40 and len(fold.test) == 20


def test_validation_groups_hold_every_answer_though_each_group_has_one():
    """As of speakers, each of one gender: a single one says nothing about a model."""
    pool = [
        dataclasses.replace(i, answer="male" if int(i.group[1:]) % 2 else "female")
        for i in items(400, 2, 10, split=lambda n: "test" if n % 10 >= 8 else "train")
    ]
    (fold,) = leak_free_folds(task("holdout"), pool, Sizes(train=100, val=40, test=40))
    assert {i.answer for i in fold.val} == {"male", "female"}
    assert len({i.group for i in fold.val}) >= 2
    assert not {i.group for i in fold.train} & {i.group for i in fold.val}


def test_other_subsets_are_tested_apart_and_trained_on_only_if_marked():
    main = items(split=lambda n: "test" if n % 12 >= 9 else "train")
    apart = items(30, subset="real", prefix="r")
    shared = items(60, subset="shared", prefix="s", split=lambda n: "train" if n % 2 else "test")
    (fold,) = leak_free_folds(task("holdout"), main + apart + shared, SIZES)
    assert {i.subset for i in fold.test} == {"main"}
    assert {i.subset for i in fold.extra} == {"real", "shared"}
    assert {i.subset for i in fold.train} == {"main", "shared"}
    assert all(i.split == "train" for i in fold.train)


@given(st.integers(0, 50))
def test_the_random_fifth_is_redrawn_with_the_seed_and_disjoint(seed):
    fold = random_fold(items(), SIZES, seed)
    ids = [i.id for p in (fold.train, fold.val, fold.test) for i in p]
    assert len(ids) == len(set(ids))
    other = random_fold(items(), SIZES, seed + 1)
    assert {i.id for i in fold.test} != {i.id for i in other.test}


def test_items_without_marks_are_refused():
    with pytest.raises(ValueError, match="no training items"):
        leak_free_folds(task("official"), items(), SIZES)


def test_one_group_alone_cannot_be_split():
    with pytest.raises(ValueError, match="one group"):
        leak_free_folds(task("folds"), items(groups=1), SIZES)


def test_answers_with_fewer_items_than_parts_are_split_all_the_same():
    """Scikit-learn refuses to stratify them: 60 answers with two items each, in 12 groups."""
    few = items(120, answers=60, split=lambda n: "test" if n % 12 < 3 else "train")
    (fold,) = leak_free_folds(task("holdout"), few, SIZES)
    parts = [{i.group for i in p} for p in (fold.train, fold.val, fold.test)]
    assert all(parts) and not (parts[0] & parts[1] or parts[0] & parts[2] or parts[1] & parts[2])


@pytest.mark.parametrize("kind", ["holdout", "folds", "official"])
def test_what_was_released_of_a_split_is_that_split_again(kind):
    """A split drawn anew among the items that were picked would be another one."""
    pool = items(split=None if kind == "folds" else lambda n: "test" if n % 12 < 3 else "train")
    pool += items(40, subset="apart", prefix="x", split=lambda n: "train" if n % 2 else "test")
    folds = leak_free_folds(task(kind), pool, SIZES)
    where = places(folds)
    picked = [i for i in pool if i.id in where]
    assert folds_of(picked[::-1], where, SIZES) == folds
    smaller = folds_of(picked, where, Sizes(train=12, val=4, test=6, folds=2))
    assert len(smaller) == (2 if kind == "folds" else 1)
    for small, large in zip(smaller, folds, strict=False):
        assert len(small.train) == 12 and len(small.val) == 4
        for part in ("train", "val", "test", "extra"):
            assert {i.id for i in getattr(small, part)} <= {i.id for i in getattr(large, part)}
