"""Asking the frozen language model about vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gemb.adaptor import Adaptor
from gemb.llm import Answer, FrozenLLM, Prompt


@dataclass(frozen=True)
class Examples:
    """Vectors ``[N, D]`` with the prompt and the answer of each."""

    vectors: np.ndarray
    prompts: Sequence[Prompt]
    answers: Sequence[str]

    def __len__(self) -> int:
        return len(self.answers)


def virtual_tokens(adaptor: Adaptor, vectors: np.ndarray, llm: FrozenLLM) -> Tensor:
    """Virtual tokens ``[B, k, H]`` on the language model's device."""
    return adaptor(torch.from_numpy(np.ascontiguousarray(vectors, dtype=np.float32)).to(llm.device))


@torch.inference_mode()
def predict(
    adaptor: Adaptor | None,
    llm: FrozenLLM,
    examples: Examples,
    batch_size: int = 64,
    max_new_tokens: int = 16,
) -> list[Answer]:
    """Answers of the language model to each example, in order.

    Args:
        adaptor: ``None`` asks without virtual tokens: the blind prompt.
        llm: The language model.
        examples: Their answers are not looked at, except to batch like lengths.
        batch_size: Items at once.
        max_new_tokens: Where an answer that does not end is cut.

    Raises:
        AdaptorMismatch: The adaptor was trained for another language model.
    """
    if adaptor is not None:
        adaptor.eval()
        if adaptor.llm:  # one that was never trained belongs to none
            adaptor.require(adaptor.encoder, llm.identity().slug)
    out: list[Answer] = []
    for begin in range(0, len(examples), batch_size):
        index = range(begin, min(begin + batch_size, len(examples)))
        prompts = [examples.prompts[i] for i in index]
        if adaptor is None:
            virtual = torch.zeros(len(prompts), 0, llm.hidden_size, device=llm.device)
        else:
            virtual = virtual_tokens(adaptor, examples.vectors[begin : index[-1] + 1], llm)
        out += llm.answer(virtual, prompts, max_new_tokens=max_new_tokens)
    return out
