"""Heads for a shared space: what they learn, what they never saw, and what is said of them."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gemb import release
from gemb.audio_embedding.train import InfoNCE
from gemb.data import manifests, released
from gemb.data.readers import captioned, tuxpaint_objects
from gemb.encoders import open_bound
from gemb.experiments import binding
from gemb.experiments.binding import Pairs


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def a_space(n=60, wide=24, seed=0):
    """Pairs whose captions can be read from the features by a linear map, and not from names."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, wide)).astype(np.float32)
    texts = unit(features @ rng.normal(size=(wide, 384)))
    base = unit(rng.normal(size=(n, 384)))
    return Pairs(features, base, texts, tuple(map(str, range(n))), ("picture",) * n)


def test_a_head_finds_captions_that_it_never_saw(monkeypatch):
    monkeypatch.setattr(binding, "PENALTIES", (0.1, 1000.0))  # the second is too much
    data = a_space()
    head = binding.choose(data)
    assert head.validation["picture"]["posteriors"] < 0.2
    assert head.validation["picture"]["trained"] > 0.5
    assert head.validation["picture"]["pairs"] == 60 and head.penalty == 0.1


def test_held_out_vectors_do_not_depend_on_their_own_caption():
    data = a_space(30)
    before = binding.held_out(data, 0.1)
    other = data.texts.copy()
    other[7] = -other[7]
    after = binding.held_out(replace(data, texts=other), 0.1)
    np.testing.assert_allclose(after[7], before[7], atol=1e-6)
    assert np.abs(after - before).max() > 1e-3  # the others' heads did see it


def test_pairs_of_one_caption_are_no_negatives_of_each_other():
    vectors = torch.eye(4)
    texts = torch.eye(4)[[0, 0, 2, 3]]  # the first two share a caption
    loss = InfoNCE(binding.TEMPERATURE, learnable=False)
    apart, alike = (
        loss(vectors, texts, torch.tensor(labels)[:, None])
        for labels in ([0, 1, 2, 3], [0, 0, 2, 3])
    )
    # by hand: with the pair left out, every row has one hit and two misses but the second
    # row, whose own text is orthogonal to it: it and its column have none
    t = 1 / binding.TEMPERATURE
    hit = np.log1p(2 * np.exp(-t))
    miss = np.log(3)
    by_rows = (3 * hit + miss) / 4
    assert float(alike) == pytest.approx(by_rows, abs=1e-4)
    assert float(apart) > float(alike) + 1


def test_the_better_variant_on_held_out_pairs_is_the_default(tmp_path):
    path = tmp_path / "heads.safetensors"
    assert open_bound.better(path) == "posteriors"
    weights = {
        "image": np.zeros((1280, 384), np.float32),
        "sound": np.zeros((1440, 384), np.float32),
    }
    for trained, wanted in ((0.9, "trained"), (0.1, "posteriors"), (0.5, "posteriors")):
        scores = {"posteriors": 0.5, "trained": trained, "pairs": 10}
        heads = {
            "image": binding.Head(weights["image"], 1.0, {"picture": scores}),
            "sound": binding.Head(weights["sound"], 1.0, {"sound": scores, "speech": scores}),
        }
        binding.write(heads, path)
        assert open_bound.better(path) == wanted
        assert open_bound.validation(path)["speech"]["trained"] == trained
        assert open_bound.OpenBound(heads=path).variant == wanted


TESTED = ("bird", "mammal", "insect", "instrument", "tool", "vehicle", "animal", "creature")
# words in the names of what is tested that name no bird, tool, ... themselves
PLAIN = {
    "a",
    "s",
    "baby",
    "does",
    "electric",
    "european",
    "fire",
    "large",
    "little",
    "rolls",
    "small",
}
PLAIN |= {"black", "golden", "green", "pink", "silver", "white", "stand", "stands"}


def names_of_what_is_tested():
    """The tested categories and every word in a tested sound's or its pictures' names, plural too.

    So that blackbird, cricket or propeller is found in a caption, not the six categories alone.
    """
    sounds = manifests.get("packaged-sounds").generator["sounds"]
    stamps = manifests.get(tuxpaint_objects.DATASET).generator["stamps"]
    sources = [s.split("/")[0] for some in sounds.values() for s in some]
    files = [Path(s).stem for category in sounds for s in stamps[category]]
    named = {w for name in [*sources, *files] for w in re.split(r"[\W_\d]+", name.lower())}
    words = named - PLAIN - {""} | set(TESTED)
    return words | {f"{w}s" for w in words} - PLAIN


def test_the_names_of_what_is_tested_are_found():
    names = names_of_what_is_tested()
    assert {"blackbird", "cricket", "propeller", "dog", "cars", "drum", "insects"} <= names
    assert len(names) > 200


def test_what_is_released_of_binding_holds_no_tested_category_and_no_picture_of_the_objects():
    seen = json.loads((released.FOLDER / release.BINDING).read_text(encoding="utf-8"))
    stamps = manifests.get(tuxpaint_objects.DATASET).generator["stamps"]
    shown = {s.removesuffix(".png") for some in stamps.values() for s in some}
    pictures = {s for s in seen["stamps"] if not s.endswith(".ogg")}
    assert len(pictures) > 200 and not shown & pictures
    assert len(seen["words"]) > 1000 and "washing" in seen["words"]
    assert not names_of_what_is_tested() & set(seen["words"])


@pytest.mark.data
def test_binding_is_trained_on_what_is_released_of_it():
    seen = json.loads((released.FOLDER / release.BINDING).read_text(encoding="utf-8"))
    assert binding.seen() == seen, "run `gemb release`"


@pytest.mark.data
def test_binding_never_saw_a_tested_category_nor_a_picture_of_the_objects():
    stamps = {i.meta["stamp"] for i in tuxpaint_objects.items()}
    pictures = captioned.pictures()
    assert len(pictures) > 150
    assert not {i.id.removeprefix("captioned/") + ".png" for i in pictures} & stamps
    for item in [*pictures, *captioned.sounds()]:
        assert not names_of_what_is_tested() & set(re.findall(r"\w+", item.answer.lower())), item.id


def test_no_sentence_that_binds_names_a_tested_category():
    said = [s.answer for s in captioned.speech(binding.SPEECH)]
    assert len(said) == binding.SPEECH
    for sentence in said:
        assert not names_of_what_is_tested() & set(re.findall(r"\w+", sentence.lower())), sentence
