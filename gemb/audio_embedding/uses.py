"""What sounds and texts in one space are good for: routing, labelling and search.

All three are one act: what may be answered is embedded once and kept, what is asked is embedded
now, and LanceDB finds the nearest by cosine, exactly. Nothing is transcribed and nothing trained.

Any encoder of sounds and texts will do. Two things to know of ``open-bound``: routing asks what is
*said*, of which it hears next to nothing; and its vector of a sound is made from the names of
AudioSet's classes, so that among those as captions it repeats YAMNet's own answer.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from gemb.data.items import Item, Media
from gemb.data.manifests import MANIFESTS
from gemb.embed import embed
from gemb.encoders.base import Encoder, Failure, encode_each, failure, require
from gemb.errors import UserError
from gemb.metrics import Bootstrap, Interval
from gemb.progress import progress
from gemb.store import Store

TOOLS = MANIFESTS / "tools" / "spoken-commands.yaml"

# What counts as a sound in a folder; what is in the files is for the decoder to say.
SUFFIXES = {".aac", ".aif", ".aiff", ".au", ".caf", ".flac", ".m4a", ".mka", ".mp3"} | {
    ".oga",
    ".ogg",
    ".opus",
    ".wav",
    ".webm",
    ".wma",
}


@dataclass(frozen=True)
class Hit:
    """Something found.

    Attributes:
        name: A tool's name, a caption, or a sound's id.
        similarity: Cosine of its vector and that of what was asked.
    """

    name: str
    similarity: float


Answer = list[Hit] | Failure  # the nearest first


class Tool(BaseModel):
    """What a spoken command can be routed to."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    description: str = Field(min_length=1, description="what it does; this is embedded")
    commands: tuple[str, ...] = Field(
        default=(), description="shell patterns of the commands meant for it, to measure routing"
    )


Tools = Mapping[str, Tool]


def read_tools(path: Path = TOOLS) -> Tools:
    """Tools by name, from a YAML file; without one, twelve of a home assistant.

    Raises:
        UserError: The file cannot be read, or holds something else.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
        tools = TypeAdapter(dict[str, Tool]).validate_python(raw)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValidationError) as error:
        raise UserError(
            f"{path} holds no tools (name: {{description: what it does}}): {error}"
        ) from error
    if not tools:
        raise UserError(f"{path} names no tool: give at least one, name: {{description: …}}")
    return tools


def tool_for(command: str, tools: Tools) -> str:
    """The name of the tool that a command is meant for.

    Raises:
        UserError: It is no tool's, or several claim it.
    """
    claims = [n for n, t in tools.items() if any(fnmatchcase(command, p) for p in t.commands)]
    if len(claims) != 1:
        whose = f"that of {' and '.join(claims)}" if claims else "that of no tool"
        raise UserError(f"the command {command!r} is {whose}: mend the tools' `commands`")
    return claims[0]


def sounds(folder: Path) -> list[Item]:
    """The sound files of a folder and the folders in it, by name.

    Raises:
        UserError: There is no such folder, or no sound in it.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder")
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    if not paths:
        known = " ".join(sorted(SUFFIXES))
        raise UserError(f"{folder} holds no sound: no file in it ends in {known}")
    return [sound(p) for p in paths]


def sound(path: Path) -> Item:
    """A sound file; it is read when it is embedded."""
    return Item(str(path), "audio", Media.from_file(path), "")


def text(name: str, words: str) -> Item:
    """A text that is found, or complained of, under a name."""
    return Item(name, "text", Media.from_text(words), "")


class Index:
    """Sounds or texts of which the nearest are found; each is embedded once, ever.

    Args:
        encoder: Makes the vectors.
        items: What can be found, by its id. Those of equal content are all found.
        store: Keeps the vectors.

    Attributes:
        failures: What of ``items`` could not be embedded and is not found.

    Raises:
        UserError: The encoder does not read such items, or none of them could be embedded.
    """

    def __init__(self, encoder: Encoder, items: Sequence[Item], store: Store):
        _check(encoder, items)
        self._identity, self._store = encoder.identity(), store
        self.failures: list[Failure] = []
        readable: list[Item] = []
        for item in items:
            try:
                _ = item.media.key  # reads the file
                readable.append(item)
            except OSError as error:
                self.failures.append(failure(item, error))
        done = embed(readable, encoder, store)
        self.failures += done.failures
        self._names: dict[str, list[str]] = {}
        for item in readable:
            if item.media.key in done.vectors:
                self._names.setdefault(item.media.key, []).append(item.id)
        if not self._names:
            reasons = "\n".join(f.reason for f in self.failures)
            raise UserError(f"there is nothing to find, for nothing could be embedded:\n{reasons}")

    def nearest(self, vector: np.ndarray, count: int, but: str = "") -> list[Hit]:
        """The ``count`` nearest to a vector ``[D]``, nearest first.

        Args:
            vector: By the same encoder.
            count: At most so many.
            but: Key of a content that is not wanted.
        """
        keys = [k for k in self._names if k != but]
        if not keys:
            return []
        found = self._store.nearest(self._identity, vector, keys, count)
        return [Hit(name, near) for key, near in found for name in self._names[key]][:count]


def route(
    encoder: Encoder, commands: Sequence[Item], tools: Tools, store: Store, count: int = 1
) -> list[Answer]:
    """The ``count`` tools nearest to each spoken command by what they do, or its failure."""
    index = _tool_index(encoder, tools, store)
    return _ask(encoder, index, commands, count)


def label(
    encoder: Encoder, items: Sequence[Item], captions: Sequence[str], store: Store, count: int = 3
) -> list[Answer]:
    """The ``count`` captions nearest to each sound, or its failure.

    Raises:
        UserError: A caption could not be embedded.
    """
    index = _texts(encoder, {c: c for c in captions}, store)
    return _ask(encoder, index, items, count)


def search(
    encoder: Encoder, query: str | Item, items: Sequence[Item], store: Store, count: int = 10
) -> tuple[list[Hit], list[Failure]]:
    """The ``count`` sounds nearest to a text or to another sound, and those of ``items`` that
    could not be searched. Copies of the sound that is asked for are not among them.

    Raises:
        UserError: The query could not be embedded, or none of the sounds.
    """
    asked = text("the query", query) if isinstance(query, str) else query
    _check(encoder, [asked])
    vector = encoder.encode([asked])[0]
    if isinstance(vector, Failure):
        raise UserError(vector.reason)
    index = Index(encoder, items, store)
    return index.nearest(vector[0], count, but=asked.media.key), index.failures


@dataclass(frozen=True)
class Routing:
    """How well commands were routed.

    Attributes:
        routed: The tool that each command went to; empty where it could not be embedded,
            which counts as wrong.
        meant: The tool that each was meant for.
        accuracy: Share of commands at the right tool, with its 95% interval over groups of
            commands (those of equal words).
        macro: Mean over the tools of that share, which no frequent tool dominates.
        majority: Accuracy of always choosing the most frequent tool.
        milliseconds: Median time from a command's bytes to its tool, one command at a time.
    """

    routed: tuple[str, ...]
    meant: tuple[str, ...]
    accuracy: Interval
    macro: Interval
    majority: float
    milliseconds: float


def measure_routing(
    encoder: Encoder, items: Sequence[Item], store: Store, tools: Tools | None = None
) -> Routing:
    """Route commands whose tool is known, one at a time as they would be spoken.

    Args:
        encoder: Of sounds and texts; its models are loaded before the clock starts.
        items: Commands, whose answer is what is said: sounds, or their texts for comparison.
        store: Keeps the vectors of the tools, not of the commands.
        tools: With their ``commands``; those that come with this project.

    Raises:
        UserError: There are no items, or one is meant for no tool or for several.
    """
    if not items:
        raise UserError("no commands to route: choose another split or a larger size")
    tools = read_tools() if tools is None else tools
    meant = tuple(tool_for(i.answer, tools) for i in items)
    _check(encoder, items)
    index = _tool_index(encoder, tools, store)
    encoder.encode(items[:1])
    routed, seconds = [], []
    with progress("routing", len(items)) as bar:
        for item in items:
            # Synthetic voices speak when their bytes are asked for: not the encoder's time.
            media = Media(partial(bytes, item.media.bytes()), item.media.suffix, item.media.key)
            command = replace(item, media=media)
            begun = time.perf_counter()
            vector = encoder.encode([command])[0]
            hits = [] if isinstance(vector, Failure) else index.nearest(vector[0], 1)
            seconds.append(time.perf_counter() - begun)
            routed.append(hits[0].name if hits else "")
            bar.update(1)
    right = np.array([a == b for a, b in zip(routed, meant, strict=True)], float)
    bootstrap = Bootstrap(meant, [i.group for i in items])
    return Routing(
        tuple(routed),
        meant,
        bootstrap.interval(right),
        bootstrap.interval(right, macro=True),
        Counter(meant).most_common(1)[0][1] / len(meant),
        1000 * float(np.median(seconds)),
    )


def _tool_index(encoder: Encoder, tools: Tools, store: Store) -> Index:
    return _texts(encoder, {name: tool.description for name, tool in tools.items()}, store)


def _texts(encoder: Encoder, texts: Mapping[str, str], store: Store) -> Index:
    """An index of texts by name, all of them."""
    index = Index(encoder, [text(name, words) for name, words in texts.items()], store)
    if index.failures:
        raise UserError("\n".join(f.reason for f in index.failures))
    return index


def _ask(encoder: Encoder, index: Index, items: Sequence[Item], count: int) -> list[Answer]:
    """What is nearest to each item; queries are not kept."""
    _check(encoder, items)
    found: dict[int, np.ndarray | Failure] = {}
    with progress("embedding", len(items)) as bar:

        def keep(group: Mapping[int, np.ndarray | Failure]) -> None:
            found.update(group)
            bar.update(len(group))

        encode_each(encoder, items, "whole", keep)
    rows = [found[n] for n in range(len(items))]
    return [r if isinstance(r, Failure) else index.nearest(r[0], count) for r in rows]


def _check(encoder: Encoder, items: Sequence[Item]) -> None:
    remedy = "choose an encoder of both audio and text, such as open-audio:<folder>"
    require(encoder, (i.modality for i in items), remedy)
