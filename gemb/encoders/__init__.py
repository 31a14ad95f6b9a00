"""Encoders: image or sound in, vectors out. The registry maps a name to a dotted path."""

from __future__ import annotations

from importlib import import_module

from gemb.encoders.base import Encoder, EncoderIdentity, Failure
from gemb.errors import UnknownName

# Dotted paths, imported on use, so that listing encoders loads no model.
REGISTRY: dict[str, str] = {
    "gemini": "gemb.encoders.gemini:Gemini",
    "minilm": "gemb.encoders.minilm:MiniLM",
    "open-bound": "gemb.encoders.open_bound:OpenBound",
    "open-concat": "gemb.encoders.open_concat:OpenConcat",
}


def load(spec: str) -> Encoder:
    """Build the encoder ``name`` or ``name:argument``, such as ``open-concat``."""
    name, _, argument = spec.partition(":")
    if name not in REGISTRY:
        raise UnknownName(f"no encoder {name!r}; there are: {', '.join(REGISTRY)}")
    module, _, attribute = REGISTRY[name].partition(":")
    factory = getattr(import_module(module), attribute)
    encoder: Encoder = factory(argument) if argument else factory()
    return encoder


__all__ = ["REGISTRY", "Encoder", "EncoderIdentity", "Failure", "load"]
