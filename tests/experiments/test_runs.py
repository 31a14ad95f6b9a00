"""What decides a training's identity, and how several vectors become one."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemb.adaptor import Adaptor
from gemb.data.items import Item, Media
from gemb.data.splits import Fold
from gemb.experiments import runs
from gemb.experiments.runs import Outcome, Run, mismatch, stacked, vectors_of
from gemb.llm import Answer
from gemb.profiles import Training
from gemb.train import Epoch, Fit


def item(name, answer="a"):
    return Item(name, "audio", Media.absent(name, "only a name"), answer)


def asked(item, prompt):
    return replace(item, meta={"prompt": prompt})


def a_run(**changes):
    some = tuple(item(n) for n in "abc")
    run = Run(
        task="t",
        prompt="p",
        protocol="leak-free",
        number=0,
        seed=0,
        variant="adaptor",
        fold=Fold(some[:1], some[1:2], some[2:]),
        settings=Training(),
        num_virtual_tokens=1,
        encoder="e",
        vectors="raw",
        llm="l",
        precision="float32",
    )
    return replace(run, **changes)


def test_every_input_makes_another_training_and_names_do_not():
    base = a_run()
    others = [
        a_run(**change)
        for change in (
            {"prompt": "q"},
            {"seed": 1},
            {"variant": "linear adaptor"},
            {"settings": Training(epochs=9)},
            {"num_virtual_tokens": 8},
            {"encoder": "f"},
            {"vectors": "released"},
            {"llm": "m"},
            {"precision": "bfloat16"},
            {"mismatch": True},
            {"choose_by": "surprisal"},
            {"max_new_tokens": 40},
            {"stack": 8},
            {"costs": True},
            {"film": True},
            {"start": ("k",)},
            {"fold": Fold((asked(item("a"), "q"),), base.fold.val, base.fold.test)},
            {"fold": Fold((item("z"),), base.fold.val, base.fold.test)},
            {"fold": Fold((item("a", "b"),), base.fold.val, base.fold.test)},
        )
    ]
    assert len({r.key for r in [base, *others]}) == 1 + len(others)
    assert a_run(task="another name", number=3).key == base.key
    same = Fold((asked(item("a"), base.prompt),), base.fold.val, base.fold.test)
    assert a_run(fold=same).key == base.key


@given(st.integers(1, 40), st.integers(1, 9))
def test_stacking_keeps_every_frame_in_order(count, stack):
    frames = np.random.default_rng(0).normal(size=(count, 3)).astype(np.float32)
    found = stacked(frames, stack)
    assert found.shape == (-(-count // stack), 3 * stack)
    np.testing.assert_array_equal(found.reshape(-1, 3)[:count], frames)
    assert not found.reshape(-1, 3)[count:].any()


def test_another_item_as_long_has_another_answer_of_as_many_words_or_nearly():
    items = [
        item(n, a) for n, a in zip("abcde", ("x y", "p q", "x y", "one", "a b c d"), strict=True)
    ]
    for seed in range(5):
        found = mismatch(items, seed, as_long=True)
        assert list(found[[0, 2]]) == [1, 1] and found[1] in (0, 2)
        assert found[3] in (0, 1, 2) and found[4] in (0, 1, 2)
    assert {mismatch(items, seed)[0] for seed in range(20)} == {1, 3, 4}


def test_one_vector_an_item_is_a_matrix_and_several_are_a_list():
    run = a_run()
    one = {n: np.full((1, 4), i, np.float32) for i, n in enumerate("abc")}
    items = [item(n) for n in "abc"]
    assert vectors_of(run, items, one).shape == (3, 4)
    several = one | {"b": np.zeros((5, 4), np.float32)}
    assert [v.shape for v in vectors_of(run, items, several)] == [(1, 4), (5, 4), (1, 4)]
    assert [v.shape for v in vectors_of(replace(run, stack=2), items, several)] == [
        (1, 8), (3, 8), (1, 8),
    ]  # fmt: skip


class Echo:
    """Stands in for a language model where only the book-keeping of trainings is asked for."""

    def prompt(self, text):
        return text


def test_what_a_variant_changes_makes_another_training_of_it_alone(monkeypatch):
    linear, plain = a_run(variant="linear adaptor"), a_run()
    assert linear.trained_with == plain.trained_with.model_copy(update={"activation": "none"})
    before = linear.key, plain.key
    monkeypatch.setitem(runs.SETTINGS, "linear adaptor", {"noise": 0.0})
    assert linear.key != before[0] and plain.key == before[1]


def test_what_was_interrupted_goes_on_without_training_anything_again(monkeypatch, tmp_path):
    monkeypatch.setenv("GEMB_HOME", str(tmp_path))
    todo = [a_run(seed=n) for n in range(4)]
    vectors = {n: np.ones((1, 4), np.float32) for n in "abc"}
    trained, interrupts = [], [KeyboardInterrupt]

    def fit_together(_, jobs):
        for number, job in enumerate(jobs):
            if job.seed == 2 and interrupts:
                raise interrupts.pop()  # in the middle of the third training
            trained.append(job.seed)
            yield number, Fit(Adaptor(4, 6, hidden=2), [Epoch(1, 0.1, 1.0, -0.1)], best_epoch=1)

    monkeypatch.setattr(runs, "fit_together", fit_together)
    monkeypatch.setattr(runs, "predict", lambda *_, **__: [Answer("a", -0.1, 1, True)])
    with pytest.raises(KeyboardInterrupt):
        runs.execute_all(todo, lambda _: vectors, Echo(), "test")
    assert trained == [0, 1]
    assert [runs.load(r) is not None for r in todo] == [True, True, False, False]
    done = runs.execute_all(todo, lambda _: vectors, Echo(), "test")
    assert trained == [0, 1, 2, 3] and set(done) == {r.key for r in todo}
    # a training whose last file was cut short counts as not done, and is done again
    (tmp_path / "runs" / todo[1].key / "outcome.json").write_text('{"history": [')
    runs.execute_all(todo, lambda _: vectors, Echo(), "test")
    assert trained == [0, 1, 2, 3, 1]


class Reader:
    """Reads a word a token, and is trained in no time."""

    hidden_size, device = 4, "cpu"

    def prompt(self, text):
        return text.split()

    def count_labels(self, answers):
        return sum(len(a.split()) + 1 for a in answers)

    def loss(self, virtual, prompts, answers):
        self.read = list(zip(prompts, answers, strict=True))
        return virtual.sum()


def test_what_is_to_be_trained_is_said_with_what_it_takes(monkeypatch, tmp_path):
    monkeypatch.setenv("GEMB_HOME", str(tmp_path))
    monkeypatch.setattr(runs, "_tokens_per_second", lambda *_: 1.0)
    settings = Training(epochs=10)
    train = tuple(item(f"{n}", "two words") for n in range(200))
    run = a_run(prompt="of four words here", fold=Fold(train, (), ()), settings=settings)
    # 2,000 times eight tokens: the prompt's, two and the end of turn, a virtual one; and a fifth
    assert (
        runs.announce([run, run], Reader())
        == "1 training, 0 done before; all together take about 320 min here"
    )
    several = {i.media.key: np.zeros((3, 2)) for i in train}
    more = replace(run, num_virtual_tokens=2)  # six virtual ones
    assert "520 min" in runs.announce([more], Reader(), lambda *_: several)
    two = replace(more, stack=2)  # of three vectors two rows: four virtual ones
    assert "440 min" in runs.announce([two], Reader(), lambda *_: several)
    runs.records.write_text(
        tmp_path / "runs" / run.key / "outcome.json",
        json.dumps(asdict(Outcome([], 0, 0.0, 0.0, 0, [], [], [], ""))),
    )
    assert runs.announce([run], Reader()) == "1 training, 1 done before"
    assert "2 trainings, 1 done before; the other 1 together" in runs.announce(
        [run, more], Reader()
    )


def test_the_speed_is_measured_on_the_items_that_are_trained_on():
    train = tuple(item(f"{n}", "two words") for n in range(200))
    reader, run = Reader(), a_run(prompt="of words", fold=Fold(train, (), ()))
    assert runs._tokens_per_second(reader, run) > 1000
    assert reader.read == [(["of", "words"], "two words")] * 8 * run.settings.batch_size


def test_a_training_waits_for_those_it_starts_from(monkeypatch, tmp_path):
    monkeypatch.setenv("GEMB_HOME", str(tmp_path))
    first, other = a_run(seed=0), a_run(seed=1)
    todo = [first, other, a_run(seed=2, start=(first.key,))]
    asked = []

    def fit_together(_, jobs):
        """Trains all that it is given before the first is done."""
        begun, fitted = 0, Fit(Adaptor(4, 6, hidden=2), [Epoch(1, 0.1, 1.0, -0.1)], best_epoch=1)
        while begun < len(todo):
            given = [job.seed for job in iter(jobs.__next__, None)]
            asked.append(given)
            for number in range(begun, begun + len(given)):
                yield number, fitted
            begun += len(given)

    monkeypatch.setattr(runs, "fit_together", fit_together)
    monkeypatch.setattr(runs, "predict", lambda *_, **__: [Answer("a", -0.1, 1, True)])
    vectors = {n: np.ones((1, 4), np.float32) for n in "abc"}
    done = runs.execute_all(todo, lambda _: vectors, Echo(), "test")
    assert asked == [[0, 1], [2]] and set(done) == {r.key for r in todo}


def test_baselines_are_fitted_once_for_the_same_vectors_and_answers(monkeypatch, tmp_path):
    monkeypatch.setenv("GEMB_HOME", str(tmp_path))
    rng = np.random.default_rng(0)
    items = [item(f"{n}", "xy"[n % 2]) for n in range(12)]
    vectors = {i.id: rng.normal(size=(1, 4)).astype(np.float32) + (i.answer == "x") for i in items}
    by_key = {i.media.key: vectors[i.id] for i in items}
    fold = Fold(tuple(items[:6]), tuple(items[6:8]), tuple(items[8:]))
    first = runs.baseline_answers(fold, fold.test, by_key)
    assert set(first) == {"majority", *runs.baselines.CANDIDATES}
    calls = []
    monkeypatch.setattr(runs.baselines, "predictions", lambda *a: calls.append(a) or {})
    assert runs.baseline_answers(fold, fold.test, by_key) == first and not calls
    moved = by_key | {items[0].media.key: by_key[items[0].media.key] + 1}
    assert runs.baseline_answers(fold, fold.test, moved) == {} and len(calls) == 1
