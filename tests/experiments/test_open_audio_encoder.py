"""Section 5's plans and splits, and that what is trained once is read back."""

from dataclasses import replace

import numpy as np
import pytest
from tiny_audio import noise

from gemb import profiles, records
from gemb.audio_embedding import config, retrieval
from gemb.audio_embedding.baselines import Frozen
from gemb.data.items import Item, Media
from gemb.data.readers.audio_pairs import STYLES
from gemb.experiments import open_audio_encoder as section
from gemb.experiments.open_audio_encoder import Data, Outcome
from gemb.store import Store


def item(name, split, subset="speech"):
    return Item(
        f"{subset}/{name}", "audio", Media.from_text(name), name, split=split, subset=subset,
        meta={"sentence": f"Somebody says: {name}."},
    )  # fmt: skip


@pytest.fixture
def data():
    items = {
        "train": [item("turn on the lamp", "train"), item("oak", "train")],
        "val": [item("elm", "val"), item("fir", "val")],
        "test": [item("ash", "test"), item("yew", "test"), item("dog", "test", "sound")],
    }
    clips = {
        i.media.key: np.full((2, 3), n, np.float32)
        for n, i in enumerate(i for part in items.values() for i in part)
    }
    return Data(*(tuple(part) for part in items.values()), clips)


@pytest.fixture
def sizes():
    return profiles.get("smoke").audio


def test_linear_heads_hear_the_same_in_use_as_where_they_are_fitted(tmp_path):
    sounds = [noise(1.0), noise(2.0, 1, name="longer")]
    kept = section._Means(Store(tmp_path)).sounds(sounds)
    np.testing.assert_allclose(kept, Frozen().sounds(sounds), atol=1e-3)


def test_other_metrics_have_intervals_too(data):
    gallery = data.galleries()["speech"]
    (found,) = section.scores_of({"speech": retrieval.chance(gallery)})
    assert set(found.others["audio-to-text"]) == set(retrieval.METRICS) - {"cvR@5"}
    assert found.others["text-to-audio"]["MRR"].value == pytest.approx(0.75)  # of two
    assert found.others["text-to-audio"]["MRR"].low <= 0.75


def test_captions_by_known_voices_are_reported_and_not_counted(data):
    found = {s: retrieval.chance(g) for s, g in data.galleries().items()}  # two, and a single one
    known = found | {"caption-known-voice": retrieval.chance(data.galleries()["speech"])}
    assert section._mean(known, "text-to-audio") == section._mean(found, "text-to-audio")
    gains = section._gains("?", "a", known, "b", known)
    assert {g.subset for g in gains} == {"mean", *known}


def test_the_voice_of_a_real_recording_is_known_by_its_speaker(data):
    said = item("oak", "train", "caption")
    said = replace(said, meta={"voice": "tuxpaint-es"})
    asked = replace(said, meta={"speaker": "tuxpaint-es"}, group="tuxpaint-es")
    assert section._voice(said) == section._voice(asked)


def test_subsets_are_searched_apart_in_the_style_asked_for(data):
    found = data.galleries("sentence")
    assert {s: len(g.items) for s, g in found.items()} == {"speech": 2, "sound": 1}
    assert found["sound"].captions == ("Somebody says: dog.",)
    assert [i.answer for i in data.asked] == ["elm", "fir", "ash", "yew", "dog"]


def test_no_text_trained_on_is_asked_about(data, sizes):
    texts = section.texts_of(sizes, data)
    assert 0 < len(texts.train) <= sizes.texts
    asked = {"elm", "fir", "ash", "yew", "dog"}
    assert not asked & {t for pair in (*texts.train, *texts.aside) for t in pair}


def test_no_text_that_is_kept_aside_is_trained_on(data, sizes):
    texts = section.texts_of(sizes.model_copy(update={"texts_aside": 3}), data)
    known = {t for pair in texts.train for t in pair}
    assert len(texts.aside) == 3 and not known & {t for pair in texts.aside for t in pair}
    assert [i.media.bytes().decode() for i in texts.gallery.items] == [a for a, _ in texts.aside]


@pytest.mark.parametrize("name", ["smoke", "local", "study"])
def test_routes_share_one_alignment_and_what_has_none_makes_as_many_steps(name):
    sizes = profiles.get(name).audio
    plans = section._plans(sizes, "alignment", "sound")
    routes = {p.recipe.route for p in plans}
    assert routes == {"full", "prune", "text-only", "combine"}
    assert len({p.name for p in plans}) == len(plans)
    for plan in plans:
        shared = plan.recipe.route != "combine"
        assert plan.start == ("alignment" if shared else "")
        if plan.kind in ("route", "style"):
            steps = sizes.steps + (0 if shared else sizes.align_steps)
            assert plan.recipe.training.steps == steps
    (text,) = (p for p in plans if p.kind == "text")
    assert text.recipe.training.steps == (sizes.text_steps or sizes.steps)
    longer = [p for p in plans if p.name.startswith("full, ")]
    assert bool(longer) == (name == "study")
    for plan in longer:
        assert plan.kind == "ablation" and plan.recipe.training.steps == sizes.longer > sizes.steps
    pruned = [p.recipe.layers for p in plans if p.recipe.route == "prune"]
    assert pruned == list(sizes.layers[1:]) and sizes.text_pruned in pruned


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("full", "full"),
        ("prune", "pruned to 10"),
        ("text-only", "text-only"),
        ("combine", "combined, 5 layers"),
    ],
)
def test_the_books_recipes_are_those_of_the_study(file, name):
    sizes = profiles.get("study").audio
    plan = next(p for p in section._plans(sizes, "a", "sound") if p.name == name)
    align = section._recipe(sizes, "full", sizes.align_steps).training if plan.start else None
    mine = config.read(records.ROOT / "book" / "recipes" / f"{file}.yaml")
    assert mine == plan.recipe.model_copy(update={"align": align})


def scored(data, sizes, folder):
    """Every plan with vectors drawn at random in the place of trainings."""
    bench = section.Bench(sizes, data, section.Texts((), ()))
    align = section.Plan("aligned", "align", section._recipe(sizes, "full", 2))
    plans = section._plans(sizes, "a", data.rarest)
    rng, done = np.random.default_rng(0), {}
    for plan in (align, *plans):
        stages = {"align": ["start", section.WARM, "align"], "text": ["text", "prune"]}
        asked = (data.asked, bench.captions(plan.tested))
        done[plan.name] = Outcome(folder)
        for stage in stages.get(plan.kind, ["prune", "tune"]):
            done[plan.name].stages[stage] = {"layers": 1, "parameters": 1}
            audio, text = (rng.normal(size=(len(some), 4)) for some in asked)
            done[plan.name].vectors[stage] = audio, text
        if plan.every:
            for steps in ("4", "8", "16"):
                done[plan.name].losses[steps] = 1.0
                done[plan.name].vectors[steps] = done[plan.name].vectors["tune"]
    return section._Scored(bench, align, plans, done)


def test_every_route_is_paired_with_the_linear_heads(data, sizes, tmp_path):
    found = scored(data, sizes, tmp_path)
    galleries = data.galleries()
    chance = {s: retrieval.chance(g) for s, g in galleries.items()}
    good = {
        s: retrieval.search(g, g.relevant.astype(float), np.eye(len(g.captions)))
        for s, g in galleries.items()
    }
    bars = {"chance": chance, "linear heads": chance, "good": good}
    gains = found.gains(bars, "combined, 2 layers")
    over = {(g.model, g.over) for g in gains if g.subset == "mean"}
    routes = {"full", "pruned to 2", "combined, 2 layers", "text-only", "text-only, then pruned"}
    assert {model for model, bar in over if bar == "linear heads"} == routes
    assert ("combined, 2 layers", max(bars, key=lambda b: section._over_all(bars[b]))) in over
    assert ("pruned to 2", "full") in over
    assert ("batches of 8", "batches of 4") in over
    assert not any("full, " in model for model, _ in over)
    styles = {(f"{a} to {b}", f"{b} to {b}") for a, b in (STYLES, STYLES[::-1])}
    assert styles < over


def test_the_whole_model_is_trained_longer_beside_itself_and_the_linear_heads(
    data, sizes, tmp_path
):
    found = scored(data, sizes.model_copy(update={"ablations": True, "longer": 9}), tmp_path)
    chance = {s: retrieval.chance(g) for s, g in data.galleries().items()}
    gains = found.gains({"chance": chance, "linear heads": chance}, "full")
    over = {g.over for g in gains if g.model == "full, 9 steps"}
    assert over == {"full", "linear heads"}


def test_a_key_stands_for_all_that_decides(data, sizes):
    full, text = (
        next(p for p in section._plans(sizes, "a", "sound") if p.recipe.route == r)
        for r in ("full", "text-only")
    )
    more = Data(data.train[:1], data.val, data.test, data.clips)
    none = section.Texts((), ())
    for texts in (section.Texts((("a", "b"),), ()), section.Texts((), (("a", "b"),))):
        assert full.key(data, none) == full.key(data, texts) != full.key(more, none)
        assert text.key(data, none) != text.key(data, texts)
    other = next(p for p in section._plans(sizes, "b", "sound") if p.recipe.route == "full")
    assert other.key(data, none) != full.key(data, none)


def test_the_rarest_subset_is_trained_on_alone_too(data, sizes):
    train = (*data.train, item("horn", "train", "sound"))
    data = Data(train, data.val, data.test, data.clips)
    assert data.rarest == "sound"
    alone = next(p for p in section._plans(sizes, "a", data.rarest) if p.kind == "alone")
    heard, none = data.heard(alone.subset), section.Texts((), ())
    assert {i.subset for i in heard} == {"sound"} and len(heard) < len(data.train)
    less = Data(heard, data.val, data.test, data.clips)
    assert alone.key(data, none) == alone.key(less, none)
    assert data.heard() == data.train


def test_an_outcome_is_read_back_and_counts_only_when_whole(tmp_path):
    out = Outcome(
        tmp_path,
        {"tune": {"layers": 2, "parameters": 9}},
        {"tune": {"seconds": 1.5}},
        {"4": 0.5},
        {"tune": (np.eye(2), np.ones((3, 2)))},
    )
    assert Outcome.load(tmp_path) is None
    out.save()
    found = Outcome.load(tmp_path)
    assert found is not None and found.last == "tune" and found.seconds == 1.5
    assert found.losses == {"4": 0.5}
    np.testing.assert_array_equal(found.vectors["tune"][1], out.vectors["tune"][1])


def test_every_profile_prunes_the_text_model_to_layers_that_are_there():
    for profile in profiles.PROFILES.values():
        audio = profile.audio
        assert list(audio.layers) == sorted(audio.layers, reverse=True)
        assert max(*audio.combined, audio.small, audio.text_pruned) <= audio.layers[0]


def test_the_studys_tasks_are_paired_over_the_same_items(monkeypatch, tmp_path):
    asked = [item(name, "test") for name in ("yes", "no", "up", "up")]
    said = {"open-concat": ["yes", "yes", "yes", "yes"], "open-audio": ["yes", "no", "up", "no"]}

    def answers(profile, encoder, names):
        texts = said[encoder.partition(":")[0]]
        return {n: section.single_task.Answers(list(asked), [0] * 4, texts) for n in names}, 2.0

    monkeypatch.setattr(section, "_study_answers", answers)
    monkeypatch.setattr(section, "_has_sounds", lambda *_: True)
    rows, seconds = section.in_the_study(profiles.get("local"), tmp_path, asked[:1])
    usual, mine = rows
    assert (usual.encoder, mine.encoder, seconds) == ("open-concat", "open-audio", 4.0)
    assert usual.gain is None and usual.majority == 0.5
    assert mine.accuracy.value == 0.75 and mine.gain is not None
    assert mine.gain.value == pytest.approx(0.5) and mine.gain.low <= 0.5 <= mine.gain.high
