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


def edit_distance(a, b):
    """Levenshtein's, written from its recurrence: independent of the library."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        row, old = [i], row
        for j, y in enumerate(b, 1):
            row.append(min(old[j] + 1, row[j - 1] + 1, old[j - 1] + (x != y)))
    return row[-1]


SENTENCES = st.lists(st.sampled_from(["the", "a", "cat", "dog", "sat"]), max_size=8).map(" ".join)


@given(SENTENCES, SENTENCES.filter(bool))
def test_edits_are_levenshteins_over_words_and_over_characters(answer, truth):
    words = metrics.word_edits(answer, truth)
    assert words == (edit_distance(answer.split(), truth.split()), len(truth.split()))
    assert metrics.character_edits(answer, truth) == (edit_distance(answer, truth), len(truth))


def test_word_overlap_by_hand():
    assert metrics.word_overlap("the cat sat", "the cat sat") == 1
    assert metrics.word_overlap("sat cat the", "The cat sat.") == 1  # order and case are ignored
    # two of three and of four words are shared: 2 · 2 / 7
    assert metrics.word_overlap("the big cat", "the cat sat down") == pytest.approx(4 / 7)
    assert metrics.word_overlap("the the the", "the cat") == pytest.approx(2 / 5)
    assert metrics.word_overlap("", "the cat") == 0
    assert metrics.word_overlap("dog", "the cat") == 0


def test_a_ratio_is_of_sums_and_not_a_mean_of_ratios():
    found = metrics.Bootstrap(["x"] * 3, [None] * 3).ratio(np.array([1, 0, 4]), np.array([1, 9, 2]))
    assert found.value == pytest.approx(5 / 12)
    assert found.low <= found.value <= found.high


def test_a_ratio_of_class_means_weighs_classes_alike():
    boot = metrics.Bootstrap(["a", "a", "a", "b"], [None] * 4)
    found = boot.ratio(np.array([1, 1, 1, 0]), np.ones(4), macro=True)
    assert found.value == pytest.approx(0.5)
    assert boot.ratio(np.array([1, 1, 1, 0]), np.ones(4)).value == pytest.approx(0.75)


def test_a_ratio_over_nothing_is_refused_and_draws_without_a_denominator_are_left_out():
    boot = metrics.Bootstrap(["a"] * 3, [None] * 3)
    with pytest.raises(ValueError, match="all 0"):
        boot.ratio(np.ones(3), np.zeros(3))
    found = boot.ratio(np.array([1, 0, 0]), np.array([1, 0, 0]))  # many draws miss the first
    assert (found.value, found.low, found.high) == (1, 1, 1)


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


@given(st.floats(-1, 1), st.integers(1, 20), st.booleans())
def test_a_constant_is_not_a_rounding_error_outside_its_own_interval(value, count, macro):
    boot = metrics.Bootstrap(list("abab" * count), ["g", "h", None, None] * count, 50)
    found = boot.interval(np.full(4 * count, value), macro=macro)
    assert found.low == found.value == found.high == pytest.approx(value, abs=1e-11)


def test_no_items_is_an_error():
    with pytest.raises(ValueError, match="no items"):
        metrics.Bootstrap([], [])
