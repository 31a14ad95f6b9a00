"""The noise on the adaptor's inputs and its epochs, by task, on validation items alone.

    python tests/benchmarks/noise_by_task.py [--tasks gender emotion] [--folds 0 1]

Noise does for the adaptor what a penalty does for logistic regression, and the baselines' penalty
is chosen for each task and fold on validation items. This prints what the adaptor scores there
under several settings, beside the baselines, in the sizes of the profile ``study``. A fold's own
test items are not looked at; but where folds are over groups, one fold's validation items are
tested in another, and the choice is one for all folds. ``gemb.profiles`` holds what was chosen.
"""

from __future__ import annotations

import argparse

import numpy as np

from gemb import baselines, metrics, profiles
from gemb.data.items import Item
from gemb.evaluate import Examples
from gemb.experiments import single_task
from gemb.llm import FrozenLLM
from gemb.train import fit

# (noise, epochs) of tasks that are cross-validated over few groups, and of the others
FEW = [(0.7, 4), (1.2, 4), (1.2, 5), (1.5, 5), (2.0, 5)]
MANY = [(0.7, 3), (1.2, 3), (1.5, 3), (2.0, 3), (1.5, 6)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    tasks = (*profiles.FOLD_TASKS, "clothing", "digits")
    parser.add_argument("--tasks", nargs="+", default=tasks)
    parser.add_argument("--folds", nargs="+", type=int, default=(0, 1))
    asked = parser.parse_args()
    llm = FrozenLLM.load()
    print(
        "| task | fold | noise | epochs | validation accuracy, each epoch | logistic regression |"
    )
    print("|---|---|---|---|---|---|")
    for task in asked.tasks:
        study = profiles.get("study").model_copy(
            update={"tasks": (task,), "protocols": ("leak-free",)}
        )
        (ready,), slug = single_task.prepare(study)
        prompt = llm.prompt(ready.task.prompt)
        vectors = ready.embedded.vectors
        for number, fold in enumerate(ready.folds["leak-free"]):
            if number not in asked.folds:
                continue

            def examples(items: tuple[Item, ...]) -> Examples:
                found = np.concatenate([vectors[i.media.key] for i in items])  # noqa: B023
                return Examples(found, [prompt] * len(items), [i.answer for i in items])  # noqa: B023

            train, val = examples(fold.train), examples(fold.val)
            method = "logistic regression"
            simple = baselines.predictions(
                train.rows, train.answers, val.rows, val.answers, val.rows, methods=(method,)
            )[method]
            hits = [metrics.exact_match(a, t) for a, t in zip(simple, val.answers, strict=True)]
            for noise, epochs in FEW if task in profiles.FOLD_TASKS else MANY:
                settings = study.training.model_copy(update={"noise": noise, "epochs": epochs})
                history = fit(llm, train, val, settings, encoder=slug).history
                each = " ".join(f"{100 * e.val_accuracy:.0f}" for e in history)
                print(
                    f"| {task} | {number} | {noise} | {epochs} | {each} "
                    f"| {100 * np.mean(hits):.0f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
