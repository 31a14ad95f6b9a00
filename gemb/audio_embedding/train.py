"""Contrastive training: symmetric InfoNCE in one process or several, in little memory."""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from accelerate.utils import gather, reduce
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from gemb import records
from gemb.audio_embedding.config import Training
from gemb.audio_embedding.model import AudioEmbedder, Input, by_length
from gemb.device import this_process
from gemb.errors import UserError
from gemb.progress import progress
from gemb.train import schedule

# What may be trained: the audio tower, the projection, the body's layers with its last norm.
Trainable = Literal["tower", "projection", "body"]

# The logits' largest scale, as in CLIP and CLAP: beyond it training is unstable.
MAX_SCALE = 100.0


@dataclass(frozen=True)
class Pairs:
    """What belongs together, row by row.

    Attributes:
        left: Prepared clips (:meth:`AudioEmbedder.prepare`), or texts.
        right: Texts.
    """

    left: Sequence[Input]
    right: Sequence[str]

    def __post_init__(self) -> None:
        if not self.left or len(self.left) != len(self.right):
            raise UserError(f"{len(self.left)} clips or texts and {len(self.right)} texts to pair")

    @classmethod
    def of(cls, rows: Iterable[tuple[Input, str]]) -> Pairs:
        """From row after row."""
        listed = list(rows)
        return cls([left for left, _ in listed], [right for _, right in listed])

    @cached_property
    def names(self) -> tuple[list[str], list[str]]:
        """Texts, and clips by their hash: what is equal on a side has one name."""
        return [_name(x) for x in self.left], list(self.right)

    def labels(self) -> Tensor:
        """Numbers ``[N, 2]``, equal where two rows' left or right sides are the same."""
        columns = []
        for side in self.names:
            known = {x: n for n, x in enumerate(dict.fromkeys(side))}
            columns.append([known[x] for x in side])
        return torch.tensor(columns).T


@dataclass
class Fit:
    """How a training went."""

    losses: list[float] = field(default_factory=list)
    seconds: float = 0.0
    trainable: int = 0
    temperature: float = 0.0

    @property
    def steps(self) -> int:
        """Steps done."""
        return len(self.losses)


class InfoNCE(nn.Module):
    """Symmetric InfoNCE (van den Oord et al., 2018) with a fixed or learned temperature."""

    def __init__(self, temperature: float = 0.05, learnable: bool = True):
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(-math.log(temperature)), requires_grad=learnable)
        self.limit()

    @property
    def temperature(self) -> float:
        """What similarities are divided by."""
        return 1 / self._scale().item()

    def _scale(self) -> Tensor:
        return self.log_scale.exp()

    @torch.no_grad()
    def limit(self) -> None:
        """Take the scale back to its largest; after each step, since a scale that is clamped where
        it is used has no gradient beyond the limit and would never return."""
        self.log_scale.clamp_(max=math.log(MAX_SCALE))

    def forward(self, left: Tensor, right: Tensor, labels: Tensor | None = None) -> Tensor:
        """Mean loss of both directions of unit rows ``[B, D]``, row i with row i.

        Rows that share a label ``[B, 2]`` of either side are right answers too, and left out of
        each other's negatives.
        """
        with torch.autocast(left.device.type, enabled=False):
            logits = left @ right.T * self._scale()
        if labels is not None:
            alike = (labels[:, None] == labels[None]).any(-1)
            alike.fill_diagonal_(False)
            logits = logits.masked_fill(alike, -torch.inf)
        target = torch.arange(len(logits), device=logits.device)
        return (cross_entropy(logits, target) + cross_entropy(logits.T, target)) / 2


def backward(
    model: Callable[[Sequence[Input]], Tensor],
    criterion: Callable[[Tensor, Tensor, Tensor], Tensor],
    left: Sequence[Input],
    right: Sequence[Input],
    labels: Tensor,
    chunk: int,
    grad_cache: bool = False,
    collect: Callable[[Tensor], Tensor] = lambda x: x,
    seed: int = 0,
) -> float:
    """Loss of a batch, its gradients added to the model's and the criterion's parameters.

    Forward passes take ``chunk`` inputs of like length each. With ``grad_cache`` (Gao et al.,
    2021) they are made twice, first without a graph; the loss is differentiated down to the
    vectors, and then chunk by chunk from there, so that the activations of one chunk at a time
    are in memory, however large the batch. (sentence-transformers has this for its own models
    alone, which read no prepared clips.)

    Args:
        collect: Rows of this process to those of all, where there are several.
        seed: Of what is drawn in a forward pass, the same in both passes.
    """
    sides = (left, right)
    chunks = [
        (n, index)
        for n, side in enumerate(sides)
        for index in by_length([len(x) for x in side], chunk)
    ]

    def encode(number: int) -> Tensor:
        torch.manual_seed(seed + number)
        side, index = chunks[number]
        return model([sides[side][i] for i in index])

    with torch.set_grad_enabled(not grad_cache):
        vectors = [encode(n) for n in range(len(chunks))]
    if grad_cache:
        torch.clear_autocast_cache()  # its weights were rounded without a graph
        vectors = [v.detach().requires_grad_() for v in vectors]
    rows = []
    for n in range(len(sides)):
        mine = [(v, index) for v, (side, index) in zip(vectors, chunks, strict=True) if side == n]
        order = torch.tensor([i for _, index in mine for i in index])
        rows.append(collect(torch.cat([v for v, _ in mine])[order.argsort()]))
    loss = criterion(rows[0], rows[1], collect(labels.to(rows[0].device)))
    loss.backward()
    if grad_cache:
        for number, vector in enumerate(vectors):
            again = encode(number)
            if again.requires_grad:  # texts of a frozen body have nothing to train
                again.backward(vector.grad)
    return loss.item()


def train(
    model: AudioEmbedder,
    pairs: Pairs,
    settings: Training,
    trains: Sequence[Trainable],
    checkpoint: Path | None = None,
    on_step: Callable[[int, float], None] | None = None,
    label: str = "training",
) -> Fit:
    """Train parts of ``model`` in place, and leave it in ``eval`` mode without LoRA.

    The same seed, pairs and settings give the same weights, interrupted or not. Under
    ``accelerate launch`` all processes call this alike and share each batch: embeddings are
    gathered, and gradients summed, to the step that one process would make. All come to the same
    weights; saving them is for the main one.

    Args:
        model: On its device.
        pairs: Of which a last, incomplete batch of each epoch is left out.
        settings: Optimiser, batch, length.
        trains: Which parts; the others are frozen.
        checkpoint: A file to go on from, if it is there, and to write every so many steps.
        on_step: Called with the number of steps done and the loss, in the main process.
        label: Of the progress shown.

    Raises:
        UserError: The batch does not divide by the processes, the checkpoint belongs to another
            training, or the loss is no longer finite.
    """
    started = time.perf_counter()
    process = this_process()
    workers, rank = process.num_processes, process.process_index
    size = min(settings.batch_size, len(pairs.right)) // workers * workers
    if settings.batch_size % workers or size < 2:
        raise UserError(
            f"batches of {settings.batch_size} of {len(pairs.right)} pairs cannot be shared by "
            f"{workers} processes: choose a multiple of {workers} that the pairs suffice for"
        )
    per_epoch = len(pairs.right) // size
    steps = settings.steps or settings.epochs * per_epoch
    labels = pairs.labels()
    criterion = InfoNCE(settings.temperature, settings.learn_temperature).to(model.device)
    key = _key(model, pairs, settings, trains)

    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng())
        groups = stack.enter_context(_prepared(model, settings, trains))
        if settings.learn_temperature:
            own = {"params": [criterion.log_scale], "lr": settings.projection_rate}
            groups = [*groups, own | {"weight_decay": 0.0}]
        optimiser = torch.optim.AdamW(groups, weight_decay=settings.weight_decay, fused=True)
        rates = [g["lr"] for g in optimiser.param_groups]
        weights = [p for p in model.parameters() if p.requires_grad]
        out = Fit(trainable=sum(p.numel() for p in weights))
        state = _State(checkpoint, key, model, criterion, optimiser)
        state.load(out)
        mixed = torch.autocast(model.device.type, torch.bfloat16, enabled=settings.bfloat16)
        model.train()
        main = process.is_main_process
        bar = stack.enter_context(progress(label, steps - out.steps)) if main else None
        for step in range(out.steps, steps):
            index = _batch(len(pairs.right), size, step, settings.seed)[rank::workers]
            for group, rate in zip(optimiser.param_groups, rates, strict=True):
                group["lr"] = rate * schedule(step, steps, settings.warmup)
            optimiser.zero_grad(set_to_none=True)
            with mixed:
                loss = backward(
                    model,
                    criterion,
                    [pairs.left[i] for i in index],
                    [pairs.right[i] for i in index],
                    labels[index],
                    settings.chunk,
                    settings.grad_cache,
                    _gathered,
                    seed=_seed(settings.seed, step, rank),
                )
            if not math.isfinite(loss):
                raise UserError(
                    f"the loss is {loss} at step {step + 1}: lower the learning rate "
                    f"({settings.learning_rate:g}, projection {settings.projection_rate:g})"
                )
            if workers > 1:  # each holds the gradients by its own rows; the temperature's is whole
                for p in weights:
                    if p.grad is not None:
                        p.grad = reduce(p.grad, "sum")
            nn.utils.clip_grad_norm_(weights, settings.max_norm)
            optimiser.step()
            criterion.limit()
            out.losses.append(loss)
            due = out.steps % settings.checkpoint_every == 0 or out.steps == steps
            if due and main:
                state.save(out, finished=out.steps == steps)
            if bar is not None:
                bar.update(1)
            if on_step and main:
                on_step(out.steps, loss)
    out.temperature = criterion.temperature
    out.seconds = time.perf_counter() - started
    return out


@contextlib.contextmanager
def _prepared(
    model: AudioEmbedder, settings: Training, trains: Sequence[Trainable]
) -> Iterator[list[dict[str, Any]]]:
    """The parameter groups, all else frozen; with LoRA around the body, merged at the end."""
    model.requires_grad_(False)
    groups: list[dict[str, Any]] = []
    lora = "body" in trains and settings.lora_rank > 0
    if lora:
        from peft import LoraConfig, get_peft_model

        config = LoraConfig(
            r=settings.lora_rank, lora_alpha=settings.lora_alpha, target_modules="all-linear"
        )
        torch.manual_seed(settings.seed)
        model.body = get_peft_model(model.body, config)  # makes its own weights trainable
    elif "body" in trains:
        model.body.requires_grad_(True)
        model.body.get_input_embeddings().requires_grad_(settings.token_embeddings)
    if "tower" in trains and model.tower is not None:
        model.tower.requires_grad_(True)
    if "projection" in trains:
        model.projection.requires_grad_(True)
    try:
        for parts, rate in (
            ([model.projection], settings.projection_rate),
            ([model.body, model.tower], settings.learning_rate),
        ):
            trained = [p for m in parts if m is not None for p in m.parameters() if p.requires_grad]
            if trained:
                groups.append({"params": trained, "lr": rate})
        yield groups
    finally:
        if lora:
            model.body = model.body.merge_and_unload()
        model.requires_grad_(False)
        model.eval()


@dataclass
class _State:
    """A training's state in a file, for going on after an interruption."""

    path: Path | None
    key: str
    model: AudioEmbedder
    criterion: InfoNCE
    optimiser: torch.optim.Optimizer

    def _weights(self) -> dict[str, Tensor]:
        return {n: p for n, p in self.model.named_parameters() if p.requires_grad}

    def save(self, fit: Fit, finished: bool) -> None:
        if self.path is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_suffix(".part")
        content = {
            "key": self.key,
            "losses": fit.losses,
            "weights": self._weights(),
            "criterion": self.criterion.state_dict(),
            "optimiser": None if finished else self.optimiser.state_dict(),
        }
        torch.save(content, part)
        os.replace(part, self.path)

    def load(self, fit: Fit) -> None:
        if self.path is None or not self.path.exists():
            return
        try:
            content = torch.load(self.path, map_location=self.model.device, weights_only=True)
        except Exception as error:  # whatever a damaged file makes the reader trip over
            raise UserError(f"{self.path}: {error}; delete it to train anew") from error
        if content["key"] != self.key:
            raise UserError(
                f"{self.path} belongs to a training on other pairs, with other settings or from "
                "another start: "
                "choose another folder, or delete it to train anew"
            )
        with torch.no_grad():
            for name, parameter in self._weights().items():
                parameter.copy_(content["weights"][name])
        self.criterion.load_state_dict(content["criterion"])
        if content["optimiser"] is not None:
            self.optimiser.load_state_dict(content["optimiser"])
        fit.losses[:] = content["losses"]


def _key(
    model: AudioEmbedder, pairs: Pairs, settings: Training, trains: Sequence[Trainable]
) -> str:
    """Stands for all that decides the outcome, the weights that are started from among it.

    Of those the projection and the body's last layer stand for all: a stage before this one, or
    another start, moved one of the two.
    """
    said = settings.model_dump(exclude={"checkpoint_every", "chunk", "grad_cache"})
    marking = [*model.projection.parameters(), *model.body.layers[-1].parameters()]
    start = [_name(p.detach().float().cpu().numpy()) for p in marking]
    parts = model.parts.model_dump(mode="json")
    return records.digest([parts, start, pairs.names, said, list(trains)])


def _batch(count: int, size: int, step: int, seed: int) -> np.ndarray:
    """Indices of a step's batch: every epoch in an order of its own, whole batches only."""
    epoch, number = divmod(step, count // size)
    order = np.random.default_rng([seed, epoch]).permutation(count)
    return order[number * size : (number + 1) * size]


def _seed(*parts: int) -> int:
    return int(np.random.SeedSequence(parts).generate_state(1)[0])


def _gathered(rows: Tensor) -> Tensor:
    """The rows of all processes, in their order; only those of this one carry a gradient."""
    process = this_process()
    if process.num_processes == 1:
        return rows
    everyone: Tensor = gather(rows.detach())
    begin = process.process_index * len(rows)
    return torch.cat([everyone[:begin], rows, everyone[begin + len(rows) :]])


def _name(value: Input) -> str:
    if isinstance(value, str):
        return value
    return hashlib.sha256(repr(value.shape).encode() + value.tobytes()).hexdigest()
