"""A training as a reader's script: run by ``accelerate launch``, or in a process of its own."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from gemb.device import this_process
from gemb.evaluate import Examples
from gemb.llm import FrozenLLM
from gemb.profiles import Training
from gemb.train import Fit, fit

ANSWERS = ["up", "a small brown dog", "t-shirt"]


def train() -> Fit:
    """Items of one to three vectors and answers of unlike length; the last batch is one item."""
    llm = FrozenLLM.load("qwen3-tiny", dtype=torch.float32, device="cpu")
    rng = np.random.default_rng(0)
    vectors = [rng.normal(size=(1 + n % 3, 12)).astype(np.float32) for n in range(13)]
    data = Examples(vectors, [llm.prompt("What is it?")] * 13, (ANSWERS * 5)[:13])
    settings = Training(hidden=16, epochs=3, batch_size=4, noise=0.5)
    return fit(llm, data, data, settings, encoder="fake", num_virtual_tokens=2)


if __name__ == "__main__":
    done, folder, process = train(), Path(sys.argv[1]), this_process()
    folder.mkdir(exist_ok=True)
    # each process notes its own end, to be compared; a reader's script would save the main one's
    torch.save(done.adaptor.state_dict(), folder / f"{process.process_index}.pt")
    history = [asdict(epoch) for epoch in done.history]
    (folder / f"{process.process_index}.json").write_text(json.dumps(history))
    process.destroy_process_group()
