"""The real classes of transformers at a tiny random size, in the files' published layout."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tiny_audio import bytes_tokenizer, noise
from transformers import (
    Qwen2_5OmniConfig,
    Qwen2_5OmniThinkerConfig,
    Qwen2_5OmniThinkerForConditionalGeneration,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3OmniMoeConfig,
    Qwen3OmniMoeThinkerConfig,
    Qwen3OmniMoeThinkerForConditionalGeneration,
    WhisperFeatureExtractor,
)
from typer.testing import CliRunner

from gemb.audio_embedding.config import PRESETS, Parts
from gemb.audio_embedding.model import AudioEmbedder
from gemb.audio_embedding.surgery import PartUnavailable, prune, tower
from gemb.cli import app
from gemb.errors import UserError

TOWER = {
    "num_mel_bins": 128,
    "encoder_layers": 2,
    "encoder_attention_heads": 2,
    "encoder_ffn_dim": 16,
    "d_model": 16,
    "max_source_positions": 1500,
}
ROPE = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [2, 2, 2]}
TEXT = {
    "vocab_size": 260,
    "intermediate_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
}


def published(folder: Path, config, thinker) -> Path:
    """As on the hub: the thinker's tensors under `thinker.`, in two files with an index."""
    config.save_pretrained(folder)
    state = {}
    for name, value in thinker.state_dict().items():
        name = name.replace("model.language_model.", "model.")
        name = name.replace("model.audio_tower.", "audio_tower.").replace(
            "model.visual.", "visual."
        )
        state[f"thinker.{name}"] = value.clone()
    places = {n: f"{'a' if '.audio_tower.' in n else 'b'}.safetensors" for n in state}
    for file in set(places.values()):
        save_file({n: v for n, v in state.items() if places[n] == file}, folder / file)
    index = {"metadata": {}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    bytes_tokenizer().save_pretrained(folder)
    WhisperFeatureExtractor(feature_size=128).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def omni25(tmp_path_factory):
    torch.manual_seed(1)
    config = Qwen2_5OmniThinkerConfig(
        audio_config=TOWER | {"output_dim": 24},
        text_config=TEXT | {"hidden_size": 24, "rope_parameters": ROPE},
        vision_config={
            "depth": 1,
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_heads": 2,
            "out_hidden_size": 24,
            "fullatt_block_indexes": [0],
        },
    )
    thinker = Qwen2_5OmniThinkerForConditionalGeneration(config).eval()
    whole = Qwen2_5OmniConfig(thinker_config=config.to_dict())
    return published(tmp_path_factory.mktemp("omni25"), whole, thinker), thinker


@pytest.fixture(scope="module")
def omni3(tmp_path_factory):
    torch.manual_seed(2)
    config = Qwen3OmniMoeThinkerConfig(
        audio_config=TOWER | {"output_dim": 24, "downsample_hidden_size": 8},
        text_config=TEXT
        | {
            "hidden_size": 24,
            "num_experts": 2,
            "num_experts_per_tok": 1,
            "moe_intermediate_size": 8,
            "head_dim": 12,
            "rope_parameters": ROPE,
        },
        vision_config={
            "depth": 1,
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_heads": 2,
            "out_hidden_size": 24,
            "deepstack_visual_indexes": [0],
            "num_position_embeddings": 16,
        },
    )
    thinker = Qwen3OmniMoeThinkerForConditionalGeneration(config).eval()
    whole = Qwen3OmniMoeConfig(thinker_config=config.to_dict())
    return published(tmp_path_factory.mktemp("omni3"), whole, thinker), thinker


@pytest.fixture(scope="module")
def qwen(tmp_path_factory):
    """Stands for Qwen2.5-0.5B (narrower than the towers' output) and 3B (as wide)."""
    made = {}
    for name, hidden in (("0.5b", 16), ("3b", 24)):
        torch.manual_seed(3)
        folder = tmp_path_factory.mktemp(name)
        model = Qwen2ForCausalLM(Qwen2Config(**TEXT, hidden_size=hidden)).eval()
        model.save_pretrained(folder)
        bytes_tokenizer().save_pretrained(folder)
        made[name] = folder, model
    return made


def same(mine: torch.nn.Module, theirs: torch.nn.Module, without: str = "none") -> None:
    """Every tensor of one is the other's, by name, but those of a module left out."""
    state = theirs.state_dict()
    wanted = {k: v for k, v in state.items() if not k.startswith(f"{without}.")}
    given = mine.state_dict()
    assert given.keys() == wanted.keys()
    for name, value in wanted.items():
        assert torch.equal(given[name], value), name


def parts(audio: Path, llm: Path, preset: str, **changes) -> Parts:
    said = {"audio": (str(audio),), "llm": str(llm), "dtype": "float32"} | changes
    return PRESETS[preset].model_copy(update=said)


@pytest.mark.parametrize(
    ("preset", "family", "llm", "reused"),
    [
        ("m1", "omni3", "0.5b", False),
        ("m2", "omni3", "3b", True),
        ("m3", "omni25", "3b", True),
        ("m4", "omni25", None, True),
        ("omni-7b", "omni25", None, True),
    ],
)
def test_modules_are_combined_tensor_by_tensor(request, qwen, preset, family, llm, reused):
    folder, thinker = request.getfixturevalue(family)
    llm_folder, causal = qwen[llm] if llm else (folder, None)
    model = AudioEmbedder.build(parts(folder, llm_folder, preset), device="cpu")
    source = thinker.model.audio_tower
    last = {"omni25": "proj", "omni3": "proj2"}[family]
    same(model.tower.encoder, source, last)
    same(model.body, causal.model if causal else thinker.model.language_model)
    assert model.parts.is_aligned == (llm is None)
    projection, own = model.projection.linear, getattr(source, last)
    assert projection.out_features == model.dim == model.body.config.hidden_size
    assert torch.equal(projection.weight, own.weight) if reused else projection.in_features == 16
    assert isinstance(getattr(source, last), torch.nn.Linear)  # theirs is left whole

    mel = np.random.default_rng(0).standard_normal((130, 128)).astype(np.float32)
    vectors = model.embed([mel, mel[:37], mel[:8]])
    assert vectors.shape == (3, model.dim) and np.isfinite(vectors).all()
    assert model.embed_text(["words"]).shape == (1, model.dim)


@pytest.mark.parametrize("family", ["omni25", "omni3"])
def test_audio_tokens_are_those_of_the_model_they_come_from(request, family):
    folder, thinker = request.getfixturevalue(family)
    lengths = [1, 7, 99, 100, 101, 203, 450]
    rng = np.random.default_rng(0)
    mels = [torch.from_numpy(rng.standard_normal((n, 128)).astype(np.float32)) for n in lengths]
    taken, last, extractor, _ = tower(str(folder), torch.float32)
    assert extractor.feature_size == 128
    usable = [m for m in mels if len(m) > 2]
    with torch.no_grad():
        together = [last(f) for f in taken(usable)]
        for mel, mine in zip(usable, together, strict=True):
            theirs = thinker.get_audio_features(
                mel.T[None], torch.ones(1, len(mel), dtype=torch.long)
            ).last_hidden_state
            torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-5)


def test_the_whole_omni_model_reads_clip_and_text_as_its_thinker_does(omni25):
    folder, thinker = omni25
    model = AudioEmbedder.build(parts(folder, folder, "m4", prefix="", suffix=""), device="cpu")
    mel = torch.from_numpy(np.random.default_rng(0).standard_normal((90, 128)).astype(np.float32))
    with torch.no_grad():
        tokens = thinker.get_audio_features(
            mel.T[None], torch.ones(1, 90, dtype=torch.long)
        ).last_hidden_state
        hidden = thinker.model.language_model(inputs_embeds=tokens[None]).last_hidden_state[0]
    mean = hidden.mean(0)
    np.testing.assert_allclose(model.embed([mel.numpy()])[0], mean / mean.norm(), atol=1e-5)


def test_marks_that_the_language_model_does_not_know_frame_nothing(omni25, qwen, tmp_path):
    """Plain Qwen2.5's tokenizer has none of Qwen-Omni's audio marks."""
    folder = tmp_path / "plain"
    qwen["3b"][1].save_pretrained(folder)
    bytes_tokenizer(marks=False).save_pretrained(folder)
    mel = np.zeros((90, 128), np.float32)
    plain = AudioEmbedder.build(parts(omni25[0], folder, "m3"), device="cpu")
    marked = AudioEmbedder.build(parts(omni25[0], omni25[0], "m4"), device="cpu")
    assert (plain.parts.prefix, plain.parts.suffix) == ("", "")
    assert marked.parts.prefix == "<|audio_bos|>"
    (bare,), (framed,) = plain.audio_tokens([mel]), marked.audio_tokens([mel])
    assert len(framed) == len(bare) + 2
    words = parts(omni25[0], folder, "m3", prefix="A sound: ", suffix="")
    assert AudioEmbedder.build(words, device="cpu").parts.prefix == "A sound: "


def test_log_mel_and_saving_go_with_a_tower(omni25, qwen, tmp_path):
    model = AudioEmbedder.build(parts(omni25[0], qwen["0.5b"][0], "m1"), device="cpu")
    (mel,) = model.prepare([noise(1.0)])
    assert mel.shape == (100, 128)
    vector = model.embed_audio([noise(1.0)])
    model.save(tmp_path / "m")
    again = AudioEmbedder.load(tmp_path / "m", "cpu")
    np.testing.assert_allclose(again.embed_audio([noise(1.0)]), vector, atol=1e-6)


def test_parts_of_one_model_are_trained_on_texts_without_a_sound(omni25, tmp_path, monkeypatch):
    monkeypatch.setenv("GEMB_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("gemb.data.readers.audio_pairs.items", None)  # not asked for
    folder, texts, recipe = omni25[0], tmp_path / "t.csv", tmp_path / "r.yaml"
    texts.write_text("text,match\na dog,it barks\na cat,it purrs\n")
    recipe.write_text(
        f"route: text-only\nparts: {{audio: [{folder}], llm: {folder}, rate: null}}\n"
        "training: {batch_size: 2, steps: 1}\n"
    )
    arguments = ["--config", str(recipe), "--texts", str(texts), "--out", str(tmp_path / "m")]
    done = CliRunner().invoke(app, ["audio", "train", *arguments], catch_exceptions=False)
    assert done.exit_code == 0 and "text: 1 steps" in done.output, done.output


def test_pruning_keeps_the_first_layers_and_the_norm(omni25, qwen):
    for source in (qwen["3b"][0], omni25[0]):
        whole = AudioEmbedder.build(parts(omni25[0], source, "m3"), device="cpu")
        cut = AudioEmbedder.build(parts(omni25[0], source, "m3", layers=2), device="cpu")
        kept = {k: v for k, v in whole.body.state_dict().items() if "layers.2." not in k}
        assert cut.body.state_dict().keys() == kept.keys()
        assert all(torch.equal(v, kept[k]) for k, v in cut.body.state_dict().items())
        assert cut.body.config.num_hidden_layers == 2 == len(cut.body.config.layer_types)
        whole.prune(2)
        np.testing.assert_array_equal(whole.embed_text(["a b"]), cut.embed_text(["a b"]))
    with pytest.raises(UserError, match="cannot keep 4 layers of 2"):
        prune(cut.body, 4)


def test_what_does_not_fit_is_said(omni3, omni25, qwen, tmp_path):
    small = qwen["0.5b"][0]
    with pytest.raises(UserError, match=r"maps 16 to 24 dimensions, and 16 to 16 are wanted"):
        AudioEmbedder.build(parts(omni25[0], small, "m1", projection="own"), device="cpu")
    with pytest.raises(PartUnavailable, match="no audio tower"):
        AudioEmbedder.build(parts(small, small, "m1"), device="cpu")
    with pytest.raises(UserError, match="text part of a qwen3_omni_moe"):
        AudioEmbedder.build(parts(omni3[0], omni3[0], "m1"), device="cpu")
    with pytest.raises(UserError, match="is no folder"):
        AudioEmbedder.build(parts(tmp_path / "none", small, "m1"), device="cpu")
    fresh = AudioEmbedder.build(parts(omni25[0], qwen["3b"][0], "m3", projection="new"))
    own = omni25[1].model.audio_tower.proj.weight
    assert not torch.equal(fresh.projection.linear.weight, own)
