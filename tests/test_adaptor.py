import json

import numpy as np
import pytest
import torch

from gemb.adaptor import Adaptor, AdaptorMismatch, num_parameters


@pytest.mark.parametrize(("k", "published"), [(1, 17_307_136), (8, 72_375_296), (32, 261_180_416)])
def test_the_formula_gives_the_studys_parameter_counts(k, published):
    assert num_parameters(dim=3072, hidden=3072, llm_hidden=2560, num_virtual_tokens=k) == published


@pytest.mark.parametrize("k", [1, 4])
def test_the_formula_counts_the_modules_parameters(k):
    adaptor = Adaptor(20, 12, k, hidden=7)
    assert sum(p.numel() for p in adaptor.parameters()) == num_parameters(20, 7, 12, k)


def test_one_and_several_vectors_give_k_tokens_each():
    adaptor = Adaptor(6, 5, num_virtual_tokens=3, hidden=4)
    x = torch.randn(2, 4, 6)
    assert adaptor(x).shape == (2, 12, 5)
    assert adaptor(x[:, 0]).shape == (2, 3, 5)
    torch.testing.assert_close(adaptor(x)[:, 3:6], adaptor(x[:, 1]))
    mask = torch.tensor([[True, False], [True, True]])
    assert adaptor.mask(mask).tolist() == [[True] * 3 + [False] * 3, [True] * 6]


def test_standardising_leaves_unused_dimensions_alone():
    vectors = np.random.default_rng(0).normal(3, 2, (50, 4)).astype(np.float32)
    vectors[:, 2] = 0
    vectors[:, 3] *= 1e-3
    adaptor = Adaptor(4, 5, hidden=3)
    adaptor.standardise_by(vectors)
    assert adaptor.spread[2] == 1
    assert adaptor.spread[3] > 0.5  # a nearly constant dimension is not blown up
    scaled = (torch.from_numpy(vectors) - adaptor.mean) / adaptor.spread
    torch.testing.assert_close(scaled.std(0, correction=0)[:3], torch.tensor([1.0, 1, 0]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_saved_and_loaded_it_is_the_same(tmp_path, dtype):
    adaptor = Adaptor(6, 5, 2, hidden=4, encoder="enc", llm="lm")
    adaptor.standardise_by(np.random.default_rng(0).normal(size=(9, 6)).astype(np.float32))
    x = torch.randn(3, 6)
    expected = adaptor(x)
    adaptor.to(dtype).save_pretrained(tmp_path)
    again = Adaptor.from_pretrained(tmp_path)
    torch.testing.assert_close(
        again(x), expected, atol=0.02 if dtype == torch.float16 else 0, rtol=0
    )
    assert {p.name for p in tmp_path.iterdir()} == {"config.json", "model.safetensors", "README.md"}
    assert json.loads((tmp_path / "config.json").read_text())["num_virtual_tokens"] == 2


def test_noise_is_added_in_training_alone_and_only_where_vectors_differ():
    vectors = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    vectors[:, 2] = 0  # a block that the modality does not use
    adaptor = Adaptor(3, 5, noise=1.0, activation="none")
    adaptor.standardise_by(vectors)
    x = torch.from_numpy(vectors)
    assert not torch.equal(adaptor.train()(x), adaptor(x))
    torch.testing.assert_close(adaptor.eval()(x), adaptor(x))
    with torch.no_grad():
        adaptor.layers[0].weight[:, :2] = 0  # now nothing but the unused dimension counts
    torch.testing.assert_close(adaptor.train()(x), adaptor(x))


def test_without_activation_it_is_one_linear_map_and_stays_one_when_loaded(tmp_path):
    a, b = torch.randn(2, 5, 4)
    for activation, linear in (("none", True), ("gelu", False)):
        Adaptor(4, 3, hidden=8, activation=activation).save_pretrained(tmp_path)
        adaptor = Adaptor.from_pretrained(tmp_path)
        midway = (adaptor(a) + adaptor(b)) / 2
        assert torch.allclose(adaptor((a + b) / 2), midway, atol=1e-6) == linear


def test_the_output_scale_is_kept_with_the_adaptor(tmp_path):
    plain, scaled = Adaptor(4, 5, hidden=3), Adaptor(4, 5, hidden=3, output_scale=10)
    scaled.load_state_dict(plain.state_dict())
    x = torch.randn(2, 4)
    torch.testing.assert_close(scaled(x), 10 * plain(x))
    scaled.save_pretrained(tmp_path)
    torch.testing.assert_close(Adaptor.from_pretrained(tmp_path)(x), scaled(x))


def test_another_encoder_or_llm_is_refused(tmp_path):
    adaptor = Adaptor(6, 5, encoder="enc", llm="lm")
    assert adaptor.require("enc", "lm") is adaptor
    with pytest.raises(AdaptorMismatch, match="encoder 'enc', not 'other'"):
        adaptor.require("other", "lm")
    with pytest.raises(AdaptorMismatch, match="LLM 'lm', not 'other'"):
        adaptor.require("enc", "other")
    adaptor.save_pretrained(tmp_path)
    assert Adaptor.from_pretrained(tmp_path, encoder="enc", llm="lm").encoder == "enc"
    with pytest.raises(AdaptorMismatch, match="encoder 'enc', not 'other'"):
        Adaptor.from_pretrained(tmp_path, encoder="other")
    with pytest.raises(AdaptorMismatch, match="LLM 'lm', not 'other'"):
        Adaptor.from_pretrained(tmp_path, llm="other")


def test_a_prompt_conditions_the_hidden_layer_from_the_identity_on():
    torch.manual_seed(0)
    adaptor = Adaptor(6, 4, 2, hidden=5, condition=3).eval()
    vectors, prompts = torch.randn(7, 6), torch.randn(7, 3)
    plain = adaptor(vectors, prompts)
    torch.testing.assert_close(adaptor(vectors, torch.randn(7, 3)), plain)  # nothing learnt yet
    torch.nn.init.normal_(adaptor.film.weight)
    conditioned = adaptor(vectors, prompts)
    assert not torch.allclose(conditioned, plain)
    # the prompt of one example says nothing about another, and chunks of one item share theirs
    chunks = vectors[:, None].expand(-1, 3, -1)
    torch.testing.assert_close(adaptor(chunks, prompts)[:, 2:4], conditioned)
    with pytest.raises(ValueError, match="give it one"):
        adaptor(vectors)
