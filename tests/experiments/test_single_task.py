"""Section 1: what is run where, and what several trainings answer together."""

from types import SimpleNamespace

import numpy as np
import pytest

from gemb import profiles, tasks
from gemb.data.items import Item, Media
from gemb.data.load import Loaded
from gemb.embed import Embedded
from gemb.experiments import multitask_scaling, single_task


def test_most_trainings_decide_and_of_equally_many_the_surest():
    cat, dog = (Item(n, "image", Media.absent(n, ""), n) for n in ("cat", "dog"))
    rows = [
        (cat, "Cat", -2.0), (cat, "cat.", -3.0), (cat, "dog", -0.1),
        (dog, "cow", -0.5), (dog, "dog", -0.4), (dog, "cat", -0.6),
    ]  # fmt: skip
    together = single_task.vote(rows)
    assert [(i.id, t) for i, t in zip(together.items, together.texts, strict=True)] == [
        ("cat", "cat"),
        ("dog", "dog"),
    ]
    assert together.correct.tolist() == [1, 1]
    assert single_task.vote(rows[2:3]).texts == ["dog"]


@pytest.mark.parametrize("profile", ["local", "study", "smoke"])
def test_where_raw_data_cannot_be_had_every_task_runs_on_its_released_items(
    profile, tmp_path, monkeypatch
):
    """As on macOS and Windows: nothing is in the cache and nothing can be fetched."""
    monkeypatch.setenv("GEMB_HOME", str(tmp_path))
    monkeypatch.setenv("OFFLINE", "1")
    chosen = profiles.get(profile)
    for name in tasks.TASKS:
        for asked in (chosen, multitask_scaling.asked(chosen, chosen.encoder)):
            ready = single_task.select(asked, name)
            assert ready.loaded.source == "released"
            for fold in ready.folds["leak-free"]:
                assert fold.train and fold.val and fold.test
                if ready.task.split in ("folds", "holdout"):
                    groups = [{i.group for i in p} for p in (fold.train, fold.val, fold.test)]
                    assert not groups[2] & (groups[0] | groups[1])


def test_what_will_be_trained_is_said_before_anything_is_embedded(tmp_path, monkeypatch):
    monkeypatch.setenv("GEMB_HOME", str(tmp_path))
    monkeypatch.setenv("OFFLINE", "1")
    llm = SimpleNamespace(dtype="float32", identity=lambda: SimpleNamespace(slug="none"))
    monkeypatch.setattr(single_task.FrozenLLM, "load", lambda _: llm)
    monkeypatch.setattr(single_task.runs, "announce", lambda todo, _: f"{len(todo)} trainings")
    happened = []
    monkeypatch.setattr(single_task, "embed_items", lambda *_: happened.append("embedding"))
    planned = single_task.plan(profiles.get("smoke"), happened.append)
    assert happened == [f"{len(planned.todo)} trainings", "embedding"] and len(planned.todo) > 8


def test_what_embedding_took_is_not_known_of_vectors_that_were_there(tmp_path, monkeypatch):
    monkeypatch.setenv("GEMB_HOME", str(tmp_path))
    there = {"a": np.zeros((1, 2)), "b": np.zeros((1, 2))}
    ready = single_task.Prepared(tasks.get("words"), Loaded([], "raw"), {}, Embedded(there))
    assert single_task._embedding_seconds("enc", ready) is None
    ready.embedded = Embedded(there, computed=1, seconds=3.0)
    assert single_task._embedding_seconds("enc", ready) == 6.0  # measured on one of two
    ready.embedded = Embedded(there)
    assert single_task._embedding_seconds("enc", ready) == 6.0
    ready.loaded = Loaded([], "released")
    assert single_task._embedding_seconds("enc", ready) == 0.0
