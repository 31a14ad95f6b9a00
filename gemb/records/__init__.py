"""Results with all that is needed to doubt them: the one source of figures, tables and prose."""

from typing import Any

from gemb.records.base import (
    PACKAGES,
    PUBLISHED,
    ROOT,
    Example,
    Provenance,
    Score,
    Strict,
    digest,
    machine,
    provenance,
    published,
    read,
    write,
    write_text,
)
from gemb.records.esc50_transfer import (
    CategoryResult,
    Transfer,
    TransferRecord,
    TransferResult,
)
from gemb.records.librispeech_failure import (
    CurvePoint,
    OpenVocabularyRecord,
    Probe,
    Recognition,
    SpeechResult,
)
from gemb.records.multitask_scaling import (
    STUDYS_FORM,
    MultitaskRecord,
    SharedTask,
    Trial,
)
from gemb.records.open_audio_encoder import (
    MEAN,
    AudioEncoderRecord,
    AudioModel,
    BatchPoint,
    Gain,
    Labelled,
    LabelledExample,
    OnDevice,
    PublishedScore,
    Routed,
    RoutedExample,
    Search,
    StudyTask,
    SubsetScores,
    TextScore,
    Uses,
)
from gemb.records.single_task import (
    MethodResult,
    SingleTaskRecord,
    SubsetResult,
    TaskResult,
    Voted,
)

# Every section's record, by the name of its experiment.
KINDS: dict[str, Any] = {
    str(kind.model_fields["experiment"].default): kind
    for kind in (
        SingleTaskRecord,
        OpenVocabularyRecord,
        TransferRecord,
        MultitaskRecord,
        AudioEncoderRecord,
    )
}

__all__ = [
    "KINDS",
    "MEAN",
    "PACKAGES",
    "PUBLISHED",
    "ROOT",
    "STUDYS_FORM",
    "AudioEncoderRecord",
    "AudioModel",
    "BatchPoint",
    "CategoryResult",
    "CurvePoint",
    "Example",
    "Gain",
    "Labelled",
    "LabelledExample",
    "MethodResult",
    "MultitaskRecord",
    "OnDevice",
    "OpenVocabularyRecord",
    "Probe",
    "Provenance",
    "PublishedScore",
    "Recognition",
    "Routed",
    "RoutedExample",
    "Score",
    "Search",
    "SharedTask",
    "SingleTaskRecord",
    "SpeechResult",
    "Strict",
    "StudyTask",
    "SubsetResult",
    "SubsetScores",
    "TaskResult",
    "TextScore",
    "Transfer",
    "TransferRecord",
    "TransferResult",
    "Trial",
    "Uses",
    "Voted",
    "digest",
    "machine",
    "provenance",
    "published",
    "read",
    "write",
    "write_text",
]
