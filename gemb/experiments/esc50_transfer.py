"""Section 3: does an adaptor that was trained on pictures understand sounds?"""

from __future__ import annotations

import logging
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from gemb import encoders, metrics, records, tasks
from gemb.data import manifests
from gemb.data.fetch import cache_dir
from gemb.data.items import Item, Media
from gemb.data.load import Loaded, load_dataset
from gemb.data.splits import Fold
from gemb.encoders import open_bound
from gemb.encoders.base import require
from gemb.evaluate import Examples, predict
from gemb.experiments import runs
from gemb.experiments.runs import Outcome, Run
from gemb.llm import Answer, FrozenLLM
from gemb.metrics import Bootstrap
from gemb.profiles import Profile, Sizes
from gemb.records import CategoryResult, Score, TransferResult

log = logging.getLogger(__name__)

PICTURES, SOUNDS = "objects", "packaged-sounds"
SHARED = ("open-bound:posteriors", "open-bound:trained")
DISJOINT = "open-concat"  # images and sounds fill separate blocks: nothing can transfer
CONTROLS = ("shuffled labels", "random vectors")


@dataclass(frozen=True)
class Way:
    """From what an adaptor is trained on to what it is asked about."""

    task: str  # trained on
    target: str  # the dataset asked about
    trained_on: str
    tested_on: str
    data: str


HERE = Way(
    PICTURES,
    SOUNDS,
    "pictures",
    "sounds",
    "Tux Paint photographs to sounds of packages (stand-ins)",
)
OFFICIAL = (
    Way(PICTURES, "esc-50", "pictures", "sounds", "CIFAR-10 to six classes of ESC-50"),
    Way("gender", "celeba", "voices", "faces", "RAVDESS gender to CelebA"),
)
NOT_RUN = {
    w.data: "the official data are for the profile paper"
    + ("; CelebA lies behind a form" if w.target == "celeba" else "")
    for w in OFFICIAL
}


@dataclass
class Data:
    """What is trained on in one fold, what is asked about, and the vectors of both."""

    encoder: str
    slug: str
    source: str
    fold: Fold  # what is asked about stands in ``extra``
    vectors: dict[str, np.ndarray]
    names: dict[str, np.ndarray]  # text vectors of the categories, where the space has texts


Key = tuple[str, str, int]  # encoder, variant, seed


@dataclass
class Trained:
    """A way with everything that is needed to score it."""

    way: Way
    headline: str
    data: dict[str, Data]  # by encoder
    planned: dict[Key, Run]

    @property
    def main(self) -> Data:
        """The headline encoder's data."""
        return self.data[self.headline]


def run(profile: Profile, say: Callable[[str], None] = print) -> records.TransferRecord:
    """Run (or read back) every training of the section."""
    started = time.perf_counter()
    llm = FrozenLLM.load(profile.llm)
    official = profile.source == "official"
    ways = [_plan(profile, way, llm) for way in (OFFICIAL if official else (HERE,))]
    todo = [r for w in ways for r in w.planned.values()]
    say(runs.announce(todo, llm))
    data = {r.key: w.data[name] for w in ways for (name, *_), r in w.planned.items()}
    found = runs.execute_all(todo, lambda r: data[r.key].vectors, llm, "transfer")
    transfers, seconds = [], 0.0
    for way in ways:
        done = {key: found[r.key] for key, r in way.planned.items()}
        transfers.append(_transfer(profile, way, done, llm))
        seconds += sum(o.train_seconds + o.answer_seconds for o in done.values())
    first = ways[0].main
    datasets = [d for w in ways for d in (_task(profile, w.way).dataset, w.way.target)]
    record = records.TransferRecord(
        provenance=records.provenance(
            profile,
            first.slug,
            llm.identity().slug,
            manifests.hashes(datasets),
            first.source,
            time.perf_counter() - started,
        ),
        validation={} if official else open_bound.validation(),
        transfers=transfers,
        not_run={} if official else NOT_RUN,
        seconds=seconds,
    )
    records.write(record, cache_dir() / "records" / f"esc50_transfer.{profile.name}.json")
    return record


def _task(profile: Profile, way: Way) -> tasks.Task:
    return tasks.get(way.task, profile.source)


def _plan(profile: Profile, way: Way, llm: FrozenLLM) -> Trained:
    """The trainings of a way: every encoder, and controls on the headline's."""
    names: tuple[str, ...] = (*SHARED, DISJOINT)
    headline = f"open-bound:{open_bound.better()}"
    if profile.source == "official":
        names, headline = (profile.encoder,), profile.encoder
    task = _task(profile, way)
    own = load_dataset(task.dataset, profile.source, task.name)
    targets = load_dataset(way.target, profile.source)
    targets = replace(targets, items=at_most(targets.items, profile.transfer.asked))
    data = {name: prepare(profile, name, way, own, targets) for name in names}
    planned = {
        (name, variant, seed): _run(profile, way, data[name], llm, variant, seed)
        for name in names
        for variant in ("adaptor", *(CONTROLS if name == headline else ()))
        for seed in (profile.seeds if variant == "adaptor" else profile.seeds[:1])
    }
    return Trained(way, headline, data, planned)


def at_most(items: Sequence[Item], count: int | None) -> list[Item]:
    """The first ``count`` items of each answer, or all."""
    seen: Counter[str] = Counter()
    out = []
    for item in items:
        seen[item.answer] += 1
        if count is None or seen[item.answer] <= count:
            out.append(item)
    return out


def prepare(profile: Profile, encoder_name: str, way: Way, own: Loaded, targets: Loaded) -> Data:
    """Items of both sides, trained on and asked about, and their vectors under one encoder."""
    sizes, task = profile.transfer, _task(profile, way)
    # of several folds only the first is used, with the test items of all
    folds = 3 if task.split == "folds" else 1
    asked = Sizes(train=sizes.train, val=sizes.val, test=folds * sizes.test, folds=3)
    fold = own.folds(task, asked)[0]
    encoder = encoders.load(encoder_name)
    sides = {i.modality for i in (*own.items, *targets.items)}
    require(encoder, sides, "section 3 wants one space for what is trained on and asked about")
    seen = [*fold.train, *fold.val, *fold.test]
    texts = []
    if "text" in encoder.modalities:
        answers = sorted({i.answer for i in (*seen, *targets.items)})
        texts = [Item(f"name/{a}", "text", Media.from_text(a), a) for a in answers]
    vectors: dict[str, np.ndarray] = {}
    for items, source in ((seen, own.source), (targets.items, targets.source), (texts, "raw")):
        found, _ = runs.embedded(items, encoder, source, f"embedding, {encoder_name}")
        for failure in found.failures:
            log.warning("%s left out: %s", failure.item_id, failure.reason)
        vectors |= found.vectors

    def known(items: Sequence[Item]) -> tuple[Item, ...]:
        return tuple(i for i in items if i.media.key in vectors)

    return Data(
        encoder_name,
        encoder.identity().slug,
        " and ".join(sorted({own.source, targets.source})),
        Fold(
            known(fold.train),
            known(fold.val),
            known(fold.test),
            known([replace(i, subset=way.tested_on) for i in targets.items]),
        ),
        vectors,
        {i.answer: vectors[i.media.key][0] for i in texts},
    )


def _run(profile: Profile, way: Way, data: Data, llm: FrozenLLM, variant: str, seed: int) -> Run:
    return Run(
        task=f"transfer {data.encoder}",
        prompt=tasks.get(way.task).prompt,
        protocol="leak-free",
        number=0,
        seed=seed,
        variant=variant,
        fold=data.fold,
        settings=profile.training_of(way.task).model_copy(
            update={"epochs": profile.transfer.epochs}
        ),
        num_virtual_tokens=1,
        encoder=data.slug,
        vectors=data.source,
        llm=llm.identity().slug,
        precision=str(llm.dtype).removeprefix("torch."),
    )


def _transfer(
    profile: Profile, trained: Trained, done: Mapping[Key, Outcome], llm: FrozenLLM
) -> records.Transfer:
    """Score a way, and everything beside it."""
    way, main = trained.way, trained.main
    asked = main.fold.extra
    categories = sorted({i.answer for i in asked})
    counts = Counter(i.answer for i in asked)
    return records.Transfer(
        trained_on=way.trained_on,
        tested_on=way.tested_on,
        data=way.data,
        encoder=trained.headline,
        categories=categories,
        items=len(asked),
        groups=len({i.group or i.id for i in asked}),
        n_train=len(main.fold.train),
        majority=max(counts.values()) / len(asked),
        results=[
            *_by_adaptor(profile, trained, done),
            *_direct(profile, trained.data),
            *_ceiling(profile, trained, done, llm, categories),
        ],
        degradation=_degraded(profile, trained, done, llm, categories),
    )


def score(
    profile: Profile,
    name: str,
    kind: str,
    encoder: str,
    items: Sequence[Item],
    texts: Sequence[str],
    logprobs: Sequence[float] = (),
    seeds: int = 1,
) -> TransferResult:
    """Accuracy, macro accuracy and what is said, with intervals over source recordings."""
    hits = np.array(
        [metrics.exact_match(t, i.answer) for t, i in zip(texts, items, strict=True)], dtype=float
    )
    answers = [i.answer for i in items]
    groups = [i.group or i.id for i in items]
    boot = Bootstrap(answers, groups, profile.bootstrap)

    def over_seeds(macro: bool) -> float | None:
        if seeds == 1:
            return None
        one = len(items) // seeds
        values = [
            Bootstrap(answers[:one], groups[:one], 2).interval(part, macro=macro).value
            for part in hits.reshape(seeds, one)
        ]
        return float(np.std(values))

    by_category, confusion = [], {}
    for category in sorted(set(answers)):
        here = [n for n, a in enumerate(answers) if a == category]
        said = Counter(metrics.normalise(texts[n]) for n in here)
        inside = Bootstrap([category] * len(here), [groups[n] for n in here], profile.bootstrap)
        by_category.append(
            CategoryResult(
                category=category,
                items=len(here) // seeds,
                groups=len({groups[n] for n in here}),
                accuracy=Score(**vars(inside.interval(hits[here]))),
                logprob=float(np.mean([logprobs[n] for n in here])) if len(logprobs) else 0.0,
                said=[(t, n / len(here)) for t, n in said.most_common(4)],
            )
        )
        confusion[category] = {t: n / len(here) for t, n in said.items()}
    return TransferResult(
        name=name,
        kind=kind,
        encoder=encoder,
        items=len(items) // seeds,
        accuracy=Score(**vars(boot.interval(hits)), seed_std=over_seeds(False)),
        macro=Score(**vars(boot.interval(hits, macro=True)), seed_std=over_seeds(True)),
        by_category=by_category,
        confusion=confusion,
    )


def _by_adaptor(
    profile: Profile, trained: Trained, done: Mapping[Key, Outcome]
) -> list[TransferResult]:
    """The adaptors asked about what they were not trained on; controls beside them."""
    by_name: dict[tuple[str, str], list[int]] = defaultdict(list)
    for name, variant, seed in trained.planned:
        by_name[name, variant].append(seed)
    out = []
    for (name, variant), seeds in by_name.items():
        fold = trained.data[name].fold
        cut, outcomes = len(fold.test), [done[name, variant, s] for s in seeds]
        found = score(
            profile,
            f"adaptor on {name}" + ("" if variant == "adaptor" else f", {variant}"),
            "control" if variant != "adaptor" or name == DISJOINT else "transfer",
            name,
            [*fold.extra] * len(seeds),
            [t for o in outcomes for t in o.texts[cut:]],
            [p for o in outcomes for p in o.logprobs[cut:]],
            len(seeds),
        )
        own = score(
            profile,
            "",
            "",
            name,
            [*fold.test] * len(seeds),
            [t for o in outcomes for t in o.texts[:cut]],
            seeds=len(seeds),
        )
        out.append(found.model_copy(update={"own": own.macro}))
    return out


def _direct(profile: Profile, data: dict[str, Data]) -> list[TransferResult]:
    """Without any language model: the nearest category name, and logistic regression.

    Both choose among all categories of the pictures, as the adaptor does, and not only among those
    that have sounds.
    """
    out = []
    for name, given in data.items():
        fold = given.fold
        if given.names:
            vectors = np.concatenate([given.vectors[i.media.key] for i in fold.extra])
            named = sorted(given.names)
            names = np.stack([given.names[c] for c in named])
            nearest = [named[n] for n in (vectors @ names.T).argmax(1)]
            out.append(
                score(profile, f"nearest name in {name}", "retrieval", name, fold.extra, nearest)
            )
        method = "logistic regression"
        answers = runs.baseline_answers(fold, fold.extra, given.vectors, methods=(method,))[method]
        title = f"logistic regression on {name}"
        out.append(score(profile, title, "retrieval", name, fold.extra, answers))
    return out


def _asked(run: Run, outcome: Outcome, llm: FrozenLLM, vectors: np.ndarray) -> list[Answer]:
    """Answers to other vectors ``[N, D]`` by a trained adaptor."""
    adaptor = runs.adaptor_of(run, outcome).to(llm.device)
    prompt = llm.prompt(run.prompt)
    return predict(adaptor, llm, Examples(vectors, [prompt] * len(vectors), [""] * len(vectors)))


def _ceiling(
    profile: Profile,
    trained: Trained,
    done: Mapping[Key, Outcome],
    llm: FrozenLLM,
    categories: Sequence[str],
) -> list[TransferResult]:
    """The text vector of each item's category through the same adaptor."""
    data, key = trained.main, (trained.headline, "adaptor", profile.seeds[0])
    if not data.names:
        return []
    vectors = np.stack([data.names[c] for c in categories])
    answers = _asked(trained.planned[key], done[key], llm, vectors)
    by_category = dict(zip(categories, answers, strict=True))
    return [
        score(
            profile,
            "the category's name as a vector, same adaptor",
            "ceiling",
            data.encoder,
            data.fold.extra,
            [by_category[i.answer].text for i in data.fold.extra],
            [by_category[i.answer].logprob for i in data.fold.extra],
        )
    ]


def degrade(vectors: np.ndarray, share: float, seed: int = 0) -> np.ndarray:
    """Normalised vectors ``[N, D]`` of which ``share`` is another's, drawn at random.

    The vectors stay where sounds lie in the space: only whose is whose is lost, step by step.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(vectors))
    others = np.empty_like(vectors)
    others[order] = vectors[np.roll(order, 1)]  # a single cycle: no vector stays its own
    mixed = (1 - share) * vectors + share * others
    return mixed / np.linalg.norm(mixed, axis=1, keepdims=True)


def _degraded(
    profile: Profile,
    trained: Trained,
    done: Mapping[Key, Outcome],
    llm: FrozenLLM,
    categories: Sequence[str],
) -> list[dict]:
    """Macro accuracy against the quality of alignment, where the space has texts."""
    data, key = trained.main, (trained.headline, "adaptor", profile.seeds[0])
    if not data.names:
        return []
    asked = data.fold.extra
    whole = np.concatenate([data.vectors[i.media.key] for i in asked])
    names = np.stack([data.names[c] for c in categories])
    own = np.array([categories.index(i.answer) for i in asked])
    rows = []
    for share in profile.transfer.degradations:
        vectors = degrade(whole, share).astype(np.float32)
        answers = _asked(trained.planned[key], done[key], llm, vectors)
        found = score(profile, "", "", data.encoder, asked, [a.text for a in answers])
        cosines = vectors @ names.T  # [N, C]
        mine = cosines[np.arange(len(own)), own]
        others = (cosines.sum(1) - mine) / (len(categories) - 1)
        rows.append(
            {
                "share": share,
                # how much nearer an item lies to its own category's name than to the others'
                "alignment": float((mine - others).mean()),
                "macro": found.macro.model_dump(),
            }
        )
    return rows
