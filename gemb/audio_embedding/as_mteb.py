"""Any audio–text model as an encoder of mteb, so that mteb's tasks can be run on it.

``mteb.evaluate(MtebEncoder(model, "me/my-model"), tasks)``; needs ``pip install mteb``, which
nothing else here does.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import soundfile

from gemb.audio_embedding.retrieval import AudioTextModel
from gemb.data.items import Item, Media
from gemb.errors import UserError


class MtebEncoder:
    """A model in mteb's encoder protocol.

    A row with sound is embedded as sound, any other as its text. Sounds are handed on as
    32-bit WAV at their own rate; the model resamples them as it does a file's.

    Args:
        model: Embeds sounds and texts.
        model_name: As mteb names it in results: ``organisation/model``.
        revision: Of the weights; mteb keeps results by it.
    """

    def __init__(self, model: AudioTextModel, model_name: str, revision: str | None = None):
        self._model, self._name, self._revision = model, model_name, revision

    def encode(self, inputs: Iterable[Mapping[str, Any]], **_: Any) -> np.ndarray:
        """Vectors ``[N, D]`` of the rows of a loader's batches.

        Raises:
            UserError: A batch has neither sound nor text.
        """
        rows: list[np.ndarray] = []
        for batch in inputs:
            if "audio" in batch:
                begin = sum(map(len, rows))
                items = [_item(begin + n, row) for n, row in enumerate(batch["audio"])]
                rows.append(self._model.embed_audio(items))
            elif "text" in batch:
                rows.append(self._model.embed_text(list(batch["text"])))
            else:
                raise UserError(
                    f"{self._name} embeds audio and text, not {', '.join(batch)}: choose an "
                    "audio–text task"
                )
        return np.concatenate(rows)

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Cosines ``[N, M]``, as a torch tensor."""
        from mteb.similarity_functions import cos_sim

        return cos_sim(embeddings1, embeddings2)

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Cosines ``[N]`` of rows of equal number, as a torch tensor."""
        from mteb.similarity_functions import pairwise_cos_sim

        return pairwise_cos_sim(embeddings1, embeddings2)

    @property
    def mteb_model_meta(self) -> Any:
        """What mteb wants to know; the rest it takes as not stated."""
        from mteb.models.model_meta import ModelMeta, ScoringFunction

        return ModelMeta.create_empty(
            {
                "name": self._name,
                "revision": self._revision or "no_revision_available",
                "similarity_fn_name": ScoringFunction.COSINE,
                "modalities": ["audio", "text"],
                "use_instructions": False,
            }
        )


def _item(number: int, row: Any) -> Item:
    """A row of mteb's, ``{"array": [samples] or [channels, samples], "sampling_rate": Hz}``."""
    samples = np.asarray(row["array"], dtype=np.float32)
    buffer = io.BytesIO()
    soundfile.write(buffer, samples.T, row["sampling_rate"], format="WAV", subtype="FLOAT")
    return Item(f"mteb/{number}", "audio", Media(buffer.getvalue, "wav"), "")
