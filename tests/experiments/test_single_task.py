"""Section 1: what several trainings answer together."""

from gemb.data.items import Item, Media
from gemb.experiments import single_task


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
