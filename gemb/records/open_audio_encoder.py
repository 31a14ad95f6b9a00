"""The record of section 5."""

from __future__ import annotations

from gemb.records.base import Provenance, Score, Strict


class SubsetScores(Strict):
    """How well the sounds and captions of one subset find each other: cvR@5, both ways."""

    subset: str
    text_to_audio: Score
    audio_to_text: Score
    # cvR@1, cvR@10, NDCG@10 and MRR, by direction and metric
    others: dict[str, dict[str, Score]] = {}

    @property
    def mean(self) -> float:
        """cvR@5, mean of both directions."""
        return (self.text_to_audio.value + self.audio_to_text.value) / 2


class AudioModel(Strict):
    """One model at one point of its training, or a baseline."""

    name: str
    # route, ablation, baseline, step (of text-only transfer), style, alone (on that subset)
    kind: str
    parts: str
    layers: int | None = None
    trained: int = 0  # weights that its last training moved
    parameters: int | None = None  # in all, with those of frozen encoders
    seconds: float = 0.0  # of training, with the alignment that several models share
    steps: int = 0
    loss: float | None = None  # of its last training, mean of the last steps
    guess: float | None = None  # the loss of who cannot tell the pairs of a batch apart
    style: str = ""  # of the captions trained on
    tested: str = "name"  # style of those tested on
    scores: list[SubsetScores]
    text_to_audio: Score  # cvR@5, mean over subsets but captions by voices that training heard
    audio_to_text: Score

    def on(self, subset: str) -> SubsetScores:
        """The scores on one subset."""
        return next(s for s in self.scores if s.subset == subset)

    @property
    def mean(self) -> float:
        """cvR@5, mean over subsets and directions."""
        return (self.text_to_audio.value + self.audio_to_text.value) / 2


class BatchPoint(Strict):
    """How far one batch size has come after so many steps."""

    batch_size: int
    steps: int
    loss: float  # of a batch of that size: not to be compared between sizes
    score: float  # cvR@5, mean over subsets and directions


MEAN = "mean"  # over subsets as in AudioModel, where a gain is not of one


class Gain(Strict):
    """How much better one model retrieves than another on the same queries, paired."""

    question: str
    model: str
    over: str
    subset: str
    text_to_audio: Score
    audio_to_text: Score


class TextScore(Strict):
    """How often a model finds the other text of a pair that was kept aside, cvR@5."""

    model: str
    pairs: int
    score: Score
    gain: Score  # over the model before training on texts, paired


class StudyTask(Strict):
    """A task of section 1, answered from the vectors of one encoder."""

    task: str
    encoder: str
    items: int
    accuracy: Score
    # over the answers from the profile's own encoder, paired; none of these and of earlier records
    gain: Score | None = None
    majority: float | None = None  # of the tested answers the most frequent
    known: int = 0  # of the items, by voices that the best model's training heard


class RoutedExample(Strict):
    """A spoken command."""

    item: str
    said: str
    tool: str
    meant: str


class Routed(Strict):
    """Spoken commands, each sent to the tool whose description is nearest."""

    name: str
    items: int
    tools: int
    accuracy: Score
    macro: Score
    majority: float
    milliseconds: float  # median, from a command's bytes to its tool
    examples: list[RoutedExample] = []


class LabelledExample(Strict):
    """A sound, and the captions nearest to it."""

    item: str
    caption: str
    labels: list[str]


class Labelled(Strict):
    """Sounds, each labelled with the nearest of all their captions."""

    encoder: str
    items: int
    captions: int
    accuracy: Score
    examples: list[LabelledExample] = []


class Search(Strict):
    """What was nearest to a text or a sound."""

    kind: str  # of the query: text or sound
    query: str  # its words, or its caption
    item: str = ""  # the sound asked with
    among: int
    found: list[tuple[str, float]]  # caption and cosine, nearest first
    ids: list[str] = []  # of what was found, in that order; earlier records have none


class OnDevice(Strict):
    """What embedding takes in a process of its own, one clip after the other."""

    clips: int
    clips_per_second: float
    peak_megabytes: float
    threads: int


class Uses(Strict):
    """What the best model is good for."""

    routing: list[Routed]
    labelling: list[Labelled]
    searches: list[Search]
    device: OnDevice


class PublishedScore(Strict):
    """What others report of a model."""

    source: str  # mteb or article
    model: str
    parameters: int | None
    heard: str
    dataset: str
    direction: str
    cvr5: float  # per cent
    same_as: str
    note: str


class AudioEncoderRecord(Strict):
    """The record of ``05_open_audio_encoder``."""

    experiment: str = "open_audio_encoder"
    provenance: Provenance
    pairs: dict[str, dict[str, int]]  # subset, then split: clips
    texts: int  # pairs of texts trained on
    aside: list[TextScore]  # pairs of texts kept aside
    whole: int  # layers of the model before pruning
    frozen: int = 0  # parameters of the audio encoders, among those of every route
    small: int  # layers where batch sizes and styles are compared
    models: list[AudioModel]
    batches: list[BatchPoint]
    gains: list[Gain]
    best: str  # the route that retrieves validation pairs best
    uses: Uses
    study: list[StudyTask]
    published: list[PublishedScore]

    def of(self, kind: str) -> list[AudioModel]:
        """The models of a kind, in order."""
        return [m for m in self.models if m.kind == kind]

    def model(self, name: str, kind: str) -> AudioModel:
        """The model called ``name``; the error names those there are."""
        found = {m.name: m for m in self.of(kind)}
        if name not in found:
            raise KeyError(f"no {kind} {name!r}; there are: {', '.join(found)}")
        return found[name]
