"""What a run does: sizes, encoder, language model, seeds. One word selects it all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from gemb.errors import UnknownName, UserError
from gemb.tasks import TASKS, Source

Protocol = Literal["leak-free", "random"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Sizes(_Strict):
    """At most this many items of a task; class-balanced, smaller samples inside larger ones."""

    train: int = Field(gt=0)
    val: int = Field(gt=0)
    test: int = Field(gt=0)
    folds: int = Field(default=3, ge=2, description="for tasks cross-validated over groups")


class Training(_Strict):
    """How an adaptor is trained. The study publishes none of these; chosen on validation items."""

    hidden: int = Field(default=448, gt=0, description="width of the adaptor's hidden layer")
    standardise: bool = Field(default=True, description="inputs to mean 0, deviation 1 (training)")
    noise: float = Field(
        default=0.7, ge=0, description="deviation of Gaussian noise on standardised inputs"
    )
    output_scale: float = Field(
        default=10.0, gt=0, description="what the adaptor's output is multiplied by"
    )
    warm_start: float = Field(
        default=1.0, ge=0, description="root mean square of the tokens to start from; 0: none"
    )
    activation: Literal["gelu", "none"] = Field(
        default="gelu", description="of the hidden layer; none: one linear map"
    )
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    batch_size: int = 4
    epochs: int = Field(default=3, gt=0)
    warmup: float = Field(default=0.05, description="share of all steps")
    patience: int = Field(default=3, description="epochs without a better validation score")


class Sentences(_Strict):
    """Sizes of the open-vocabulary section; all counts are of sentences."""

    train: int = Field(gt=0)
    val: int = Field(gt=0)
    test: int = Field(gt=0)
    epochs: int = Field(default=2, gt=0)
    learning_rate: float | None = Field(default=None, description="none: as everywhere")
    known: tuple[int, ...] = Field(description="numbers of distinct sentences to recognise again")
    known_passes: int = Field(description="training clips times epochs at each of those, about")
    known_longer: int | None = Field(
        default=None, description="the number that is trained three times as long too"
    )
    text_curve: tuple[int, ...] = Field(description="training sentences, on vectors of their text")
    audio_curve: tuple[int, ...] = Field(description="the same on vectors of speech")
    frames_curve: tuple[int, ...] = Field(description="the same on unpooled frames of speech")
    curve_passes: int = Field(description="training items times epochs at each size, about")
    text_longer: int | None = Field(
        default=None, description="texts that are trained on as long as the most are, too"
    )
    transcripts: int = Field(description="test sentences that the real recogniser transcribes")
    probe_words: int = Field(description="frequent words that a linear probe looks for")


class Transfer(_Strict):
    """Sizes of the cross-modal section."""

    train: int = Field(gt=0, description="pictures trained on, at most")
    val: int = Field(gt=0)
    test: int = Field(gt=0, description="pictures tested")
    asked: int | None = Field(
        default=None, gt=0, description="sounds of each category asked about, at most; none: all"
    )
    epochs: int = Field(default=4, gt=0)
    degradations: tuple[float, ...] = Field(
        default=(0.0, 0.25, 0.5, 0.75, 1.0), description="shares of another sound's vector"
    )


class Multitask(_Strict):
    """Sizes of the multi-task section: one adaptor for all tasks."""

    sizes: Sizes
    sizes_by_task: dict[str, Sizes] = {}
    epochs: int = Field(default=3, gt=0)
    own_epochs: int = Field(
        default=3, gt=0, description="of a task's own adaptor, which takes fewer steps in each"
    )
    encoders: tuple[str, ...] = Field(description="the first is the headline's")
    tokens: tuple[int, ...] = Field(default=(1, 8, 32), description="virtual tokens, the sweep")
    groups: tuple[str, ...] = Field(
        default=("capacity", "collapse", "rescue"), description="of trials beyond the sweep"
    )
    rescue_tokens: tuple[int, ...] = Field(
        default=(1, 8), description="virtual tokens at which remedies are tried"
    )
    longer: int = Field(default=2, gt=1, description="times the epochs, of longer training")
    learning_rates: tuple[float, ...] = Field(
        default=(6e-4, 2e-3, 6e-3), description="tried for each size at equal parameters"
    )


class Audio(_Strict):
    """Sizes of the section on audio embedding models; counts of pairs are of each subset."""

    llm: str = Field(default="smollm2-135m", description="whose body the models have")
    subsets: tuple[str, ...] = Field(default=(), description="of the pairs; none: all")
    train: int = Field(gt=0)
    val: int = Field(gt=0)
    test: int = Field(gt=0)
    texts: int = Field(gt=0, description="pairs of texts, for training without a sound")
    texts_aside: int = Field(default=300, gt=0, description="kept aside to test on, at most")
    dictionary: bool = Field(default=True, description="WordNet's among them, if it can be had")
    layers: tuple[int, ...] = Field(
        default=(30, 20, 10, 5), min_length=2, description="whole, then pruned to so many"
    )
    text_pruned: int = Field(default=10, description="layers left of the model trained on texts")
    combined: tuple[int, ...] = Field(
        default=(30, 10), min_length=1, description="layers of the models trained all at once"
    )
    small: int = Field(default=5, description="layers where batches and styles are compared")
    # By cvR@5 of ten layers on validation pairs, after a warm start. Alignment: 41% at 1e-3, 36% at
    # 3e-3, 38% at 5e-3. Fifty steps of all after it, body and projection: 64% at 5e-4 and 1e-3,
    # 57% at 1e-4 and 1e-3, 55% at 1e-4 and 3e-3. Fifty steps of the body on texts: 37% at 5e-4, 39%
    # at 1e-4.
    learning_rate: float = Field(default=5e-4, gt=0, description="of the body")
    text_rate: float = Field(default=1e-4, gt=0, description="of the body, trained on texts alone")
    projection_rate: float = Field(default=1e-3, gt=0, description="of the projection")
    align_steps: int = Field(gt=0)
    steps: int = Field(gt=0, description="after alignment")
    text_steps: int | None = Field(
        default=None, gt=0, description="after alignment on texts alone; none: as many"
    )
    longer: int | None = Field(
        default=None, gt=0, description="steps of the whole model once more, among the ablations"
    )
    batch_size: int = Field(default=32, gt=1)
    batch_sizes: tuple[int, ...] = (32, 64, 128)
    batch_steps: int = Field(gt=0, description="of each batch size")
    ablations: bool = Field(
        default=False,
        description="combined without alignment's steps, and by its last token; full for longer",
    )
    tasks: tuple[str, ...] = Field(
        default=(), description="of the study, answered from the best model's vectors"
    )

    @model_validator(mode="after")
    def _prunes_alike(self) -> Audio:
        if self.text_pruned not in self.layers[1:]:  # its counterpart without texts is a route
            raise ValueError(f"text_pruned is {self.text_pruned}, and layers are {self.layers}")
        return self


class Profile(_Strict):
    """One way to run every notebook."""

    name: str
    purpose: str
    duration: str = Field(default="", description="what it takes on two cores, in words")
    encoder: str = "open-concat"
    text_encoder: str = "minilm"
    llm: str = "smollm2-135m"
    num_virtual_tokens: int = 1
    tasks: tuple[str, ...] = tuple(TASKS)
    source: Source = Field(
        default="raw",
        description="raw: packaged data and stand-ins; released: their committed vectors, no "
        "raw data needed; official: the study's own datasets",
    )
    protocols: tuple[Protocol, ...] = ("leak-free",)
    seeds: tuple[int, ...] = (0,)
    random_splits: int = Field(
        default=3, gt=0, description="random splits drawn, each with its seed"
    )
    sizes: Sizes
    sizes_by_task: dict[str, Sizes] = {}
    training: Training = Training()
    epochs_by_task: dict[str, int] = {}
    noise_by_task: dict[str, float] = {}
    linear_tasks: tuple[str, ...] = Field(
        default=tuple(TASKS), description="tasks that a linear adaptor is trained on too"
    )
    ablation_tasks: tuple[str, ...] = Field(
        default=(), description="tasks trained without the warm start too, and with it alone"
    )
    longer_tasks: tuple[str, ...] = Field(default=(), description="tasks trained twice as long too")
    control_tasks: tuple[str, ...] = ("clothing", "words")
    shuffles: int = Field(default=1, gt=0, description="trainings on shuffled labels, a control")
    control_train: int = Field(default=300, description="training items of a control, at most")
    curve_tasks: tuple[str, ...] = ("clothing", "words")
    curve_sizes: tuple[int, ...] = ()
    bootstrap: int = 2000
    answered_alone: int = Field(
        default=16, gt=0, description="items of a task, to see whether a batch changes answers"
    )
    sentences: Sentences
    transfer: Transfer
    multitask: Multitask
    audio: Audio

    def sizes_of(self, task: str) -> Sizes:
        """The sizes of one task."""
        return self.sizes_by_task.get(task, self.sizes)

    def training_of(self, task: str) -> Training:
        """The training settings of one task."""
        return self.training.model_copy(
            update={
                "epochs": self.epochs_by_task.get(task, self.training.epochs),
                "noise": self.noise_by_task.get(task, self.training.noise),
            }
        )


# The study's encoder and language model, and the latter's classes at a tiny random size.
GEMINI, QWEN, QWEN_TINY = "gemini", "qwen3-4b", "qwen3-tiny"
# What `gemb serve --encoder open-bound --model gemini-embedding-2` answers to, without a key.
SERVED = "gemini:gemini-embedding-2:384"
# The study shows a plain MLP of width 3072 without standardised inputs, and publishes neither
# learning rate nor batch size nor epochs: these are this project's choice, from its first trials.
PLAIN = Training(
    hidden=3072,
    standardise=False,
    noise=0.0,
    output_scale=1.0,
    warm_start=0.0,
    learning_rate=1e-3,
    batch_size=32,
    epochs=10,
)
# What embedding every item of all sections once may cost under the profile `paper`, at the prices
# in gemb.encoders.prices: its sizes keep below.
PAPER_DOLLARS = 11.0

# One training of each kind on little; SmolLM2's first layers stand for it.
TINY_AUDIO = Audio(
    subsets=("speech",),
    train=12,
    val=4,
    test=6,
    texts=12,
    dictionary=False,
    layers=(3, 2),
    text_pruned=2,
    combined=(2,),
    small=1,
    align_steps=2,
    steps=2,
    batch_size=4,
    batch_sizes=(4, 8),
    batch_steps=2,
)
STUDY_AUDIO = Audio(
    train=1200,
    val=40,
    test=120,
    texts=4000,
    combined=(10, 5),
    align_steps=70,
    steps=50,
    text_steps=125,  # one pass
    longer=120,  # as many as the combined models are trained in all
    batch_steps=60,
    ablations=True,
    tasks=("gender", "emotion", "words", "commands"),
)

FOLD_TASKS = tuple(t.name for t in TASKS.values() if t.split == "folds")

# Chosen on validation items, as the baselines' penalties are: tests/benchmarks/noise_by_task.py.
# The other tasks keep Training's, which was not scanned for them.
NOISE = {"clothing": 1.2, "digits": 1.5, **dict.fromkeys(FOLD_TASKS, 1.5)}

# Chosen on validation clips of ten known sentences: after 30 epochs the right answer costs 1.1 nats
# a token, and 1.9 at the learning rate of the other sections.
SENTENCE_RATE = 4e-3

# Commands need a few items of each of 169 answers; tasks cross-validated over groups train
# once a fold.
PROFILES: dict[str, Profile] = {
    p.name: p
    for p in (
        Profile(
            name="smoke",
            purpose="the whole path, tiny, on released vectors; its numbers mean nothing",
            duration="about 5 minutes",
            source="released",
            sizes=Sizes(train=16, val=8, test=16, folds=2),
            training=Training(hidden=64, epochs=1),
            tasks=("clothing", "words"),
            bootstrap=200,
            answered_alone=3,
            sentences=Sentences(
                train=12,
                val=2,
                test=6,
                epochs=1,
                known=(4,),
                known_passes=12,
                text_curve=(12,),
                audio_curve=(12,),
                frames_curve=(6,),
                curve_passes=12,
                transcripts=2,
                probe_words=2,
            ),
            transfer=Transfer(
                train=20, val=10, test=10, asked=8, epochs=1, degradations=(0.0, 1.0)
            ),
            multitask=Multitask(
                sizes=Sizes(train=12, val=4, test=6, folds=2),
                epochs=1,
                encoders=("open-concat",),
                tokens=(1, 8),
                groups=("rescue",),
                rescue_tokens=(1,),
            ),
            audio=TINY_AUDIO,
        ),
        Profile(
            name="local",
            purpose="every experiment at reduced size: leak-free split, one seed",
            duration="45 to 50 minutes after downloads",
            sizes=Sizes(train=200, val=40, test=100, folds=2),
            sizes_by_task={
                "commands": Sizes(train=338, val=60, test=120),
                **{t: Sizes(train=120, val=40, test=120, folds=2) for t in FOLD_TASKS},
            },
            epochs_by_task={"scene-text": 2, "digits": 4, **dict.fromkeys(FOLD_TASKS, 4)},
            noise_by_task=NOISE,
            linear_tasks=("clothing",),
            control_train=40,
            curve_tasks=("clothing",),
            curve_sizes=(100,),
            sentences=Sentences(
                train=120,
                val=12,
                test=40,
                learning_rate=SENTENCE_RATE,
                known=(10, 30),
                known_passes=900,
                text_curve=(120, 360),
                audio_curve=(120,),
                frames_curve=(120,),
                curve_passes=240,
                transcripts=24,
                probe_words=30,
            ),
            transfer=Transfer(train=80, val=30, test=60, epochs=3),
            multitask=Multitask(
                sizes=Sizes(train=30, val=12, test=30, folds=2),
                sizes_by_task={"commands": Sizes(train=84, val=20, test=40)},
                epochs=2,
                own_epochs=8,
                encoders=("open-bound",),
                tokens=(1, 8),
                groups=("rescue",),
                rescue_tokens=(1,),
            ),
            audio=Audio(
                train=160,
                val=15,
                test=24,
                texts=600,
                layers=(6, 3),
                text_pruned=3,
                combined=(3,),
                small=3,
                align_steps=20,
                steps=16,
                batch_sizes=(32, 64),
                batch_steps=8,
                tasks=("words",),
            ),
        ),
        Profile(
            name="study",
            purpose="the published run: all seeds, splits, baselines and controls",
            duration="about 6 hours after downloads",
            protocols=("leak-free", "random"),
            seeds=(0, 1, 2),
            random_splits=1,  # each takes seven minutes more
            sizes=Sizes(train=300, val=60, test=240),
            sizes_by_task={
                "commands": Sizes(train=507, val=80, test=300),
                "scene-text": Sizes(train=200, val=60, test=240),
                **{t: Sizes(train=160, val=60, test=300, folds=3) for t in FOLD_TASKS},
            },
            epochs_by_task={
                "clothing": 5,
                "commands": 4,
                "digits": 8,
                "objects": 5,  # ten are not better on validation items, of the two below they are
                "gender": 10,
                "emotion": 10,
            },
            noise_by_task=NOISE,
            control_train=120,
            shuffles=5,
            ablation_tasks=("clothing",),
            longer_tasks=("objects",),
            curve_sizes=(100, 200),
            sentences=Sentences(
                train=800,
                val=40,
                test=160,
                epochs=1,
                learning_rate=SENTENCE_RATE,
                known=(10, 30, 100, 169, 300, 1000),
                known_passes=2000,
                known_longer=169,  # as many as the study's commands
                text_curve=(300, 800, 10_000),
                text_longer=800,
                audio_curve=(300, 800),  # the latter is a set-up above
                frames_curve=(300, 800),
                curve_passes=800,
                transcripts=160,
                probe_words=100,
            ),
            transfer=Transfer(train=300, val=60, test=120),
            multitask=Multitask(
                sizes=Sizes(train=50, val=20, test=60, folds=3),
                sizes_by_task={"commands": Sizes(train=169, val=40, test=100)},
                own_epochs=9,
                encoders=("open-bound", "open-concat"),
                longer=3,  # then an item is seen as often as by its task's own adaptor
                learning_rates=(2e-3, 6e-3, 2e-2),
            ),
            audio=STUDY_AUDIO,
        ),
        Profile(
            name="paper",
            purpose="the study as published: its encoder, language model and datasets; embedding "
            f"costs less than {PAPER_DOLLARS:.0f} dollars, needs a key and a GPU",
            source="official",
            encoder=GEMINI,
            text_encoder=GEMINI,
            llm=QWEN,
            protocols=("leak-free", "random"),
            seeds=(0, 1, 2),
            sizes=Sizes(train=1500, val=200, test=500),
            sizes_by_task={
                "scene-text": Sizes(train=1600, val=200, test=1000),
                # a few of each of 169 answers
                "commands": Sizes(train=1690, val=169, test=507),
                # all of RAVDESS: each actor is tested in one of the folds
                **dict.fromkeys(
                    ("gender", "emotion"), Sizes(train=1080, val=160, test=1440, folds=4)
                ),
            },
            training=PLAIN,
            control_train=500,
            shuffles=5,
            curve_sizes=(100, 300, 1000),
            # a thousand sentences, as the study has; of each three views are embedded. LibriSpeech
            # has one reader a sentence, so none can be recognised again in another voice, and the
            # encoder gives no frames.
            sentences=Sentences(
                train=800,
                val=40,
                test=160,
                epochs=10,
                known=(),
                known_passes=0,
                text_curve=(200, 400, 800),
                audio_curve=(200, 400, 800),
                frames_curve=(),
                curve_passes=8000,
                transcripts=160,
                probe_words=100,
            ),
            transfer=Transfer(train=1500, val=200, test=500, epochs=10),
            multitask=Multitask(
                sizes=Sizes(train=500, val=60, test=200, folds=4),
                sizes_by_task={"commands": Sizes(train=845, val=84, test=338)},
                epochs=10,
                own_epochs=10,
                encoders=(GEMINI,),
                learning_rates=(3e-4, 1e-3, 3e-3),
            ),
            audio=STUDY_AUDIO.model_copy(update={"tasks": ()}),
        ),
        Profile(
            name="paper-smoke",
            purpose="the path of `paper`, tiny; its numbers mean nothing",
            source="official",
            encoder=SERVED,
            text_encoder=SERVED,
            llm=QWEN_TINY,
            sizes=Sizes(train=24, val=8, test=12, folds=2),
            training=PLAIN.model_copy(update={"hidden": 64, "epochs": 1}),
            linear_tasks=(),
            control_tasks=(),
            curve_tasks=(),
            bootstrap=200,
            answered_alone=3,
            sentences=Sentences(
                train=12,
                val=2,
                test=6,
                epochs=1,
                known=(),
                known_passes=0,
                text_curve=(12,),
                audio_curve=(12,),
                frames_curve=(),
                curve_passes=12,
                transcripts=2,
                probe_words=2,
            ),
            transfer=Transfer(train=20, val=10, test=10, epochs=1, degradations=(0.0, 1.0)),
            multitask=Multitask(
                sizes=Sizes(train=12, val=4, test=6, folds=2),
                epochs=1,
                encoders=(SERVED,),
                tokens=(1, 8),
                groups=("rescue",),
                rescue_tokens=(1,),
            ),
            audio=TINY_AUDIO.model_copy(
                update={"llm": QWEN_TINY, "layers": (2, 1), "text_pruned": 1, "ablations": True}
            ),
        ),
    )
}


def get(name: str | None = None) -> Profile:
    """The profile called ``name``, or else the one ``GEMB_PROFILE`` names, or ``local``.

    A name that ends in ``.yaml`` is a file: see :func:`read`.
    """
    name = name or os.environ.get("GEMB_PROFILE") or "local"
    if is_file(name):
        return read(Path(name))
    if name not in PROFILES:
        raise UnknownName(
            f"no profile {name!r}; there are: {', '.join(PROFILES)}, or a file that ends in .yaml"
        )
    return PROFILES[name]


def is_file(name: str) -> bool:
    """Whether a profile of that name is a file of the reader's own."""
    return name.endswith((".yaml", ".yml"))


def read(path: Path) -> Profile:
    """A profile from a YAML file, named like the file.

    ``from`` names the profile it starts from; all else are fields of :class:`Profile` that
    differ, of nested ones only those that do.

    Raises:
        UserError: The file cannot be read, has an unknown field or value, or a known profile's
            name, whose records it would overwrite.
    """
    if path.stem in PROFILES:
        raise UserError(f"{path}: {path.stem} is a profile already; give the file another name")
    try:
        own = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        base = get(own.pop("from", "local")).model_dump()
        said = {"purpose": f"as {path.name} says", "duration": "", **own, "name": path.stem}
        return Profile.model_validate(_merged(base, said))
    except (
        OSError,
        UnicodeDecodeError,
        yaml.YAMLError,
        AttributeError,
        TypeError,
        ValueError,
    ) as error:
        raise UserError(f"{path} is no profile: {error}") from error


def _merged(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """``base`` with what ``own`` says, field by field."""
    nested = {k: _merged(base[k], v) for k, v in own.items()
              if isinstance(v, dict) and isinstance(base.get(k), dict)}  # fmt: skip
    return {**base, **own, **nested}
