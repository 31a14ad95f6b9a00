"""Section 5 in tables, charts and sentences, from its record alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from gemb.figures.audio_uses import CALLED
from gemb.figures.shown import (
    ADAPTOR,
    GREY,
    PALETTE,
    STYLE,
    Bullets,
    Shown,
    percent,
    picture,
    table,
)
from gemb.records import MEAN, AudioEncoderRecord, AudioModel, BatchPoint, Gain, Score

KNOWN = "caption-known-voice"  # the subset that means over subsets leave out
SUBSETS = {
    "speech": "speech",
    "sound": "sounds",
    "caption": "captions read aloud, unknown voice",
    KNOWN: "captions read aloud, known voices",
}
DIRECTIONS = {"text-to-audio": "text to audio", "audio-to-text": "audio to text"}
NAMES = "what is said or what sounds"
# The source's own names of what it publishes.
SOURCES = {
    "mteb": "the field: mteb's published results",
    "article": "the article that this section follows",
}


def _columns(model: AudioModel) -> dict[str, str]:
    """cvR@5: the mean of subsets and directions, and each subset both ways."""
    out = {"mean": f"{100 * model.mean:.1f}"}
    for s in model.scores:
        out[f"{SUBSETS[s.subset]}, text to audio"] = percent(s.text_to_audio)
        out[f"{SUBSETS[s.subset]}, audio to text"] = percent(s.audio_to_text)
    return out


# A page has room for one direction.
ASIDE = [f"{name}, audio to text" for name in SUBSETS.values()]


def _millions(count: int | None) -> str:
    return f"{count / 1e6:.1f}" if count else "–"


def audio_pairs_table(record: AudioEncoderRecord) -> Shown:
    """How many clips of each subset are trained on, chosen by and tested."""
    names = SUBSETS | {  # who reads to be trained on is known, whatever the test does
        "caption": "captions read aloud, tested in an unknown voice",
        KNOWN: "captions read aloud, tested in known voices",
    }
    rows = [
        {"subset": names[s], "train": c["train"], "validation": c["val"], "test": c["test"]}
        for s, c in record.pairs.items()
    ]
    return table(
        pd.DataFrame(rows),
        "open_audio_encoder_pairs",
        f"Clips, profile {record.provenance.profile}: {_clips(record)} to train on, beside "
        f"{record.texts} pairs of texts; {_passes(record)}. No recording and no caption is on two "
        "sides; tested speech and the captions in an unknown voice are by voices that training "
        "never heard.",
    )


def _clips(record: AudioEncoderRecord) -> int:
    """Clips that there are to train on."""
    return sum(c["train"] for c in record.pairs.values())


def _batch_size(record: AudioEncoderRecord) -> int:
    return int(record.provenance.settings["audio"]["batch_size"])


def _seen(record: AudioEncoderRecord, steps: int, there: int) -> int:
    """How many of ``there`` pairs so many steps come to, at most."""
    return min(there, steps * _batch_size(record))


def _stages(record: AudioEncoderRecord) -> tuple[int, int]:
    """Steps of alignment, and of the training after it."""
    aligned = record.model("aligned", "step").steps
    return aligned, record.model("full", "route").steps - aligned


def _passes(record: AudioEncoderRecord) -> str:
    """How much of the pairs the steps come to."""
    clips, (aligned, after) = _clips(record), _stages(record)
    told = [(aligned, f"in the {aligned} steps of alignment"), (after, f"in the {after} after it")]
    long = max((m.steps for m in record.of("route") if m.name.startswith("combined")), default=0)
    if long:
        told.append((long, f"in the {long} of the combined models"))
    seen = ", ".join(f"{_seen(record, steps, clips)} {where}" for steps, where in told)
    return (
        f"batches of {_batch_size(record)} come to at most so many of the clips: {seen}; and to "
        f"{_seen(record, after, record.texts)} of the pairs of texts"
    )


def _compared(record: AudioEncoderRecord) -> list[AudioModel]:
    """Baselines, routes, and what differs from a route in one thing."""
    return [*record.of("baseline"), *record.of("route"), *record.of("ablation")]


def routes_table(record: AudioEncoderRecord) -> Shown:
    """Routes and baselines on the same pairs."""
    rows = [
        {
            "model": m.name + (" (best on validation pairs)" if m.name == record.best else ""),
            "kind": m.kind,
            "parts": m.parts,
            "layers": "–" if m.layers is None else str(m.layers),
            "trained, millions": _millions(m.trained),
            "in all, millions": _millions(m.parameters),
            "steps": m.steps or "–",
            "minutes": f"{m.seconds / 60:.1f}" if m.seconds else "–",
            "last loss (guessing)": f"{m.loss:.2f} ({m.guess:.2f})" if m.loss and m.guess else "–",
            "text to audio": percent(m.text_to_audio),
            "audio to text": percent(m.audio_to_text),
        }
        for m in _compared(record)
    ]
    return table(
        pd.DataFrame(rows),
        "open_audio_encoder_routes",
        "cvR@5, per cent, with 95% intervals over test pairs (one seed), in the mean of "
        f"subsets{_uncounted(record)}: is a right one among the first five? Documents that tie are "
        "taken in every order equally often. Parameters in all are those of everything that runs"
        f"{_frozen(record)}; trained are those that the last training moved, before layers were "
        f"taken away; layers are the language model's, the first of {record.whole}. Minutes are of "
        "training, with the alignment that several routes share, in which the language model is "
        "frozen. The CSV has the steps, too, and the last loss beside that of who cannot tell the "
        "pairs of a batch apart (a little less where captions repeat). The best is chosen among "
        "the routes that were trained on sounds to their end.",
        aside=["kind", "steps", "last loss (guessing)"],
    )


def routes_by_subset_table(record: AudioEncoderRecord) -> Shown:
    """The same models on each subset."""
    rows = [
        {
            "model": m.name,
            "direction": DIRECTIONS[direction],
            **{SUBSETS[s.subset]: percent(_score(m, s.subset, direction)) for s in m.scores},
        }
        for m in _compared(record)
        for direction in DIRECTIONS
    ]
    return table(
        pd.DataFrame(rows),
        "open_audio_encoder_subsets",
        "The same on each subset, cvR@5, per cent, with 95% intervals (one seed).",
    )


def _frozen(record: AudioEncoderRecord) -> str:
    if not record.frozen:
        return ""
    return f", the frozen audio encoders with {_millions(record.frozen)} among them"


def _uncounted(record: AudioEncoderRecord) -> str:
    """What the means over subsets leave out."""
    return f" ({SUBSETS[KNOWN]} left out)" if KNOWN in record.pairs else ""


def other_metrics_table(record: AudioEncoderRecord) -> Shown:
    """cvR@1 and cvR@10, NDCG@10 and mean reciprocal rank of the same models."""
    rows = [
        {
            "model": m.name,
            "subset": SUBSETS[s.subset],
            "direction": DIRECTIONS[direction],
            **{metric: percent(score) for metric, score in values.items()},
        }
        for m in _compared(record)
        for s in m.scores
        for direction, values in s.others.items()
    ]
    return table(
        pd.DataFrame(rows),
        "open_audio_encoder_metrics",
        "The other metrics of the same models on the same pairs, per cent, with 95% intervals.",
    )


def parameters_chart(record: AudioEncoderRecord) -> Shown:
    """Score against parameters."""
    groups = {
        "routes": (record.of("route"), "o", ADAPTOR, "bottom", 5),
        "baselines": (record.of("baseline"), "s", GREY, "top", -5),  # their names stand below
    }
    told = []
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9, 4.2))
        axes = figure.subplots()
        for label, (models, marker, colour, edge, away) in groups.items():
            sized = [m for m in models if m.parameters]
            millions = [(m.parameters or 0) / 1e6 for m in sized]
            axes.plot(millions, [m.mean for m in sized], marker, color=colour, label=label)
            for x, m in zip(millions, sized, strict=True):
                axes.annotate(
                    m.name.replace(", ", ",\n"),
                    (x, m.mean),
                    xytext=(0, away),
                    textcoords="offset points",
                    ha="center",
                    va=edge,
                    fontsize=8,
                )
                told.append(f"{m.name} {x:.1f} million {100 * m.mean:.0f}%")
        for m in record.of("baseline"):
            if m.name == "chance":
                axes.axhline(m.mean, color=GREY, lw=1, ls=":", label=m.name)
                told.append(f"{m.name} {100 * m.mean:.0f}%")
        axes.set_ylim(0, 1)
        axes.set_xlim(0, None)
        axes.set_xlabel("parameters of all that runs, millions")
        axes.set_ylabel("cvR@5, mean of subsets and directions")
        axes.legend(fontsize=8)
        return picture(figure, f"cvR@5 against parameters: {', '.join(told)}.")


def pruning_models(record: AudioEncoderRecord) -> list[AudioModel]:
    """The aligned model, tuned whole and after pruning, most layers first."""
    found = [m for m in record.of("route") if m.name == "full" or m.name.startswith("pruned to")]
    return sorted(found, key=lambda m: -(m.layers or 0))


def pruning_chart(record: AudioEncoderRecord) -> Shown:
    """Score against the layers that are kept."""
    models = pruning_models(record)
    subsets = list(record.pairs)
    tested = [s for s in subsets if any(s == x.subset for m in models for x in m.scores)]
    told = []
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10, 3.8))
        panels = figure.subplots(1, 2, sharey=True)
        for axes, direction in zip(panels, DIRECTIONS, strict=True):
            for colour, subset in zip(PALETTE, tested, strict=False):
                scores = [_score(m, subset, direction) for m in models]
                layers = [m.layers or 0 for m in models]
                axes.plot(
                    layers,
                    [s.value for s in scores],
                    color=colour,
                    marker="o",
                    label=SUBSETS[subset],
                )
                for x, s in zip(layers, scores, strict=True):
                    axes.plot([x, x], [s.low, s.high], color=colour, lw=1.2)
                values = ", ".join(
                    f"{n} layers {100 * s.value:.0f}%" for n, s in zip(layers, scores, strict=True)
                )
                told.append(f"{SUBSETS[subset]}, {DIRECTIONS[direction]}: {values}")
            axes.set_title(DIRECTIONS[direction])
            axes.set_xticks([m.layers or 0 for m in models])
            axes.set_xlabel("layers kept")
        panels[0].set_ylim(0, 1)
        panels[0].set_ylabel("cvR@5")
        panels[1].legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
        return picture(figure, f"cvR@5 by layers kept. {'; '.join(told)}.")


def _score(model: AudioModel, subset: str, direction: str) -> Score:
    found = model.on(subset)
    return found.text_to_audio if direction == "text-to-audio" else found.audio_to_text


def text_only_table(record: AudioEncoderRecord) -> Shown:
    """Retrieval before and after each step of text-only transfer."""
    texts = {t.model: percent(t.score) for t in record.aside}
    _, after = _stages(record)
    rows = [
        {
            "after": m.name,
            "layers": str(m.layers),
            "steps": m.steps,
            "text to audio": percent(m.text_to_audio),
            "audio to text": percent(m.audio_to_text),
            **_columns(m),
            "text to text": texts.get(m.name, "–"),
        }
        for m in record.of("step")
    ]
    return table(
        pd.DataFrame(rows),
        "open_audio_encoder_text_only",
        "Text-only transfer step by step, cvR@5, per cent, with 95% intervals; first the means of "
        f"subsets{_uncounted(record)}. Alignment trains the projection on sounds with captions, "
        f"from the start that a regression gave it; the {after} steps after it see no sound, and "
        f"{_seen(record, after, record.texts)} of {record.texts} pairs of texts; text to text: "
        "from one to "
        f"the other, in {record.aside[0].pairs} pairs kept aside. It is an analogue of the "
        "source's: there the parts came aligned from pretraining on far more, here they are "
        "aligned by these few pairs.",
        aside=["layers", "steps", "mean", *ASIDE],
    )


def batch_chart(record: AudioEncoderRecord) -> Shown:
    """Each batch size against steps."""
    sizes = sorted({b.batch_size for b in record.batches})
    told = []
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6, 3.8))
        axes = figure.subplots()
        for colour, size in zip(PALETTE, sizes, strict=False):
            points = [b for b in record.batches if b.batch_size == size]
            axes.plot(
                [b.steps for b in points],
                [b.score for b in points],
                color=colour,
                marker="o",
                label=f"batches of {size}",
            )
            values = ", ".join(f"{100 * b.score:.0f}% after {b.steps}" for b in points)
            told.append(f"batches of {size}: {values}")
        axes.set_ylim(0, None)
        axes.set_xlabel("training steps")
        axes.set_ylabel("cvR@5, mean of subsets and directions")
        axes.legend()
        return picture(figure, f"cvR@5 by batch size and steps. {'; '.join(told)}.")


def styles_table(record: AudioEncoderRecord) -> Shown:
    """Trained on one style of caption, tested on both."""
    rows = [
        {"captions trained on": m.style, "captions tested on": m.tested, **_columns(m)}
        for m in record.of("style")
    ]
    return table(
        pd.DataFrame(rows),
        "open_audio_encoder_styles",
        "One style of caption to train on, both to test on, the same clips: name is "
        f"{NAMES}, sentence a description around it. Models of "
        f"{record.small} layers, cvR@5, per cent, with 95% intervals.",
        aside=ASIDE,
    )


def gains_table(record: AudioEncoderRecord) -> Shown:
    """The paired differences behind the section's answers."""
    rows = [
        {
            "question": g.question,
            "difference": f"{g.model} − {g.over}",
            "subset": "mean of subsets" if g.subset == MEAN else SUBSETS[g.subset],
            "text to audio": percent(g.text_to_audio),
            "audio to text": percent(g.audio_to_text),
        }
        for g in record.gains
    ]
    return table(
        pd.DataFrame(rows),
        "open_audio_encoder_gains",
        "Differences of cvR@5 on the same queries, points, with paired 95% intervals over test "
        "pairs (one seed).",
    )


def study_table(record: AudioEncoderRecord) -> Shown:
    """Audio tasks of section 1 from the best model's vectors."""
    frame = pd.DataFrame(
        [
            {"task": t.task, "encoder": t.encoder, "score": percent(t.accuracy), "items": t.items}
            for t in record.study
        ]
    )
    if not frame.empty:
        counts = frame.groupby("task", sort=False)["items"].first()
        frame = frame.pivot(index="task", columns="encoder", values="score")
        frame = frame.loc[counts.index].assign(items=counts).reset_index()
        frame.columns.name = None
    known = {t.task: f"{t.task} {t.known} of {t.items}" for t in record.study if t.known}
    return table(
        frame,
        "open_audio_encoder_study",
        f"Section 1's adaptor on the vectors of the best model here ({record.best}) beside those "
        "of the default encoder: exact match, per cent, with 95% intervals, one seed. Tested "
        "items by voices that the model's own training heard, and was told what they say but not "
        f"who they are: {', '.join(known.values()) or 'none'}.{_one_seed(record)}",
    )


def _one_seed(record: AudioEncoderRecord) -> str:
    seeds = len(record.provenance.settings["seeds"])
    if seeds == 1:
        return ""
    return f" Section 1's own scores are means of {seeds} seeds: they are not these."


def published_audio_table(record: AudioEncoderRecord) -> Shown:
    """What others report."""
    rows = [
        {
            "source": SOURCES[p.source],
            "model": p.model,
            "parameters, millions": _millions(p.parameters),
            "sounds fine-tuned on": p.heard,
            "dataset": p.dataset,
            "direction": DIRECTIONS[p.direction],
            "cvR@5": f"{p.cvr5:.1f}",
            "note": p.note,
        }
        for p in sorted(record.published, key=lambda p: (p.dataset, p.direction, -p.cvr5))
    ]
    return table(
        pd.DataFrame(rows),
        "open_audio_encoder_published",
        "Published scores, per cent; none was measured here, and none is to be compared with the "
        "numbers above, whose pairs are others. mteb's Clotho is its first version, which splits "
        "captions and leaves queries empty. Models whose fine-tuning heard no sound say none.",
    )


def published_differences_table(record: AudioEncoderRecord) -> Shown:
    """Where the two sources report one model differently."""
    field = {(p.model, p.dataset, p.direction): p for p in record.published if p.source == "mteb"}
    rows = [
        {
            "model": p.same_as,
            "dataset": p.dataset,
            "direction": DIRECTIONS[p.direction],
            "the article": f"{p.cvr5:.1f}",
            "mteb": f"{field[key].cvr5:.1f}",
        }
        for p in record.published
        if p.source == "article" and (key := (p.same_as, p.dataset, p.direction)) in field
    ]
    return table(
        pd.DataFrame(rows),
        "open_audio_encoder_differences",
        f"One model, two reports of its cvR@5, per cent.{_bar(record)}",
    )


def _bar(record: AudioEncoderRecord) -> str:
    """What small models reach where the article's own baseline is a CLAP."""
    where = ("AudioCaps", "text-to-audio")
    some = [p for p in record.published if (p.dataset, p.direction) == where]
    theirs = [p for p in some if p.source == "article" and "clap" in p.same_as.lower()]
    small = [p for p in some if p.source == "mteb" and (p.parameters or SMALL) < SMALL]
    if not theirs or not small:
        return ""
    best = max(small, key=lambda p: p.cvr5)
    return (
        f" The article's bar of {theirs[0].cvr5:.1f} on {where[0]}, {DIRECTIONS[where[1]]}, is "
        f"low: {best.model}, of {_millions(best.parameters)} million parameters, reaches "
        f"{best.cvr5:.1f} there."
    )


def audio_findings(record: AudioEncoderRecord) -> Bullets:
    """What the record says, in sentences."""
    lines = list(_findings(record))
    return Bullets(lines)


def _directions(gains: Sequence[Gain]) -> Iterator[tuple[str, Score]]:
    """Each subset and direction in words, with its difference."""
    for g in gains:
        yield f"{SUBSETS[g.subset]}, text to audio", g.text_to_audio
        yield f"{SUBSETS[g.subset]}, audio to text", g.audio_to_text


# Differences of equal rates come out of the bootstrap a rounding error above or below 0.
_SURELY = 1e-9
FEW = 3  # that a sentence lists
SMALL = 200_000_000  # parameters that a small model stays below
LEVEL = 0.03  # a difference without an interval that says nothing
# How the question begins that a sentence of its own answers.
_EVERYWHERE = "Does the best route beat the best baseline"
_BEATS = "Does module combination"
# Those whose differences stand in sentences of their own, or in the table alone.
_ELSEWHERE = ("Does the best route lead", "Do the other routes", "Do fewer layers",
              "Does another style")  # fmt: skip
# What the findings leave to the table of differences, by what is compared with.
_LEFT_OUT = {("text-only", "chance"), ("text-only, then pruned", "chance"),
             ("text-only, then pruned", "text-only")}  # fmt: skip


def _points(gain: Gain) -> str:
    return (
        f"{percent(gain.text_to_audio)} points text to audio and "
        f"{percent(gain.audio_to_text)} audio to text"
    )


def _mean_gain(record: AudioEncoderRecord, model: str, over: str) -> Gain | None:
    """The paired difference in the mean of subsets; earlier records lack some."""
    same = (model, over, MEAN)
    return next((g for g in record.gains if (g.model, g.over, g.subset) == same), None)


def _on_each(gains: Sequence[Gain]) -> str:
    """A yes or a no for each subset: one that is sure in both directions."""
    short = SUBSETS | {"caption": "captions in an unknown voice", KNOWN: "captions in known voices"}
    answers: dict[str, list[str]] = {"yes": [], "surely not": [], "not surely": []}
    for g in (g for g in gains if g.subset != MEAN):
        both = (g.text_to_audio, g.audio_to_text)
        yes, no = all(s.low > _SURELY for s in both), all(s.high < -_SURELY for s in both)
        answers["yes" if yes else "surely not" if no else "not surely"].append(short[g.subset])
    return "; ".join(f"{a} on {', '.join(names)}" for a, names in answers.items() if names)


def _verdict(gains: Sequence[Gain]) -> str:
    """The mean difference, and where it is surely above zero, surely below, or neither."""
    mean = next(g for g in gains if g.subset == MEAN)
    said = [f"in the mean of subsets {_points(mean)}"]
    named = list(_directions([g for g in gains if g.subset != MEAN]))
    for words, chosen in (
        ("surely better", [n for n, s in named if s.low > _SURELY]),
        ("surely worse", [n for n, s in named if s.high < -_SURELY]),
    ):
        if chosen:
            few = f" ({'; '.join(chosen)})" if len(chosen) <= FEW else ""  # the table has all
            said.append(f"{words} in {len(chosen)} of {len(named)} comparisons{few}")
    if len(said) == 1:
        said.append(f"in none of {len(named)} comparisons surely better or worse")
    return ", ".join(said)


def _findings(record: AudioEncoderRecord) -> Iterator[str]:
    best = record.model(record.best, "route")
    bars = record.of("baseline")
    bar = max(bars, key=lambda m: m.mean)
    yield (
        f"The best route on validation pairs, text-only aside, is “{best.name}”, {best.layers} "
        f"layers and {_millions(best.parameters)} million parameters: cvR@5 {100 * best.mean:.1f}% "
        f"in the mean of subsets and directions of the test, where the best baseline, {bar.name}, "
        f"gets {100 * bar.mean:.1f}%. {_both_ways(record, best, bar)}"
    )
    yield from _by_subset(record, best)
    yield from _full(record)
    if best.loss and best.guess:
        yield (
            f"The best route's loss has come down to {best.loss:.2f} in {best.steps} steps; "
            f"guessing costs {best.guess:.2f}."
            + (
                " That is hardly anything learnt: too few steps for the routes to differ by more "
                "than chance."
                if best.loss > 0.9 * best.guess
                else ""
            )
        )
    yield from _rarest(record, best)
    pruned = pruning_models(record)
    gain = _mean_gain(record, pruned[-1].name, pruned[0].name)
    yield (
        "Layers kept and cvR@5: "
        + ", ".join(f"{m.layers} layers {100 * m.mean:.1f}%" for m in pruned)
        + f"; the fewest {'lose' if pruned[-1].mean < pruned[0].mean else 'gain'} "
        f"{abs(100 * (pruned[-1].mean - pruned[0].mean)):.1f} points on the largest "
        f"({_points(gain) if gain else 'no interval'}, one seed). All are tuned equally long; the "
        "whole model may want longer."
    )
    text = [g for g in record.gains if g.question.startswith("Does text-only")]
    yield _survival(text, record.model("aligned", "step"))
    yield _about_texts(record, text)
    yield _steps_on_texts(record)
    answered = {text[0].question}  # answered by the sentences before
    for question, model, over in dict.fromkeys((g.question, g.model, g.over) for g in record.gains):
        some = [g for g in record.gains if (g.question, g.model, g.over) == (question, model, over)]
        if (model, over) in _LEFT_OUT or all(g.subset != MEAN for g in some):
            continue
        if question.startswith(_ELSEWHERE):
            continue
        asked = "" if question in answered else f"{question} "
        answered.add(question)
        each = f"{_on_each(some)}; " if question.startswith(_BEATS) else ""
        yield f"{asked}{model[0].upper()}{model[1:]} against {over}: {each}{_verdict(some)}."
    styles = {(m.style, m.tested): m.mean for m in record.of("style")}
    for style in dict.fromkeys(s for s, _ in styles):
        for tested in dict.fromkeys(t for _, t in styles):
            if tested != style:
                drop = 100 * (styles[style, style] - styles[style, tested])
                gain = _mean_gain(record, f"{style} to {tested}", f"{tested} to {tested}")
                yield (
                    f"Trained on the style {style}, tested on {tested}: {abs(drop):.1f} points "
                    f"{'less' if drop >= 0 else 'more'} than on its own style (one seed)"
                    + (f"; beside a model trained on {tested}: {_points(gain)}." if gain else ".")
                )
    if record.batches:
        last = {b.batch_size: b for b in sorted(record.batches, key=lambda b: b.steps)}
        told = ", ".join(f"{size} {100 * b.score:.1f}%" for size, b in sorted(last.items()))
        steps = max(b.steps for b in record.batches)
        yield f"Batches after the same {steps} steps: {told} (one seed, no interval)."
        yield from _later(record, steps)
        yield from _larger_batches(record, best, list(last.values()))
    yield from _used(record)
    yield from _in_the_study(record)


def _later(record: AudioEncoderRecord, steps: int) -> Iterator[str]:
    """Whether a batch size has begun to hurt, as the source saw of large ones."""
    slips = []
    for size in sorted({b.batch_size for b in record.batches}):
        points = [b for b in record.batches if b.batch_size == size]
        top, last = max(points, key=lambda b: b.score), max(points, key=lambda b: b.steps)
        if top.score - last.score > LEVEL:
            slips.append(
                f"batches of {size} from {100 * top.score:.1f}% after {top.steps} steps to "
                f"{100 * last.score:.1f}%"
            )
    told = f"fall back: {'; '.join(slips)}" if slips else "do not fall back"
    yield (
        f"Within these {steps} steps the scores {told} (up to {100 * LEVEL:.0f} points count as "
        "level). So few steps cannot settle whether large batches hurt later, as the source saw."
    )


def _larger_batches(
    record: AudioEncoderRecord, best: AudioModel, last: Sequence[BatchPoint]
) -> Iterator[str]:
    """Where a batch size does better than the best route, which was not chosen among sizes."""
    top = max(last, key=lambda b: b.score)
    if top.score <= best.mean:
        return
    size = _batch_size(record)
    told = (
        f"Batches of {top.batch_size} after {top.steps} steps, an ablation of {record.small} "
        f"layers, get {100 * top.score:.1f}% on the test, above the {100 * best.mean:.1f}% of the "
        f"best route: all routes have batches of {size}, and the size was not tuned at equal "
        f"pairs seen ({top.batch_size * top.steps} there, {size * best.steps} for the best route)."
    )
    by_pairs: dict[int, list[BatchPoint]] = {}
    for b in record.batches:
        by_pairs.setdefault(b.batch_size * b.steps, []).append(b)
    shared = [pairs for pairs, points in by_pairs.items() if len(points) > 1]
    if shared:
        equal = " and ".join(
            f"batches of {b.batch_size} {100 * b.score:.1f}% (step {b.steps} of {top.steps})"
            for b in sorted(by_pairs[max(shared)], key=lambda b: b.batch_size)
        )
        told += f" After as many pairs, {max(shared)}, {equal}."
    yield told


def _both_ways(record: AudioEncoderRecord, best: AudioModel, bar: AudioModel) -> str:
    """The best route and a baseline in each direction, with intervals."""
    ways = [
        (DIRECTIONS["text-to-audio"], best.text_to_audio, bar.text_to_audio),
        (DIRECTIONS["audio-to-text"], best.audio_to_text, bar.audio_to_text),
    ]
    told = "; ".join(
        f"{way} {percent(mine)}% and {percent(theirs)}%"
        + (", which is no lead" if mine.value <= theirs.value else "")
        for way, mine, theirs in ways
    )
    gain = _mean_gain(record, best.name, bar.name)
    paired = _points(gain) if gain else "not computed in this record"
    return f"Each way, the route and the baseline: {told}. Their paired difference: {paired}."


def _full(record: AudioEncoderRecord) -> Iterator[str]:
    """Why tuning all layers after alignment falls short of linear heads, where it does."""
    full, bar = record.model("full", "route"), record.model("linear heads", "baseline")
    if full.mean >= bar.mean:
        return
    gain = _mean_gain(record, full.name, bar.name)
    told = (
        f"The route “full” loses to the linear heads: {100 * full.mean:.1f}% against "
        f"{100 * bar.mean:.1f}% in the mean of subsets and directions "
        f"({_points(gain) if gain else 'no paired interval'}, one seed)."
    )
    combined = [m for m in record.of("route") if m.name.startswith("combined") and m.loss]
    other = max(combined, key=lambda m: m.mean, default=None)
    if other and other.loss and full.loss and full.loss > other.loss:
        _, after = _stages(record)
        told += (
            f" Too few steps are the likely reason: its {full.layers} layers were trained for "
            f"{after} steps after alignment, to a loss of {full.loss:.2f}, those of “{other.name}” "
            f"for {other.steps}, to {other.loss:.2f}."
        )
    yield told


def _by_subset(record: AudioEncoderRecord, best: AudioModel) -> Iterator[str]:
    """The best route on each subset, beside the baseline that is best there."""
    told = []
    for g in (g for g in record.gains if g.question.startswith(_EVERYWHERE)):
        bar = record.model(g.over, "baseline")
        gains = (g.text_to_audio, g.audio_to_text)
        better = sum(s.low > _SURELY for s in gains)
        worse = sum(s.high < -_SURELY for s in gains)
        sure = [f"surely {w} in {n} of 2" for w, n in (("better", better), ("worse", worse)) if n]
        told.append(
            f"{SUBSETS[g.subset]} {100 * best.on(g.subset).mean:.1f}%, {bar.name} "
            f"{100 * bar.on(g.subset).mean:.1f}% ({' and '.join(sure) or 'neither is sure'})"
        )
    known = any(s.subset == KNOWN for s in best.scores)
    if told:
        yield (
            "On each subset, beside the baseline that is best there: "
            + "; ".join(told)
            + (f". Means leave out the {SUBSETS[KNOWN]}." if known else ".")
        )


def _rarest(record: AudioEncoderRecord, best: AudioModel) -> Iterator[str]:
    """What becomes of the subset that fewest clips are trained on."""
    for alone in record.of("alone"):
        subset = alone.name
        if all(subset != s.subset for s in best.scores):
            continue
        bar = max(record.of("baseline"), key=lambda m: m.on(subset).mean)
        nothing = record.model("chance", "baseline")
        mine, theirs, chance, own = (m.on(subset).mean for m in (best, bar, nothing, alone))
        counts = {s: c["train"] for s, c in record.pairs.items()}
        told = (
            f"Of {SUBSETS[subset]} only {counts[subset]} of {sum(counts.values())} clips are "
            f"trained on: there the best route gets {100 * mine:.1f}%, {bar.name} "
            f"{100 * theirs:.1f}%, chance {100 * chance:.1f}%; "
            f"{_sure(record, best.name, 'chance', subset)} above chance."
        )
        if alone.loss is not None and alone.guess:
            told += (
                f" Trained on these alone {alone.layers} layers get {100 * own:.1f}% after "
                f"{alone.steps} steps ({_sure(record, subset, 'chance', subset)} above chance, "
                f"{_sure(record, subset, best.name, subset)} above the best route), with a loss of "
                f"{alone.loss:.2f} where guessing costs {alone.guess:.2f}"
                + (": the training clips are learnt by heart." if alone.loss < 0.1 * alone.guess
                   else ".")
            )  # fmt: skip
        yield told


def _sure(record: AudioEncoderRecord, model: str, over: str, subset: str) -> str:
    """In how many directions the one is surely above the other on a subset, in words."""
    same = (model, over, subset)
    gain = next(g for g in record.gains if (g.model, g.over, g.subset) == same)
    count = sum(s.low > _SURELY for s in (gain.text_to_audio, gain.audio_to_text))
    return f"surely in {count} of 2 directions" if count else "in neither direction surely"


def _used(record: AudioEncoderRecord) -> Iterator[str]:
    """What the uses come to, beside what they have to beat."""
    if record.uses.routing:
        mine, *others = record.uses.routing
        yield (
            f"Routing: {mine.name} is right for {percent(mine.accuracy)}% of {mine.items} spoken "
            f"commands; the most frequent tool alone for {100 * mine.majority:.0f}%"
            + ("" if mine.accuracy.low > mine.majority else ", and it is not surely above that")
            + "; "
            + "; ".join(f"{o.name} for {percent(o.accuracy)}%" for o in others)
            + "."
        )
    if len(record.uses.labelling) > 1:
        best, *bars = record.uses.labelling
        yield (
            f"Labelling: the nearest caption is right for {percent(best.accuracy)}% of "
            f"{best.items} sounds, by chance for {100 / best.captions:.0f}%"
            + ("" if best.accuracy.low > 1 / best.captions else ", and it is not surely above that")
            + "; "
            + "; ".join(
                f"{CALLED.get(b.encoder, b.encoder)} for {percent(b.accuracy)}%" for b in bars
            )
            + "."
        )


def _in_the_study(record: AudioEncoderRecord) -> Iterator[str]:
    """Where an adaptor answers better from which vectors."""
    by = {(t.task, t.encoder): t.accuracy for t in record.study}
    named = list(dict.fromkeys(t.encoder for t in record.study))
    if len(named) == 2:
        theirs, mine = named
        told = [
            f"{task} {percent(by[task, mine])}% from its vectors and {percent(by[task, theirs])}% "
            f"from those of {theirs}"
            for task in dict.fromkeys(t.task for t in record.study)
        ]
        yield "Back in the study, section 1's adaptor answers " + "; ".join(told) + "."


def _surely_above(gains: Sequence[Gain], model: str, over: str) -> int:
    """In how many of the two directions a model is better in the mean of subsets."""
    mean = next(g for g in gains if (g.model, g.over, g.subset) == (model, over, MEAN))
    return sum(s.low > _SURELY for s in (mean.text_to_audio, mean.audio_to_text))


def _about_texts(record: AudioEncoderRecord, gains: Sequence[Gain]) -> str:
    """What training on texts teaches about texts, and whether sounds follow."""
    before, after, pruned = record.aside
    told = (
        f"From a text to the other of its pair, in {before.pairs} pairs kept aside: cvR@5 "
        f"{percent(before.score)}% before training on texts, {percent(after.score)}% after it "
        f"({percent(after.gain)} points), {percent(pruned.score)}% pruned as well"
    )
    if after.gain.low <= _SURELY:
        return told + ": it teaches nothing sure even about texts."
    follow = _surely_above(gains, "text-only", "aligned")
    return told + (
        ": it teaches about texts, and the retrieval of clips "
        + (f"follows in {follow} of 2 directions" if follow else "does not surely follow")
        + " in the mean of subsets."
    )


def _steps_on_texts(record: AudioEncoderRecord) -> str:
    """How much of a pass the stages of text-only transfer are."""
    (aligned, after), clips = _stages(record), _clips(record)
    seen, read = _seen(record, aligned, clips), _seen(record, after, record.texts)
    told = (
        f"Of text-only transfer, alignment saw {seen} of {clips} clips in {aligned} steps "
        f"({seen / clips:.0%} of a pass), and the stage on texts {read} of {record.texts} pairs in "
        f"{after} ({read / record.texts:.0%})"
    )
    few = ": so few steps are the likely limit, and this is no verdict on the method."
    return told + (few if read < record.texts else ".")


def _apart(gains: Sequence[Gain]) -> str:
    """Where training on texts is surely better or worse on one subset, whole and pruned."""
    told = []
    for model, over, words in (
        ("text-only", "aligned", "whole"),
        ("text-only, then pruned", "aligned, then pruned", "pruned"),
    ):
        some = [g for g in gains if (g.model, g.over) == (model, over) and g.subset != MEAN]
        sure = [
            f"{name}, by {percent(s)} points"
            for name, s in _directions(some)
            if s.low > _SURELY or s.high < -_SURELY
        ]
        if sure:
            told.append(f"{words}, on {' and '.join(sure)}")
    if not told:
        return ""
    return f" On single subsets it surely makes a difference {'; '.join(told)}."


def _survival(gains: Sequence[Gain], aligned: AudioModel) -> str:
    """Whether what training on texts adds, in the mean of subsets, is left after pruning."""
    same = ("aligned", "chance", MEAN)
    gain = next(g for g in gains if (g.model, g.over, g.subset) == same)
    weak = (
        f"What it starts from is weak: alignment brings the loss from {aligned.guess:.2f}, which "
        f"is guessing, to {aligned.loss:.2f}, and retrieval {percent(gain.text_to_audio)} points "
        f"(text to audio) and {percent(gain.audio_to_text)} (audio to text) above chance. Texts "
        "can improve what sounds and texts share, and here they share little."
    )
    if not _surely_above(gains, "text-only", "chance"):
        return (
            "The model trained on texts is not surely above chance even when whole: there is "
            f"nothing that could survive pruning, and the question is not answered here. {weak}"
        )
    before = _surely_above(gains, "text-only", "aligned")
    if not before:
        return (
            "In the mean of subsets training on texts adds nothing sure to the alignment, which "
            "saw sounds, even when the model is whole: there is no transfer that could survive "
            f"pruning, and the question is not answered here.{_apart(gains)} {weak}"
        )
    after = _surely_above(gains, "text-only, then pruned", "aligned, then pruned")
    kept = (
        "does not survive pruning"
        if after == 0
        else "survives pruning in part"
        if after < before
        else "survives pruning"
    )
    return (
        f"Text-only transfer {kept}: in the mean of subsets, training on texts makes the aligned "
        f"model surely better in {before} of 2 directions when whole, in {after} when pruned."
    )
