"""A contrastive training as a reader's script: run by ``accelerate launch``, or in one process."""

import sys
from typing import Any

import torch
from tiny_audio import clips

from gemb.audio_embedding import train as training
from gemb.audio_embedding.config import Parts, Training
from gemb.audio_embedding.model import AudioEmbedder
from gemb.audio_embedding.train import Pairs
from gemb.device import this_process


def pairs(count: int = 10) -> Pairs:
    """Clips of different lengths; two captions are the same."""
    words = [f"caption {n % (count - 1)}" for n in range(count)]
    return Pairs(clips([2 + n % 5 for n in range(count)]), words)


def gradients(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def train(llm: str, grad_cache: bool) -> dict[str, Any]:
    """Losses, gradients of each step (not clipped) and temperature of three steps."""
    parts = Parts.model_validate({"audio": ("yamnet",), "llm": llm})
    model = AudioEmbedder.build(parts, device="cpu")
    seen: dict[str, torch.Tensor] = {}

    def keep(step: int, loss: float) -> None:
        seen.update({f"{step} {name}": grad for name, grad in gradients(model).items()})

    settings = Training(
        batch_size=4, chunk=3, steps=3, max_norm=1e9, grad_cache=grad_cache, projection_rate=1e-2
    )
    fit = training.train(model, pairs(), settings, ("projection", "body"), on_step=keep)
    return {
        "processes": this_process().num_processes,
        "losses": fit.losses,
        "gradients": seen,
        "temperature": fit.temperature,
    }


if __name__ == "__main__":
    done = [train(sys.argv[1], grad_cache) for grad_cache in (False, True)]
    process = this_process()
    if process.is_main_process:
        torch.save(done, sys.argv[2])
    process.destroy_process_group()
