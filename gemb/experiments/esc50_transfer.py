"""Section 3: does an adaptor that was trained on pictures understand sounds?"""

from __future__ import annotations

import logging
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from gemb import encoders, metrics, records, tasks
from gemb.data import manifests
from gemb.data.fetch import cache_dir
from gemb.data.items import Item, Media
from gemb.data.load import Loaded, load_dataset
from gemb.data.splits import Fold, leak_free_folds
from gemb.encoders import open_bound
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
NOT_RUN = {
    "CIFAR-10 to ESC-50": "the official datasets cannot be had here; the profile `paper` runs it",
    "RAVDESS gender to CelebA": "as above, and CelebA lies behind a form",
}


@dataclass
class Data:
    """Pictures in one fold, sounds, and the vectors of both under one encoder."""

    encoder: str
    slug: str
    source: str
    fold: Fold  # the sounds stand in ``extra``
    vectors: dict[str, np.ndarray]
    names: dict[str, np.ndarray]  # text vectors of the categories, where the space has texts


def run(profile: Profile, say: Callable[[str], None] = print) -> records.TransferRecord:
    """Run (or read back) every training of the section."""
    started = time.perf_counter()
    llm = FrozenLLM.load(profile.llm)
    sounds = load_dataset(SOUNDS, profile.source)
    data = {name: prepare(profile, name, sounds) for name in (*SHARED, DISJOINT)}
    headline = f"open-bound:{open_bound.better()}"
    planned = {
        (name, variant, seed): _run(profile, data[name], llm, variant, seed)
        for name in (*SHARED, DISJOINT)
        for variant in ("adaptor", *(CONTROLS if name == headline else ()))
        for seed in (profile.seeds if variant == "adaptor" else profile.seeds[:1])
    }
    fresh = [r for r in planned.values() if runs.load(r) is None]
    say(f"{len(planned)} trainings, {len(planned) - len(fresh)} done before")
    done = {key: runs.execute(r, data[key[0]].vectors, llm) for key, r in planned.items()}
    categories = sorted({i.answer for i in sounds.items})
    counts = Counter(i.answer for i in sounds.items)
    record = records.TransferRecord(
        provenance=records.provenance(
            profile,
            data[headline].slug,
            llm.identity().slug,
            manifests.hashes([tasks.get(PICTURES).dataset, SOUNDS]),
            data[headline].source,
            time.perf_counter() - started,
        ),
        default=headline,
        validation=open_bound.validation(),
        categories=categories,
        sounds=len(sounds.items),
        groups=len({i.group for i in sounds.items}),
        pictures_trained=len(data[headline].fold.train),
        majority=max(counts.values()) / len(sounds.items),
        results=[
            *_transfers(profile, data, planned, done),
            *_direct(profile, data, categories),
            *_ceiling(profile, data[headline], planned, done, llm, categories),
        ],
        degradation=_degraded(profile, data[headline], planned, done, llm),
        not_run=NOT_RUN,
    )
    records.write(record, cache_dir() / "records" / f"esc50_transfer.{profile.name}.json")
    return record


def prepare(profile: Profile, encoder_name: str, sounds: Loaded) -> Data:
    """Pictures, sounds and vectors under one encoder."""
    sizes, task = profile.transfer, tasks.get(PICTURES)
    pictures = load_dataset(task.dataset, profile.source, task.name)
    fold = leak_free_folds(
        task, pictures.items, Sizes(train=sizes.train, val=sizes.val, test=3 * sizes.test, folds=3)
    )[0]
    encoder = encoders.load(encoder_name)
    seen = [*fold.train, *fold.val, *fold.test]
    texts = []
    if "text" in encoder.modalities:
        answers = sorted({i.answer for i in (*seen, *sounds.items)})
        texts = [Item(f"name/{a}", "text", Media.from_text(a), a) for a in answers]
    vectors: dict[str, np.ndarray] = {}
    for items, source in ((seen, pictures.source), (sounds.items, sounds.source), (texts, "raw")):
        found, _ = runs.embedded(items, encoder, source, f"embedding, {encoder_name}")
        for failure in found.failures:
            log.warning("%s left out: %s", failure.item_id, failure.reason)
        vectors |= found.vectors

    def known(items: Sequence[Item]) -> tuple[Item, ...]:
        return tuple(i for i in items if i.media.key in vectors)

    extra = [replace(i, subset="sounds") for i in sounds.items]
    return Data(
        encoder_name,
        encoder.identity().slug,
        " and ".join(sorted({pictures.source, sounds.source})),
        Fold(known(fold.train), known(fold.val), known(fold.test), known(extra)),
        vectors,
        {i.answer: vectors[i.media.key][0] for i in texts},
    )


def _run(profile: Profile, data: Data, llm: FrozenLLM, variant: str, seed: int) -> Run:
    return Run(
        task=f"transfer {data.encoder}",
        prompt=tasks.get(PICTURES).prompt,
        protocol="leak-free",
        number=0,
        seed=seed,
        variant=variant,
        fold=data.fold,
        settings=profile.training.model_copy(update={"epochs": profile.transfer.epochs}),
        num_virtual_tokens=1,
        encoder=data.slug,
        vectors=data.source,
        llm=llm.identity().slug,
        precision=str(llm.dtype).removeprefix("torch."),
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


def _transfers(
    profile: Profile,
    data: dict[str, Data],
    planned: dict[tuple[str, str, int], Run],
    done: dict[tuple[str, str, int], Outcome],
) -> list[TransferResult]:
    """The adaptors trained on pictures, asked about sounds; controls beside them."""
    by_name: dict[tuple[str, str], list[int]] = defaultdict(list)
    for name, variant, seed in planned:
        by_name[name, variant].append(seed)
    out = []
    for (name, variant), seeds in by_name.items():
        fold, cut = data[name].fold, len(data[name].fold.test)
        outcomes = [done[name, variant, s] for s in seeds]
        sounds = score(
            profile,
            f"pictures' adaptor on {name}" + ("" if variant == "adaptor" else f", {variant}"),
            "control" if variant != "adaptor" or name == DISJOINT else "transfer",
            name,
            [*fold.extra] * len(seeds),
            [t for o in outcomes for t in o.texts[cut:]],
            [p for o in outcomes for p in o.logprobs[cut:]],
            len(seeds),
        )
        pictures = score(
            profile,
            "",
            "",
            name,
            [*fold.test] * len(seeds),
            [t for o in outcomes for t in o.texts[:cut]],
            seeds=len(seeds),
        )
        out.append(sounds.model_copy(update={"pictures": pictures.macro}))
    return out


def _direct(
    profile: Profile, data: dict[str, Data], categories: Sequence[str]
) -> list[TransferResult]:
    """Without any language model: the nearest category name, and a linear map from pictures."""
    out = []
    for name, given in data.items():
        fold = given.fold
        if given.names:
            sounds = np.concatenate([given.vectors[i.media.key] for i in fold.extra])
            names = np.stack([given.names[c] for c in categories])
            nearest = [categories[n] for n in (sounds @ names.T).argmax(1)]
            out.append(
                score(profile, f"nearest name in {name}", "retrieval", name, fold.extra, nearest)
            )
        method = "logistic regression"
        answers = runs.baseline_answers(fold, fold.extra, given.vectors, methods=(method,))[method]
        title = f"pictures' logistic regression on {name}"
        out.append(score(profile, title, "retrieval", name, fold.extra, answers))
    return out


def _asked(run: Run, outcome: Outcome, llm: FrozenLLM, vectors: np.ndarray) -> list[Answer]:
    """Answers to other vectors ``[N, D]`` by a trained adaptor."""
    adaptor = runs.adaptor_of(run, outcome).to(llm.device)
    prompt = llm.prompt(run.prompt)
    return predict(adaptor, llm, Examples(vectors, [prompt] * len(vectors), [""] * len(vectors)))


def _ceiling(
    profile: Profile,
    data: Data,
    planned: dict[tuple[str, str, int], Run],
    done: dict[tuple[str, str, int], Outcome],
    llm: FrozenLLM,
    categories: Sequence[str],
) -> list[TransferResult]:
    """The text vector of each sound's category through the same adaptor."""
    key = (data.encoder, "adaptor", profile.seeds[0])
    answers = _asked(planned[key], done[key], llm, np.stack([data.names[c] for c in categories]))
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
    data: Data,
    planned: dict[tuple[str, str, int], Run],
    done: dict[tuple[str, str, int], Outcome],
    llm: FrozenLLM,
) -> list[dict]:
    """Macro accuracy against the quality of alignment."""
    key = (data.encoder, "adaptor", profile.seeds[0])
    sounds = np.concatenate([data.vectors[i.media.key] for i in data.fold.extra])
    categories = sorted({i.answer for i in data.fold.extra})
    names = np.stack([data.names[c] for c in categories])
    own = np.array([categories.index(i.answer) for i in data.fold.extra])
    rows = []
    for share in profile.transfer.degradations:
        vectors = degrade(sounds, share).astype(np.float32)
        answers = _asked(planned[key], done[key], llm, vectors)
        found = score(profile, "", "", data.encoder, data.fold.extra, [a.text for a in answers])
        cosines = vectors @ names.T  # [N, C]
        mine = cosines[np.arange(len(own)), own]
        others = (cosines.sum(1) - mine) / (len(categories) - 1)
        rows.append(
            {
                "share": share,
                # how much nearer a sound lies to its own category's name than to the others'
                "alignment": float((mine - others).mean()),
                "macro": found.macro.model_dump(),
            }
        )
    return rows
