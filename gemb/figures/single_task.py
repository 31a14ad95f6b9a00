"""Section 1 in tables and sentences, from its record alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from gemb import tasks
from gemb.figures.shown import Shown, percent, table
from gemb.records import MethodResult, Score, SingleTaskRecord, TaskResult

BASELINES = (
    "majority",
    "k-NN",
    "nearest class mean",
    "logistic regression",
    "MLP head",
    "linear adaptor",
)


def _spread(score: Score) -> str:
    return "–" if score.seed_std is None else f"{100 * score.seed_std:.1f}"


def method_of(result: TaskResult, method: str) -> MethodResult | None:
    """The result of one method, ``None`` if it was not run."""
    try:
        return result.method(method)
    except KeyError:
        return None


def data_of(result: TaskResult) -> str:
    """The data a result is on, and that they are a stand-in where they are."""
    task = tasks.get(result.task, result.source)
    return f"stand-in: {task.stand_in}" if task.stand_in else task.paper_dataset


# Under every table whose titles are starred.
STARRED = "* stand-in data."
# A bootstrap cannot see beyond the items that it draws from.
ALL_RIGHT = (
    "Where all of n items are right, up to 3/n of others may be wrong, whatever is in brackets."
)
# What a result's ``source`` is called.
VECTORS = {"raw": "raw data", "released": "released vectors", "official": "the study's own data"}


def title_of(result: TaskResult) -> str:
    """The task's title, starred where its data are a stand-in."""
    task = tasks.get(result.task, result.source)
    return task.title + ("*" if task.stand_in else "")


def data_table(record: SingleTaskRecord, protocol: str = "leak-free") -> Shown:
    """What is run: data, sizes and prompt of each task."""
    rows = [
        {
            "task": title_of(result),
            "data here": data_of(result),
            "vectors from": VECTORS[result.source],
            "the study's data": tasks.get(result.task).paper_dataset,
            "prompt": tasks.get(result.task).prompt,
            "answers": len(result.classes),
            "training items": result.n_train,
            "test items": result.n_test,
            "test groups": result.groups,
        }
        for result in record.results
        if result.protocol == protocol
    ]
    return table(
        pd.DataFrame(rows),
        "single_task_data",
        f"What is run, {protocol} split, profile {record.provenance.profile}; of tasks "
        f"cross-validated over groups, training items are those of one fold. {STARRED}",
        aside=["the study's data"]
        + (["vectors from"] if len({r["vectors from"] for r in rows}) == 1 else []),
    )


def main_frame(
    record: SingleTaskRecord,
    published: SingleTaskRecord | None = None,
    protocol: str = "leak-free",
) -> pd.DataFrame:
    """One row a task: the adaptor beside its baselines, and the study's number, in per cent.

    With ``published`` a column shows the published run's accuracy beside this run's.
    """
    rows: list[dict[str, Any]] = []
    for result in record.results:
        if result.protocol != protocol:
            continue
        task, main = tasks.get(result.task), result.method("adaptor")
        row: dict[str, Any] = {
            "task": title_of(result),
            "adaptor": percent(main.accuracy),
            "macro": percent(main.macro_accuracy),
            "± seeds": _spread(main.accuracy),
            "the study, its data": f"{100 * task.paper_accuracy:.1f} ({task.paper_dataset})",
        }
        if published is not None and published.provenance.profile != record.provenance.profile:
            theirs = (
                published.of(task.name, protocol) if published.has(task.name, protocol) else None
            )
            row[f"published run ({published.provenance.profile})"] = (
                percent(theirs.method("adaptor").accuracy) if theirs else "–"
            )
        for method in BASELINES:
            found = method_of(result, method)
            row[method] = percent(found.accuracy, interval=False) if found else "–"
        row["outside the answers"] = f"{100 * (main.outside or 0):.1f}"
        rows.append(row)
    return pd.DataFrame(rows)


def main_table(
    record: SingleTaskRecord,
    published: SingleTaskRecord | None = None,
    protocol: str = "leak-free",
) -> Shown:
    """The section's main table."""
    return table(
        main_frame(record, published, protocol),
        f"single_task_{protocol}",
        f"Exact match in per cent with 95% intervals, {protocol} split, profile "
        f"{record.provenance.profile}. {STARRED} The study's numbers are on its own "
        f"data, encoder and language model.{_few_groups(record, protocol)}"
        + (
            " The linear adaptor is the adaptor without GELU, with the same learning rate, noise "
            "and epochs: they were not chosen for it, and what it lacks may be training and not "
            "the GELU."
            if any(method_of(r, "linear adaptor") for r in record.results)
            else ""
        ),
        aside=["± seeds"],
    )


# A percentile bootstrap over fewer groups than this gives intervals that are plainly too narrow.
FEW_GROUPS = 10


def _few_groups(record: SingleTaskRecord, protocol: str) -> str:
    few = [
        f"{tasks.get(r.task, r.source).title} {r.groups}"
        for r in record.results
        if r.protocol == protocol and r.groups < FEW_GROUPS
    ]
    return f" Intervals over few groups are too narrow ({', '.join(few)})." if few else ""


def _without_groups(record: SingleTaskRecord) -> str:
    """Which tasks have no leak-free split, for their data say nothing of groups."""
    none = [tasks.get(r.task).title for r in record.results
            if (r.protocol, r.split) == ("leak-free", "none")]  # fmt: skip
    return f" ({', '.join(none)}: none exists, a fixed random one)" if none else ""


def summary(record: SingleTaskRecord) -> str:
    """The results in a Markdown table of six columns, for README and first page."""
    lines = [
        "Exact match in per cent, with 95% interval; majority: always the most frequent answer.",
        "",
        "| task | data here | adaptor | logistic regression | majority | the study, its data |",
        "|---|---|---|---|---|---|",
    ]
    for result in record.results:
        if result.protocol != "leak-free":
            continue
        task = tasks.get(result.task)
        lines.append(
            "| "
            + " | ".join(
                [
                    task.title,
                    data_of(result),
                    percent(result.method("adaptor").accuracy),
                    percent(result.method("logistic regression").accuracy, False),
                    percent(result.method("majority").accuracy, False),
                    f"{100 * task.paper_accuracy:.1f} ({task.paper_dataset})",
                ]
            )
            + " |"
        )
    about = record.provenance
    lines += [
        "",
        "Logistic regression reads the same vectors without a language model. Stand-in data are "
        "not the study's: the last column is for orientation, not for comparison. "
        f"Leak-free split{_without_groups(record)}."
        f"{_few_groups(record, 'leak-free')} Profile `{about.profile}`, encoder "
        f"`{about.encoder}`, language model `{about.llm}`, {len(about.settings['seeds'])} seed(s), "
        f"{about.finished}.",
    ]
    return "\n".join(lines) + "\n"


def gap_table(record: SingleTaskRecord) -> Shown:
    """What reading the vector through a language model costs, and what the cost is made of."""
    rows = []
    for result in record.results:
        regression = method_of(result, "logistic regression")
        if result.protocol != "leak-free" or regression is None or regression.difference is None:
            continue
        head, longer = method_of(result, "MLP head"), method_of(result, LONGER)
        rows.append(
            {
                "task": title_of(result),
                "adaptor − logistic regression": percent(regression.difference),
                "loss at most 3 points, or more than 6 excluded": "yes"
                if small_gap(result)
                else "no",
                "adaptor − MLP head": percent(head.difference) if head else "–",
                "training loss, last epoch": f"{loss_of(result):.2f}",
                "validation, the last epoch but one to the last": " to ".join(
                    "–" if v is None else f"{100 * v:.1f}" for v in last_epochs(result)
                ),
                "adaptor − trained twice as long": percent(longer.difference) if longer else "–",
                "vote of its seeds − logistic regression": (
                    percent(result.voted.over_regression) if result.voted else "–"
                ),
            }
        )
    return table(
        pd.DataFrame(rows),
        "single_task_gap",
        "Does the detour through a language model cost accuracy? Paired differences on the same "
        "vectors, in points with 95% interval. The MLP head, scikit-learn's, has one hidden layer "
        "like the adaptor's and no language model: what both lose against logistic regression is "
        "lost to overfitting. Where the validation accuracy (per cent, mean of all trainings) "
        "still rises in the last epoch, the adaptor had too few steps; where it does not, more "
        "epochs may still help, for the learning rate falls to nothing by then: what twice as many "
        "give, with a learning rate that falls half as fast, is of one seed. The vote is what most "
        "of the seeds' adaptors answer, of equally many the surest: what it gains is lost to the "
        "scatter of single trainings. The baselines' "
        f"penalties are chosen for each task on validation items, {_noise_chosen(record)} "
        + STARRED,
    )


def _noise_chosen(record: SingleTaskRecord) -> str:
    chosen = record.provenance.settings.get("noise_by_task")
    if not chosen:
        return "the adaptor's noise is not."
    return f"and so is the adaptor's noise for {', '.join(tasks.get(t).title for t in chosen)}."


def small_gap(result: TaskResult) -> bool | None:
    """Whether the adaptor is at most 3 points behind logistic regression, or surely not 6.

    ``None`` if logistic regression was not run.
    """
    regression = method_of(result, "logistic regression")
    if regression is None or regression.difference is None:
        return None
    return regression.difference.value >= -0.03 or regression.difference.low >= -0.06


def trainings_of(result: TaskResult) -> list[list[dict[str, Any]]]:
    """The epochs of each training, in order."""
    by_run: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for epoch in result.history:
        by_run.setdefault((epoch["number"], epoch["seed"]), []).append(epoch)
    return [sorted(run, key=lambda e: e["epoch"]) for run in by_run.values()]


def loss_of(result: TaskResult) -> float:
    """Mean training loss of each training's last epoch."""
    return float(np.mean([run[-1]["train_loss"] for run in trainings_of(result)]))


def last_epochs(result: TaskResult) -> tuple[float | None, float]:
    """Mean validation accuracy of the last epoch but one, where there is one, and of the last."""
    runs = trainings_of(result)
    before = [run[-2]["val_accuracy"] for run in runs if len(run) > 1]
    last = float(np.mean([run[-1]["val_accuracy"] for run in runs]))
    return float(np.mean(before)) if before else None, last


def splits_table(record: SingleTaskRecord) -> Shown:
    """The study's random fifth beside the leak-free split."""
    rows = []
    for task in dict.fromkeys(r.task for r in record.results):
        if not (record.has(task) and record.has(task, "random")):
            continue
        fixed, drawn = record.of(task), record.of(task, "random")
        group = tasks.get(task, fixed.source).grouped_by
        rows.append(
            {
                "task": title_of(fixed),
                "leak-free means": "none exists: a random split, fixed"
                if fixed.split == "none"
                else {
                    "official": "the official test set",
                    "holdout": f"unseen {group}",
                    "folds": f"folds over {group}s",
                }[fixed.split],
                "leak-free": percent(fixed.method("adaptor").accuracy),
                "random fifth": percent(drawn.method("adaptor").accuracy),
                "± seeds": _spread(drawn.method("adaptor").accuracy),
                "logistic regression, leak-free": percent(
                    fixed.method("logistic regression").accuracy, False
                ),
                "logistic regression, random fifth": percent(
                    drawn.method("logistic regression").accuracy, False
                ),
            }
        )
    return table(
        pd.DataFrame(rows),
        "single_task_splits",
        "The leak-free split beside a random fifth, per cent. Items tested are not the same, and "
        "where items of another kind are trained on too (synthetic voices beside people's, in "
        "gender) they are a third of the leak-free training items and none of the random ones, so "
        "that not all of a difference is leakage"
        + (
            "; the random fifth is one draw. "
            if record.provenance.settings.get("random_splits") == 1
            else ". "
        )
        + STARRED,
    )


def others_table(record: SingleTaskRecord) -> Shown:
    """Baselines that do not look at the vector at all, and ceilings."""
    known = {"adaptor", *BASELINES, *ABLATIONS, LONGER}
    rows = [
        {
            "task": title_of(r),
            "method": m.method,
            "items": str(m.items) if m.items else "–",
            "exact match": percent(m.accuracy),
            "macro": percent(m.macro_accuracy),
            "adaptor − this": percent(m.difference),
        }
        for r in record.results
        if r.protocol == "leak-free"
        for m in r.methods
        if m.method not in known
    ]
    return table(
        pd.DataFrame(rows),
        "single_task_others",
        "Methods that see something else than the vector, in per cent. The OCR, which is slow, "
        f"reads some of the items. {ALL_RIGHT} {STARRED}",
    )


def subsets_table(record: SingleTaskRecord) -> Shown:
    """Items reported apart from the headline, and measures beyond exact match."""
    rows = []
    for result in record.results:
        if result.protocol != "leak-free":
            continue
        for where, items, methods, extra in [
            ("main", result.n_test, result.methods, result.extra),
            *((s.subset, s.items, s.methods, s.extra) for s in result.subsets),
        ]:
            if where == "main" and not extra and not result.subsets:
                continue
            by_name = {m.method: m for m in methods}
            rows.append(
                {
                    "task": title_of(result),
                    "items": where,
                    "count": items,
                    "adaptor": percent(by_name["adaptor"].accuracy),
                    "macro": percent(by_name["adaptor"].macro_accuracy),
                    "logistic regression": percent(by_name["logistic regression"].accuracy),
                    "also": "; ".join(f"{k} {100 * v:.1f}" for k, v in extra.items()) or "–",
                }
            )
    return table(
        pd.DataFrame(rows),
        "single_task_subsets",
        "Items reported apart, exact match in per cent with 95% intervals; other measures "
        f"in per cent. {ALL_RIGHT} {STARRED}",
    )


def controls_table(record: SingleTaskRecord) -> Shown:
    """The controls: what is left when the vector says nothing, beside the adaptor and chance."""
    rows = []
    for result in record.results:
        if not result.controls:
            continue
        for found in [result.method("adaptor"), *result.controls]:
            majority = result.method("majority").accuracy.value
            chance = 1 / len(result.classes)
            rows.append(
                {
                    "task": title_of(result),
                    "what the adaptor sees": "its vectors"
                    if found.method == "adaptor"
                    else found.method,
                    "exact match": percent(found.accuracy),
                    "± over trainings": _spread(found.accuracy),
                    "macro": percent(found.macro_accuracy),
                    "majority": f"{100 * majority:.1f}",
                    "1/classes": f"{100 * chance:.1f}",
                    "outside the answers": f"{100 * (found.outside or 0):.1f}",
                }
            )
    return table(
        pd.DataFrame(rows),
        "single_task_controls",
        "Controls in per cent: without the right vector nothing should be left but chance. "
        f"{_how_controlled(record)} Intervals are over test items alone: with shuffled labels a "
        "whole class may fall to its own answer by luck, which moves one shuffle of a task of n "
        "answers by 1/n. "
        "Answers outside the set take a control below chance, and mismatched vectors, always those "
        f"of another answer, take a good adaptor far below it.{_below(record)} " + STARRED,
    )


def _below(record: SingleTaskRecord) -> str:
    """The trained controls that are surely below the majority: they learnt not even the labels."""
    found = [
        f"{tasks.get(r.task).title}, {c.method}"
        for r in record.results
        for c in r.controls
        if c.method in ("shuffled labels", "random vectors", "constant vector")
        and c.accuracy.high < r.method("majority").accuracy.value
    ]
    return (
        f" Not at chance but surely below it: {'; '.join(found)}. They were trained too little to "
        "give a label always, and are no proof that nothing is left."
        if found
        else ""
    )


def _how_controlled(record: SingleTaskRecord) -> str:
    most = record.provenance.settings.get("control_train")
    few = f" on at most {most} items" if most else ""
    shuffles = record.provenance.settings.get("shuffles", 1)
    shuffled = "Shuffled labels" if shuffles == 1 else f"Labels shuffled {shuffles} times"
    return (
        f"{shuffled}, random and constant vectors are one training each{few}; mismatched "
        "vectors are asked of the adaptor's own trainings, and the blind prompt of none."
    )


LONGER = "longer-trained adaptor"
ABLATIONS = {
    "adaptor": "as everywhere: warm start, then training",
    "linear adaptor": "the same without GELU: one linear map",
    "cold-started adaptor": "trained from random weights, no warm start",
    "untrained adaptor": "the warm start alone: a ridge regression, no gradient step",
}


def ablations_table(record: SingleTaskRecord) -> Shown:
    """What is left of the adaptor without its warm start, and without its training."""
    rows = []
    for result in record.results:
        if result.protocol != "leak-free" or method_of(result, "untrained adaptor") is None:
            continue
        for method, words in ABLATIONS.items():
            found = method_of(result, method)
            if found is not None:
                rows.append(
                    {
                        "task": title_of(result),
                        "adaptor": words,
                        "exact match": percent(found.accuracy),
                        "full adaptor − this": percent(found.difference),
                    }
                )
    return table(
        pd.DataFrame(rows),
        "single_task_ablations",
        "What the last layer's closed-form start and what the training through the language "
        f"model contribute, per cent; the full adaptor's row is the mean over its seeds, "
        f"the others are of one seed. {STARRED}",
    )


def cost_table(record: SingleTaskRecord) -> Shown:
    """Seconds and price of each task."""
    rows = [
        {
            "task": title_of(r),
            "embedding, s": "not measured"
            if r.seconds_embedding is None
            else f"{r.seconds_embedding:.0f}",
            "one training, s": f"{r.seconds_training:.0f}",
            "items a second": f"{r.items_per_second:.0f}",
            "answering, s": f"{r.seconds_answering:.1f}",
            "price, $": "not known" if r.price_usd is None else f"{r.price_usd:.2f}",
            "answers that differ, batched or alone": "–"
            if r.batch_disagreement is None
            else f"{r.batch_disagreement:.0%}",
        }
        for r in record.results
        if r.protocol == "leak-free"
    ]
    return table(
        pd.DataFrame(rows),
        "single_task_cost",
        "What a task takes here. Embedding is from raw media, by the seconds an item that it took "
        "when the vectors were made; 0 where they are released ones. Training and answering are "
        "means over folds and seeds; several adaptors are trained side by side, and a training's "
        "seconds are its share. The price is that of embedding, by the list and the tokens "
        "estimated of the media; an encoder that runs here costs nothing. Last column: of the "
        f"first {record.provenance.settings.get('answered_alone', 16)} test items; in float32 it "
        "is 0, in bfloat16 products are rounded differently in batches of different sizes. "
        + STARRED,
    )
