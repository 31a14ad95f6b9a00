"""What a profile may be, and what the profile `paper` may cost."""

import pytest

from gemb import profiles, tasks
from gemb.data import manifests

IMAGE, SECOND = 0.00012, 0.0001625  # dollars, by the encoder's price list of 2026-11-21


def each(dataset: str) -> float:
    """Dollars for one item."""
    manifest = manifests.get(dataset)
    if manifest.mean_seconds is None:
        return IMAGE
    return manifest.mean_seconds * SECOND


def test_paper_stays_below_its_price() -> None:
    """At most: the random split may sample none of the fixed split's items, nothing is shared."""
    paper = profiles.get("paper")
    dollars = {}
    for name in paper.tasks:
        dataset = tasks.get(name, paper.source).dataset
        sizes = paper.sizes_of(name)
        drawn = len(paper.protocols) * (sizes.train + sizes.val + sizes.test)
        # gender and emotion are asked of the same recordings
        dollars[dataset.split("-gender")[0].split("-emotion")[0]] = each(dataset) * min(
            drawn, manifests.get(dataset).items or drawn
        )
    sentences = paper.sentences
    views = 3  # whole, and chunks of two and of one second
    count = sentences.train + sentences.val + sentences.test
    dollars["librispeech"] = views * count * each("librispeech")
    dollars["esc-50"] = (manifests.get("esc-50").items or 0) * each("esc-50")
    dollars["celeba"] = 1000 * IMAGE  # about as many persons are in the test partition
    assert "ravdess" in dollars and len(dollars) == 10
    assert sum(dollars.values()) < profiles.PAPER_DOLLARS, dollars


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
