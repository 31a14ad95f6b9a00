"""Language models so small that a test trains them in a moment."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tiny_audio import HIDDEN, bytes_tokenizer
from transformers import LlamaConfig, LlamaForCausalLM

from gemb.audio_embedding.config import Parts
from gemb.audio_embedding.model import AudioEmbedder


@pytest.fixture(scope="session")
def tiny_llm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama of three layers."""
    folder = tmp_path_factory.mktemp("tiny-llm")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=260,
        hidden_size=HIDDEN,
        intermediate_size=32,
        num_hidden_layers=3,
        num_attention_heads=2,
        num_key_value_heads=1,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    bytes_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture
def build(tiny_llm: Path) -> Callable[..., AudioEmbedder]:
    """Makes a model of the tiny language model and YAMNet; parts may be said otherwise."""

    def made(**parts: object) -> AudioEmbedder:
        said = {"audio": ("yamnet",), "llm": str(tiny_llm)} | parts
        return AudioEmbedder.build(Parts.model_validate(said), device="cpu")

    return made
