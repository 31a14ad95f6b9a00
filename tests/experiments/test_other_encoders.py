"""Sections 1 to 4 with an encoder that reads less than the default one, such as sounds alone."""

import logging
from types import SimpleNamespace

import pytest

from gemb import profiles
from gemb.data.load import load_dataset
from gemb.encoders.base import ItemEncoder
from gemb.errors import UserError
from gemb.experiments import esc50_transfer, single_task
from gemb.experiments import librispeech_failure as open_vocabulary


class Hearing(ItemEncoder):
    name, dim, modalities = "hearing", 2, ("audio",)


class Reading(ItemEncoder):
    name, dim, modalities = "reading", 2, ("text",)


@pytest.mark.parametrize("name", ["local", "study", "paper"])
def test_tasks_of_what_the_encoder_does_not_read_are_left_out_and_said(name, caplog):
    profile = profiles.get(name)
    kept = single_task.readable(profile, Hearing())
    assert kept == ["gender", "emotion", "words", "commands"]
    left = set(profile.tasks) - set(kept)
    assert left and all(
        f"{t} is left out: hearing does not read image" in caplog.text for t in left
    )
    with pytest.raises(UserError, match="reading reads text, not image, audio: choose another"):
        single_task.readable(profile, Reading())


def test_an_encoder_without_frames_has_no_curve_over_them(caplog):
    def parts_of(encoder):
        vectors = open_vocabulary.Vectors(None, encoder, Reading())
        vectors.known = lambda fold, view="whole": fold  # no sentence is spoken here
        sentences = [f"sentence number {n}" for n in range(400)]
        parts = open_vocabulary.split(profile, sentences)
        llm = SimpleNamespace(identity=lambda: SimpleNamespace(slug="llm"), dtype="float32")
        return {j.part for j in open_vocabulary.plan(profile, parts, vectors, llm)}

    profile = profiles.get("smoke")

    class Framing(Hearing):
        views = ("whole", "chunks:<seconds>", "frames")

        def identity(self, view="whole"):
            return super().identity()

    class Chunking(Framing):
        views = ("whole", "chunks:<seconds>")

    with caplog.at_level(logging.WARNING):
        assert parts_of(Framing()) - parts_of(Chunking()) == {"curve frames"}
    assert "over frames is left out: hearing gives none" in caplog.text


def test_pictures_and_sounds_want_an_encoder_of_both(monkeypatch):
    monkeypatch.setattr("gemb.encoders.load", lambda spec: Hearing())
    way = esc50_transfer.HERE
    own = load_dataset("tuxpaint-objects", "released", way.task)
    targets = load_dataset(way.target, "released")
    with pytest.raises(UserError, match="hearing reads audio, not image: section 3"):
        esc50_transfer.prepare(profiles.get("smoke"), "hearing", way, own, targets)
