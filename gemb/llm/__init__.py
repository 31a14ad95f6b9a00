"""The frozen language model: it reads virtual tokens before a text prompt and answers."""

from __future__ import annotations

from gemb.llm.agreement import batch_disagreement
from gemb.llm.frozen import Answer, FrozenLLM, LLMIdentity
from gemb.llm.loading import LLMUnavailable
from gemb.llm.template import Prompt

__all__ = [
    "Answer",
    "FrozenLLM",
    "LLMIdentity",
    "LLMUnavailable",
    "Prompt",
    "batch_disagreement",
]
