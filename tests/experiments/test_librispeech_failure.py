"""Open vocabulary: who is trained on, how transcripts are scored, what a probe finds."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from gemb import profiles
from gemb.data import released
from gemb.data.items import Item, Media
from gemb.data.readers import spoken_sentences
from gemb.data.splits import Fold
from gemb.encoders.base import ItemEncoder
from gemb.experiments import librispeech_failure as section
from gemb.store import Store


@pytest.mark.parametrize("name", list(profiles.PROFILES))
def test_no_test_sentence_is_ever_trained_on(name):
    profile = profiles.get(name)
    listed = released.sentences()
    official = profile.source == "official"  # whose test sentences have readers of their own
    parts = (
        section.split(profile, listed[:5000], listed[5000:])
        if official
        else section.split(profile, listed)
    )
    assert not official or set(parts.test) <= set(listed[5000:])
    train, val, test = map(set, (parts.train, parts.val, parts.test))
    assert not train & test and not train & val and not val & test
    sizes = profile.sentences
    assert len(parts.train) == max(*sizes.text_curve, *sizes.audio_curve, sizes.train)
    assert len(parts.test) == sizes.test


def test_transcripts_are_scored_over_seeds_as_one():
    truths = ["the cat sat on the mat", "a dog"] * 2
    answers = ["the cat sat on the mat", "a cat", "a mat", "a dog"]
    found = section.score("x", "set-up", truths, answers, draws=50, seeds=2)
    assert found.items == 2 and found.exact.value == 0.5
    # word errors 0, 1, 5, 0 of 6, 2, 6, 2
    assert found.wer.value == pytest.approx(6 / 16)
    assert found.exact.seed_std == pytest.approx(0.0)
    assert found.overlap.value == pytest.approx(np.mean([1, 0.5, 2 / 8, 1]))


def test_a_transcript_is_compared_in_the_form_of_the_sentences():
    assert (
        section.plain("The dog's owner, a TALL man:  didn't!")
        == "the dog's owner a tall man didn't"
    )


def test_the_most_typical_sentence_shares_most_words():
    assert section.typical(["a b c", "a b d", "a b e", "x y z"]) in ("a b c", "a b d", "a b e")


def test_small_curves_get_more_epochs_and_no_fewer_than_one():
    profile = profiles.get("study")
    assert section.training(profile, 30, 2400).epochs == section.MOST_EPOCHS
    assert section.training(profile, 800, 2400).epochs == 3
    assert section.training(profile, 800, 2400).patience == 3  # to the end
    assert section.training(profile, 10_000, 2400).epochs == 1
    assert section.training(profile, 800).epochs == profile.sentences.epochs


def test_a_sentence_of_the_study_has_its_bounds():
    assert (spoken_sentences.MIN_WORDS, spoken_sentences.MAX_WORDS) == (8, 20)


class Lengths(ItemEncoder):
    """A text's length; none for a text with a flaw."""

    name, dim, modalities = "lengths", 1, ("text",)

    def __init__(self):
        self.asked = []

    def vector(self, item):
        text = item.media.bytes().decode()
        self.asked.append(text)
        if "flaw" in text:
            raise ValueError("it has a flaw")
        return np.array([len(text)])


def test_items_without_a_vector_are_left_out_of_every_part_and_tried_once(tmp_path):
    def items(*names):
        return tuple(Item(n, "text", Media.from_text(n), n) for n in names)

    encoder = Lengths()
    vectors = section.Vectors(Store(tmp_path), encoder, encoder)
    fold = Fold(items("a", "flaw 1"), items("b"), items("flaw 2", "c"), items("flaw 3"))
    kept = Fold(items("a"), items("b"), items("c"), ())

    def ids(fold):
        return [[i.id for i in part] for part in (fold.train, fold.val, fold.test, fold.extra)]

    assert ids(vectors.known(fold)) == ids(kept)
    assert ids(vectors.known(fold)) == ids(kept)
    assert sorted(encoder.asked) == ["a", "b", "c", "flaw 1", "flaw 2", "flaw 3"]
    assert vectors.failures[("flaw 1", "whole")] == "flaw 1: it has a flaw"


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=30))
def test_the_area_under_the_curve_is_scikit_learns_and_weights_count_items(pairs):
    scores = np.array([float(s) for s, _ in pairs])
    there = np.array([t for _, t in pairs])
    weights = np.vstack([np.ones(len(pairs)), 1 + np.arange(len(pairs)) % 3])
    found = section.auc(scores, there, weights)
    if len(set(there)) < 2:
        assert np.isnan(found).all()
        return
    times = weights[1].astype(int)
    assert found[0] == pytest.approx(roc_auc_score(there, scores))
    assert found[1] == pytest.approx(roc_auc_score(there.repeat(times), scores.repeat(times)))


def test_words_that_any_sentence_shares_are_no_gain():
    truths = ["the cat sat", "the dog ran", "the owl flew"]
    right = section.score("x", "set-up", truths, truths, draws=50)
    # each shares one of three words with the next
    assert right.overlap_gain.value == pytest.approx(1 - 1 / 3)
    same = section.score("x", "set-up", truths * 2, ["the man"] * 6, draws=50, seeds=2)
    assert same.overlap.value > 0 and same.overlap_gain.value == 0


def test_a_probe_looks_for_words_that_enough_test_sentences_have():
    def items(*sentences):
        return tuple(Item(s, "text", Media.absent(s, ""), s) for s in sentences)

    train = items(*(f"{'often so' if n % 2 else 'seldom'} w{n}" for n in range(20)))
    test = items(
        *(f"{'often' if n < 5 else 'seldom' if n < 9 else 'else'} v{n}" for n in range(12))
    )
    run = SimpleNamespace(fold=Fold(train, (), test))
    jobs = [SimpleNamespace(part="setup", name=n, run=run)
            for n in ("one vector, 1 token", section.TEXT)]  # fmt: skip
    found = section._probe(profiles.get("smoke"), "length", jobs, None)
    assert [r["word"] for r in found.by_word] == ["often"]  # the other is in four


@pytest.mark.filterwarnings("error")
def test_a_probe_of_the_length_alone_has_an_interval_over_sentences():
    def items(*sentences):
        return tuple(Item(s, "text", Media.absent(s, ""), s) for s in sentences)

    train = items("a", "b", "the a b", "the b c d", "c", "the d c e")
    # few enough that many drawings lack the word, or have it everywhere
    fold = Fold(train, (), items("a", "the b c", "d"))
    jobs = [SimpleNamespace(part="setup", name=n, run=SimpleNamespace(fold=fold))
            for n in ("one vector, 1 token", section.TEXT)]  # fmt: skip
    profile = profiles.get("smoke")
    found = section._probe(profile, "length", jobs, None)
    words = [(r["word"], r["sentences"], r["auc"]) for r in found.by_word]
    assert words == [("b", 3, 1.0), ("c", 3, 1.0)]  # as frequent as "the", and before it
    assert 0 <= found.auc.low <= found.auc.value <= found.auc.high <= 1
