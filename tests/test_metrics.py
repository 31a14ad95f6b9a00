import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemb import metrics


@pytest.mark.parametrize(
    ("answer", "truth"),
    [
        ("Dog", "dog"),
        (" dog.\n", "dog"),
        ("turn  on the LIGHTS!", "turn on the lights"),
        ("ﬁve", "five"),
        ('"t-shirt"', "t-shirt"),
    ],
)
def test_forms_of_one_answer_match(answer, truth):
    assert metrics.exact_match(answer, truth)


@pytest.mark.parametrize(
    ("answer", "truth"), [("dogs", "dog"), ("a dog", "dog"), ("", "dog"), ("tshirt", "t-shirt")]
)
def test_another_answer_does_not_match(answer, truth):
    assert not metrics.exact_match(answer, truth)


@given(st.text())
def test_normalising_twice_changes_nothing(text):
    once = metrics.normalise(text)
    assert metrics.normalise(once) == once


def test_error_rates_count_edits():
    assert metrics.cer(["abd"], ["abc"]) == pytest.approx(1 / 3)
    assert metrics.wer(["turn off light"], ["turn on light"]) == pytest.approx(1 / 3)


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(0, 4), st.booleans()), min_size=1, max_size=60
    )
)
def test_interval_holds_the_estimate_and_macro_is_mean_of_class_means(rows):
    classes, groups, hits = zip(*rows, strict=True)
    boot = metrics.Bootstrap(classes, [f"g{g}" for g in groups], draws=50)
    values = np.array(hits, float)
    assert boot.interval(values).value == pytest.approx(values.mean())
    expected = np.mean([values[np.array(classes) == c].mean() for c in set(classes)])
    assert boot.interval(values, macro=True).value == pytest.approx(expected)


def test_intervals_over_few_groups_are_wider_than_over_items():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(6), 50)
    values = (rng.random(6)[groups] > 0.5).astype(float)  # a group is all right or all wrong
    classes = ["x"] * 300
    by_group = metrics.Bootstrap(classes, [str(g) for g in groups]).interval(values)
    by_item = metrics.Bootstrap(classes, [None] * 300).interval(values)
    assert by_group.high - by_group.low > 3 * (by_item.high - by_item.low)


def test_coverage_of_the_interval_is_near_nominal():
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(200):
        values = (rng.random(150) < 0.7).astype(float)
        found = metrics.Bootstrap(["x"] * 150, [None] * 150, draws=400).interval(values)
        covered += found.low <= 0.7 <= found.high
    assert 0.88 <= covered / 200 <= 0.99


def test_no_items_is_an_error():
    with pytest.raises(ValueError, match="no items"):
        metrics.Bootstrap([], [])
