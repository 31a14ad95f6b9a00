"""Small random language models with a character tokenizer, and SmolLM2."""

from __future__ import annotations

import string
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from tokenizers import Regex, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from gemb.llm import FrozenLLM

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = ["<|end|>", "<|im_start|>", "<|im_end|>"]


def character_tokenizer(template: str | None = CHATML) -> PreTrainedTokenizerFast:
    """One token a character; ``<|end|>`` is end, padding and unknown at once."""
    vocabulary = {token: i for i, token in enumerate([*SPECIAL, *string.printable])}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="<|end|>"))
    tokenizer.pre_tokenizer = Split(Regex("."), "isolated")
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<|end|>",
        eos_token="<|end|>",
        pad_token="<|end|>",
        additional_special_tokens=SPECIAL[1:],
    )
    fast.chat_template = template
    return fast


def tiny_model(kind: str) -> Any:
    """A random model of two or three layers, with weights large enough to have opinions."""
    torch.manual_seed(0)
    size = len(SPECIAL) + len(string.printable)
    llama_like: dict[str, Any] = {
        "vocab_size": size,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 256,
        "bos_token_id": None,
        "eos_token_id": 0,
    }
    models: dict[str, Callable[[], Any]] = {
        "llama": lambda: LlamaForCausalLM(
            LlamaConfig(**llama_like, attention_bias=True, mlp_bias=True)
        ),
        "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**llama_like, tie_word_embeddings=True)),
        "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**llama_like, head_dim=16)),
        "qwen2-sliding": lambda: Qwen2ForCausalLM(
            Qwen2Config(
                **llama_like, use_sliding_window=True, sliding_window=8, max_window_layers=1
            )
        ),
        "gpt2": lambda: GPT2LMHeadModel(
            GPT2Config(
                vocab_size=size,
                n_embd=32,
                n_layer=2,
                n_head=4,
                n_positions=256,
                bos_token_id=None,
                eos_token_id=0,
            )
        ),
        "gpt-neox": lambda: GPTNeoXForCausalLM(
            GPTNeoXConfig(
                vocab_size=size,
                hidden_size=32,
                intermediate_size=48,
                num_hidden_layers=2,
                num_attention_heads=4,
                max_position_embeddings=256,
                bos_token_id=None,
                eos_token_id=0,
            )
        ),
    }
    model = models[kind]()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Several threads wait for each other at every small product: on shared cores that takes
    many times as long as the products do."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def tiny() -> Callable[[str], FrozenLLM]:
    """``tiny("qwen3")``: a random :class:`FrozenLLM` in float32."""
    return lambda kind: FrozenLLM(tiny_model(kind), character_tokenizer(), name=kind)


@pytest.fixture(scope="session")
def smollm() -> FrozenLLM:
    return FrozenLLM.load("smollm2-135m", dtype=torch.float32, device="cpu")


@pytest.fixture
def llm(request: pytest.FixtureRequest, tiny: Callable[[str], FrozenLLM]) -> FrozenLLM:
    """Parametrised indirectly by a kind of tiny model or ``smollm2``."""
    if request.param == "smollm2":
        return request.getfixturevalue("smollm")
    return tiny(request.param)


@pytest.fixture
def chat_tokenizer() -> Callable[..., PreTrainedTokenizerFast]:
    return character_tokenizer
