"""How fast frozen-LLM training and answering are, beside transformers' own loops.

    python tests/benchmarks/training_speed.py [--repeats 7] [--out table.md]

A training step is the forward pass and the backward pass to the virtual tokens,
on the same language model (weights frozen), batch and prompts for every method.
In each repeat every method runs once on every case, one after the other, and so
does the matrix product that stands for the machine's peak; figures are medians
over the repeats, with the smallest and largest.

Share of peak: 4·N operations for each token that is actually processed, N being
the body's parameters (106.2 million; forward 2·N, backward to the inputs 2·N),
over the fastest kind of matrix product of the run (4096³ and the model's own shapes,
in the precision of the step; medians on both sides, as a single lucky product is no
yardstick for a whole step; the luckiest is printed too). Padding, the shared prefix,
the last token (predicted, never read) and the vocabulary's logits are not counted.
"At the peak" is the ratio that a step of these operations alone would reach if all of
it ran at the peak: where it is below a bar, no code reaches that bar on the machine.

Peak memory: each method runs two steps of the first case in a process of its own;
what is reported is how far the resident set rose at its highest above where it
stood after loading (Linux: the high-water mark is reset after loading).

On a machine that others use at the same time, ``--threads 1 --clock cpu`` counts
the processor time of a single thread instead of the time on the wall.
"""

from __future__ import annotations

import argparse
import gc
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import GenerationConfig

from gemb import tasks
from gemb.data import manifests
from gemb.llm import FrozenLLM, Prompt, batch_disagreement

BATCH = 32
MAX_NEW_TOKENS = 16
BARS = {"plain fp32": 5.5, "plain bf16": 3.0, "plain bf16 eager": 2.0}
PEAK_BAR, BATCHED_BAR, SINGLE_BAR = 0.70, 1.5, 10.0


@dataclass
class Case:
    """A batch: one virtual token, a prompt and an answer for each row."""

    name: str
    virtual: Tensor
    prompts: list[Prompt]
    answers: list[str]


Step = Callable[[Case], Any]


def make_cases(llm: FrozenLLM) -> list[Case]:
    """32 rows of 24 tokens, and 32 rows of each of the eight tasks: its prompt, its answers."""
    generator = torch.Generator().manual_seed(0)
    classes = {name: manifests.get(task.dataset).classes for name, task in tasks.TASKS.items()}

    def case(name: str, task: str, answers: list[str]) -> Case:
        count = len(answers)  # all of few answers in turn; of many, evenly from first to last
        rows = [answers[i * max(count, BATCH) // BATCH % count] for i in range(BATCH)]
        virtual = 0.1 * torch.randn(BATCH, 1, llm.hidden_size, generator=generator)
        return Case(name, virtual, [llm.prompt(tasks.get(task).prompt)] * BATCH, rows)

    # The template's 3 tokens, 1 virtual, 18 of question and template, the answer's, end of turn.
    one_token = [a for a in classes["objects"] if len(llm.tokenizer(a)["input_ids"]) == 1]
    cases = [case("32×24", "objects", one_token)]
    assert sum(map(len, (cases[0].prompts[0].before, cases[0].prompts[0].after))) + 3 == 24
    return [*cases, *(case(name, name, answers) for name, answers in classes.items())]


def embed(llm: FrozenLLM, ids: tuple[int, ...]) -> Tensor:
    return llm.model.get_input_embeddings()(torch.tensor(ids))


def labels_of(llm: FrozenLLM, answer: str) -> tuple[int, ...]:
    text = llm.tokenizer(answer, add_special_tokens=False)["input_ids"]
    return (*text, llm.tokenizer.eos_token_id)


def processed_tokens(llm: FrozenLLM, case: Case) -> int:
    return sum(
        1 + len(prompt.after) + len(labels_of(llm, answer)) - 1
        for prompt, answer in zip(case.prompts, case.answers, strict=True)
    )


def ours(llm: FrozenLLM) -> Step:
    def step(case: Case) -> None:
        virtual = case.virtual.clone().requires_grad_()
        llm.loss(virtual, case.prompts, case.answers).backward()

    return step


def plain(llm: FrozenLLM) -> Step:
    """``model(inputs_embeds=…, labels=…)``, padded on the right."""

    def step(case: Case) -> None:
        virtual = case.virtual.clone().requires_grad_()
        rows, labels = [], []
        for tokens, prompt, answer in zip(virtual, case.prompts, case.answers, strict=True):
            target = labels_of(llm, answer)
            rows.append(
                torch.cat(
                    [
                        embed(llm, prompt.before),
                        tokens.to(llm.dtype),
                        embed(llm, prompt.after + target),
                    ]
                )
            )
            ignored = [-100] * (len(rows[-1]) - len(target))
            labels.append(torch.tensor([*ignored, *target]))
        mask = pad_sequence([torch.ones(len(row)) for row in rows], batch_first=True)
        llm.model(
            inputs_embeds=pad_sequence(rows, batch_first=True),
            attention_mask=mask.long(),
            labels=pad_sequence(labels, batch_first=True, padding_value=-100),
            use_cache=False,
        ).loss.backward()

    return step


def generate(llm: FrozenLLM, batch: int) -> Step:
    """transformers' ``generate``, padded on the left, ``batch`` rows at a time."""
    config = GenerationConfig(
        max_new_tokens=MAX_NEW_TOKENS,
        do_sample=False,
        eos_token_id=llm.tokenizer.eos_token_id,
        pad_token_id=llm.tokenizer.pad_token_id,
    )

    def step(case: Case) -> None:
        for start in range(0, BATCH, batch):
            rows = [
                torch.cat([embed(llm, p.before), v.to(llm.dtype), embed(llm, p.after)])
                for v, p in zip(
                    case.virtual[start : start + batch],
                    case.prompts[start : start + batch],
                    strict=True,
                )
            ]
            masks = [torch.ones(len(row), dtype=torch.long) for row in rows]
            with torch.no_grad():
                llm.model.generate(
                    inputs_embeds=pad_sequence(rows, batch_first=True, padding_side="left"),
                    attention_mask=pad_sequence(masks, batch_first=True, padding_side="left"),
                    generation_config=config,
                )

    return step


def load(method: str) -> FrozenLLM:
    """The language model as ``method`` runs it; only ours has fused weights."""
    dtype = torch.float32 if "fp32" in method else torch.bfloat16
    llm = FrozenLLM.load("smollm2-135m", dtype=dtype, device="cpu")
    if "eager" in method:
        llm.model.set_attn_implementation("eager")
    return llm


def methods() -> dict[str, Callable[[FrozenLLM], Step]]:
    return {"ours": ours, **dict.fromkeys(BARS, plain)}


def peak_products(llm: FrozenLLM, tokens: int) -> Iterator[tuple[float, Callable[[], Tensor]]]:
    """Operations and product: 4096³ and the layers' own, forward and backward."""
    config = llm.model.config
    hidden, wide = config.hidden_size, config.intermediate_size
    heads = config.num_attention_heads + 2 * config.num_key_value_heads
    shapes = [(4096, 4096, 4096)]
    for out, inner in [(heads * 64, hidden), (hidden, hidden), (2 * wide, hidden), (hidden, wide)]:
        shapes += [(tokens, inner, out), (tokens, out, inner)]
    for m, k, n in shapes:
        a, b = torch.randn(m, k).to(llm.dtype), torch.randn(k, n).to(llm.dtype)
        yield 2.0 * m * k * n, lambda a=a, b=b: a @ b  # type: ignore[misc]


def repeated(run: Callable[[], Any], count: int) -> None:
    for _ in range(count):
        run()


def resident_rise(method: str, threads: int) -> float:
    """MB that two training steps of ``method`` take at their highest, in a process of its own."""
    command = [sys.executable, __file__, "--memory", method, "--threads", str(threads)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def print_resident_rise(method: str) -> None:
    llm = load(method)
    step, case = methods()[method](llm), make_cases(llm)[0]
    gc.collect()
    reset = Path("/proc/self/clear_refs")
    if reset.exists():
        reset.write_text("5")  # the high-water mark starts again from here
    before = psutil.Process().memory_info().rss
    step(case)
    step(case)
    status = Path("/proc/self/status")
    if status.exists():
        line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM"))
        highest = int(line.split()[1]) * 1024
    else:
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        highest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    print((highest - before) / 1e6)


def spread(times: list[float], unit: float = 1.0) -> str:
    return (
        f"{statistics.median(times) * unit:.2f} ({min(times) * unit:.2f}–{max(times) * unit:.2f})"
    )


def table(header: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in [header, ["---"] * len(header), *rows]]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    parser.add_argument("--cases", nargs="*", help="only these, such as 32×24 commands")
    parser.add_argument("--no-answers", action="store_true", help="training only")
    parser.add_argument("--out", type=Path, help="write the tables to this file as well")
    parser.add_argument("--memory", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.memory:
        print_resident_rise(arguments.memory)
        return
    clock = time.perf_counter if arguments.clock == "wall" else time.process_time

    def timed(run: Callable[..., Any], *inputs: Any) -> float:
        start = clock()
        run(*inputs)
        return clock() - start

    llms = {name: load(name) for name in methods()}
    steps = {name: make(llms[name]) for name, make in methods().items()}
    llm = llms["ours"]
    cases = [c for c in make_cases(llm) if not arguments.cases or c.name in arguments.cases]
    body = sum(p.numel() for p in llm.model.model.layers.parameters())
    products = list(peak_products(llm, processed_tokens(llm, cases[0])))
    times: dict[tuple[str, str], list[float]] = {(m, c.name): [] for m in steps for c in cases}
    rates: list[list[float]] = [[] for _ in products]
    for repeat in range(arguments.repeats + 1):
        for case in cases:
            for method, step in steps.items():
                seconds = timed(step, case)
                if repeat:  # the first round warms up
                    times[method, case.name].append(seconds)
            for rate, (operations, product) in zip(rates, products, strict=True):
                count = max(1, round(4e9 / operations))
                rate.append(operations * count / timed(repeated, product, count))
        print(f"repeat {repeat} of {arguments.repeats}", file=sys.stderr)

    peak, luckiest = max(map(statistics.median, rates)), max(map(max, rates))
    report: list[str] = []

    def tell(*lines: str) -> None:
        """Print and write each table as soon as it is there: answering takes half an hour."""
        report.extend(lines)
        print("\n".join(lines), flush=True)
        if arguments.out:
            arguments.out.write_text("\n".join(report), encoding="utf-8")

    tell(
        f"{platform.processor() or platform.machine()}, {arguments.threads} threads, "
        f"{arguments.clock} clock, torch {torch.__version__}, medians of {arguments.repeats} "
        f"(smallest–largest); peak {peak / 1e9:.0f} GFLOP/s in {llm.dtype} "
        f"(single luckiest {luckiest / 1e9:.0f}); "
        f"N = {body / 1e6:.1f} million",
        "",
    )
    rows = []
    for case in cases:
        mine = times["ours", case.name]
        tokens = processed_tokens(llm, case)
        share = 4 * body * tokens / statistics.median(mine) / peak
        row = [case.name, str(tokens), spread(mine), f"{share:.0%}"]
        for method in BARS:
            # Ratios within a repeat, so that a disturbance touches both sides.
            ratios = [a / b for a, b in zip(times[method, case.name], mine, strict=True)]
            other = statistics.median(times[method, case.name])
            attainable = other * peak / (4 * body * tokens)
            row += [f"{other:.2f}", f"{spread(ratios)}×", f"{attainable:.1f}×"]
        rows.append(row)
    header = ["step", "tokens", "ours, s", f"of peak (bar {PEAK_BAR:.0%})"]
    for method, bar in BARS.items():
        header += [f"{method}, s", f"ratio (bar {bar}×)", "at the peak"]
    tell(table(header, rows), "")

    rises = {method: resident_rise(method, arguments.threads) for method in steps}
    tell(
        table(
            ["peak memory of a step, MB", *rises],
            [[cases[0].name, *(f"{mb:.0f}" for mb in rises.values())]],
        ),
        "",
    )

    if not arguments.no_answers:
        default = llms["plain bf16"]
        runs: dict[str, Step] = {
            "ours": lambda c: llm.answer(c.virtual, c.prompts, max_new_tokens=MAX_NEW_TOKENS),
            "batched": generate(default, BATCH),
            "single": generate(default, 1),
        }
        rows = []
        for case in cases[1:] or cases:
            taken: dict[str, list[float]] = {name: [] for name in runs}
            for _ in range(max(3, arguments.repeats // 2)):
                for name, run in runs.items():
                    taken[name].append(timed(run, case))
            answers = llm.answer(case.virtual, case.prompts, max_new_tokens=MAX_NEW_TOKENS)
            differing = batch_disagreement(llm, case.virtual, case.prompts)
            row = [
                case.name,
                f"{statistics.mean(a.tokens for a in answers):.1f}",
                spread(taken["ours"]),
            ]
            for name in ("batched", "single"):
                ratios = [a / b for a, b in zip(taken[name], taken["ours"], strict=True)]
                row += [f"{statistics.median(taken[name]):.2f}", f"{spread(ratios)}×"]
            rows.append([*row, f"{differing:.0%}"])
            print(f"answered {case.name}", file=sys.stderr)
        tell(
            table(
                [
                    "32 answers",
                    "tokens each",
                    "ours, s",
                    "generate, batched, s",
                    f"ratio (bar {BATCHED_BAR}×)",
                    "one by one, s",
                    f"ratio (bar {SINGLE_BAR}×)",
                    "differ in bf16, batch or single",
                ],
                rows,
            ),
            "",
        )


if __name__ == "__main__":
    main()
