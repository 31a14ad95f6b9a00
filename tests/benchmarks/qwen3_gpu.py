"""How long a single-task adaptor takes on one GPU with a language model of Qwen3-4B's size.

    python tests/benchmarks/qwen3_gpu.py [--batch 32] [--repeats 20] [--out table.md]
    python tests/benchmarks/qwen3_gpu.py --tiny      the same code on a CPU, to try it: no figures

Not measured yet: there was no GPU where this was written, so no figures lie beside it.

The language model has the architecture of Qwen3-4B and random weights, in bfloat16: what it says
is noise, the time it takes is not. Prompt and answers are those of the objects task (each answer
one token, as about half of them are in Qwen's own vocabulary), vectors are random, and the adaptor
is the study's, ``Linear(3072, 3072) → GELU → Linear(3072, k·2560)`` in float32 under AdamW.

A training step is :func:`gemb.train.backward` and the optimiser's step; answering stops where
validation does, after as many tokens as the longest right answer has. Times are medians, taken
after warming up and with the GPU waited for; smallest and largest stand in brackets.

Share of peak: 4·N operations for each token that is processed (N: the body's parameters; forward
2·N, backward to the inputs 2·N) over the fastest kind of matrix product of the same run, a large
cube or the model's own shapes. The vocabulary's logits, padding, the adaptor and the beginning
that all prompts share are not counted.

The projection is of ``--items`` training items over ``--epochs`` epochs with ``--validation``
items answered after each: the study publishes none of these, only that a task took it "under a
minute". Loading the language model and embedding the items are not in it.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gemb import tasks
from gemb.adaptor import Adaptor
from gemb.device import best_device, describe
from gemb.evaluate import Examples, predict
from gemb.llm import FrozenLLM, qwen3
from gemb.profiles import Training
from gemb.train import backward

DIM, HIDDEN = 3072, 3072  # of the study's vectors and of its adaptor
VIRTUAL_TOKENS = (1, 32)
# The names of CIFAR-10's classes, which the study's objects task asks for.
ANSWERS = ["airplane", "automobile", "bird", "cat", "deer"]
ANSWERS += ["dog", "frog", "horse", "ship", "truck"]
WARM_UP = 3
BAR = 60.0  # seconds: the study's "under a minute"


def load(tiny: bool, device: torch.device) -> FrozenLLM:
    """The random model, with a tokenizer that has a token for every word of prompt and answers."""
    size = qwen3.TINY if tiny else "qwen3-4b"
    model, _ = qwen3.build(size, torch.bfloat16, device)
    tokenizer = qwen3.chat_tokenizer([tasks.get("objects").prompt, *ANSWERS])
    if len(tokenizer) > model.config.vocab_size:
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    return FrozenLLM(model, tokenizer, f"{size}, random")


def taken(run: Callable[[], Any], repeats: int, device: torch.device) -> list[float]:
    """Seconds of each run, after a few that do not count."""

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    times = []
    for number in range(WARM_UP + repeats):
        wait()
        started = time.perf_counter()
        run()
        wait()
        if number >= WARM_UP:
            times.append(time.perf_counter() - started)
    return times


def products(llm: FrozenLLM, tokens: int) -> Iterator[tuple[int, int, int]]:
    """Shapes m, k, n of matrix products: a cube, and a layer's own, forward and backward."""
    yield (512,) * 3 if llm.device.type == "cpu" else (8192,) * 3
    for module in llm.model.model.layers[0].modules():
        if isinstance(module, torch.nn.Linear):
            yield tokens, module.in_features, module.out_features
            yield tokens, module.out_features, module.in_features


def peak(llm: FrozenLLM, tokens: int, repeats: int) -> float:
    """Operations a second of the fastest kind of product."""
    rates = []
    for m, k, n in products(llm, tokens):
        a, b = (torch.randn(s, device=llm.device, dtype=llm.dtype) for s in ((m, k), (k, n)))
        seconds = statistics.median(taken(lambda a=a, b=b: a @ b, repeats, llm.device))
        rates.append(2 * m * k * n / seconds)
    return max(rates)


def measure(llm: FrozenLLM, k: int, arguments: argparse.Namespace) -> list[str]:
    """One row of the table."""
    cuda = llm.device.type == "cuda"
    size, repeats = arguments.batch, arguments.repeats
    answers = [ANSWERS[i % len(ANSWERS)] for i in range(size)]
    vectors = np.random.default_rng(0).standard_normal((size, DIM), np.float32)
    batch = Examples(vectors, [llm.prompt(tasks.get("objects").prompt)] * size, answers)
    if cuda:
        torch.cuda.reset_peak_memory_stats(llm.device)
    adaptor = Adaptor(DIM, llm.hidden_size, k, HIDDEN).to(llm.device)
    optimiser = torch.optim.AdamW(adaptor.parameters())

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        backward(adaptor, llm, batch)
        optimiser.step()

    steps = taken(step, repeats, llm.device)
    memory = f"{torch.cuda.max_memory_allocated(llm.device) / 1e9:.1f}" if cuda else "–"
    longest = max(llm.count_labels([a]) for a in answers)
    asking = taken(
        lambda: predict(adaptor, llm, batch, size, max_new_tokens=longest), repeats, llm.device
    )
    # the end of turn is predicted, not read
    tokens = size * (k + len(batch.prompts[0].after) - 1) + llm.count_labels(answers)
    body = sum(p.numel() for p in llm.model.model.layers.parameters())
    second = statistics.median(steps)
    share = 4 * body * tokens / second / peak(llm, tokens, repeats)
    whole = arguments.epochs * (
        arguments.items * second + arguments.validation * statistics.median(asking)
    )
    return [
        str(k),
        f"{sum(p.numel() for p in adaptor.parameters()) / 1e6:.1f} M",
        str(tokens),
        per_thousand(steps, size),
        per_thousand(asking, size),
        memory,
        f"{share:.0%}",
        f"{whole / size:.1f}",
        "yes" if whole / size < BAR else "no",
    ]


def per_thousand(times: list[float], size: int) -> str:
    middle, low, high = (f(times) * 1000 / size for f in (statistics.median, min, max))
    return f"{middle:.2f} ({low:.2f}–{high:.2f})"


def main(given: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--items", type=int, default=1000, help="of the projected training")
    parser.add_argument("--epochs", type=int, default=Training().epochs, help="of the same")
    parser.add_argument("--validation", type=int, default=100, help="items after each epoch")
    parser.add_argument("--tiny", action="store_true", help="a tiny model on the CPU")
    parser.add_argument("--out", type=Path, help="write the table to this file as well")
    arguments = parser.parse_args(given)
    device = torch.device("cpu") if arguments.tiny else best_device()
    if device.type != "cuda" and not arguments.tiny:
        sys.exit(
            "there is no CUDA GPU here, or torch is a CPU build (see `gemb doctor`): this measures "
            "a GPU with some 16 GB or more; --tiny tries the same code on the CPU"
        )
    try:
        llm = load(arguments.tiny, device)
        rows = [measure(llm, k, arguments) for k in VIRTUAL_TOKENS]
    except torch.OutOfMemoryError as error:
        sys.exit(f"the GPU's memory is not enough: try --batch {arguments.batch // 2} ({error})")
    header = [
        "virtual tokens",
        "adaptor",
        "tokens a step",
        "s per 1,000 training items",
        "s per 1,000 answers",
        "peak memory, GB",
        "of matrix peak",
        "whole adaptor, s",
        f"under {BAR:.0f} s",
    ]
    text = "\n".join(
        [
            f"{llm.name}: {describe(llm.dtype, llm.device)}, torch {torch.__version__}, batch "
            f"{arguments.batch}; whole adaptor: {arguments.items} items, {arguments.epochs} "
            f"epochs, {arguments.validation} validation items",
            "",
            *("| " + " | ".join(r) + " |" for r in [header, ["---"] * len(header), *rows]),
        ]
    )
    print(text)
    if arguments.out:
        arguments.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
