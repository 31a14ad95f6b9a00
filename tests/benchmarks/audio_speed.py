"""How fast an audio embedding model embeds and trains, and what cached features save.

    python tests/benchmarks/audio_speed.py [--repeats 5] [--items 128] [--threads 1 --clock cpu]

Four tables, each figure the median over the repeats (and their range), methods taking turns:

- the body (SmolLM2-135M, all layers) on prepared clips of 0.5 to 6 s (5 tokens a second) and on
  captions: batched by length beside one by one, in float32 and in the precision that the machine
  multiplies natively; there the bar is 3 times as fast, clips and captions together;
- frozen audio features of the same clips: computed, and read back from the store;
- a training step at 32 pairs, forward and backward, all layers trained: plain and with cached
  gradients;
- the highest resident memory so far.

On a machine that others use at the same time, ``--threads 1 --clock cpu`` counts the processor
time of a single thread instead of the time on the wall.
"""

from __future__ import annotations

import argparse
import io
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
import torch

from gemb.audio_embedding.config import Parts
from gemb.audio_embedding.model import AudioEmbedder
from gemb.audio_embedding.train import InfoNCE, backward
from gemb.data.items import Item, Media
from gemb.data.media import RATE
from gemb.device import best_dtype, peak_megabytes
from gemb.store import Store

BAR = 3.0
BATCH = 32
SECONDS = (0.5, 6.0)
WORDS = [
    "a",
    "dog",
    "barks",
    "twice",
    "while",
    "rain",
    "falls",
    "on",
    "the",
    "roof",
    "of",
    "a",
    "car",
]


def clip(number: int, rng: np.random.Generator) -> Item:
    """Noise of a length drawn at random."""
    samples = 0.1 * rng.standard_normal(round(rng.uniform(*SECONDS) * RATE))
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, RATE, format="WAV")
    return Item(f"clip {number}", "audio", Media(buffer.getvalue, "wav"), "")


def caption(rng: np.random.Generator) -> str:
    """Three to twelve words."""
    return " ".join(rng.choice(WORDS, rng.integers(3, 13)))


def measured(
    methods: dict[str, Callable[[], object]], repeats: int, clock: Callable[[], float]
) -> dict[str, list[float]]:
    """Seconds of each method in each repeat, after one round that does not count."""
    found: dict[str, list[float]] = {name: [] for name in methods}
    for repeat in range(repeats + 1):
        for name, method in methods.items():
            begun = clock()
            method()
            if repeat:
                found[name].append(clock() - begun)
    return found


def show(title: str, found: dict[str, list[float]], items: int) -> None:
    print(f"\n{title}\n\n| | seconds | range | items a second |\n|---|---|---|---|")
    for name, times in found.items():
        middle = statistics.median(times)
        span = f"{min(times):.3g} to {max(times):.3g}"
        print(f"| {name} | {middle:.3g} | {span} | {items / middle:.1f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--items", type=int, default=128, help="clips, and captions")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    clock = time.process_time if chosen.clock == "cpu" else time.perf_counter
    print(f"{chosen.threads} threads, {chosen.clock} time, {chosen.items} clips and captions")

    rng = np.random.default_rng(0)
    items = [clip(n, rng) for n in range(chosen.items)]
    captions = [caption(rng) for _ in items]
    model = AudioEmbedder.build(Parts(), device="cpu")
    clips = [c for c in model.prepare(items) if isinstance(c, np.ndarray)]
    both = {"clips": clips, "captions": captions}

    def bfloat16(method: Callable[[], object]) -> Callable[[], object]:
        def run() -> None:
            with torch.autocast("cpu", torch.bfloat16):
                method()

        return run

    ratios = {}
    native = best_dtype(torch.device("cpu"))
    for dtype in dict.fromkeys((torch.float32, native)):
        model.to(dtype)
        total = {"one by one": 0.0, "batched by length": 0.0}
        for kind, inputs in both.items():
            found = measured(
                {
                    "one by one": lambda given=inputs: [model.embed([x]) for x in given],
                    "batched by length": lambda given=inputs: model.embed(given),
                },
                chosen.repeats,
                clock,
            )
            show(f"Body in {str(dtype).removeprefix('torch.')}, {kind}", found, len(inputs))
            for name, times in found.items():
                total[name] += statistics.median(times)
        ratios[dtype] = total["one by one"] / total["batched by length"]
        print(f"\nbatched by length: {ratios[dtype]:.1f} times one by one")
    model.float()

    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        model.prepare(items, store)
        found = measured(
            {
                "computed": lambda: model.prepare(items),
                "read from the store": lambda: model.prepare(items, store),
            },
            chosen.repeats,
            clock,
        )
    show("Frozen features (Moonshine's frames and YAMNet's patches)", found, len(items))

    model.train().requires_grad_(True)
    model.body.get_input_embeddings().requires_grad_(False)
    criterion = InfoNCE()

    def step(grad_cache: bool = False) -> Callable[[], object]:
        def run() -> None:
            model.zero_grad(set_to_none=True)
            labels = torch.arange(BATCH)[:, None].repeat(1, 2)
            backward(model, criterion, clips[:BATCH], captions[:BATCH], labels, 16, grad_cache)

        return run

    found = measured(
        {
            "float32": step(),
            "bfloat16": bfloat16(step()),
            "bfloat16, cached gradients": bfloat16(step(grad_cache=True)),
        },
        max(1, chosen.repeats // 2),
        clock,
    )
    tokens = sum(len(c) for c in clips[:BATCH]) + sum(
        len(model.tokenizer(t)["input_ids"]) for t in captions[:BATCH]
    )
    show(f"Training step, {BATCH} pairs, {tokens} tokens", found, BATCH)
    print(f"\npeak memory {peak_megabytes() / 1000:.1f} GB resident")
    if ratios[native] < BAR:
        raise SystemExit(f"batched by length: below the bar of {BAR:g} times one by one")


if __name__ == "__main__":
    main()
