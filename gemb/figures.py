"""Tables and plots, drawn from records alone."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from gemb import records, tasks
from gemb.data import released
from gemb.records import MethodResult, Score, SingleTaskRecord, TaskResult

# Okabe and Ito's palette as seaborn has it: told apart by the colour-blind.
PALETTE = sns.color_palette("colorblind")
ADAPTOR, LINEAR, STUDY, GREY = PALETTE[0], PALETTE[1], PALETTE[2], "0.45"
BASELINES = (
    "majority",
    "k-NN",
    "nearest class mean",
    "logistic regression",
    "MLP head",
    "linear adaptor",
)

STYLE: Any = {
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "legend.frameon": False,
    "svg.hashsalt": "gemb",
}


class Shown:
    """Something a notebook shows as HTML, and a terminal as text; a figure also has its PNG."""

    def __init__(self, markup: str, text: str, png: bytes = b""):
        self.markup, self.text, self.png = markup, text, png

    def save(self, path: Path) -> None:
        """Write a figure's PNG."""
        path.write_bytes(self.png)

    def _repr_html_(self) -> str:
        return self.markup

    def __repr__(self) -> str:
        return self.text


def picture(figure: Figure, alt: str) -> Shown:
    """A figure as a PNG on white, with the alternative text that a reader without sight hears."""
    buffer = io.BytesIO()
    # no creation date and no version, so that the same figure has the same bytes
    figure.savefig(buffer, format="png", dpi=130, bbox_inches="tight", metadata={"Software": None})
    data = base64.b64encode(buffer.getvalue()).decode()
    return Shown(
        f'<img alt="{html.escape(alt)}" style="max-width:100%;height:auto" '
        f'src="data:image/png;base64,{data}">',
        f"[figure: {alt}]",
        buffer.getvalue(),
    )


def table(frame: pd.DataFrame, name: str, caption: str) -> Shown:
    """A table that scrolls sideways on a narrow screen, with its CSV to download below."""
    if frame.empty:
        return Shown(
            f"<p>{html.escape(caption)}</p><p>Nothing of this under this profile.</p>",
            f"{caption}\nNothing of this under this profile.",
        )
    csv = base64.b64encode(frame.to_csv(index=False).encode()).decode()
    body = frame.to_html(index=False, border=0, na_rep="–", justify="left")
    return Shown(
        f'<div style="overflow-x:auto"><p>{html.escape(caption)}</p>{body}</div>'
        f'<p><a download="{name}.csv" href="data:text/csv;base64,{csv}">{name}.csv</a></p>',
        f"{caption}\n{frame.to_string(index=False)}",
    )


def percent(score: Score | None, interval: bool = True) -> str:
    """A score as per cent with its interval, such as ``85.2 (82.0–88.1)``."""
    if score is None:
        return "–"
    value, low, high = (
        f"{100 * x:.1f}".replace("-", "−") for x in (score.value, score.low, score.high)
    )
    # a dash between negative numbers cannot be read
    between = "–" if score.low >= 0 else " to "
    return f"{value} ({low}{between}{high})" if interval else value


def _spread(score: Score) -> str:
    return "–" if score.seed_std is None else f"{100 * score.seed_std:.1f}"


def _try(result: TaskResult, method: str) -> MethodResult | None:
    try:
        return result.method(method)
    except KeyError:
        return None


def data_of(result: TaskResult) -> str:
    """The data a result is on, and that they are a stand-in where they are."""
    task = tasks.get(result.task)
    return f"stand-in: {task.stand_in}" if task.stand_in else task.paper_dataset


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
            "task": task.title,
            "data here": data_of(result),
            "train/test": f"{result.n_train}/{result.n_test}",
            "classes": len(result.classes),
            "adaptor, exact match": percent(main.accuracy),
            "macro": percent(main.macro_accuracy),
            "± seeds": _spread(main.accuracy),
        }
        if published is not None and published.provenance.profile != record.provenance.profile:
            theirs = (
                published.of(task.name, protocol) if published.has(task.name, protocol) else None
            )
            row[f"published run ({published.provenance.profile})"] = (
                percent(theirs.method("adaptor").accuracy) if theirs else "–"
            )
        for method in BASELINES:
            found = _try(result, method)
            row[method] = percent(found.accuracy, interval=False) if found else "–"
        regression = _try(result, "logistic regression")
        row["adaptor − logistic regression"] = percent(regression.difference) if regression else "–"
        row["outside the answers"] = f"{100 * (main.outside or 0):.1f}"
        row["the study's own, on its data"] = (
            f"{100 * task.paper_accuracy:.1f} ({task.paper_dataset})"
        )
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
        f"{record.provenance.profile}. The last column is the study's, on its own data, encoder "
        "and language model.",
    )


def summary(record: SingleTaskRecord) -> str:
    """The results in a Markdown table of five columns, for README and first page."""
    lines = [
        "| task | data of this run | adaptor, exact match % (95% interval) | logistic regression "
        "on the same vectors | majority | the study's number, on its own data |",
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
        f"Leak-free split, profile `{about.profile}`, encoder `{about.encoder}`, language "
        f"model `{about.llm}`, {len(about.settings['seeds'])} seed(s), {about.finished}. "
        "Stand-in data are not the study's: the last column is for orientation, not for "
        "comparison.",
    ]
    return "\n".join(lines) + "\n"


def cost_table(record: SingleTaskRecord) -> Shown:
    """Seconds and price of each task."""
    rows = [
        {
            "task": tasks.get(r.task).title,
            "embedding, s": f"{r.seconds_embedding:.0f}",
            "one training, s": f"{r.seconds_training:.0f}",
            "items a second": f"{r.items_per_second:.0f}",
            "answering, s": f"{r.seconds_answering:.1f}",
            "price, $": f"{r.price_usd:.2f}",
        }
        for r in record.results
        if r.protocol == "leak-free"
    ]
    return table(
        pd.DataFrame(rows),
        "single_task_cost",
        "What a task takes here. Embedding counts only what this run computed; vectors already "
        "stored take no time. The open encoder costs nothing a call.",
    )


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
                found = _try(result, method)
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
                mfc="none",
                mec=STUDY,
                mew=2,
                ms=8,
                zorder=4,
                label="the study, its own data" if y == 0 else None,
            )
        axes.set_yticks(
            range(len(results)),
            [
                tasks.get(r.task).title + ("" if tasks.get(r.task).stand_in == "" else "*")
                for r in results
            ],
        )
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
                    "task": tasks.get(result.task).title,
                    "what the adaptor sees": "its vectors"
                    if found.method == "adaptor"
                    else found.method,
                    "exact match": percent(found.accuracy),
                    "macro": percent(found.macro_accuracy),
                    "majority": f"{100 * majority:.1f}",
                    "1/classes": f"{100 * chance:.1f}",
                    "outside the answers": f"{100 * (found.outside or 0):.1f}",
                }
            )
    return table(
        pd.DataFrame(rows),
        "single_task_controls",
        "Controls in per cent: without the right vector nothing should be left but chance.",
    )


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
            title = tasks.get(result.task).title
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
                label=tasks.get(result.task).title,
            )
        right.set(xlabel="epoch", ylabel="exact match, validation items", ylim=(0, 1.02))
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
                cmap="cividis",
                vmin=0,
                vmax=100,
                annot=True,
                fmt=".0f",
                annot_kws={"size": 7},
                cbar=False,
                square=True,
            )
            axes.set(
                xlabel="answer given", ylabel="true answer", title=tasks.get(result.task).title
            )
    names = " and ".join(tasks.get(r.task).title for r in results)
    return picture(
        figure,
        f"Confusion matrices in per cent for {names}: rows are true answers, "
        "columns the answers given.",
    )


def subsets_table(record: SingleTaskRecord) -> Shown:
    """Items reported apart from the headline, and measures beyond exact match."""
    rows = []
    for result in record.results:
        if result.protocol != "leak-free":
            continue
        title = tasks.get(result.task).title
        for where, items, methods, extra in [
            ("main", result.n_test, result.methods, result.extra),
            *((s.subset, s.items, s.methods, s.extra) for s in result.subsets),
        ]:
            if where == "main" and not extra and not result.subsets:
                continue
            by_name = {m.method: m for m in methods}
            rows.append(
                {
                    "task": title,
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
        "in per cent.",
    )


def others_table(record: SingleTaskRecord) -> Shown:
    """Baselines that do not look at the vector at all, and ceilings."""
    known = {"adaptor", *BASELINES}
    rows = [
        {
            "task": tasks.get(r.task).title,
            "method": m.method,
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
        "Methods that see something else than the vector, in per cent.",
    )


def splits_table(record: SingleTaskRecord) -> Shown:
    """The study's random fifth beside the leak-free split."""
    rows = []
    for task in dict.fromkeys(r.task for r in record.results):
        if not (record.has(task) and record.has(task, "random")):
            continue
        fixed, drawn = record.of(task), record.of(task, "random")
        rows.append(
            {
                "task": tasks.get(task).title,
                "leak-free means": "none exists: a random split, fixed"
                if fixed.split == "none"
                else {
                    "official": "the official test set",
                    "holdout": f"unseen {tasks.get(task).grouped_by}",
                    "folds": f"folds over {tasks.get(task).grouped_by}s",
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
        "How much of the score is leakage: the same items under both splits, per cent.",
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
            data = base64.b64encode(path.read_bytes()).decode()
            kind = {
                "png": "image/png",
                "jpg": "image/jpeg",
                "mp3": "audio/mpeg",
                "ogg": "audio/ogg",
            }[path.suffix[1:]]
            medium = (
                f'<img alt="sample of {html.escape(example.answer)}" width="112" '
                f'src="data:{kind};base64,{data}">'
                if kind.startswith("image")
                else f'<audio controls style="width:180px" src="data:{kind};base64,{data}"></audio>'
            )
            right = "✓" if records_match(example) else "✗"
            near = ", ".join(f"{n['answer']} {n['cosine']:.2f}" for n in example.neighbours)
            given, answer = html.escape(example.given), html.escape(example.answer)
            cells.append(
                '<div style="display:inline-block;vertical-align:top;margin:0.4em;'
                f'max-width:190px;font-size:0.85em">{medium}<br>answer: <b>{given}</b> {right}<br>'
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


def records_match(example: records.Example) -> bool:
    """Whether an example's answer is exactly right."""
    from gemb.metrics import exact_match

    return exact_match(example.given, example.answer)


def examples_table(record: SingleTaskRecord, task: str, count: int = 8) -> Shown:
    """Test items of one task with answers, confidence and nearest training items, as a table."""
    rows = [
        {
            "item": e.item_id,
            "truth": e.answer,
            "answer": e.given,
            "right": "yes" if records_match(e) else "no",
            "confidence": f"{np.exp(e.logprob):.2f}",
            "nearest training items": ", ".join(
                f"{n['answer']} ({n['cosine']:.2f})" for n in e.neighbours
            ),
        }
        for e in record.of(task).examples[:count]
    ]
    return table(
        pd.DataFrame(rows),
        f"examples_{task}",
        f"{tasks.get(task).title}: some test items. Confidence is exp of the mean "
        "log-probability of the answer's tokens.",
    )


def gap_statement(record: SingleTaskRecord) -> Shown:
    """Whether reading the vector through a language model loses anything against a plain head."""
    rows = []
    for result in record.results:
        if result.protocol != "leak-free":
            continue
        regression = _try(result, "logistic regression")
        if regression is None or regression.difference is None:
            continue
        gap = regression.difference
        rows.append(
            {
                "task": tasks.get(result.task).title,
                "adaptor − logistic regression": percent(gap),
                "gap at most 3 points": "yes" if gap.value >= -0.03 else "no",
                "a gap of more than 6 points excluded": "yes" if gap.low >= -0.06 else "no",
            }
        )
    return table(
        pd.DataFrame(rows),
        "single_task_gap",
        "Does the detour through a language model cost accuracy? Adaptor minus logistic "
        "regression on the same vectors, paired, in points with 95% interval.",
    )


def provenance_table(record: SingleTaskRecord) -> Shown:
    """What made the record."""
    about = record.provenance
    rows = [
        ("profile", about.profile),
        ("encoder", about.encoder),
        ("language model", about.llm),
        ("vectors from", about.source),
        ("machine", about.machine),
        ("finished", about.finished),
        ("minutes, with what was reused", f"{about.seconds / 60:.1f}"),
        ("seeds", ", ".join(map(str, about.settings["seeds"]))),
        ("adaptor", ", ".join(f"{k} {v}" for k, v in about.settings["training"].items())),
        ("packages", ", ".join(f"{k} {v}" for k, v in about.packages.items())),
        ("manifests", ", ".join(f"{k} {v[:8]}" for k, v in about.manifests.items())),
    ]
    return table(
        pd.DataFrame(rows, columns=["what", "value"]),
        "single_task_provenance",
        "What made these numbers.",
    )


def findings(record: SingleTaskRecord) -> Shown:
    """What the record says, in sentences whose every number is taken from it."""
    fixed = [r for r in record.results if r.protocol == "leak-free"]
    said: list[str] = []
    close: list[str] = []
    behind: list[str] = []
    for result in fixed:
        found = _try(result, "logistic regression")
        if found is not None and found.difference is not None:
            gap, title = found.difference, tasks.get(result.task).title
            inside = gap.value >= -0.03 or gap.low >= -0.06
            (close if inside else behind).append(f"{title} ({percent(gap, False)} points)")
    if close:
        said.append(
            f"On {len(close)} of {len(fixed)} tasks the detour through the language model costs "
            "at most 3 points against logistic regression on the same vectors, or a loss of more "
            f"than 6 is excluded: {'; '.join(close)}."
        )
    if behind:
        said.append(
            f"On {len(behind)} it costs more: {'; '.join(behind)}. The learning curves below say "
            "whether training items are what is missing; the vectors hold more than the adaptor "
            "found in them."
        )
    by_task = {r.task: r for r in fixed}
    if "scene-text" in by_task and (ocr := _try(by_task["scene-text"], "packaged OCR")):
        result = by_task["scene-text"]
        said.append(
            "The rendered words are readable: a packaged OCR reads "
            f"{percent(ocr.accuracy, False)}% "
            f"of them. The vector of an image classifier hardly says which word it is: adaptor "
            f"{percent(result.method('adaptor').accuracy, False)}%, logistic regression "
            f"{percent(result.method('logistic regression').accuracy, False)}%."
        )
    if "gender" in by_task and (pitch := _try(by_task["gender"], "pitch only")):
        said.append(
            "Gender of a voice on unseen speakers: adaptor "
            f"{percent(by_task['gender'].method('adaptor').accuracy)}%, the pitch alone "
            f"{percent(pitch.accuracy)}%. For speakers whose gender is inferred from pitch, the "
            "pitch has an advantage."
        )
    if "emotion" in by_task and (phrase := _try(by_task["emotion"], "phrase only")):
        result = by_task["emotion"]
        said.append(
            f"Emotion: adaptor {percent(result.method('adaptor').macro_accuracy)}% macro, where "
            f"chance is {100 / len(result.classes):.1f}%. Knowing which event was spoken gives "
            f"{percent(phrase.accuracy, False)}%, for the labels are made from the events: what is "
            "recognised may be the phrase and not the emotion."
        )
    controls = [(r, c) for r in fixed for c in r.controls]
    if controls:
        result, top = max(controls, key=lambda rc: rc[1].accuracy.value)
        said.append(
            f"Of all controls the highest is {percent(top.accuracy)}% ({top.method}, "
            f"{tasks.get(result.task).title}), where always giving the most frequent answer gets "
            f"{percent(result.method('majority').accuracy, False)}%."
        )
    leaks = [
        (r, record.of(r.task, "random"))
        for r in fixed
        if r.split != "none" and record.has(r.task, "random")
    ]
    if leaks:
        result, drawn = max(
            leaks,
            key=lambda p: (
                p[1].method("adaptor").accuracy.value - p[0].method("adaptor").accuracy.value
            ),
        )
        said.append(
            "The random fifth flatters most where groups are many items of one source: "
            f"{tasks.get(result.task).title} gets "
            f"{percent(drawn.method('adaptor').accuracy, False)}% on it, and "
            f"{percent(result.method('adaptor').accuracy, False)}% when groups are kept apart."
        )
    return Shown(
        "<ul>" + "".join(f"<li>{html.escape(s)}</li>" for s in said) + "</ul>",
        "\n".join(f"- {s}" for s in said),
    )
