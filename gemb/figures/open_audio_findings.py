"""What section 5's record says, in sentences: in short, and beside the tables that they are of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from gemb.figures.audio_uses import CALLED
from gemb.figures.open_audio_encoder import (
    DIRECTIONS,
    KNOWN,
    SUBSETS,
    batch_size_of,
    clips_of,
    millions,
    pairs_seen,
    pruning_models,
    stages_of,
    text_steps_of,
)
from gemb.figures.shown import Bullets, percent
from gemb.records import MEAN, AudioEncoderRecord, AudioModel, BatchPoint, Gain, Score

# Differences of equal rates come out of the bootstrap a rounding error above or below 0.
_SURELY = 1e-9
FEW = 3  # that a sentence lists
LEVEL = 0.03  # a difference without an interval that says nothing
# How the questions begin that the sentences of one part answer, a comparison each.
_ON_TEXTS = ("Does text-only",)
_COMBINED = "Does module combination"
_ON_ROUTES = (_COMBINED, "Does the best route beat the linear heads", "Does alignment",
              "Does the last token", "Does the whole model want")  # fmt: skip
# How the question begins that compares the best route with the best baseline of each subset.
_EVERYWHERE = "Does the best route beat the best baseline"
# What the sentences leave to the table of differences, by what is compared with.
_LEFT_OUT = {("text-only", "chance"), ("text-only, then pruned", "chance"),
             ("text-only, then pruned", "text-only")}  # fmt: skip


def audio_findings(record: AudioEncoderRecord, part: str = "short") -> Bullets:
    """What the record says, in sentences.

    Args:
        record: Of section 5.
        part: One of :data:`PARTS`: ``short``, the answers alone, or what one of the section's
            tables comes to.
    """
    return Bullets(list(PARTS[part](record)))


def _short(record: AudioEncoderRecord) -> Iterator[str]:
    """The answers to what the section asks."""
    best, bar = record.model(record.best, "route"), _bar(record)
    gain = _mean_gain(record, best.name, bar.name)
    paired = f"a paired difference of {_points(gain)}" if gain else "no paired interval"
    yield (
        f"The route best on validation pairs, text-only aside, “{best.name}” "
        f"({millions(best.parameters)} million parameters), finds a right text or sound among its "
        f"first five (cvR@5) for {100 * best.mean:.1f}% of test queries, in the mean of kinds of "
        f"pairs and of both ways; the best baseline, {bar.name}, does for "
        f"{100 * bar.mean:.1f}% ({paired})."
    )
    yield from _by_subset(record, best)
    beats = [g for g in record.gains if g.question.startswith(_COMBINED)]
    told = [
        f"{_capital(name)}: {_on_each([g for g in beats if g.model == name])}"
        for name in dict.fromkeys(g.model for g in beats)
    ]
    if told:
        yield f"{beats[0].question} {'. '.join(told)}."
    yield _survival(_on_texts(record))
    used = []
    for routed in record.uses.routing[:1]:
        sure = "surely" if routed.accuracy.low > routed.majority else "not surely"
        used.append(
            f"at routing spoken commands the best route's model is {sure} better than the most "
            "frequent tool"
        )
    for labelled in record.uses.labelling[:1]:
        sure = "surely" if labelled.accuracy.low > 1 / labelled.captions else "not surely"
        used.append(f"at labelling sounds {sure} better than chance")
    if used:
        yield f"Put to use: {', '.join(used)}."
    long = max(m.steps for m in record.of("route"))
    yield (
        f"Every route was trained once, for {long} steps of {batch_size_of(record)} pairs at most: "
        "how routes differ is how they differ after so short a training."
    )


def _routes(record: AudioEncoderRecord) -> Iterator[str]:
    """The best route, and where routes and what is changed in them differ."""
    best = record.model(record.best, "route")
    yield _both_ways(record, best, _bar(record))
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
    yield from _compared(record, _ON_ROUTES)


def _layers(record: AudioEncoderRecord) -> Iterator[str]:
    """What pruning costs."""
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


def _texts(record: AudioEncoderRecord) -> Iterator[str]:
    """What training on texts teaches, and how much of it there was."""
    gains = _on_texts(record)
    yield from _weak(gains, record.model("aligned", "step"))
    yield _about_texts(record, gains)
    yield _steps_on_texts(record)
    yield from _compared(record, _ON_TEXTS)


def _styles(record: AudioEncoderRecord) -> Iterator[str]:
    """What it costs to be tested on another style than one was trained on."""
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


def _batches(record: AudioEncoderRecord) -> Iterator[str]:
    """What larger batches give, and whether they begin to hurt."""
    if not record.batches:
        return
    last = {b.batch_size: b for b in sorted(record.batches, key=lambda b: b.steps)}
    told = ", ".join(f"{size} {100 * b.score:.1f}%" for size, b in sorted(last.items()))
    steps = max(b.steps for b in record.batches)
    sizes = [f"batches of {size}" for size in (max(last), min(last))]
    gain = _mean_gain(record, sizes[0], sizes[1])
    yield (
        f"Batches after the same {steps} steps: {told} (one seed; "
        + (f"{sizes[0]} over {sizes[1]}, paired: {_points(gain)}" if gain else "no interval")
        + ")."
    )
    yield from _later(record, steps)
    yield from _larger_batches(record, record.model(record.best, "route"), list(last.values()))


def _uses(record: AudioEncoderRecord) -> Iterator[str]:
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


def _study(record: AudioEncoderRecord) -> Iterator[str]:
    """Where an adaptor answers better from which vectors."""
    by = {(t.task, t.encoder): t.accuracy for t in record.study}
    named = list(dict.fromkeys(t.encoder for t in record.study))
    gains = {t.task: t.gain for t in record.study if t.gain}
    if len(named) == 2:
        theirs, mine = named
        told = [
            f"{task} {percent(by[task, mine])}% from the best route's vectors and "
            f"{percent(by[task, theirs])}% from those of {theirs}"
            + (f" ({_sureness(gains[task])})" if task in gains else "")
            for task in dict.fromkeys(t.task for t in record.study)
        ]
        yield "Back in the study, section 1's adaptor answers " + "; ".join(told) + "."


PARTS: dict[str, Callable[[AudioEncoderRecord], Iterator[str]]] = {
    "short": _short,
    "routes": _routes,
    "layers": _layers,
    "texts": _texts,
    "batches": _batches,
    "styles": _styles,
    "uses": _uses,
    "study": _study,
}


# --- sentences ----------------------------------------------------------------


def _bar(record: AudioEncoderRecord) -> AudioModel:
    """The best baseline in the mean."""
    return max(record.of("baseline"), key=lambda m: m.mean)


def _capital(name: str) -> str:
    return name[0].upper() + name[1:]


def _on_texts(record: AudioEncoderRecord) -> list[Gain]:
    """The differences that text-only transfer is judged by."""
    return [g for g in record.gains if g.question.startswith(_ON_TEXTS)]


def _compared(record: AudioEncoderRecord, questions: tuple[str, ...]) -> Iterator[str]:
    """A sentence a comparison, the question before the first that answers it."""
    answered = {g.question for g in _on_texts(record)}  # in short
    for question, model, over in dict.fromkeys((g.question, g.model, g.over) for g in record.gains):
        if not question.startswith(questions) or (model, over) in _LEFT_OUT:
            continue
        some = [g for g in record.gains if (g.question, g.model, g.over) == (question, model, over)]
        asked = "" if question in answered else f"{question} "
        answered.add(question)
        yield f"{asked}{_capital(model)} against {over}: {_verdict(some)}."


def _directions(gains: Sequence[Gain]) -> Iterator[tuple[str, Score]]:
    """Each subset and direction in words, with its difference."""
    for g in gains:
        yield f"{SUBSETS[g.subset]}, text to audio", g.text_to_audio
        yield f"{SUBSETS[g.subset]}, audio to text", g.audio_to_text


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
    answers: dict[str, list[str]] = {"yes": [], "surely worse": [], "not surely": []}
    for g in (g for g in gains if g.subset != MEAN):
        both = (g.text_to_audio, g.audio_to_text)
        yes, no = all(s.low > _SURELY for s in both), all(s.high < -_SURELY for s in both)
        answers["yes" if yes else "surely worse" if no else "not surely"].append(short[g.subset])
    return "; ".join(f"{a} on {', '.join(names)}" for a, names in answers.items() if names)


def _sureness(gain: Score) -> str:
    """A paired difference, and whether it is sure."""
    sure = "surely better" if gain.low > _SURELY else "surely worse" if gain.high < -_SURELY else ""
    return f"{sure or 'neither is sure'}, {percent(gain)} points"


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
    size = batch_size_of(record)
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
    longer = next((m for m in record.of("ablation") if m.name.startswith("full, ")), None)
    if longer is None:
        yield told + " Why, this run does not show: it was not trained for longer."
        return
    aligned, after = stages_of(record)
    more = _mean_gain(record, longer.name, full.name)
    beside = _mean_gain(record, longer.name, bar.name)
    helped = more and any(s.low > _SURELY for s in (more.text_to_audio, more.audio_to_text))
    told += (
        f" Trained for {longer.steps - aligned} steps after alignment, and not {after}, it gets "
        f"{100 * longer.mean:.1f}%"
    )
    told += f" ({_points(more)} more)" if more else ""
    if longer.loss and full.loss:
        told += f", with a loss of {longer.loss:.2f} and not {full.loss:.2f}"
    told += ": too few steps are a reason" if helped else ": more steps do not surely help"
    yield told + (f"; beside the linear heads that is {_points(beside)}." if beside else ".")


def _by_subset(record: AudioEncoderRecord, best: AudioModel) -> Iterator[str]:
    """The best route on each subset, beside the baseline that is best there."""
    told = []
    for g in (g for g in record.gains if g.question.startswith(_EVERYWHERE)):
        bar = record.model(g.over, "baseline")
        gains = (g.text_to_audio, g.audio_to_text)
        better = sum(s.low > _SURELY for s in gains)
        worse = sum(s.high < -_SURELY for s in gains)
        ways = {1: "one way", 2: "both ways"}
        sure = [
            f"surely {word} {ways[n]}" for word, n in (("better", better), ("worse", worse)) if n
        ]
        told.append(
            f"{SUBSETS[g.subset]} {100 * best.on(g.subset).mean:.1f}%, {bar.name} "
            f"{100 * bar.on(g.subset).mean:.1f}% ({' and '.join(sure) or 'neither is sure'})"
        )
    known = any(s.subset == KNOWN for s in best.scores)
    if told:
        yield (
            "By kind of pair, beside the baseline that is best there: "
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
    aligned, after, clips = stages_of(record)[0], text_steps_of(record), clips_of(record)
    seen, read = pairs_seen(record, aligned, clips), pairs_seen(record, after, record.texts)
    told = (
        f"Of text-only transfer, alignment saw {seen} of {clips} clips in {aligned} steps "
        f"({seen / clips:.0%} of a pass), and the stage on texts {read} of {record.texts} pairs in "
        f"{after} ({read / record.texts:.0%})"
    )
    return told + ": so little training is no verdict on the method."


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
    return f" On single subsets training on texts surely makes a difference {'; '.join(told)}."


def _weak(gains: Sequence[Gain], aligned: AudioModel) -> Iterator[str]:
    """Why there is little that texts could improve, where they add nothing sure."""
    if _surely_above(gains, "text-only", "chance") and _surely_above(gains, "text-only", "aligned"):
        return
    same = ("aligned", "chance", MEAN)
    gain = next(g for g in gains if (g.model, g.over, g.subset) == same)
    yield (
        f"What text-only transfer starts from is weak: alignment brings the loss from "
        f"{aligned.guess:.2f}, which is guessing, to {aligned.loss:.2f}, and retrieval "
        f"{percent(gain.text_to_audio)} points (text to audio) and {percent(gain.audio_to_text)} "
        f"(audio to text) above chance. Texts can improve what sounds and texts share, and here "
        f"they share little.{_apart(gains)}"
    )


def _survival(gains: Sequence[Gain]) -> str:
    """Whether what training on texts adds, in the mean of subsets, is left after pruning."""
    if not _surely_above(gains, "text-only", "chance"):
        return (
            "Does text-only transfer survive pruning? Not answered here: the model trained on "
            "texts is not surely above chance even when whole."
        )
    before = _surely_above(gains, "text-only", "aligned")
    if not before:
        return (
            "Does text-only transfer survive pruning? Not answered here: in the mean of subsets "
            "training on texts adds nothing sure to the alignment, which saw sounds, even when "
            "the model is whole."
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
