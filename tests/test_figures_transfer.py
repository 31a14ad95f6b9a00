"""Section 3's tables, charts and sentences, from records made by hand."""

import pytest

from gemb import figures, profiles, records
from gemb.records import CategoryResult, Score, Transfer, TransferRecord, TransferResult

NAMES = ("bird", "tool", "vehicle")


def at(value):
    return Score(value=value, low=value - 0.05, high=value + 0.05)


def result(name, kind, value, **more):
    return TransferResult(
        name=name, kind=kind, encoder="e", items=9, accuracy=at(value), macro=at(value), **more
    )


@pytest.fixture
def record():
    said = [("bird", 0.6), ("<b>cow</b>", 0.4)]
    transfer = Transfer(
        trained_on="pictures",
        tested_on="sounds",
        data="some pictures to some sounds",
        encoder="open-bound:posteriors",
        categories=list(NAMES),
        items=9,
        groups=6,
        n_train=100,
        majority=0.4,
        results=[
            result(
                "adaptor on open-bound:posteriors",
                "transfer",
                0.6,
                own=at(0.8),
                by_category=[
                    CategoryResult(
                        category=n, items=3, groups=2, accuracy=at(0.6), logprob=-0.2, said=said
                    )
                    for n in NAMES
                ],
            ),
            result("adaptor on open-concat", "control", 0.32),
            result("nearest name in open-bound:posteriors", "retrieval", 0.7),
            result("the category's name as a vector, same adaptor", "ceiling", 0.9),
        ],
        degradation=[
            {"share": s, "alignment": 0.3 * (1 - s), "macro": at(0.6 - 0.3 * s).model_dump()}
            for s in (0.0, 0.5, 1.0)
        ],
    )
    return TransferRecord(
        provenance=records.provenance(profiles.get("study"), "enc", "lm", {}, "raw", 60),
        validation={"picture": {"posteriors": 0.1, "trained": 0.2, "pairs": 200}},
        transfers=[transfer],
        not_run={"CIFAR-10 to ESC-50": "it needs the official data"},
    )


def test_the_main_table_names_the_default_chance_and_the_studys_number(record):
    shown = figures.transfer_table(record)
    text = repr(shown)
    assert "open-bound:posteriors (default)" in text and "chance is 33.3" in text
    assert "59.8%" in text and "bird alone may reach 40%" in text
    assert "60.0 (55.0–65.0)" in text


def test_sentences_follow_the_numbers(record):
    text = repr(figures.transfer_findings(record))
    assert "understands some of the sounds without having met any" in text
    assert "which is chance" in text and "10.0 points more than the way through" in text
    assert "Not run: CIFAR-10 to ESC-50, for it needs the official data." in text
    results = record.transfers[0].results
    results[0] = results[0].model_copy(update={"macro": at(0.34)})
    assert "not surely more than chance" in repr(figures.transfer_findings(record))
    results[1] = results[1].model_copy(update={"macro": at(0.5)})
    assert "does not hold chance" in repr(figures.transfer_findings(record))
    results[1] = results[1].model_copy(update={"macro": at(0.1)})
    assert "below chance" in repr(figures.transfer_findings(record))


def test_a_second_transfer_stands_beside_the_first(record):
    faces = record.transfers[0].model_copy(
        update={"trained_on": "voices", "tested_on": "faces", "data": "voices to faces"}
    )
    both = record.model_copy(update={"transfers": [record.transfers[0], faces]})
    text = repr(figures.transfer_table(both))
    assert "voices to faces" in text and "62% where random gives 50%" in text
    assert figures.category_chart(both).png and figures.degradation_chart(both).png
    assert "faces (macro)" in repr(figures.transfer_findings(both))


def test_what_the_model_said_is_escaped(record):
    markup = figures.category_table(record)._repr_html_()
    assert "<b>cow" not in markup and "cow" in markup


@pytest.mark.parametrize("chart", [figures.category_chart, figures.degradation_chart])
def test_charts_have_alternative_text(record, chart):
    shown = chart(record)
    assert shown.png.startswith(b"\x89PNG") and "60%" in repr(shown)


def test_the_degradation_names_its_one_seed(record):
    assert "the first seed's adaptor" in repr(figures.degradation_chart(record))


def test_the_binding_table_says_which_variant_is_the_default(record):
    text = repr(figures.binding_table(record))
    assert "open-bound:posteriors" in text and "20.0" in text
