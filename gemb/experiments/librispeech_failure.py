"""Section 2: does one vector carry open-vocabulary speech?"""

from __future__ import annotations

import json
import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from types import ModuleType

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from gemb import adaptor, baselines, encoders, metrics, records
from gemb.data import manifests
from gemb.data.fetch import cache_dir
from gemb.data.items import Item
from gemb.data.readers import librispeech, spoken_sentences
from gemb.data.splits import Fold
from gemb.embed import embed
from gemb.encoders.base import Encoder, require
from gemb.evaluate import Examples, predict, surprisal
from gemb.experiments import runs
from gemb.experiments.runs import Outcome, Run
from gemb.llm import FrozenLLM
from gemb.metrics import Bootstrap
from gemb.profiles import Profile, Training
from gemb.progress import progress
from gemb.records import Score
from gemb.store import Store

log = logging.getLogger(__name__)

PROMPT = "Transcribe the spoken sentence."  # the study gives none
MAX_NEW_TOKENS = 40  # twenty words
MOST_EPOCHS = 60  # on few sentences
STACK = 8  # frames side by side in one vector: about five virtual tokens a second
UNSEEN = 40  # sentences never trained on, asked beside the known ones
LENGTHS = ((8, 9), (10, 12), (13, 20))  # words
VOICES = 3  # speak a known sentence to train on, at most
LONGER = 3  # times the epochs, of known sentences
PENALTY = 1e-2  # scikit-learn's C, of the probes for words
PROBED_IN = 5  # test sentences at least have a word that a probe looks for
# The study's four set-ups: what the encoder is shown, and virtual tokens for each vector.
SETUPS: dict[str, tuple[str, int]] = {
    "one vector, 1 token": ("whole", 1),
    "one vector, 32 tokens": ("whole", 32),
    "2 s chunks, 1 token each": ("chunks:2", 1),
    "1 s chunks, 1 token each": ("chunks:1", 1),
}
TEXT = "the sentence's own text vector, 1 token"


@dataclass
class Vectors:
    """Vectors of every medium under every view that is asked for, embedded once."""

    store: Store
    audio: Encoder
    text: Encoder
    failures: dict[tuple[str, str], str] = field(default_factory=dict)  # by item and view

    def of(self, items: Sequence[Item], view: str = "whole") -> dict[str, np.ndarray]:
        """Vectors by key, of text items by the text encoder."""
        if not items:
            return {}
        encoder = self._encoder(items[0].modality)
        found = embed(list(items), encoder, self.store, view, label=f"embedding, {view}")
        self.failures |= {(f.item_id, view): f.reason for f in found.failures}
        return found.vectors

    def known(self, fold: Fold, view: str = "whole") -> Fold:
        """The fold without items that could not be embedded; each is tried once."""
        items = [
            i
            for i in (*fold.train, *fold.val, *fold.test, *fold.extra)
            if (i.id, view) not in self.failures
        ]
        identity = self._encoder(items[0].modality).identity(view)
        lacking = set(self.store.missing(identity, [i.media.key for i in items]))
        self.of([i for i in items if i.media.key in lacking], view)

        def keep(some: Sequence[Item]) -> tuple[Item, ...]:
            return tuple(i for i in some if (i.id, view) not in self.failures)

        return Fold(keep(fold.train), keep(fold.val), keep(fold.test), keep(fold.extra))

    def slug(self, modality: str, view: str = "whole") -> str:
        """Of the identity of what makes the vectors."""
        return self._encoder(modality).identity(view).slug

    def _encoder(self, modality: str) -> Encoder:
        return self.text if modality == "text" else self.audio


@dataclass
class Parts:
    """Sentences to train on (as many as the largest curve wants), to validate and to test on."""

    train: list[str]
    val: list[str]
    test: list[str]


def reader_of(profile: Profile) -> ModuleType:
    """What yields the sentences: LibriSpeech for the study's own data, else its stand-in."""
    return librispeech if profile.source == "official" else spoken_sentences


def split(profile: Profile, sentences: Sequence[str], unseen: Sequence[str] | None = None) -> Parts:
    """The first sentences test, the next validate, the others train: none is in two parts.

    Where real people read them, those of ``unseen`` test: by readers of their own.
    """
    sizes = profile.sentences
    test = list((sentences if unseen is None else unseen)[: sizes.test])
    left = list(sentences[sizes.test :] if unseen is None else sentences)
    val, rest = left[: sizes.val], left[sizes.val :]
    largest = max(sizes.train, *sizes.text_curve, *sizes.audio_curve, *sizes.frames_curve)
    return Parts(rest[:largest], val, test)


def parts_of(profile: Profile) -> Parts:
    """The sentences of the profile's source."""
    unseen = librispeech.unseen() if profile.source == "official" else None
    return split(profile, reader_of(profile).sentences(), unseen)


def sentence_items(profile: Profile) -> list[Item]:
    """Every sentence as it is spoken once; what the study's four set-ups embed."""
    parts, item = parts_of(profile), reader_of(profile).item
    return [item(s) for s in (*parts.train, *parts.val, *parts.test)]


def run(profile: Profile, say: Callable[[str], None] = print) -> records.OpenVocabularyRecord:
    """Run (or read back) every training of the section and score it against floors and ceilings."""
    started = time.perf_counter()
    sizes = profile.sentences
    reader = reader_of(profile)
    reader.require()
    llm = FrozenLLM.load(profile.llm)
    vectors = Vectors(
        Store(cache_dir() / "vectors"),
        encoders.load(profile.encoder),
        encoders.load(profile.text_encoder),
    )
    require(vectors.audio, ["audio"], "section 2 is about speech, choose an encoder that hears")
    official = profile.source == "official"
    parts = parts_of(profile)
    jobs = plan(profile, parts, vectors, llm)
    look_up = {j.run.key: j.vectors for j in jobs}
    unique = {j.run.key: j.run for j in jobs}  # a curve may pass through a set-up
    views = {j.run.key: j.view for j in jobs}
    say(runs.announce(unique.values(), llm, lambda r, some: vectors.of(some, views[r.key])))
    done = runs.execute_all(unique.values(), lambda r: look_up[r.key](), llm, "open vocabulary")
    for job in jobs:
        job.outcome = done[job.run.key]
    record = records.OpenVocabularyRecord(
        provenance=records.provenance(
            profile,
            vectors.slug("audio"),
            llm.identity().slug,
            manifests.hashes([reader.DATASET]),
            "official" if official else "raw",
            time.perf_counter() - started,
        ),
        n_train=sizes.train,
        n_test=sizes.test,
        results=[
            *_setups(profile, jobs, vectors, llm),
            *_floors(profile, jobs, vectors, llm),
            *_ceilings(profile, jobs),
        ],
        recognition=[_recognised(profile, j, vectors) for j in jobs if j.part.endswith("known")],
        probes=[_probe(profile, arm, jobs, vectors) for arm in ("audio", "text", "length")],
        curve=[_point(profile, j) for j in jobs if j.part.startswith(("curve ", "longer text"))],
        nearest_training_wer=_nearest_training(profile, parts),
        seconds=sum(o.train_seconds + o.answer_seconds for o in done.values()),
        notes=[f"{i} left out of {v}: {why}" for (i, v), why in vectors.failures.items()],
    )
    records.write(record, cache_dir() / "records" / f"librispeech_failure.{profile.name}.json")
    return record


# --- trainings ---------------------------------------------------------------


@dataclass
class Job:
    """A training with its place in the record."""

    part: str  # "setup", "known", or "curve" and its arm; "longer" and what is trained longer
    name: str
    run: Run
    vectors: Callable[[], dict[str, np.ndarray]]
    view: str = "whole"
    outcome: Outcome | None = None

    @property
    def done(self) -> Outcome:
        """The outcome, once there is one."""
        assert self.outcome is not None
        return self.outcome


def _main(jobs: Sequence[Job], name: str = "one vector, 1 token") -> Job:
    """The set-up of that name, of the first seed."""
    return next(j for j in jobs if j.part == "setup" and j.name == name)


def plan(profile: Profile, parts: Parts, vectors: Vectors, llm: FrozenLLM) -> list[Job]:
    """Every training of the section; those on the same clips one after the other."""
    sizes = profile.sentences
    fold = _fold(profile, parts, sizes.train)
    jobs = [
        _job(profile, "setup", name, fold, vectors, llm, view=view, k=k, seed=seed)
        for seed in profile.seeds
        for name, (view, k) in SETUPS.items()
    ]
    jobs.append(
        _job(profile, "setup", TEXT, _fold(profile, parts, sizes.train, "text"), vectors, llm)
    )
    if sizes.text_longer:
        few = _fold(profile, parts, sizes.text_longer, "text")
        settings = training(profile, len(few.train), max(sizes.text_curve))
        jobs.append(
            _job(profile, "longer text", str(len(few.train)), few, vectors, llm, settings=settings)
        )
    frames_curve = sizes.frames_curve
    if frames_curve and "frames" not in vectors.audio.views:
        log.warning("the curve over frames is left out: %s gives none", vectors.audio.name)
        frames_curve = ()
    for arm, counts in (
        ("text", sizes.text_curve),
        ("audio", sizes.audio_curve),
        ("frames", frames_curve),
    ):
        for count in counts:
            arm_fold = _fold(profile, parts, count, "text" if arm == "text" else "audio")
            settings = training(profile, len(arm_fold.train), sizes.curve_passes)
            view, stack = ("frames", STACK) if arm == "frames" else ("whole", 1)
            jobs.append(
                _job(
                    profile,
                    f"curve {arm}",
                    str(count),
                    arm_fold,
                    vectors,
                    llm,
                    view=view,
                    stack=stack,
                    settings=settings,
                )
            )
    jobs += [_known(profile, parts, n, vectors, llm) for n in sizes.known]
    if sizes.known_longer:
        jobs.append(_known(profile, parts, sizes.known_longer, vectors, llm, longer=True))
    return jobs


def _fold(profile: Profile, parts: Parts, count: int, modality: str = "audio") -> Fold:
    reader = reader_of(profile)
    make = reader.text_item if modality == "text" else reader.item
    train, val, test = (
        tuple(make(s) for s in part) for part in (parts.train[:count], parts.val, parts.test)
    )
    return Fold(train, val, test)


def training(profile: Profile, clips: int, passes: int | None = None) -> Training:
    """The settings for sentences: the profile's, at the learning rate of sentences.

    Args:
        profile: Says how many epochs where ``passes`` does not.
        clips: Training items.
        passes: Clips times epochs that are wanted, about: a curve over sizes is one over data
            and not over steps as long as the small ones get more epochs.
    """
    changed: dict[str, float] = {"epochs": profile.sentences.epochs}
    if passes is not None:
        epochs = min(MOST_EPOCHS, max(1, round(passes / clips)))
        # to the end: the last epochs, at a small learning rate, are where sentences come right
        changed = {"epochs": epochs, "patience": max(epochs, profile.training.patience)}
    if profile.sentences.learning_rate is not None:
        changed["learning_rate"] = profile.sentences.learning_rate
    return profile.training.model_copy(update=changed)


def _job(
    profile: Profile,
    part: str,
    name: str,
    fold: Fold,
    vectors: Vectors,
    llm: FrozenLLM,
    *,
    view: str = "whole",
    k: int = 1,
    seed: int | None = None,
    stack: int = 1,
    settings: Training | None = None,
) -> Job:
    modality = fold.train[0].modality
    fold = vectors.known(fold, view)
    items = [*fold.train, *fold.val, *fold.test, *fold.extra]
    job = Run(
        task=reader_of(profile).DATASET,
        prompt=PROMPT,
        protocol="leak-free",
        number=0,
        seed=profile.seeds[0] if seed is None else seed,
        variant="adaptor",
        fold=fold,
        settings=settings or training(profile, len(fold.train)),
        num_virtual_tokens=k,
        encoder=vectors.slug(modality, view),
        vectors="raw",
        llm=llm.identity().slug,
        precision=str(llm.dtype).removeprefix("torch."),
        choose_by="surprisal",
        max_new_tokens=MAX_NEW_TOKENS,
        stack=stack,
        costs=True,
    )
    return Job(part, name, job, lambda: vectors.of(items, view), view)


def _known(
    profile: Profile,
    parts: Parts,
    count: int,
    vectors: Vectors,
    llm: FrozenLLM,
    longer: bool = False,
) -> Job:
    """``count`` sentences by training voices; asked by other voices, beside unseen sentences."""
    known, reader = parts.train[:count], spoken_sentences  # which has several voices a sentence
    # as many voices as the passes allow where there are many sentences
    voices = min(VOICES, max(1, profile.sentences.known_passes // count))
    train = [reader.item(s, v) for s in known for v in reader.training_voices(s, voices)]
    val = [
        reader.item(s, reader.training_voices(s, VOICES + 1)[VOICES])
        for s in known[: profile.sentences.val]
    ]
    test = [reader.item(s, reader.test_voice(s)) for s in known[: profile.sentences.test]]
    unseen = [
        replace(reader.item(s, reader.test_voice(s)), subset="unseen") for s in parts.test[:UNSEEN]
    ]
    fold = Fold(tuple(train), tuple(val), tuple(test), tuple(unseen))
    passes = profile.sentences.known_passes * (LONGER if longer else 1)
    settings = training(profile, len(train), passes)
    # the epoch is chosen by surprisal here too: no answer is right in the first epochs, and
    # patience would end the training before one is
    part = "longer known" if longer else "known"
    return _job(profile, part, str(count), fold, vectors, llm, settings=settings)


# --- scores ------------------------------------------------------------------


def score(
    name: str,
    kind: str,
    truths: Sequence[str],
    answers: Sequence[str],
    draws: int,
    seeds: int = 1,
) -> records.SpeechResult:
    """Exact match, WER, CER and word overlap with intervals over sentences.

    Args:
        name: Of the way to the transcripts.
        kind: ``set-up``, ``floor`` or ``ceiling``.
        truths: The sentences, those of every seed one after the other.
        answers: As many.
        draws: Of the bootstrap.
        seeds: How often each sentence is in there; its rows share one draw.
    """
    boot = Bootstrap(["all"] * len(truths), list(truths), draws)
    pairs = list(zip(answers, truths, strict=True))
    exact = np.array([metrics.exact_match(a, t) for a, t in pairs], dtype=float)
    words = np.array([metrics.word_edits(a, t) for a, t in pairs], dtype=float)
    characters = np.array([metrics.character_edits(a, t) for a, t in pairs], dtype=float)
    overlap = np.array([metrics.word_overlap(a, t) for a, t in pairs])
    lengths = np.array([len(t.split()) for t in truths])
    by_length = []
    for low, high in LENGTHS:
        here = (lengths >= low) & (lengths <= high)
        if here.any():
            by_length.append(
                {
                    "words": f"{low}–{high}",
                    "items": int(here.sum()) // seeds,
                    "exact": float(exact[here].mean()),
                    "wer": float(words[here, 0].sum() / words[here, 1].sum()),
                    "cer": float(characters[here, 0].sum() / characters[here, 1].sum()),
                    "overlap": float(overlap[here].mean()),
                }
            )

    def over_seeds(values: np.ndarray) -> float | None:
        return float(values.reshape(seeds, -1).mean(1).std()) if seeds > 1 else None

    return records.SpeechResult(
        name=name,
        kind=kind,
        items=len(truths) // seeds,
        exact=Score(**vars(boot.interval(exact)), seed_std=over_seeds(exact)),
        wer=Score(
            **vars(boot.ratio(words[:, 0], words[:, 1])),
            seed_std=over_seeds(words[:, 0] / words[:, 1].mean()),
        ),
        cer=Score(**vars(boot.ratio(characters[:, 0], characters[:, 1]))),
        overlap=Score(**vars(boot.interval(overlap)), seed_std=over_seeds(overlap)),
        overlap_gain=Score(**vars(boot.interval(overlap - _by_chance(truths, answers, seeds)))),
        by_length=by_length,
    )


def _by_chance(truths: Sequence[str], answers: Sequence[str], seeds: int) -> np.ndarray:
    """The word overlap ``[N]`` of each answer with another sentence, the next of its seed."""
    others = [
        o for part in np.array_split(np.array(truths, object), seeds) for o in np.roll(part, 1)
    ]
    return np.array([metrics.word_overlap(a, o) for a, o in zip(answers, others, strict=True)])


def _bits(jobs: Sequence[Job], draws: int) -> Score:
    """What the right sentence costs less with its own vector than with another's, in bits.

    The other is as long, or nearest to it: the length alone is not counted as something heard.
    """
    gain = np.concatenate(
        [np.subtract(j.done.surprisal_other, j.done.surprisal) / math.log(2) for j in jobs]
    )
    groups = [i.answer for j in jobs for i in j.run.fold.test]
    return Score(**vars(Bootstrap(["all"] * len(gain), groups, draws).interval(gain)))


def _fluency(job: Job, llm: FrozenLLM, draws: int) -> Score:
    """By how many nats a token the blind language model expects the answers over the truths."""

    def cost(texts: list[str]) -> np.ndarray:
        blind = Examples(np.empty((len(texts), 0)), [llm.prompt(PROMPT)] * len(texts), texts)
        tokens = [llm.count_labels([t]) for t in texts]
        return surprisal(None, llm, blind) / np.array(tokens)

    truths = [i.answer for i in job.run.fold.test]
    gain = cost(truths) - cost(job.done.texts[: len(truths)])
    return Score(**vars(Bootstrap(["all"] * len(gain), truths, draws).interval(gain)))


def _setups(
    profile: Profile, jobs: Sequence[Job], vectors: Vectors, llm: FrozenLLM
) -> list[records.SpeechResult]:
    out = []
    for name in (*SETUPS, TEXT):
        mine = [j for j in jobs if j.part == "setup" and j.name == name]
        truths = [i.answer for j in mine for i in j.run.fold.test]
        answers = [t for j in mine for t in j.done.texts]
        found = score(
            name,
            "ceiling" if name == TEXT else "set-up",
            truths,
            answers,
            profile.bootstrap,
            len(mine),
        )
        first = mine[0]
        trained = runs.adaptor_of(first.run, first.done)
        view, k = SETUPS.get(name, ("whole", 1))
        if view == "whole":
            pieces = 1.0
        else:
            embedded = vectors.of(first.run.fold.test, view)
            pieces = float(np.mean([len(v) for v in embedded.values()]))
        examples = [
            records.Example(item_id=i.id, answer=i.answer, given=t, logprob=p)
            for i, t, p in zip(
                first.run.fold.test, first.done.texts, first.done.logprobs, strict=True
            )
        ]
        out.append(
            found.model_copy(
                update={
                    "n_train": len(first.run.fold.train),
                    "parameters": adaptor.num_parameters(
                        len(trained.mean), first.run.settings.hidden, llm.hidden_size, k
                    ),
                    "tokens": pieces * k,
                    "bits": _bits(mine, profile.bootstrap),
                    "fluency": _fluency(first, llm, profile.bootstrap),
                    "history": [h | {"seed": j.run.seed} for j in mine for h in j.done.history],
                    "examples": examples[:6],
                }
            )
        )
    return out


def _floors(
    profile: Profile, jobs: Sequence[Job], vectors: Vectors, llm: FrozenLLM
) -> list[records.SpeechResult]:
    """What is reached without understanding anything."""
    spoken = _main(jobs)
    fold = spoken.run.fold
    truths = [i.answer for i in fold.test]
    draws = profile.bootstrap
    prompt = llm.prompt(PROMPT)
    blind = predict(
        None, llm, Examples(np.empty((1, 0)), [prompt], [""]), max_new_tokens=MAX_NEW_TOKENS
    )[0].text
    always = typical([i.answer for i in fold.train])
    nearest = _by_baseline("k-NN", fold, vectors)  # no neighbour validates: the nearest one
    order = np.roll(np.arange(len(truths)), 1)  # every answer is held against another sentence
    shuffled = [spoken.done.texts[i] for i in order]
    return [
        score("the same sentence always", "floor", truths, [always] * len(truths), draws),
        score("the language model, blind", "floor", truths, [blind] * len(truths), draws),
        score("nearest training sentence", "floor", truths, nearest, draws),
        score("one vector, 1 token, pairs shuffled", "floor", truths, shuffled, draws),
    ]


def typical(sentences: Sequence[str], among: int = 200) -> str:
    """The sentence that shares most words with the others; of the first ``among``."""
    some = list(sentences[:among])
    means = [np.mean([metrics.word_overlap(a, t) for t in some]) for a in some]
    return some[int(np.argmax(means))]


def _ceilings(profile: Profile, jobs: Sequence[Job]) -> list[records.SpeechResult]:
    """What a real recogniser hears in the same clips, by engine."""
    items = _main(jobs).run.fold.test[: profile.sentences.transcripts]
    heard = transcripts(items)

    def of(some: Sequence[Item], name: str) -> records.SpeechResult:
        answers = [plain(heard[i.media.key]) for i in some]
        return score(name, "ceiling", [i.answer for i in some], answers, profile.bootstrap)

    def by(what: str) -> dict[str, list[Item]]:
        names = sorted({i.meta[what] for i in items if what in i.meta})
        return {name: [i for i in items if i.meta.get(what) == name] for name in names}

    voices = [
        {"voice": name, "sentences": len(some)}
        | {k: getattr(of(some, name), k).value for k in ("exact", "wer", "cer", "overlap")}
        for name, some in by("voice").items()
    ]
    name = "Moonshine's transcript"
    return [
        of(items, name).model_copy(update={"by_voice": voices}),
        *(of(some, f"{name}, {engine}") for engine, some in by("engine").items()),
    ]


def plain(text: str) -> str:
    """A transcript as the sentences are written: lower case, letters and apostrophes."""
    letters = "".join(c if c.isalpha() or c in "' " else " " for c in text.lower())
    return " ".join(letters.split())


def transcripts(items: Sequence[Item]) -> dict[str, str]:
    """Moonshine's transcript of each item by key; kept, since each takes most of a second."""
    from gemb.data.fetch import fetch
    from gemb.data.media import decode_audio
    from gemb.encoders.moonshine import MoonshineBase

    path = cache_dir() / "measured" / "moonshine.json"
    kept: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    todo = [i for i in items if i.media.key not in kept]
    if todo:
        model = MoonshineBase(fetch("moonshine-base"))  # whose sessions have one thread each

        def transcribe(clip: tuple[Item, bytes]) -> str:
            item, data = clip
            return model.transcribe(decode_audio(data, suffix="wav", name=item.id))

        with (
            progress("transcribing", len(todo)) as bar,
            ThreadPoolExecutor(torch.get_num_threads()) as pool,
        ):
            # read or generated here, one after the other: a generator need not bear threads
            clips = [(item, item.media.bytes()) for item in todo]
            for item, text in zip(todo, pool.map(transcribe, clips), strict=True):
                kept[item.media.key] = text
                bar.update(1)
        records.write_text(path, json.dumps(kept, ensure_ascii=False))
    return kept


def _nearest_training(profile: Profile, parts: Parts) -> Score:
    """WER of the best training sentence for each test sentence, chosen knowing the truth.

    No answer copied from training can do better; were it low, the split would leak.
    """
    train = parts.train[: profile.sentences.train]
    bags = [Counter(s.split()) for s in train]
    best = []
    for truth in parts.test:
        bag = Counter(truth.split())
        shared = np.array([sum((bag & b).values()) for b in bags])
        near = [train[i] for i in np.argsort(-shared, kind="stable")[:20]]
        best.append(min((metrics.word_edits(s, truth) for s in near), key=lambda e: e[0]))
    errors = np.array(best, dtype=float)
    boot = Bootstrap(["all"] * len(best), list(parts.test), profile.bootstrap)
    return Score(**vars(boot.ratio(errors[:, 0], errors[:, 1])))


def _recognised(profile: Profile, job: Job, vectors: Vectors) -> records.Recognition:
    """Known sentences in unknown voices, unknown sentences, and what a class mean would get."""
    fold = job.run.fold
    cut = len(fold.test)
    draws = profile.bootstrap

    def exact(items: Sequence[Item], answers: Sequence[str]) -> Score:
        hits = [
            float(metrics.exact_match(a, i.answer)) for a, i in zip(answers, items, strict=True)
        ]
        boot = Bootstrap(["all"] * len(hits), [i.answer for i in items], draws)
        return Score(**vars(boot.interval(np.array(hits))))

    means = _by_baseline("nearest class mean", fold, vectors)
    return records.Recognition(
        sentences=int(job.name),
        n_train=len(fold.train),
        known=exact(fold.test, job.done.texts[:cut]),
        unseen=exact(fold.extra, job.done.texts[cut:]),
        class_mean=exact(fold.test, means),
        bits=_bits([job], draws),
        epochs=len(job.done.history),
        n_unseen=len(fold.extra),
        n_known=cut,
        longer=job.part.startswith("longer"),
    )


def _by_baseline(method: str, fold: Fold, vectors: Vectors) -> list[str]:
    """A baseline's answers to the fold's test items."""
    embedded = vectors.of([*fold.train, *fold.val, *fold.test])
    return runs.baseline_answers(fold, fold.test, embedded, methods=(method,))[method]


def _probe(profile: Profile, arm: str, jobs: Sequence[Job], vectors: Vectors) -> records.Probe:
    """AUC of a logistic regression for each frequent word's presence, on test sentences.

    Words are those in most training sentences, but in no more than half of them, that also are
    in five test sentences at least and not in all. Where there is none (few sentences), any word
    will do that some test sentences have and some have not. The penalty is the same for all words
    and vectors. The arm ``length`` is a control: any word is likelier in a longer sentence.
    """
    fold = (_main(jobs, TEXT) if arm == "text" else _main(jobs)).run.fold
    if arm == "length":
        raw = [
            np.array([[float(len(i.answer.split()))] for i in p]) for p in (fold.train, fold.test)
        ]
    else:
        embedded = vectors.of([*fold.train, *fold.test])
        raw = [
            np.concatenate([embedded[i.media.key] for i in part])
            for part in (fold.train, fold.test)
        ]
    x_train, x_test = baselines.standardise(*raw)
    sets, tests = ([set(i.answer.split()) for i in part] for part in (fold.train, fold.test))
    counts = Counter(sorted(w for s in sets for w in s))  # of words as frequent, by the alphabet
    frequent = [
        w
        for w, c in counts.most_common()
        if 5 <= c <= len(sets) / 2 and PROBED_IN <= sum(w in s for s in tests) < len(tests)
    ] or [w for w, _ in counts.most_common() if 0 < sum(w in s for s in tests) < len(tests)]
    # the sentences are the sample, and all words are asked of the same ones
    draws = np.random.default_rng(0).multinomial(
        len(tests), np.full(len(tests), 1 / len(tests)), size=profile.bootstrap
    )
    weights = np.vstack([np.ones(len(tests)), draws])
    rows, found = [], []
    for word in frequent[: profile.sentences.probe_words]:
        there = [word in s for s in sets]
        if len(set(there)) < 2:
            continue
        model = LogisticRegression(C=PENALTY, max_iter=300, class_weight="balanced")
        scores = model.fit(x_train, there).decision_function(x_test)
        found.append(auc(scores, np.array([word in s for s in tests]), weights))
        rows.append({"word": word, "sentences": counts[word], "auc": float(found[-1][0])})
    # a drawing of which every sentence has the word, or none, says nothing of that word
    means = np.ma.masked_invalid(found or [np.full(len(weights), 0.5)]).mean(axis=0)
    low, high = np.percentile(means[1:].compressed(), [2.5, 97.5])
    return records.Probe(
        arm=arm,
        words=len(rows),
        auc=Score(value=float(means[0]), low=float(low), high=float(high)),
        by_word=rows,
        penalty=PENALTY,
    )


def auc(scores: np.ndarray, there: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Area under the ROC curve under each row of weights.

    Args:
        scores: ``[N]``.
        there: bool ``[N]``, what they should tell.
        weights: ``[draws, N]``, how often each item counts.

    Returns:
        ``[draws]``, NaN where all items that count are of one kind.
    """
    some, others = scores[there][:, None], scores[~there]
    wins = (some > others) + 0.5 * (some == others)
    inside, outside = weights[:, there], weights[:, ~there]
    with np.errstate(invalid="ignore"):
        return ((inside @ wins) * outside).sum(1) / (inside.sum(1) * outside.sum(1))


def _point(profile: Profile, job: Job) -> records.CurvePoint:
    truths = [i.answer for i in job.run.fold.test]
    found = score(job.name, "curve", truths, job.done.texts, profile.bootstrap)
    return records.CurvePoint(
        arm=job.part.split()[-1],
        longer=job.part.startswith("longer"),
        n_train=len(job.run.fold.train),
        passes=len(job.run.fold.train) * len(job.done.history),
        exact=found.exact,
        wer=found.wer,
        overlap=found.overlap,
        bits=_bits([job], profile.bootstrap),
        train_loss=job.done.history[job.done.best_epoch - 1]["train_loss"],
    )
