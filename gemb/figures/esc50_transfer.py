"""Section 3 in tables, charts and sentences, from its record alone."""

from __future__ import annotations

import html

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from gemb.figures.shown import ADAPTOR, GREY, STYLE, Shown, percent, picture, table
from gemb.records import Score, TransferRecord, TransferResult

KINDS = {
    "transfer": "trained on pictures, asked about sounds",
    "ceiling": "ceiling",
    "retrieval": "without a language model",
    "control": "control",
}
STUDYS = (
    "The study, CIFAR-10 to six classes of ESC-50: 59.8% where random gives 17%; dog 95, bird 81, "
    "cat 70, frog 2. With several bird categories pooled the answer bird alone may reach 40% "
    "there, and its test sizes are not published."
)


def headline(record: TransferRecord) -> TransferResult:
    """The adaptor on the variant of the shared space that is the default."""
    return record.of(f"pictures' adaptor on {record.default}")


def transfer_table(record: TransferRecord) -> Shown:
    """Transfers, ceilings, retrieval and controls on the same sounds."""
    rows = [
        {
            "": KINDS[kind],
            "answers by": r.name + (" (default)" if r is headline(record) else ""),
            "macro accuracy": percent(r.macro),
            "± seeds": "–" if r.macro.seed_std is None else f"{100 * r.macro.seed_std:.1f}",
            "accuracy": percent(r.accuracy),
            "macro on test pictures": percent(r.pictures, False) if r.pictures else "–",
        }
        for kind in KINDS
        for r in record.results
        if r.kind == kind
    ]
    chance = 100 / len(record.categories)
    return table(
        pd.DataFrame(rows),
        "esc50_transfer",
        f"{record.sounds} recorded sounds of {record.groups} source recordings in "
        f"{len(record.categories)} categories (a stand-in for ESC-50), per cent with 95% "
        f"intervals over recordings, profile {record.provenance.profile}. Macro accuracy counts: "
        f"chance is {chance:.1f}, while always giving the largest category gets "
        f"{100 * record.majority:.1f} micro. {STUDYS}",
    )


def category_chart(record: TransferRecord) -> Shown:
    """Accuracy of each category with its interval."""
    rows = headline(record).by_category
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7, 0.5 * len(rows) + 1.2))
        axes = figure.subplots()
        for y, r in enumerate(rows):
            axes.barh(y, r.accuracy.value, color=ADAPTOR, height=0.55)
            axes.plot([r.accuracy.low, r.accuracy.high], [y, y], color="black", lw=1.6)
        axes.axvline(1 / len(rows), color=GREY, ls="--", lw=1)
        axes.set_yticks(range(len(rows)), [f"{r.category} ({r.items})" for r in rows])
        axes.invert_yaxis()
        axes.set_xlim(0, 1)
        axes.set_xlabel("sounds named rightly by the pictures' adaptor; dashed: chance")
        told = ", ".join(f"{r.category} {100 * r.accuracy.value:.0f}%" for r in rows)
        return picture(figure, f"Accuracy by category of sound: {told}.")


def category_table(record: TransferRecord) -> Shown:
    """Each category: accuracy, confidence, and what is said instead."""
    rows = [
        {
            "category": r.category,
            "sounds": r.items,
            "recordings": r.groups,
            "accuracy": percent(r.accuracy),
            "log-prob. of the answers": f"{r.logprob:.2f}",
            "answers": "; ".join(f"{t} {100 * n:.0f}%" for t, n in r.said),
        }
        for r in headline(record).by_category
    ]
    return table(
        pd.DataFrame(rows), "esc50_transfer_categories",
        "By category, per cent, the default's adaptor; intervals over source recordings.",
    )  # fmt: skip


def degradation_chart(record: TransferRecord) -> Shown:
    """Macro accuracy against the quality of alignment."""
    rows = record.degradation
    scores = [Score(**r["macro"]) for r in rows]
    x = [r["alignment"] for r in rows]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6, 3.6))
        axes = figure.subplots()
        axes.plot(x, [s.value for s in scores], color=ADAPTOR, marker="o")
        for at, s, row in zip(x, scores, rows, strict=True):
            axes.plot([at, at], [s.low, s.high], color=ADAPTOR, lw=1.2)
            axes.annotate(f"{100 * row['share']:.0f}%", (at, s.value), xytext=(4, 5),
                          textcoords="offset points", fontsize=9, color=GREY)  # fmt: skip
        axes.axhline(1 / len(record.categories), color=GREY, ls="--", lw=1)
        axes.set_ylim(0, 1)
        axes.set_xlabel("cosine to the right category's name, less that to the others'")
        axes.set_ylabel("macro accuracy")
        told = ", ".join(
            f"{100 * r['share']:.0f}% of another sound {100 * s.value:.0f}%"
            for r, s in zip(rows, scores, strict=True)
        )
        return picture(figure, f"Macro accuracy as the shared space is degraded: {told}.")


def binding_table(record: TransferRecord) -> Shown:
    """How well each variant of the space finds captions of held-out pairs."""
    rows = [
        {
            "kind of pair": kind,
            "pairs": f"{scores['pairs']:.0f}",
            "class names alone": f"{100 * scores['posteriors']:.1f}",
            "with trained heads": f"{100 * scores['trained']:.1f}",
        }
        for kind, scores in record.validation.items()
    ]
    return table(
        pd.DataFrame(rows),
        "esc50_transfer_binding",
        "Media whose own caption is the nearest of all of their kind, per cent, by heads that "
        "never saw that caption. The better on the mean over the kinds is the default: "
        f"{record.default}.",
    )


def transfer_findings(record: TransferRecord) -> Shown:
    """What the record says, in sentences."""
    main = headline(record)
    chance = 1 / len(record.categories)
    by_name = {r.name: r for r in record.results}
    lines = [
        f"The adaptor trained on pictures names {percent(main.macro)}% of the sounds (macro), "
        f"where chance is {100 * chance:.1f}%: "
        + (
            "it understands some of what it has never heard."
            if main.macro.low > chance
            else "not surely more than chance."
        )
    ]
    disjoint = by_name.get("pictures' adaptor on open-concat")
    if disjoint is not None:
        inside = disjoint.macro.low <= chance <= disjoint.macro.high
        lines.append(
            f"Without a shared space it gets {percent(disjoint.macro)}%, "
            + (
                "which is chance: the space carries the transfer."
                if inside
                else "whose interval does not hold chance: some answers are biased."
            )
        )
    direct = by_name.get(f"nearest name in {record.default}")
    if direct is not None:
        gap = main.macro.value - direct.macro.value
        lines.append(
            f"The nearest category name in the same space gets {percent(direct.macro)}%, so the "
            f"way through the language model {'gains' if gap > 0 else 'loses'} "
            f"{abs(100 * gap):.1f} points. The space has AudioSet's class names in it, which name "
            "some of the categories."
        )
    ceiling = next((r for r in record.results if r.kind == "ceiling"), None)
    if ceiling is not None:
        lines.append(
            "Given the category's name itself as a vector, the same adaptor says it in "
            f"{percent(ceiling.macro)}%."
        )
    lines += [f"Not run: {name}, for {why}." for name, why in record.not_run.items()]
    markup = "".join(f"<li>{html.escape(line)}</li>" for line in lines)
    return Shown(f"<ul>{markup}</ul>", "\n".join(f"- {line}" for line in lines))
