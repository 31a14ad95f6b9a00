"""Any causal language model, through transformers' own forward."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from itertools import chain
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import GenerationConfig

from gemb.llm.packing import Packed


class GenericDecoder:
    """Runs a batch through transformers (see :class:`~gemb.llm.packing.Decoder`), padded left.

    Left padding puts every sequence's last tokens, the only ones that need
    logits, into the last columns, and is what ``generate`` expects.
    """

    def __init__(self, model: Any):
        self.model = model
        self._accepts = set(inspect.signature(model.forward).parameters)

    def losses(self, batch: Packed, labels: Sequence[tuple[int, ...]]) -> Tensor:
        padded, mask = self._left_padded(batch)
        width, last = padded.shape[1], max(map(len, labels))
        arguments: dict[str, Any] = {"inputs_embeds": padded, "attention_mask": mask}
        if "position_ids" in self._accepts:
            arguments["position_ids"] = (mask.cumsum(1) - 1).clamp(min=0)
        if "logits_to_keep" in self._accepts:
            # Indices, not a count: a slice would hand the head a strided tensor, which the
            # CPU's bfloat16 product is very slow on.
            arguments["logits_to_keep"] = torch.arange(width - last, width, device=padded.device)
        logits = self.model(**arguments, use_cache=False).logits[:, -last:]
        counts = torch.tensor([len(row) for row in labels], device=padded.device)
        labelled = torch.arange(last, 0, -1, device=padded.device) <= counts[:, None]
        targets = torch.tensor(list(chain(*labels)), device=padded.device)
        return F.cross_entropy(logits[labelled].float(), targets, reduction="none")

    @torch.no_grad()
    def greedy(
        self, batch: Packed, stop: Sequence[int], max_new_tokens: int
    ) -> list[tuple[list[int], list[float]]]:
        padded, mask = self._left_padded(batch)
        # A configuration of our own: a model's may sample or penalise repetition.
        config = GenerationConfig(
            max_new_tokens=max_new_tokens,
            do_sample=False,
            eos_token_id=list(stop),
            pad_token_id=stop[0],
            output_logits=True,
            return_dict_in_generate=True,
        )
        out = self.model.generate(
            inputs_embeds=padded, attention_mask=mask, generation_config=config
        )
        steps = torch.stack(out.logits, 1).float().log_softmax(-1)  # [B, steps, V]
        logprobs = steps.gather(2, out.sequences[..., None])[..., 0]
        results = []
        for ids, scores in zip(out.sequences.tolist(), logprobs.tolist(), strict=True):
            n = next((i + 1 for i, token in enumerate(ids) if token in stop), len(ids))
            results.append((ids[:n], scores[:n]))
        return results

    def _left_padded(self, batch: Packed) -> tuple[Tensor, Tensor]:
        """Embeddings ``[B, S, H]`` and mask ``[B, S]`` (int64)."""
        assert not batch.prefix, "transformers' path takes whole sequences"
        padded = pad_sequence(
            list(batch.embeds.split(batch.lengths)), batch_first=True, padding_side="left"
        )
        counts = torch.tensor(batch.lengths, device=padded.device)
        mask = torch.arange(padded.shape[1], 0, -1, device=padded.device) <= counts[:, None]
        return padded, mask.long()
