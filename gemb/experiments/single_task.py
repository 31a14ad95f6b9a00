"""Section 1: eight tasks, one adaptor each, one virtual token."""

from __future__ import annotations

import json
import logging
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from gemb import encoders, metrics, records, tasks
from gemb.data import manifests, released
from gemb.data.fetch import cache_dir
from gemb.data.items import Item
from gemb.data.load import Loaded, load
from gemb.data.splits import Fold, random_fold
from gemb.embed import Embedded
from gemb.encoders.base import Encoder, price_of, require
from gemb.evaluate import Examples, predict, virtual_tokens
from gemb.experiments import measured, runs
from gemb.experiments.runs import Outcome, Run
from gemb.llm import FrozenLLM, batch_disagreement
from gemb.profiles import Profile, Protocol
from gemb.store import Store

log = logging.getLogger(__name__)

CONTROLS = ("shuffled labels", "random vectors", "constant vector")
# what of the adaptor's training is taken away, all else equal
ABLATIONS = ("cold-started adaptor", "untrained adaptor")
LONGER = "longer-trained adaptor"


@dataclass
class Prepared:
    """A task with its items in hand and, once they are embedded, their vectors in the store."""

    task: tasks.Task
    loaded: Loaded
    folds: dict[Protocol, list[Fold]]
    embedded: Embedded = field(default_factory=Embedded)
    price: float | None = 0.0  # dollars for its vectors
    store: Store = field(init=False)

    @property
    def items(self) -> list[Item]:
        """Every item of every fold, once."""
        parts = (
            p for fs in self.folds.values() for f in fs for p in (f.train, f.val, f.test, f.extra)
        )
        return list({i.id: i for part in parts for i in part}.values())


@dataclass
class Plan:
    """What a profile will do, before it does it."""

    profile: Profile
    prepared: list[Prepared]
    todo: list[Run]
    encoder: str
    llm: FrozenLLM


def readable(profile: Profile, encoder: Encoder) -> list[str]:
    """The profile's tasks that are of what the encoder reads; the others are said.

    Raises:
        UserError: There is none.
    """
    out = []
    for name in profile.tasks:
        modality = tasks.get(name, profile.source).modality
        if modality in encoder.modalities:
            out.append(name)
        else:
            log.warning("%s is left out: %s does not read %s", name, encoder.name, modality)
    if not out:
        wanted = (tasks.get(t, profile.source).modality for t in profile.tasks)
        require(encoder, wanted, "choose another encoder, or tasks of what it reads")
    return out


def select(profile: Profile, name: str) -> Prepared:
    """Load and split the items of one of the profile's tasks; nothing is embedded."""
    task, sizes = tasks.get(name, profile.source), profile.sizes_of(name)
    loaded = load(task, profile.source)
    folds: dict[Protocol, list[Fold]] = {}
    for protocol in profile.protocols:
        folds[protocol] = (
            loaded.folds(task, sizes)
            if protocol == "leak-free"
            else [
                random_fold(loaded.items, sizes, seed)
                for seed in profile.seeds[: profile.random_splits]
            ]
        )
    return Prepared(task, loaded, folds)


def selected(profile: Profile, encoder: Encoder) -> list[Prepared]:
    """The profile's tasks that the encoder reads, split; nothing is embedded.

    It is said where released vectors take the place of raw data.
    """
    out = [select(profile, name) for name in readable(profile, encoder)]
    for ready in out:
        if ready.loaded.source == "released" and profile.source == "raw":
            log.warning(
                "%s: raw data not available, running on released vectors, those of the profile "
                "local (%s)",
                ready.task.name,
                ready.loaded.why,
            )
    return out


def prepare(profile: Profile, folder: Path | None = None) -> tuple[list[Prepared], str]:
    """Load, split and embed every task's items; with the encoder's slug.

    Args:
        profile: Says which tasks, and how many items of each.
        folder: Of the stores; the cache if it is not given.
    """
    encoder = encoders.load(profile.encoder)
    out = selected(profile, encoder)
    embed_items(out, encoder, folder)
    return out, encoder.identity().slug


def embed_items(prepared: Iterable[Prepared], encoder: Encoder, folder: Path | None = None) -> None:
    """Embed the items of selected tasks, from raw media where these can be had.

    What cannot be embedded is said and leaves its fold.
    """
    for ready in prepared:
        name = ready.task.name
        ready.embedded, ready.store = runs.embedded(
            ready.items, encoder, ready.loaded.source, f"embedding {name}", folder
        )
        for failure in ready.embedded.failures:
            log.warning("%s: %s left out: %s", name, failure.item_id, failure.reason)
        ready.folds = {p: [_known(f, ready.embedded) for f in fs] for p, fs in ready.folds.items()}
        ready.price = price_of(encoder, ready.items)


def _known(fold: Fold, embedded: Embedded) -> Fold:
    """The fold without items that could not be embedded."""

    def keep(items: Iterable[Item]) -> tuple[Item, ...]:
        return tuple(i for i in items if i.media.key in embedded.vectors)

    return Fold(keep(fold.train), keep(fold.val), keep(fold.test), keep(fold.extra))


def plan(profile: Profile, say: Callable[[str], None] | None = None) -> Plan:
    """Everything up to the trainings: items, vectors, and the list of trainings to do.

    Args:
        profile: Says all of it.
        say: Is told, before anything is embedded, how many trainings there are and how long
            they take.
    """
    encoder = encoders.load(profile.encoder)
    slug = encoder.identity().slug
    prepared = selected(profile, encoder)
    llm = FrozenLLM.load(profile.llm)
    before = _trainings(profile, prepared, slug, llm)
    if say is not None:
        say(runs.announce(before, llm))
    embed_items(prepared, encoder)
    # anew, for what could not be embedded is not trained on
    todo = _trainings(profile, prepared, slug, llm)
    if say is not None and {r.key for r in todo} != {r.key for r in before}:
        say(f"without what could not be embedded: {runs.announce(todo, llm)}")
    return Plan(profile, prepared, todo, slug, llm)


def _trainings(
    profile: Profile, prepared: Iterable[Prepared], slug: str, llm: FrozenLLM
) -> list[Run]:
    """Every training of a profile's selected tasks."""
    todo: list[Run] = []
    for ready in prepared:
        for protocol, folds in ready.folds.items():
            for number, fold in enumerate(folds):
                # a random split is redrawn with each seed; a fixed one is kept for all
                seeds = (profile.seeds[number],) if protocol == "random" else profile.seeds
                for seed, variant in _variants(profile, ready.task.name, protocol, seeds):
                    run = _run(profile, ready, protocol, number, seed, variant, fold, slug, llm)
                    todo.append(run)
                    if (protocol, number, seed, variant) == ("leak-free", 0, seeds[0], "adaptor"):
                        todo += [
                            replace(run, fold=_first(fold, n), mismatch=False)
                            for n in _curve_sizes(profile, ready.task.name, fold)
                        ]
    # what the main table needs comes first, so that an interrupted run can show the most
    todo.sort(key=lambda r: (r.protocol == "random", r.seed, r.variant != "adaptor"))
    return todo


def _variants(
    profile: Profile, task: str, protocol: str, seeds: Sequence[int]
) -> list[tuple[int, str]]:
    """Seeds and variants: the adaptor with each seed; all else of the fixed split, with the first.

    Labels are shuffled more than once, for one shuffle may leave a class its own answer by luck.
    """
    out = ["adaptor"]
    if protocol == "leak-free":
        if task in profile.linear_tasks:
            out.append("linear adaptor")
        if task in profile.ablation_tasks:
            out += ABLATIONS
        if task in profile.longer_tasks:
            out.append(LONGER)
        if task in profile.control_tasks:
            out += CONTROLS
    listed = [(seeds[0], variant) for variant in out]
    listed += [(seed, "adaptor") for seed in seeds[1:]]
    if CONTROLS[0] in out:
        listed += [(seeds[0] + n, CONTROLS[0]) for n in range(1, profile.shuffles)]
    return listed


def _curve_sizes(profile: Profile, task: str, fold: Fold) -> list[int]:
    return [n for n in profile.curve_sizes if task in profile.curve_tasks and n < len(fold.train)]


def _first(fold: Fold, n: int) -> Fold:
    """The fold with its first ``n`` training items, which are a balanced sample again."""
    return Fold(fold.train[:n], fold.val, fold.test)


def _run(
    profile: Profile,
    ready: Prepared,
    protocol: str,
    number: int,
    seed: int,
    variant: str,
    fold: Fold,
    slug: str,
    llm: FrozenLLM,
) -> Run:
    task = ready.task
    settings = profile.training_of(task.name)
    if variant in CONTROLS:
        fold = Fold(fold.train[: profile.control_train], fold.val, fold.test)
    if variant == LONGER:
        settings = settings.model_copy(update={"epochs": 2 * settings.epochs})
    return Run(
        task=task.name,
        prompt=task.prompt,
        protocol=protocol,
        number=number,
        seed=seed,
        variant=variant,
        fold=fold,
        settings=settings,
        num_virtual_tokens=profile.num_virtual_tokens,
        encoder=slug,
        vectors=ready.loaded.source,
        llm=llm.identity().slug,
        precision=str(llm.dtype).removeprefix("torch."),
        mismatch=variant == "adaptor"
        and protocol == "leak-free"
        and task.name in profile.control_tasks,
    )


@dataclass
class Answers:
    """One method's answers to test items: a row for every item and seed."""

    items: list[Item] = field(default_factory=list)
    seeds: list[int] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def add(self, items: Sequence[Item], seed: int, texts: Sequence[str]) -> None:
        """Append one seed's answers to ``items``."""
        if len(items) != len(texts):
            raise ValueError(f"{len(texts)} answers for {len(items)} items")
        self.items += items
        self.seeds += [seed] * len(items)
        self.texts += texts

    @property
    def correct(self) -> np.ndarray:
        """1 where the answer is exactly right, ``[rows]``."""
        return np.array(
            [metrics.exact_match(t, i.answer) for t, i in zip(self.texts, self.items, strict=True)],
            dtype=float,
        )


def vote(rows: Iterable[tuple[Item, str, float]]) -> Answers:
    """One answer an item: what most trainings say, of what equally many say the surest.

    Args:
        rows: An item, the answer of one training, and its mean log-probability.
    """
    by_item: dict[str, list[tuple[str, float]]] = defaultdict(list)
    items = {}
    for item, text, logprob in rows:
        items[item.id] = item
        by_item[item.id].append((metrics.normalise(text), logprob))
    out = []
    for said in by_item.values():
        counts = Counter(text for text, _ in said)
        out.append(max(said, key=lambda pair: (counts[pair[0]], pair[1]))[0])
    return Answers(list(items.values()), [0] * len(items), out)


def score(
    answers: Answers,
    draws: int,
    labels: set[str] | None = None,
    best: Answers | None = None,
    name: str = "",
) -> records.MethodResult:
    """Accuracy and macro accuracy with intervals over groups, and the paired difference.

    Rows of one item (seeds) share its group, so that an interval is that of
    the seed-averaged score.

    Args:
        answers: One method's.
        draws: Of the bootstrap.
        labels: The label set; answers outside it are counted.
        best: The adaptor's answers to the same rows, in the same order of items.
        name: Of the method.
    """
    boot = metrics.Bootstrap(
        [i.answer for i in answers.items], [i.group or i.id for i in answers.items], draws
    )
    correct = answers.correct
    by_seed = [
        float(correct[np.array(answers.seeds) == s].mean()) for s in sorted(set(answers.seeds))
    ]
    accuracy = boot.interval(correct)
    macro = boot.interval(correct, macro=True)
    outside = None
    if labels is not None:
        known = {metrics.normalise(x) for x in labels}
        outside = float(np.mean([metrics.normalise(t) not in known for t in answers.texts]))
    difference = None
    if best is not None:
        theirs = dict(zip([(i.id) for i in answers.items], correct, strict=True))
        if len(theirs) == len(correct):  # one row an item: compare with the seeds' mean
            mine: dict[str, list[float]] = defaultdict(list)
            for item, hit in zip(best.items, best.correct, strict=True):
                mine[item.id].append(hit)
            delta = np.array([np.mean(mine[i.id]) for i in answers.items]) - correct
        else:
            delta = best.correct - correct
        difference = records.Score(**vars(boot.interval(delta)))
    return records.MethodResult(
        method=name,
        accuracy=records.Score(
            **vars(accuracy), seed_std=float(np.std(by_seed)) if len(by_seed) > 1 else None
        ),
        macro_accuracy=records.Score(**vars(macro)),
        difference=difference,
        outside=outside,
        items=len({i.id for i in answers.items}),
    )


def run(profile: Profile, say: Callable[[str], None] = print) -> records.SingleTaskRecord:
    """Run (or read back) every training of ``profile`` and score it against its baselines."""
    started = time.perf_counter()
    planned = plan(profile, say)
    vectors = {k: v for p in planned.prepared for k, v in p.embedded.vectors.items()}
    outcomes = runs.execute_all(planned.todo, lambda _: vectors, planned.llm, "single tasks")
    results = [
        _result(planned, ready, protocol, outcomes, vectors)
        for ready in planned.prepared
        for protocol in ready.folds
    ]
    # of what is read back, what it took when it was made
    spent = sum(o.train_seconds + o.answer_seconds for o in outcomes.values())
    spent += sum(_embedding_seconds(planned.encoder, p) or 0.0 for p in planned.prepared)
    sources = {p.loaded.source for p in planned.prepared}
    names = [p.task.dataset for p in planned.prepared]
    record = records.SingleTaskRecord(
        provenance=records.provenance(
            profile,
            planned.encoder,
            planned.llm.identity().slug,
            manifests.hashes(names),
            " and ".join(sorted(sources)),
            max(spent, time.perf_counter() - started),
        ),
        results=results,
    )
    records.write(record, cache_dir() / "records" / f"single_task.{profile.name}.json")
    return record


def _result(
    planned: Plan,
    ready: Prepared,
    protocol: Protocol,
    outcomes: dict[str, Outcome],
    vectors: dict[str, np.ndarray],
) -> records.TaskResult:
    """All of one task under one protocol."""
    profile, task, folds = planned.profile, ready.task, ready.folds[protocol]
    mine = [r for r in planned.todo if (r.task, r.protocol) == (task.name, protocol)]
    full = [  # all but the shorter ones of the learning curve
        r for r in mine if r.variant in CONTROLS or len(r.fold.train) == len(folds[r.number].train)
    ]
    labels = {i.answer for f in folds for i in (*f.train, *f.test)}
    extra_names = sorted({i.subset for f in folds for i in f.extra})
    # answers by subset ("main" first) and method
    table: dict[str, dict[str, Answers]] = {s: defaultdict(Answers) for s in ("main", *extra_names)}
    for run_ in full:
        if run_.variant not in CONTROLS:
            asked = [*run_.fold.test, *run_.fold.extra]
            _collect(table, run_.variant, asked, run_.seed, outcomes[run_.key].texts)
    for number, fold in enumerate(folds):
        seed = profile.seeds[number] if protocol == "random" else profile.seeds[0]
        asked = [*fold.test, *fold.extra]
        for method, texts in runs.baseline_answers(fold, asked, vectors, seed).items():
            _collect(table, method, asked, seed, texts)
        if protocol == "leak-free":
            for method, (some, texts) in measured.baselines(task.name, fold, asked).items():
                _collect(table, method, some, seed, texts)
    draws = profile.bootstrap
    methods = [
        score(
            a,
            draws,
            labels if m.endswith("adaptor") else None,
            table["main"]["adaptor"] if m != "adaptor" else None,
            m,
        )
        for m, a in table["main"].items()
    ]
    subsets = [
        records.SubsetResult(
            subset=s,
            items=len({i.id for i in table[s]["adaptor"].items}),
            methods=[
                score(a, draws, labels if m.endswith("adaptor") else None, None, m)
                for m, a in table[s].items()
            ],
            extra=_extra(task.name, table[s]["adaptor"]),
        )
        for s in extra_names
    ]
    answers = table["main"]["adaptor"]
    main_runs = [r for r in full if r.variant == "adaptor"]
    train_seconds = [outcomes[r.key].train_seconds for r in main_runs]
    passes = sum(len(outcomes[r.key].history) * len(r.fold.train) for r in main_runs)
    return records.TaskResult(
        task=task.name,
        protocol=protocol,
        split=task.split if protocol == "leak-free" else "random fifth",
        n_train=round(np.mean([len(f.train) for f in folds])),
        n_val=round(np.mean([len(f.val) for f in folds])),
        n_test=len({i.id for i in answers.items}),
        classes=sorted(labels),
        groups=len({i.group or i.id for i in answers.items}),
        source=ready.loaded.source,
        methods=methods,
        voted=_voted(main_runs, outcomes, table["main"]["logistic regression"], draws),
        subsets=subsets,
        controls=_controls(planned, ready, protocol, full, outcomes, labels),
        curve=_curve(planned, ready, mine, outcomes, vectors) if protocol == "leak-free" else [],
        history=[
            h | {"number": r.number, "seed": r.seed}
            for r in main_runs
            for h in outcomes[r.key].history
        ],
        confusion=_confusion(answers, labels),
        examples=_examples(planned, ready, main_runs, outcomes, vectors)
        if protocol == "leak-free"
        else [],
        extra=_extra(task.name, answers),
        batch_disagreement=_disagreement(planned, main_runs[0], outcomes, vectors)
        if protocol == "leak-free"
        else None,
        notes=[f"{f.item_id} left out: {f.reason}" for f in ready.embedded.failures],
        seconds_embedding=_embedding_seconds(planned.encoder, ready),
        seconds_training=float(np.mean(train_seconds)),
        seconds_answering=float(np.mean([outcomes[r.key].answer_seconds for r in main_runs])),
        items_per_second=passes / sum(train_seconds),
        price_usd=ready.price,
    )


def _voted(
    trainings: Sequence[Run], outcomes: dict[str, Outcome], regression: Answers, draws: int
) -> records.Voted | None:
    """What the seeds' adaptors answer together, if there are enough to vote."""
    seeds = len({r.seed for r in trainings})
    if seeds < 3:
        return None
    done = [(r, outcomes[r.key]) for r in trainings]
    together = vote(
        row
        for r, o in done
        for row in zip(r.fold.test, o.texts, o.logprobs, strict=False)  # what is extra comes after
    )
    difference = score(regression, draws, None, together).difference
    if difference is None:
        raise AssertionError("a difference was asked for")
    return records.Voted(
        seeds=seeds, accuracy=score(together, draws).accuracy, over_regression=difference
    )


def _embedding_seconds(encoder: str, ready: Prepared) -> float | None:
    """What embedding the task's items takes from raw media; 0 where only released vectors are.

    The seconds an item are kept from the run that embedded them: later ones find vectors stored.
    ``None`` if the vectors were there and nothing was kept.
    """
    if ready.loaded.source == "released":
        return 0.0
    path = cache_dir() / "measured" / "embedding.json"
    kept: dict[str, float] = json.loads(path.read_text()) if path.exists() else {}
    name, embedded = f"{encoder}/{ready.task.name}", ready.embedded
    if embedded.computed:
        kept[name] = embedded.seconds / embedded.computed
        records.write_text(path, json.dumps(kept, indent=1))
    return kept[name] * len(embedded.vectors) if name in kept else None


def _disagreement(
    planned: Plan,
    run_: Run,
    outcomes: dict[str, Outcome],
    vectors: dict[str, np.ndarray],
) -> float:
    """How often an answer to one of the first test items depends on what else is in its batch."""
    first = run_.fold.test[: planned.profile.answered_alone]
    some = runs.examples(run_, first, vectors, planned.llm)
    adaptor = runs.adaptor_of(run_, outcomes[run_.key]).to(planned.llm.device).eval()
    with torch.inference_mode():
        virtual, _ = virtual_tokens(adaptor, some, planned.llm)
        return batch_disagreement(planned.llm, virtual, some.prompts)


def _collect(
    table: dict[str, dict[str, Answers]],
    method: str,
    asked: Sequence[Item],
    seed: int,
    texts: Sequence[str],
) -> None:
    """File a method's answers to a fold's test and extra items by subset."""
    for subset in dict.fromkeys(i.subset for i in asked):
        rows = [k for k, i in enumerate(asked) if i.subset == subset]
        table[subset][method].add([asked[k] for k in rows], seed, [texts[k] for k in rows])


def _controls(
    planned: Plan,
    ready: Prepared,
    protocol: str,
    full: Sequence[Run],
    outcomes: dict[str, Outcome],
    labels: set[str],
) -> list[records.MethodResult]:
    """Shuffled labels, random and constant vectors, mismatched vectors, the blind prompt."""
    task, profile = ready.task, planned.profile
    if protocol != "leak-free" or task.name not in profile.control_tasks:
        return []
    found: dict[str, Answers] = defaultdict(Answers)
    for r in full:
        outcome = outcomes[r.key]
        if r.variant in CONTROLS:
            found[r.variant].add(r.fold.test, r.seed, outcome.texts[: len(r.fold.test)])
        elif r.variant == "adaptor":
            found["mismatched vectors"].add(r.fold.test, r.seed, outcome.mismatched)
    prompt = planned.llm.prompt(task.prompt)
    for fold in ready.folds["leak-free"]:
        blind = predict(None, planned.llm, Examples(np.empty((1, 0)), [prompt], [""]))[
            0
        ]  # the same for every item: asked once
        found["no virtual tokens"].add(fold.test, profile.seeds[0], [blind.text] * len(fold.test))
    return [score(a, profile.bootstrap, labels, None, m) for m, a in found.items()]


def _curve(
    planned: Plan,
    ready: Prepared,
    mine: Sequence[Run],
    outcomes: dict[str, Outcome],
    vectors: dict[str, np.ndarray],
) -> list[dict]:
    """Accuracy against training items: the adaptor's by seed, and logistic regression's."""
    if ready.task.name not in planned.profile.curve_tasks:
        return []
    points: dict[int, list[float]] = defaultdict(list)
    folds: dict[int, Fold] = {}
    for r in mine:
        if r.variant == "adaptor" and r.number == 0:
            answers = Answers()
            answers.add(r.fold.test, r.seed, outcomes[r.key].texts[: len(r.fold.test)])
            points[len(r.fold.train)].append(float(answers.correct.mean()))
            folds[len(r.fold.train)] = r.fold
    out = []
    for n, fold in sorted(folds.items()):
        method = "logistic regression"
        texts = runs.baseline_answers(fold, fold.test, vectors, methods=(method,))[method]
        linear = Answers()
        linear.add(fold.test, 0, texts)
        out.append(
            {
                "n_train": n,
                "adaptor": points[n],
                "logistic regression": float(linear.correct.mean()),
            }
        )
    return out


def _confusion(answers: Answers, labels: set[str]) -> dict[str, dict[str, float]]:
    """Share of each answer given, by true answer; answers outside the label set pooled.

    Left empty for label sets too large to be shown.
    """
    if len(labels) > 16:
        return {}
    known = {metrics.normalise(x): x for x in labels}
    rows: dict[str, Counter[str]] = defaultdict(Counter)
    for item, text in zip(answers.items, answers.texts, strict=True):
        rows[item.answer][known.get(metrics.normalise(text), "(other)")] += 1
    return {
        truth: {g: n / sum(c.values()) for g, n in sorted(c.items())}
        for truth, c in sorted(rows.items())
    }


def _examples(
    planned: Plan,
    ready: Prepared,
    main_runs: Sequence[Run],
    outcomes: dict[str, Outcome],
    vectors: dict[str, np.ndarray],
    count: int = 12,
) -> list[records.Example]:
    """Test items with the first seed's answers and their neighbours among the training items.

    The samples that are committed for showing come first, then a balanced draw.
    """
    identity = encoders.load(planned.profile.encoder).identity()
    out: list[records.Example] = []
    shown = set(released.samples())
    for r in main_runs:
        if r.seed != planned.profile.seeds[0]:
            continue
        by_key = {i.media.key: i for i in r.fold.train}
        order = sorted(range(len(r.fold.test)), key=lambda k: (r.fold.test[k].id not in shown, k))
        for k in order[: max(count, sum(i.id in shown for i in r.fold.test))]:
            item, outcome = r.fold.test[k], outcomes[r.key]
            near = ready.store.nearest(identity, vectors[item.media.key][0], list(by_key))
            out.append(
                records.Example(
                    item_id=item.id,
                    answer=item.answer,
                    given=outcome.texts[k],
                    logprob=outcome.logprobs[k],
                    neighbours=[
                        {"id": by_key[key].id, "answer": by_key[key].answer, "cosine": c}
                        for key, c in near
                    ],
                )
            )
    out.sort(key=lambda e: e.item_id not in shown)
    return out[: max(count, sum(e.item_id in shown for e in out))]


def _extra(task: str, answers: Answers) -> dict[str, float]:
    """Further measures of a task: for texts of many forms the character error rate."""
    if task not in ("scene-text", "commands"):
        return {}
    truths = [i.answer for i in answers.items]
    out = {"CER": metrics.cer(answers.texts, truths)}
    if task == "commands":
        out["WER"] = metrics.wer(answers.texts, truths)
    else:
        correct = answers.correct
        lengths = np.array([len(t) for t in truths])
        for low, high in ((1, 4), (5, 6), (7, 99)):
            here = (lengths >= low) & (lengths <= high)
            if here.any():
                name = (
                    f"accuracy, {low}–{high} letters" if high < 99 else f"accuracy, {low}+ letters"
                )
                out[name] = float(correct[here].mean())
    return out
