import math
import os
import subprocess
import sys

import embed_in_processes
import numpy as np
import pytest
import torch
from embed_in_processes import gradients, pairs

from gemb.audio_embedding.config import Training
from gemb.audio_embedding.train import InfoNCE, Pairs, backward, train
from gemb.errors import UserError


def settings(**changes) -> Training:
    said = {"batch_size": 5, "chunk": 3, "steps": 6, "checkpoint_every": 2, "bfloat16": False}
    return Training.model_validate(said | changes)


def test_infonce_is_the_mean_cross_entropy_of_both_directions():
    left, right = torch.nn.functional.normalize(torch.randn(2, 4, 8), dim=-1)
    logits = left @ right.T / 0.1
    wanted = -(logits.log_softmax(1).diag().mean() + logits.log_softmax(0).diag().mean()) / 2
    criterion = InfoNCE(0.1)
    torch.testing.assert_close(criterion(left, right), wanted)
    # a row that shares a side is no negative
    labels = torch.tensor([[0, 0], [1, 1], [2, 2], [3, 0]])
    logits[0, 3] = logits[3, 0] = -torch.inf
    wanted = -(logits.log_softmax(1).diag().mean() + logits.log_softmax(0).diag().mean()) / 2
    torch.testing.assert_close(criterion(left, right, labels), wanted)
    assert criterion.temperature == pytest.approx(0.1)
    assert InfoNCE(1e-9).temperature == pytest.approx(0.01)  # as far as it goes
    assert not InfoNCE(0.1, learnable=False).log_scale.requires_grad


def test_a_learned_temperature_stops_at_its_limit_and_can_leave_it(build):
    words = ["a dog", "a cat", "rain", "a bell", "some words"]
    fast = settings(projection_rate=1.0, learning_rate=1e-6)  # the temperature's rate is the first
    fit = train(build(), Pairs(words, words), fast, ("body",))
    assert fit.temperature == pytest.approx(0.01, rel=1e-3)
    criterion, rows = InfoNCE(1e-9), torch.eye(4)
    criterion(rows, rows.flip(0)).backward()  # all wrong: less sure would be better
    assert criterion.log_scale.grad > 0


@pytest.mark.parametrize("mixed", [False, True])
def test_cached_gradients_equal_uncached_ones(build, mixed):
    model, data = build().requires_grad_(True), pairs()
    found = []
    for chunk, cache in ((100, False), (3, False), (3, True), (1, True)):
        criterion = InfoNCE(0.1)
        model.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            loss = backward(model, criterion, data.left, data.right, data.labels(), chunk, cache)
        found.append((loss, gradients(model) | {"log_scale": criterion.log_scale.grad}))
    loss, wanted = found[0]
    assert "projection.linear.weight" in wanted and "body.layers.0.mlp.up_proj.weight" in wanted
    for other, grads in found[1:]:
        assert other == pytest.approx(loss, abs=2e-2 if mixed else 1e-5)
        assert grads.keys() == wanted.keys()
        for name, value in wanted.items():
            size = max(1.0, float(value.abs().max()))
            atol = (5e-2 if mixed else 1e-5) * size
            torch.testing.assert_close(grads[name], value, atol=atol, rtol=0, msg=name)


def test_dropout_is_the_same_in_both_passes_of_the_cache(build):
    model, data = build().requires_grad_(True), pairs()
    model.body.layers[0].mlp.act_fn = torch.nn.Sequential(torch.nn.SiLU(), torch.nn.Dropout(0.5))
    model.train()
    found = []
    for cache in (False, True):
        model.zero_grad(set_to_none=True)
        backward(model, InfoNCE(0.1), data.left, data.right, data.labels(), 3, cache, seed=7)
        found.append(gradients(model))
    for name, value in found[0].items():
        torch.testing.assert_close(found[1][name], value, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("trains", [("projection",), ("body",), ("projection", "body")])
def test_training_lowers_the_loss_and_leaves_the_rest_alone(build, trains):
    model, data = build(), pairs()
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    fit = train(model, data, settings(steps=25, learning_rate=3e-3, projection_rate=3e-3), trains)
    assert fit.steps == 25 and np.mean(fit.losses[-5:]) < np.mean(fit.losses[:5]) - 0.05
    changed = {
        n.split(".")[0] for n, p in model.named_parameters() if not torch.equal(p, before[n])
    }
    assert changed == set(trains) and not model.training
    words = "body.embed_tokens.weight"
    assert torch.equal(dict(model.named_parameters())[words], before[words])
    assert fit.trainable == sum(
        p.numel() for n, p in before.items() if n.split(".")[0] in trains and n != words
    )


def test_an_interrupted_training_goes_on_to_the_same_weights(build, tmp_path):
    whole = build()
    fit = train(whole, pairs(), settings(), ("projection", "body"))

    def stop(step: int, loss: float) -> None:
        if step == 5:  # a step after the last checkpoint
            raise KeyboardInterrupt

    file = tmp_path / "c" / "tune.pt"
    with pytest.raises(KeyboardInterrupt):
        train(build(), pairs(), settings(), ("projection", "body"), file, on_step=stop)
    resumed = build()
    steps: list[int] = []
    again = train(
        resumed,
        pairs(),
        settings(),
        ("projection", "body"),
        file,
        on_step=lambda step, loss: steps.append(step),
    )
    assert steps == [5, 6] and again.losses == fit.losses
    assert again.temperature == fit.temperature != 0.05
    for (name, a), b in zip(whole.named_parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b), name
    with pytest.raises(UserError, match="other pairs, with other settings"):
        train(build(), pairs(), settings(learning_rate=1e-3), ("projection", "body"), file)
    file.write_bytes(b"damaged")
    with pytest.raises(UserError, match="delete it to train anew"):
        train(build(), pairs(), settings(), ("projection", "body"), file)


def test_lora_trains_little_and_is_merged_in(build):
    model = build()
    before = model.body.state_dict()
    before = {k: v.clone() for k, v in before.items()}
    fit = train(model, pairs(), settings(lora_rank=2, learning_rate=1e-2), ("body",))
    after = model.body.state_dict()
    assert after.keys() == before.keys() and type(model.body).__name__ == "LlamaModel"
    assert fit.trainable < 0.2 * sum(v.numel() for k, v in before.items() if "layers" in k)
    changed = {k for k in before if not torch.equal(after[k], before[k])}
    assert changed == {k for k in before if "proj" in k}
    rank = torch.linalg.matrix_rank(
        (after["layers.0.mlp.up_proj.weight"] - before["layers.0.mlp.up_proj.weight"]), rtol=1e-3
    )
    assert int(rank) == 2


def test_what_cannot_be_trained_is_said(build):
    with pytest.raises(UserError, match="3 clips or texts and 2 texts"):
        Pairs(["a", "b", "c"], ["x", "y"])
    model = build()
    model.projection.linear.weight.data.fill_(math.nan)
    with pytest.raises(UserError, match="lower the learning rate"):
        train(model, pairs(), settings(), ("projection",))


@pytest.mark.slow
def test_two_processes_make_the_steps_of_one(tiny_llm, tmp_path):
    # without a GPU in sight these are two processes on the CPU
    launch = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes=2"]
    script = [embed_in_processes.__file__, tiny_llm, tmp_path / "two.pt"]
    subprocess.run(
        [sys.executable, *launch, "--main_process_port=0", *script],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"},
        check=True,
        timeout=300,
    )
    together = torch.load(tmp_path / "two.pt", weights_only=True)
    for two, cached in zip(together, (False, True), strict=True):
        one = embed_in_processes.train(str(tiny_llm), cached)
        assert (one["processes"], two["processes"]) == (1, 2)
        assert two["losses"] == pytest.approx(one["losses"], abs=1e-5)
        assert two["temperature"] == pytest.approx(one["temperature"], abs=1e-6) != 0.05
        assert two["gradients"].keys() == one["gradients"].keys() and len(one["gradients"]) > 20
        for name, value in one["gradients"].items():
            torch.testing.assert_close(
                two["gradients"][name], value, atol=1e-5, rtol=1e-4, msg=name
            )
