"""What an audio embedding model is made of and how it is trained, as plain data."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from gemb.errors import UnknownName, UserError


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


# Audio encoders that come as frozen graphs, any number of them side by side.
Frozen = Literal["moonshine-base", "yamnet"]
FROZEN: tuple[Frozen, ...] = ("moonshine-base", "yamnet")


class Parts(_Strict):
    """Audio encoder → linear projection → language model's body → pooling → unit length.

    An audio encoder is either frozen (:data:`FROZEN`) or the audio tower of a Qwen-Omni model, by
    folder or hub id, which can be trained too. Texts go through the same body, without the
    audio encoder and the projection.
    """

    audio: tuple[str, ...] = Field(
        default=("moonshine-base", "yamnet"),
        min_length=1,
        description="frozen encoders, side by side on the first one's time; or one tower",
    )
    llm: str = Field(default="smollm2-135m", description="manifest, folder or hub id")
    layers: int | None = Field(default=None, gt=0, description="keep the first so many; all")
    projection: Literal["auto", "own", "new"] = Field(
        default="auto",
        description="the tower's own last layer, a new one in its place, or its own if it fits",
    )
    pooling: Literal["mean", "last"] = Field(
        default="mean", description="of the last hidden state, over all tokens of the clip or text"
    )
    rate: float | None = Field(
        default=5.0, gt=0, description="tokens a second, at most; none: as the encoder gives them"
    )
    stack: int = Field(default=1, gt=0, description="so many averages, side by side, in each token")
    prefix: str = Field(
        default="", description="text before the audio tokens; a mark that is no token is dropped"
    )
    suffix: str = Field(default="", description="text after them")
    max_seconds: float = Field(default=30.0, gt=0.1, le=30.0, description="of one clip")
    long_clips: Literal["refuse", "average"] = Field(
        default="refuse", description="average: cut to the longest allowed, mean of their vectors"
    )
    dtype: Literal["float32", "bfloat16"] = Field(
        default="float32",
        description="of the weights; trained as they are, bfloat16 loses small updates",
    )

    @property
    def is_frozen(self) -> bool:
        """Whether the audio encoders are frozen graphs."""
        return all(a in FROZEN for a in self.audio)

    @property
    def is_aligned(self) -> bool:
        """Whether the parts were trained together, so that they need no alignment."""
        return self.audio == (self.llm,) and self.projection != "new"

    @model_validator(mode="after")
    def _is_one_kind(self) -> Parts:
        if not self.is_frozen and len(self.audio) > 1:
            raise ValueError(
                f"audio is either of {', '.join(FROZEN)}, or one Qwen-Omni model, not "
                f"{', '.join(self.audio)}"
            )
        if self.is_frozen and self.projection == "own":
            raise ValueError(f"{', '.join(self.audio)} have no projection of their own")
        return self


class Training(_Strict):
    """How a stage is trained; the source publishes none of it."""

    epochs: int = Field(default=3, gt=0)
    steps: int | None = Field(default=None, gt=0, description="instead of epochs")
    batch_size: int = Field(default=64, gt=1, description="pairs, over all processes")
    chunk: int = Field(default=32, gt=0, description="clips or texts a forward pass")
    grad_cache: bool = Field(
        default=False,
        description="one chunk's activations in memory at a time, for half as much time again",
    )
    learning_rate: float = Field(default=1e-4, gt=0)
    projection_rate: float = Field(
        default=1e-3, gt=0, description="learning rate of the projection"
    )
    weight_decay: float = Field(default=0.01, ge=0)
    warmup: float = Field(default=0.1, ge=0, lt=1, description="share of all steps")
    max_norm: float = Field(default=1.0, gt=0, description="gradients are clipped to")
    temperature: float = Field(default=0.05, gt=0)
    learn_temperature: bool = True
    token_embeddings: bool = Field(
        default=False, description="train them too; few pairs touch few words"
    )
    lora_rank: int = Field(
        default=0,
        ge=0,
        description="of adapters in the body in place of its weights; 0: all weights of its layers",
    )
    lora_alpha: int = 16
    bfloat16: bool = Field(default=False, description="compute in bfloat16, weights as they are")
    checkpoint_every: int = Field(default=200, gt=0, description="steps")
    seed: int = 0


Route = Literal["full", "prune", "text-only", "combine"]


class Recipe(_Strict):
    """One of the source's four routes to a model, with all that decides the outcome but the pairs.

    ``full``: parts aligned, then all trained. ``prune``: the same, with only the first layers
    kept before all is trained. ``text-only``: parts aligned, then trained on pairs of texts alone,
    then pruned if ``layers`` says so. ``combine``: all trained at once, without alignment. Parts
    that come from one model are aligned as they are.
    """

    route: Route
    parts: Parts = Parts()
    layers: int | None = Field(default=None, gt=0, description="to keep, where the route prunes")
    training: Training = Training()
    align: Training | None = Field(default=None, description="of alignment, if not as the rest")
    warm_start: bool = Field(
        default=True, description="a frozen encoder's new projection starts from a regression"
    )

    @model_validator(mode="after")
    def _has_layers(self) -> Recipe:
        if self.route == "prune" and self.layers is None:
            raise ValueError("the route 'prune' needs layers, the number to keep")
        if self.route in ("full", "combine") and self.layers is not None:
            raise ValueError(f"the route {self.route!r} keeps all layers of its parts")
        return self


def _tower(audio: str, llm: str) -> Parts:
    """A Qwen-Omni tower at its own rate, framed as those models frame a sound.

    Where the language model does not know the marks, the frame is left away.
    """
    return Parts(
        audio=(audio,),
        llm=llm,
        rate=None,
        prefix="<|audio_bos|>",
        suffix="<|audio_eos|>",
        dtype="bfloat16",
    )


_OMNI_3B, _OMNI_7B = "Qwen/Qwen2.5-Omni-3B", "Qwen/Qwen2.5-Omni-7B"
_OMNI_30B = "Qwen/Qwen3-Omni-30B-A3B-Instruct"

# The open parts, and the source's module combinations and full model. Its M1 and M2 take the
# tower before the first joint training stage; what is published is the tower after all of them.
PRESETS: dict[str, Parts] = {
    "open": Parts(),
    "moonshine": Parts(audio=("moonshine-base",)),
    "yamnet": Parts(audio=("yamnet",)),
    "m1": _tower(_OMNI_30B, "Qwen/Qwen2.5-0.5B"),
    "m2": _tower(_OMNI_30B, "Qwen/Qwen2.5-3B"),
    "m3": _tower(_OMNI_3B, "Qwen/Qwen2.5-3B"),
    "m4": _tower(_OMNI_3B, _OMNI_3B),
    "omni-7b": _tower(_OMNI_7B, _OMNI_7B),
}


def preset(name: str) -> Parts:
    """The parts called ``name``."""
    if name not in PRESETS:
        raise UnknownName(f"no parts {name!r}; there are: {', '.join(PRESETS)}")
    return PRESETS[name]


def read(path: Path) -> Recipe:
    """A recipe from a YAML or JSON file; ``parts`` may be a preset's name there.

    Raises:
        UserError: The file cannot be read, or a key is unknown, missing or wrong.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
        if isinstance(raw, dict) and isinstance(raw.get("parts"), str):
            raw["parts"] = preset(raw["parts"])
        return Recipe.model_validate(raw)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValidationError) as error:
        raise UserError(f"{path} is no recipe of an audio embedding model: {error}") from error
