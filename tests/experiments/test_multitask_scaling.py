"""One adaptor for all tasks: who is mixed in what proportion, at how many parameters."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemb import profiles
from gemb.adaptor import num_parameters
from gemb.data.items import Item, Media
from gemb.experiments import multitask_scaling as section


def items(task, count):
    return [
        Item(f"{task}/{n}", "audio", Media.absent(f"{task}{n}", ""), "a", meta={"task": task})
        for n in range(count)
    ]


COUNTS = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 40), min_size=1)


@given(COUNTS)
def test_proportional_sampling_takes_every_item_once(counts):
    by_task = {t: items(t, n) for t, n in counts.items()}
    found = section.mixed(by_task)
    assert Counter(i.meta["task"] for i in found) == counts
    assert len({i.id for i in found}) == len(found)


@given(COUNTS)
def test_balanced_sampling_takes_as_many_of_each_task_and_none_much_oftener(counts):
    by_task = {t: items(t, n) for t, n in counts.items()}
    found = section.mixed(by_task, "balanced")
    shares = Counter(i.meta["task"] for i in found)
    assert len(set(shares.values())) == 1 and set(shares) == set(counts)
    assert abs(len(found) - sum(counts.values())) <= len(counts)
    for task in counts:
        times = Counter(i.id for i in found if i.meta["task"] == task)
        assert max(times.values()) - min(times.values()) <= 1


def test_an_unknown_sampling_is_refused():
    with pytest.raises(ValueError, match="proportional, balanced"):
        section.mixed({"a": items("a", 1)}, "best")


@pytest.mark.parametrize("k", [1, 8, 32])
def test_equal_parameters_are_equal_within_a_per_cent_or_one_hidden_unit(k):
    dim, llm_hidden, hidden = 2720, 576, 448
    wanted = num_parameters(dim, hidden, llm_hidden, 1)
    found = section.equal_hidden(dim, llm_hidden, k, hidden)
    unit = dim + 1 + k * llm_hidden
    assert abs(num_parameters(dim, found, llm_hidden, k) - wanted) <= unit
    assert k > 1 or found == hidden


def test_longer_training_shows_an_item_as_often_as_the_tasks_own_adaptors_do():
    sizes = profiles.get("study").multitask
    assert sizes.longer * sizes.epochs == sizes.own_epochs


def test_the_share_of_the_own_adaptors_weighs_tasks_alike_and_pairs_items():
    asked = [*items("words", 30), *items("digits", 10)]

    def share(mine, own):
        return section._of_own(list(zip(asked, mine, own, strict=True)), 200)

    right, wrong = ["a"] * 40, ["b"] * 40
    same = share(right, right)
    assert (same.value, same.low, same.high) == (1, 1, 1)
    # half the words and no digit: a quarter of the mean over both
    half = share(right[:15] + wrong[:25], right)
    assert half.value == pytest.approx(0.25) and half.low < 0.25 < half.high
    assert share(right, wrong) is None
    assert section._of_own([], 200) is None
