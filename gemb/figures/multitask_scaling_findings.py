"""What section 4's record says, in sentences: in short, and beside the tables that they are of."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from gemb.figures.multitask_scaling import (
    SERVED,
    beside_own,
    collapsed,
    fallen,
    learnt,
    of_own,
    own_epochs,
    served,
    share,
    standard_error,
    title_of,
)
from gemb.figures.shown import Bullets, percent
from gemb.records import STUDYS_FORM, MultitaskRecord, Trial


def multitask_findings(record: MultitaskRecord, part: str = "short") -> Bullets:
    """What the record says about collapse and rescue, in sentences.

    Args:
        record: Of section 4.
        part: One of :data:`PARTS`: ``short``, the answers alone, or what one of the section's
            tables comes to.
    """
    return Bullets(list(PARTS[part](record)))


def _short(record: MultitaskRecord) -> Iterator[str]:
    """The answers to what the section asks."""
    headline = record.encoders[0]
    sweep = _sweep(record, headline)
    epochs, own = record.provenance.settings["multitask"]["epochs"], own_epochs(record)
    oftener = f"up to {own} times" if own else "more often where they are few"
    yield (
        f"One adaptor for all {len(sweep[0].results)} tasks, shown each item {epochs} "
        f"time{'s' if epochs > 1 else ''}, reaches in the mean over them "
        f"{', '.join(f'{100 * t.mean:.1f}% with {t.name}' for t in sweep)} (encoder {headline}); "
        f"the tasks' own adaptors, shown their items {oftener}, reach "
        f"{100 * _own_mean(record, sweep[0]):.1f}%."
    )
    yield _where_it_collapses(record)
    yield from _capacity(record)
    for trial in record.trials:
        if trial.group == "confirmation" and _own_mean(record, trial):
            yield _answer(record, trial)


def _on_sweep(record: MultitaskRecord) -> Iterator[str]:
    """How many tasks are served, under each encoder."""
    for encoder in record.encoders:
        yield (
            f"On {encoder} "
            + "; ".join(
                f"{t.name}: {share(record, t)}, and {collapsed(t)} of {len(t.results)} collapse"
                for t in _sweep(record, encoder)
            )
            + "."
        )
    sizes, own = record.provenance.settings["multitask"], own_epochs(record)
    if own is None or own > sizes["epochs"]:
        yield (
            "A task's own adaptor is shown its items "
            + (f"up to {own} times" if own else "more often where they are few")
            + f", these shared ones {sizes['epochs']} times: a gap between them may be of how long "
            "they were trained, and not of sharing alone."
            + (
                " The remedy of longer training shows them as often."
                if sizes["longer"] * sizes["epochs"] == own
                else ""
            )
        )


def _on_swap(record: MultitaskRecord) -> Iterator[str]:
    """Whether the prompt decides what is answered."""
    followed = [row[f"answers of {row['asked']}"] for row in record.swap if row["k"] == 1]
    if followed:
        yield (
            f"Asked about the same clips, {100 * min(followed):.0f}% or more of the answers "
            "are of the kind that the prompt asks for, with one token."
        )


def _on_collapse(record: MultitaskRecord) -> Iterator[str]:
    """The study's own claim on the study's own form."""
    yield from _studys_form(record)


def _on_rescue(record: MultitaskRecord) -> Iterator[str]:
    """What the best remedies reach on a fresh seed."""
    yield from (_rescued(record, t) for t in record.trials if t.group == "confirmation")


PARTS: dict[str, Callable[[MultitaskRecord], Iterator[str]]] = {
    "short": _short,
    "sweep": _on_sweep,
    "swap": _on_swap,
    "collapse": _on_collapse,
    "rescue": _on_rescue,
}


# --- sentences ----------------------------------------------------------------


def _sweep(record: MultitaskRecord, encoder: str) -> list[Trial]:
    return [t for t in record.trials if t.group == "sweep" and t.encoder == encoder]


def _own_mean(record: MultitaskRecord, trial: Trial) -> float:
    """The mean over a trial's tasks of their own adaptors' accuracy."""
    own = {r.task: r.accuracy.value for r in record.single[trial.encoder]}
    return sum(own[r.task] for r in trial.results) / len(trial.results)


def _where_it_collapses(record: MultitaskRecord) -> str:
    """In which of the ways tried one token is too few."""
    # two trials may be one and the same training
    one = list(
        {
            (t.encoder, t.validation, *(r.accuracy.value for r in t.results)): t
            for t in reversed(record.trials)
            if t.num_virtual_tokens == 1 and t.group != "confirmation"
        }.values()
    )[::-1]
    down = [t for t in one if fallen(t)]
    if not down:
        return (
            f"In none of the {len(one)} ways tried here does the one-token adaptor collapse on "
            "more than half of its tasks: the study's claim that one token collapses does not "
            "hold up under this protocol."
        )
    if len(down) == len(one):
        return "With one token most tasks collapse in every way tried."
    most = max((t for t in one if t not in down), key=collapsed)
    return (
        "With one token more than half of the tasks collapse (nearly all answers alike, or nearly "
        f"none a label) in {len(down)} of {len(one)} ways of training tried: "
        + "; ".join(dict.fromkeys(f"{t.name} ({t.encoder})" for t in down))
        + f". In the others at most {collapsed(most)} of {len(most.results)} do: one token alone "
        "does not make a shared adaptor collapse here, how it is trained decides too."
    )


def _studys_form(record: MultitaskRecord) -> list[str]:
    """The study's own claim on the study's own form: collapse at one token, undone by more."""
    form = [t for t in record.trials if t.group == "collapse" and t.name.startswith(STUDYS_FORM)]
    if len({t.num_virtual_tokens for t in form}) < 2:
        return []
    first, *more = sorted(form, key=lambda t: t.num_virtual_tokens)
    told = "; ".join(
        f"{_tokens(t)}: {collapsed(t)} of {len(t.results)} tasks collapse, mean over tasks "
        f"{100 * t.mean:.1f}%"
        for t in (first, *more)
    )
    lost, left = collapsed(first), min(map(collapsed, more))
    return [
        f"In the study's own form as far as it is known, {told}: "
        + (
            "no collapse there for more tokens to undo."
            if not lost
            else f"more tokens bring back {lost - left} of the {lost} that collapse with one, as "
            "the study says"
            + ("." if fallen(first) else ", though with one token most tasks do not collapse.")
            if left < lost
            else "more tokens do not undo the collapse, against the study."
        )
    ]


def _tokens(trial: Trial) -> str:
    k = trial.num_virtual_tokens
    return f"{k} token{'s' if k > 1 else ''}"


def _capacity(record: MultitaskRecord) -> list[str]:
    """Tokens at nearly equal parameters, each size at the learning rate best on validation."""
    trials = [t for t in record.trials if t.group == "capacity"]
    best = [
        max((t for t in trials if t.num_virtual_tokens == k), key=lambda t: t.validation)
        for k in sorted({t.num_virtual_tokens for t in trials})
    ]
    if len(best) < 2:
        return []
    first, most = best[0], max(best, key=lambda t: t.validation)
    told = "; ".join(f"{_tokens(t)}, hidden {t.hidden}: {100 * t.mean:.1f}%" for t in best)
    gain, sure = most.mean - first.mean, 2 * math.hypot(standard_error(most), standard_error(first))
    return [
        f"At nearly equal parameters, each size at the learning rate best on validation, the mean "
        f"over tasks is {told}: "
        + (
            "more tokens help apart from the parameters they bring."
            if gain > sure
            else "more tokens do not surely help by themselves."
        )
    ]


def _rescued(record: MultitaskRecord, confirmed: Trial) -> str:
    plain = next(
        (
            t
            for t in record.trials
            if t.group == "sweep"
            and (t.encoder, t.num_virtual_tokens)
            == (confirmed.encoder, confirmed.num_virtual_tokens)
        ),
        None,
    )
    done = served(record, confirmed)
    late = [title_of(record, t) for t in learnt(record, confirmed) if t not in done]
    beside = f", and with nothing changed {100 * plain.mean:.1f}%" if plain else ""
    return (
        f"Best on validation with {_tokens(confirmed)}: {confirmed.name}. On a fresh seed "
        f"its mean over tasks is {beside_own(record, confirmed)}{beside}; "
        + share(record, confirmed)
        + (f"; behind are {', '.join(late)}." if late else ".")
    )


def _answer(record: MultitaskRecord, confirmed: Trial) -> str:
    """Whether the winner reaches what was asked for."""
    names = [r.task for r in confirmed.results]
    wanted, with_k = f"{100 * SERVED:.0f}% of single-task accuracy", _tokens(confirmed)
    told = []
    for words, some, score in (
        ("in the mean over all tasks", names, confirmed.of_own),
        ("over those that their own adaptors learn", learnt(record, confirmed),
         confirmed.of_learnt),
    ):  # fmt: skip
        share = of_own(record, confirmed, some)
        if share is None:
            continue
        if score is None:  # an older record
            told.append(f"{'yes' if share >= SERVED else 'no'} {words}, by its point estimate")
        else:
            yes, no = score.low >= SERVED, score.high < SERVED
            answer = "yes" if yes else "no" if no else "not decided"
            told.append(f"{answer} {words} ({percent(score)}%)")
    return (
        f"The best with {with_k} on validation is “{confirmed.name}”. Does it reach {wanted}? "
        f"{'; '.join(told).capitalize()}."
    )
