"""Fitting an adaptor to a frozen language model."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from accelerate.utils import broadcast, reduce
from torch import Tensor

from gemb.adaptor import Adaptor
from gemb.device import this_process
from gemb.evaluate import Examples, predict, surprisal, virtual_tokens
from gemb.llm import FrozenLLM
from gemb.metrics import exact_match
from gemb.profiles import Training

# How the best epoch is chosen. Where answers are seldom or never right word for word, the
# surprisal at the right ones still tells epochs apart.
Choice = Literal["exact match", "surprisal"]
# The warm start's regression sees at most about so many rows: memory, not accuracy.
MOST_ROWS = 40_000
# Penalty of the warm start's regression, on activations of about unit size.
RIDGE = 10.0


@dataclass
class Epoch:
    """What one pass over the training items gave.

    ``val_logprob`` is the mean log-probability of a token: of the answers given, or, where epochs
    are chosen by surprisal, of the right ones; ``val_accuracy`` is then not measured.
    """

    epoch: int
    train_loss: float
    val_accuracy: float | None
    val_logprob: float


@dataclass
class Fit:
    """A trained adaptor (its best epoch's weights) and how it came about."""

    adaptor: Adaptor
    history: list[Epoch] = field(default_factory=list)
    best_epoch: int = 0
    seconds: float = 0.0
    steps: int = 0


def schedule(step: int, steps: int, warmup: float) -> float:
    """Learning-rate factor: linear warm-up, then half a cosine down to zero."""
    rising = max(1, round(warmup * steps))
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))


def batches(
    examples: Examples, size: int, rng: np.random.Generator | None = None
) -> list[np.ndarray]:
    """Indices of batches; with ``rng`` in random order, answers of like length together.

    Like lengths together leave little padding: windows of eight batches are
    sorted by answer length, then the batches are shuffled.
    """
    order = np.arange(len(examples)) if rng is None else rng.permutation(len(examples))
    lengths = np.array([len(a) for a in examples.answers])
    window = 8 * size
    for begin in range(0, len(order), window):
        part = order[begin : begin + window]
        order[begin : begin + window] = part[np.argsort(lengths[part], kind="stable")]
    cut = [order[i : i + size] for i in range(0, len(order), size)]
    return cut if rng is None else [cut[i] for i in rng.permutation(len(cut))]


@torch.no_grad()
def warm_start(
    adaptor: Adaptor, llm: FrozenLLM, train: Examples, length: float, draws: int = 8
) -> None:
    """Set the last layer so that each virtual token spells its training item's answer.

    A ridge regression from what the last layer sees (under ``draws`` draws of the training
    noise) to the mean embedding of the answer's tokens, stretched to root mean square
    ``length``. Without it the first of a few epochs goes by in finding out what a virtual
    token may look like at all.

    Args:
        adaptor: Standardised already.
        llm: Whose embeddings are meant.
        train: Training examples.
        length: Of the tokens to start from.
        draws: Draws of the noise.
    """
    targets = llm.answer_embeddings(train.answers)  # [N, H]
    targets *= length / targets.square().mean(-1, keepdim=True).sqrt()
    # one target a vector: every chunk of a sound starts from the whole answer
    targets = targets.repeat_interleave(torch.from_numpy(train.counts).to(llm.device), 0)
    draws = max(1, min(draws, MOST_ROWS // len(targets)))
    targets = targets.repeat(draws, 1)  # [draws·n, H]
    vectors = torch.from_numpy(np.ascontiguousarray(train.rows, np.float32)).to(llm.device)
    adaptor.train()
    prompts = None
    if adaptor.condition:
        prompts = llm.prompt_embeddings(train.prompts)
        prompts = prompts.repeat_interleave(torch.from_numpy(train.counts).to(llm.device), 0)
    seen = torch.cat([adaptor.before_last(vectors, prompts) for _ in range(draws)])
    mean, centre = seen.mean(0), targets.mean(0)
    centred = (seen - mean).double()
    gram = centred.T @ centred + RIDGE * torch.eye(len(mean), device=mean.device)
    weight = torch.linalg.solve(gram, centred.T @ (targets - centre).double()).float()
    bias, k = centre - mean @ weight, adaptor.num_virtual_tokens  # the same for each token
    adaptor.last.weight.copy_((weight.T / adaptor.output_scale).repeat(k, 1))
    adaptor.last.bias.copy_((bias / adaptor.output_scale).repeat(k))


def backward(adaptor: Adaptor, llm: FrozenLLM, batch: Examples) -> Tensor:
    """Add the gradient of a batch's mean loss to the adaptor's gradients; return that loss.

    Of several processes each takes its share of the batch through the language model. The
    gradients of the virtual tokens are then summed, and every process takes all of them back
    through the adaptor, which is a small part of the work. So each computes the numbers that one
    process alone would, noise included, and the weights, alike everywhere, need not be sent.
    """
    process = this_process()
    virtual, mask = virtual_tokens(adaptor, batch, llm)
    leaf = virtual.detach().requires_grad_()
    leaf.grad = torch.zeros_like(leaf)
    total = torch.zeros((), device=llm.device)
    share = slice(process.process_index, None, process.num_processes)
    mine = batch.take(range(len(batch))[share])
    if len(mine):  # a small last batch may not have an item for each process
        loss = llm.loss(
            leaf[share], mine.prompts, mine.answers, None if mask is None else mask[share]
        )
        # a mean over the label tokens of the whole batch, not of each share
        loss = loss * (llm.count_labels(mine.answers) / llm.count_labels(batch.answers))
        loss.backward()
        total = loss.detach()
    virtual.backward(reduce(leaf.grad, "sum"))
    return reduce(total, "sum")


def fit(
    llm: FrozenLLM,
    train: Examples,
    val: Examples,
    settings: Training,
    *,
    encoder: str,
    num_virtual_tokens: int = 1,
    seed: int = 0,
    choose_by: Choice = "exact match",
    film: bool = False,
    start: Mapping[str, Tensor] | None = None,
    about: Mapping[str, str] | None = None,
    progress: Callable[[Epoch], None] | None = None,
) -> Fit:
    """Train an adaptor on ``train`` and keep the epoch that is best on ``val``.

    Best is the most exact matches, then the highest mean log-probability of
    the answers given; or the least surprisal at the right answers. Stops
    after ``settings.patience`` epochs without a better one.

    Under ``accelerate launch`` all processes call this alike and share each batch; the main
    process validates, and all return the same adaptor. Saving it is for the main one.

    Args:
        llm: Stays as it is: no gradient reaches its weights.
        train: Training examples; only their answers enter the loss.
        val: Validation examples.
        settings: Width, optimiser, epochs.
        encoder: Slug of the encoder's identity, kept with the adaptor.
        num_virtual_tokens: k.
        seed: Of initialisation and order.
        choose_by: ``exact match`` or ``surprisal``.
        film: Condition the hidden layer on the prompt.
        start: Weights to start from, in place of the warm start.
        about: Kept with the adaptor, which see.
        progress: Called after each epoch, in the main process.
    """
    started = time.perf_counter()
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    adaptor = Adaptor(
        train.rows.shape[1],
        llm.hidden_size,
        num_virtual_tokens,
        settings.hidden,
        encoder=encoder,
        llm=llm.identity().slug,
        noise=settings.noise,
        output_scale=settings.output_scale,
        activation=settings.activation,
        condition=llm.hidden_size if film else 0,
        about=dict(about or {}),
    )
    if settings.standardise:
        adaptor.standardise_by(train.rows)
    adaptor.to(llm.device)
    if start is not None:
        learnt = {k: v for k, v in start.items() if k.startswith("layers.")}
        adaptor.load_state_dict(learnt, strict=False)
    elif settings.warm_start:
        warm_start(adaptor, llm, train, settings.warm_start)
    optimiser = torch.optim.AdamW(
        adaptor.parameters(),
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
        fused=True,  # of a wide adaptor the plain loop's step takes half as long as all the rest
    )
    steps = settings.epochs * math.ceil(len(train) / settings.batch_size)
    scheduler = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: schedule(step, steps, settings.warmup)
    )
    # an answer that is longer than every right one cannot match: cut there, validation is quick
    longest = max(llm.count_labels([a]) for a in {*val.answers, *train.answers})
    main = this_process().is_main_process
    out = Fit(adaptor)
    best: tuple[float, float] | None = None
    kept: dict[str, Tensor] = {}
    for epoch in range(1, settings.epochs + 1):
        adaptor.train()
        for weight in adaptor.parameters():  # unlike processors round unlike
            broadcast(weight.data)
        losses = []
        for index in batches(train, settings.batch_size, rng):
            optimiser.zero_grad(set_to_none=True)
            losses.append(backward(adaptor, llm, train.take(index)))
            optimiser.step()
            scheduler.step()
            out.steps += 1
        scores = _validate(adaptor, llm, val, choose_by, longest) if main else (0.0, 0.0)
        agreed = torch.tensor(scores, dtype=torch.float64, device=llm.device)
        score, logprob = broadcast(agreed).tolist()
        accuracy = score if choose_by == "exact match" else None
        row = Epoch(epoch, float(torch.stack(losses).double().mean()), accuracy, logprob)
        out.history.append(row)
        if progress and main:
            progress(row)
        if best is None or (score, logprob) > best:
            best, out.best_epoch = (score, logprob), epoch
            kept = {k: v.detach().clone() for k, v in adaptor.state_dict().items()}
        elif epoch - out.best_epoch >= settings.patience:
            break
    adaptor.load_state_dict(kept)
    adaptor.eval()
    out.seconds = time.perf_counter() - started
    return out


def _validate(
    adaptor: Adaptor, llm: FrozenLLM, val: Examples, choose_by: Choice, longest: int
) -> tuple[float, float]:
    """Accuracy, 0 unless that is what counts, and mean log-probability of a token."""
    if choose_by == "surprisal":
        return 0.0, -float(surprisal(adaptor, llm, val).sum()) / llm.count_labels(val.answers)
    answers = predict(adaptor, llm, val, max_new_tokens=longest)
    hits = [exact_match(a.text, t) for a, t in zip(answers, val.answers, strict=True)]
    return float(np.mean(hits)), float(np.mean([a.logprob for a in answers]))
