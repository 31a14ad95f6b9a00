"""Section 3 in tables, charts and sentences, from its record alone."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from gemb.figures.shown import ADAPTOR, GREY, LINEAR, STYLE, Bullets, Shown, percent, picture, table
from gemb.records import Score, Transfer, TransferRecord

KINDS = {
    "transfer": "trained on one, asked about the other",
    "ceiling": "ceiling",
    "retrieval": "without a language model",
    "control": "control",
}
# What the study says of the same, by what was trained on and what was tested.
STUDYS = {
    ("pictures", "sounds"): (
        "The study, CIFAR-10 to six classes of ESC-50: 59.8% where random gives 17%; dog 95, bird "
        "81, cat 70, frog 2. With several bird categories pooled the answer bird alone may reach "
        "40% there, and its test sizes are not published."
    ),
    ("voices", "faces"): "The study, RAVDESS gender to CelebA: 62% where random gives 50%.",
}


def _chance(transfer: Transfer) -> float:
    return 1 / len(transfer.categories)


def _words(transfer: Transfer) -> str:
    return f"{transfer.trained_on} to {transfer.tested_on}"


def transfer_table(record: TransferRecord) -> Shown:
    """Transfers, ceilings, retrieval and controls on the same items."""
    rows = [
        {
            "from, to": _words(transfer),
            "kind": KINDS[kind],
            "answers by": r.name + (" (default)" if r is transfer.headline else ""),
            "macro accuracy": percent(r.macro),
            "± seeds": "–" if r.macro.seed_std is None else f"{100 * r.macro.seed_std:.1f}",
            "accuracy": percent(r.accuracy),
            "macro on what it was trained for": percent(r.own, False) if r.own else "–",
        }
        for transfer in record.transfers
        for kind in KINDS
        for r in transfer.results
        if r.kind == kind
    ]
    about = " ".join(
        f"{t.data}: {t.items} items of {t.groups} groups in {len(t.categories)} categories; chance "
        f"is {100 * _chance(t):.1f} macro, while always giving the largest category gets "
        f"{100 * t.majority:.1f} micro. {STUDYS[t.trained_on, t.tested_on]}"
        for t in record.transfers
    )
    return table(
        pd.DataFrame(rows),
        "esc50_transfer",
        "Per cent with 95% intervals over groups (source recordings, persons), profile "
        f"{record.provenance.profile}. Macro accuracy is what counts. {about}",
        aside=["± seeds"] + (["from, to"] if len(record.transfers) == 1 else []),
    )


def category_chart(record: TransferRecord) -> Shown:
    """Accuracy of each category with its interval."""
    longest = max(len(t.categories) for t in record.transfers)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7 * len(record.transfers), 0.5 * longest + 1.2))
        panels = figure.subplots(1, len(record.transfers), squeeze=False)[0]
        told = []
        for axes, transfer in zip(panels, record.transfers, strict=True):
            rows = transfer.headline.by_category
            for y, r in enumerate(rows):
                axes.barh(y, r.accuracy.value, color=ADAPTOR, height=0.55)
                axes.plot([r.accuracy.low, r.accuracy.high], [y, y], color="black", lw=1.6)
            axes.axvline(_chance(transfer), color=GREY, ls="--", lw=1)
            axes.set_yticks(range(len(rows)), [f"{r.category} ({r.items})" for r in rows])
            axes.invert_yaxis()
            axes.set_xlim(0, 1)
            axes.set_xlabel(
                f"{transfer.tested_on} named rightly by the adaptor of {transfer.trained_on}; "
                "dashed: chance"
            )
            axes.set_title(transfer.data)
            told += [f"{r.category} {100 * r.accuracy.value:.0f}%" for r in rows]
        return picture(figure, f"Accuracy by category: {', '.join(told)}.")


def category_table(record: TransferRecord) -> Shown:
    """Each category: accuracy, confidence, and what is said instead."""
    rows = [
        {
            "asked about": transfer.tested_on,
            "category": r.category,
            "items": r.items,
            "groups": r.groups,
            "accuracy": percent(r.accuracy),
            "mean log-probability of an answer's tokens, nats": f"{r.logprob:.2f}".replace(
                "-", "−"
            ),
            "answers": "; ".join(f"{t} {100 * n:.0f}%" for t, n in r.said),
        }
        for transfer in record.transfers
        for r in transfer.headline.by_category
    ]
    return table(
        pd.DataFrame(rows), "esc50_transfer_categories",
        "By category, per cent, the default's adaptor; intervals over groups. "
        + "; ".join(t.data for t in record.transfers) + ".",
        ["asked about"] if len(record.transfers) == 1 else [],
    )  # fmt: skip


def degradation_chart(record: TransferRecord) -> Shown:
    """Macro accuracy against the quality of alignment, of the first seed's adaptor."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6, 3.6))
        axes = figure.subplots()
        told = []
        for colour, transfer in zip((ADAPTOR, LINEAR), record.transfers, strict=False):
            rows = transfer.degradation
            scores = [Score(**r["macro"]) for r in rows]
            x = [r["alignment"] for r in rows]
            axes.plot(
                x, [s.value for s in scores], color=colour, marker="o", label=_words(transfer)
            )
            for at, s, row in zip(x, scores, rows, strict=True):
                axes.plot([at, at], [s.low, s.high], color=colour, lw=1.2)
                axes.annotate(f"{100 * row['share']:.0f}%", (at, s.value), xytext=(4, 5),
                              textcoords="offset points", fontsize=9, color=GREY)  # fmt: skip
                told.append(f"{100 * row['share']:.0f}% of another {100 * s.value:.0f}%")
            axes.axhline(_chance(transfer), color=colour, ls="--", lw=1)
        axes.set_ylim(0, 1)
        axes.set_title("; ".join(t.data for t in record.transfers) + "; first seed")
        axes.set_xlabel("cosine to the right category's name, less that to the others'")
        axes.set_ylabel("macro accuracy; dashed: chance")
        if len(record.transfers) > 1:
            axes.legend()
        return picture(
            figure,
            f"Macro accuracy of the first seed's adaptor as the shared space is degraded: "
            f"{', '.join(told)}.",
        )


def binding_table(record: TransferRecord) -> Shown:
    """How well each variant of the space finds captions of held-out pairs."""
    rows = [
        {
            "kind of pair": kind,
            "pairs": f"{scores['pairs']:.0f}",
            "posteriors: class names alone": f"{100 * scores['posteriors']:.1f}",
            "trained: with heads": f"{100 * scores['trained']:.1f}",
        }
        for kind, scores in record.validation.items()
    ]
    return table(
        pd.DataFrame(rows),
        "esc50_transfer_binding",
        "Media whose own caption is the nearest of all of their kind, per cent, by heads that "
        "never saw that caption (their penalty is chosen on these same pairs). The better on the "
        f"mean over the kinds is the default: {record.transfers[0].encoder}; a pair or two decide "
        "where pairs are few.",
    )


def transfer_findings(record: TransferRecord) -> Bullets:
    """What the record says, in sentences."""
    lines = [line for transfer in record.transfers for line in _findings(transfer)]
    lines += [f"Not run: {name}, for {why}." for name, why in record.not_run.items()]
    return Bullets(lines)


def _alike(score: Score) -> str:
    """What an interval of no width tells of a macro accuracy."""
    return ", and each seed's adaptor gives one answer to all" if score.high == score.low else ""


def _findings(transfer: Transfer) -> Iterator[str]:
    main, chance = transfer.headline, _chance(transfer)
    by_name = {r.name: r for r in transfer.results}
    yield (
        f"The adaptor trained on {transfer.trained_on} names {percent(main.macro)}% of the "
        f"{transfer.tested_on} (macro), where chance is {100 * chance:.1f}%: "
        + (
            f"it understands some of the {transfer.tested_on} without having met any."
            if main.macro.low > chance
            else "not surely more than chance."
        )
    )
    disjoint = by_name.get("adaptor on open-concat")
    if disjoint is not None:
        inside = disjoint.macro.low <= chance <= disjoint.macro.high
        yield (
            f"Without a shared space it gets {percent(disjoint.macro)}%, "
            + (
                "which is chance: the space carries the transfer."
                if inside
                else "below chance, for it may name categories that none of the "
                f"{transfer.tested_on} has{_alike(disjoint.macro)}: the space carries the transfer."
                if disjoint.macro.high < chance
                else "whose interval does not hold chance: some answers are biased."
            )
        )
    direct = by_name.get(f"nearest name in {transfer.encoder}")
    if direct is not None:
        gap = main.macro.value - direct.macro.value
        apart = main.macro.low > direct.macro.high or direct.macro.low > main.macro.high
        yield (
            f"The nearest category name in the same space gets {percent(direct.macro)}%, "
            f"{abs(100 * gap):.1f} points {'less' if gap > 0 else 'more'} than the way through "
            "the adaptor and the language model, by point estimates"
            f"{'' if apart else ' whose intervals overlap'}."
            + (
                " The space has AudioSet's class names in it, which name some of the categories."
                if transfer.encoder.startswith("open-bound")
                else ""
            )
        )
    ceiling = next((r for r in transfer.results if r.kind == "ceiling"), None)
    if ceiling is not None:
        yield (
            "Given the category's name itself as a vector, the same adaptor says it in "
            f"{percent(ceiling.macro)}%."
        )
