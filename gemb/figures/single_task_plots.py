"""Section 1 in plots and samples, from its record alone."""

from __future__ import annotations

import html
from collections.abc import Sequence

import matplotlib
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from gemb import tasks
from gemb.data import released
from gemb.figures.shown import (
    ADAPTOR,
    GREY,
    LINEAR,
    PALETTE,
    STUDY,
    STYLE,
    Shown,
    medium,
    percent,
    picture,
)
from gemb.figures.single_task import method_of, title_of
from gemb.metrics import exact_match
from gemb.records import SingleTaskRecord, TaskResult


def accuracy_chart(record: SingleTaskRecord) -> Shown:
    """Bars with intervals for each task; logistic regression, majority and the study as marks."""
    results = [r for r in record.results if r.protocol == "leak-free"]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(8, 0.62 * len(results) + 1.4))
        axes = figure.subplots()
        for y, result in enumerate(results):
            main = result.method("adaptor").accuracy
            axes.barh(y, main.value, color=ADAPTOR, height=0.55, zorder=1)
            axes.plot([main.low, main.high], [y, y], color="black", lw=1.6, zorder=3)
            for method, colour, marker in (
                ("logistic regression", LINEAR, "o"),
                ("majority", GREY, "|"),
            ):
                found = method_of(result, method)
                if found:
                    axes.plot(
                        found.accuracy.value,
                        y,
                        marker,
                        color=colour,
                        ms=9,
                        mew=2,
                        mec="black" if marker == "o" else colour,
                        zorder=4,
                        label=method if y == 0 else None,
                    )
            axes.plot(
                tasks.get(result.task).paper_accuracy,
                y,
                "D",
                mfc="white",
                mec=STUDY,
                mew=2,
                ms=8,
                zorder=4,
                label="the study, its own data" if y == 0 else None,
            )
        axes.set_yticks(range(len(results)), [title_of(r) for r in results])
        axes.invert_yaxis()
        axes.set_xlim(0, 1.02)
        axes.xaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1))
        axes.set_xlabel(
            f"exact match, leak-free split, profile {record.provenance.profile}   (* stand-in data)"
        )
        axes.barh([-10], [0], color=ADAPTOR, label="adaptor, 95% interval")
        axes.set_ylim(len(results) - 0.4, -0.6)
        handles, labels = axes.get_legend_handles_labels()
        axes.legend(
            handles[::-1],
            labels[::-1],
            loc="upper center",
            ncols=2,
            bbox_to_anchor=(0.4, 1 + 1.0 / (0.62 * len(results) + 0.4)),
        )
    said = "; ".join(
        f"{tasks.get(r.task).title} {percent(r.method('adaptor').accuracy, False)}%"
        for r in results
    )
    return picture(figure, f"Bar chart of exact match of the adaptor by task: {said}.")


def curves(record: SingleTaskRecord) -> Shown:
    """Learning curves over training items, and over epochs."""
    sized = [r for r in record.results if r.curve]
    fixed = [r for r in record.results if r.protocol == "leak-free"]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9, 3.6), layout="constrained")
        left, right = figure.subplots(1, 2)
        for colour, result in zip(PALETTE, sized, strict=False):
            n = [p["n_train"] for p in result.curve]
            mean = [float(np.mean(p["adaptor"])) for p in result.curve]
            title = title_of(result)
            left.plot(n, mean, "o-", color=colour, label=f"{title}, adaptor")
            for p in result.curve:
                left.plot([p["n_train"]] * len(p["adaptor"]), p["adaptor"], ".", color=colour, ms=4)
            left.plot(
                n,
                [p["logistic regression"] for p in result.curve],
                "s--",
                color=colour,
                mfc="none",
                label=f"{title}, logistic regression",
            )
        left.set(xlabel="training items", ylabel="exact match, test items", ylim=(0, 1.02))
        if sized:
            left.legend(fontsize=8)
        for colour, result in zip(PALETTE, fixed, strict=False):
            by_epoch: dict[int, list[float]] = {}
            for h in result.history:
                by_epoch.setdefault(h["epoch"], []).append(h["val_accuracy"])
            right.plot(
                list(by_epoch),
                [float(np.mean(v)) for v in by_epoch.values()],
                ".-",
                color=colour,
                label=title_of(result),
            )
        right.set(
            xlabel="epoch   (* stand-in data)",
            ylabel="exact match, validation items",
            ylim=(0, 1.02),
        )
        right.legend(fontsize=7, ncols=2)
        for axes in (left, right):
            axes.yaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1))
    return picture(
        figure,
        "Left: exact match on test items against the number of training items, "
        "adaptor and logistic regression. Right: exact match on validation items "
        "against epochs, by task.",
    )


def worst(record: SingleTaskRecord, count: int = 2) -> list[TaskResult]:
    """The tasks of few answers on which the adaptor is furthest from perfect."""
    small = [r for r in record.results if r.protocol == "leak-free" and r.confusion]
    return sorted(small, key=lambda r: r.method("adaptor").accuracy.value)[:count]


def confusions(results: Sequence[TaskResult]) -> Shown:
    """A confusion matrix for each result: rows are true answers and sum to 1."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(5.2 * len(results), 4.8), layout="constrained")
        for axes, result in zip(
            np.atleast_1d(figure.subplots(1, len(results))), results, strict=True
        ):
            frame = pd.DataFrame(result.confusion).T.fillna(0.0)
            columns = [c for c in result.classes if c in result.confusion]
            others = [c for c in result.classes if c not in columns]
            frame = frame.reindex(index=columns, fill_value=0.0)
            frame = frame.reindex(columns=[*columns, *others, "(other)"], fill_value=0.0)
            if not frame["(other)"].any():
                frame = frame.drop(columns="(other)")
            sns.heatmap(
                100 * frame,
                ax=axes,
                cmap="Blues",
                vmin=0,
                vmax=100,
                annot=True,
                fmt=".0f",
                annot_kws={"size": 9},
                cbar=False,
                square=True,
            )
            axes.set(xlabel="answer given", ylabel="true answer", title=f"{title_of(result)}, %")
    names = " and ".join(title_of(r) for r in results)
    return picture(
        figure,
        f"Confusion matrices in per cent for {names} (* stand-in data): rows are true answers, "
        "columns the answers given.",
    )


def gallery(record: SingleTaskRecord, task: str, count: int = 6) -> Shown:
    """Committed samples of one task to look at or listen to, with the answers given."""
    files = released.samples()
    cells: list[str] = []
    lines: list[str] = []
    if record.has(task):
        for example in record.of(task).examples:
            path = files.get(example.item_id)
            if path is None or len(cells) == count:
                continue
            shown = medium(path, f"sample of {example.answer}")
            right = "✓" if exact_match(example.given, example.answer) else "✗"
            near = ", ".join(f"{n['answer']} {n['cosine']:.2f}" for n in example.neighbours)
            given, answer = html.escape(example.given), html.escape(example.answer)
            cells.append(
                '<div style="display:inline-block;vertical-align:top;margin:0.4em;'
                f'max-width:190px;font-size:0.85em">{shown}<br>answer: <b>{given}</b> {right}<br>'
                f"truth: {answer}<br>confidence: {np.exp(example.logprob):.2f}<br>"
                f"nearest: {html.escape(near)}</div>"
            )
            lines.append(f"{answer}: {given} {right}")
    if not cells:
        return Shown(
            "<p>No committed sample of this task is among the test items of this profile.</p>",
            "no sample",
        )
    return Shown(f"<div>{''.join(cells)}</div>", "\n".join(lines))
