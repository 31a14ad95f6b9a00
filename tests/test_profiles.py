"""What a profile may be, and what the profile `paper` may cost."""

import pytest

from gemb import profiles, tasks
from gemb.data import manifests
from gemb.encoders import prices

MODEL = "gemini-embedding-2"


def dollars(dataset: str, items: int) -> float:
    """Of so many items of a dataset."""
    seconds = manifests.get(dataset).mean_seconds
    of = prices.Amount(images=items) if seconds is None else prices.Amount(seconds=items * seconds)
    price = prices.dollars(MODEL, of)
    assert price
    return price


def test_paper_stays_below_its_price() -> None:
    """At most: the random split may sample none of the fixed split's items, nothing is shared."""
    paper = profiles.get("paper")
    counts: dict[str, int] = {}
    for name in paper.tasks:
        dataset = tasks.get(name, paper.source).dataset
        sizes = paper.sizes_of(name)
        drawn = len(paper.protocols) * (sizes.train + sizes.val + sizes.test)
        # gender and emotion are asked of the same recordings
        source = "ravdess" if dataset.startswith("ravdess") else dataset
        counts[source] = min(drawn, manifests.get(dataset).items or drawn)
    sizes = paper.sentences
    # three views: whole, and in chunks of two seconds and of one
    counts["librispeech"] = 3 * (sizes.train + sizes.val + sizes.test)
    counts["esc-50"] = manifests.get("esc-50").items or 0
    counts["celeba"] = manifests.get("celeba").items or 0
    cost = {name: dollars(name, count) for name, count in counts.items()}
    assert len(cost) == 10 and sum(cost.values()) < profiles.PAPER_DOLLARS, cost


def test_the_studys_adaptor_is_that_of_the_study() -> None:
    training = profiles.get("paper").training
    assert training.hidden == 3072 and not training.standardise
    assert (training.noise, training.output_scale, training.warm_start) == (0, 1, 0)


@pytest.mark.parametrize("name", ["paper", "paper-smoke"])
def test_the_study_as_published_reads_no_stand_in(name: str) -> None:
    profile = profiles.get(name)
    assert profile.source == "official"
    for task in profile.tasks:
        known = tasks.get(task, profile.source)
        assert known.stand_in == ""
        assert manifests.get(known.dataset).official or known.dataset == "fashion-mnist"
