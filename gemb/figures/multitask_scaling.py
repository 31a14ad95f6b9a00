"""Section 4 in tables, charts and sentences, from its record alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from gemb import tasks
from gemb.figures.shown import PALETTE, STYLE, Shown, percent, picture, table
from gemb.figures.single_task import STARRED
from gemb.records import MultitaskRecord, Score, SharedTask, Trial

# What the study calls rescued is not said; here a shared adaptor serves a task if it reaches this
# share of the accuracy of the task's own adaptor. Of a single task both are point estimates.
SERVED = 0.95
# A task counts as collapsed if nearly all its answers are one and the same, or nearly none is one
# of its labels.
COLLAPSED = 0.9
STUDYS = (
    "The study, on its own data: 1 token collapses (one class, or verbose off-topic text); 8 "
    "tokens: words 90, objects 69; 32 tokens: objects 85.5, clothing 62, sentences and scene "
    "text largely unrecovered."
)


def _single(record: MultitaskRecord, encoder: str) -> dict[str, SharedTask]:
    return {r.task: r for r in record.single[encoder]}


def title_of(record: MultitaskRecord, task: str) -> str:
    found = tasks.get(task, record.provenance.source)
    return found.title + ("*" if found.stand_in else "")


def _stand_ins(record: MultitaskRecord) -> str:
    names = [title_of(record, r.task) for r in record.single[record.encoders[0]]]
    return f"{sum(n.endswith('*') for n in names)} of {len(names)} tasks on stand-in data"


def own_epochs(record: MultitaskRecord) -> int | None:
    """How often a task's own adaptor sees its items at most, if the record says so."""
    found: int | None = record.provenance.settings["multitask"].get("own_epochs")
    return found


def shared_table(record: MultitaskRecord) -> Shown:
    """Each task under one shared adaptor, beside its own adaptor."""
    rows = []
    epochs, most = record.provenance.settings["multitask"]["epochs"], own_epochs(record)
    trained = f"up to {most} epochs" if most else "more epochs where items are few"
    for encoder in record.encoders:
        single = _single(record, encoder)
        sweep = [t for t in record.trials if t.group == "sweep" and t.encoder == encoder]
        for task, own in single.items():
            row = {
                "encoder": encoder,
                "task": title_of(record, task),
                "its own adaptor": percent(own.accuracy),
            }
            for trial in sweep:
                found = next(r for r in trial.results if r.task == task)
                row[f"shared, {trial.name}"] = percent(found.accuracy)
            row["test items"] = str(own.items)
            rows.append(row)
    return table(
        pd.DataFrame(rows),
        "multitask_scaling",
        f"One adaptor for all tasks, exact match in per cent with 95% intervals, profile "
        f"{record.provenance.profile}. Its own adaptor: trained on that task's items alone, for "
        f"{trained} (the shared ones: {epochs}), one virtual token. {STARRED} {STUDYS}",
    )


def tokens_chart(record: MultitaskRecord) -> Shown:
    """Accuracy against virtual tokens, a line a task; the task's own adaptor beside it."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(4.4 * len(record.encoders) + 2, 4))
        panels = figure.subplots(1, len(record.encoders), squeeze=False, sharey=True)[0]
        told = []
        for axes, encoder in zip(panels, record.encoders, strict=True):
            sweep = sorted(
                (t for t in record.trials if t.group == "sweep" and t.encoder == encoder),
                key=lambda t: t.num_virtual_tokens,
            )
            single = _single(record, encoder)
            x = [t.num_virtual_tokens for t in sweep]
            for number, (task, own) in enumerate(single.items()):
                colour = PALETTE[number % len(PALETTE)]
                y = [next(r for r in t.results if r.task == task).accuracy.value for t in sweep]
                marker = "osD^vP*X"[number % 8]
                axes.plot(x, y, color=colour, marker=marker, label=title_of(record, task))
                axes.plot([x[0] / 1.6], [own.accuracy.value], color=colour, marker=marker,
                          mfc="none", ls="none")  # fmt: skip
                told.append(
                    f"{encoder}, {title_of(record, task)}: own adaptor "
                    f"{100 * own.accuracy.value:.0f}%, shared "
                    + ", ".join(
                        f"{n} token{'s' if n > 1 else ''} {100 * v:.0f}%"
                        for n, v in zip(x, y, strict=True)
                    )
                )
            axes.set_xscale("log", base=2)
            axes.set_xticks([x[0] / 1.6, *x], ["own", *map(str, x)])
            axes.minorticks_off()
            axes.set_ylim(-0.03, 1.03)
            axes.set_xlabel("virtual tokens of the shared adaptor")
            axes.set_title(encoder)
        panels[0].set_ylabel("exact match")
        panels[-1].legend(loc="center left", bbox_to_anchor=(1, 0.5), title=STARRED)
        return picture(
            figure,
            f"Accuracy against the number of virtual tokens. {'; '.join(told)}. {STARRED}",
        )


def trials_table(record: MultitaskRecord, groups: Sequence[str]) -> Shown:
    """Trials of the given groups: what they change, cost and reach."""
    rows = []
    for trial in record.trials:
        if trial.group not in groups and not (trial.group == "sweep" and _headline(record, trial)):
            continue
        rows.append(
            {
                "kind": trial.group,
                "what is different": trial.name,
                "tokens": trial.num_virtual_tokens,
                "hidden": trial.hidden,
                "parameters": f"{trial.parameters:,}",
                "items seen": f"{trial.passes:,}",
                "seconds": f"{trial.seconds:.0f}",
                "validation": f"{100 * trial.validation:.1f}",
                "test, mean of tasks": f"{100 * trial.mean:.1f}",
                "% of their own adaptors": _of_own(record, trial),
                f"learnt tasks at {100 * SERVED:.0f}% or more": (
                    f"{len(served(record, trial))} of {len(learnt(record, trial))}"
                ),
                "collapsed tasks": collapsed(trial),
                "seed": trial.seed,
            }
        )
    error = 100 * median(map(standard_error, record.trials))
    return table(
        pd.DataFrame(rows),
        "multitask_" + "_".join(groups),
        f"Every row is one shared adaptor, accuracies in per cent; {_stand_ins(record)}. "
        "Validation decides; the test columns are for reading: point estimates of one seed, the "
        f"means with a standard error of about {error:.1f} points over test items. What a row "
        "costs is the items it sees and its parameters; seconds also depend on what else the "
        "machine did. Collapsed: nearly all answers alike, or nearly none a label. Learnt: "
        "their own adaptor is surely better than the most frequent answer."
        + (
            ""
            if any(t.group in groups for t in record.trials)
            else " Nothing else of this was run under this profile."
        ),
        aside=["tokens", "hidden", "seed"],
    )


def _headline(record: MultitaskRecord, trial: Trial) -> bool:
    return trial.encoder == record.encoders[0]


def learnt(record: MultitaskRecord, trial: Trial) -> list[str]:
    """Tasks of the trial that their own adaptor does surely better than the most frequent answer.

    Of the others a shared adaptor could not be seen to lose anything.
    """
    single = _single(record, trial.encoder)
    return [r.task for r in trial.results if single[r.task].learnt]


def served(record: MultitaskRecord, trial: Trial) -> list[str]:
    """Those of them that reach :data:`SERVED` of the accuracy of their own adaptor."""
    single, known = _single(record, trial.encoder), learnt(record, trial)
    return [
        r.task
        for r in trial.results
        if r.task in known and r.accuracy.value >= SERVED * single[r.task].accuracy.value
    ]


def of_own(record: MultitaskRecord, trial: Trial, names: Sequence[str]) -> float | None:
    """The mean over some tasks as a share of that of the tasks' own adaptors."""
    single = _single(record, trial.encoder)
    own = sum(single[name].accuracy.value for name in names)
    mine = sum(r.accuracy.value for r in trial.results if r.task in names)
    return mine / own if own else None


def _of_own(record: MultitaskRecord, trial: Trial) -> str:
    """The same of all its tasks in per cent, with its interval where the record has one."""
    if trial.of_own:
        return percent(trial.of_own)
    share = of_own(record, trial, [r.task for r in trial.results])
    return "–" if share is None else f"{100 * share:.0f}"


def beside_own(record: MultitaskRecord, trial: Trial) -> str:
    """The mean over tasks beside that of the tasks' own adaptors, in words."""
    single, names = _single(record, trial.encoder), [r.task for r in trial.results]
    share, known = of_own(record, trial, names), learnt(record, trial)
    if share is None:
        return f"{100 * trial.mean:.1f}%, and 0% for their own adaptors"
    own = sum(single[name].accuracy.value for name in names) / len(names)
    of_known = of_own(record, trial, known)
    return (
        f"{100 * trial.mean:.1f}%, {100 * share:.0f}% of the {100 * own:.1f}% of their own adaptors"
        + (f" ({100 * of_known:.0f}% over the {len(known)} that these learn)" if of_known else "")
    )


def share(record: MultitaskRecord, trial: Trial) -> str:
    """How many of how many, in words."""
    return (
        f"{len(served(record, trial))} of the {len(learnt(record, trial))} tasks that their own "
        f"adaptor learns reach {100 * SERVED:.0f}% of it"
    )


def collapsed(trial: Trial) -> int:
    """Tasks of more than one right answer of which one answer takes nearly all, or none fits."""
    return sum(
        (r.frequent[0][1] >= COLLAPSED and r.accuracy.value < COLLAPSED) or r.outside >= COLLAPSED
        for r in trial.results
    )


def fallen(trial: Trial) -> bool:
    """Whether it collapses on more than half of its tasks."""
    return collapsed(trial) > len(trial.results) / 2


def said_table(record: MultitaskRecord, names: Sequence[str] = ()) -> Shown:
    """What shared adaptors make the language model say; ``names`` or else the sweep's and those
    that collapse on most of their tasks."""
    rows = [
        {
            "shared adaptor": f"{trial.name}, {trial.encoder}",
            "task": title_of(record, r.task),
            "most frequent answers": "; ".join(f"{t} {100 * n:.0f}%" for t, n in r.frequent),
            "outside the labels": f"{100 * r.outside:.0f}%",
            "words an answer": f"{r.words:.1f}",
        }
        for trial in record.trials
        if (
            trial.name in names
            if names
            else _headline(record, trial) and (trial.group == "sweep" or fallen(trial))
        )
        for r in trial.results
    ]
    return table(
        pd.DataFrame(rows),
        "multitask_said",
        "What is answered, over each task's test items, by the sweep's adaptors and by those that "
        f"collapse on more than half of their tasks. {STARRED}",
    )


def _right(value: float | dict[str, float] | None) -> str:
    """A share, with its interval where the record has one."""
    return percent(Score(**value)) if isinstance(value, dict) else _share(value)


def _share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.0f}%"


_OF = "answers of "
_KINDS = {
    "words": "answers that are words",
    "emotion": "answers that are emotions",
    "gender": "answers that are genders",
}


def swap_table(record: MultitaskRecord) -> Shown:
    """The same clips asked for the word and for the speaker's gender."""
    rows = [
        {
            "tokens": row["k"],
            "asked": tasks.get(row["asked"]).prompt,
            **{
                _KINDS[name.removeprefix(_OF)]: f"{100 * value:.0f}%"
                for name, value in row.items()
                if name.startswith(_OF)
            },
            "right": _right(row["right"]),
            "always the most frequent": _share(row.get("majority")),
            "clips": row["items"],
        }
        for row in record.swap
    ]
    return table(
        pd.DataFrame(rows),
        "multitask_swap",
        "The prompt-swap control: the very same clips and virtual tokens, asked with either "
        "prompt. If the prompt decides, the kind of answer follows it; "
        f"{_stand_ins(record)}.",
    )


def standard_error(trial: Trial) -> float:
    """Standard error of the mean over tasks, as if no two tasks shared an item."""
    widths = [(r.accuracy.high - r.accuracy.low) / (2 * 1.96) for r in trial.results]
    return math.hypot(*widths) / len(widths)
