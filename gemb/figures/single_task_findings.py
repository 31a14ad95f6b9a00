"""What section 1's record says, in sentences: in short, and beside the tables that they are of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from gemb import tasks
from gemb.figures.shown import Bullets, percent
from gemb.figures.single_task import FEW_GROUPS, LONGER, last_epochs, method_of, small_gap
from gemb.records import SingleTaskRecord, TaskResult


def findings(record: SingleTaskRecord, part: str = "short") -> Bullets:
    """What the record says, in sentences whose every number is taken from it.

    Args:
        record: Of section 1.
        part: One of :data:`PARTS`: ``short``, the answers alone, or what one of the section's
            tables comes to.
    """
    return Bullets(list(PARTS[part](record)))


def _short(record: SingleTaskRecord) -> Iterator[str]:
    """The answers to what the section asks."""
    fixed, known = _fixed(record), _known(record)
    better = [r for r in known if _surely_better(r)]
    close = [r for r in known if small_gap(r) and r not in better]
    start = "Against logistic regression on the same vectors, in points, the adaptor is"
    if better:
        yield (f"{start} surely better on {', '.join(_gap(r) for r in better)}.{_warning(better)}")
    if close:
        yield (
            "The adaptor loses at most 3 points by its point estimate, or a loss of more than 6 "
            f"is excluded by the interval, on {', '.join(_gap(r) for r in close)}."
        )
    rest = [r for r in known if r not in better and r not in close]
    worse = [r for r in rest if _surely_worse(r)]
    unsure = [r for r in rest if r not in worse]
    if worse:
        yield f"{start} surely worse on {', '.join(_gap(r) for r in worse)}.{_warning(worse)}"
    if unsure:
        yield f"The adaptor may lose more on {', '.join(_gap(r) for r in unsure)}."
    by_task = {r.task: r for r in fixed}
    if "scene-text" in by_task and (ocr := method_of(by_task["scene-text"], "packaged OCR")):
        result = by_task["scene-text"]
        yield (
            "The rendered words are readable: a packaged OCR reads "
            f"{percent(ocr.accuracy, False)}% of those it was asked for. From the vector of an "
            "image classifier neither learns which word it is: adaptor "
            f"{percent(result.method('adaptor').accuracy, False)}%, logistic regression "
            f"{percent(result.method('logistic regression').accuracy, False)}%, both trained on "
            f"{result.n_train} pictures of {len(result.classes)} words. Whether more pictures of "
            "each would help was not tried."
        )
    controls = [(r, c) for r in fixed for c in r.controls]
    about = record.provenance.settings
    if controls:
        asked = [tasks.get(r.task).title for r, _ in controls]
        result, top = max(controls, key=lambda rc: rc[1].accuracy.value)
        yield (
            f"Of all controls, run on {' and '.join(dict.fromkeys(asked))}, the highest is "
            f"{percent(top.accuracy)}% ({top.method}, "
            f"{tasks.get(result.task).title}), where always giving the most frequent answer gets "
            f"{percent(result.method('majority').accuracy, False)}%."
            + (
                " It is one shuffle: a class may fall to its own answer by luck."
                if top.method == "shuffled labels" and about.get("shuffles", 1) == 1
                else ""
            )
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
        yield (
            "The random fifth is furthest above the leak-free split on "
            f"{tasks.get(result.task).title}: {percent(drawn.method('adaptor').accuracy)}% on it, "
            f"{percent(result.method('adaptor').accuracy)}% when groups are kept apart."
        )


def _on_gap(record: SingleTaskRecord) -> Iterator[str]:
    """Why going through the language model may cost more than logistic regression."""
    known = _known(record)
    voted = [(r, r.voted) for r in known if r.voted and not small_gap(r)]
    reasons: dict[str, list[TaskResult]] = {}
    for result in known:
        if not small_gap(result):
            reasons.setdefault(_why(result), []).append(result)
    for why, those in reasons.items():
        titles = ", ".join(tasks.get(r.task).title for r in those)
        yield f"The adaptor loses to logistic regression on {titles}: {why}."
    if voted:
        near = [r for r, v in voted if v.over_regression.value >= -0.03]
        each = ", ".join(
            f"{tasks.get(r.task).title} {percent(v.over_regression)}" for r, v in voted
        )
        yield (
            f"By point estimate the {voted[0][1].seeds} seeds' adaptors by vote lose at most 3 "
            f"points on {len(near)} of these {len(voted)}, though more is not excluded ({each}): "
            "what the vote gains is the scatter of single trainings, "
            "which logistic regression, whose best fit is one, does not have."
        )


def _on_others(record: SingleTaskRecord) -> Iterator[str]:
    """What else could explain an answer."""
    by_task = {r.task: r for r in _fixed(record)}
    if "gender" in by_task and (pitch := method_of(by_task["gender"], "pitch only")):
        yield (
            "Gender of a voice on unseen speakers: adaptor "
            f"{percent(by_task['gender'].method('adaptor').accuracy)}%, the pitch alone "
            f"{percent(pitch.accuracy)}%. For speakers whose gender is inferred from pitch, the "
            "pitch has an advantage."
        )
    if "emotion" in by_task and (phrase := method_of(by_task["emotion"], "phrase only")):
        result = by_task["emotion"]
        yield (
            f"Emotion: adaptor {percent(result.method('adaptor').macro_accuracy)}% macro, where "
            f"chance is {100 / len(result.classes):.1f}%. Knowing which event was spoken gives "
            f"{percent(phrase.accuracy, False)}%, for the labels are made from the events: what is "
            "recognised may be the phrase and not the emotion."
        )


PARTS: dict[str, Callable[[SingleTaskRecord], Iterator[str]]] = {
    "short": _short,
    "gap": _on_gap,
    "others": _on_others,
}


# --- sentences ----------------------------------------------------------------


def _fixed(record: SingleTaskRecord) -> list[TaskResult]:
    """The results on the leak-free split."""
    return [r for r in record.results if r.protocol == "leak-free"]


def _known(record: SingleTaskRecord) -> list[TaskResult]:
    """Those of them that logistic regression learns, so that there is a gap to speak of."""
    return [r for r in _fixed(record) if small_gap(r) is not None and _reads(r)]


def _gap(result: TaskResult) -> str:
    difference = result.method("logistic regression").difference
    plus = "+" if difference is not None and difference.value > 0 else ""
    return f"{tasks.get(result.task).title} {plus}{percent(difference)}"


def _why(result: TaskResult) -> str:
    """What the record says about a gap: overfitting, too few steps, the language model, or none."""
    main, regression = result.method("adaptor"), result.method("logistic regression")
    head = method_of(result, "MLP head")
    before, last = last_epochs(result)
    if head is not None and head.difference is not None:
        lost = head.accuracy.value - regression.accuracy.value
        of_it = main.accuracy.value - regression.accuracy.value
        if lost <= of_it / 2:
            return (
                "an MLP on the same vectors without any language model loses at least half as "
                "much, which is not the language model's doing"
            )
    if before is None or last - before > 0.01:
        return "validation accuracy had not stopped rising when training ended: too few steps"
    longer = method_of(result, LONGER)
    stopped = (
        "validation accuracy no longer rose in the last epoch, which a falling learning rate does "
        "by itself, so that a longer training, which was not tried, may still help"
    )
    if longer is not None and longer.difference is not None and longer.difference.high > 0:
        stopped = "trained twice as long it is not surely better"
    if head is not None and head.difference is not None and head.difference.high < 0:
        return (
            f"an MLP without a language model surely loses less, so that the vectors do not "
            f"explain it; {stopped}"
        )
    if result.voted and result.voted.accuracy.value > main.accuracy.value:
        return f"{stopped}; a part is the scatter of single trainings (see the vote)"
    return f"{stopped}; the cause is not known"


def _warning(results: Sequence[TaskResult]) -> str:
    """That an interval over few groups is too narrow to be sure of."""
    few = [f"{tasks.get(r.task).title} {r.groups}" for r in results if r.groups < FEW_GROUPS]
    return f" (Of few test groups, to be taken with care: {', '.join(few)}.)" if few else ""


def _reads(result: TaskResult) -> bool:
    """Whether the adaptor or logistic regression is surely above one answer to all, by macro."""
    both = result.method("adaptor"), result.method("logistic regression")
    return any(m.macro_accuracy.low > 1 / len(result.classes) for m in both)


def _surely_worse(result: TaskResult) -> bool:
    difference = result.method("logistic regression").difference
    return difference is not None and difference.high < 0


def _surely_better(result: TaskResult) -> bool:
    difference = result.method("logistic regression").difference
    return difference is not None and difference.low > 0
