"""Qwen3 without its weights: random models of its classes, with a tokenizer of its kind.

They understand nothing. The tiny one goes the way that Qwen3-4B would go, where that is to be
tested; the big one shows how long that way is.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from transformers import AutoModelForCausalLM, Qwen2Tokenizer, Qwen3Config, Qwen3ForCausalLM

from gemb.tasks import TASKS

TINY = "qwen3-tiny"
PROMPTS = tuple(task.prompt for task in TASKS.values())
# What the chat template of Qwen3-4B-Instruct-2507 does where no tools are used.
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SIZES: dict[str, dict[str, Any]] = {
    # As published in the config.json of Qwen/Qwen3-4B-Instruct-2507.
    "qwen3-4b": {
        "vocab_size": 151_936,
        "hidden_size": 2560,
        "intermediate_size": 9728,
        "num_hidden_layers": 36,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "max_position_embeddings": 262_144,
    },
    # All that sets the above apart from other models of the Llama family: head norms, heads wider
    # than hidden size over heads, four queries a key, tied embeddings.
    TINY: {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 1,
        "head_dim": 32,
        "max_position_embeddings": 4096,
        "initializer_range": 0.1,  # wide enough for some tokens to be likelier than others
    },
}


def config(size: str, **more: Any) -> Qwen3Config:
    """The configuration of one of :data:`SIZES`."""
    rope = {"rope_type": "default", "rope_theta": 5e6}
    return Qwen3Config(rope_parameters=rope, tie_word_embeddings=True, **{**more, **SIZES[size]})


def build(
    size: str = TINY,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> tuple[Qwen3ForCausalLM, Qwen2Tokenizer]:
    """A random model, the same each time, and its tokenizer."""
    tokenizer = chat_tokenizer()
    configuration = config(
        size,
        vocab_size=len(tokenizer),
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]), torch.device(device):
        torch.manual_seed(0)
        return AutoModelForCausalLM.from_config(configuration, dtype=dtype), tokenizer


def chat_tokenizer(texts: Iterable[str] = PROMPTS, template: str = CHATML) -> Qwen2Tokenizer:
    """Qwen's byte-level tokenizer with its turn marks, each word of ``texts`` one token."""
    chat = Qwen2Tokenizer().train_new_from_iterator(
        [["system", "user", "assistant", *texts]],
        vocab_size=4096,
        new_special_tokens=["<|im_start|>", "<|im_end|>"],
    )
    chat.eos_token, chat.chat_template = "<|im_end|>", template
    return chat
