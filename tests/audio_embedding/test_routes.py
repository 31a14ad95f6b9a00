import numpy as np
import pytest
import torch
from pydantic import ValidationError
from tiny_audio import clips

from gemb.audio_embedding.config import PRESETS, Parts, Recipe, Training, preset, read
from gemb.audio_embedding.routes import follow, stages, standardise, warm_start
from gemb.audio_embedding.train import Pairs
from gemb.errors import UnknownName, UserError

TRAINING = Training(batch_size=4, steps=2, learning_rate=1e-3)
WORDS = ["a dog", "a cat", "rain", "a bell", "some words"]
AUDIO = Pairs(clips([3, 1, 4, 1, 5]), WORDS)
TEXT = Pairs(["it barks", "it purrs", "it pours", "it rings", "it speaks"], WORDS)


def recipe(route: str, **said) -> Recipe:
    return Recipe.model_validate({"route": route, "training": TRAINING} | said)


@pytest.mark.parametrize(
    ("route", "layers", "names"),
    [
        ("full", None, ["align", "tune"]),
        ("prune", 2, ["align", "prune", "tune"]),
        ("text-only", 1, ["align", "text", "prune"]),
        ("text-only", None, ["align", "text"]),
        ("combine", None, ["tune"]),
    ],
)
def test_a_route_is_followed_stage_by_stage(build, route, layers, names):
    model = build()
    seen = {}

    def after(stage, now):
        weights = {n: p.detach().clone() for n, p in now.named_parameters()}
        seen[stage] = weights, len(now.body.layers)

    done = follow(recipe(route, layers=layers), model, AUDIO, TEXT, after=after)
    assert list(seen) == ["start", *names] and list(done) == [n for n in names if n != "prune"]
    assert [s["stage"] for s in model.provenance["stages"]] == names
    assert model.provenance["route"] == route
    trained = [s for s in model.provenance["stages"] if s["stage"] != "prune"]
    assert [s["pairs_seen"] for s in trained] == [5] * len(trained)  # 2 steps of 4 come round
    assert seen[names[-1]][1] == (layers or 3) and model.parts.layers == layers
    np.testing.assert_allclose(model.projection.mean, np.concatenate(AUDIO.left).mean(0), atol=1e-5)

    def changed(first, then):
        a, b = seen[first][0], seen[then][0]
        return {n.split(".")[0] for n in b if not torch.equal(a[n], b[n])}

    if "align" in names:
        assert changed("start", "align") == {"projection"}
    if "text" in names:
        assert changed("align", "text") == {"body"}
    if route == "combine":
        assert changed("start", "tune") == {"projection", "body"}
    if "prune" in names:
        before = names[names.index("prune") - 1]
        assert changed(before, "prune") == set()


def test_a_warm_start_puts_each_clip_among_its_captions_words(build):
    """Five clips and their captions: a linear map can tell all of them apart."""
    model, cold = build(), build()

    def hits(now):
        heard = torch.stack([t.mean(0) for t in now.audio_tokens(AUDIO.left)])
        said = torch.stack([t.mean(0) for t in now.text_tokens(WORDS)])
        return int((torch.cdist(heard, said).argmin(1) == torch.arange(len(WORDS))).sum())

    for now in (model, cold):
        standardise(now, AUDIO)
    warm_start(model, AUDIO)
    assert hits(model) == 5 > hits(cold)


def test_an_interrupted_route_goes_on(build, tmp_path):
    whole, broken, resumed = build(), build(), build()
    follow(recipe("full"), whole, AUDIO)

    def stop(stage, step, loss):
        if stage == "tune":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        follow(recipe("full"), broken, AUDIO, folder=tmp_path, on_step=stop)
    follow(recipe("full"), resumed, AUDIO, folder=tmp_path)
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)


def test_what_another_route_left_half_done_is_not_gone_on_with(build, tmp_path):
    def stop(stage, step, loss):
        if step == TRAINING.steps:  # its checkpoint is written
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        follow(recipe("combine"), build(), AUDIO, folder=tmp_path, on_step=stop)
    with pytest.raises(UserError, match=r"tune\.pt belongs to a training .* another start"):
        follow(recipe("full"), build(), AUDIO, folder=tmp_path)
    with pytest.raises(UserError, match="another start"):
        follow(recipe("combine", warm_start=False), build(), AUDIO, folder=tmp_path)


def test_parts_of_one_model_skip_alignment():
    names = [s.name for s in stages(recipe("full", parts=PRESETS["m4"]))]
    assert names == ["tune"]
    assert [s.name for s in stages(recipe("full", parts=PRESETS["m3"]))] == ["align", "tune"]


def test_a_model_trained_before_is_neither_aligned_nor_standardised_again(build):
    model = build()
    follow(recipe("full"), model, AUDIO)
    mean = model.projection.mean.clone()
    done = follow(recipe("prune", layers=1), model, Pairs(clips([9, 9]), WORDS[:2]))
    assert list(done) == ["tune"] and torch.equal(model.projection.mean, mean)
    names = [s["stage"] for s in model.provenance["stages"]]
    assert names == ["align", "tune", "prune", "tune"]


def test_a_recipe_is_read_from_a_file_and_a_wrong_one_refused(build, tmp_path):
    file = tmp_path / "r.yaml"
    file.write_text("route: prune\nlayers: 5\nparts: m1\ntraining: {lora_rank: 8}\n")
    found = read(file)
    assert found.parts == preset("m1") and found.training.lora_rank == 8
    for text, said in (
        ("route: prune\n", "needs layers"),
        ("route: full\nlayers: 3\n", "keeps all layers"),
        ("route: sideways\n", "route"),
        ("route: full\nparts: {audio: [yamnet, some/tower]}\n", "either of"),
        ("route: full\nparts: {projection: own}\n", "no projection of their own"),
        ("route: full\nspeed: high\n", "speed"),
        ("- a\n", "no recipe"),
    ):
        file.write_text(text)
        with pytest.raises(UserError, match=said):
            read(file)
    with pytest.raises(UnknownName, match="no parts 'm9'"):
        preset("m9")
    with pytest.raises(ValidationError):
        Parts(max_seconds=40)
    with pytest.raises(UserError, match="needs text pairs for its stage 'text'"):
        follow(recipe("text-only"), build(), AUDIO)
