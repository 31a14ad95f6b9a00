import base64
import re

import pytest

from gemb import figures, profiles, records
from gemb.figures.single_task_findings import PARTS
from gemb.records import MethodResult, Score, SingleTaskRecord, TaskResult, Voted


def method(name, value=0.5, **more):
    score = Score(value=value, low=value - 0.1, high=value + 0.1, seed_std=0.01)
    return MethodResult(method=name, accuracy=score, macro_accuracy=score, **more)


def result(task, protocol="leak-free", **more):
    more = {"source": "raw", "price_usd": 0.0} | more
    return TaskResult(
        task=task,
        protocol=protocol,
        split="official",
        n_train=9,
        n_val=3,
        n_test=5,
        classes=["bag", "coat"],
        groups=5,
        methods=[
            method("adaptor", 0.8, outside=0.1),
            method(
                "logistic regression", 0.85, difference=Score(value=-0.05, low=-0.09, high=-0.01)
            ),
            method("majority", 0.1),
        ],
        controls=[method("shuffled labels", 0.12, outside=0.0)],
        confusion={"bag": {"bag": 0.5, "(other)": 0.5}, "coat": {"bag": 1.0}},
        curve=[{"n_train": 5, "adaptor": [0.4, 0.5], "logistic regression": 0.6}],
        history=[
            {"epoch": 1, "train_loss": 4.0, "val_accuracy": 0.3, "number": 0, "seed": 0},
            {"epoch": 2, "train_loss": 0.9, "val_accuracy": 0.5, "number": 0, "seed": 0},
        ],
        seconds_embedding=1,
        seconds_training=2,
        seconds_answering=3,
        items_per_second=4,
        **more,
    )


@pytest.fixture
def record():
    about = records.provenance(profiles.get("study"), "enc", "lm", {"m": "0" * 16}, "raw", 60)
    return SingleTaskRecord(
        provenance=about,
        results=[result("clothing"), result("words"), result("clothing", "random")],
    )


def sentences(record):
    """Every sentence, whatever part it stands in."""
    return "\n".join(repr(figures.findings(record, part)) for part in PARTS)


def test_the_main_table_labels_the_studys_numbers_and_the_stand_ins(record):
    frame = figures.main_frame(record)
    assert list(frame["task"]) == ["Clothing classification", "Word-level STT*"]
    assert list(frame["the study, its data"]) == [
        "83.0 (Fashion-MNIST)",
        "94.0 (Google Speech Commands)",
    ]
    assert list(frame["adaptor"]) == ["80.0 (70.0–90.0)"] * 2
    assert "stand-in: ten words by synthetic voices" in repr(figures.data_table(record))


def test_what_the_linear_adaptor_is_is_said_where_there_is_one(record):
    record.results[0].methods.append(method("linear adaptor"))
    assert "without GELU" in repr(figures.main_table(record))
    for found in record.results:
        found.methods = [m for m in found.methods if m.method != "linear adaptor"]
    assert "without GELU" not in repr(figures.main_table(record))


def test_a_stand_in_is_starred_wherever_a_number_on_it_stands(record):
    starred = (
        figures.main_table,
        figures.gap_table,
        figures.controls_table,
        figures.cost_table,
    )
    for shown in (figure(record) for figure in starred):
        assert "Word-level STT*" in repr(shown) and "* stand-in data" in repr(shown)
        assert "Clothing classification*" not in repr(shown)
    assert "Word-level STT*" in repr(figures.confusions(figures.worst(record)))


def test_it_is_said_where_released_vectors_took_the_place_of_raw_data(record):
    record.results[1] = result("words", source="released")
    text = repr(figures.data_table(record))
    assert "raw data" in text and "released vectors" in text


def test_a_price_is_shown_as_it_is_known(record):
    assert "0.00" in repr(figures.cost_table(record))
    for price, said in ((1.234, "1.23"), (None, "not known")):
        record.results[1] = result("words", price_usd=price)
        assert said in repr(figures.cost_table(record))


def test_a_gap_is_shown_with_what_it_is_made_of(record):
    text = repr(figures.gap_table(record))
    assert "−5.0 (−9.0 to −1.0)" in text and "0.90" in text and "30.0 to 50.0" in text
    # the interval reaches below −6 and the mean below −3
    assert figures.small_gap(record.results[0]) is False


def test_a_readers_run_stands_beside_the_published_one(record):
    mine = record.model_copy(deep=True)
    mine.provenance.profile = "local"
    frame = figures.main_frame(mine, published=record)
    assert list(frame["published run (study)"]) == ["80.0 (70.0–90.0)"] * 2
    assert "published run (study)" not in figures.main_frame(record, published=record)


def test_every_figure_has_alternative_text_and_every_table_its_csv(record):
    for shown in (
        figures.accuracy_chart(record),
        figures.curves(record),
        figures.confusions(figures.worst(record)),
    ):
        assert 'alt="' in shown._repr_html_() and shown.png.startswith(b"\x89PNG")
    for shown in (
        figures.main_table(record),
        figures.gap_table(record),
        figures.data_table(record),
        figures.splits_table(record),
        figures.controls_table(record),
        figures.cost_table(record),
        figures.provenance_table(record),
    ):
        assert ".csv</a>" in shown._repr_html_()
    assert "Nothing of this" in repr(figures.others_table(record))


def test_what_a_page_has_no_room_for_is_in_the_csv(record):
    shown = figures.main_table(record)
    page, terminal = shown._repr_html_(), repr(shown)
    assert "<th>± seeds</th>" not in page and "also with: ± seeds" in page
    assert "± seeds" in terminal
    csv = base64.b64decode(re.search(r"base64,([^\"]+)", page)[1]).decode()
    assert "± seeds" in csv and "(70.0–90.0)" in csv
    # no column breaks an interval in two
    assert '<span style="white-space:nowrap">(70.0–90.0)</span>' in page


def test_a_task_that_nobody_reads_is_no_draw(record):
    for found in record.results:
        for one in found.methods:
            one.macro_accuracy = Score(value=0.12, low=0.05, high=0.2)
    assert "may lose more" not in sentences(record)


def test_the_same_figure_has_the_same_bytes(record):
    assert figures.accuracy_chart(record).png == figures.accuracy_chart(record).png


def test_the_summary_names_the_stand_ins_and_the_profile(record):
    text = figures.summary(record)
    assert "stand-in: ten words" in text and "Profile `study`" in text
    assert text.count("\n| ") >= 2


def test_in_short_are_the_answers_alone(record):
    text = repr(figures.findings(record))
    assert "surely worse on Clothing classification −5.0 (−9.0 to −1.0), Word-level STT" in text
    assert "had not stopped rising" not in text and "Of all controls, run on Clothing" in text
    for one in record.results:
        one.methods[1].difference = Score(value=-0.05, low=-0.11, high=0.01)
    text = repr(figures.findings(record))
    assert "may lose more on Clothing" in text and "surely worse" not in text


def test_the_findings_say_what_the_record_says(record):
    text = sentences(record)
    assert (
        "The adaptor loses to logistic regression on Clothing classification, Word-level STT: "
        "validation accuracy had" in text
    )
    for one in record.results:
        one.history[0]["val_accuracy"] = 0.5
    assert "may still help; the cause is not known" in sentences(record)
    for one in record.results:
        one.voted = Voted(
            seeds=3,
            accuracy=Score(value=0.84, low=0.8, high=0.9),
            over_regression=Score(value=-0.01, low=-0.04, high=0.02),
        )
    text = sentences(record)
    assert "a part is the scatter of single trainings" in text and "not known" not in text
    assert (
        "By point estimate the 3 seeds' adaptors by vote lose at most 3 points on 2 of these 2, "
        "though more is not excluded (Clothing classification −1.0 (−4.0 to 2.0), Word-level STT"
        in text
    )
    assert "−1.0 (−4.0 to 2.0)" in repr(figures.gap_table(record))
    record.results[0].methods.append(
        method("longer-trained adaptor", difference=Score(value=0.01, low=-0.04, high=0.05))
    )
    text = sentences(record)
    assert "trained twice as long it is not surely better; a part is the scatter" in text
    head = method("MLP head", 0.84, difference=Score(value=-0.04, low=-0.06, high=-0.02))
    for one in record.results:
        one.methods.append(head)
    assert "so that the vectors do not explain it" in sentences(record)
    assert "the highest is 12.0 (2.0–22.0)% (shuffled labels" in text


def test_intervals_over_few_groups_are_said_to_be_too_narrow(record):
    record.results[0].groups, record.results[1].groups = 3, 50
    assert "too narrow (Clothing classification 3)" in repr(figures.main_table(record))
    better = Score(value=0.1, low=0.05, high=0.15)
    for one in record.results:
        one.methods = [
            m.model_copy(update={"difference": better}) if m.method == "logistic regression" else m
            for m in one.methods
        ]
    text = sentences(record)
    assert "taken with care: Clothing classification 3.)" in text


def test_sentences_keep_their_characters_when_markdown_reads_them():
    markdown_it = pytest.importorskip("markdown_it")  # the book's parser
    said = [r"50% (40–60) of <b>it</b>", "a_b*c `d` [e](f) $x$ #g |h| \\i ~j~ &amp;"]
    tokens = markdown_it.MarkdownIt().parse(figures.Bullets(said)._repr_markdown_())
    assert sum(t.type == "list_item_open" for t in tokens) == 2
    read = ["".join(c.content for c in t.children) for t in tokens if t.type == "inline"]
    assert read == said
    assert repr(figures.Bullets(said)).splitlines() == [f"- {line}" for line in said]
