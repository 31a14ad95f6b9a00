"""A training step's time alone, and side by side with those of other adaptors.

    python tests/benchmarks/side_by_side.py [--repeats 9] [--out book/records/side_by_side.md]

Batches of four, as every training here has, of the tasks' real prompts and answers; vectors are
drawn, for they decide nothing about speed. The numbers of adaptors take turns in one run; medians.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from training_speed import make_cases, spread, table

from gemb.evaluate import Examples
from gemb.llm import FrozenLLM
from gemb.profiles import Training
from gemb.train import Job, fit_together

AT_ONCE = (1, 2, 4, 8)
DIMENSIONS = 2720
SETTINGS = Training(epochs=1, warm_start=0.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--out", type=Path, help="write the table to this file as well")
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    llm, rng = FrozenLLM.load(), np.random.default_rng(0)
    cases = {c.name: c for c in make_cases(llm) if c.name in ("clothing", "gender", "commands")}

    def job(case: str, seed: int) -> Job:
        prompts, answers = cases[case].prompts, cases[case].answers
        rows = rng.normal(size=(len(answers), DIMENSIONS)).astype(np.float32)
        every = Examples(rows, prompts, answers)
        return Job(every, every.take([0]), SETTINGS, "drawn", seed=seed)

    def milliseconds(case: str, count: int) -> float:
        jobs = [job(case, seed) for seed in range(count)]
        started = time.perf_counter()
        done = list(fit_together(llm, jobs, at_once=count))
        return 1e3 * (time.perf_counter() - started) / sum(fit.steps for _, fit in done)

    times: dict[tuple[str, int], list[float]] = {(c, n): [] for c in cases for n in AT_ONCE}
    for repeat in range(arguments.repeats + 1):
        for (case, count), found in times.items():
            took = milliseconds(case, count)
            if repeat:  # the first round warms up
                found.append(took)

    def ratio(case: str) -> str:
        one, most = (statistics.median(times[case, n]) for n in (1, AT_ONCE[-1]))
        return f"{one / most:.2f}"

    rows = [[case, *(spread(times[case, n]) for n in AT_ONCE), ratio(case)] for case in cases]
    header = ["answers of", *(f"{n} at once, ms" for n in AT_ONCE), f"1 : {AT_ONCE[-1]}"]
    text = (
        f"{platform.machine()}, 2 threads, torch {torch.__version__}, {llm.dtype}; milliseconds a "
        f"step of one adaptor, medians of {arguments.repeats} (smallest–largest)\n\n"
        + table(header, rows)
        + "\n"
    )
    print(text)
    if arguments.out:
        arguments.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
