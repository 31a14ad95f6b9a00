"""One training and its answers: done once, then read back as long as its inputs are the same."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gemb import baselines, records
from gemb.adaptor import Adaptor
from gemb.data import released
from gemb.data.fetch import cache_dir
from gemb.data.items import Item
from gemb.data.splits import Fold
from gemb.embed import Embedded, embed
from gemb.encoders import Encoder
from gemb.evaluate import Examples, predict, surprisal
from gemb.llm import FrozenLLM
from gemb.profiles import Training
from gemb.progress import Bar, progress
from gemb.store import Store
from gemb.train import AT_ONCE, Choice, Fit, Job, fit_together

Vectors = dict[str, np.ndarray]  # by the media's key

# Raise when a change to the code changes what a training gives, or what a baseline answers.
VERSION = 3
BASELINES_VERSION = 1

# What a variant changes in the training's settings; the others change what it is trained on.
SETTINGS: dict[str, dict[str, Any]] = {
    "linear adaptor": {"activation": "none"},
    "cold-started adaptor": {"warm_start": 0.0},
    "untrained adaptor": {"learning_rate": 0.0, "epochs": 1},  # the warm start alone
}


@dataclass(frozen=True)
class Run:
    """A training to be done: what decides its outcome, and nothing else."""

    task: str
    prompt: str
    protocol: str
    number: int  # of the fold, or of the redrawn split
    seed: int
    variant: str
    fold: Fold
    settings: Training
    num_virtual_tokens: int
    encoder: str
    vectors: str  # raw, or released: those are rounded
    llm: str
    precision: str  # of the language model: its answers in bfloat16 differ now and then
    mismatch: bool = False  # ask again with another item's vector
    choose_by: Choice = "exact match"  # what the best epoch is best at
    max_new_tokens: int = 16  # of an answer
    stack: int = 1  # so many neighbouring vectors of an item side by side in one
    film: bool = False  # condition the adaptor on the prompt
    start: tuple[str, ...] = ()  # keys of runs whose adaptors' mean it starts from
    costs: bool = False  # of the right answers, with their own vector and with another's

    @property
    def key(self) -> str:
        """Digest of all inputs."""
        settings = self.trained_with.model_dump()
        if settings["activation"] == "gelu":  # came later: earlier runs keep their keys
            del settings["activation"]
        content = {
            "version": VERSION,
            "prompt": self.prompt,
            "seed": self.seed,
            "variant": self.variant,
            "settings": settings,
            "k": self.num_virtual_tokens,
            "encoder": self.encoder,
            "vectors": self.vectors,
            "llm": self.llm,
            "precision": self.precision,
            "mismatch": self.mismatch,
            "items": {
                part: [(i.media.key, i.answer) for i in getattr(self.fold, part)]
                for part in ("train", "val", "test", "extra")
            },
        }
        # these came later: where they say nothing new, earlier runs keep their keys
        for name in ("choose_by", "max_new_tokens", "stack", "costs", "film", "start"):
            value = getattr(self, name)
            if value != type(self).__dataclass_fields__[name].default:
                content[name] = value
        prompts = [self.prompt_of(i) for i in self.items]
        if any(p != self.prompt for p in prompts):
            content["prompts"] = prompts
        return records.digest(content)

    @property
    def trained_with(self) -> Training:
        """The settings with what the variant changes."""
        return self.settings.model_copy(update=SETTINGS.get(self.variant, {}))

    @property
    def items(self) -> tuple[Item, ...]:
        """Every item of the fold, part after part."""
        return (*self.fold.train, *self.fold.val, *self.fold.test, *self.fold.extra)

    def prompt_of(self, item: Item) -> str:
        """What is asked about an item: its own prompt where tasks are mixed, else the run's."""
        return item.meta.get("prompt", self.prompt)

    @property
    def passes(self) -> int:
        """Training items times epochs: what the time is roughly proportional to."""
        return len(self.fold.train) * self.trained_with.epochs


@dataclass
class Outcome:
    """What a run gave. Answers stand in the order of the fold's test and extra items."""

    history: list[dict]
    best_epoch: int
    train_seconds: float
    answer_seconds: float
    steps: int
    texts: list[str]
    logprobs: list[float]
    mismatched: list[str]  # answers to another item's vector, where the run asks for them
    folder: str
    surprisal: list[float] = field(default_factory=list)  # at each right answer, natural units
    surprisal_other: list[float] = field(default_factory=list)  # given another item's vector


def store_of(source: str, folder: Path | None = None) -> Store:
    """Where vectors are kept; released ones are rounded, and have a store of their own.

    Args:
        source: ``raw``, ``official`` or ``released``, as :func:`gemb.data.load.load` said.
        folder: Of the stores; the cache if it is not given.
    """
    return Store((folder or cache_dir()) / ("released" if source == "released" else "vectors"))


def embedded(
    items: Sequence[Item], encoder: Encoder, source: str, label: str, folder: Path | None = None
) -> tuple[Embedded, Store]:
    """The items' vectors and the store that holds them.

    Args:
        items: All of one source.
        encoder: Makes what is neither stored nor released.
        source: As of :func:`store_of`, and ``folder`` too.
        label: Of the progress shown.
    """
    store = store_of(source, folder)
    look_up = released.vectors(encoder.identity().slug) if source == "released" else None
    return embed(items, encoder, store, released=look_up, label=label), store


def baseline_answers(
    fold: Fold,
    asked: Sequence[Item],
    vectors: dict[str, np.ndarray],
    seed: int = 0,
    methods: Sequence[str] = tuple(baselines.CANDIDATES),
) -> dict[str, list[str]]:
    """What the simple methods, fitted to a fold, answer to ``asked``; kept like a training."""
    x, x_val, x_asked = (
        np.concatenate([vectors[i.media.key] for i in part])
        for part in (fold.train, fold.val, asked)
    )
    answers, val_answers = ([i.answer for i in part] for part in (fold.train, fold.val))
    key = records.digest(
        {
            "version": BASELINES_VERSION,
            "scikit-learn": metadata.version("scikit-learn"),
            "vectors": hashlib.sha256(
                x.tobytes() + x_val.tobytes() + x_asked.tobytes()
            ).hexdigest(),
            "answers": [answers, val_answers],
            "seed": seed,
            "methods": list(methods),
        }
    )
    path = runs_dir() / "baselines" / f"{key}.json"
    if path.exists():
        kept: dict[str, list[str]] = json.loads(path.read_text(encoding="utf-8"))
        return kept
    found = baselines.predictions(x, answers, x_val, val_answers, x_asked, seed, methods)
    records.write_text(path, json.dumps(found))
    return found


def runs_dir() -> Path:
    """Where finished trainings are kept."""
    return cache_dir() / "runs"


def load(run: Run) -> Outcome | None:
    """The outcome of a run that was done before, if it is there and whole."""
    path = runs_dir() / run.key / "outcome.json"
    try:
        return Outcome(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def announce(
    todo: Iterable[Run],
    llm: FrozenLLM,
    vectors: Callable[[Run, Sequence[Item]], Vectors] | None = None,
) -> str:
    """How many trainings, how many are done already, and about how long the rest takes here.

    Args:
        todo: All of them; some may be one and the same.
        llm: The language model, three steps of which are timed.
        vectors: Looks up those of some of a run's items, where an item may have several; else
            each has one.
    """
    unique = {run.key: run for run in todo if run.fold.train}
    fresh = [run for run in unique.values() if load(run) is None]
    plural = "" if len(unique) == 1 else "s"
    text = f"{len(unique)} training{plural}, {len(unique) - len(fresh)} done before"
    if fresh:
        tokens = sum(run.passes * _tokens_an_item(run, llm, vectors) for run in fresh)
        # a fifth more for validation, answers and the adaptors' own steps
        minutes = max(1, round(1.2 * tokens / _tokens_per_second(llm, fresh[0]) / 60))
        rest = f"the other {len(fresh)}" if len(fresh) < len(unique) else "all"
        text += f"; {rest} together take about {minutes} min here"
    return text


def _tokens_an_item(
    run: Run, llm: FrozenLLM, vectors: Callable[[Run, Sequence[Item]], Vectors] | None
) -> float:
    """How many tokens the language model reads of one of the run's training items, on average."""
    some = run.fold.train[:: max(1, len(run.fold.train) // 64)]  # tasks may stand one after another
    prompts = {text: len(llm.prompt(text)) for text in {run.prompt_of(i) for i in some}}
    labels = llm.count_labels([i.answer for i in some])
    found = vectors(run, some) if vectors else {}
    counts = [len(found[i.media.key]) if found else 1 for i in some]
    virtual = sum(math.ceil(n / run.stack) for n in counts) * run.num_virtual_tokens
    return (labels + virtual + sum(prompts[run.prompt_of(i)] for i in some)) / len(some)


def _tokens_per_second(llm: FrozenLLM, run: Run) -> float:
    """Training speed on this machine: the fastest of three steps on items of the run's kind."""
    some = run.fold.train[: AT_ONCE * run.settings.batch_size]
    prompts = [llm.prompt(run.prompt_of(i)) for i in some]
    answers = [i.answer for i in some]
    tokens = len(some) + sum(map(len, prompts)) + llm.count_labels(answers)
    fastest = float("inf")
    for _ in range(3):
        started = time.perf_counter()
        virtual = torch.zeros(len(some), 1, llm.hidden_size, device=llm.device).requires_grad_()
        loss = llm.loss(virtual, prompts, answers)
        float(torch.autograd.grad(loss, virtual)[0].sum())  # waits for a GPU to have done it
        fastest = min(fastest, time.perf_counter() - started)
    return tokens / fastest


def vectors_of(
    run: Run, items: Sequence[Item], vectors: dict[str, np.ndarray]
) -> np.ndarray | list[np.ndarray]:
    """The vectors that the run's variant sees for ``items``.

    ``[N, D]`` where each has one, else an array ``[n_i, D]`` each.
    """
    listed = [stacked(vectors[i.media.key], run.stack) for i in items]
    if any(len(v) > 1 for v in listed) or run.stack > 1:
        return listed
    found = np.concatenate(listed)
    if run.variant == "constant vector":
        return np.repeat(
            np.concatenate([vectors[i.media.key] for i in run.fold.train]).mean(0, keepdims=True),
            len(items),
            axis=0,
        )
    if run.variant == "random vectors":
        # one Gaussian vector an item, of the real vectors' mean norm, fixed by the item's key
        norm = float(np.linalg.norm(found, axis=1).mean())
        drawn = np.stack(
            [
                np.random.default_rng([run.seed, int(i.media.key[:8], 16)]).standard_normal(
                    found.shape[1]
                )
                for i in items
            ]
        ).astype(np.float32)
        return drawn * (norm / np.sqrt(found.shape[1]))
    return found


def stacked(vectors: np.ndarray, count: int) -> np.ndarray:
    """``[n, D]`` as ``[ceil(n / count), count · D]``; the last row is filled up with zeros."""
    if count == 1:
        return vectors
    missing = -len(vectors) % count
    padded = np.pad(vectors, ((0, missing), (0, 0)))
    return padded.reshape(-1, count * vectors.shape[1])


def examples(
    run: Run, items: Sequence[Item], vectors: dict[str, np.ndarray], llm: FrozenLLM
) -> Examples:
    """The examples of ``items`` as the run's variant sees them."""
    rendered = {text: llm.prompt(text) for text in {run.prompt_of(i) for i in items}}
    prompts = [rendered[run.prompt_of(i)] for i in items]
    return Examples(vectors_of(run, items, vectors), prompts, [i.answer for i in items])


def mismatch(items: Sequence[Item], seed: int, as_long: bool = False) -> np.ndarray:
    """For each item the index of another with another answer, at random where there is one.

    Args:
        items: All that may stand for each other.
        seed: Of the draw.
        as_long: Only from those whose answers are nearest in number of words, so that what
            the right vector is better at is more than the length.
    """
    rng = np.random.default_rng(seed)
    answers = np.array([i.answer for i in items])
    words = np.array([len(i.answer.split()) for i in items])
    out = np.arange(len(items))
    for k in range(len(items)):
        others = np.flatnonzero(answers != answers[k])
        if as_long and len(others):
            apart = np.abs(words[others] - words[k])
            others = others[apart == apart.min()]
        out[k] = rng.choice(others) if len(others) else k
    return out


def execute_all(
    todo: Iterable[Run], vectors: Callable[[Run], Vectors], llm: FrozenLLM, label: str
) -> dict[str, Outcome]:
    """Every run's outcome by key: trained several at once, answered and kept, or read back.

    Args:
        todo: A run that starts from others' weights comes after them.
        vectors: Looks a run's vectors up; asked only for what is trained, when it begins.
        llm: The language model.
        label: Of the progress shown.
    """
    unique = {run.key: run for run in todo}  # some are one and the same training
    out = {key: done for key, run in unique.items() if (done := load(run)) is not None}
    left = [run for key, run in unique.items() if key not in out]
    begun: list[tuple[Run, Vectors]] = []

    def jobs() -> Iterator[Job | None]:
        for run in left:
            while ({r.key for r, _ in begun} - out.keys()) & set(run.start):
                yield None
            begun.append((run, vectors(run)))
            yield _job(*begun[-1], llm, bar)

    with progress(label, sum(run.passes for run in left)) as bar:
        for number, fitted in fit_together(llm, jobs()):
            run, looked_up = begun[number]
            begun[number] = (run, {})  # frames are large
            out[run.key] = _keep(run, fitted, looked_up, llm)
            early = run.passes - len(fitted.history) * len(run.fold.train)
            bar.update(early)  # not trained on, if it stopped before its last epoch
    return out


def _job(run: Run, vectors: Vectors, llm: FrozenLLM, bar: Bar) -> Job:
    """What is trained for a run."""
    fold = run.fold
    train_set, val_set = (examples(run, part, vectors, llm) for part in (fold.train, fold.val))
    if run.variant == "shuffled labels":
        rng = np.random.default_rng(run.seed)
        train_set, val_set = (
            Examples(s.vectors, s.prompts, list(rng.permutation(np.array(s.answers, object))))
            for s in (train_set, val_set)
        )
    return Job(
        train_set,
        val_set,
        run.trained_with,
        encoder=run.encoder,
        num_virtual_tokens=run.num_virtual_tokens,
        seed=run.seed,
        choose_by=run.choose_by,
        film=run.film,
        start=_mean_of(run.start) if run.start else None,
        progress=lambda _: bar.update(len(fold.train)),
    )


def _keep(run: Run, fitted: Fit, vectors: Vectors, llm: FrozenLLM) -> Outcome:
    """Ask the trained adaptor about the test items, and write down all of it."""
    fold = run.fold
    started = time.perf_counter()
    asked = [*fold.test, *fold.extra]
    test_set = examples(run, asked, vectors, llm)
    answers = predict(fitted.adaptor, llm, test_set, max_new_tokens=run.max_new_tokens)
    answer_seconds = time.perf_counter() - started
    tested = test_set.take(range(len(fold.test)))

    def swapped(other: np.ndarray) -> Examples:
        return Examples(test_set.take(other).vectors, tested.prompts, tested.answers)

    mismatched: list[str] = []
    costs: list[list[float]] = [[], []]
    if run.mismatch:
        wrong = swapped(mismatch(fold.test, run.seed))
        texts = predict(fitted.adaptor, llm, wrong, max_new_tokens=run.max_new_tokens)
        mismatched = [a.text for a in texts]
    if run.costs:
        wrong = swapped(mismatch(fold.test, run.seed, as_long=True))
        costs = [surprisal(fitted.adaptor, llm, some).tolist() for some in (tested, wrong)]
    folder = runs_dir() / run.key
    outcome = Outcome(
        history=[asdict(e) for e in fitted.history],
        best_epoch=fitted.best_epoch,
        train_seconds=fitted.seconds,
        answer_seconds=answer_seconds,
        steps=fitted.steps,
        texts=[a.text for a in answers],
        logprobs=[a.logprob for a in answers],
        mismatched=mismatched,
        folder=folder.name,
        surprisal=costs[0],
        surprisal_other=costs[1],
    )
    folder.mkdir(parents=True, exist_ok=True)
    if run.variant == "adaptor":
        fitted.adaptor.save_pretrained(folder)
    # written last: a run without its outcome counts as not done
    records.write_text(folder / "outcome.json", json.dumps(asdict(outcome)))
    return outcome


def _mean_of(keys: Sequence[str]) -> dict[str, Tensor]:
    """The mean weights of several runs' adaptors, which one seed had started alike."""
    states = [Adaptor.from_pretrained(runs_dir() / key).state_dict() for key in keys]
    return {name: torch.stack([s[name] for s in states]).mean(0) for name in states[0]}


def adaptor_of(run: Run, outcome: Outcome) -> Adaptor:
    """The trained adaptor of a finished ``adaptor`` run."""
    return Adaptor.from_pretrained(runs_dir() / outcome.folder, encoder=run.encoder, llm=run.llm)
