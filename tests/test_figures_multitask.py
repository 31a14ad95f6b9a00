"""Section 4's tables, chart and sentences, from records made by hand."""

import re

import pytest

from gemb import figures, profiles, records
from gemb.figures import multitask_scaling as section
from gemb.figures.multitask_scaling_findings import PARTS
from gemb.records import MultitaskRecord, Score, SharedTask, Trial

TASKS = ("words", "clothing", "digits")


def part(task, value, frequent=0.2, outside=0.0):
    return SharedTask(
        task=task,
        items=40,
        accuracy=Score(value=value, low=value - 0.05, high=value + 0.05),
        outside=outside,
        words=1.5,
        frequent=[("yes", frequent), ("<b>no</b>", 0.05)],
    )


def trial(name, values, group="sweep", k=1, validation=0.5, **more):
    return Trial(
        name=name,
        group=group,
        encoder="open-concat",
        seed=0,
        num_virtual_tokens=k,
        hidden=8,
        parameters=1234,
        tasks=3,
        passes=300,
        seconds=12,
        changed={},
        validation=validation,
        results=[
            p if isinstance(p, SharedTask) else part(t, p)
            for t, p in zip(TASKS, values, strict=True)
        ],
        **more,
    )


def sentences(record):
    """Every sentence, whatever part it stands in."""
    return "\n".join(repr(figures.multitask_findings(record, part)) for part in PARTS)


FALLEN = [part(t, 0.1, frequent=1.0) for t in TASKS]


@pytest.fixture
def record():
    return MultitaskRecord(
        provenance=records.provenance(profiles.get("study"), "enc", "lm", {}, "raw", 60),
        encoders=["open-concat"],
        single={"open-concat": [part(t, 0.8) for t in TASKS]},
        trials=[
            trial("1 token", [0.8, 0.7, 0.77]),
            trial("8 tokens", [0.8, 0.8, 0.8], k=8),
            trial("the study's form", FALLEN, group="collapse"),
            trial("twice as long", [0.8, 0.79, 0.8], group="rescue", validation=0.7),
            trial("twice as long", [0.8, 0.79, 0.5], group="confirmation"),
        ],
        swap=[
            {"k": 1, "asked": a, "items": 9, "answers of words": w, "answers of gender": 1 - w,
             "right": {"value": 0.9, "low": 0.8, "high": 0.95}, "majority": 0.77}
            for a, w in (("words", 1.0), ("gender", 0.1))
        ],
    )  # fmt: skip


def test_a_task_is_served_at_95_per_cent_of_its_own_adaptor(record):
    assert section.served(record, record.trials[0]) == ["words", "digits"]
    assert section.served(record, record.trials[3]) == list(TASKS)
    nothing = record.single["open-concat"][0]  # own adaptor no better than one answer always
    nothing.accuracy, nothing.majority = Score(value=0.2, low=0.1, high=0.3), 0.15
    assert section.learnt(record, record.trials[0]) == ["clothing", "digits"]
    assert section.served(record, record.trials[0]) == ["digits"]
    assert section.share(record, record.trials[0]).startswith("1 of the 2 tasks that their own")


def test_one_answer_always_or_none_of_the_labels_is_a_collapse():
    assert section.collapsed(trial("x", FALLEN)) == 3
    assert section.collapsed(trial("x", [0.1, 0.9, 0.9])) == 0  # wrong, but not alike
    assert section.collapsed(trial("x", [part("words", 0.0, outside=0.95), 0.9, 0.9])) == 1
    # always the same answer is right where there is one right answer
    assert section.collapsed(trial("x", [part("words", 0.95, frequent=0.95), 0.9, 0.9])) == 0


def test_the_findings_say_when_it_collapses_and_what_was_confirmed(record):
    text = sentences(record)
    assert "1 token: 2 of the 3 tasks" in text and "8 tokens: 3 of the 3" in text
    assert "in 1 of 3 ways of training tried: the study's form" in text
    assert "In the others at most 0 of 3 do" in text
    assert (
        "69.7%, 87% of the 80.0% of their own adaptors (87% over the 3 that these learn), and with "
        "nothing changed 75.7%; 2 of" in text
    )
    assert (
        "with 1 token on validation is “twice as long”. Does it reach 95% of single-task "
        "accuracy? No in the mean over all tasks, by its point estimate; no" in text
    )
    assert "behind are Digit" in text
    assert "90% or more of the answers are of the kind" in text


def test_in_short_are_the_answers_alone(record):
    text = repr(figures.multitask_findings(record))
    assert (
        "One adaptor for all 3 tasks, shown each item 3 times, reaches in the mean over them 75.7% "
        "with 1 token, 80.0% with 8 tokens (encoder open-concat); the tasks' own adaptors, shown "
        "their items up to 9 times, reach 80.0%." in text
    )
    assert "ways of training tried" in text
    assert "behind are" not in text and len(text) < 1000


def test_without_any_collapse_the_claim_does_not_hold_up(record):
    record.trials = [t for t in record.trials if t.group != "collapse"]
    assert "does not hold up under this protocol" in sentences(record)
    record.trials = [trial("1 token", FALLEN)]
    assert "in every way tried" in sentences(record)


def test_every_figure_has_alternative_text_and_every_table_its_csv(record):
    chart = figures.tokens_chart(record)
    assert 'alt="' in chart._repr_html_() and chart.png.startswith(b"\x89PNG")
    for shown in (
        figures.shared_table(record),
        figures.said_table(record),
        figures.swap_table(record),
        figures.trials_table(record, ["collapse"]),
        figures.trials_table(record, ["rescue", "confirmation"]),
        figures.provenance_table(record),
    ):
        assert ".csv</a>" in shown._repr_html_()
    assert "&lt;b&gt;no" in figures.said_table(record)._repr_html_()
    assert "Nothing else of this was run" in repr(figures.trials_table(record, ["capacity"]))
    assert "Nothing else of this" not in repr(figures.trials_table(record, ["collapse"]))
    assert "The study, on its own data" in repr(figures.shared_table(record))


def test_the_minutes_of_all_trainings_stand_beside_those_of_the_last_call(record):
    assert "minutes of all its trainings" not in repr(figures.provenance_table(record))
    record.seconds = 90.0
    shown = repr(figures.provenance_table(record))
    assert "minutes of the last call" in shown
    assert re.search(r"minutes of all its trainings +1\.5", shown)


def test_tokens_are_held_apart_from_parameters_by_the_rate_best_on_validation(record):
    assert "equal parameters" not in sentences(record)
    for k, rate, values, validation in (
        (1, "a", [0.8, 0.8, 0.8], 0.3),  # best on the test, and not chosen
        (1, "b", [0.3, 0.3, 0.3], 0.5),
        (8, "a", [0.7, 0.7, 0.7], 0.6),
    ):
        name = f"{k} tokens, equal parameters, learning rate {rate}"
        record.trials.append(trial(name, values, "capacity", k, validation))
    text = sentences(record)
    assert "1 token, hidden 8: 30.0%; 8 tokens, hidden 8: 70.0%: more tokens help apart" in text
    record.trials[-1].results = [part(t, 0.32) for t in TASKS]
    assert "do not surely help by themselves" in sentences(record)


@pytest.mark.parametrize(
    ("one", "eight", "said"),
    [
        (
            FALLEN,
            [0.3, 0.4, 0.5],
            "bring back 3 of the 3 that collapse with one, as the study says.",
        ),
        (FALLEN, FALLEN, "do not undo the collapse, against the study"),
        ([0.3, 0.4, 0.5], FALLEN, "no collapse there for more tokens to undo"),
    ],
)
def test_the_studys_form_is_held_against_the_studys_claim(record, one, eight, said):
    assert "own form as far as" not in sentences(record)
    record.trials.append(trial(records.STUDYS_FORM + ", 1 token", one, "collapse"))
    record.trials.append(trial(records.STUDYS_FORM + ", 8 tokens", eight, "collapse", k=8))
    record.trials = [t for t in record.trials if t.name != "the study's form"]
    assert said in sentences(record)


def test_what_the_collapsed_say_is_shown_and_stand_ins_are_starred(record):
    said = repr(figures.said_table(record))
    assert "the study's form" in said and "twice as long" not in said
    for shown in (figures.tokens_chart(record), figures.said_table(record)):
        assert "Word-level STT*" in repr(shown) and "* stand-in data" in repr(shown)
    assert "2 of 3 tasks on stand-in data" in repr(figures.trials_table(record, ["rescue"]))
    assert "77%" in repr(figures.swap_table(record))


def test_a_gap_that_may_be_of_training_is_said_to_be(record):
    text = sentences(record)
    assert "up to 9 times, these shared ones 3 times" in text and "not of sharing alone" in text
    assert "longer training shows them as often" in text
    assert "up to 9 epochs (the shared ones: 3)" in repr(figures.shared_table(record))


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(0.96, 1.2, "Yes in the mean"), (0.7, 0.9, "No in the mean"),
     (0.8, 1.1, "Not decided in the mean")],
)  # fmt: skip
def test_whether_anything_serves_all_tasks_is_decided_by_the_interval(record, low, high, said):
    middle = (low + high) / 2
    record.trials[-1].results = [part(t, 0.8 * middle) for t in TASKS]
    record.trials[-1].of_own = Score(value=middle, low=low, high=high)
    record.trials[-1].of_learnt = Score(value=0.5, low=0.4, high=0.6)
    text = sentences(record)
    assert said in text
    assert "no over those that their own adaptors learn (50.0 (40.0–60.0)%)" in text
    assert f"({100 * low:.1f}–{100 * high:.1f})" in repr(
        figures.trials_table(record, ["confirmation"])
    )


def test_the_prompt_swap_has_its_interval_and_an_older_record_none(record):
    assert "90.0 (80.0–95.0)" in repr(figures.swap_table(record))
    record.swap[0]["right"], record.swap[1]["right"] = 0.9, None
    assert "90%" in repr(figures.swap_table(record))
