"""Results with all that is needed to doubt them: the one source of figures, tables and prose."""

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
    MultitaskRecord,
    SharedTask,
    Trial,
)
from gemb.records.single_task import (
    MethodResult,
    SingleTaskRecord,
    SubsetResult,
    TaskResult,
)

__all__ = [
    "PACKAGES",
    "PUBLISHED",
    "ROOT",
    "CategoryResult",
    "CurvePoint",
    "Example",
    "MethodResult",
    "MultitaskRecord",
    "OpenVocabularyRecord",
    "Probe",
    "Provenance",
    "Recognition",
    "Score",
    "SharedTask",
    "SingleTaskRecord",
    "SpeechResult",
    "Strict",
    "SubsetResult",
    "TaskResult",
    "Transfer",
    "TransferRecord",
    "TransferResult",
    "Trial",
    "digest",
    "machine",
    "provenance",
    "published",
    "read",
    "write",
    "write_text",
]
