"""The study's language model: its classes at tiny random size, and SmolLM2 beside it.

What is expected comes from transformers alone: its chat template renders the whole exchange as
text, its tokenizer splits it, its model's own loss and ``generate`` read the tokens.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import numpy as np
import pytest
import torch
from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from gemb.adaptor import Adaptor
from gemb.evaluate import Examples
from gemb.llm import FrozenLLM, LLMUnavailable, loading, qwen3
from gemb.profiles import Training
from gemb.train import backward, fit

# As the original Qwen3-4B's, where no tools are used: with thinking off, and in the last of an
# assistant's turns, stands an empty thought.
THOUGHTFUL = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.role == 'assistant' and loop.last %}<think>\n\n</think>\n\n{% endif %}"
    "{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n"
    "{% endif %}{% endif %}"
)
SYSTEM = "Be brief."  # SmolLM2's template puts one of its own where there is none
MEDIA = ["A bird sings.", "This is the image of an old aeroplane.", "Word: seven."]
QUESTIONS = ["What is it?", "What object is in this image? Answer with one word.", "Say it."]
ANSWERS = ["bird", "an aeroplane", "7"]


def tiny(template: str) -> FrozenLLM:
    model, _ = qwen3.build()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "norm" in name:  # initialised as 1, which would hide a norm that is left out
                weight.add_(0.2 * torch.randn_like(weight))
    tokenizer = qwen3.chat_tokenizer(template=template)
    tokenizer.add_tokens(["<think>", "</think>"])
    model.resize_token_embeddings(len(tokenizer))
    return FrozenLLM(model, tokenizer, "tiny")


@pytest.fixture(params=["2507", "original", "smollm2"])
def llm(request: pytest.FixtureRequest) -> FrozenLLM:
    if request.param == "smollm2":
        return request.getfixturevalue("smollm")
    return tiny({"2507": qwen3.CHATML, "original": THOUGHTFUL}[request.param])


def ids(llm: FrozenLLM, text: str) -> list[int]:
    return llm.tokenizer(text, add_special_tokens=False)["input_ids"]


def exchange(llm: FrozenLLM, number: int) -> tuple[list[int], list[int]]:
    """The tokens of the question, to where the answer begins, and of the answer."""
    render = llm.tokenizer.apply_chat_template
    turns = [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": f"{MEDIA[number]} {QUESTIONS[number]}"},
    ]
    asked = render(turns, tokenize=False, add_generation_prompt=True, enable_thinking=False)
    whole = render([*turns, {"role": "assistant", "content": ANSWERS[number]}], tokenize=False)
    answered = whole.removeprefix(asked).rstrip("\n")
    assert asked + answered + "\n" == whole and answered == ANSWERS[number] + "<|im_end|>"
    return ids(llm, asked), ids(llm, answered)


def batch(llm: FrozenLLM) -> tuple[Tensor, list[Any], Tensor]:
    """Virtual tokens that are the embeddings of :data:`MEDIA`, prompts, and the mask."""
    words = [torch.tensor(ids(llm, text)) for text in MEDIA]
    embeddings = llm.model.get_input_embeddings()
    virtual = pad_sequence([embeddings(w) for w in words], batch_first=True)
    mask = pad_sequence([torch.ones(len(w), dtype=torch.bool) for w in words], batch_first=True)
    return virtual, [llm.prompt("{media} " + q, SYSTEM) for q in QUESTIONS], mask


def test_the_rendered_template_says_where_the_virtual_tokens_stand() -> None:
    question = "What is it?"
    for template, thought in ((qwen3.CHATML, ""), (THOUGHTFUL, "<think>\n\n</think>\n\n")):
        llm = tiny(template)
        prompt = llm.prompt(question)
        assert llm.tokenizer.decode(prompt.before) == "<|im_start|>user\n"
        assert llm.tokenizer.decode(prompt.after) == (
            f"{question}<|im_end|>\n<|im_start|>assistant\n{thought}"
        )


def test_prompt_and_words_are_the_templates_own_tokens(llm: FrozenLLM) -> None:
    _, prompts, _ = batch(llm)
    for number, prompt in enumerate(prompts):
        parts = [*prompt.before, *ids(llm, MEDIA[number]), *prompt.after]
        assert parts == exchange(llm, number)[0]


def test_the_loss_is_transformers_own_on_the_text(llm: FrozenLLM) -> None:
    losses, counts = [], []
    for number in range(len(MEDIA)):
        asked, answered = exchange(llm, number)
        labels = torch.tensor([[-100] * len(asked) + answered])
        losses.append(llm.model(torch.tensor([asked + answered]), labels=labels).loss)
        counts.append(len(answered))
    virtual, prompts, mask = batch(llm)
    assert llm.accelerated and llm.count_labels(ANSWERS) == sum(counts)
    expected = (torch.stack(losses) * torch.tensor(counts)).sum() / sum(counts)
    torch.testing.assert_close(
        llm.loss(virtual, prompts, ANSWERS, mask), expected, rtol=1e-5, atol=1e-5
    )


def test_batched_answers_are_generates_token_for_token(llm: FrozenLLM) -> None:
    virtual, prompts, mask = batch(llm)
    answers = llm.answer(virtual, prompts, mask, max_new_tokens=24)
    for number, answer in enumerate(answers):
        asked = torch.tensor([exchange(llm, number)[0]])
        out = llm.model.generate(
            asked,
            attention_mask=torch.ones_like(asked),
            max_new_tokens=24,
            do_sample=False,
            eos_token_id=ids(llm, "<|im_end|>"),
            pad_token_id=0,
        )[0, asked.shape[1] :]
        assert answer.tokens == len(out)
        assert answer.text == llm.tokenizer.decode(out, skip_special_tokens=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_training_leaves_every_weight_as_it_was(dtype: torch.dtype) -> None:
    llm = FrozenLLM.load(qwen3.TINY, dtype=dtype, device="cpu")
    before = llm.weights_sha256()
    vectors = np.random.default_rng(0).normal(size=(6, 12)).astype(np.float32)
    data = Examples(vectors, [llm.prompt("What is it?")] * 6, ["bird", "dog", "up"] * 2)
    settings = Training(hidden=32, epochs=6, batch_size=4, noise=0, patience=6)
    done = fit(llm, data, data, settings, encoder="fake", num_virtual_tokens=2)
    assert llm.weights_sha256() == before
    assert done.history[-1].train_loss < done.history[0].train_loss
    assert all(p.grad is None and not p.requires_grad for p in llm.model.parameters())


def test_a_step_at_full_size_keeps_to_one_device() -> None:
    """Tensors of the device ``meta`` have shapes and no values, and mix with no other device's:
    they stand in for a GPU's."""
    model, tokenizer = qwen3.build("qwen3-4b", torch.bfloat16, "meta")
    llm = FrozenLLM(model, tokenizer, "Qwen3-4B, shapes only")
    assert llm.accelerated and llm.device == torch.device("meta") and llm.hidden_size == 2560
    adaptor = Adaptor(8, 2560, 32, hidden=16).to("meta")
    batch = Examples(np.zeros((4, 8)), [llm.prompt(q) for q in ["Hm?", *QUESTIONS]], list("abcd"))
    loss = backward(adaptor, llm, batch)
    assert loss.shape == () and loss.dtype == torch.float32
    assert all(p.grad is not None and p.grad.device == llm.device for p in adaptor.parameters())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The tiny model as a reader's own folder."""
    model, tokenizer = qwen3.build()
    model.save_pretrained(tmp_path / "mine")
    tokenizer.save_pretrained(tmp_path / "mine")
    return tmp_path / "mine"


def test_a_folder_is_as_good_as_a_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named, own = FrozenLLM.load(qwen3.TINY), FrozenLLM.load(str(folder))
    assert own.identity().weights_sha256 == named.identity().weights_sha256
    assert own.prompt("What is it?") == named.prompt("What is it?")
    adaptor = Adaptor(4, own.hidden_size, llm=named.identity().slug)
    assert adaptor.require("", own.identity().slug) is adaptor
    monkeypatch.chdir(folder)
    assert FrozenLLM.load(".").name == "mine"


def test_the_hub_gives_the_pinned_revision(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def download(hub: str, revision: str, allow_patterns: list[str], **_: object) -> str:
        asked.append((hub, revision, allow_patterns))
        return str(folder.rename(folder.parent / revision) if len(asked) == 1 else there)

    there = folder.parent / loading.HUB["qwen3-4b"][1]
    monkeypatch.setattr(loading, "snapshot_download", download)
    identity = FrozenLLM.load("qwen3-4b").identity()
    assert (identity.name, identity.revision) == ("qwen3-4b", loading.HUB["qwen3-4b"][1])
    assert [a[:2] for a in asked] == [loading.HUB["qwen3-4b"]] * 2
    assert asked[0][2] == ["config.json"] and "*.safetensors" in asked[1][2]


def hub_says(kind: type, code: int) -> Exception:
    request = httpx2.Request("GET", "https://huggingface.co")
    return kind("no", response=httpx2.Response(code, request=request))


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (LocalEntryNotFoundError("no name\nservice"), r"not on this machine.*\(no name\).*network"),
        (httpx2.ReadTimeout("slow"), r"not on this machine.*\(slow\).*copy the model's folder"),
        (OSError("No space left on device"), "No space left"),
        (hub_says(GatedRepoError, 403), r"agree at https://huggingface.co/Qwen/Qwen3-4B-.*hf auth"),
        (hub_says(RepositoryNotFoundError, 404), r"not there.*one of smollm2-135m, qwen3-4b,"),
    ],
    ids=["no network", "timeout", "no space", "gated", "no such model"],
)
def test_what_cannot_be_had_is_said_with_a_remedy(
    error: Exception, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(loading, "snapshot_download", fail)
    with pytest.raises(LLMUnavailable, match=rf"'qwen3-4b' \(Qwen/.*{remedy}"):
        FrozenLLM.load("qwen3-4b")


def test_a_path_that_is_no_folder_is_said() -> None:
    with pytest.raises(LLMUnavailable, match=r"'/no/such/folder'.*a folder"):
        FrozenLLM.load("/no/such/folder")


def test_too_little_memory_is_said_before_any_weight_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    qwen3.config("qwen3-4b").save_pretrained(tmp_path)  # and nothing else
    assert loading.parameters(str(tmp_path)) == 4_022_468_096
    monkeypatch.setattr(
        loading.psutil, "virtual_memory", lambda: SimpleNamespace(available=6_000_000_000)
    )
    with pytest.raises(
        LLMUnavailable, match=r"4\.0 billion.*8\.0 GB in bfloat16, and 6\.0 GB of memory are free"
    ):
        FrozenLLM.load(str(tmp_path), dtype=torch.bfloat16, device="cpu")
    with pytest.raises(LLMUnavailable, match=r"16\.1 GB in float32 \(half as much"):
        FrozenLLM.load(str(tmp_path), dtype=torch.float32, device="cpu")


@pytest.mark.parametrize("missing", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_folder_with_a_file_missing_is_said(missing: str, folder: Path) -> None:
    (folder / missing).unlink()
    with pytest.raises(
        LLMUnavailable, match=r"(?s)could not be loaded from .*mine.*save_pretrained"
    ):
        FrozenLLM.load(str(folder))
