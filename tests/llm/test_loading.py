"""Finding and loading weights: folder, manifest, and what is nowhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from gemb.data.fetch import cache_dir
from gemb.llm import FrozenLLM, LLMUnavailable
from gemb.llm import loading as loading_module


def test_a_folder_loads_and_its_identity_is_the_same_in_either_precision(
    tiny: Callable[[str], FrozenLLM], tmp_path: Path
) -> None:
    original = tiny("qwen3")
    folder = tmp_path / "my-model"
    original.model.save_pretrained(folder)
    original.tokenizer.save_pretrained(folder)
    full = FrozenLLM.load(str(folder), dtype=torch.float32, device="cpu")
    half = FrozenLLM.load(str(folder), dtype=torch.bfloat16, device="cpu")
    assert full.identity() == half.identity()
    assert full.identity().name == "my-model"
    assert str(tmp_path) not in json.dumps(asdict(full.identity()))
    assert full.weights_sha256() == original.weights_sha256() != half.weights_sha256()
    prompt = original.prompt("Hm")
    virtual = torch.zeros(1, 1, 32)
    assert torch.equal(full.loss(virtual, [prompt], ["a"]), original.loss(virtual, [prompt], ["a"]))
    with torch.no_grad():
        next(full.model.parameters())[0, 0] += 1
    changed = FrozenLLM(full.model, full.tokenizer, "my-model", "local")
    assert changed.identity() != half.identity()


def test_smollm2_is_converted_once(smollm: FrozenLLM, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("converted twice")

    monkeypatch.setattr(loading_module, "_convert_gguf", refuse)
    again = FrozenLLM.load("smollm2-135m", dtype=torch.float32, device="cpu")
    assert again.identity() == smollm.identity()
    assert smollm.identity().name == "smollm2-135m"
    assert smollm.hidden_size == 576 and smollm.accelerated


def test_a_broken_conversion_leaves_nothing(tmp_path: Path) -> None:
    broken = tmp_path / "part" / "model.gguf"
    broken.parent.mkdir()
    broken.write_bytes(b"GGUF but no more")
    (tmp_path / "converted").mkdir()
    with pytest.raises(Exception, match=r".+"):  # whatever the reader of GGUF raises
        loading_module._convert_gguf(broken, tmp_path / "converted" / "broken")
    assert list((tmp_path / "converted").iterdir()) == []


def test_no_conversion_is_left_half_done(smollm: FrozenLLM) -> None:
    assert not [p for p in (cache_dir() / "converted").iterdir() if p.name.startswith(".")]


def test_what_is_nowhere_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OFFLINE", "1")
    with pytest.raises(LLMUnavailable, match=r"'no-such/model'.*OFFLINE.*smollm2-135m"):
        FrozenLLM.load("no-such/model")
