"""The eight tasks of the study: what is asked, of which data, and what the study reported.

This is the topmost room of the house: it imports nothing of gemb.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from gemb.errors import UnknownName

Modality = Literal["image", "audio", "text"]
Split = Literal["official", "holdout", "folds", "none"]
Source = Literal["raw", "released", "official"]


@dataclass(frozen=True)
class Official:
    """The study's own dataset of a task; the fields are those of :class:`Task`."""

    dataset: str
    split: Split
    grouped_by: str


@dataclass(frozen=True)
class Task:
    """One question put to the language model about an image or a sound.

    Attributes:
        name: Short identifier, as used on the command line.
        title: What a reader calls it.
        modality: What the encoder sees.
        prompt: The text the language model reads after the virtual tokens.
        dataset: Name of the manifest and reader that yield the items offline.
        stand_in: What the offline data are, if they are not the study's own
            dataset; empty where they are.
        split: How the leak-free split is made. ``official``: the dataset's own
            test set. ``holdout``: the reader marks the test groups (voices,
            fonts) no training item comes from. ``folds``: cross-validation
            over groups, where groups are few. ``none``: the data have no
            groups, so only a random split exists.
        grouped_by: What a group is, in words.
        paper_dataset: The study's dataset, as a reader knows it.
        paper_accuracy: The study's exact match on its random 20% split.
        official: Manifest, reader and leak-free split of the study's dataset.
    """

    name: str
    title: str
    modality: Modality
    prompt: str
    dataset: str
    stand_in: str
    split: Split
    grouped_by: str
    paper_dataset: str
    paper_accuracy: float
    official: Official

    def under(self, source: str) -> Task:
        """The task on the data that a profile's source means: ``official`` is the study's own."""
        if source != "official":
            return self
        own = self.official
        return replace(
            self, dataset=own.dataset, stand_in="", split=own.split, grouped_by=own.grouped_by
        )


# Prompts and accuracies of the study; it does not give the prompts of digits, gender and
# emotion, so those are this project's own, kept short for every token costs time.
TASKS: dict[str, Task] = {
    t.name: t
    for t in (
        Task(
            "objects",
            "Object classification",
            "image",
            "What object is in this image? Answer with one word.",
            "tuxpaint-objects",
            "Tux Paint photograph cut-outs composed on varied backgrounds",
            "folds",
            "stamp",
            "CIFAR-10",
            0.97,
            Official("cifar-10", "official", "none"),
        ),
        Task(
            "clothing",
            "Clothing classification",
            "image",
            "What clothing item is in this image? Answer with one word.",
            "fashion-mnist",
            "",
            "official",
            "none",
            "Fashion-MNIST",
            0.83,
            Official("fashion-mnist", "official", "none"),
        ),
        Task(
            "digits",
            "Digit classification",
            "image",
            "Which digit is this?",
            "mnist-digits",
            "MNIST handwritten digits",
            "none",
            "none",
            "SVHN",
            0.62,
            Official("svhn", "official", "none"),
        ),
        Task(
            "scene-text",
            "Scene text recognition",
            "image",
            "What word is shown in this image?",
            "rendered-words",
            "200 words rendered over photographs",
            "holdout",
            "font and background",
            "IIIT-5K",
            0.33,
            Official("iiit5k", "official", "source picture"),
        ),
        Task(
            "gender",
            "Gender of a voice",
            "audio",
            "Male or female voice?",
            "voice-gender",
            "speakers of packaged recordings in several languages",
            "folds",
            "speaker",
            "RAVDESS",
            0.987,
            Official("ravdess-gender", "folds", "actor"),
        ),
        Task(
            "emotion",
            "Emotion of a voice",
            "audio",
            "Which emotion is this?",
            "hedgewars-emotion",
            "game voice events grouped into emotions, weak labels",
            "folds",
            "voice pack",
            "RAVDESS",
            0.53,
            Official("ravdess-emotion", "folds", "actor"),
        ),
        Task(
            "words",
            "Word-level STT",
            "audio",
            "Transcribe the spoken command.",
            "spoken-words",
            "ten words by synthetic voices",
            "holdout",
            "engine or base voice",
            "Google Speech Commands",
            0.94,
            Official("speech-commands", "holdout", "speaker"),
        ),
        Task(
            "commands",
            "Sentence-level STT",
            "audio",
            "Transcribe the spoken command.",
            "spoken-commands",
            "169 commands by synthetic voices",
            "holdout",
            "engine or base voice",
            "Fluent Speech Commands",
            0.893,
            Official("fluent-speech-commands", "holdout", "speaker"),
        ),
    )
}


def get(name: str, source: str = "raw") -> Task:
    """The task called ``name`` on the data of ``source``; the error names the ones there are."""
    try:
        return TASKS[name].under(source)
    except KeyError:
        raise UnknownName(f"no task {name!r}; there are: {', '.join(TASKS)}") from None
