"""Moonshine base (English): what is said, as a sequence of 416-d frames, or as text."""

from __future__ import annotations

import threading
from functools import cached_property
from pathlib import Path

import numpy as np
import onnxruntime as ort

DIM = 416
PARAMETERS = 20_153_268  # of the encoder: its graph's initialisers
DECODER_PARAMETERS = 41_361_010
RATE = 16_000  # Hz
# The three convolutions give two frames for 0.1 s and fail below 0.06 s.
MIN_SECONDS = 0.1
# Attention over all frames: 180 s take 2.5 GB.
MAX_SECONDS = 180.0
_LONG = 30.0  # seconds; beyond it the memory (0.1 GB and quadratic) is worth saving

_START, _END = 1, 2  # token ids of the decoder
_LAYERS, _HEADS, _HEAD_DIM = 8, 8, 52  # of the decoder
# Upstream's bound against endless repetition, with room for a word in a very short clip.
_TOKENS_A_SECOND, _TOKENS_AT_LEAST = 6, 4


class MoonshineBase:
    """The encoder and, for transcripts, the decoder, as ONNX Runtime graphs.

    One thread a session: clips are so short that two threads on two clips are
    faster than two on one, and the result does not depend on their number.

    Args:
        folder: Holds ``encoder_model.ort``, ``decoder_model_merged.ort`` and
            ``tokenizer.bin``.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._encoder = self._session("encoder_model.ort")
        self._one_long_clip = threading.Lock()

    def frames(self, samples: np.ndarray) -> np.ndarray:
        """Frames of 16 kHz mono ``[samples]``, float32 ``[T, 416]``, about 41 a second.

        The graph has no mask and padding moves all frames, so that clips are
        encoded one by one.

        Raises:
            ValueError: Shorter than 0.1 s or longer than 180 s.
        """
        seconds = len(samples) / RATE
        if not MIN_SECONDS <= seconds <= MAX_SECONDS:
            raise ValueError(
                f"Moonshine takes {MIN_SECONDS:g} to {MAX_SECONDS:g} s of sound, not {seconds:g}"
            )
        feed = {"input_values": samples[None]}
        if seconds <= _LONG:
            return self._encoder.run(None, feed)[0][0]
        # One long clip at a time, and its memory is given back afterwards; for
        # short clips it is kept, which is faster.
        options = ort.RunOptions()
        options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        with self._one_long_clip:
            return self._encoder.run(None, feed, options)[0][0]

    def transcribe(self, samples: np.ndarray) -> str:
        """The words heard in 16 kHz mono ``[samples]``, decoded greedily."""
        hidden = self.frames(samples)[None]
        empty = np.zeros((1, _HEADS, 0, _HEAD_DIM), np.float32)
        past = {
            f"past_key_values.{layer}.{side}.{part}": empty
            for layer in range(_LAYERS)
            for side in ("decoder", "encoder")
            for part in ("key", "value")
        }
        names = [output.name for output in self._decoder.get_outputs()]
        token, tokens = _START, []
        for step in range(max(_TOKENS_AT_LEAST, int(len(samples) / RATE * _TOKENS_A_SECOND))):
            feed = {
                "input_ids": np.array([[token]], np.int64),
                "encoder_hidden_states": hidden,
                "use_cache_branch": np.array([step > 0]),
                **past,
            }
            outputs = dict(zip(names, self._decoder.run(None, feed), strict=True))
            token = int(outputs.pop("logits")[0, -1].argmax())
            if token == _END:
                break
            tokens.append(token)
            for name, value in outputs.items():
                # The cached branch leaves the encoder's keys and values empty:
                # those of the first step are kept.
                if step == 0 or ".decoder." in name:
                    past[name.replace("present", "past_key_values")] = value
        # The logits are padded beyond the vocabulary.
        text = b"".join(self._tokens[t] for t in tokens if t < len(self._tokens))
        return text.decode("utf-8", errors="replace").replace("▁", " ").strip()

    @cached_property
    def _decoder(self) -> ort.InferenceSession:
        return self._session("decoder_model_merged.ort")

    @cached_property
    def _tokens(self) -> list[bytes]:
        """The vocabulary: each token behind its length.

        Lengths from 128 on take two bytes, the lower seven bits first.
        """
        data, tokens, at = (self._folder / "tokenizer.bin").read_bytes(), [], 0
        while at < len(data):
            length, at = data[at], at + 1
            if length >= 128:
                length, at = length - 128 + 128 * data[at], at + 1
            tokens.append(data[at : at + length])
            at += length
        return tokens

    def _session(self, file: str) -> ort.InferenceSession:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        return ort.InferenceSession(
            str(self._folder / file), options, providers=["CPUExecutionProvider"]
        )
