"""What decides a training's identity, and how several vectors become one."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gemb.data.items import Item, Media
from gemb.data.splits import Fold
from gemb.experiments.runs import Run, stacked, vectors_of
from gemb.profiles import Training


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
            {"surprisal": True},
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
