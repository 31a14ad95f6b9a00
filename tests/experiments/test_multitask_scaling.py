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


@given(st.integers(1, 2000))
def test_a_tasks_own_adaptor_takes_as_many_passes_as_the_profile_says_and_no_fewer_epochs(count):
    profile = profiles.get("study")
    epochs = section.own_epochs(profile, count)
    assert epochs >= profile.multitask.epochs
    assert epochs * count >= profile.multitask.own_passes
