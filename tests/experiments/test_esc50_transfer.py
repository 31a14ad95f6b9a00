"""From pictures to sounds: what is scored, what is degraded, and what training never sees."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gemb import profiles
from gemb.data.items import Item, Media
from gemb.data.load import Loaded, load_dataset
from gemb.data.splits import Fold
from gemb.experiments import esc50_transfer as section

PROFILE = profiles.get("smoke")


def sounds(answers, by=2):
    return [
        Item(f"s{n}", "audio", Media.absent(f"k{n}", ""), a, group=f"{a}{n // by}")
        for n, a in enumerate(answers)
    ]


def test_macro_accuracy_is_the_mean_over_categories_and_confusion_is_by_category():
    items = sounds(["bird"] * 6 + ["tool"] * 2)
    found = section.score(PROFILE, "n", "transfer", "e", items, ["bird"] * 7 + ["Tool."])
    assert found.accuracy.value == pytest.approx(7 / 8)
    assert found.macro.value == pytest.approx((1 + 0.5) / 2)
    tool = next(c for c in found.by_category if c.category == "tool")
    assert (tool.items, tool.groups, tool.accuracy.value) == (2, 1, 0.5)
    assert found.confusion["tool"] == {"bird": 0.5, "tool": 0.5}


def test_of_each_category_as_many_are_asked_about_as_the_profile_says():
    items = sounds(["bird"] * 5 + ["tool"] * 2 + ["bird"])
    assert [i.id for i in section.at_most(items, 3)] == ["s0", "s1", "s2", "s5", "s6"]
    assert section.at_most(items, None) == items


def test_several_seeds_count_as_one_item_each_and_their_spread_is_told():
    items = sounds(["bird", "tool"] * 4)
    right = [i.answer for i in items]
    found = section.score(PROFILE, "n", "transfer", "e", items * 2, right + ["bird"] * 8, seeds=2)
    assert found.items == 8
    assert found.macro.value == pytest.approx(0.75)
    assert found.macro.seed_std == pytest.approx(0.25)


@settings(max_examples=30)
@given(st.integers(2, 40), st.floats(0, 1))
def test_degraded_vectors_stay_normalised_and_lose_their_own_step_by_step(n, share):
    vectors = np.random.default_rng(0).normal(size=(n, 12))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found = section.degrade(vectors, share)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    if share == 0:
        np.testing.assert_allclose(found, vectors, atol=1e-6)
    if share == 1:  # everyone has another's, and everyone's is used once
        nearest = (found @ vectors.T).argmax(1)
        assert sorted(nearest) == list(range(n)) and not (nearest == np.arange(n)).any()


def test_training_never_sees_a_sound_and_no_picture_of_a_tested_stamp():
    loaded = Loaded(load_dataset(section.SOUNDS, "released").items, "released")
    own = load_dataset("tuxpaint-objects", "released", section.PICTURES)
    data = section.prepare(PROFILE, section.DISJOINT, section.HERE, own, loaded)
    fold = data.fold
    assert {i.modality for i in (*fold.train, *fold.val, *fold.test)} == {"image"}
    assert {i.modality for i in fold.extra} == {"audio"}
    assert {i.id for i in fold.extra} == {i.id for i in loaded.items}
    assert not {i.group for i in fold.test} & {i.group for i in (*fold.train, *fold.val)}
    # every category that is asked about was learnt from pictures
    assert {i.answer for i in fold.extra} < {i.answer for i in fold.train}


def test_a_sound_that_cannot_be_embedded_is_left_out_and_named(monkeypatch, caplog, tmp_path):
    monkeypatch.setenv("GEMB_HOME", str(tmp_path))
    known = load_dataset(section.SOUNDS, "released").items
    broken = replace(known[0], id="broken", media=Media(lambda: b"no sound", "wav"))
    loaded = Loaded([broken], "raw")
    pictures = load_dataset("tuxpaint-objects", "released", section.PICTURES)
    data = section.prepare(PROFILE, "open-bound:posteriors", section.HERE, pictures, loaded)
    assert data.fold.extra == ()
    assert "broken left out" in caplog.text


def test_retrieval_chooses_among_all_categories_of_the_pictures(monkeypatch, tmp_path):
    monkeypatch.setenv("GEMB_HOME", str(tmp_path))
    names = dict(zip(("bird", "fruit", "tool"), np.eye(3, dtype=np.float32), strict=True))
    pictures = sounds(["bird", "fruit", "tool"] * 2)
    heard = [replace(i, media=Media.absent(f"heard {i.id}", "")) for i in sounds(["bird", "tool"])]
    vectors = {i.media.key: names[i.answer][None] for i in pictures}
    # the second sound lies nearest to a category that no sound has
    vectors |= {heard[0].media.key: names["bird"][None], heard[1].media.key: names["fruit"][None]}
    fold = Fold(tuple(pictures), tuple(pictures), (), tuple(heard))
    data = section.Data("e", "e", "raw", fold, vectors, names)
    found = section._direct(PROFILE, {"e": data})[0]
    assert found.name == "nearest name in e" and found.macro.value == 0.5
    assert found.confusion["tool"] == {"fruit": 1.0}
