"""Encoders: image, sound or text in, vectors out. The registry maps a name to a card."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module

from gemb.encoders.base import Encoder, EncoderIdentity, Failure
from gemb.errors import UnknownName
from gemb.tasks import Modality


@dataclass(frozen=True)
class Card:
    """What there is to know of an encoder before it is loaded.

    Attributes:
        path: ``module:Class``, imported on use, so that listing encoders loads no model.
        dim: Dimension of its vectors, in words where its argument decides.
        modalities: What it reads at most.
        licence: Of its weights.
        offline: Whether it works without the network.
        argument: What follows the colon of a spec: ``<needed>``, ``[may be left out]`` or nothing.
        by_id: Whether it finds items by their id and never looks at their media.
        server: Whether its argument is an address that items, and a key, are sent to.
    """

    path: str
    dim: int | str
    modalities: tuple[Modality, ...]
    licence: str
    offline: str
    argument: str = ""
    by_id: bool = False
    server: bool = False


_ONCE_FETCHED = "yes, once its weights are fetched"
_MODELS = "the model's"

REGISTRY: dict[str, Card] = {
    "gemini": Card(
        "gemb.encoders.gemini:Gemini",
        3072,
        ("image", "audio", "text"),
        "the provider's terms",
        "no: it asks the Gemini API, with your key",
        "[model[:dimension]]",
    ),
    "minilm": Card("gemb.encoders.minilm:MiniLM", 384, ("text",), "Apache-2.0", _ONCE_FETCHED),
    "open-audio": Card(
        "gemb.audio_embedding.encoder:OpenAudio",
        _MODELS,
        ("audio", "text"),
        "its parts'",
        "yes, once its parts are fetched",
        "<folder>",
    ),
    "open-bound": Card(
        "gemb.encoders.open_bound:OpenBound",
        384,
        ("image", "audio", "text"),
        "Apache-2.0, MIT",
        _ONCE_FETCHED,
        "[posteriors|trained]",
    ),
    "open-concat": Card(
        "gemb.encoders.open_concat:OpenConcat",
        2720,
        ("image", "audio"),
        "Apache-2.0, MIT",
        _ONCE_FETCHED,
    ),
    "openai-compatible": Card(
        "gemb.encoders.openai_compatible:OpenAICompatible",
        _MODELS,
        ("text",),
        _MODELS,
        "if its server is on this machine",
        "<address>#<model>",
        server=True,
    ),
    "precomputed": Card(
        "gemb.encoders.precomputed:Precomputed",
        "the file's",
        ("image", "audio", "text"),
        "yours",
        "yes",
        "<file.parquet>",
        by_id=True,
    ),
    "sentence-transformers": Card(
        "gemb.encoders.sentence_transformers:SentenceTransformers",
        _MODELS,
        ("image", "audio", "text"),
        _MODELS,
        "a folder yes; a hub id once it is in the hub's cache",
        "<hub id or folder>",
    ),
}


def card(spec: str) -> Card:
    """The card of the encoder that ``spec`` names; the error lists those there are."""
    name = spec.partition(":")[0]
    if name not in REGISTRY:
        raise UnknownName(f"no encoder {name!r}; there are: {', '.join(REGISTRY)}")
    return REGISTRY[name]


def load(spec: str) -> Encoder:
    """Build the encoder ``name`` or ``name:argument``, such as ``open-concat``.

    Raises:
        UnknownName: There is no such encoder, or its argument is missing or not wanted.
        UserError: The argument names something that cannot be used.
    """
    known = card(spec)
    name, _, argument = spec.partition(":")
    if argument and not known.argument:
        raise UnknownName(f"encoder {name!r} takes no argument: not {spec!r}, but {name!r}")
    if not argument and known.argument.startswith("<"):
        raise UnknownName(f"encoder {name!r} needs an argument: {name}:{known.argument}")
    module, _, attribute = known.path.partition(":")
    factory = getattr(import_module(module), attribute)
    encoder: Encoder = factory(argument) if argument else factory()
    return encoder


__all__ = ["REGISTRY", "Card", "Encoder", "EncoderIdentity", "Failure", "card", "load"]
