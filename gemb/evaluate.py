"""Asking the frozen language model about vectors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gemb.adaptor import Adaptor
from gemb.llm import Answer, FrozenLLM, Prompt


@dataclass(frozen=True)
class Examples:
    """Vectors with the prompt and the answer of each example.

    Attributes:
        vectors: ``[N, D]``, one an example; or N arrays ``[n_i, D]`` where an example has several
            (chunks of a sound, frames).
        prompts: N prompts.
        answers: N answers.
    """

    vectors: np.ndarray | Sequence[np.ndarray]
    prompts: Sequence[Prompt]
    answers: Sequence[str]

    def __len__(self) -> int:
        return len(self.answers)

    @property
    def rows(self) -> np.ndarray:
        """Every vector of every example, ``[sum of n_i, D]``."""
        return (
            self.vectors
            if isinstance(self.vectors, np.ndarray)
            else np.concatenate(list(self.vectors))
        )

    @property
    def counts(self) -> np.ndarray:
        """How many vectors each example has, ``[N]``."""
        if isinstance(self.vectors, np.ndarray):
            return np.ones(len(self), dtype=int)
        return np.array([len(v) for v in self.vectors])

    def take(self, index: Iterable[int]) -> Examples:
        """The examples at ``index``, in that order."""
        index = list(index)
        vectors = (
            self.vectors[index]
            if isinstance(self.vectors, np.ndarray)
            else [self.vectors[i] for i in index]
        )
        return Examples(vectors, [self.prompts[i] for i in index], [self.answers[i] for i in index])


def virtual_tokens(
    adaptor: Adaptor, examples: Examples, llm: FrozenLLM
) -> tuple[Tensor, Tensor | None]:
    """Virtual tokens ``[B, n·k, H]`` on the language model's device, and their mask.

    The mask ``[B, n·k]`` is false where an example has fewer vectors than another; it is ``None``
    where all have as many.
    """
    vectors = examples.vectors
    if isinstance(vectors, np.ndarray):
        padded, mask = vectors, None
    else:
        counts = examples.counts
        padded = np.zeros((len(vectors), counts.max(), vectors[0].shape[1]), np.float32)
        for row, v in zip(padded, vectors, strict=True):
            row[: len(v)] = v
        mask = torch.from_numpy(np.arange(counts.max()) < counts[:, None])
    prompts = llm.prompt_embeddings(examples.prompts) if adaptor.condition else None
    inputs = torch.from_numpy(np.ascontiguousarray(padded, np.float32)).to(llm.device)
    tokens = adaptor(inputs, prompts)
    if mask is None or mask.all():
        return tokens, None
    return tokens, adaptor.mask(mask.to(llm.device))


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
        examples: Their answers are not looked at.
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
        part = examples.take(range(begin, min(begin + batch_size, len(examples))))
        virtual, mask = _virtual_tokens(adaptor, part, llm)
        out += llm.answer(virtual, part.prompts, mask, max_new_tokens=max_new_tokens)
    return out


@torch.inference_mode()
def surprisal(
    adaptor: Adaptor | None, llm: FrozenLLM, examples: Examples, batch_size: int = 32
) -> np.ndarray:
    """Minus the log-probability (natural) of each right answer, its end of turn included, ``[N]``.

    What an answer costs with its own vector, less what it costs with another's, is what the
    language model learns from the vector, even where it never gets an answer right. ``None``
    asks without virtual tokens.
    """
    if adaptor is not None:
        adaptor.eval()
    out = np.zeros(len(examples))
    for begin in range(0, len(examples), batch_size):
        index = range(begin, min(begin + batch_size, len(examples)))
        part = examples.take(index)
        virtual, mask = _virtual_tokens(adaptor, part, llm)
        out[index] = llm.losses(virtual, part.prompts, part.answers, mask).cpu().numpy()
    return out


def _virtual_tokens(
    adaptor: Adaptor | None, examples: Examples, llm: FrozenLLM
) -> tuple[Tensor, Tensor | None]:
    if adaptor is None:
        return torch.zeros(len(examples), 0, llm.hidden_size, device=llm.device), None
    return virtual_tokens(adaptor, examples, llm)
