"""Taking pretrained models apart: an audio tower here, a language model's body there."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn
from transformers import (
    MODEL_MAPPING,
    AutoConfig,
    AutoFeatureExtractor,
    AutoTokenizer,
    Qwen2_5OmniThinkerTextModel,
)
from transformers.models.qwen2_5_omni.modeling_qwen2_5_omni import Qwen2_5OmniAudioEncoder
from transformers.models.qwen3_omni_moe.modeling_qwen3_omni_moe import Qwen3OmniMoeAudioEncoder
from transformers.utils import cached_file

from gemb.audio_embedding.config import Parts
from gemb.data.fetch import offline
from gemb.errors import UserError
from gemb.llm import loading
from gemb.llm.loading import LLMUnavailable

# The files name a thinker's tensors in one of several ways, by the version that wrote them.
_TOWER = re.compile(r"^(thinker\.)?(model\.)?audio_tower\.")
_BODY = re.compile(r"^(thinker\.)?(model\.)?(language_model\.|model\.)(?=embed_tokens|layers|norm)")
_MARK = re.compile(r"<\|\w+\|>")


class PartUnavailable(UserError, RuntimeError):
    """A pretrained part that cannot be had or does not fit; says why and what would."""


@dataclass(frozen=True)
class Family:
    """One kind of audio tower.

    Attributes:
        cls: transformers' class.
        last: Name of its last linear layer, from tower to language model.
        frames: How many frames it makes of so many log-mel columns.
        rate: Frames a second.
    """

    cls: Any
    last: str
    frames: Callable[[Tensor], Tensor]
    rate: float


def _halved(length: Tensor) -> Tensor:
    """Columns after a convolution of stride 2."""
    return (length + 1) // 2


# By the audio configuration's model type. Spectra have 100 columns a second. Qwen2.5's tower
# halves them twice, the second time without the odd one; Qwen3's halves pieces of 100 columns
# three times each, which gives 13.
FAMILIES = {
    "qwen2_5_omni_audio_encoder": Family(
        Qwen2_5OmniAudioEncoder, "proj", lambda n: _halved(n) // 2, 25.0
    ),
    "qwen3_omni_moe_audio_encoder": Family(
        Qwen3OmniMoeAudioEncoder,
        "proj2",
        lambda n: n // 100 * 13 + _halved(_halved(_halved(n % 100))),
        13.0,
    ),
}


class Tower(nn.Module):
    """An audio tower without its last linear layer.

    Attributes:
        encoder: transformers' module; an identity stands in the last layer's place.
        family: What kind it is.
    """

    def __init__(self, encoder: Any):
        super().__init__()
        self.encoder = encoder
        self.family = FAMILIES[encoder.config.model_type]
        setattr(encoder, self.family.last, nn.Identity())

    @property
    def dim(self) -> int:
        """Width of a frame."""
        return int(self.encoder.config.d_model)

    def forward(self, mels: list[Tensor]) -> list[Tensor]:
        """Frames ``[T', dim]`` of each log-mel spectrogram ``[T, bins]``; none is padded."""
        lengths = torch.tensor([len(m) for m in mels], device=mels[0].device)
        out = self.encoder(torch.cat(mels).T, feature_lens=lengths).last_hidden_state
        return list(out.split(self.family.frames(lengths).tolist()))


def tower(source: str, dtype: torch.dtype) -> tuple[Tower, nn.Linear, Any, str]:
    """The audio tower of a Qwen-Omni model, by folder or hub id.

    Only the files that hold it are downloaded.

    Returns:
        The tower, its last layer, its feature extractor and the revision.
    """
    config = _config(source)
    audio = getattr(getattr(config, "thinker_config", config), "audio_config", None)
    family = FAMILIES.get(getattr(audio, "model_type", ""))
    if family is None:
        raise PartUnavailable(
            f"{source}: a {config.model_type} has no audio tower that is known here; take a "
            "Qwen2.5-Omni or Qwen3-Omni model, or a frozen encoder"
        )
    encoder = filled(family.cls, audio, _tensors(source, _TOWER), dtype, source)
    last = getattr(encoder, family.last)
    extractor = AutoFeatureExtractor.from_pretrained(source, local_files_only=offline())
    return Tower(encoder), last, extractor, _revision(config)


def body(source: str, dtype: torch.dtype, device: torch.device) -> tuple[Any, Any, str]:
    """A language model without its vocabulary head, its tokenizer and revision.

    Args:
        source: A manifest's name, a folder or a hub id; of a Qwen2.5-Omni model the thinker's
            text part is taken.
        dtype: Of the weights.
        device: Where a plain model is loaded to.

    Raises:
        LLMUnavailable: It cannot be had.
    """
    if not (Path(source).is_dir() or "/" in source):  # the short name of a plain model
        return _plain_body(source, dtype, device)
    config = _config(source)
    thinker = getattr(config, "thinker_config", config)
    text = getattr(thinker, "text_config", None)
    if getattr(text, "model_type", "") == "qwen2_5_omni_text":
        state = _tensors(source, _BODY)
        model = filled(Qwen2_5OmniThinkerTextModel, text, state, dtype, source)
        tokenizer = AutoTokenizer.from_pretrained(source, local_files_only=offline())
        return model, tokenizer, _revision(config)
    if text is not None:
        raise LLMUnavailable(
            f"{source}: the text part of a {config.model_type} is not known here; take that of a "
            "Qwen2.5-Omni model or a plain language model"
        )
    return _plain_body(source, dtype, device)


def _plain_body(source: str, dtype: torch.dtype, device: torch.device) -> tuple[Any, Any, str]:
    causal, tokenizer, revision = loading.load(source, dtype, device)
    return causal.base_model, tokenizer, revision


def body_class(config: Any) -> Any:
    """transformers' class of a body with this configuration."""
    if config.model_type == "qwen2_5_omni_text":
        return Qwen2_5OmniThinkerTextModel
    return MODEL_MAPPING[type(config)]


def framed(parts: Parts, tokenizer: Any) -> Parts:
    """The parts without a frame of marks (``<|…|>``) that are no tokens of the language model.

    Plain Qwen2.5 has no marks of a sound: they would be read as pieces of punctuation and words.
    """
    marks = [m for m in (parts.prefix, parts.suffix) if _MARK.fullmatch(m)]
    if all(len(tokenizer(m, add_special_tokens=False)["input_ids"]) == 1 for m in marks):
        return parts
    return parts.model_copy(update={"prefix": "", "suffix": ""})


def prune(model: Any, layers: int) -> None:
    """Keep the first ``layers`` layers of a body; its final norm stays.

    Raises:
        UserError: It has fewer.
    """
    there = len(model.layers)
    if not 1 <= layers <= there:
        raise UserError(f"cannot keep {layers} layers of {there}: choose 1 to {there}")
    model.layers = model.layers[:layers]
    model.config.num_hidden_layers = layers
    if getattr(model.config, "layer_types", None):
        model.config.layer_types = list(model.config.layer_types)[:layers]


def _config(source: str) -> Any:
    try:
        return AutoConfig.from_pretrained(source, local_files_only=offline())
    except (OSError, ValueError) as error:
        raise PartUnavailable(
            f"{source!r} is no folder with a transformers model"
            f"{', and OFFLINE keeps from the hub' if offline() else ' nor a reachable hub id'}: "
            f"{error}"
        ) from error


def _revision(config: Any) -> str:
    return getattr(config, "_commit_hash", None) or "local"


def filled(
    cls: Any, config: Any, state: Mapping[str, Tensor], dtype: torch.dtype, source: object
) -> Any:
    """A module of ``cls`` with all its tensors from ``state``, without drawing any at random.

    Raises:
        PartUnavailable: They do not fit; ``source`` is named.
    """
    with loading.quiet():
        module, found = cls.from_pretrained(
            None, config=config, state_dict=dict(state), dtype=dtype, output_loading_info=True
        )
    wrong = [*found["missing_keys"], *found["unexpected_keys"], *found["mismatched_keys"]]
    if wrong:
        raise PartUnavailable(
            f"{source}: {len(wrong)} tensors do not fit a {cls.__name__}, such as {wrong[0]}; "
            "the files are of another version or damaged: get them again"
        )
    return module


def _tensors(source: str, prefix: re.Pattern[str]) -> dict[str, Tensor]:
    """The tensors whose names begin so, without that beginning, from the files that hold them."""

    def path(name: str) -> str | None:
        found: str | None = cached_file(
            source,
            name,
            local_files_only=offline(),
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
        )
        return found

    index = path("model.safetensors.index.json")
    if index is None:
        files = {"model.safetensors"}
    else:
        with open(index, encoding="utf-8") as file:
            places = json.load(file)["weight_map"]
        files = {shard for name, shard in places.items() if prefix.match(name)}
    out: dict[str, Tensor] = {}
    for name in sorted(files):
        shard = path(name)
        if shard is None:
            raise PartUnavailable(f"{source}: {name} cannot be had; get the model's files again")
        with safe_open(shard, "pt") as file:
            out |= {
                prefix.sub("", key): file.get_tensor(key)
                for key in file.keys()  # noqa: SIM118  it is no mapping
                if prefix.match(key)
            }
    return out
