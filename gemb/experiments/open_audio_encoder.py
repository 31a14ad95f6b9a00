"""Section 5: an audio–text embedding model from pretrained parts, by four routes."""

from __future__ import annotations

import json
import logging
import math
import shutil
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from safetensors.numpy import load_file as load_arrays
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import load_file, save_file

from gemb import records
from gemb.audio_embedding import baselines, config, features, published, retrieval, uses
from gemb.audio_embedding.config import Parts, Recipe, Route
from gemb.audio_embedding.model import AudioEmbedder
from gemb.audio_embedding.retrieval import DIRECTIONS, Direction, Gallery, Retrieval
from gemb.audio_embedding.routes import ALIGN, follow, standardise, warm_start
from gemb.audio_embedding.train import Pairs, train
from gemb.data import manifests
from gemb.data.fetch import cache_dir
from gemb.data.items import Item, Media, Pair
from gemb.data.readers import audio_pairs, text_pairs
from gemb.data.readers.audio_pairs import STYLES, Style
from gemb.data.readers.text_pairs import TextPair
from gemb.embed import embed
from gemb.encoders.base import Failure
from gemb.errors import UserError
from gemb.experiments import audio_uses, runs, single_task
from gemb.profiles import Audio, Profile
from gemb.records import (
    MEAN,
    AudioModel,
    BatchPoint,
    Gain,
    Score,
    StudyTask,
    SubsetScores,
    TextScore,
)
from gemb.store import Store

log = logging.getLogger(__name__)

# Raise when a change to the code changes what a training gives.
VERSION = 2

# Names of models in the record, which its readers look for.
ALIGNED, FULL, TEXT = "aligned", "full", "text-only"
ALIGNED_PRUNED, TEXT_PRUNED = f"{ALIGNED}, then pruned", f"{TEXT}, then pruned"
START, WARM = "before alignment", "warm start"
LINEAR = baselines.LINEAR
CHANCE = "chance"
POINTS = 4  # of each batch size's curve
LAST_STEPS = 5  # whose mean loss is said
_HELD = "texts kept aside, "  # names their vectors in an outcome, before the stage
_PARTS = Parts()  # the open ones


@dataclass(frozen=True)
class Data:
    """The pairs of a profile, and what of each sound no training changes.

    Attributes:
        train, val, test: Items; those of a smaller profile lie inside.
        clips: Tokens ``[n, F]`` before the projection, by the item's key.
    """

    train: tuple[Item, ...]
    val: tuple[Item, ...]
    test: tuple[Item, ...]
    clips: Mapping[str, np.ndarray]

    @property
    def asked(self) -> tuple[Item, ...]:
        """Every item that is retrieved, of validation and test."""
        return (*self.val, *self.test)

    @property
    def rarest(self) -> str:
        """The subset that fewest clips are trained on."""
        counts = Counter(i.subset for i in self.train)
        return min(counts, key=lambda subset: counts[subset])

    def heard(self, subset: str = "") -> tuple[Item, ...]:
        """What is trained on: all of it, or one subset."""
        return tuple(i for i in self.train if not subset or i.subset == subset)

    def pairs(self, items: Sequence[Item], style: Style = "name") -> Pairs:
        """Clips and captions to train on."""
        found = audio_pairs.pairs(items, style)
        return Pairs.of((self.clips[i.media.key], caption) for i, caption in found)

    def galleries(self, style: Style = "name") -> dict[str, Gallery]:
        """What is searched: each subset of the test apart."""
        subsets = dict.fromkeys(i.subset for i in self.test)
        return {
            s: Gallery.of(audio_pairs.pairs([i for i in self.test if i.subset == s], style))
            for s in subsets
        }


@dataclass(frozen=True)
class Texts:
    """Pairs of texts, none of them a caption that is tested or chosen by.

    Attributes:
        train: Trained on.
        aside: Kept aside, to see what that teaches about texts; no text of theirs is in ``train``.
    """

    train: tuple[TextPair, ...]
    aside: tuple[TextPair, ...]

    @property
    def gallery(self) -> Gallery:
        """Pairs kept aside: the first text of each asks for the second, or for any that it is
        paired with."""
        return Gallery.of(
            [(Item(f"text/{a}", "text", Media.from_text(a), b, group=a), b) for a, b in self.aside]
        )

    @property
    def asking(self) -> list[str]:
        """The first texts, as the gallery has them."""
        return list(dict.fromkeys(a for a, _ in self.aside))


@dataclass(frozen=True)
class Plan:
    """A training to be done: what decides its outcome, and nothing else.

    Attributes:
        name: In tables.
        kind: ``align``, ``route``, ``text``, ``ablation``, ``batch``, ``style`` or ``alone``.
        recipe: Route, parts and settings.
        style: Of the captions trained on.
        subset: Trained on alone; none: all.
        start: Key of the alignment it goes on from; none if it starts from the parts.
        tested: Styles of the captions tested on.
        every: Steps between two looks at a model in training; 0 for none.
    """

    name: str
    kind: str
    recipe: Recipe
    style: Style = "name"
    subset: str = ""
    start: str = ""
    tested: tuple[Style, ...] = ("name",)
    every: int = 0

    def key(self, data: Data, texts: Texts) -> str:
        """Digest of all inputs."""
        heard = data.heard(self.subset)
        only = self.recipe.route == "text-only"
        return records.digest(
            {
                "version": VERSION,
                "kind": self.kind,
                "style": self.style,
                "start": self.start,
                "tested": self.tested,
                "every": self.every,
                "recipe": self.recipe.model_dump(mode="json"),
                "train": [(i.media.key, c) for i, c in audio_pairs.pairs(heard, self.style)],
                "texts": list(texts.train) if only else [],
                "asked": [(i.media.key, i.answer) for i in data.asked],
            }
            | ({"aside": list(texts.aside)} if only else {})
        )


@dataclass
class Outcome:
    """What a training gave.

    Attributes:
        folder: Holds it.
        stages: Layers and parameters of the model after each stage.
        fits: Steps, seconds, weights trained and last loss of each stage that trains.
        losses: By number of steps, where the model was looked at in training.
        vectors: Of what is asked, by stage: sounds ``[N, D]`` and captions ``[M, D]``. Of the model
            trained on texts those of the texts kept aside too.
    """

    folder: Path
    stages: dict[str, dict[str, int]] = field(default_factory=dict)
    fits: dict[str, dict[str, float]] = field(default_factory=dict)
    losses: dict[str, float] = field(default_factory=dict)
    vectors: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)

    @property
    def last(self) -> str:
        """The name of the last stage."""
        return list(self.stages)[-1]

    @property
    def seconds(self) -> float:
        """Of training."""
        return sum(f["seconds"] for f in self.fits.values())

    def save(self) -> None:
        """Write it; its JSON last, so that without one it counts as not done."""
        arrays: dict[str, np.ndarray] = {}
        for stage, (audio, text) in self.vectors.items():
            arrays |= {f"{stage}|audio": audio, f"{stage}|text": text}
        save_arrays(arrays, self.folder / "vectors.safetensors")
        content = {"stages": self.stages, "fits": self.fits, "losses": self.losses}
        records.write_text(self.folder / "outcome.json", json.dumps(content))

    @classmethod
    def load(cls, folder: Path) -> Outcome | None:
        """Read it back; ``None`` if it is not done."""
        path = folder / "outcome.json"
        if not path.exists():
            return None
        out = cls(folder, **json.loads(path.read_text(encoding="utf-8")))
        found = load_arrays(folder / "vectors.safetensors")
        names = dict.fromkeys(n.partition("|")[0] for n in found)
        out.vectors = {n: (found[f"{n}|audio"], found[f"{n}|text"]) for n in names}
        return out


def models_folder() -> Path:
    """Where trainings and their models lie."""
    return cache_dir() / "audio-models"


# Whose best model is used where none is named, the first that has run here. Those for CI make
# models too, of a dozen clips.
LARGEST_FIRST = ("study", "paper", "local")


def _note(profile: str) -> Path:
    """The file that names the folder of a profile's best model."""
    return models_folder() / f"best-{profile}.txt"


def best_model() -> tuple[str, Path] | None:
    """The best model of the largest profile that has run on this machine, after the profile."""
    for profile in LARGEST_FIRST:
        if _note(profile).exists():
            name = _note(profile).read_text(encoding="utf-8").strip()
            folder = models_folder() / name / "model"
            if (folder / "model.safetensors").exists():
                return profile, folder
    return None


@dataclass
class Bench:
    """Trains, keeps and scores the models of a profile."""

    sizes: Audio
    data: Data
    texts: Texts

    def folder(self, plan: Plan) -> Path:
        """Where a plan's outcome lies."""
        return models_folder() / plan.key(self.data, self.texts)

    def captions(self, styles: Sequence[Style]) -> list[str]:
        """Every caption that is asked about, once."""
        asked = self.data.asked
        found = [c for style in styles for _, c in audio_pairs.pairs(asked, style)]
        return list(dict.fromkeys(found))

    def embedded(
        self, model: AudioEmbedder, styles: Sequence[Style]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Vectors of all that is asked, in the precision of training."""
        clips = [self.data.clips[i.media.key] for i in self.data.asked]
        with torch.autocast(model.device.type, torch.bfloat16):
            return model.embed(clips), model.embed(self.captions(styles))

    def execute(self, plan: Plan) -> Outcome:
        """Train and keep the outcome; or read it back."""
        folder = self.folder(plan)
        done = Outcome.load(folder)
        if done is not None:
            return done
        folder.mkdir(parents=True, exist_ok=True)
        out = Outcome(folder)
        model = AudioEmbedder.build(plan.recipe.parts, plan.recipe.training.seed)

        def after(stage: str, now: AudioEmbedder) -> None:
            if plan.kind == "text":
                with torch.autocast(now.device.type, torch.bfloat16):
                    out.vectors[_HELD + stage] = (
                        now.embed(self.texts.asking),
                        now.embed(list(self.texts.gallery.captions)),
                    )
            if stage == "start" and plan.kind != "align":
                return
            out.stages[stage] = {
                "layers": len(now.body.layers),
                "parameters": sum(p.numel() for p in now.parameters()),
            }
            if not plan.every:
                out.vectors[stage] = self.embedded(now, plan.tested)

        def on_step(_: str, steps: int, loss: float) -> None:
            if plan.every and steps % plan.every == 0:
                out.losses[str(steps)] = loss
                out.vectors[str(steps)] = self.embedded(model, plan.tested)

        audio = self.data.pairs(self.data.heard(plan.subset), plan.style)
        if plan.kind == "align":
            _align(model, audio, plan.recipe, out, after)
            save_file(model.projection.state_dict(), folder / "projection.safetensors")
        else:
            if plan.start:
                aligned = models_folder() / plan.start
                model.projection.load_state_dict(load_file(aligned / "projection.safetensors"))
                settings = _recipe(self.sizes, "full", self.sizes.align_steps).training
                model.provenance["stages"] = [
                    {"stage": ALIGN.name, "settings": settings.model_dump(mode="json")}
                ]
                model.provenance["warm_start"] = True
            model.provenance["pairs"] = audio_pairs.DATASET
            text = Pairs.of(self.texts.train) if plan.recipe.route == "text-only" else None
            fits = follow(plan.recipe, model, audio, text, after=after, on_step=on_step)
            out.fits = {stage: _said(fit) for stage, fit in fits.items()}
        if plan.kind == "route":
            model.save(folder / "model")
        out.save()
        return out

    def retrieved(
        self, audio: np.ndarray, text: np.ndarray, styles: Sequence[Style], tested: Style = "name"
    ) -> dict[str, Retrieval]:
        """Each subset of the test, searched by the vectors of all that is asked."""
        rows = {i.id: n for n, i in enumerate(self.data.asked)}
        columns = {c: n for n, c in enumerate(self.captions(styles))}
        return {
            subset: retrieval.search(
                gallery,
                audio[[rows[i.id] for i in gallery.items]],
                text[[columns[c] for c in gallery.captions]],
            )
            for subset, gallery in self.data.galleries(tested).items()
        }

    def validated(self, outcome: Outcome, stage: str) -> float:
        """cvR@5 on validation pairs, mean of both directions."""
        gallery = Gallery.of(audio_pairs.pairs(self.data.val))
        rows = {i.id: n for n, i in enumerate(self.data.asked)}
        columns = {c: n for n, c in enumerate(self.captions(["name"]))}
        audio, text = outcome.vectors[stage]
        found = retrieval.search(
            gallery,
            audio[[rows[i.id] for i in gallery.items]],
            text[[columns[c] for c in gallery.captions]],
        )
        return _both(found)


def _align(
    model: AudioEmbedder,
    audio: Pairs,
    recipe: Recipe,
    out: Outcome,
    after: Callable[[str, AudioEmbedder], None],
) -> None:
    """The first stage alone, which several routes go on from."""
    standardise(model, audio)
    after("start", model)
    warm_start(model, audio)
    after(WARM, model)
    fit = train(model, audio, recipe.training, ALIGN.trains, label="training, stage align")
    out.fits[ALIGN.name] = _said(fit)
    after(ALIGN.name, model)


def _said(fit: Any) -> dict[str, float]:
    return {
        "steps": fit.steps,
        "seconds": fit.seconds,
        "trainable": fit.trainable,
        "loss": float(np.mean(fit.losses[-LAST_STEPS:])),
    }


class _Means(baselines.Frozen):
    """The linear heads' features from the frames that the models' alignment reads anyway.

    Each part's mean has length one, as that of ``baselines.Frozen``, by which heads fitted here
    hear what is not in the store.
    """

    def __init__(self, store: Store):
        super().__init__(store)
        self._frames = store

    def sounds(self, items: Sequence[Item]) -> np.ndarray:
        columns = []
        for part in _PARTS.audio:
            encoder = features.frozen(part, _PARTS.max_seconds)
            found = embed(items, encoder, self._frames, view="frames", label=f"frames of {part}")
            means = np.stack([found.vectors[i.media.key].mean(0) for i in items])
            columns.append(baselines.unit(means))
        return np.concatenate(columns, axis=1)


def run(profile: Profile, say: Callable[[str], None] = print) -> records.AudioEncoderRecord:
    """Run (or read back) every training of the section."""
    started = time.perf_counter()
    sizes, store = profile.audio, runs.store_of("raw")
    data = prepare(sizes, store)
    bench = Bench(sizes, data, texts_of(sizes, data))
    align = Plan(ALIGNED, "align", _recipe(sizes, "full", sizes.align_steps))
    plans = _plans(sizes, bench.folder(align).name, data.rarest)
    everything = [align, *plans]
    kept = [p for p in everything if (bench.folder(p) / "outcome.json").exists()]
    say(f"{len(everything)} trainings, {len(kept)} done before")
    done = {p.name: bench.execute(p) for p in everything}
    best = _keep_best(bench, [p for p in plans if p.kind == "route"], done)
    scored = _Scored(bench, align, plans, done)
    folder = bench.folder(next(p for p in plans if p.name == best))
    records.write_text(_note(profile.name), f"{folder.name}\n")
    compared, heads = _baselines(bench, store)
    study, reused = in_the_study(profile, folder, data.train)
    record = records.AudioEncoderRecord(
        provenance=records.provenance(
            profile,
            f"{' + '.join(_PARTS.audio)}, {sizes.llm}",
            sizes.llm,
            manifests.hashes(_made_of(sizes)),
            "raw",
            time.perf_counter() - started,
        ),
        pairs=_counts(data),
        texts=len(bench.texts.train),
        aside=scored.aside(),
        whole=sizes.layers[0],
        frozen=scored.frozen,
        small=sizes.small,
        models=[*(_baseline(n, *b) for n, b in compared.items()), *scored.models()],
        batches=scored.batches(),
        gains=scored.gains({n: found for n, (found, _, _) in compared.items()}, best),
        best=best,
        uses=uses_of(folder, data, sizes.test, heads),
        study=study,
        published=_published(),
    )
    # of trainings that are read back, what they took when they were made
    before = sum(done[p.name].seconds for p in kept) + reused
    record.provenance.seconds = before + time.perf_counter() - started
    records.write(record, cache_dir() / "records" / f"open_audio_encoder.{profile.name}.json")
    return record


def prepare(sizes: Audio, store: Store) -> Data:
    """The profile's pairs, and the frames of their sounds; what cannot be read is left out."""
    found = audio_pairs.items(sizes.subsets)
    chosen = {
        "train": audio_pairs.take(found, "train", sizes.train),
        "val": audio_pairs.take(found, "val", sizes.val),
        "test": audio_pairs.take(found, "test", sizes.test),
    }
    items = [i for part in chosen.values() for i in part]
    model = AudioEmbedder.build(_PARTS.model_copy(update={"llm": sizes.llm, "layers": 1}))
    clips = {}
    for item, clip in zip(items, model.prepare(items, store), strict=True):
        if isinstance(clip, Failure):
            log.warning("%s left out: %s", item.id, clip.reason)
        else:
            clips[item.media.key] = clip

    def known(split: str) -> tuple[Item, ...]:
        return tuple(i for i in chosen[split] if i.media.key in clips)

    return Data(known("train"), known("val"), known("test"), clips)


def texts_of(sizes: Audio, data: Data) -> Texts:
    """Pairs of texts to train on, and others to keep aside.

    Raises:
        UserError: So many are to be trained on that none are left.
    """
    asked = {c for s in STYLES for _, c in audio_pairs.pairs(data.asked, s)}
    found = text_pairs.offline(data.train, asked, dictionary=sizes.dictionary)
    train, rest = found[: sizes.texts], found[sizes.texts :]
    known = {t for pair in train for t in pair}
    aside = [p for p in rest if not known & set(p)][: sizes.texts_aside]
    if not aside:
        raise UserError(
            f"of {len(found)} pairs of texts {sizes.texts} are to be trained on, and none is left "
            "to keep aside: lower `texts`"
        )
    return Texts(tuple(train), tuple(aside))


def _recipe(
    sizes: Audio,
    route: Route,
    steps: int,
    whole: int | None = None,
    layers: int | None = None,
    batch_size: int | None = None,
    pooling: Literal["mean", "last"] = "mean",
) -> Recipe:
    """A route on the open parts, ``whole`` layers of them."""
    own = {"llm": sizes.llm, "layers": whole or sizes.layers[0], "pooling": pooling}
    return Recipe(
        route=route,
        parts=_PARTS.model_copy(update=own),
        layers=layers,
        training=config.Training(
            steps=steps,
            batch_size=batch_size or sizes.batch_size,
            learning_rate=sizes.text_rate if route == "text-only" else sizes.learning_rate,
            projection_rate=sizes.projection_rate,
            bfloat16=True,
        ),
    )


def _plans(sizes: Audio, aligned: str, rarest: str) -> list[Plan]:
    """All trainings after the alignment. Those without one make its steps too."""
    long = sizes.align_steps + sizes.steps
    out = [Plan(FULL, "route", _recipe(sizes, "full", sizes.steps), start=aligned)]
    out += [
        Plan(
            f"pruned to {n}",
            "route",
            _recipe(sizes, "prune", sizes.steps, layers=n),
            start=aligned,
        )
        for n in sizes.layers[1:]
    ]
    steps = sizes.text_steps or sizes.steps
    text = _recipe(sizes, "text-only", steps, layers=sizes.text_pruned)
    out.append(Plan(TEXT, "text", text, start=aligned))
    out += [
        Plan(f"combined, {n} layers", "route", _recipe(sizes, "combine", long, n))
        for n in sizes.combined
    ]
    if sizes.ablations:
        short = _recipe(sizes, "combine", sizes.steps, sizes.text_pruned)
        last = _recipe(sizes, "combine", long, sizes.small, pooling="last")
        out.append(Plan(_short(sizes), "ablation", short))
        out.append(Plan(_last_token(sizes), "ablation", last))
    if sizes.ablations and sizes.longer:
        longer = _recipe(sizes, "full", sizes.longer)
        out.append(Plan(_longer(sizes), "ablation", longer, start=aligned))
    out += [
        Plan(
            f"batches of {n}",
            "batch",
            _recipe(sizes, "combine", sizes.batch_steps, sizes.small, batch_size=n),
            every=max(1, sizes.batch_steps // POINTS),
        )
        for n in sizes.batch_sizes
    ]
    out += [
        Plan(
            f"trained on {style}",
            "style",
            _recipe(sizes, "combine", long, sizes.small),
            style=style,
            tested=STYLES,
        )
        for style in STYLES
    ]
    alone = _recipe(sizes, "combine", sizes.steps, sizes.small)
    out.append(Plan(rarest, "alone", alone, subset=rarest))
    return out


def _short(sizes: Audio) -> str:
    """The name of the model that is tuned as long as a pruned one, and never aligned."""
    return f"combined, {sizes.text_pruned} layers, {sizes.steps} steps"


def _longer(sizes: Audio) -> str:
    """The name of the whole model that is tuned longer after alignment."""
    return f"{FULL}, {sizes.longer} steps"


def _last_token(sizes: Audio) -> str:
    return f"combined, {sizes.small} layers, last token"


def _keep_best(bench: Bench, plans: Sequence[Plan], done: Mapping[str, Outcome]) -> str:
    """The route whose last model retrieves validation pairs best; the others' are deleted."""
    scores = {p.name: bench.validated(done[p.name], done[p.name].last) for p in plans}
    best = max(scores, key=lambda name: scores[name])
    for plan in plans:
        folder = done[plan.name].folder
        if plan.name != best:
            shutil.rmtree(folder / "model", ignore_errors=True)
        elif not (folder / "model").exists():  # a run with other routes had a better one
            (folder / "outcome.json").unlink()
            bench.execute(plan)
    return best


def _made_of(sizes: Audio) -> list[str]:
    """The manifests of parts and data."""
    names = [*_PARTS.audio, "minilm", sizes.llm, audio_pairs.DATASET]
    names += [text_pairs.WORDNET] if sizes.dictionary else []
    return [n for n in names if n in manifests.load_all()]  # a language model may be of the hub


def _counts(data: Data) -> dict[str, dict[str, int]]:
    """Clips by subset and split."""
    splits = {"train": data.train, "val": data.val, "test": data.test}
    counts = {split: Counter(i.subset for i in items) for split, items in splits.items()}
    subsets = dict.fromkeys(s for c in counts.values() for s in c)
    return {s: {split: counts[split][s] for split in splits} for s in subsets}


def _interval(found: Retrieval, direction: Direction) -> Score:
    return Score(**vars(found.interval(direction)))


def scores_of(found: Mapping[str, Retrieval]) -> list[SubsetScores]:
    """A model's scores on each subset."""
    return [
        SubsetScores(
            subset=subset,
            text_to_audio=_interval(one, "text-to-audio"),
            audio_to_text=_interval(one, "audio-to-text"),
            others={
                d: {m: Score(**vars(v)) for m, v in values.items() if m != "cvR@5"}
                for d, values in one.table().items()
            },
        )
        for subset, one in found.items()
    ]


def _mean(
    found: Mapping[str, Retrieval],
    direction: Direction,
    over: Mapping[str, Retrieval] | None = None,
) -> Score:
    """Over subsets; captions by voices that training heard are reported, and not counted."""
    counted = {s: one for s, one in found.items() if s != audio_pairs.KNOWN_VOICE}
    return Score(**vars(retrieval.mean(counted, direction, over)))


@dataclass(frozen=True)
class _Scored:
    """The outcomes of a profile, as its record says them."""

    bench: Bench
    align: Plan
    plans: Sequence[Plan]
    done: Mapping[str, Outcome]

    def found(self, plan: Plan, stage: str, tested: Style = "name") -> dict[str, Retrieval]:
        """What a model retrieves after a stage."""
        vectors = self.done[plan.name].vectors[stage]
        return self.bench.retrieved(*vectors, plan.tested, tested)

    def _model(
        self, plan: Plan, stage: str, kind: str, name: str, tested: Style = "name"
    ) -> AudioModel:
        outcome = self.done[plan.name]
        before = list(outcome.stages)[: list(outcome.stages).index(stage) + 1]
        fits = [outcome.fits[s] for s in before if s in outcome.fits]
        shared = self.done[ALIGNED].fits[ALIGN.name] if plan.start else {"seconds": 0, "steps": 0}
        found = self.found(plan, stage, tested)
        return AudioModel(
            name=name,
            kind=kind,
            parts=" + ".join([*_PARTS.audio, self.bench.sizes.llm]),
            layers=outcome.stages[stage]["layers"],
            parameters=outcome.stages[stage]["parameters"] + self.frozen,
            trained=int(fits[-1]["trainable"]) if fits else 0,
            seconds=shared["seconds"] + sum(f["seconds"] for f in fits),
            steps=int(shared["steps"] + sum(f["steps"] for f in fits)),
            loss=fits[-1]["loss"] if fits else None,
            guess=math.log(plan.recipe.training.batch_size) if fits else None,
            style=plan.style,
            tested=tested,
            scores=scores_of(found),
            text_to_audio=_mean(found, "text-to-audio"),
            audio_to_text=_mean(found, "audio-to-text"),
        )

    @property
    def frozen(self) -> int:
        """Parameters of the audio encoders, which every model here has."""
        return sum(features.PARAMETERS[part] for part in _PARTS.audio)

    @cached_property
    def _text(self) -> Plan:
        return next(p for p in self.plans if p.name == TEXT)

    def models(self) -> list[AudioModel]:
        """Every model of the record but the baselines."""
        out = [
            self._model(p, self.done[p.name].last, "route", p.name)
            for p in self.plans
            if p.kind == "route"
        ]
        out += [
            self._model(p, self.done[p.name].last, "ablation", p.name)
            for p in self.plans
            if p.kind == "ablation"
        ]
        out.append(self._model(self._text, "text", "route", TEXT))
        out.append(self._model(self._text, "prune", "route", TEXT_PRUNED))
        out.append(self._model(self.align, "start", "step", START))
        out.append(self._model(self.align, WARM, "step", WARM))
        out.append(self._model(self.align, ALIGN.name, "step", ALIGNED))
        out.append(self._model(self._aligned_pruned, "prune", "step", ALIGNED_PRUNED))
        out.append(self._model(self._text, "text", "step", TEXT))
        out.append(self._model(self._text, "prune", "step", TEXT_PRUNED))
        out += [
            self._model(p, self.done[p.name].last, "style", f"{p.style} to {tested}", tested)
            for p in self.plans
            if p.kind == "style"
            for tested in STYLES
        ]
        out += [
            self._model(p, self.done[p.name].last, "alone", p.name)
            for p in self.plans
            if p.kind == "alone"
        ]
        return out

    @property
    def _aligned_pruned(self) -> Plan:
        """The model that was aligned and pruned like the one trained on texts, before tuning."""
        name = f"pruned to {self.bench.sizes.text_pruned}"
        return next(p for p in self.plans if p.name == name)

    def batches(self) -> list[BatchPoint]:
        """Each batch size against steps."""
        out = []
        for plan in (p for p in self.plans if p.kind == "batch"):
            for steps, loss in self.done[plan.name].losses.items():
                found = self.found(plan, steps)
                out.append(
                    BatchPoint(
                        batch_size=plan.recipe.training.batch_size,
                        steps=int(steps),
                        loss=loss,
                        score=_over_all(found),
                    )
                )
        return out

    def aside(self) -> list[TextScore]:
        """What the model that is trained on texts finds among texts, stage by stage."""
        gallery, vectors = self.bench.texts.gallery, self.done[TEXT].vectors
        found = {
            stage: retrieval.search(gallery, *vectors[_HELD + stage])
            for stage in ("start", "text", "prune")
        }
        return [
            TextScore(
                model=model,
                pairs=len(gallery.items),
                score=_interval(found[stage], "audio-to-text"),
                gain=Score(**vars(found[stage].gain(found["start"], "audio-to-text"))),
            )
            for model, stage in ((ALIGNED, "start"), (TEXT, "text"), (TEXT_PRUNED, "prune"))
        ]

    def gains(self, bars: Mapping[str, Mapping[str, Retrieval]], best: str) -> list[Gain]:
        """Paired differences that answer the section's questions.

        Args:
            bars: What each baseline finds.
            best: The best route's name.
        """
        survives = "Does text-only transfer survive pruning?"
        beats = "Does module combination beat the linear heads?"
        best_beats = "Does the best route beat the linear heads?"
        others = "Do the other routes beat the linear heads?"
        leads = "Does the best route lead the best baseline in the mean?"
        everywhere = "Does the best route beat the best baseline of each subset?"
        by_chance = "Is the best route above chance on each subset?"
        alone = "What does it give to train on one subset alone?"
        linear = bars[LINEAR]
        text = self.found(self._text, "text")
        pruned = self.found(self._text, "prune")
        aligned = self.found(self.align, ALIGN.name)
        aligned_pruned = self.found(self._aligned_pruned, "prune")
        start = self.found(self.align, "start")
        nothing = bars[CHANCE]
        out = [
            *_gains(survives, START, start, CHANCE, nothing),
            *_gains(survives, ALIGNED, aligned, CHANCE, nothing),
            *_gains(survives, TEXT, text, ALIGNED, aligned),
            *_gains(survives, TEXT, text, CHANCE, nothing),
            *_gains(survives, TEXT_PRUNED, pruned, CHANCE, nothing),
            *_gains(survives, TEXT_PRUNED, pruned, ALIGNED_PRUNED, aligned_pruned),
            *_gains(survives, TEXT_PRUNED, pruned, TEXT, text),
        ]
        for plan in (p for p in self.plans if p.kind == "route"):
            combined = plan.recipe.route == "combine"
            found = self.found(plan, self.done[plan.name].last)
            question = beats if combined else best_beats if plan.name == best else others
            out += _gains(question, plan.name, found, LINEAR, linear)
            if plan.name == best:
                bar = max(bars, key=lambda name: _over_all(bars[name]))
                if bar != LINEAR:  # else it is asked above
                    out += _gains(leads, best, found, bar, bars[bar])[:1]
                for subset, one in found.items():
                    bar = max(bars, key=lambda name: _both(bars[name][subset]))
                    out += _gains(everywhere, best, {subset: one}, bar, bars[bar], mean=False)
                out += _gains(by_chance, best, found, CHANCE, nothing, mean=False)
                for own in (p for p in self.plans if p.kind == "alone"):
                    name, learnt = own.name, self.found(own, self.done[own.name].last)
                    for over, other in ((CHANCE, nothing), (best, found)):
                        out += _gains(alone, name, {name: learnt[name]}, over, other, mean=False)
        for name, found in ((TEXT, text), (TEXT_PRUNED, pruned)):
            out += _gains(others, name, found, LINEAR, linear)
        for plan in (p for p in self.plans if p.name == _longer(self.bench.sizes)):
            longer = self.found(plan, self.done[plan.name].last)
            out += _gains(others, plan.name, longer, LINEAR, linear)
        return out + self._ablated() + self._pruned() + self._batched() + self._styles()

    def _pruned(self) -> list[Gain]:
        """Fewer layers against all, tuned equally long."""
        plans = {p.name: p for p in self.plans}
        whole = self.found(plans[FULL], self.done[FULL].last)
        out = []
        for plan in (p for p in self.plans if p.recipe.route == "prune"):
            found = self.found(plan, self.done[plan.name].last)
            out += _gains("Do fewer layers do as well?", plan.name, found, FULL, whole)
        return out

    def _batched(self) -> list[Gain]:
        """The largest batches against the smallest, after as many steps."""
        plans = {p.recipe.training.batch_size: p for p in self.plans if p.kind == "batch"}
        if len(plans) < 2:
            return []
        sizes = (max(plans), min(plans))
        steps = str(max(int(n) for n in self.done[plans[sizes[0]].name].losses))
        large, small = (self.found(plans[n], steps) for n in sizes)
        names = [plans[n].name for n in sizes]
        return _gains("Are larger batches better after as many steps?", names[0], large, names[1],
                      small)  # fmt: skip

    def _styles(self) -> list[Gain]:
        """Two models on the captions of one style, which one of them was trained on."""
        question = "Does another style of captions do as well to train on?"
        plans = {p.style: p for p in self.plans if p.kind == "style"}
        out = []
        for tested in STYLES:
            found = {s: self.found(p, self.done[p.name].last, tested) for s, p in plans.items()}
            own = f"{tested} to {tested}"
            for style in (s for s in STYLES if s != tested):
                name = f"{style} to {tested}"
                out += _gains(question, name, found[style], own, found[tested])
        return out

    def _ablated(self) -> list[Gain]:
        """Paired differences between models that one thing tells apart."""
        sizes = self.bench.sizes
        plans = {p.name: p for p in self.plans}
        pairs = [
            ("Does alignment help, at as many steps of the language model?",
             f"pruned to {sizes.text_pruned}", _short(sizes)),
            ("Does the last token do as well as the mean?",
             _last_token(sizes), f"combined, {sizes.small} layers"),
            ("Does the whole model want longer?", _longer(sizes), FULL),
        ]  # fmt: skip
        out = []
        for question, name, over in pairs:
            if {name, over} <= plans.keys():
                mine, other = (self.found(plans[n], self.done[n].last) for n in (name, over))
                out += _gains(question, name, mine, over, other)
        return out


def _gains(
    question: str,
    model: str,
    found: Mapping[str, Retrieval],
    over: str,
    other: Mapping[str, Retrieval],
    mean: bool = True,
) -> list[Gain]:
    """On each subset, and in the mean over them if wanted."""

    def gain(subset: str, direction: Direction) -> Score:
        if subset == MEAN:
            return _mean(found, direction, other)
        return Score(**vars(found[subset].gain(other[subset], direction)))

    return [
        Gain(
            question=question,
            model=model,
            over=over,
            subset=subset,
            text_to_audio=gain(subset, "text-to-audio"),
            audio_to_text=gain(subset, "audio-to-text"),
        )
        for subset in ((MEAN, *found) if mean else found)
    ]


def _over_all(found: Mapping[str, Retrieval]) -> float:
    """cvR@5, mean of subsets and both directions."""
    return float(np.mean([_mean(found, d).value for d in DIRECTIONS]))


def _both(found: Retrieval) -> float:
    """cvR@5, mean of both directions."""
    return float(np.mean([found.values[d]["cvR@5"].mean() for d in DIRECTIONS]))


Baseline = tuple[dict[str, Retrieval], int, float]  # what it finds, weights trained, seconds


def _baselines(bench: Bench, store: Store) -> tuple[dict[str, Baseline], baselines.LinearHeads]:
    """What the models have to beat, on the same pairs; and the linear heads among it."""
    data = bench.data

    def found(model: retrieval.AudioTextModel) -> dict[str, Retrieval]:
        captions = [c for _, c in audio_pairs.pairs(data.test)]
        audio = model.embed_audio(data.test)
        text = model.embed_text(captions)
        rows = {i.id: n for n, i in enumerate(data.test)}
        columns = {c: n for n, c in enumerate(captions)}
        return {
            subset: retrieval.search(
                g, audio[[rows[i.id] for i in g.items]], text[[columns[c] for c in g.captions]]
            )
            for subset, g in galleries.items()
        }

    galleries = data.galleries()
    out: dict[str, Baseline] = {
        CHANCE: ({s: retrieval.chance(g) for s, g in galleries.items()}, 0, 0.0)
    }
    out |= {n: (found(m), 0, 0.0) for n, m in baselines.untrained(store).items()}
    started = time.perf_counter()
    train_pairs: list[Pair] = audio_pairs.pairs(data.train)
    heads = baselines.LinearHeads.fit(train_pairs, audio_pairs.pairs(data.val), _Means(store))
    seconds = time.perf_counter() - started
    return out | {LINEAR: (found(heads), heads.parameters, seconds)}, heads


def _baseline(
    name: str, found: Mapping[str, Retrieval], trained: int, seconds: float
) -> AudioModel:
    return AudioModel(
        name=name,
        kind="baseline",
        parts=f"{' + '.join(_PARTS.audio)} + minilm" if trained else name,
        trained=trained,
        parameters=baselines.PARAMETERS.get(name, 0) + trained or None,
        seconds=seconds,
        style="name" if trained else "",
        scores=scores_of(found),
        text_to_audio=_mean(found, "text-to-audio"),
        audio_to_text=_mean(found, "audio-to-text"),
    )


def uses_of(folder: Path, data: Data, most: int, heads: baselines.LinearHeads) -> records.Uses:
    """What the model in ``folder`` is good for; measured once, and kept beside it."""
    tools = {name: tool.model_dump() for name, tool in uses.read_tools().items()}
    asked = records.digest([audio_uses.VERSION, [i.media.key for i in data.test], most, tools])
    path = folder / f"uses-{asked[:12]}.json"
    if path.exists():
        return records.Uses.model_validate_json(path.read_text(encoding="utf-8"))
    found = audio_uses.measure(folder / "model", data.test, most, heads)
    records.write_text(path, found.model_dump_json())
    return found


def in_the_study(
    profile: Profile, folder: Path, heard: Sequence[Item]
) -> tuple[list[StudyTask], float]:
    """Audio tasks of section 1 from the profile's encoder and from the model in ``folder``.

    One seed each; what section 1 has trained is read back, and what that took in its time is
    the second value, in seconds. ``heard`` is what the model was trained on: of tested items by
    the same voices the number is said.
    """
    voices = {_voice(i) for i in heard}
    names = tuple(t for t in profile.audio.tasks if _has_sounds(profile, t))
    encoders = (profile.encoder, f"open-audio:{folder / 'model'}") if names else ()
    rows: list[StudyTask] = []
    seconds = 0.0
    usual: dict[str, single_task.Answers] = {}  # from the profile's encoder, which comes first
    for encoder in encoders:
        answers, before = _study_answers(profile, encoder, names)
        seconds += before
        usual = usual or answers
        for task, some in answers.items():
            gain = None
            if some is not usual[task]:
                gain = single_task.score(usual[task], profile.bootstrap, best=some).difference
            rows.append(
                StudyTask(
                    task=task,
                    encoder=encoder.partition(":")[0],
                    items=len(some.items),
                    accuracy=single_task.score(some, profile.bootstrap).accuracy,
                    gain=gain,
                    majority=max(Counter(i.answer for i in some.items).values()) / len(some.items),
                    known=sum(_voice(i) in voices for i in some.items),
                )
            )
    return rows, seconds


def _study_answers(
    profile: Profile, encoder: str, names: tuple[str, ...]
) -> tuple[dict[str, single_task.Answers], float]:
    """Answers to the tasks ``names`` from one ``encoder``; seconds of what was done before."""
    change = {"encoder": encoder, "tasks": names, "protocols": ("leak-free",)}
    one_seed = {"seeds": profile.seeds[:1], "curve_tasks": ()}
    planned = single_task.plan(profile.model_copy(update=change | one_seed))
    todo = [r for r in planned.todo if r.variant == "adaptor"]
    vectors = {k: v for p in planned.prepared for k, v in p.embedded.vectors.items()}
    label = encoder.partition(":")[0]
    before = [done for r in {r.key: r for r in todo}.values() if (done := runs.load(r))]
    outcomes = runs.execute_all(todo, lambda _: vectors, planned.llm, label)
    out = {}
    for name in names:
        answers = out[name] = single_task.Answers()
        for one in (r for r in todo if r.task == name):
            tested = one.fold.test
            answers.add(tested, one.seed, outcomes[one.key].texts[: len(tested)])
    return out, sum(o.train_seconds + o.answer_seconds for o in before)


def _voice(item: Item) -> str | None:
    """Who speaks; readers of real recordings call the voice a speaker."""
    return item.meta.get("voice") or item.meta.get("speaker") or item.group


def _has_sounds(profile: Profile, task: str) -> bool:
    """Whether a task's sounds are here: released vectors are of other encoders."""
    loaded = single_task.select(profile, task).loaded
    if loaded.source == "released":
        log.warning("%s is left out: its sounds cannot be had (%s)", task, loaded.why)
    return loaded.source != "released"


def _published() -> list[records.PublishedScore]:
    """What others report, cvR@5."""
    return [
        records.PublishedScore(
            source=p.source,
            model=p.model,
            parameters=p.parameters,
            heard=p.heard,
            dataset=p.dataset,
            direction=p.direction,
            cvr5=p.scores["cvR@5"],
            same_as=p.same_as,
            note=p.note,
        )
        for p in published.published()
        if "cvR@5" in p.scores
    ]
