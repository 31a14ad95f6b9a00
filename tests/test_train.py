"""Training against the real language model, on vectors small enough to be quick."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
import train_in_processes

from gemb.adaptor import Adaptor, AdaptorMismatch
from gemb.evaluate import Examples, predict, surprisal, virtual_tokens
from gemb.llm import FrozenLLM
from gemb.metrics import exact_match
from gemb.profiles import Training
from gemb.train import Job, batches, fit, fit_together, schedule, warm_start

WORDS = ["bird", "dog", "seven", "t-shirt", "up"]


@pytest.fixture(scope="module")
def llm():
    return FrozenLLM.load()


def examples(llm, vectors, answers):
    prompt = llm.prompt("What is it? Answer with one word.")
    return Examples(vectors.astype(np.float32), [prompt] * len(answers), list(answers))


def accuracy(adaptor, llm, data):
    return np.mean(
        [
            exact_match(a.text, t)
            for a, t in zip(predict(adaptor, llm, data), data.answers, strict=True)
        ]
    )


@pytest.mark.slow
def test_ten_items_are_overfitted_and_the_llm_stays_as_it_was(llm):
    rng = np.random.default_rng(0)
    data = examples(llm, rng.normal(size=(10, 32)), WORDS * 2)
    before = llm.weights_sha256()
    settings = Training(hidden=256, epochs=50, batch_size=10, patience=50, noise=0)
    done = fit(llm, data, data, settings, encoder="fake", seed=0)
    assert accuracy(done.adaptor, llm, data) == 1.0
    assert done.history[done.best_epoch - 1].val_accuracy == 1.0
    assert llm.weights_sha256() == before
    assert all(p.grad is None and not p.requires_grad for p in llm.model.parameters())


def test_a_warm_start_spells_the_answers(llm):
    rng = np.random.default_rng(0)
    label = rng.integers(0, 5, 60)
    vectors = (rng.normal(size=(5, 24)) * 3)[label] + rng.normal(size=(60, 24))
    data = examples(llm, vectors, np.array(WORDS)[label])
    adaptor = Adaptor(24, llm.hidden_size, 2, hidden=32, noise=0.3, output_scale=10)
    adaptor.standardise_by(data.vectors)
    warm_start(adaptor, llm, data, length=1.0)
    tokens = adaptor.eval()(torch.from_numpy(data.vectors))
    words = llm.answer_embeddings(WORDS)
    nearest = torch.cosine_similarity(tokens[:, :, None], words[None, None], dim=-1).argmax(-1)
    assert (nearest == torch.from_numpy(label)[:, None]).float().mean() > 0.9
    assert 0.5 < tokens.square().mean().sqrt() < 1.1
    # several tokens of an answer count as their mean
    ids = llm.tokenizer("t-shirt", add_special_tokens=False).input_ids
    rows = llm.model.get_input_embeddings().weight[ids].float()
    torch.testing.assert_close(llm.answer_embeddings(["t-shirt"])[0], rows.mean(0))


def test_one_seed_gives_one_result(llm):
    rng = np.random.default_rng(1)
    data = examples(llm, rng.normal(size=(8, 16)), (WORDS * 2)[:8])
    settings = Training(hidden=8, epochs=1, batch_size=4)
    first, second, third = (
        fit(llm, data, data, settings, encoder="fake", seed=s).adaptor for s in (3, 3, 4)
    )
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        torch.testing.assert_close(a, b)
    assert not torch.equal(next(first.parameters()), next(third.parameters()))


@pytest.mark.slow
def test_learns_what_is_there_and_stays_at_chance_on_shuffled_labels(llm):
    rng = np.random.default_rng(2)
    centres = rng.normal(size=(5, 24)) * 2
    label = rng.integers(0, 5, 260)
    vectors = centres[label] + rng.normal(size=(260, 24))
    answers = np.array(WORDS)[label]
    # Shuffled labels of five tight clusters would leave five draws of luck, not a hundred: the
    # control's vectors have no clusters, so that each test item is a draw of its own.
    shuffled = rng.permutation(answers)
    apart = rng.normal(size=vectors.shape)
    settings = Training(hidden=48, epochs=6)
    for x, y, low, high in ((vectors, answers, 0.8, 1.0), (apart, shuffled, 0.0, 0.42)):
        train, val, test = (
            examples(llm, x[part], y[part])
            for part in (slice(0, 128), slice(128, 160), slice(160, 260))
        )
        done = fit(llm, train, val, settings, encoder="fake", seed=0)
        assert low <= accuracy(done.adaptor, llm, test) <= high


def test_the_blind_prompt_gives_every_item_the_same_answer(llm):
    data = examples(llm, np.zeros((3, 4)), WORDS[:3])
    assert len({a.text for a in predict(None, llm, data)}) == 1


def test_every_item_is_in_one_batch_and_like_lengths_meet():
    data = Examples(np.zeros((1000, 1)), [None] * 1000, ["x" * (n % 40) for n in range(1000)])
    cut = batches(data, 32, np.random.default_rng(0))
    assert sorted(np.concatenate(cut).tolist()) == list(range(1000))
    spread = np.mean([np.ptp([len(data.answers[i]) for i in b]) for b in cut])
    assert spread < 10


def test_the_learning_rate_rises_then_falls_to_nothing():
    rates = [schedule(s, 100, 0.1) for s in range(100)]
    assert rates[0] == pytest.approx(0.1) and max(rates) == 1.0 and rates[-1] < 0.001
    assert rates.index(1.0) == 9 and rates[10:] == sorted(rates[10:], reverse=True)


def test_an_adaptor_of_another_llm_is_refused(llm):
    data = examples(llm, np.zeros((1, 4)), ["up"])
    with pytest.raises(AdaptorMismatch, match="trained for the LLM 'another'"):
        predict(Adaptor(4, llm.hidden_size, llm="another"), llm, data)


def test_an_adaptor_of_another_width_is_refused_by_the_llm(llm):
    data = examples(llm, np.zeros((2, 4)), WORDS[:2])
    with pytest.raises(ValueError, match="expected"):
        predict(Adaptor(4, llm.hidden_size + 1), llm, data)


def several(llm, rng, counts, answers):
    prompt = llm.prompt("What is it?")
    vectors = [rng.normal(size=(n, 12)).astype(np.float32) for n in counts]
    return Examples(vectors, [prompt] * len(counts), answers)


def test_an_item_may_have_several_vectors_and_the_padding_is_never_read():
    llm = FrozenLLM.load(dtype=torch.float32)
    data = several(llm, np.random.default_rng(0), [1, 3, 2], WORDS[:3])
    adaptor = Adaptor(12, llm.hidden_size, 2, hidden=16, output_scale=3).eval()
    tokens, mask = virtual_tokens(adaptor, data, llm)
    assert tokens.shape == (3, 6, llm.hidden_size) and mask.sum(1).tolist() == [2, 6, 4]
    together = predict(adaptor, llm, data)
    alone = [predict(adaptor, llm, data.take([n]))[0] for n in range(3)]
    assert [a.text for a in together] == [a.text for a in alone]
    costs = surprisal(adaptor, llm, data)
    one_by_one = [surprisal(adaptor, llm, data.take([n]))[0] for n in range(3)]
    np.testing.assert_allclose(costs, one_by_one, rtol=1e-4)


def test_surprisal_is_the_summed_cross_entropy_of_the_answer(llm):
    data = several(llm, np.random.default_rng(1), [2, 2], ["bird", "t-shirt"])
    adaptor = Adaptor(12, llm.hidden_size, 1, hidden=16).eval()
    tokens, mask = virtual_tokens(adaptor, data, llm)
    assert mask is None  # as many vectors everywhere
    lengths = [1 + len(llm.tokenizer(a).input_ids) for a in data.answers]
    mean = float(llm.loss(tokens, data.prompts, data.answers).detach())
    assert surprisal(adaptor, llm, data).sum() == pytest.approx(mean * sum(lengths), rel=0.02)


@pytest.mark.slow
def test_items_of_several_vectors_are_learnt_and_chosen_by_surprisal(llm):
    data = several(llm, np.random.default_rng(2), [1, 2, 3, 2, 1] * 2, WORDS * 2)
    settings = Training(hidden=128, epochs=30, batch_size=5, patience=30, noise=0)
    done = fit(llm, data, data, settings, encoder="fake", choose_by="surprisal")
    assert done.history[0].val_accuracy is None
    best = done.history[done.best_epoch - 1].val_logprob
    assert best == max(e.val_logprob for e in done.history) and best > -0.1
    assert accuracy(done.adaptor, llm, data) == 1.0


@pytest.mark.slow
def test_adaptors_trained_together_are_those_trained_alone():
    """Of other seeds, lengths, widths and numbers of virtual tokens, one with several vectors."""
    llm = FrozenLLM.load(dtype=torch.float32)
    rng = np.random.default_rng(5)
    plain = several(llm, rng, [1] * 10, WORDS * 2)
    many = several(llm, rng, [1, 3, 2, 1, 2], WORDS)
    short = Training(hidden=16, epochs=2, batch_size=4, patience=9)
    jobs = [
        Job(plain, plain, short, "fake", seed=1),
        Job(many, many, short.model_copy(update={"epochs": 8}), "fake", seed=2),
        Job(plain, plain, short.model_copy(update={"hidden": 24}), "fake", 3, seed=1),
    ]
    torch.manual_seed(99)  # what is drawn elsewhere is nobody's business
    # two at a time: the third begins when the first has ended, and not while it is held back
    ended = list(fit_together(llm, iter([jobs[0], jobs[1], None, None, jobs[2]]), at_once=2))
    assert [number for number, _ in ended] == [0, 2, 1]
    for number, together in ended:
        ((_, alone),) = fit_together(llm, [jobs[number]])
        assert together.steps == alone.steps and len(together.history) == len(alone.history)
        for a, b in zip(together.history, alone.history, strict=True):
            assert a.train_loss == pytest.approx(b.train_loss, rel=1e-3)
            assert a.val_accuracy == b.val_accuracy
        for a, b in zip(together.adaptor.parameters(), alone.adaptor.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-2, atol=1e-3)


@pytest.mark.slow
def test_two_processes_learn_what_one_does(tmp_path):
    # without a GPU in sight these are two processes on the CPU
    launch = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes=2"]
    subprocess.run(
        [sys.executable, *launch, "--main_process_port=0", train_in_processes.__file__, tmp_path],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"},
        check=True,
        timeout=300,
    )
    alone = train_in_processes.train()
    for number in range(2):
        history = json.loads((tmp_path / f"{number}.json").read_text())
        assert len(history) == len(alone.history)
        for epoch, expected in zip(history, alone.history, strict=True):
            assert epoch["train_loss"] == pytest.approx(expected.train_loss, rel=1e-4)
            assert epoch["val_logprob"] == pytest.approx(expected.val_logprob, rel=1e-3)
        state = torch.load(tmp_path / f"{number}.pt", weights_only=True)
        for name, value in alone.adaptor.state_dict().items():
            torch.testing.assert_close(state[name], value, rtol=1e-3, atol=1e-4)
