"""Section 5 in tables, charts and sentences, from its record alone."""

from __future__ import annotations

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from gemb.figures.shown import (
    ADAPTOR,
    GREY,
    PALETTE,
    STYLE,
    Shown,
    percent,
    picture,
    table,
)
from gemb.records import MEAN, AudioEncoderRecord, AudioModel, Score

KNOWN = "caption-known-voice"  # the subset that means over subsets leave out
SUBSETS = {
    "speech": "speech",
    "sound": "sounds",
    "caption": "captions read aloud, unknown voice",
    KNOWN: "captions read aloud, known voices",
}
DIRECTIONS = {"text-to-audio": "text to audio", "audio-to-text": "audio to text"}
SMALL = 200_000_000  # parameters that a small model stays below
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


def millions(count: int | None) -> str:
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
        f"Clips, profile {record.provenance.profile}: {clips_of(record)} to train on, beside "
        f"{record.texts} pairs of texts; {_passes(record)}. No recording and no caption is on two "
        "sides; tested speech and the captions in an unknown voice are by voices that training "
        "never heard.",
    )


def clips_of(record: AudioEncoderRecord) -> int:
    """Clips that there are to train on."""
    return sum(c["train"] for c in record.pairs.values())


def batch_size_of(record: AudioEncoderRecord) -> int:
    return int(record.provenance.settings["audio"]["batch_size"])


def pairs_seen(record: AudioEncoderRecord, steps: int, there: int) -> int:
    """How many of ``there`` pairs so many steps come to, at most."""
    return min(there, steps * batch_size_of(record))


def stages_of(record: AudioEncoderRecord) -> tuple[int, int]:
    """Steps of alignment, and of the training after it."""
    aligned = record.model("aligned", "step").steps
    return aligned, record.model("full", "route").steps - aligned


def text_steps_of(record: AudioEncoderRecord) -> int:
    """Steps of the stage that is trained on texts alone."""
    return record.model("text-only", "route").steps - stages_of(record)[0]


def _passes(record: AudioEncoderRecord) -> str:
    """How much of the pairs the steps come to."""
    clips, (aligned, after) = clips_of(record), stages_of(record)
    told = [(aligned, f"in the {aligned} steps of alignment"), (after, f"in the {after} after it")]
    long = max((m.steps for m in record.of("route") if m.name.startswith("combined")), default=0)
    if long:
        told.append((long, f"in the {long} of the combined models"))
    seen = ", ".join(f"{pairs_seen(record, steps, clips)} {where}" for steps, where in told)
    return (
        f"batches of {batch_size_of(record)} come to at most so many of the clips: {seen}; and the "
        f"{text_steps_of(record)} steps on texts to "
        f"{pairs_seen(record, text_steps_of(record), record.texts)} of their pairs"
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
            "trained, millions": millions(m.trained),
            "in all, millions": millions(m.parameters),
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
    return f", the frozen audio encoders with {millions(record.frozen)} among them"


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
    after = text_steps_of(record)
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
        f"{pairs_seen(record, after, record.texts)} of {record.texts} pairs of texts; text to "
        f"text: from one to the other, in {record.aside[0].pairs} pairs kept aside. It is an "
        "analogue of the source's: there the parts came aligned from pretraining on far more, "
        "here they are aligned by these few pairs.",
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
        beside = {
            "difference": {t.task: percent(t.gain) for t in record.study if t.gain},
            "most frequent answer": {
                t.task: f"{100 * t.majority:.1f}" for t in record.study if t.majority is not None
            },
        }
        frame = frame.loc[counts.index].assign(
            **{name: [of.get(t, "–") for t in counts.index] for name, of in beside.items()},
            items=counts,
        )
        frame = frame.reset_index()
        frame.columns.name = None
    known = {t.task: f"{t.task} {t.known} of {t.items}" for t in record.study if t.known}
    return table(
        frame,
        "open_audio_encoder_study",
        f"Section 1's adaptor on the vectors of the best model here ({record.best}) beside those "
        "of the default encoder: exact match, per cent, with 95% intervals, one seed; the "
        "difference is paired, over the same items, and positive where the best model's vectors do "
        "better. Tested "
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
            "parameters, millions": millions(p.parameters),
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
        f"low: {best.model}, of {millions(best.parameters)} million parameters, reaches "
        f"{best.cvr5:.1f} there."
    )
