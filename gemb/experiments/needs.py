"""What a profile needs before it can run: manifests, and vectors with their price."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from gemb import encoders, tasks
from gemb.data import fetch, manifests
from gemb.data.items import Item
from gemb.data.load import load_dataset
from gemb.data.readers import librispeech
from gemb.encoders.base import Encoder, Failure, Paid
from gemb.encoders.prices import Amount
from gemb.errors import UserError
from gemb.experiments import (
    esc50_transfer,
    librispeech_failure,
    multitask_scaling,
    runs,
    single_task,
)
from gemb.profiles import Profile
from gemb.progress import progress
from gemb.store import Store

# Parts of the encoders that are built from packaged weights.
_PARTS = ("efficientnet-lite0", "moonshine-base", "yamnet")
ENCODER_PARTS = {
    "open-concat": _PARTS,
    "minilm": ("minilm",),
    "open-bound": (*_PARTS, "minilm", "imagenet-names"),
}
# What sections 2 and 3 read beside the tasks' data, by the profile's source.
SENTENCES = {"raw": "spoken-sentences", "released": "spoken-sentences", "official": "librispeech"}
SENTENCE_CHARACTERS = 120  # of twenty words, the longest sentences; at most that many are guessed
TARGETS = {"raw": ("packaged-sounds",), "released": (), "official": ("esc-50", "celeba")}


def of_profile(profile: Profile, notebooks: Sequence[str] | None = None) -> list[str]:
    """Every manifest that a run of ``profile`` reads, what they need included, once each.

    Args:
        profile: Says the encoder, the language model, the tasks and where data come from.
        notebooks: The names of those that are run; all of them if it is not given.
    """

    def runs(section: str) -> bool:
        return notebooks is None or any(n.startswith(section) for n in notebooks)

    def parts(encoder: str) -> Sequence[str]:
        return ENCODER_PARTS.get(encoder.partition(":")[0], ())

    wanted: list[str] = []
    if any(map(runs, ("01", "02", "03", "04"))) or profile.audio.tasks:
        wanted += [*parts(profile.encoder), profile.llm]
    if profile.source != "released":
        asked = profile.tasks if runs("01") or runs("04") else ()
        asked = (*asked, *(transferred(profile) if runs("03") else ()))
        asked = (*asked, *(profile.audio.tasks if runs("05") else ()))
        wanted += [tasks.get(t, profile.source).dataset for t in asked]
    if runs("02"):
        wanted += [*parts(profile.text_encoder), SENTENCES[profile.source]]
    if runs("03"):
        wanted += TARGETS[profile.source]
        if profile.source != "official":
            wanted += parts("open-bound")
    if runs("04"):
        wanted += [p for encoder in profile.multitask.encoders for p in parts(encoder)]
    if runs("05"):
        wanted += ["moonshine-base", "yamnet", "minilm", profile.audio.llm]
        speech_only = profile.audio.subsets == ("speech",)
        wanted += ["imagenet-names", "piper-joe"] if speech_only else ["audio-pairs"]
        wanted += ["wordnet"] if profile.audio.dictionary else []
    return _with_needs(wanted)


def transferred(profile: Profile) -> tuple[str, ...]:
    """The tasks that section 3's adaptors are trained on."""
    ways = esc50_transfer.OFFICIAL if profile.source == "official" else (esc50_transfer.HERE,)
    return tuple(way.task for way in ways)


def _with_needs(wanted: Sequence[str]) -> list[str]:
    """The manifests of these names and all that they need, once each."""
    known, out = manifests.load_all(), []

    def add(name: str) -> None:
        if name in known and name not in out:
            out.append(name)
            for needed in known[name].needs:
                add(needed)

    for name in wanted:
        add(name)
    return out


@dataclass
class Vectors:
    """The vectors that one task of a profile needs under one view.

    Attributes:
        name: The task's, or of what another section embeds.
        items: How many items.
        todo: Those without a vector; empty where ``guessed``.
        view: Of the encoder's.
        store: Where their vectors belong.
        amount: What of them an encoder that is paid would be sent.
        failures: Those of ``todo`` that cannot be sent, and why.
        guessed: The data are not here yet: all counts are the profile's sizes, at most that many.
        shared: How many of the items another task before it wants as well: they are embedded once.
    """

    name: str
    items: int
    todo: list[Item] = field(default_factory=list)
    view: str = "whole"
    store: Store | None = None
    amount: Amount = field(default_factory=Amount)
    failures: list[Failure] = field(default_factory=list)
    guessed: bool = False
    shared: int = 0

    @property
    def missing(self) -> int:
        """Items to embed."""
        return self.items - self.shared if self.guessed else len(self.todo) - len(self.failures)

    @property
    def stored(self) -> int:
        """Items whose vectors are there."""
        return 0 if self.guessed else self.items - self.shared - len(self.todo)


def items_of(
    profile: Profile, encoder: Encoder, names: Sequence[str] = (), *, fetching: bool = True
) -> list[Vectors]:
    """The items of a profile's tasks, of all protocols, folds and seeds, and which lack vectors.

    Of the study's own data come beside them: the sentences of section 2 under each of its views,
    their texts where the encoder is the profile's for texts too, what section 3 transfers to, and
    what section 4 samples otherwise.

    Args:
        profile: Says which tasks, and how many items.
        encoder: Whose vectors; the profile's or another.
        names: Some of the profile's tasks; none means all, and the other sections.
        fetching: Get data that are not here; otherwise their numbers are the profile's sizes.
    """
    for name in names:
        if name not in profile.tasks:
            raise UserError(
                f"no task {name!r} in profile {profile.name}; it has: {', '.join(profile.tasks)}"
            )
    states = {s.manifest.name: s.present for s in fetch.status()}

    def here(dataset: str) -> bool:
        return fetching or all(states[m] for m in _with_needs([dataset]))

    everything = profile.source == "official" and not names
    smaller = multitask_scaling.asked(profile, profile.encoder)
    out: list[Vectors] = []
    for name in names or profile.tasks:
        if not here(tasks.get(name, profile.source).dataset):
            samples = (profile, smaller) if everything else (profile,)
            out.append(_guess(samples, name, [w.name for w in out if w.guessed]))
            continue
        ready = single_task.select(profile, name)
        known = {i.media.key for w in out for i in w.todo}
        out.append(_lacking(name, ready.items, encoder, "whole", ready.loaded.source, known))
    if everything:
        out += _of_sections(profile, encoder, here)
        some = [t for t in profile.tasks if here(tasks.get(t, profile.source).dataset)]
        items = [i for t in some for i in single_task.select(smaller, t).items]
        known = {i.media.key for w in out for i in w.todo if w.view == "whole"}
        if items:
            name = "section 4's samples"
            out.append(_lacking(name, items, encoder, "whole", profile.source, known))
    return out


def _of_sections(profile: Profile, encoder: Encoder, here: Callable[[str], bool]) -> list[Vectors]:
    """What sections 2 and 3 embed of the study's own data: sentences, their texts, targets.

    A dozen names of categories, which section 3 embeds as it runs, are not counted.
    """
    sizes, out = profile.sentences, []
    spoken = sizes.train + sizes.val + sizes.test
    there = here(librispeech.DATASET)
    views = dict.fromkeys(view for view, _ in librispeech_failure.SETUPS.values())
    items = librispeech_failure.sentence_items(profile) if there else []
    for view in views:
        name = f"sentences, {view}"
        if there:
            out.append(_lacking(name, items, encoder, view, profile.source))
        else:
            out.append(_of_mean_length(name, spoken, librispeech.DATASET, view))
    if encoders.load(profile.text_encoder).identity() == encoder.identity():
        name = "sentences' texts"
        if there:
            texts = [librispeech.text_item(i.answer) for i in items]
            out.append(_lacking(name, texts, encoder, "whole", profile.source))
        else:
            amount = Amount(contents=spoken, characters=spoken * SENTENCE_CHARACTERS)
            out.append(Vectors(name, spoken, amount=amount, guessed=True))
    for dataset in TARGETS["official"]:
        if here(dataset):
            targets = load_dataset(dataset, profile.source).items
            out.append(_lacking(dataset, targets, encoder, "whole", profile.source))
            continue
        manifest = manifests.get(dataset)
        count = manifest.items or 0
        if manifest.mean_seconds is None:
            out.append(_pictures(dataset, count))
        else:
            out.append(_of_mean_length(dataset, count, dataset, "whole"))
    return out


def _lacking(
    name: str,
    items: Sequence[Item],
    encoder: Encoder,
    view: str,
    source: str,
    known: AbstractSet[str] = frozenset(),
) -> Vectors:
    """Which of the items have no vector yet, nor are ``known`` to be embedded, by their key.

    Items of one content are one.
    """
    store = runs.store_of(source)
    first = {i.media.key: i for i in reversed(items)}
    lacking = store.missing(encoder.identity(view), list(first))
    todo = [first[k] for k in lacking if k not in known]
    return Vectors(name, len(first), todo, view, store, shared=len(lacking) - len(todo))


def price(wanted: Sequence[Vectors], encoder: Paid) -> None:
    """Find what of each item would be sent, which reads them all; what cannot be is set apart."""
    with progress("reading", sum(len(w.todo) for w in wanted)) as bar:
        for some in wanted:
            for item in some.todo:
                try:
                    some.amount += encoder.amount(item, some.view)
                except (UserError, OSError, RuntimeError, ValueError) as error:
                    some.failures.append(Failure(item.id, str(error)))
                bar.update(1)


def _guess(samples: Sequence[Profile], name: str, before: Sequence[str]) -> Vectors:
    """At most what the sizes say: each protocol's sample, and what is tested in further folds.

    Datasets that are made from the same one, as RAVDESS' two, are taken to share their items with
    a task ``before``.

    Args:
        samples: The profile, and what is sampled beside it: taken to share no item.
        name: Of the task.
        before: Tasks that are guessed already.
    """
    profile = samples[0]
    sizes, task = profile.sizes_of(name), tasks.get(name, profile.source)
    count = sum(_sampled(p, name) for p in samples)
    manifest = manifests.get(task.dataset)
    count = min(count, manifest.items or count)
    others = [manifests.get(tasks.get(b, profile.source).dataset) for b in before]
    if manifest.needs and any(
        o.needs == manifest.needs and profile.sizes_of(b) == sizes
        for b, o in zip(before, others, strict=True)
    ):
        return Vectors(name, count, guessed=True, shared=count)
    if task.modality == "audio":
        return _of_mean_length(name, count, task.dataset, "whole")
    return _pictures(name, count)


def _sampled(profile: Profile, name: str) -> int:
    sizes = profile.sizes_of(name)
    count = len(profile.protocols) * (sizes.train + sizes.val + sizes.test)
    if tasks.get(name, profile.source).split == "folds" and "leak-free" in profile.protocols:
        count += (sizes.folds - 1) * (sizes.train + sizes.val)
    return count


def _pictures(name: str, count: int) -> Vectors:
    """So many pictures that are not here yet."""
    return Vectors(name, count, amount=Amount(contents=count, images=count), guessed=True)


def _of_mean_length(name: str, count: int, dataset: str, view: str) -> Vectors:
    """So many recordings, each as long as the dataset's manifest says they are on average."""
    seconds = manifests.get(dataset).mean_seconds
    if seconds is None:
        raise UserError(
            f"{name}: the data are not here and {dataset} does not say how long a recording is: "
            f"run `gemb fetch {dataset}` first"
        )
    pieces = 1 if view == "whole" else math.ceil(seconds / float(view.partition(":")[2]))
    amount = Amount(contents=count * pieces, seconds=count * seconds)
    return Vectors(name, count, view=view, amount=amount, guessed=True)
