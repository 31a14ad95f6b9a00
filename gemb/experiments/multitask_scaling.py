"""Section 4: can one adaptor serve all tasks, only the prompt differing?"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from gemb import encoders, metrics, records, tasks
from gemb.adaptor import num_parameters
from gemb.data import manifests
from gemb.data.fetch import cache_dir
from gemb.data.items import Item
from gemb.data.splits import Fold
from gemb.encoders.base import Encoder
from gemb.evaluate import predict
from gemb.experiments import runs, single_task
from gemb.experiments.runs import Outcome, Run
from gemb.llm import FrozenLLM
from gemb.metrics import Bootstrap
from gemb.profiles import PLAIN, Profile, Training
from gemb.records import STUDYS_FORM, Score, SharedTask

# Two tasks that share clips, which are asked about both, by the profile's source: which word is
# said, and who speaks; of the study's own data, how and by whom.
SWAPPED = {
    "raw": ("words", "gender"),
    "released": ("words", "gender"),
    "official": ("emotion", "gender"),
}
# The study's adaptor has this hidden width; it shows neither standardisation nor noise, and says
# nothing of its start, its learning rate and its epochs.
STUDYS = PLAIN.model_dump(include={"hidden", "standardise", "noise", "warm_start", "output_scale"})


@dataclass(frozen=True)
class Trial:
    """A shared adaptor to be trained: what differs from the profile's way."""

    name: str
    group: str
    encoder: str
    k: int = 1
    tasks: tuple[str, ...] = ()  # empty: all
    changed: Mapping[str, float | bool] = field(default_factory=dict)  # of Training
    sampling: str = "proportional"
    film: bool = False
    after: bool = False  # virtual tokens after the prompt
    from_single: bool = False
    seed: int | None = None  # the profile's first


@dataclass
class Data:
    """One encoder's items of each task, and their vectors once they are embedded."""

    slug: str
    dim: int
    source: str
    folds: dict[str, Fold]
    vectors: dict[str, np.ndarray]


def run(profile: Profile, say: Callable[[str], None] = print) -> records.MultitaskRecord:
    """Run (or read back) every training of the section."""
    started = time.perf_counter()
    sizes = profile.multitask
    llm = FrozenLLM.load(profile.llm)
    makers = {name: encoders.load(name) for name in sizes.encoders}
    selected = {n: single_task.selected(asked(profile, n), maker) for n, maker in makers.items()}

    def plan() -> tuple[dict[str, Data], dict[tuple[str, str], Run], list[Run]]:
        data = {name: _data(maker, selected[name]) for name, maker in makers.items()}
        return data, *_trainings(profile, planned, data, llm)

    planned = list(trials(profile, llm))
    _, singles, shared = plan()
    told = runs.announce([*singles.values(), *shared], llm)
    if "rescue" in sizes.groups:
        told += f". Then {len(sizes.rescue_tokens)} more confirm the best"
    say(told)
    for name, maker in makers.items():
        single_task.embed_items(selected[name], maker)
    data, singles, shared = plan()  # anew, for what could not be embedded is not trained on
    makers.clear()  # frees their networks, which nothing asks any more
    everything = [*singles.values(), *shared]
    keys = _keys(singles, sizes.encoders[0])
    vectors = {d.slug: d.vectors for d in data.values()}

    def execute(some: Iterable[Run], label: str) -> dict[str, Outcome]:
        return runs.execute_all(some, lambda run: vectors[run.encoder], llm, label)

    found = execute(everything, "one adaptor for all")
    outcomes = {key: found[run.key] for key, run in singles.items()}

    single = {
        name: [
            _shared(task, singles[name, task].fold.test, outcomes[name, task].texts, profile)
            for task in data[name].folds
        ]
        for name in sizes.encoders
    }

    def scored(trial: Trial, run: Run) -> records.Trial:
        done = _trial(profile, trial, data[trial.encoder], llm, run, found[run.key])
        names = _names(trial, data[trial.encoder])
        own = [text for task in names for text in outcomes[trial.encoder, task].texts]
        answers = list(zip(run.fold.test, found[run.key].texts, own, strict=True))
        learnt = {s.task for s in single[trial.encoder] if s.learnt}
        done.of_own = _of_own(answers, profile.bootstrap)
        done.of_learnt = _of_own(
            [a for a in answers if a[0].meta["task"] in learnt], profile.bootstrap
        )
        return done

    done = [scored(t, r) for t, r in zip(planned, shared, strict=True)]
    # which ones are confirmed is known only now
    confirming = [
        replace(
            next(t for t in planned if (t.name, t.encoder) == (best.name, best.encoder)),
            group="confirmation",
            seed=profile.seeds[0] + 1,
        )
        for best in winners(done, sizes.encoders[0])
    ]
    again = [
        _run(profile, t, data[t.encoder], llm, keys, _names(t, data[t.encoder])) for t in confirming
    ]
    found |= execute(again, "the best again")
    done += [scored(t, r) for t, r in zip(confirming, again, strict=True)]
    record = records.MultitaskRecord(
        provenance=records.provenance(
            profile,
            data[sizes.encoders[0]].slug,
            llm.identity().slug,
            manifests.hashes(tasks.get(t, profile.source).dataset for t in profile.tasks),
            " and ".join(sorted({d.source for d in data.values()})),
            time.perf_counter() - started,
        ),
        encoders=list(sizes.encoders),
        single=single,
        trials=done,
        seconds=sum(o.train_seconds + o.answer_seconds for o in found.values()),
        swap=_swap(profile, planned, data[sizes.encoders[0]], llm, keys, found),
    )
    records.write(record, cache_dir() / "records" / f"multitask_scaling.{profile.name}.json")
    return record


def asked(profile: Profile, encoder: str) -> Profile:
    """The profile as this section samples the tasks: its own sizes, the leak-free split."""
    sizes = profile.multitask
    # one fold's share of the test items is taken, so that all are as many as of other tasks
    one_fold = sizes.sizes.model_copy(update={"test": sizes.sizes.test * sizes.sizes.folds})
    return profile.model_copy(
        update={
            "encoder": encoder,
            "sizes": sizes.sizes,
            "sizes_by_task": {
                **{
                    n: one_fold
                    for n in profile.tasks
                    if tasks.get(n, profile.source).split == "folds"
                },
                **sizes.sizes_by_task,
            },
            "protocols": ("leak-free",),
        }
    )


def _data(encoder: Encoder, prepared: Sequence[single_task.Prepared]) -> Data:
    """Items, splits and vectors of the tasks selected for ``encoder``: the first leak-free fold."""
    folds = {}
    for ready in prepared:
        fold = ready.folds["leak-free"][0]
        name, prompt = ready.task.name, ready.task.prompt
        folds[name] = Fold(
            tuple(_asked(i, name, prompt) for i in fold.train),
            tuple(_asked(i, name, prompt) for i in fold.val),
            tuple(_asked(i, name, prompt) for i in fold.test),
        )
    return Data(
        encoder.identity().slug,
        encoder.dim,
        " and ".join(sorted({p.loaded.source for p in prepared})),
        folds,
        {k: v for p in prepared for k, v in p.embedded.vectors.items()},
    )


def _trainings(
    profile: Profile, planned: Sequence[Trial], data: Mapping[str, Data], llm: FrozenLLM
) -> tuple[dict[tuple[str, str], Run], list[Run]]:
    """Each task's own adaptor, by encoder and task, and the shared ones."""
    epochs = {"epochs": profile.multitask.own_epochs}
    singles = {
        (name, task): _run(
            profile, Trial(task, "single", name, changed=epochs), some, llm, {}, (task,)
        )
        for name, some in data.items()
        for task in some.folds
    }
    keys = _keys(singles, profile.multitask.encoders[0])
    shared = [
        _run(profile, t, data[t.encoder], llm, keys, _names(t, data[t.encoder])) for t in planned
    ]
    return singles, shared


def _keys(singles: Mapping[tuple[str, str], Run], encoder: str) -> dict[str, str]:
    """The keys of the tasks' own adaptors under ``encoder``."""
    return {task: run.key for (name, task), run in singles.items() if name == encoder}


def _asked(item: Item, task: str, prompt: str) -> Item:
    """The item with what is asked about it."""
    return replace(item, meta={**item.meta, "task": task, "prompt": prompt})


def mixed(
    by_task: Mapping[str, Sequence[Item]], sampling: str = "proportional"
) -> tuple[Item, ...]:
    """One epoch's training items of all tasks.

    ``proportional``: every item once. ``balanced``: as many of each task, all
    together as many as there are; items of small tasks come several times,
    none more than once oftener than another of its task.
    """
    if sampling == "proportional":
        return tuple(i for items in by_task.values() for i in items)
    if sampling != "balanced":
        raise ValueError(f"no sampling {sampling!r}; there are: proportional, balanced")
    share = round(sum(len(items) for items in by_task.values()) / len(by_task))
    return tuple(items[n % len(items)] for items in by_task.values() for n in range(share))


def equal_hidden(dim: int, llm_hidden: int, k: int, hidden: int) -> int:
    """The hidden width at which k tokens take the parameters that one takes at ``hidden``."""
    budget = num_parameters(dim, hidden, llm_hidden, 1)
    out = k * llm_hidden
    return max(1, round((budget - out) / (dim + 1 + out)))


def trials(profile: Profile, llm: FrozenLLM) -> Iterable[Trial]:
    """Every shared adaptor but those that confirm the best."""
    sizes, headline = profile.multitask, profile.multitask.encoders[0]
    for encoder in sizes.encoders:
        for k in sizes.tokens:
            yield Trial(f"{k} token{'s' if k > 1 else ''}", "sweep", encoder, k)
    if "capacity" in sizes.groups:
        for k in sizes.tokens:
            for rate in sizes.learning_rates:
                yield Trial(
                    f"{k} token{'s' if k > 1 else ''}, equal parameters, learning rate {rate:g}",
                    "capacity",
                    headline,
                    k,
                    changed={"learning_rate": rate, "equal": True},
                )
    if "collapse" in sizes.groups:
        few, some = ("words", "gender"), ("words", "gender", "clothing", "digits")
        base = profile.training.learning_rate
        yield Trial("two tasks", "collapse", headline, tasks=few)
        yield Trial("four tasks", "collapse", headline, tasks=some)
        yield Trial("one epoch", "collapse", headline, changed={"epochs": 1})
        for factor in (0.1, 10):
            yield Trial(
                f"learning rate × {factor:g}",
                "collapse",
                headline,
                changed={"learning_rate": base * factor},
            )
        yield Trial("inputs not standardised, no noise", "collapse", headline,
                    changed={"standardise": False, "noise": 0.0})  # fmt: skip
        yield Trial("no warm start", "collapse", headline, changed={"warm_start": 0.0})
        for k in sizes.tokens:  # the study's collapse, and what it says undoes it
            yield Trial(
                f"{STUDYS_FORM}: hidden {PLAIN.hidden}, plain, {k} token{'s' if k > 1 else ''}",
                "collapse",
                headline,
                k,
                changed={**STUDYS, "learning_rate": PLAIN.learning_rate},
            )
    if "rescue" in sizes.groups:
        norm = llm.embedding_rms()
        for k in sizes.rescue_tokens:
            of_k = f", {k} token{'s' if k > 1 else ''}"
            yield Trial(f"{sizes.longer} times as long" + of_k, "rescue", headline, k,
                        changed={"epochs": sizes.longer * sizes.epochs})  # fmt: skip
            yield Trial("balanced sampling" + of_k, "rescue", headline, k, sampling="balanced")
            yield Trial(
                "tokens as long as the model's own embeddings" + of_k,
                "rescue",
                headline,
                k,
                changed={"output_scale": norm, "warm_start": norm},
            )
            yield Trial("conditioned on the prompt (FiLM)" + of_k, "rescue", headline, k, film=True)
            if k == 1:  # the single-task adaptors have one token
                yield Trial("virtual tokens after the prompt" + of_k, "rescue", headline, k,
                            after=True)  # fmt: skip
                yield Trial("from the single-task adaptors" + of_k, "rescue", headline, k,
                            from_single=True)  # fmt: skip


def winners(done: Sequence[records.Trial], encoder: str) -> list[records.Trial]:
    """Of each token count that was to be rescued the trial best on validation items."""
    rescued = [t for t in done if t.group in ("rescue", "sweep") and t.encoder == encoder]
    counts = sorted({t.num_virtual_tokens for t in done if t.group == "rescue"})
    return [
        max((t for t in rescued if t.num_virtual_tokens == k), key=lambda t: t.validation)
        for k in counts
    ]


def _names(trial: Trial, data: Data) -> list[str]:
    """The tasks of a trial that there are items of."""
    return [n for n in data.folds if not trial.tasks or n in trial.tasks]


def _run(
    profile: Profile,
    trial: Trial,
    data: Data,
    llm: FrozenLLM,
    singles: Mapping[str, str],
    names: Sequence[str],
) -> Run:
    folds = {n: data.folds[n] for n in names}
    # val and test hold every task's items one after the other, training items are mixed
    fold = Fold(
        mixed({n: f.train for n, f in folds.items()}, trial.sampling),
        tuple(i for f in folds.values() for i in f.val),
        tuple(i for f in folds.values() for i in f.test),
    )
    if trial.after:
        fold = Fold(
            tuple(map(_media_last, fold.train)),
            tuple(map(_media_last, fold.val)),
            tuple(map(_media_last, fold.test)),
        )
    changed = dict(trial.changed)
    settings: Training = profile.training.model_copy(update={"epochs": profile.multitask.epochs})
    if changed.pop("equal", False):
        changed["hidden"] = equal_hidden(data.dim, llm.hidden_size, trial.k, settings.hidden)
    settings = settings.model_copy(update=changed)
    return Run(
        task=trial.name,
        prompt="",
        protocol="leak-free",
        number=0,
        seed=profile.seeds[0] if trial.seed is None else trial.seed,
        variant="adaptor",
        fold=fold,
        settings=settings,
        num_virtual_tokens=trial.k,
        encoder=data.slug,
        vectors=data.source,
        llm=llm.identity().slug,
        precision=str(llm.dtype).removeprefix("torch."),
        film=trial.film,
        start=tuple(singles[n] for n in names) if trial.from_single else (),
    )


def _media_last(item: Item) -> Item:
    return replace(item, meta={**item.meta, "prompt": item.meta["prompt"] + " {media}"})


def _trial(
    profile: Profile, trial: Trial, data: Data, llm: FrozenLLM, run: Run, outcome: Outcome
) -> records.Trial:
    """Score a trial task by task."""
    by_task: dict[str, list[int]] = defaultdict(list)
    for number, item in enumerate(run.fold.test):
        by_task[item.meta["task"]].append(number)
    hidden = run.settings.hidden
    parameters = num_parameters(data.dim, hidden, llm.hidden_size, trial.k)
    if trial.film:
        parameters += 2 * hidden * (llm.hidden_size + 1)
    best = outcome.history[outcome.best_epoch - 1]
    return records.Trial(
        name=trial.name,
        group=trial.group,
        encoder=trial.encoder,
        seed=run.seed,
        num_virtual_tokens=trial.k,
        hidden=hidden,
        parameters=parameters,
        tasks=len(_names(trial, data)),
        passes=len(outcome.history) * len(run.fold.train),
        seconds=outcome.train_seconds,
        changed={k: v for k, v in trial.changed.items() if k != "equal"}
        | ({"sampling": trial.sampling} if trial.sampling != "proportional" else {})
        | ({"film": True} if trial.film else {})
        | ({"after the prompt": True} if trial.after else {})
        | ({"from single tasks": True} if trial.from_single else {}),
        validation=best["val_accuracy"],
        results=[
            _shared(
                task,
                [run.fold.test[n] for n in numbers],
                [outcome.texts[n] for n in numbers],
                profile,
            )
            for task, numbers in by_task.items()
        ],
        history=outcome.history,
    )


def _of_own(answers: Sequence[tuple[Item, str, str]], draws: int) -> Score | None:
    """The mean over tasks of an adaptor's accuracy as a share of that of the tasks' own adaptors.

    The interval is over the groups of items, each drawn with both answers to it.

    Args:
        answers: A test item, the adaptor's answer, and that of the task's own adaptor.
        draws: Of the bootstrap.

    Returns:
        ``None`` if there is no item, or the own adaptors are never right.
    """
    mine = np.array([float(metrics.exact_match(a, i.answer)) for i, a, _ in answers])
    theirs = np.array([float(metrics.exact_match(a, i.answer)) for i, _, a in answers])
    if not theirs.any():
        return None
    items = [item for item, _, _ in answers]
    boot = Bootstrap([i.meta["task"] for i in items], [i.group or i.id for i in items], draws)
    return Score(**vars(boot.ratio(mine, theirs, macro=True)))


def _shared(task: str, items: Sequence[Item], texts: Sequence[str], profile: Profile) -> SharedTask:
    """Accuracy with its interval, and what is said."""
    hits = np.array(
        [metrics.exact_match(t, i.answer) for t, i in zip(texts, items, strict=True)], dtype=float
    )
    boot = Bootstrap([i.answer for i in items], [i.group or i.id for i in items], profile.bootstrap)
    labels = {metrics.normalise(a) for a in _labels(task, profile.source, items)}
    said = [metrics.normalise(t) for t in texts]
    return SharedTask(
        task=task,
        items=len(items),
        accuracy=Score(**vars(boot.interval(hits))),
        majority=max(Counter(i.answer for i in items).values()) / len(items),
        outside=float(np.mean([t not in labels for t in said])),
        words=float(np.mean([len(t.split()) for t in said])),
        frequent=[(t, n / len(said)) for t, n in Counter(said).most_common(3)],
    )


def _labels(task: str, source: str, items: Sequence[Item]) -> Sequence[str]:
    """The answers there are: of the manifest where it lists them."""
    return manifests.get(tasks.get(task, source).dataset).classes or [i.answer for i in items]


def _swap(
    profile: Profile,
    planned: Sequence[Trial],
    data: Data,
    llm: FrozenLLM,
    singles: Mapping[str, str],
    outcomes: Mapping[str, Outcome],
) -> list[dict]:
    """The same clips asked with either prompt: does the prompt decide what is answered?"""
    pair = SWAPPED[profile.source]
    if not set(pair) <= set(data.folds):
        return []
    clips = data.folds[pair[0]].test
    out = []
    for trial in planned:
        if trial.group != "sweep" or trial.encoder != profile.multitask.encoders[0]:
            continue
        run = _run(profile, trial, data, llm, singles, list(data.folds))
        adaptor = runs.adaptor_of(run, outcomes[run.key]).to(llm.device)
        for asked in pair:
            about = [_asked(i, asked, tasks.get(asked).prompt) for i in clips]
            texts = [
                metrics.normalise(a.text)
                for a in predict(adaptor, llm, runs.examples(run, about, data.vectors, llm))
            ]
            row: dict = {"k": trial.k, "asked": asked, "items": len(texts)}
            for task in pair:
                listed = _labels(task, profile.source, data.folds[task].test)
                labels = {metrics.normalise(a) for a in listed}
                row[f"answers of {task}"] = float(np.mean([t in labels for t in texts]))
            truth = [i.meta.get("gender", "") if asked == "gender" else i.answer for i in clips]
            # not every dataset of words says who speaks
            known = [n for n, a in enumerate(truth) if a]
            row["right"] = None
            if known:
                boot = Bootstrap(
                    [truth[n] for n in known],
                    [clips[n].group or clips[n].id for n in known],
                    profile.bootstrap,
                )
                hits = [metrics.exact_match(texts[n], truth[n]) for n in known]
                row["right"] = vars(boot.interval(np.array(hits, dtype=float)))
            counts = Counter(a for a in truth if a)
            row["majority"] = max(counts.values()) / counts.total() if counts else None
            out.append(row)
    return out
