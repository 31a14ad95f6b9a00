"""How much answers depend on what else is in their batch."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from gemb.llm.frozen import FrozenLLM
from gemb.llm.template import Prompt


def batch_disagreement(
    llm: FrozenLLM,
    virtual: Tensor,
    prompts: Sequence[Prompt],
    mask: Tensor | None = None,
    max_new_tokens: int = 16,
) -> float:
    """Share of answers whose text differs between one batch and one by one.

    In float32 it is 0. In bfloat16 products are rounded differently in batches
    of different sizes, which turns an answer where two tokens are about equally
    likely; that is to be reported, not hidden. Takes the arguments of
    :meth:`FrozenLLM.answer`.
    """
    if not prompts:
        return 0.0
    together = llm.answer(virtual, prompts, mask, max_new_tokens)
    differing = 0
    for i, answer in enumerate(together):
        row = slice(i, i + 1)
        alone = llm.answer(
            virtual[row], prompts[row], None if mask is None else mask[row], max_new_tokens
        )
        differing += alone[0].text != answer.text
    return differing / len(together)
