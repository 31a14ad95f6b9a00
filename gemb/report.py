"""The study's claims beside what the records say: one table, in terminal, book and files."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from gemb import records, tasks
from gemb.data.fetch import cache_dir
from gemb.errors import UserError
from gemb.figures import librispeech_evidence as speech
from gemb.figures import multitask_scaling as multitask
from gemb.figures import percent, plain
from gemb.records import (
    STUDYS_FORM,
    CurvePoint,
    MultitaskRecord,
    OpenVocabularyRecord,
    Recognition,
    Score,
    SingleTaskRecord,
    TaskResult,
    Transfer,
    TransferRecord,
    Trial,
)

# The study sorts its tasks into these three and gives no thresholds; these sort its own figures as
# it does.
WORKS, PARTLY = 0.80, 0.30
# What the study's object classification keeps at 32 shared tokens of its own adaptor's accuracy:
# of the tasks that it says recover close to it, the one whose figures it gives and which does best.
CLOSE = 0.855 / 0.97
COMMANDS = 169  # as many as its closed set of spoken commands has
FITTED_NOWHERE = "open-bound:posteriors"  # the space of section 3 that needs no training
HARDER = {"commands", "scene-text"}  # the tasks that it finds lost under one shared adaptor
# What its table of levels holds beside the eight tasks.
OTHERS = (
    ("partially", "Cross-modal transfer"),
    ("does not", "Open-vocabulary STT"),
    ("does not", "Multi-task sharing for harder tasks"),
)
# Their numbers in the book.
SECTIONS = {
    "single_task": "1",
    "librispeech_failure": "2",
    "esc50_transfer": "3",
    "multitask_scaling": "4",
}
KINDS: dict[str, type[BaseModel]] = {
    "single_task": SingleTaskRecord,
    "librispeech_failure": OpenVocabularyRecord,
    "esc50_transfer": TransferRecord,
    "multitask_scaling": MultitaskRecord,
}


@dataclass(frozen=True)
class Row:
    """One claim of the study and what this run says to it."""

    claim: str
    study: str  # its figure and dataset
    here: str  # this run's figure with interval
    data: str  # dataset of this run, or its stand-in
    encoder: str
    verdict: str  # reproduced, not reproduced, not decided, not run
    why: str


@dataclass(frozen=True)
class Cost:
    """What a task took."""

    task: str
    seconds: float
    dollars: float | None


Records = dict[str, Any]


def load(run: str = "published") -> Records:
    """The records of one run by experiment.

    Args:
        run: ``published``, a profile (the reader's own run of it), or a folder of records.

    Raises:
        UserError: There is not one record.
    """
    found: Records = {}
    folder = Path(run) if Path(run).is_dir() else cache_dir() / "records"
    pattern = "*" if Path(run).is_dir() else run
    for name, kind in KINDS.items():
        if run == "published":
            record: BaseModel | None = records.published(kind, name)
        else:
            paths = sorted(folder.glob(f"{name}.{pattern}.json"))
            if len(paths) > 1:
                raise UserError(
                    f"{folder} holds several records of {name} "
                    f"({', '.join(p.name for p in paths)}): keep those of one run in a folder"
                )
            record = records.read(kind, paths[0]) if paths else None
        if record is not None:
            found[name] = record
    if not found:
        raise UserError(
            f"no records of {run!r}: give 'published', a profile that has been run "
            "(`gemb paper --profile NAME`), or a folder that holds records"
        )
    return found


LEVELS = ("works well", "partially", "does not")


def level(value: float) -> str:
    """Works well, partially or not at all, by the thresholds above."""
    return "works well" if value >= WORKS else "partially" if value >= PARTLY else "does not"


def reached(result: TaskResult) -> str:
    """The level of a result; one not surely above any one answer to all does not work.

    By macro accuracy, of which one answer to all gets 1/classes however unequal the classes are.
    """
    main = result.method("adaptor")
    sure = main.macro_accuracy.low > 1 / len(result.classes)
    return level(main.accuracy.value) if sure else "does not"


def levels(found: Records) -> list[tuple[str, list[str], list[str]]]:
    """The study's table: of each level its name, what the study puts there, and this run."""
    theirs = [(level(t.paper_accuracy), t.title) for t in tasks.TASKS.values()] + list(OTHERS)
    mine = list(_reached(found))

    def at(name: str, titles: list[tuple[str, str]]) -> list[str]:
        return [title for found_at, title in titles if found_at == name]

    return [(name, at(name, theirs), at(name, mine)) for name in LEVELS]


def _reached(found: Records) -> Iterator[tuple[str, str]]:
    """The level that each row of the study's table reaches in this run."""
    single: SingleTaskRecord | None = found.get("single_task")
    for result in single.results if single else []:
        if result.protocol == "leak-free":
            yield reached(result), tasks.get(result.task).title
    transfer: TransferRecord | None = found.get("esc50_transfer")
    crossed, speech, shared = (title for _, title in OTHERS)
    if transfer and transfer.transfers:
        first = transfer.transfers[0]
        macro = first.headline.macro
        above = macro.low > 1 / len(first.categories)
        yield (level(macro.value) if above else "does not"), crossed
    spoken: OpenVocabularyRecord | None = found.get("librispeech_failure")
    if spoken:
        yield level(max(r.exact.value for r in spoken.results if r.kind == "set-up")), speech
    record: MultitaskRecord | None = found.get("multitask_scaling")
    sweep = [t for t in record.trials if t.group == "sweep"] if record else []
    most = max(sweep, key=lambda t: t.num_virtual_tokens, default=None)
    hard = [r for r in most.results if r.task in HARDER] if most else []
    if record and most and hard:
        own = {r.task: r.accuracy.value for r in record.single[most.encoder]}
        lost = [tasks.get(r.task).title for r in hard if level(own[r.task]) == "does not"]
        yield (
            level(sum(r.accuracy.value for r in hard) / len(hard)),
            shared + (f" (their own adaptors fail as well: {_and(lost)})" if lost else ""),
        )


def claims(found: Records) -> list[Row]:
    """Every claim of the study as a row."""
    return [*_single(found), *_open(found), *_transfer(found), *_shared(found)]


def _single(found: Records) -> Iterator[Row]:
    record: SingleTaskRecord | None = found.get("single_task")
    source = record.provenance.source if record else "raw"
    for task in (t.under(source) for t in tasks.TASKS.values()):
        study = f"{100 * task.paper_accuracy:.1f}%, {task.paper_dataset}"
        claim = f"{task.title} {_verb(level(task.paper_accuracy))} with one virtual token"
        data = f"stand-in: {task.stand_in}" if task.stand_in else task.paper_dataset
        if record is None or not record.has(task.name):
            yield _not_run(claim, study, "no record of section 1 with this task")
            continue
        main = record.of(task.name).method("adaptor").accuracy
        mine, theirs = reached(record.of(task.name)), level(task.paper_accuracy)
        order = LEVELS[::-1]
        excluded = not (
            order.index(level(main.low)) <= order.index(theirs) <= order.index(level(main.high))
        )
        yield Row(
            claim,
            study,
            f"{percent(main)}%",
            data,
            record.provenance.encoder,
            "reproduced" if mine == theirs else "not reproduced",
            f"here it {_verb(mine)}"
            + ("" if mine == theirs or excluded else ", though the interval does not exclude it")
            + (", on a stand-in" if task.stand_in else ""),
        )
    quick, study = "An adaptor is trained in under a minute", "under a minute"
    # of the split whose seconds the table of costs has too
    timed = [r for r in record.results if r.protocol == "leak-free"] if record else []
    seconds = [r.seconds_training for r in timed]
    if record is None or not seconds:
        yield _not_run(quick, study, "no record of section 1")
        return
    yield Row(
        quick,
        study,
        f"{min(seconds):.0f} to {max(seconds):.0f} s a task",
        f"as above; {_stand_ins([r.task for r in timed], source)}",
        record.provenance.encoder,
        "reproduced" if max(seconds) < 60 else "not reproduced",
        f"on {record.provenance.machine}; several are trained side by side, and this is a "
        "training's share",
    )


def _stand_ins(names: Sequence[str], source: str) -> str:
    """How many of these tasks ran on stand-in data, in words."""
    own = [tasks.get(name, source) for name in dict.fromkeys(names)]
    count = sum(bool(t.stand_in) for t in own)
    return f"{count} of {len(own)} tasks on stand-in data" if count else "the study's own data"


def _verb(found: str) -> str:
    return {
        "works well": "works well",
        "partially": "works partially",
        "does not": "does not work",
    }[found]


def _open(found: Records) -> Iterator[Row]:
    record: OpenVocabularyRecord | None = found.get("librispeech_failure")
    study = "0%, LibriSpeech (1,000 sentences)"
    never = "Open vocabulary: exact match 0 in four set-ups"
    none = "Open vocabulary: the answers share no words with what was said"
    fluent = "Open vocabulary: the answers are fluent English"
    enough = "One vector does not hold enough for 1,000 open-vocabulary sentences"
    concluded = "concluded from exact match 0, LibriSpeech"
    clusters = f"89% on {COMMANDS} commands is recognition of clusters, not transcription"
    conjectured = "conjectured, Fluent Speech Commands"
    if record is None:
        for claim, figure in (
            (never, study),
            (fluent, "examples, LibriSpeech"),
            (none, study),
            (enough, concluded),
            (clusters, conjectured),
        ):
            yield _not_run(claim, figure, "no record of section 2")
        return
    official = record.provenance.source == "official"
    data = "LibriSpeech" if official else "stand-in: synthesised sentences of WordNet"
    encoder = record.provenance.encoder
    setups = [r for r in record.results if r.kind == "set-up"]
    best = max(setups, key=lambda r: r.exact.value)
    ceiling = record.from_text
    yield Row(
        never,
        study,
        f"{percent(best.exact)}% at most, of {best.items} sentences",
        data,
        encoder,
        "reproduced" if best.exact.value == 0 else "not reproduced",
        f"{record.n_train} sentences trained on{_heard(record)}"
        + (
            f"; but an adaptor on the text's own vector gets {percent(ceiling.exact, False)}% too"
            if ceiling and best.exact.value == 0 and ceiling.exact.low <= 0
            else ""
        ),
    )
    told = [(r.name, r.fluency) for r in setups if r.fluency]
    if told:
        name, least = min(told, key=lambda t: t[1].value)
        readable = speech.fluent_setups(setups)
        yield Row(
            fluent,
            "examples, LibriSpeech",
            f"to the language model without virtual tokens {speech.nats(least)} nats a token more "
            f"probable than the sentences said, where that is least ({name})",
            data,
            encoder,
            "reproduced" if len(readable) == len(told) else "not reproduced",
            f"in {len(readable)} of {len(told)} set-ups not surely less probable to it than real "
            "sentences; a lenient judge, for the same model wrote them, always the likeliest token",
        )
    else:
        yield _not_run(fluent, "examples, LibriSpeech", "not measured in this record")
    measured = [(r, r.overlap_gain) for r in setups if r.overlap_gain]
    if measured:
        most, gain = max(measured, key=lambda m: m[1].value)
        some = sum(g.low > 0 for _, g in measured)
        yield Row(
            none,
            "no word overlap, LibriSpeech",
            f"{percent(most.overlap)}% of words (F1), {percent(gain)} points more than with other "
            f"sentences ({most.name})",
            data,
            encoder,
            "not reproduced" if some else "reproduced",
            "any two sentences share some words; with its own sentence an answer surely shares "
            f"more than with others in {some} of {len(measured)} set-ups",
        )
    else:
        yield _not_run(none, "no word overlap, LibriSpeech", "not measured in this record")
    yield _enough(record, enough, concluded, data)
    yield _clusters(record, clusters, conjectured, data)


def _enough(record: OpenVocabularyRecord, claim: str, study: str, data: str) -> Row:
    """Whether what the adaptor fails to say is missing from the vector."""
    setups = [r for r in record.results if r.kind == "set-up"]
    found = [f"{plain(r.bits)} bits a sentence ({r.name})" for r in setups[:1] if r.bits]
    auc = {p.arm: p.auc for p in record.probes if p.words}
    holds = False
    if "audio" in auc:
        length = auc.get("length")
        holds = auc["audio"].low > (length.high if length else 0.5)
        found.append(
            f"a linear probe finds words with AUC {percent(auc['audio'])}%"
            + (f", by the number of words alone {percent(length)}%" if length else "")
        )
    known = max(record.recognition, key=lambda r: r.sentences, default=None)
    if known:
        found.append(
            f"the nearest class mean knows {percent(known.class_mean)}% of {known.sentences:,} "
            "sentences trained on in unseen voices"
        )
    if not found:
        return _not_run(claim, study, "not measured in this record")
    text, best = record.from_text, max(setups, key=lambda r: r.exact.low)
    if best.exact.low > 0:
        verdict, why = "not reproduced", f"{percent(best.exact)}% are right ({best.name})"
    elif text and text.exact.low > 0:
        verdict = "reproduced"
        why = f"the same adaptor gets {percent(text.exact)}% right from the text's own vector"
    else:
        verdict = "not decided"
        why = ("the vector holds words, but " if holds else "") + (
            "whether enough cannot be told: "
            + (
                "from the text's own vector, in which nothing was misheard, the adaptor gets "
                f"{percent(text.exact, False)}% right too"
                if text
                else "no vector that holds the words is beside it"
            )
        )
    return Row(claim, study, "; ".join(found), data, record.provenance.encoder, verdict, why)


def _heard(record: OpenVocabularyRecord) -> str:
    """How often each training sentence was heard, where the record says so."""
    epochs = record.provenance.settings.get("sentences", {}).get("epochs")
    return "" if epochs is None else ", each once" if epochs == 1 else f", each {epochs} times"


def _clusters(record: OpenVocabularyRecord, claim: str, study: str, data: str) -> Row:
    """Whether as many sentences as the study has commands are known again, and others are not."""
    rows = sorted(record.recognition, key=lambda r: (r.sentences, r.epochs))
    if not rows:
        why = "needs each sentence in several voices" + (
            ", and LibriSpeech has one" if record.provenance.source == "official" else ""
        )
        return _not_run(claim, study, why)
    apart = [r.sentences for r in rows if r.known.low > speech.at_most(r.unseen, r.n_unseen)]
    at = next((r.sentences for r in rows if r.sentences >= COMMANDS), None)
    told = (
        f"known sentences in unseen voices are recognised and unknown ones are not, up to "
        f"{apart[-1]} sentences; so few would teach no transcription either"
        if apart
        else "known and unknown sentences are not surely told apart"
    )
    asked = next((r for r in reversed(rows) if r.sentences == at), None)
    untaught = asked is not None and at not in apart and asked.class_mean.low > asked.known.high
    if asked is not None and untaught:
        told += (
            f"; that the adaptor does not know {at} again tells of its short training, for the "
            f"nearest class mean of the same vectors knows {percent(asked.class_mean)}%"
        )
    if len(rows) > 1 and rows[-1].epochs < rows[0].epochs:
        told += "; the more sentences, the less often each clip was heard: " + ", ".join(
            f"of {r.sentences} {'once' if r.epochs == 1 else f'{r.epochs} times'}" for r in rows
        )
    return Row(
        claim,
        study,
        "; ".join(
            f"{percent(r.known)}% of {r.sentences} sentences trained on"
            + (f", {r.epochs} times each" if r.longer else "")
            for r in rows
        )
        + f"; of others at most {percent(max((r.unseen for r in rows), key=lambda s: s.value))}%",
        data,
        record.provenance.encoder,
        "not run"
        if at is None
        else "reproduced"
        if at in apart
        else "not decided"
        if untaught
        else "not reproduced",
        told + ("" if at else f"; the claim is of {COMMANDS}, and no run here has as many"),
    )


def _transfer(found: Records) -> Iterator[Row]:
    record: TransferRecord | None = found.get("esc50_transfer")
    done = {(t.trained_on, t.tested_on): t for t in record.transfers} if record else {}
    for way, claim, study in (
        (
            ("pictures", "sounds"),
            "An image adaptor understands sounds",
            "59.8% (dog 95, bird 81, cat 70, frog 2), CIFAR-10 to ESC-50; with four bird "
            "categories pooled “bird” alone would get 40%",
        ),
        (("voices", "faces"), "A voice-gender adaptor reads faces", "62%, RAVDESS to CelebA"),
    ):
        transfer = done.get(way)
        if transfer is None:
            why = "no record of section 3 with it" + (
                "" if record is None else ": the official data are for the profile paper"
            )
            yield _not_run(claim, study, why)
            continue
        macro, chance = transfer.headline.macro, 1 / len(transfer.categories)
        yield Row(
            claim,
            study,
            f"{percent(macro)}% macro, chance {100 * chance:.0f}%",
            transfer.data,
            transfer.encoder,
            "reproduced" if macro.low > chance else "not reproduced",
            ("above chance" if macro.low > chance else "the interval holds chance")
            + _without_training(transfer),
        )


def _without_training(transfer: Transfer) -> str:
    """What the space gives without fitting it, and without a language model."""
    by_name = {r.name: r.macro for r in transfer.results}
    told = [
        f"{words} {percent(by_name[name])}%"
        for name, words in (
            (f"adaptor on {FITTED_NOWHERE}", "in the space whose binding needs no training"),
            (f"nearest name in {transfer.encoder}", "the nearest name in the space, by itself,"),
        )
        if name in by_name and name != f"adaptor on {transfer.encoder}"
    ]
    if transfer.encoder.startswith("open-bound"):
        told.append("the space has AudioSet's class names in it, which name some of the answers")
    return "".join(f"; {t}" for t in told)


def _shared(found: Records) -> Iterator[Row]:
    record: MultitaskRecord | None = found.get("multitask_scaling")
    for k, study in (
        (1, "collapses"),
        (8, "words 90%, objects 69%"),
        (32, "objects 85.5%, clothing 62%; sentences and scene text largely unrecovered"),
    ):
        claim = {
            1: "One shared adaptor with 1 token collapses",
            8: "8 tokens bring some tasks back",
            32: "32 tokens bring most back, sentences and scene text stay lost",
        }[k]
        trials = (
            [t for t in record.trials if t.group == "sweep" and t.num_virtual_tokens == k]
            if record
            else []
        )
        if record is None or not trials:
            yield _not_run(claim, f"{study}, eight datasets", "no record of section 4 with it")
            continue
        trial = trials[0]
        fallen = multitask.collapsed(trial)
        count, works = len(trial.results), _works(trial)
        one = next(
            (t for t in record.trials
             if (t.group, t.encoder, t.num_virtual_tokens) == ("sweep", trial.encoder, 1)),
            None,
        )  # fmt: skip
        lost = multitask.collapsed(one) if one else 0
        right = {
            1: fallen > count / 2,
            8: bool(works - (_works(one) if one else set())),
            32: len(works) > count / 2 and not HARDER & works,
        }[k]
        back = k == 1 or fallen < lost
        yield Row(
            claim,
            f"{study}, eight datasets",
            f"{len(works)} of {count} tasks work at least partially; "
            f"{multitask.share(record, trial)}; {fallen} of {count} collapse",
            _stand_ins([r.task for r in trial.results], record.provenance.source),
            trial.encoder,
            "reproduced"
            if right and back
            else "not decided"
            if right and not lost
            else "not reproduced",
            ("" if k == 1 or lost else "nothing had collapsed with 1 token that could come back; ")
            + (
                f"{len(works)} of {count} are not most; "
                if k == 32 and len(works) <= count / 2
                else ""
            )
            + f"mean over tasks {multitask.beside_own(record, trial)}"
            + _confirmed(record, trial)
            + _as_the_study(record, k),
        )
    yield _close(record)


def _close(record: MultitaskRecord | None) -> Row:
    """Whether the easier tasks come close to their own adaptors with 32 tokens."""
    claim = "With 32 tokens the easier tasks come close to their own adaptors"
    study = "objects 85.5% of 97%, clothing 62% of 83%, eight datasets"
    trials = record.trials if record else []
    trial = next((t for t in trials if t.group == "sweep" and t.num_virtual_tokens == 32), None)
    if record is None or trial is None:
        return _not_run(claim, study, "no record of section 4 with it")
    easy = [t for t in multitask.learnt(record, trial) if t not in HARDER]
    if not easy:
        return _not_run(claim, study, "no easier task that its own adaptor learns")
    shares = {t: multitask.of_own(record, trial, [t]) or 0.0 for t in easy}
    near = [t for t in easy if shares[t] >= CLOSE]
    told = ", ".join(f"{tasks.get(t).title} {100 * s:.0f}%" for t, s in shares.items())
    return Row(
        claim,
        study,
        f"{len(near)} of the {len(easy)} easier tasks that their own adaptor learns reach "
        f"{100 * CLOSE:.0f}% of it; in the mean over these "
        f"{100 * (multitask.of_own(record, trial, easy) or 0):.0f}%",
        _stand_ins([r.task for r in trial.results], record.provenance.source),
        trial.encoder,
        "reproduced" if len(near) > len(easy) / 2 else "not reproduced",
        f"close: {100 * CLOSE:.0f}%, as the study's objects; {told}; point estimates, of one seed",
    )


def _works(trial: Trial) -> set[str]:
    """Tasks that work at least partially, and surely better than the most frequent answer."""
    return {
        r.task for r in trial.results if r.accuracy.value >= PARTLY and r.accuracy.low > r.majority
    }


def _as_the_study(record: MultitaskRecord, k: int) -> str:
    """What the study's own form does, as far as that is known."""
    form = [
        t
        for t in record.trials
        if t.group == "collapse" and t.num_virtual_tokens == k and t.name.startswith(STUDYS_FORM)
    ]
    return "".join(
        f"; in the study's own form {multitask.collapsed(t)} of {len(t.results)} collapse"
        for t in form
    )


def _confirmed(record: MultitaskRecord, trial: Trial) -> str:
    """What the remedy best on validation gives on a fresh seed, with as many tokens."""
    confirmed = [
        t
        for t in record.trials
        if (t.group, t.encoder, t.num_virtual_tokens)
        == ("confirmation", trial.encoder, trial.num_virtual_tokens)
    ]
    return "".join(f"; {t.name}: {multitask.beside_own(record, t)}" for t in confirmed)


def _not_run(claim: str, study: str, why: str) -> Row:
    return Row(claim, study, "–", "–", "–", "not run", why)


def costs(found: Records) -> list[Cost]:
    """Seconds and dollars of each task: embedding, one training of the fixed split, answering.

    Embedding is not in it where nobody measured it. Of sections 2 to 4 all their trainings,
    whenever they were done, without embedding.
    """
    record: SingleTaskRecord | None = found.get("single_task")
    out = [
        Cost(
            tasks.get(r.task).title
            + ("" if r.seconds_embedding is not None else ", without embedding"),
            (r.seconds_embedding or 0.0) + r.seconds_training + r.seconds_answering,
            r.price_usd,
        )
        for r in (record.results if record else [])
        if r.protocol == "leak-free"
    ]
    out += [
        Cost(
            f"Section {SECTIONS[name]}, its trainings alone",
            record.seconds,
            0.0 if record.provenance.encoder.startswith("open") else None,
        )
        for name, record in found.items()
        if name != "single_task" and record.seconds
    ]
    return out


HEADER = ("claim", "the study", "this run", "its data, its encoder", "verdict")
REMARK = (
    "The study does not publish its test sizes, so its figures carry an unknown uncertainty. "
    f"Works well: {100 * WORKS:.0f}% or more; partially: {100 * PARTLY:.0f}% or more, and by macro "
    "accuracy surely more than one answer to all gets. Not decided: what was run cannot tell. A "
    "verdict on a stand-in is about the claim's kind, not about its number. An interval of no "
    "width is that of answers all right or all wrong: of n alike, the truth may still be 3/n off."
)


COSTS = "What a task takes: embedding its items, one training, answering."


def markdown(found: Records) -> str:
    """The report as Markdown: levels, claims, costs."""
    rows = claims(found)
    lines = [
        f"{_made(found)} {REMARK}",
        "",
        "| " + " | ".join(HEADER) + " |",
        "|" + "---|" * len(HEADER),
        *("| " + " | ".join(_cells(r)) + " |" for r in rows),
        "",
        "| | the study | this run |",
        "|---|---|---|",
    ]
    lines += [
        f"| {name} | {', '.join(theirs) or '–'} | {', '.join(mine) or '–'} |"
        for name, theirs, mine in levels(found)
    ]
    lines += ["", COSTS, ""]
    lines += ["| | seconds | dollars |", "|---|---|---|"]
    lines += [f"| {c.task} | {c.seconds:.0f} | {_dollars(c)} |" for c in costs(found)]
    return "\n".join(lines) + "\n"


def _dollars(cost: Cost) -> str:
    return "not known" if cost.dollars is None else f"{cost.dollars:.2f}"


def _made(found: Records) -> str:
    """By which profiles, which language model and when."""
    sections: dict[str, list[str]] = {}
    for name in found:
        sections.setdefault(found[name].provenance.profile, []).append(SECTIONS[name])
    profiles = "; ".join(
        f"`{p}` for section{'s' if len(of) > 1 else ''} {_and(of)}" for p, of in sections.items()
    )
    llms = dict.fromkeys(f"`{r.provenance.llm}`" for r in found.values())
    last = max(r.provenance.finished for r in found.values())
    return f"Profile {profiles}. Language model {' and '.join(llms)}, {last}."


def _and(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def _cells(row: Row) -> tuple[str, ...]:
    """A row in five cells, which a page has room for; the encoder without its hash."""
    encoder = re.sub(r"-[0-9a-f]{12}$", "", row.encoder)
    made_by = f"{row.data}; {encoder}" if encoder != "–" else "–"
    return row.claim, row.study, row.here, made_by, f"**{row.verdict}**: {row.why}"


def text(found: Records) -> str:
    """The report for a terminal: a paragraph a claim, then levels and costs."""
    out = []
    for row in claims(found):
        out.append(f"{row.verdict:15} {row.claim}")
        out.append(f"{'':15} the study: {row.study}")
        if row.here != "–":
            out.append(f"{'':15} here: {row.here} ({row.data}; {row.encoder})")
        out.append(f"{'':15} {row.why}")
    for name, theirs, mine in levels(found):
        out += ["", f"{name:15} the study: {', '.join(theirs) or '–'}"]
        out.append(f"{'':15} here: {', '.join(mine) or '–'}")
    out += ["", COSTS, *(f"{c.seconds:8.0f} s {_dollars(c):>9} $  {c.task}" for c in costs(found))]
    return "\n".join([*out, "", _made(found), REMARK])


def write(found: Records, folder: Path) -> list[Path]:
    """Write ``report.md``, ``report.json`` and ``report.csv``."""
    rows = [asdict(r) for r in claims(found)]
    table = io.StringIO()
    writer = csv.DictWriter(table, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    whole = {
        "claims": rows,
        "levels": {name: {"study": a, "run": b} for name, a, b in levels(found)},
        "costs": [asdict(c) for c in costs(found)],
    }
    files = {
        "report.md": markdown(found),
        "report.json": json.dumps(whole, indent=1, ensure_ascii=False) + "\n",
        "report.csv": table.getvalue(),
    }
    for name, content in files.items():
        records.write_text(folder / name, content)
    return [folder / name for name in files]


def compare(a: Records, b: Records) -> list[str]:
    """What changed between two runs: what made them, scores, and verdicts."""
    lines = [
        f"section {SECTIONS[name]}, {what}: {one} → {two}"
        for name in a
        if name in b
        for what in ("profile", "encoder", "llm", "source")
        if (one := getattr(a[name].provenance, what)) != (two := getattr(b[name].provenance, what))
    ]
    ours, theirs = dict(_scores(a)), dict(_scores(b))
    same = 0
    for name in sorted({*ours, *theirs}):
        if name not in theirs:
            lines.append(f"{name}: only in the first")
        elif name not in ours:
            lines.append(f"{name}: only in the second")
        else:
            one, two = ours[name], theirs[name]
            if percent(one) == percent(two):
                same += 1
                continue
            moved = 100 * (two.value - one.value)
            apart = one.low > two.high or two.low > one.high
            lines.append(
                f"{name}: {percent(one)} → {percent(two)} ({moved:+.1f} points"
                + (", intervals apart)" if apart else ")")
            )
    lines.append(f"{same} unchanged")
    before, after = ({r.claim: r.verdict for r in claims(found)} for found in (a, b))
    lines += [
        f"{claim}: {before[claim]} → {verdict}"
        for claim, verdict in after.items()
        if verdict != before[claim]
    ]
    return lines


def _longer(part: Recognition | CurvePoint) -> str:
    return ", longer" if part.longer else ""


def _scores(found: Records) -> Iterator[tuple[str, Score]]:
    single: SingleTaskRecord | None = found.get("single_task")
    for result in single.results if single else []:
        for method in (*result.methods, *result.controls):
            yield f"{result.task}, {result.protocol}, {method.method}", method.accuracy
    speech: OpenVocabularyRecord | None = found.get("librispeech_failure")
    for transcript in speech.results if speech else []:
        for metric in ("exact", "wer", "overlap"):
            yield f"open vocabulary, {transcript.name}, {metric}", getattr(transcript, metric)
    for row in speech.recognition if speech else []:
        yield f"open vocabulary, {row.sentences} sentences known, exact{_longer(row)}", row.known
    for point in speech.curve if speech else []:
        name = f"open vocabulary, {point.arm} of {point.n_train}, overlap{_longer(point)}"
        yield name, point.overlap
    transfers: TransferRecord | None = found.get("esc50_transfer")
    for way in transfers.transfers if transfers else []:
        for answered in way.results:
            yield f"{way.trained_on} to {way.tested_on}, {answered.name}, macro", answered.macro
    shared: MultitaskRecord | None = found.get("multitask_scaling")
    for encoder, parts in shared.single.items() if shared else ():
        for part in parts:
            yield f"own adaptor, {encoder}, {part.task}", part.accuracy
    for trial in shared.trials if shared else []:
        for part in trial.results:
            # the one that confirms the best has the best's name
            yield (
                f"shared ({trial.group}), {trial.name}, {trial.encoder}, {part.task}",
                (part.accuracy),
            )
