"""Fitting an adaptor to a frozen language model."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from accelerate.utils import broadcast, reduce
from torch import Tensor
from torch.nn.functional import pad

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
# Adaptors trained side by side: more gain little on two cores, and are lost if interrupted.
AT_ONCE = 8
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


@dataclass(frozen=True)
class Job:
    """An adaptor to be trained: what :func:`fit` takes but the language model, which see."""

    train: Examples
    val: Examples
    settings: Training
    encoder: str
    num_virtual_tokens: int = 1
    seed: int = 0
    choose_by: Choice = "exact match"
    film: bool = False
    start: Mapping[str, Tensor] | None = None
    about: Mapping[str, str] | None = None
    progress: Callable[[Epoch], object] | None = None


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
    job = Job(
        train,
        val,
        settings,
        encoder,
        num_virtual_tokens,
        seed,
        choose_by,
        film,
        start,
        about,
        progress,
    )
    ((_, fitted),) = fit_together(llm, [job])
    return fitted


def fit_together(
    llm: FrozenLLM, jobs: Iterable[Job | None], at_once: int = AT_ONCE
) -> Iterator[tuple[int, Fit]]:
    """Train several adaptors side by side, each as :func:`fit` would train it alone.

    The language model is frozen and reads sequence by sequence, so one pass of it serves a batch
    of every adaptor; the batches of a single one are too small to fill the machine. An adaptor's
    order, noise and weights do not depend on which others are trained beside it, but for the
    rounding of products of another size. Its ``seconds`` are an equal share of each pass.

    Args:
        llm: As for :func:`fit`.
        jobs: Each is asked for when there is room for it. ``None`` is not counted: what comes
            next has to wait for a job that is still being trained.
        at_once: So many side by side, at most.

    Yields:
        Number and result of each job, as soon as it has ended.
    """
    waiting, begun = iter(jobs), 0
    going: dict[int, _Training] = {}
    while True:
        while len(going) < at_once and (job := next(waiting, None)):
            going[begun], begun = _Training(llm, job), begun + 1
        if not going:
            return
        started = time.perf_counter()
        losses = _backward(llm, [t.ask() for t in going.values()])
        for training, loss in zip(going.values(), losses, strict=True):
            training.update(loss)
        share = (time.perf_counter() - started) / len(going)
        for training in going.values():
            training.out.seconds += share
            training.close_epoch()
        for number in [n for n, training in going.items() if training.done]:
            yield number, going.pop(number).result()


# A batch, its virtual tokens and their mask.
Asked = tuple[Examples, Tensor, Tensor | None]


def backward(adaptor: Adaptor, llm: FrozenLLM, batch: Examples) -> Tensor:
    """Add the gradient of a batch's mean loss to the adaptor's gradients; return that loss."""
    return _backward(llm, [(batch, *virtual_tokens(adaptor, batch, llm))])[0]


def _backward(llm: FrozenLLM, asked: Sequence[Asked]) -> list[Tensor]:
    """Add the gradients of each batch's mean loss to its adaptor's gradients; return the losses.

    Of several processes each takes its share of every batch through the language model. The
    gradients of the virtual tokens are then summed, and every process takes all of them back
    through the adaptors, which is a small part of the work. So each computes the numbers that one
    process alone would, noise included, and the weights, alike everywhere, need not be sent.
    """
    process = this_process()
    share = slice(process.process_index, None, process.num_processes)
    leaves = [virtual.detach().requires_grad_() for _, virtual, _ in asked]
    mine = []
    for (batch, _, mask), leaf in zip(asked, leaves, strict=True):
        leaf.grad = torch.zeros_like(leaf)
        part = batch.take(range(len(batch))[share])
        if len(part):  # a small last batch may not have an item for each process
            mine.append((part, leaf[share], None if mask is None else mask[share]))
    totals = torch.zeros(len(asked), device=llm.device)
    if mine:
        virtual, mask = _side_by_side([v for _, v, _ in mine], [m for *_, m in mine])
        # means over the label tokens of whole batches, not of shares
        owner = [n for n, (batch, *_) in enumerate(asked) for _ in range(len(batch))[share]]
        labels = [llm.count_labels(batch.answers) for batch, *_ in asked]
        weights = torch.tensor([1 / labels[n] for n in owner], device=llm.device)
        index = torch.tensor(owner, device=llm.device)
        losses = llm.losses(
            virtual,
            [p for part, *_ in mine for p in part.prompts],
            [a for part, *_ in mine for a in part.answers],
            mask,
        )
        totals = totals.index_add(0, index, losses * weights)
        totals.sum().backward()
    for (_, virtual, _), leaf in zip(asked, leaves, strict=True):
        virtual.backward(reduce(leaf.grad, "sum"))
    return list(reduce(totals.detach(), "sum"))


def _side_by_side(
    virtual: Sequence[Tensor], masks: Sequence[Tensor | None]
) -> tuple[Tensor, Tensor | None]:
    """Virtual tokens ``[B_i, n_i, H]`` as one ``[B, n, H]``, masked where a row has fewer."""
    width = max(v.shape[1] for v in virtual)
    if all(v.shape[1] == width and m is None for v, m in zip(virtual, masks, strict=True)):
        return torch.cat(list(virtual)), None
    known = [
        torch.ones(v.shape[:2], dtype=torch.bool, device=v.device) if m is None else m
        for v, m in zip(virtual, masks, strict=True)
    ]
    return (
        torch.cat([pad(v, (0, 0, 0, width - v.shape[1])) for v in virtual]),
        torch.cat([pad(m, (0, width - m.shape[1])) for m in known]),
    )


class _Training:
    """An adaptor in training, one step at a time; all that it draws comes from its own seed."""

    def __init__(self, llm: FrozenLLM, job: Job):
        begun = time.perf_counter()
        self._main = this_process().is_main_process  # first of all: it makes them a group
        self._llm, self._job = llm, job
        self._random = _Random(job.seed, llm.device)
        self._order = np.random.default_rng(job.seed)
        settings = job.settings
        with self._random:
            adaptor = Adaptor(
                job.train.rows.shape[1],
                llm.hidden_size,
                job.num_virtual_tokens,
                settings.hidden,
                encoder=job.encoder,
                llm=llm.identity().slug,
                noise=settings.noise,
                output_scale=settings.output_scale,
                activation=settings.activation,
                condition=llm.hidden_size if job.film else 0,
                about=dict(job.about or {}),
            )
            if settings.standardise:
                adaptor.standardise_by(job.train.rows)
            adaptor.to(llm.device)
            if job.start is not None:
                learnt = {k: v for k, v in job.start.items() if k.startswith("layers.")}
                adaptor.load_state_dict(learnt, strict=False)
            elif settings.warm_start:
                warm_start(adaptor, llm, job.train, settings.warm_start)
        self._optimiser = torch.optim.AdamW(
            adaptor.parameters(),
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
            fused=True,  # of a wide adaptor the plain loop's step takes half as long as all else
        )
        steps = settings.epochs * math.ceil(len(job.train) / settings.batch_size)
        self._scheduler = torch.optim.lr_scheduler.LambdaLR(
            self._optimiser, lambda step: schedule(step, steps, settings.warmup)
        )
        # an answer longer than every right one cannot match: cut there, validation is quick
        answers = {*job.val.answers, *job.train.answers}
        self._longest = max(llm.count_labels([a]) for a in answers)
        self._best: tuple[float, float] | None = None
        self._kept: dict[str, Tensor] = {}
        self._losses: list[Tensor] = []
        self._todo: list[np.ndarray] = []
        self.out = Fit(adaptor)
        self.done = False
        self.out.seconds = time.perf_counter() - begun

    def ask(self) -> Asked:
        """The next batch, its virtual tokens and their mask."""
        adaptor, job = self.out.adaptor, self._job
        if not self._todo:  # an epoch begins
            adaptor.train()
            for weight in adaptor.parameters():  # unlike processors round unlike
                broadcast(weight.data)
            self._todo = batches(job.train, job.settings.batch_size, self._order)
        batch = job.train.take(self._todo.pop(0))
        self._optimiser.zero_grad(set_to_none=True)
        with self._random:
            virtual, mask = virtual_tokens(adaptor, batch, self._llm)
        return batch, virtual, mask

    def update(self, loss: Tensor) -> None:
        """Step by the gradients that are there."""
        self._optimiser.step()
        self._scheduler.step()
        self._losses.append(loss)
        self.out.steps += 1

    def close_epoch(self) -> None:
        """If an epoch has ended, validate it, keep the best, and see whether it was the last."""
        if self._todo:
            return
        begun = time.perf_counter()
        out, job, main = self.out, self._job, self._main
        epoch = len(out.history) + 1
        scores = (0.0, 0.0)
        if main:
            scores = _validate(out.adaptor, self._llm, job.val, job.choose_by, self._longest)
        agreed = torch.tensor(scores, dtype=torch.float64, device=self._llm.device)
        score, logprob = broadcast(agreed).tolist()
        accuracy = score if job.choose_by == "exact match" else None
        loss = float(torch.stack(self._losses).double().mean())
        row = Epoch(epoch, loss, accuracy, logprob)
        self._losses = []
        out.history.append(row)
        if job.progress and main:
            job.progress(row)
        if self._best is None or (score, logprob) > self._best:
            self._best, out.best_epoch = (score, logprob), epoch
            self._kept = {k: v.detach().clone() for k, v in out.adaptor.state_dict().items()}
        late = epoch - out.best_epoch >= job.settings.patience
        self.done = late or epoch == job.settings.epochs
        out.seconds += time.perf_counter() - begun

    def result(self) -> Fit:
        """The best epoch's adaptor."""
        self.out.adaptor.load_state_dict(self._kept)
        self.out.adaptor.eval()
        return self.out


class _Random:
    """A stream of torch's random numbers of its own: inside ``with`` it goes on where it was."""

    def __init__(self, seed: int, device: torch.device):
        self._cuda = [device] if device.type == "cuda" else []
        with torch.random.fork_rng(self._cuda):
            torch.manual_seed(seed)
            self._states = self._now()

    def _now(self) -> list[Tensor]:
        return [torch.get_rng_state(), *(torch.cuda.get_rng_state(d) for d in self._cuda)]

    def _set(self, states: Sequence[Tensor]) -> None:
        torch.set_rng_state(states[0])
        for device, state in zip(self._cuda, states[1:], strict=True):
            torch.cuda.set_rng_state(state, device)

    def __enter__(self) -> None:
        self._outside = self._now()
        self._set(self._states)

    def __exit__(self, *_: object) -> None:
        self._states = self._now()
        self._set(self._outside)


def _validate(
    adaptor: Adaptor, llm: FrozenLLM, val: Examples, choose_by: Choice, longest: int
) -> tuple[float, float]:
    """Accuracy, 0 unless that is what counts, and mean log-probability of a token."""
    if choose_by == "surprisal":
        return 0.0, -float(surprisal(adaptor, llm, val).sum()) / llm.count_labels(val.answers)
    answers = predict(adaptor, llm, val, max_new_tokens=longest)
    hits = [exact_match(a.text, t) for a, t in zip(answers, val.answers, strict=True)]
    return float(np.mean(hits)), float(np.mean([a.logprob for a in answers]))
