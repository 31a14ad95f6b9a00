"""Noise, frames and a tokenizer for audio embedding models of a tiny size."""

from __future__ import annotations

import io

import numpy as np
import soundfile
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from gemb.data.items import Item, Media

HIDDEN = 24
RATE = 16_000


def noise(seconds: float, seed: int = 0, name: str = "noise") -> Item:
    samples = 0.1 * np.random.default_rng(seed).standard_normal(round(seconds * RATE))
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, RATE, format="WAV", subtype="FLOAT")
    return Item(name, "audio", Media(buffer.getvalue, "wav"), "")


def clips(lengths: list[int], width: int = 1024) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.standard_normal((n, width)).astype(np.float32) for n in lengths]


def bytes_tokenizer(marks: bool = True) -> PreTrainedTokenizerFast:
    """A token a byte, and the two marks that Qwen-Omni's models put around a sound."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({c: n for n, c in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    if marks:
        tokenizer.add_special_tokens(["<|audio_bos|>", "<|audio_eos|>"])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)
