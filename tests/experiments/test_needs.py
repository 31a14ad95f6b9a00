"""What a profile's notebooks read, each beside the tasks' own data."""

import official
import pytest

from gemb import encoders, profiles
from gemb.experiments import multitask_scaling, needs, single_task

PARTS = {"efficientnet-lite0", "moonshine-base", "yamnet", "smollm2-135m"}


def of(profile, *notebooks):
    return needs.of_profile(profiles.get(profile), notebooks or None)


def test_the_first_notebook_needs_the_encoders_parts_the_llm_and_the_tasks_data():
    assert set(of("smoke", "01_single_task")) == PARTS
    local = of("local", "01_single_task")
    assert set(local) > PARTS | {"fashion-mnist", "tuxpaint-stamps", "endless-sky"}
    assert not {"minilm", "packaged-sounds", "spoken-sentences"} & set(local)


@pytest.mark.parametrize(
    ("notebook", "more"),
    [
        ("02_librispeech_failure", {"minilm", "spoken-sentences", "piper-joe"}),
        ("03_esc50_transfer", {"minilm", "imagenet-names", "packaged-sounds", "scratch"}),
        ("04_multitask_scaling", {"minilm", "imagenet-names"}),
        ("05_open_audio_encoder", {"minilm", "audio-pairs", "tuxpaint-stamps", "wordnet"}),
    ],
)
def test_each_notebook_adds_what_it_reads(notebook, more):
    assert set(of("local", "01_single_task", notebook)) >= {*of("local", "01_single_task"), *more}


def test_a_notebook_alone_needs_no_other_sections_data():
    assert "fashion-mnist" not in of("local", "02_librispeech_failure")
    pictures = of("local", "03_esc50_transfer")
    assert "tuxpaint-objects" in pictures and "fashion-mnist" not in pictures
    assert "spoken-words" in of("local", "05_open_audio_encoder")


def test_all_notebooks_are_meant_where_none_is_named():
    every = of("study")
    assert {"packaged-sounds", "spoken-sentences", "imagenet-names"} <= set(every)
    assert len(every) == len(set(every))


def test_the_study_as_published_needs_its_own_datasets_and_no_stand_in():
    sections = "01_single_task", "02_librispeech_failure", "03_esc50_transfer"
    found = set(of("paper", *sections, "04_multitask_scaling"))
    assert {"cifar-10", "ravdess", "librispeech", "esc-50", "celeba"} <= found
    assert not {"tuxpaint-stamps", "packaged-sounds", "efficientnet-lite0"} & found


def test_smoke_trains_audio_encoders_on_speech_alone():
    found = set(of("smoke", "05_open_audio_encoder"))
    assert {"imagenet-names", "piper-joe", "yamnet"} <= found
    assert not {"tuxpaint-stamps", "wordnet"} & found


@pytest.mark.parametrize("name", ["paper-smoke", "paper"])
def test_all_that_the_first_four_sections_embed_is_estimated(name, monkeypatch, tmp_path):
    monkeypatch.setenv("GEMB_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("OFFLINE", "1")
    official.adopt_all(official.write_all(tmp_path / "given"))
    profile = profiles.get(name)
    wanted = needs.items_of(profile, encoders.load(profile.encoder))
    counted = {i.media.key for w in wanted for i in w.todo if w.view == "whole"}
    asked = multitask_scaling.asked(profile, profile.encoder)
    for task in profile.tasks:
        for of in (profile, asked):
            assert {i.media.key for i in single_task.select(of, task).items} <= counted
