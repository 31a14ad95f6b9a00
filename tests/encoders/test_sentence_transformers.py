"""Real SentenceTransformer models of tiny random weights: of texts, of pictures, of sounds."""

import io
import json

import numpy as np
import pytest
from PIL import Image
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from gemb import encoders
from gemb.data.items import Item, Media
from gemb.data.media import encode_png, encode_wav
from gemb.encoders import Failure
from gemb.encoders.sentence_transformers import ModelUnavailable

WORDS = ["<unk>", "<pad>", "<s>", "</s>", "a", "dog", "cat", "the"]
SMALL = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}


def tokenizer():
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(WordLevel({w: n for n, w in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = Whitespace()
    special = {"unk_token": "<unk>", "pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>"}
    return PreTrainedTokenizerFast(tokenizer_object=words, model_max_length=20, **special)


def text_model(folder):
    from transformers import BertConfig, BertModel

    BertModel(BertConfig(vocab_size=len(WORDS), **SMALL)).save_pretrained(folder)
    tokenizer().save_pretrained(folder)


def image_model(folder):
    from transformers import CLIPConfig, CLIPModel, CLIPProcessor
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    ids = {"bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 1}
    text = {**SMALL, **ids, "vocab_size": len(WORDS), "max_position_embeddings": 20}
    vision = {**SMALL, "image_size": 16, "patch_size": 8}
    CLIPModel(
        CLIPConfig(text_config=text, vision_config=vision, projection_dim=12)
    ).save_pretrained(folder)
    pixels = CLIPImageProcessorPil(
        size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16}
    )
    CLIPProcessor(pixels, tokenizer()).save_pretrained(folder)


def sound_model(folder):
    from transformers import (
        Wav2Vec2Config,
        Wav2Vec2CTCTokenizer,
        Wav2Vec2FeatureExtractor,
        Wav2Vec2Model,
        Wav2Vec2Processor,
    )

    convolutions = {"conv_dim": (8, 8), "conv_stride": (5, 4), "conv_kernel": (10, 8)}
    positions = {"num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 2}
    Wav2Vec2Model(
        Wav2Vec2Config(**SMALL, **convolutions, **positions, num_feat_extract_layers=2)
    ).save_pretrained(folder)
    (folder / "vocab.json").write_text(json.dumps({w: n for n, w in enumerate([*WORDS, "|"])}))
    letters = Wav2Vec2CTCTokenizer(str(folder / "vocab.json"))
    Wav2Vec2Processor(Wav2Vec2FeatureExtractor(sampling_rate=8000), letters).save_pretrained(folder)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A folder a kind, as ``SentenceTransformer.save`` leaves it."""
    import torch
    from sentence_transformers import SentenceTransformer

    torch.manual_seed(0)
    root = tmp_path_factory.mktemp("models")
    for make in (text_model, image_model, sound_model):
        plain = root / f"plain-{make.__name__}"
        make(plain)
        SentenceTransformer(str(plain), device="cpu").save(str(root / make.__name__))
    return root


def text(name, content):
    return Item(name, "text", Media.from_text(content), "")


def picture(name, colour):
    data = encode_png(Image.new("RGB", (30, 20), colour))
    return Item(name, "image", Media(lambda: data, "png"), "")


def sound(name, seconds, seed, rate=16000):
    samples = np.random.default_rng(seed).normal(size=round(seconds * rate)) * 0.1
    data = encode_wav(samples, rate)
    return Item(name, "audio", Media(lambda: data, "wav"), "")


@pytest.mark.parametrize(
    ("kind", "reads", "items"),
    [
        ("text_model", {"text"}, [text("a", "a dog"), text("b", "the cat"), text("c", "dog")]),
        (
            "image_model",
            {"image", "text"},
            [picture("a", "red"), text("b", "a cat"), picture("c", "blue")],
        ),
        ("sound_model", {"audio"}, [sound("a", 0.5, 1), sound("b", 1, 2), sound("c", 0.5, 3)]),
    ],
)
def test_items_get_the_models_own_vectors_in_order(models, kind, reads, items):
    encoder = encoders.load(f"sentence-transformers:{models / kind}")
    assert set(encoder.modalities) == reads
    found = encoder.encode(items)
    assert all(row.shape == (1, encoder.dim) and row.dtype == np.float32 for row in found)
    assert not np.allclose(found[0], found[2], atol=1e-4)
    # whoever else is in the batch
    for row, again in zip(found, encoder.encode(items[::-1])[::-1], strict=True):
        np.testing.assert_allclose(row, again, atol=1e-5)
    if kind == "image_model":
        from sentence_transformers import SentenceTransformer

        model = SentenceTransformer(str(models / kind), device="cpu")
        red = Image.open(io.BytesIO(items[0].media.bytes()))
        np.testing.assert_allclose(model.encode([red]), found[0], atol=1e-6)


def test_what_cannot_be_encoded_is_named_and_the_others_go_on(models):
    encoder = encoders.load(f"sentence-transformers:{models / 'image_model'}")
    broken = Item("broken.png", "image", Media(lambda: b"\x89PNG", "png"), "")
    items = [broken, picture("a", "red"), sound("s", 0.5, 1), text("empty", " "), text("t", "a")]
    found = encoder.encode(items)
    assert [isinstance(row, Failure) for row in found] == [True, False, True, True, False]
    assert found[0].reason.startswith("broken.png: ")
    assert "reads image, text, not audio" in found[2].reason
    # a text that looks like an address is a text, and nothing is fetched
    assert encoder.encode([text("u", "http://example.org/a.png")])[0].shape == (1, encoder.dim)


def test_the_identity_is_the_folders_content(models, tmp_path):
    import shutil

    one = encoders.load(f"sentence-transformers:{models / 'text_model'}").identity()
    copied = tmp_path / "text_model"
    shutil.copytree(models / "text_model", copied)
    assert encoders.load(f"sentence-transformers:{copied}").identity() == one
    config = copied / "config_sentence_transformers.json"
    config.write_text(config.read_text() + "\n")
    assert encoders.load(f"sentence-transformers:{copied}").identity().slug != one.slug


def test_a_model_that_cannot_be_had_is_one_clear_message(monkeypatch, tmp_path):
    monkeypatch.setenv("OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelUnavailable, match=r"nobody/nothing: OFFLINE keeps from the hub"):
        encoders.load("sentence-transformers:nobody/nothing").identity()
    with pytest.raises(ModelUnavailable, match="holds no model"):
        encoders.load(f"sentence-transformers:{tmp_path}").identity()
