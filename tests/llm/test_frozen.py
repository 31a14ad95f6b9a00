"""What training and answering rely on: the numbers are transformers' own."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gemb.llm import Answer, FrozenLLM, Prompt, batch_disagreement
from gemb.llm import frozen as frozen_module

FAST = ["llama", "qwen2", "qwen3"]
GENERIC = ["qwen2-sliding", "gpt2", "gpt-neox"]
EVERY = pytest.mark.parametrize("llm", [*FAST, *GENERIC], indirect=True)
EVERY_AND_SMOLLM2 = pytest.mark.parametrize("llm", [*FAST, *GENERIC, "smollm2"], indirect=True)

ANSWERS = ["cat", "an old aeroplane", ""]


@pytest.fixture
def prompts(llm: FrozenLLM) -> list[Prompt]:
    """Three of different lengths, one with the virtual tokens in the middle."""
    return [llm.prompt(text) for text in ("What is it?", "Say {media} what it is, please.", "Hm")]


@pytest.fixture
def virtual(llm: FrozenLLM) -> Tensor:
    """``[3, 2, H]``, of the size of the model's own embeddings."""
    torch.manual_seed(1)
    spread = float(llm.model.get_input_embeddings().weight.std())
    return (spread * torch.randn(3, 2, llm.hidden_size)).requires_grad_()


def embed(llm: FrozenLLM, ids: list[int] | tuple[int, ...]) -> Tensor:
    return llm.model.get_input_embeddings()(torch.tensor(ids, dtype=torch.long))


def targets(llm: FrozenLLM, answer: str) -> list[int]:
    turn = llm.tokenizer.convert_tokens_to_ids("<|im_end|>")
    return [*llm.tokenizer(answer, add_special_tokens=False)["input_ids"], turn]


def plain_loss(
    llm: FrozenLLM, virtual: Tensor, prompts: list[Prompt], answers: list[str]
) -> Tensor:
    """transformers' own loss of one sequence at a time, averaged over label tokens."""
    total, count = torch.tensor(0.0), 0
    for tokens, prompt, answer in zip(virtual, prompts, answers, strict=True):
        labels = targets(llm, answer)
        sequence = torch.cat(
            [embed(llm, prompt.before), tokens, embed(llm, (*prompt.after, *labels))]
        )
        ignored = [-100] * (len(sequence) - len(labels))
        out = llm.model(inputs_embeds=sequence[None], labels=torch.tensor([ignored + labels]))
        total, count = total + out.loss * len(labels), count + len(labels)
    return total / count


@pytest.mark.parametrize("llm", FAST, indirect=True)
def test_llama_family_takes_the_fast_path(llm: FrozenLLM) -> None:
    assert llm.accelerated


@pytest.mark.parametrize("llm", GENERIC, indirect=True)
def test_other_architectures_take_transformers_path(llm: FrozenLLM) -> None:
    assert not llm.accelerated


@EVERY_AND_SMOLLM2
def test_loss_is_transformers_loss_of_the_same_text(llm: FrozenLLM) -> None:
    """Virtual tokens that are a text's embeddings are that text."""
    words = llm.tokenizer("an owl", add_special_tokens=False)["input_ids"]
    prompt = llm.prompt("What is {media}? Answer with one word.")
    labels = targets(llm, "bird")
    ids = [*prompt.before, *words, *prompt.after, *labels]
    ignored = [-100] * (len(ids) - len(labels))
    expected = llm.model(torch.tensor([ids]), labels=torch.tensor([ignored + labels])).loss
    loss = llm.loss(embed(llm, words)[None], [prompt], ["bird"])
    assert loss.dtype == torch.float32 and loss.ndim == 0
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("llm", ["qwen3", "gpt2"], indirect=True)
def test_several_places_share_the_virtual_tokens_in_order(llm: FrozenLLM) -> None:
    owl, cat = (llm.tokenizer(t, add_special_tokens=False)["input_ids"] for t in ("owl", "cat"))
    prompt, other = llm.prompt("Is {media} like {media}?"), llm.prompt("What?")
    whole = llm.prompt("Is owl like cat{media}?")
    both = embed(llm, [*owl, *cat])[None]
    nothing = torch.zeros(1, 0, llm.hidden_size)
    expected = llm.loss(nothing, [whole], ["no"])
    torch.testing.assert_close(llm.loss(both, [prompt], ["no"]), expected, rtol=1e-5, atol=1e-5)
    # beside a prompt of one place in a batch
    together = llm.loss(both.repeat(2, 1, 1), [prompt, other], ["no", "no"])
    alone = (expected + llm.loss(both, [other], ["no"])) / 2
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match="5 virtual tokens for a prompt of 2 places"):
        llm.loss(both[:, :5], [prompt], ["no"])


@EVERY_AND_SMOLLM2
def test_loss_and_gradients_equal_a_plain_loop(
    llm: FrozenLLM, virtual: Tensor, prompts: list[Prompt]
) -> None:
    expected = plain_loss(llm, virtual, prompts, ANSWERS)
    (expected_gradient,) = torch.autograd.grad(expected, virtual)
    loss = llm.loss(virtual, prompts, ANSWERS)
    loss.backward()
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-5)
    assert virtual.grad is not None and virtual.grad.abs().max() > 0
    # Thirty layers of float32 rounding differ by as much as the plain loop does from float64.
    difference = (virtual.grad - expected_gradient).norm() / expected_gradient.norm()
    assert difference < (3e-4 if llm.model.config.num_hidden_layers > 3 else 1e-5)
    assert all(p.grad is None and not p.requires_grad for p in llm.model.parameters())


@EVERY
def test_loss_of_a_batch_is_the_token_weighted_mean_of_its_items(
    llm: FrozenLLM, virtual: Tensor, prompts: list[Prompt]
) -> None:
    """Nothing of a prompt, of padding or of a neighbour enters an item's loss."""
    counts = torch.tensor([len(targets(llm, answer)) for answer in ANSWERS])
    singles = torch.stack(
        [llm.loss(virtual[i : i + 1], prompts[i : i + 1], ANSWERS[i : i + 1]) for i in range(3)]
    )
    batch = llm.loss(virtual, prompts, ANSWERS)
    torch.testing.assert_close(batch, (singles * counts).sum() / counts.sum())


@EVERY
def test_masked_virtual_tokens_are_not_there(llm: FrozenLLM, prompts: list[Prompt]) -> None:
    torch.manual_seed(2)
    virtual = 0.1 * torch.randn(3, 4, llm.hidden_size)
    mask = torch.tensor([[1, 1, 1, 1], [1, 0, 1, 0], [0, 0, 0, 0]], dtype=torch.bool)
    left = [virtual[i : i + 1, mask[i]] for i in range(3)]
    together = llm.loss(virtual, prompts, ANSWERS, mask)
    counts = torch.tensor([len(targets(llm, answer)) for answer in ANSWERS])
    singles = torch.stack(
        [llm.loss(left[i], prompts[i : i + 1], ANSWERS[i : i + 1]) for i in range(3)]
    )
    torch.testing.assert_close(together, (singles * counts).sum() / counts.sum())
    answers = llm.answer(virtual, prompts, mask, max_new_tokens=4)
    for i, answer in enumerate(answers):
        assert llm.answer(left[i], prompts[i : i + 1], max_new_tokens=4)[0].text == answer.text


@EVERY
def test_a_blind_prompt_needs_no_virtual_token(llm: FrozenLLM, prompts: list[Prompt]) -> None:
    none = torch.zeros(3, 0, llm.hidden_size)
    loss = llm.loss(none, prompts, ANSWERS)
    torch.testing.assert_close(loss, plain_loss(llm, none, prompts, ANSWERS), rtol=1e-5, atol=1e-5)
    assert len(llm.answer(none, prompts, max_new_tokens=2)) == 3


def generated(
    llm: FrozenLLM, virtual: Tensor, prompt: Prompt, limit: int
) -> tuple[list[int], float]:
    """Tokens and mean log-probability of transformers' ``generate`` on one item."""
    sequence = torch.cat([embed(llm, prompt.before), virtual, embed(llm, prompt.after)])
    stop = [llm.tokenizer.convert_tokens_to_ids("<|im_end|>"), llm.tokenizer.eos_token_id]
    out = llm.model.generate(
        inputs_embeds=sequence[None],
        attention_mask=torch.ones(1, len(sequence), dtype=torch.long),
        max_new_tokens=limit,
        do_sample=False,
        eos_token_id=stop,
        pad_token_id=0,
        output_logits=True,
        return_dict_in_generate=True,
    )
    ids = out.sequences[0].tolist()
    logprobs = [
        float(step[0].log_softmax(-1)[token]) for step, token in zip(out.logits, ids, strict=True)
    ]
    return ids, sum(logprobs) / len(logprobs)


@EVERY
def test_answers_are_generates_token_for_token(
    llm: FrozenLLM, virtual: Tensor, prompts: list[Prompt]
) -> None:
    answers = llm.answer(virtual, prompts, max_new_tokens=9)
    for tokens, prompt, answer in zip(virtual, prompts, answers, strict=True):
        ids, logprob = generated(llm, tokens, prompt, 9)
        assert answer.text == llm.tokenizer.decode(ids, skip_special_tokens=True)
        assert answer.tokens == len(ids)
        assert answer.logprob == pytest.approx(logprob, abs=1e-4)
    assert batch_disagreement(llm, virtual, prompts, max_new_tokens=9) == 0


def test_answers_of_smollm2_end_at_different_times(smollm: FrozenLLM) -> None:
    """A batch in which answers finish early, late and not at all."""
    asked = [
        "What is the capital of France?",
        "Say yes.",
        "Count from one to a hundred.",
        "Is fire hot? Answer yes or no.",
    ]
    prompts = [smollm.prompt(text) for text in asked]
    blind = torch.zeros(len(asked), 0, smollm.hidden_size)
    answers = smollm.answer(blind, prompts, max_new_tokens=12)
    assert "Paris" in answers[0].text and answers[0].finished
    assert not answers[2].finished and answers[2].tokens == 12
    for row, prompt, answer in zip(blind, prompts, answers, strict=True):
        ids, logprob = generated(smollm, row, prompt, 12)
        assert answer.text == smollm.tokenizer.decode(ids, skip_special_tokens=True)
        assert answer.logprob == pytest.approx(logprob, abs=1e-4)
    finished = answers[0]
    loss = smollm.loss(blind[:1], prompts[:1], [finished.text])
    assert finished.logprob == pytest.approx(-loss.item(), abs=1e-4)


@pytest.mark.parametrize("llm", ["qwen3"], indirect=True)
def test_long_sequences_go_through_transformers_and_agree(
    llm: FrozenLLM, virtual: Tensor, prompts: list[Prompt], monkeypatch: pytest.MonkeyPatch
) -> None:
    short, (gradient,) = (
        (loss := llm.loss(virtual, prompts, ANSWERS)),
        torch.autograd.grad(loss, virtual),
    )
    monkeypatch.setattr(frozen_module, "MAX_LENGTH", 4)
    long = llm.loss(virtual, prompts, ANSWERS)
    torch.testing.assert_close(long, short)
    torch.testing.assert_close(torch.autograd.grad(long, virtual)[0], gradient)


@pytest.mark.parametrize("llm", ["llama", "gpt2"], indirect=True)
def test_weights_are_the_same_bits_after_training(
    llm: FrozenLLM, virtual: Tensor, prompts: list[Prompt]
) -> None:
    before, identity = llm.weights_sha256(), llm.identity()
    optimiser = torch.optim.AdamW([virtual, *llm.model.parameters()], lr=0.1, weight_decay=0.1)
    losses = []
    for _ in range(20):
        optimiser.zero_grad()
        loss = llm.loss(virtual, prompts, ANSWERS)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert llm.weights_sha256() == before and llm.identity() == identity
    assert not llm.model.training


def test_bfloat16_is_as_near_to_float32_as_transformers_bfloat16(smollm: FrozenLLM) -> None:
    """A few items are ill-conditioned in bfloat16 whoever computes them: medians are compared."""
    half = FrozenLLM.load("smollm2-135m", dtype=torch.bfloat16, device="cpu")
    torch.manual_seed(0)
    virtual = (0.1 * torch.randn(12, 1, smollm.hidden_size)).requires_grad_()
    prompts = [smollm.prompt("What is it?")] * 12
    answers = ["cat", "dog", "bird", "ship"] * 3
    losses = [
        smollm.loss(virtual, prompts, answers),
        half.loss(virtual, prompts, answers),
        plain_loss(half, virtual.bfloat16(), prompts, answers),
    ]
    exact, ours, plain = (torch.autograd.grad(loss, virtual)[0].flatten(1) for loss in losses)
    assert losses[1].dtype == ours.dtype == torch.float32
    torch.testing.assert_close(losses[1], losses[0], rtol=0.02, atol=0.02)
    error, allowed = ((g - exact).norm(dim=1) / exact.norm(dim=1) for g in (ours, plain))
    assert error.median() < 1.5 * allowed.median() < 0.3


def test_the_disagreement_counts_the_answers_that_depend_on_their_batch() -> None:
    class Wavering:
        """Says whether it was asked alone, but for the first item."""

        def answer(self, virtual, prompts, mask, max_new_tokens):  # type: ignore[no-untyped-def]
            alone = len(prompts) == 1
            return [
                Answer("same" if p == "first" else f"alone {alone}", 0.0, 1, True) for p in prompts
            ]

    rate = batch_disagreement(Wavering(), torch.zeros(4, 1, 2), ["first", "b", "c", "d"])  # type: ignore[arg-type]
    assert rate == 0.75


@pytest.mark.parametrize("llm", ["llama"], indirect=True)
def test_wrong_shapes_are_named(llm: FrozenLLM, prompts: list[Prompt]) -> None:
    with pytest.raises(ValueError, match=r"expected \[3, n, 32\]"):
        llm.loss(torch.zeros(2, 1, 32), prompts, ANSWERS)
    with pytest.raises(ValueError, match=r"expected \[3, n, 32\]"):
        llm.answer(torch.zeros(3, 1, 31), prompts)
    with pytest.raises(ValueError, match="mask"):
        llm.loss(torch.zeros(3, 1, 32), prompts, ANSWERS, torch.ones(3, 2, dtype=torch.bool))
    with pytest.raises(ValueError, match="2 answers"):
        llm.loss(torch.zeros(3, 1, 32), prompts, ANSWERS[:2])
    assert llm.answer(torch.zeros(0, 1, 32), []) == []
