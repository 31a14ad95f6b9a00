"""Section 5's uses: spoken commands routed, sounds labelled and searched, on this machine alone."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from gemb import encoders
from gemb.audio_embedding import baselines, uses
from gemb.audio_embedding.encoder import OpenAudio
from gemb.data import manifests
from gemb.data.items import Item, Media
from gemb.data.readers import audio_pairs
from gemb.device import peak_megabytes
from gemb.encoders.base import Encoder, Failure, ItemEncoder
from gemb.encoders.minilm import DIM as TEXT_DIM
from gemb.encoders.minilm import MiniLM
from gemb.errors import UserError
from gemb.metrics import Bootstrap
from gemb.records import (
    Labelled,
    LabelledExample,
    OnDevice,
    Routed,
    RoutedExample,
    Score,
    Search,
    Uses,
)
from gemb.store import Store
from gemb.tasks import Modality

# Raise when a change to the code changes what is measured.
VERSION = 4

SHOWN = 4  # examples of each use
CLIPS = 40  # that are timed, at most
COUNT = 3  # answers to a question


class _Through(ItemEncoder):
    """A baseline as an encoder of one item at a time, nothing of it read back from a store."""

    modalities: tuple[Modality, ...] = ("audio", "text")

    def __init__(
        self,
        name: str,
        dim: int,
        audio: Callable[[Item], np.ndarray],
        text: Callable[[str], np.ndarray],
    ):
        self.name, self.dim, self._audio, self._text = name, dim, audio, text

    def vector(self, item: Item) -> np.ndarray:
        """The vector ``[D]`` of a sound or of a text."""
        if item.modality == "audio":
            return self._audio(item)
        return self._text(item.media.bytes().decode())


def measure(folder: Path, test: Sequence[Item], most: int, heads: baselines.LinearHeads) -> Uses:
    """What a saved model is good for, beside what has to be trained or written down for it.

    Args:
        folder: Of the model.
        test: Pairs that it was not trained on; those that are sounds are labelled and searched.
        most: Commands that are routed, at most.
        heads: Trained on the pairs that the model was trained on.
    """
    commands = spoken_commands(most)
    sounds = [i for i in test if i.subset == "sound"]
    model = OpenAudio(folder)
    with tempfile.TemporaryDirectory() as fresh:  # vectors of the baselines stay nowhere
        store = Store(Path(fresh))
        return Uses(
            routing=_routing(model, heads, commands, store),
            labelling=[_labelled(e, sounds, store) for e in _of_sounds(model)] if sounds else [],
            searches=_searches(model, sounds or list(test), store),
            device=on_device(folder, list(test[:CLIPS])),
        )


def spoken_commands(most: int) -> list[Item]:
    """Commands for the tools, by voices and in words that no pair trained on has."""
    speech = [i for i in audio_pairs.items(("speech",)) if i.meta["kind"] == "command"]
    return audio_pairs.take(speech, "test", most)


def _routing(
    model: Encoder, heads: baselines.LinearHeads, commands: Sequence[Item], store: Store
) -> list[Routed]:
    """The model beside linear heads, a recogniser's transcript, and the words themselves."""
    anew = replace(heads, frozen=baselines.Frozen())
    heard = baselines.Transcripts()
    read = heard.embed_text
    texts = [replace(i, modality="text", media=Media.from_text(i.answer)) for i in commands]
    ways: list[tuple[str, Encoder, Sequence[Item]]] = [
        ("the best route's model", model, commands),
        (
            "linear heads",
            _Through(
                "linear-heads",
                baselines.DIM,
                lambda i: anew.embed_audio([i])[0],
                lambda t: anew.embed_text([t])[0],
            ),
            commands,
        ),
        (
            "Moonshine's transcript, MiniLM",
            _Through(
                "transcripts",
                TEXT_DIM,
                lambda i: read([heard.hear(i)])[0],
                lambda t: read([t])[0],
            ),
            commands,
        ),
        ("the words themselves, MiniLM", MiniLM(), texts),
    ]
    out = []
    for name, encoder, items in ways:
        found = uses.measure_routing(encoder, items, store)
        told = zip(commands, found.routed, found.meant, strict=True)
        out.append(
            Routed(
                name=name,
                items=len(items),
                accuracy=Score(**vars(found.accuracy)),
                macro=Score(**vars(found.macro)),
                majority=found.majority,
                tools=len(uses.read_tools()),
                milliseconds=found.milliseconds,
                examples=[
                    RoutedExample(item=i.id, said=i.answer, tool=to, meant=meant)
                    for i, to, meant in told
                ][:SHOWN],
            )
        )
    return out


def _of_sounds(model: Encoder) -> list[Encoder]:
    """The model, and YAMNet's own class names in the space of texts."""
    return [model, encoders.load("open-bound:posteriors")]


def _labelled(encoder: Encoder, sounds: Sequence[Item], store: Store) -> Labelled:
    """Sounds by the nearest of all their captions."""
    captions = list(dict.fromkeys(i.answer for i in sounds))
    found = uses.label(encoder, sounds, captions, store, COUNT)
    said = [[] if isinstance(f, Failure) else [h.name for h in f] for f in found]
    hits = np.array([i.answer in s[:1] for i, s in zip(sounds, said, strict=True)], float)
    boot = Bootstrap([i.answer for i in sounds], [i.group or i.id for i in sounds])
    labels = {i.id: s for i, s in zip(sounds, said, strict=True)}
    return Labelled(
        encoder=encoder.name,
        items=len(sounds),
        captions=len(captions),
        accuracy=Score(**vars(boot.interval(hits))),
        examples=[
            LabelledExample(item=i.id, caption=i.answer, labels=labels[i.id])
            for i in examples(sounds)
        ],
    )


def examples(sounds: Sequence[Item]) -> list[Item]:
    """A few sounds, one of a caption; first those that may be listened to on a page."""
    first: dict[str, Item] = {}
    for item in sorted(sounds, key=lambda i: not may_be_shown(i)):
        first.setdefault(item.answer, item)
    return list(first.values())[:SHOWN]


def may_be_shown(sound: Item) -> bool:
    """Whether its package is under a Creative Commons licence: a clip may then be put on a page
    that names its authors, while the GPL would ask for the page's sources."""
    package = sound.meta.get("package")
    return package is not None and manifests.get(package).licence.startswith("CC")


def _searches(model: Encoder, items: Sequence[Item], store: Store) -> list[Search]:
    """The captions of the examples looked for by their words, and the first of them by itself."""
    answers, shown = {i.id: i.answer for i in items}, examples(items)
    asked: list[tuple[str, Item, str | Item]] = [("text", i, i.answer) for i in shown[:-1]]
    asked.append(("sound", shown[0], shown[0]))
    out = []
    for kind, item, query in asked:
        hits, _ = uses.search(model, query, items, store, COUNT)
        out.append(
            Search(
                kind=kind,
                item=item.id if kind == "sound" else "",
                query=item.answer,
                among=len(items),
                found=[(answers[h.name], h.similarity) for h in hits],
                ids=[h.name for h in hits],
            )
        )
    return out


def on_device(folder: Path, items: Sequence[Item]) -> OnDevice:
    """Clips a second and peak memory of a process that does nothing but embed.

    One clip after the other, from its file's bytes to its vector; the models are loaded before
    the clock starts, and are in the memory.

    Raises:
        UserError: A clip could not be embedded.
    """
    with tempfile.TemporaryDirectory() as clips:
        for n, item in enumerate(items):
            (Path(clips) / f"{n:03}.{item.media.suffix}").write_bytes(item.media.bytes())
        # a process of its own, for this one's peak is that of training
        program = (
            "import sys; from pathlib import Path; from gemb.experiments import audio_uses; "
            "print(audio_uses.embed_alone(*map(Path, sys.argv[1:])).model_dump_json())"
        )
        done = subprocess.run(
            [sys.executable, "-c", program, str(folder), clips],
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise UserError(f"embedding in a process of its own failed: {done.stderr.strip()[-500:]}")
    return OnDevice.model_validate_json(done.stdout.strip().splitlines()[-1])


def embed_alone(folder: Path, clips: Path) -> OnDevice:
    """Embed the sound files of a folder, and say what it took; see :func:`on_device`."""
    model, items = OpenAudio(folder), uses.sounds(clips)
    model.encode(items[:1])
    begun = time.perf_counter()
    rows = [model.encode([i])[0] for i in items]
    seconds = time.perf_counter() - begun
    for row in rows:
        if isinstance(row, Failure):
            raise UserError(row.reason)
    return OnDevice(
        clips=len(items),
        clips_per_second=len(items) / seconds,
        peak_megabytes=peak_megabytes(),
        threads=torch.get_num_threads(),
    )
