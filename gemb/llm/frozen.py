"""The frozen language model as the rest of the project sees it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gemb.device import best_device, best_dtype, describe
from gemb.llm import loading
from gemb.llm.decoder import MAX_LENGTH, PackedDecoder, supports
from gemb.llm.generic import GenericDecoder
from gemb.llm.packing import Decoder, Packed, pack
from gemb.llm.template import Prompt, encode, end_of_turn, render_prompt


@dataclass(frozen=True)
class LLMIdentity:
    """Which language model: an adaptor trained for one identity fits no other.

    ``weights_sha256`` is taken of the weights rounded to bfloat16, so that it
    is the same whether the model runs in float32 or bfloat16.
    """

    name: str
    revision: str
    weights_sha256: str

    @property
    def slug(self) -> str:
        """One word for it, as kept with adaptors and records."""
        return f"{self.name}-{self.weights_sha256[:12]}"


@dataclass(frozen=True)
class Answer:
    """A generated answer.

    Attributes:
        text: The answer, without the end of turn.
        logprob: Mean log-probability (natural logarithm) of the generated
            tokens, end of turn included.
        tokens: How many tokens were generated, end of turn included.
        finished: Whether the end of turn was reached.
    """

    text: str
    logprob: float
    tokens: int
    finished: bool


class FrozenLLM:
    """A causal language model that reads virtual tokens and is never trained.

    Attributes:
        model: The transformers model, in ``eval`` mode and without gradients.
        tokenizer: Its tokenizer.
        device, dtype: Where and in what precision it runs.
        hidden_size: H, the width of a virtual token.
        name, revision: What was loaded.
    """

    def __init__(self, model: Any, tokenizer: Any, name: str, revision: str = "unknown"):
        self.model = model.eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.name, self.revision = name, revision
        embeddings = model.get_input_embeddings()
        self.device, self.dtype = embeddings.weight.device, embeddings.weight.dtype
        self.hidden_size: int = embeddings.weight.shape[1]
        self._embeddings = embeddings
        self._end_of_turn = end_of_turn(tokenizer)
        self._generic = GenericDecoder(model)
        self._packed = PackedDecoder(model) if supports(model) else None
        self._answer_ids: dict[str, tuple[int, ...]] = {}

    @classmethod
    def load(
        cls,
        name: str = "smollm2-135m",
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> FrozenLLM:
        """Load a language model by name (such as ``smollm2-135m``, ``qwen3-4b``), folder or hub id.

        Without ``device`` CUDA is taken where there is one; without ``dtype``
        bfloat16 where the hardware has it, else float32. Both are logged.

        Raises:
            LLMUnavailable: it is not here and cannot be had, is broken, or needs
                more memory than is free.
        """
        device = torch.device(device) if device is not None else best_device()
        dtype = dtype or best_dtype(device)
        model, tokenizer, revision = loading.load(name, dtype, device)
        loading.log.info("language model %s: %s", name, describe(dtype, device))
        # A folder is known by its own name: its place on the disk identifies nothing.
        folder = Path(name)
        return cls(model, tokenizer, folder.resolve().name if folder.is_dir() else name, revision)

    @property
    def accelerated(self) -> bool:
        """Whether short sequences take the packed decoder rather than transformers' path."""
        return self._packed is not None

    def identity(self) -> LLMIdentity:
        """Name, revision and hash of the weights; ``dataclasses.asdict`` makes it JSON."""
        return self._identity

    @cached_property
    def _identity(self) -> LLMIdentity:
        return LLMIdentity(
            self.name, self.revision, loading.weights_sha256(self.model, torch.bfloat16)
        )

    def weights_sha256(self) -> str:
        """sha256 of the weights, bit for bit as they are in memory now."""
        return loading.weights_sha256(self.model)

    def prompt(self, text: str, system: str | None = None) -> Prompt:
        """Render ``text`` as the user's turn around the place of the virtual tokens.

        That place is ``{media}``, or right before the text where it has none. Several places
        share the virtual tokens equally, in order.
        There is no system turn unless ``system`` is given.
        """
        return render_prompt(self.tokenizer, text, system)

    def embedding_rms(self) -> float:
        """Root mean square of the token embeddings' entries: the length of a word, so to say."""
        return float(self._embeddings.weight.float().square().mean().sqrt())

    def prompt_embeddings(self, prompts: Sequence[Prompt]) -> Tensor:
        """The mean of the embeddings of the tokens after the virtual ones, float32 ``[N, H]``."""
        rows = [
            self._embeddings(torch.tensor(p.after or p.before, device=self.device)).float()
            for p in prompts
        ]
        return torch.stack([row.mean(0) for row in rows])

    def answer_embeddings(self, answers: Sequence[str]) -> Tensor:
        """The mean of the embeddings of each answer's tokens, float32 ``[N, H]``."""
        rows = [
            self._embeddings(torch.tensor(self._answer_tokens(a), device=self.device)).float()
            for a in answers
        ]
        return torch.stack([row.mean(0) for row in rows])

    def count_labels(self, answers: Sequence[str]) -> int:
        """Over how many tokens :meth:`loss` is the mean: the answers', and an end of turn each."""
        return sum(len(self._answer_tokens(answer)) + 1 for answer in answers)

    def loss(
        self,
        virtual: Tensor,
        prompts: Sequence[Prompt],
        answers: Sequence[str],
        mask: Tensor | None = None,
    ) -> Tensor:
        """Mean cross-entropy of the answers' tokens, each answer's end of turn included.

        Args:
            virtual: ``[B, n, H]`` virtual tokens, float32; n may be 0.
            prompts: B prompts.
            answers: B answers.
            mask: ``[B, n]``, true where a virtual token is one; all are without it.

        Returns:
            A float32 scalar, the mean over all label tokens of the batch,
            differentiable with respect to ``virtual`` and nothing else.
        """
        return self.losses(virtual, prompts, answers, mask).sum() / self.count_labels(answers)

    def losses(
        self,
        virtual: Tensor,
        prompts: Sequence[Prompt],
        answers: Sequence[str],
        mask: Tensor | None = None,
    ) -> Tensor:
        """The summed cross-entropy of each answer, float32 ``[B]``; as :meth:`loss`."""
        targets = [(*self._answer_tokens(answer), self._end_of_turn) for answer in answers]
        if len(targets) != len(prompts):
            raise ValueError(f"{len(prompts)} prompts, but {len(targets)} answers")
        # The last label, the end of turn, is predicted and never read.
        decoder, batch = self._pack(virtual, prompts, [t[:-1] for t in targets], mask)
        owner = [n for n, labels in enumerate(targets) for _ in labels]
        index = torch.tensor(owner, device=batch.embeds.device)
        losses = decoder.losses(batch, targets)
        return losses.new_zeros(len(targets)).index_add(0, index, losses)

    @torch.no_grad()
    def answer(
        self,
        virtual: Tensor,
        prompts: Sequence[Prompt],
        mask: Tensor | None = None,
        max_new_tokens: int = 16,
    ) -> list[Answer]:
        """Answer greedily, one batch at a time, until the end of turn.

        Takes the arguments of :meth:`loss`; an answer is cut off after
        ``max_new_tokens`` tokens, and ``finished`` is then false.
        """
        if not prompts:
            return []
        decoder, batch = self._pack(virtual, prompts, [()] * len(prompts), mask, max_new_tokens)
        answers = []
        for ids, logprobs in decoder.greedy(batch, self._stop, max_new_tokens):
            finished = ids[-1] in self._stop
            text = self.tokenizer.decode(ids[:-1] if finished else ids, skip_special_tokens=True)
            answers.append(Answer(text, sum(logprobs) / len(logprobs), len(ids), finished))
        return answers

    @cached_property
    def _stop(self) -> tuple[int, ...]:
        """Tokens that end an answer: the end of turn, and what the model's authors say."""
        said = getattr(self.model.generation_config, "eos_token_id", None)
        authors = said if isinstance(said, list) else [said]
        candidates = [self._end_of_turn, self.tokenizer.eos_token_id, *authors]
        return tuple(dict.fromkeys(token for token in candidates if token is not None))

    def _answer_tokens(self, answer: str) -> tuple[int, ...]:
        if answer not in self._answer_ids:
            self._answer_ids[answer] = encode(self.tokenizer, answer)
        return self._answer_ids[answer]

    def _pack(
        self,
        virtual: Tensor,
        prompts: Sequence[Prompt],
        continuations: Sequence[tuple[int, ...]],
        mask: Tensor | None,
        new_tokens: int = 0,
    ) -> tuple[Decoder, Packed]:
        """The batch, and what runs it: the packed decoder where it can, else transformers."""
        if virtual.ndim != 3 or virtual.shape[::2] != (len(prompts), self.hidden_size):
            raise ValueError(
                f"virtual tokens {list(virtual.shape)} for {len(prompts)} prompts: "
                f"expected [{len(prompts)}, n, {self.hidden_size}]"
            )
        if mask is not None and mask.shape != virtual.shape[:2]:
            raise ValueError(f"mask {list(mask.shape)}: expected {list(virtual.shape[:2])}")
        longest = (
            virtual.shape[1]
            + new_tokens
            + max(
                len(prompt) + len(continuation)
                for prompt, continuation in zip(prompts, continuations, strict=True)
            )
        )
        packed = self._packed if longest <= MAX_LENGTH else None
        batch = pack(
            self._embeddings,
            virtual,
            prompts,
            continuations,
            mask,
            self.dtype,
            share_prefix=packed is not None,
        )
        return packed or self._generic, batch
