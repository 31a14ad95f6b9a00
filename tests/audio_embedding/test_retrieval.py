"""Retrieval scores against mteb's own, against brute force, and their tie rule."""

from itertools import permutations
from zlib import crc32

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gemb.audio_embedding import retrieval
from gemb.audio_embedding.retrieval import DIRECTIONS, METRICS, Gallery, scores
from gemb.data.items import Item, Media
from gemb.errors import UserError

MTEB_NAMES = {
    "cvR@1": "hit_rate_at_1",
    "cvR@5": "hit_rate_at_5",
    "cvR@10": "hit_rate_at_10",
    "NDCG@10": "ndcg_at_10",
    "MRR": "mrr_at_1000",
}


def sound(name: str, group: str | None = None) -> Item:
    return Item(name, "audio", Media.from_text(name), name, group=group)


def by_mteb(similarity: np.ndarray, relevant: np.ndarray) -> dict[str, float]:
    """The means that mteb's own evaluator gives; document ids in the order of columns."""
    from mteb._evaluators.retrieval_metrics import calculate_retrieval_scores, make_score_dict

    def document(number: int) -> str:
        return f"d{number:05d}"

    results = {
        f"q{q}": {document(d): float(s) for d, s in enumerate(row)}
        for q, row in enumerate(similarity)
    }
    right = {
        f"q{q}": {document(d): 1 for d in np.flatnonzero(row)} for q, row in enumerate(relevant)
    }
    out = calculate_retrieval_scores(results, right, [1, 5, 10, 1000])
    table = make_score_dict(
        ndcg=out.ndcg, _map=out.map, recall=out.recall, precision=out.precision, mrr=out.mrr,
        naucs=out.naucs, naucs_mrr=out.naucs_mrr, hit_rate=out.hit_rate, task_scores={},
    )  # fmt: skip
    return {ours: table[theirs] for ours, theirs in MTEB_NAMES.items()}


def relevance(rng: np.random.Generator, queries: int, documents: int) -> np.ndarray:
    """Each query has at least one right document."""
    found = rng.random((queries, documents)) < 0.15
    found[np.arange(queries), rng.integers(documents, size=queries)] = True
    return found


@given(
    st.integers(0, 10_000), st.integers(1, 8), st.integers(2, 40), st.sampled_from([2, 5, 1 << 30])
)
@settings(max_examples=30, deadline=None)
def test_equal_to_mteb_on_random_and_on_tied_cases(
    seed: int, queries: int, documents: int, levels: int
) -> None:
    rng = np.random.default_rng(seed)
    similarity = rng.integers(levels, size=(queries, documents)) / levels
    relevant = relevance(rng, queries, documents)
    ours = scores(similarity, relevant, ties="mteb")
    for metric, value in by_mteb(similarity, relevant).items():
        assert ours[metric].mean() == pytest.approx(value, abs=1e-5), metric  # mteb rounds to 5
    if levels == 1 << 30:  # without ties the rules are one
        expected = scores(similarity, relevant)
        for metric in METRICS:
            np.testing.assert_allclose(expected[metric], ours[metric])


@given(st.lists(st.tuples(st.integers(0, 2), st.booleans()), min_size=1, max_size=6))
@settings(max_examples=40, deadline=None)
def test_the_expected_score_is_the_mean_over_all_orders_of_the_documents(
    documents: list[tuple[int, bool]],
) -> None:
    similarity = np.array([[float(s) for s, _ in documents]])
    relevant = np.array([[r for _, r in documents]])
    relevant[0, 0] = True
    orders = [list(p) for p in permutations(range(len(documents)))]
    each = [scores(similarity[:, o], relevant[:, o], ties="mteb") for o in orders]
    ours = scores(similarity, relevant)
    for metric in METRICS:
        assert ours[metric][0] == pytest.approx(np.mean([e[metric][0] for e in each])), metric


@given(st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_the_order_of_the_documents_does_not_matter_and_scores_keep_their_bounds(
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    similarity, relevant = rng.integers(4, size=(5, 20)) / 4, relevance(rng, 5, 20)
    order = rng.permutation(20)
    once, again = scores(similarity, relevant), scores(similarity[:, order], relevant[:, order])
    for metric in METRICS:
        np.testing.assert_allclose(once[metric], again[metric])
        assert ((once[metric] >= 0) & (once[metric] <= 1 + 1e-12)).all()
    assert (once["cvR@1"] <= once["cvR@5"]).all() and (once["cvR@5"] <= once["cvR@10"]).all()


def test_one_vector_for_everything_scores_chance() -> None:
    pairs = [(sound(f"s{n}"), f"caption {n}") for n in range(40)]
    found = retrieval.chance(Gallery.of(pairs))
    for direction in DIRECTIONS:
        assert found.interval(direction, "cvR@5").value == pytest.approx(5 / 40)
        assert found.interval(direction, "MRR").value == pytest.approx(
            sum(1 / n for n in range(1, 41)) / 40
        )


class Perfect:
    """Sounds are where their answers are."""

    def embed_audio(self, items: list[Item]) -> np.ndarray:
        return self.embed_text([i.answer for i in items])

    def embed_text(self, texts: list[str]) -> np.ndarray:
        rows = [np.random.default_rng(crc32(t.encode())).normal(size=64) for t in texts]
        return np.stack([r / np.linalg.norm(r) for r in rows]).astype(np.float32)


def test_several_sounds_of_one_caption_and_several_captions_of_one_sound() -> None:
    dogs = [sound("dog"), sound("cat")]
    pairs = [(dogs[0], "dog"), (dogs[1], "cat"), (dogs[0], "a dog barks"), (dogs[1], "dog")]
    gallery = Gallery.of(pairs)
    assert gallery.captions == ("dog", "cat", "a dog barks")
    assert gallery.relevant.tolist() == [[True, False, True], [True, True, False]]
    found = retrieval.evaluate(Perfect(), pairs)
    assert found.values["audio-to-text"]["cvR@1"].tolist() == [1, 1]
    assert found.values["text-to-audio"]["cvR@1"][:2].tolist() == [1, 1]


def test_sounds_are_drawn_by_group_so_that_copies_do_not_narrow_the_interval() -> None:
    def widths(copies: int) -> float:
        pairs = [
            (sound(f"{n}-{c}", group=str(n)), f"caption {n}")
            for n in range(20)
            for c in range(copies)
        ]
        rng = np.random.default_rng(0)
        similarity = np.repeat(rng.normal(size=(20, 20)) + 1.5 * np.eye(20), copies, axis=0)
        gallery = Gallery.of(pairs)
        found = retrieval.search(gallery, similarity, np.eye(20)).interval("audio-to-text", "cvR@1")
        return found.high - found.low

    assert widths(1) == pytest.approx(widths(10))


def test_a_gain_is_paired_and_refuses_other_queries() -> None:
    pairs = [(sound(f"s{n}"), f"s{n}") for n in range(30)]
    found, floor = retrieval.evaluate(Perfect(), pairs), retrieval.chance(Gallery.of(pairs))
    gain = found.gain(floor, "text-to-audio")
    assert gain.value == pytest.approx(1 - 5 / 30) and gain.low == pytest.approx(gain.high)
    with pytest.raises(ValueError, match="not asked the same"):
        found.gain(retrieval.chance(Gallery.of(pairs[:9])), "text-to-audio")


def test_a_mean_weighs_galleries_alike_and_draws_shared_captions_together() -> None:
    pairs = [(sound(f"s{n}"), f"s{n}") for n in range(30)]
    few = pairs[:9]
    found = {
        "many": retrieval.evaluate(Perfect(), pairs),
        "few": retrieval.evaluate(Perfect(), few),
    }
    floor = {name: retrieval.chance(one.gallery) for name, one in found.items()}
    gain = retrieval.mean(found, "text-to-audio", floor)
    assert gain.value == pytest.approx(((1 - 5 / 30) + (1 - 5 / 9)) / 2)
    assert retrieval.mean(found, "text-to-audio").value == 1
    assert retrieval.mean(floor, "audio-to-text").value == pytest.approx((5 / 30 + 5 / 9) / 2)
    # one gallery twice: the same captions are drawn in both, so that nothing averages out
    rng = np.random.default_rng(0)
    noisy = retrieval.search(Gallery.of(pairs), rng.normal(size=(30, 9)), rng.normal(size=(30, 9)))
    one = noisy.gain(floor["many"], "text-to-audio")
    twice = {"a": noisy, "b": noisy}
    mean = retrieval.mean(twice, "text-to-audio", dict.fromkeys(twice, floor["many"]))
    assert vars(mean) == pytest.approx(vars(one))


def test_what_cannot_be_scored_is_refused() -> None:
    gallery = Gallery.of([(sound("a"), "a"), (sound("b"), "b")])
    with pytest.raises(ValueError, match="vectors"):
        retrieval.search(gallery, np.ones((3, 4)), np.ones((2, 4)))
    with pytest.raises(ValueError, match="NaN"):
        retrieval.search(gallery, np.full((2, 4), np.nan), np.ones((2, 4)))
    with pytest.raises(ValueError, match="query 1 has no right document"):
        scores(np.ones((2, 2)), np.array([[True, False], [False, False]]))
    with pytest.raises(UserError, match="no pairs"):
        Gallery.of([])
