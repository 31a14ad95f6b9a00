"""The study's claims beside a run: levels, verdicts, files, comparison of two runs."""

import csv
import json

import pytest
from typer.testing import CliRunner

from gemb import profiles, records, report
from gemb.cli import app
from gemb.errors import UserError
from gemb.records import (
    MethodResult,
    MultitaskRecord,
    OpenVocabularyRecord,
    Probe,
    Recognition,
    Score,
    SharedTask,
    SingleTaskRecord,
    SpeechResult,
    TaskResult,
    Trial,
)


def score(value, half=0.05):
    return Score(value=value, low=value - half, high=value + half)


def single(**accuracies):
    """A record of section 1 with these accuracies by task (``_`` for ``-``)."""
    return SingleTaskRecord(
        provenance=records.provenance(profiles.get("study"), "enc", "lm", {}, "raw", 60),
        results=[
            TaskResult(
                task=task.replace("_", "-"),
                protocol="leak-free",
                split="official",
                n_train=9,
                n_val=3,
                n_test=5,
                classes=list("abcdefghij"),
                groups=5,
                source="raw",
                methods=[
                    MethodResult(
                        method="adaptor", accuracy=score(value), macro_accuracy=score(value)
                    )
                ],
                seconds_embedding=1,
                seconds_training=2,
                seconds_answering=3,
                items_per_second=4,
                price_usd=0.5,
            )
            for task, value in accuracies.items()
        ],
    )


def shared(fallen):
    """A record of section 4: one token, two tasks, ``fallen`` of them say the same always."""
    parts = [
        SharedTask(
            task=task,
            items=20,
            accuracy=score(0.1 if n < fallen else 0.9),
            outside=0.0,
            words=1.0,
            frequent=[("yes", 1.0 if n < fallen else 0.2)],
        )
        for n, task in enumerate(("words", "clothing"))
    ]
    own = [p.model_copy(update={"accuracy": score(0.9)}) for p in parts]
    trial = Trial(
        name="1 token",
        group="sweep",
        encoder="open-concat",
        seed=0,
        num_virtual_tokens=1,
        hidden=8,
        parameters=9,
        tasks=2,
        passes=10,
        seconds=1,
        changed={},
        validation=0.5,
        results=parts,
    )
    return MultitaskRecord(
        provenance=records.provenance(profiles.get("study"), "enc", "lm", {}, "raw", 60),
        encoders=["open-concat"],
        single={"open-concat": own},
        trials=[trial],
        swap=[],
    )


def verdicts(found):
    return {r.claim: r for r in report.claims(found)}


def test_how_long_a_training_takes_is_of_the_split_whose_costs_are_listed():
    record = single(clothing=0.9)
    slower = record.results[0].model_copy(update={"protocol": "random", "seconds_training": 99.0})
    record.results.append(slower)
    found = {"single_task": record}
    row = verdicts(found)["An adaptor is trained in under a minute"]
    assert row.here == "2 to 2 s a task" and row.verdict == "reproduced"
    assert [c.seconds for c in report.costs(found)] == [6.0]


def test_the_studys_own_figures_fall_into_the_levels_it_gives_them():
    levels = {t.name: report.level(t.paper_accuracy) for t in report.tasks.TASKS.values()}
    assert levels == {
        **dict.fromkeys(("objects", "clothing", "gender", "words", "commands"), "works well"),
        **dict.fromkeys(("digits", "scene-text", "emotion"), "partially"),
    }


def test_another_level_is_not_reproduced_and_a_wide_interval_is_said():
    rows = verdicts({"single_task": single(clothing=0.78, words=0.6, digits=0.5)})
    clothing = rows["Clothing classification works well with one virtual token"]
    assert clothing.verdict == "not reproduced" and "does not exclude it" in clothing.why
    words = rows["Word-level STT works well with one virtual token"]
    assert words.verdict == "not reproduced" and words.why.endswith("partially, on a stand-in")
    assert words.data.startswith("stand-in: ") and clothing.data == "Fashion-MNIST"
    assert rows["Digit classification works partially with one virtual token"].verdict == (
        "reproduced"
    )
    missing = rows["Object classification works well with one virtual token"]
    assert missing.verdict == "not run" and missing.here == "–" and missing.why


def test_a_folder_of_several_runs_is_refused_and_what_a_paid_section_costs_is_not_made_up(tmp_path):
    record = single(words=0.9)
    for profile in ("local", "study"):
        records.write(record, tmp_path / f"single_task.{profile}.json")
    with pytest.raises(UserError, match=r"several records of single_task \(.*local"):
        report.load(str(tmp_path))


def test_what_is_not_surely_above_one_answer_to_all_does_not_work():
    record = single(gender=0.54)
    record.results[0].classes = ["female", "male"]
    assert report.reached(record.results[0]) == "does not"
    row = verdicts({"single_task": record})["Gender of a voice works well with one virtual token"]
    assert row.verdict == "not reproduced" and "does not work" in row.why
    record.results[0].methods[0].macro_accuracy = score(0.6)  # classes may be unequal
    assert report.reached(record.results[0]) == "partially"


@pytest.mark.parametrize(("fallen", "verdict"), [(0, "not reproduced"), (2, "reproduced")])
def test_collapse_is_reproduced_only_if_most_tasks_collapse(fallen, verdict):
    rows = verdicts({"multitask_scaling": shared(fallen)})
    row = rows["One shared adaptor with 1 token collapses"]
    assert row.verdict == verdict and f"{fallen} of 2 collapse" in row.here


def test_what_was_confirmed_on_a_fresh_seed_stands_beside_the_claim_of_its_token_count():
    record = shared(0)
    sweep = record.trials[0]
    half = [r.model_copy(update={"accuracy": score(0.45)}) for r in sweep.results]
    for name, changed in (
        ("longer", {}),
        ("longer, 8 tokens", {"num_virtual_tokens": 8}),
        ("longer elsewhere", {"encoder": "other"}),
    ):
        update = {"name": name, "group": "confirmation", "seed": 1, "results": half} | changed
        record.trials.append(sweep.model_copy(update=update))
    why = verdicts({"multitask_scaling": record})["One shared adaptor with 1 token collapses"].why
    mean, confirmed = why.split("; longer: ")  # and nothing of the others
    assert "90.0%, 100%" in mean and confirmed.startswith("45.0%, 50% of the 90.0%")


def swept(k, *accuracies, fallen=0):
    """A trial of the sweep: words, clothing, objects, commands at these accuracies."""
    trial = shared(0).trials[0]
    parts = [
        trial.results[0].model_copy(
            update={
                "task": task,
                "accuracy": score(value),
                "frequent": [("yes", 1.0 if n < fallen else 0.2)],
            }
        )
        for n, (task, value) in enumerate(
            zip(("words", "clothing", "objects", "commands"), accuracies, strict=True)
        )
    ]
    return trial.model_copy(update={"num_virtual_tokens": k, "results": parts})


def multitask(own, *trials):
    record = shared(0)
    record.single = {"open-concat": swept(1, *own).results}
    return record.model_copy(update={"trials": list(trials)})


@pytest.mark.parametrize(
    ("one", "fallen", "eight", "verdict"),
    [
        ((0.1,) * 4, 3, (0.9, 0.1, 0.1, 0.1), "reproduced"),
        ((0.1,) * 4, 0, (0.9, 0.1, 0.1, 0.1), "not decided"),  # nothing to bring back
        ((0.9, 0.1, 0.1, 0.1), 0, (0.9, 0.1, 0.1, 0.1), "not reproduced"),
    ],
)
def test_only_what_had_collapsed_is_brought_back(one, fallen, eight, verdict):
    record = multitask((0.9,) * 4, swept(1, *one, fallen=fallen), swept(8, *eight))
    row = verdicts({"multitask_scaling": record})["8 tokens bring some tasks back"]
    assert row.verdict == verdict
    assert row.why.startswith("nothing had collapsed with 1 token") == (not fallen)


@pytest.mark.parametrize(
    ("shares", "verdict"), [((0.8, 0.8, 0.5), "reproduced"), ((0.8, 0.7, 0.5), "not reproduced")]
)
def test_easier_tasks_are_held_against_what_the_study_calls_close(shares, verdict):
    record = multitask((0.9,) * 4, swept(32, *shares, 0.9))  # the harder one is not asked of
    claim = "With 32 tokens the easier tasks come close to their own adaptors"
    row = verdicts({"multitask_scaling": record})[claim]
    assert row.verdict == verdict and "of the 3 easier tasks" in row.here
    assert row.data == "3 of 4 tasks on stand-in data"


def test_a_harder_task_whose_own_adaptor_fails_as_well_is_named():
    record = multitask((0.9, 0.9, 0.9, 0.1), swept(32, 0.9, 0.9, 0.9, 0.1))
    title = "Multi-task sharing for harder tasks"
    mine = {name: found for name, _, found in report.levels({"multitask_scaling": record})}
    assert mine["does not"] == [f"{title} (their own adaptors fail as well: Sentence-level STT)"]
    record.single["open-concat"][-1].accuracy = score(0.5)
    assert report.levels({"multitask_scaling": record})[2][2] == [title]


def sentences(*known):
    """A record of section 2: so many known sentences, and the share of them that is right."""
    nothing = score(0.0, 0)
    return OpenVocabularyRecord(
        provenance=records.provenance(profiles.get("local"), "open-concat", "lm", {}, "raw", 60),
        n_train=9,
        n_test=5,
        results=[
            SpeechResult(
                name="one vector, 1 token", kind="set-up", items=5, exact=nothing, wer=nothing,
                cer=nothing, overlap=nothing, by_length=[],
            )
        ],
        recognition=[
            Recognition(
                sentences=n, n_train=3 * n, known=score(value), unseen=nothing, class_mean=nothing,
                bits=nothing, epochs=1, n_unseen=40,
            )
            for n, value in known
        ],
        probes=[],
        curve=[],
        nearest_training_wer=nothing,
        seconds=77,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("known", "verdict", "why"),
    [
        ([(10, 0.5), (169, 0.02)], "not reproduced", "up to 10 sentences"),
        ([(10, 0.9), (169, 0.7)], "reproduced", "up to 169 sentences"),
        ([(10, 0.9)], "not run", "the claim is of 169"),
        ([(169, 0.04)], "not reproduced", "not surely told apart"),
    ],
)
def test_clusters_are_recognised_as_far_as_known_sentences_surely_are(known, verdict, why):
    found = {"single_task": single(words=0.9), "librispeech_failure": sentences(*known)}
    row = next(r for r in report.claims(found) if "clusters" in r.claim)
    assert row.verdict == verdict and why in row.why
    assert all(f"of {n} sentences trained on" in row.here for n, _ in known)
    told = report.markdown(found)
    assert "Profile `study` for section 1; `local` for section 2." in told
    assert "| Section 2, its trainings alone | 77 | 0.00 |" in told


def test_where_the_class_mean_knows_them_the_conjecture_is_not_decided():
    record = sentences((10, 0.9), (169, 0.04))
    record.recognition[1].class_mean = score(0.8)
    row = next(r for r in report.claims({"librispeech_failure": record}) if "clusters" in r.claim)
    assert row.verdict == "not decided" and "tells of its short training" in row.why


def test_what_a_vector_lacks_is_told_only_beside_one_that_has_enough():
    record = sentences((10, 0.9))
    claim = "One vector does not hold enough for 1,000 open-vocabulary sentences"

    def row():
        return verdicts({"librispeech_failure": record})[claim]

    nothing = score(0.0, 0)
    for arm, value in (("audio", 0.8), ("length", 0.55)):
        record.probes.append(Probe(arm=arm, words=3, auc=score(value), by_word=[]))
    assert row().verdict == "not decided" and row().why.startswith("the vector holds words")
    update = {"name": "the sentence's own text vector, 1 token", "kind": "ceiling"}
    record.results.append(record.results[0].model_copy(update=update))
    assert row().verdict == "not decided" and "the adaptor gets 0.0% right too" in row().why
    record.results[-1].exact = score(0.6)
    assert row().verdict == "reproduced"
    record.results[0].exact = score(0.5)
    assert row().verdict == "not reproduced"
    record.probes[0].auc, record.results[0].exact, record.results[-1].exact = (
        score(0.56), nothing, nothing,
    )  # fmt: skip
    assert row().why.startswith("whether enough")


def test_sentences_trained_longer_count_as_well():
    record = sentences((10, 0.9), (169, 0.02))
    record.recognition.append(
        record.recognition[1].model_copy(update={"known": score(0.8), "epochs": 12, "longer": True})
    )
    rows = report.claims({"librispeech_failure": record})
    row = next(r for r in rows if "clusters" in r.claim)
    assert row.verdict == "reproduced"
    assert "80.0 (75.0–85.0)% of 169 sentences trained on, 12 times each" in row.here


@pytest.mark.parametrize(("nats", "verdict"), [(0.5, "reproduced"), (-0.5, "not reproduced")])
def test_answers_are_fluent_where_the_blind_model_expects_them_no_less_than_the_truth(
    nats, verdict
):
    record = sentences()
    record.results[0].fluency = score(nats)
    rows = report.claims({"librispeech_failure": record})
    row = next(r for r in rows if "fluent" in r.claim)
    assert row.verdict == verdict and f"{nats:.2f}".replace("-", "−") in row.here
    assert "the same model wrote them" in row.why


def test_every_claim_has_a_row_whatever_was_run():
    everything = {r.claim for r in report.claims({"single_task": single(clothing=0.8)})}
    assert everything == {r.claim for r in report.claims({"multitask_scaling": shared(0)})}
    assert len(everything) == 9 + 5 + 2 + 4


@pytest.mark.parametrize(("exact", "where"), [(0.0, "does not"), (0.5, "partially")])
def test_the_level_of_open_vocabulary_is_the_records(exact, where):
    found = {"librispeech_failure": sentences((10, 0.5))}
    found["librispeech_failure"].results[0].exact = score(exact, 0)
    assert [name for name, _, mine in report.levels(found) if mine] == [where]
    assert f"| {where} |" in report.markdown(found)


def test_the_studys_table_has_its_other_rows_and_the_terminal_has_the_whole():
    theirs = {name: titles for name, titles, _ in report.levels({"x": None})}
    assert "Cross-modal transfer" in theirs["partially"]
    assert "Multi-task sharing for harder tasks" in theirs["does not"]
    text = report.text({"single_task": single(clothing=0.9)})
    assert "Cross-modal transfer" in text and "0.50 $  Clothing" in text and "; enc)" in text


def test_answers_that_share_words_by_chance_alone_share_none():
    found = {"librispeech_failure": sentences((10, 0.5))}
    claim = "Open vocabulary: the answers share no words with what was said"
    setup = found["librispeech_failure"].results[0]
    assert verdicts(found)[claim].verdict == "not run"
    for gain, verdict in ((0.01, "reproduced"), (0.2, "not reproduced")):
        setup.overlap_gain = score(gain)
        assert verdicts(found)[claim].verdict == verdict


def test_the_ceiling_that_gets_none_right_either_stands_beside_the_zero():
    found = {"librispeech_failure": sentences((10, 0.5))}
    results = found["librispeech_failure"].results
    update = {"name": "the sentence's own text vector, 1 token", "kind": "ceiling"}
    results.append(results[0].model_copy(update=update))
    claim = "Open vocabulary: exact match 0 in four set-ups"
    assert "the text's own vector gets 0.0% too" in verdicts(found)[claim].why
    results[-1].exact = score(0.6)
    assert "own vector" not in verdicts(found)[claim].why


def test_the_files_say_the_same(tmp_path):
    found = {"single_task": single(clothing=0.8)}
    paths = {p.name: p for p in report.write(found, tmp_path)}
    rows = json.loads(paths["report.json"].read_text("utf-8"))
    assert rows["costs"] == [{"task": "Clothing classification", "seconds": 6.0, "dollars": 0.5}]
    with paths["report.csv"].open(encoding="utf-8", newline="") as file:
        assert [r["claim"] for r in csv.DictReader(file)] == [r["claim"] for r in rows["claims"]]
    text = paths["report.md"].read_text("utf-8")
    assert all(r["claim"] in text for r in rows["claims"])
    assert "does not publish its test sizes" in text


def test_comparison_names_what_made_the_runs_and_keeps_the_confirmation_apart():
    a, b = shared(0), shared(0)
    b.provenance.llm = "other"
    best = a.trials[0].model_copy(update={"group": "confirmation"})
    a.trials.append(best.model_copy(update={"results": [best.results[0]]}, deep=True))
    lines = report.compare({"multitask_scaling": a}, {"multitask_scaling": b})
    assert "section 4, llm: lm → other" in lines
    assert "shared (confirmation), 1 token, open-concat, words: only in the first" in lines
    assert lines[-1] == "4 unchanged"  # in the sweep and of their own adaptors


def test_two_runs_are_compared_score_by_score():
    a, b = single(clothing=0.5, words=0.8), single(clothing=0.9, digits=0.7)
    lines = report.compare({"single_task": a}, {"single_task": b})
    assert lines == [
        "clothing, leak-free, adaptor: 50.0 (45.0–55.0) → 90.0 (85.0–95.0) (+40.0 points, "
        "intervals apart)",
        "digits, leak-free, adaptor: only in the second",
        "words, leak-free, adaptor: only in the first",
        "0 unchanged",
        "Clothing classification works well with one virtual token: not reproduced → reproduced",
        "Digit classification works partially with one virtual token: not run → reproduced",
        "Word-level STT works well with one virtual token: reproduced → not run",
    ]


def test_what_nobody_measured_is_not_among_the_costs():
    record = single(clothing=0.8)
    record.results[0].seconds_embedding = None
    cost = report.costs({"single_task": record})[0]
    assert (cost.task, cost.seconds) == ("Clothing classification, without embedding", 5)


def test_every_score_of_the_published_run_has_its_own_name():
    names = [name for name, _ in report._scores(report.load())]
    assert len(names) == len(set(names)) > 100
    assert report.compare(report.load(), report.load()) == [f"{len(names)} unchanged"]


def test_the_published_transfer_has_what_needs_no_training_beside_it():
    row = verdicts(report.load())["An image adaptor understands sounds"]
    assert "binding needs no training" in row.why and "nearest name in the space" in row.why
    assert "AudioSet's class names" in row.why


def test_the_command_reads_published_records_profiles_and_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("GEMB_HOME", str(tmp_path / "home"))
    mine = tmp_path / "mine"
    records.write(single(clothing=0.9), mine / "single_task.local.json")
    runner = CliRunner()
    shown = runner.invoke(app, ["report", str(mine), "--out", str(tmp_path / "out")])
    assert shown.exit_code == 0 and "90.0 (85.0–95.0)%" in shown.output
    assert (tmp_path / "out" / "report.md").exists()
    assert "the study: 83.0%, Fashion-MNIST" in runner.invoke(app, ["report"]).output
    changed = runner.invoke(app, ["report", "--compare", "published", str(mine)])
    assert "→ 90.0 (85.0–95.0)" in changed.output
    with pytest.raises(UserError, match="no records of 'local'"):
        report.load("local")
