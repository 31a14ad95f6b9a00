"""The record of section 2."""

from __future__ import annotations

from typing import Any

from gemb.records.base import Example, Provenance, Score, Strict


class SpeechResult(Strict):
    """One way to a transcript of open-vocabulary speech: a set-up, a floor or a ceiling."""

    name: str
    kind: str
    items: int
    exact: Score
    wer: Score
    cer: Score
    overlap: Score  # F1 of words, order ignored
    overlap_gain: Score | None = None  # what the same answers share less with other sentences
    by_length: list[dict[str, Any]] = []
    by_voice: list[dict[str, Any]] = []
    n_train: int | None = None
    parameters: int | None = None
    tokens: float | None = None  # virtual tokens a sentence, mean
    # what its own vector saves on the right sentence, against that of another as long
    bits: Score | None = None
    # how much more the blind language model expects the answers than the truths, nats a token
    fluency: Score | None = None
    history: list[dict[str, Any]] = []
    examples: list[Example] = []


class Recognition(Strict):
    """Sentences that were trained on, spoken by other voices, and sentences that were not."""

    sentences: int
    n_train: int
    known: Score
    unseen: Score
    class_mean: Score  # nearest class mean on the same vectors
    bits: Score  # what the known one costs less with its own vector than with that of one as long
    epochs: int
    n_unseen: int
    n_known: int = 0  # known sentences asked; 0 in older records
    longer: bool = False  # trained longer than as many sentences are on the curve


class Probe(Strict):
    """How well a linear probe finds words in a vector."""

    arm: str  # audio, text, or length: the number of words alone
    words: int
    auc: Score  # mean over words; the interval is over test sentences
    by_word: list[dict[str, Any]]
    penalty: float | None = None  # inverse strength, the same for all words and vectors


class CurvePoint(Strict):
    """One training of a learning curve over sentences."""

    arm: str
    longer: bool = False  # trained on as long as the arm's largest, beside the curve
    n_train: int
    passes: int = 0  # training sentences times epochs
    exact: Score
    wer: Score
    overlap: Score
    bits: Score
    train_loss: float


class OpenVocabularyRecord(Strict):
    """The record of ``02_librispeech_failure``."""

    experiment: str = "librispeech_failure"
    provenance: Provenance
    n_train: int
    n_test: int
    results: list[SpeechResult]
    recognition: list[Recognition]
    probes: list[Probe]
    curve: list[CurvePoint]
    nearest_training_wer: Score  # the most a copy of a training sentence could get right
    seconds: float = 0.0  # of all its trainings and their answers, whenever they were done
    notes: list[str] = []

    @property
    def from_text(self) -> SpeechResult | None:
        """The adaptor on the sentences' own text vectors, which hold the words."""
        return next((r for r in self.results if r.name.startswith("the sentence's own text")), None)

    def of(self, name: str) -> SpeechResult:
        """The result called ``name``; the error names those there are."""
        found = {r.name: r for r in self.results}
        if name not in found:
            raise KeyError(f"no result {name!r}; there are: {', '.join(found)}")
        return found[name]
