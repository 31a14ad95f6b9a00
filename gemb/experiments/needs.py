"""What a profile needs before it can run: manifests, and vectors with their price."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from gemb import tasks
from gemb.data import fetch, manifests
from gemb.data.items import Item
from gemb.encoders.base import Encoder, Failure, Paid
from gemb.encoders.prices import Amount
from gemb.errors import UserError
from gemb.experiments import runs, single_task
from gemb.profiles import Profile
from gemb.progress import progress
from gemb.store import Store

# Parts of the encoders that are built from packaged weights.
ENCODER_PARTS = {
    "open-concat": ("efficientnet-lite0", "moonshine-base", "yamnet"),
    "minilm": ("minilm",),
    "open-bound": ("minilm", "imagenet-names"),
}
# What sections 2 and 3 read beside the tasks' data.
BESIDE = {
    "raw": ("spoken-sentences", "packaged-sounds"),
    "released": ("spoken-sentences",),
    "official": ("librispeech", "esc-50", "celeba"),
}


def of_profile(profile: Profile) -> list[str]:
    """Every manifest that a run of ``profile`` reads, what they need included, once each."""
    wanted = [*ENCODER_PARTS.get(profile.encoder.partition(":")[0], ()), profile.llm]
    wanted += ENCODER_PARTS.get(profile.text_encoder, ())  # section 2
    if profile.source != "official":
        wanted += ENCODER_PARTS["open-bound"]  # section 3
    if profile.source != "released":
        wanted += [tasks.get(t, profile.source).dataset for t in profile.tasks]
    wanted += BESIDE[profile.source]
    return _with_needs(wanted)


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
    """The vectors that one task of a profile needs.

    Attributes:
        task: Its name.
        items: How many items.
        todo: Those without a vector; empty where ``guessed``.
        store: Where their vectors belong.
        amount: What of them an encoder that is paid would be sent.
        failures: Those of ``todo`` that cannot be sent, and why.
        guessed: The data are not here yet: all counts are the profile's sizes, at most that many.
    """

    task: str
    items: int
    todo: list[Item]
    store: Store | None = None
    amount: Amount = field(default_factory=Amount)
    failures: list[Failure] = field(default_factory=list)
    guessed: bool = False

    @property
    def missing(self) -> int:
        """Items to embed."""
        return self.items if self.guessed else len(self.todo) - len(self.failures)

    @property
    def stored(self) -> int:
        """Items whose vectors are there."""
        return 0 if self.guessed else self.items - len(self.todo)


def items_of(
    profile: Profile, encoder: Encoder, names: Sequence[str] = (), *, fetching: bool = True
) -> list[Vectors]:
    """The items of a profile's tasks, of all protocols, folds and seeds, and which lack vectors.

    Args:
        profile: Says which tasks, and how many items.
        encoder: Whose vectors; the profile's or another.
        names: Some of the profile's tasks; none means all.
        fetching: Get data that are not here; otherwise their numbers are the profile's sizes.
    """
    for name in names:
        if name not in profile.tasks:
            raise UserError(
                f"no task {name!r} in profile {profile.name}; it has: {', '.join(profile.tasks)}"
            )
    states = {s.manifest.name: s.present for s in fetch.status()}
    out = []
    for name in names or profile.tasks:
        dataset = tasks.get(name, profile.source).dataset
        if not fetching and not all(states[m] for m in _with_needs([dataset])):
            out.append(_guess(profile, name))
            continue
        ready = single_task.select(profile, name)
        store = runs.store_of(ready.loaded.source)
        first = {i.media.key: i for i in reversed(ready.items)}
        todo = store.missing(encoder.identity(), list(first))
        out.append(Vectors(name, len(first), [first[k] for k in todo], store))
    return out


def price(wanted: Sequence[Vectors], encoder: Paid) -> None:
    """Find what of each item would be sent, which reads them all; what cannot be is set apart."""
    with progress("reading", sum(len(w.todo) for w in wanted)) as bar:
        for some in wanted:
            for item in some.todo:
                try:
                    some.amount += encoder.amount(item)
                except (UserError, OSError, RuntimeError, ValueError) as error:
                    some.failures.append(Failure(item.id, str(error)))
                bar.update(1)


def _guess(profile: Profile, name: str) -> Vectors:
    """At most what the sizes say: each protocol's sample, and what is tested in further folds."""
    sizes, task = profile.sizes_of(name), tasks.get(name, profile.source)
    manifest = manifests.get(task.dataset)
    count = len(profile.protocols) * (sizes.train + sizes.val + sizes.test)
    if task.split == "folds" and "leak-free" in profile.protocols:
        count += (sizes.folds - 1) * (sizes.train + sizes.val)
    count = min(count, manifest.items or count)
    if task.modality == "audio":
        seconds = manifest.mean_seconds
        if seconds is None:
            raise UserError(
                f"{name}: the data are not here and {task.dataset} does not say how long a clip "
                f"is: run `gemb fetch {task.dataset}` first"
            )
        amount = Amount(contents=count, seconds=count * seconds)
    else:
        amount = Amount(contents=count, images=count)
    return Vectors(name, count, [], amount=amount, guessed=True)
