"""The text encoder against a computation of its own, padded and masked."""

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from gemb import encoders
from gemb.data.fetch import fetch
from gemb.data.items import Item, Media
from gemb.encoders import Failure
from gemb.encoders.minilm import PARAMETERS

TEXTS = [
    "a dog barks",
    "the water in the ocean is all saltwater",
    "Turn on the lights, please!",
    "a barking puppy",
]


@pytest.fixture(scope="module")
def encoder():
    return encoders.load("minilm")


def text_item(text):
    return Item(f"test/{text}", "text", Media.from_text(text), "")


def test_vectors_are_the_masked_mean_of_the_last_hidden_states(encoder):
    folder = fetch("minilm")
    model = AutoModel.from_pretrained(folder).eval()
    batch = AutoTokenizer.from_pretrained(folder)(TEXTS, padding=True, return_tensors="pt")
    with torch.inference_mode():
        hidden = model(**batch).last_hidden_state
    mask = batch["attention_mask"].unsqueeze(-1)
    expected = torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=1).numpy()
    got = np.concatenate(encoder.encode([text_item(t) for t in TEXTS]))
    np.testing.assert_allclose(got, expected, atol=1e-5)
    assert sum(p.numel() for p in model.parameters()) == PARAMETERS
    assert got[0] @ got[3] > 0.7 > 0.3 > got[0] @ got[1]  # what means the same lies together


def test_what_is_no_text_is_reported_and_the_others_go_on(encoder):
    sound = Item("test/sound", "audio", Media.from_text("x"), "")
    broken = Item("test/broken", "text", Media(lambda: b"\xff\xfe\xff", "txt"), "")
    first, empty, third, fourth = encoder.encode(
        [sound, text_item("  "), text_item(TEXTS[0]), broken]
    )
    assert isinstance(first, Failure) and "reads text" in first.reason
    assert isinstance(empty, Failure) and "empty" in empty.reason
    assert isinstance(fourth, Failure) and fourth.item_id == "test/broken"
    assert third.shape == (1, 384) and third.dtype == np.float32


def test_there_is_one_view(encoder):
    with pytest.raises(ValueError, match="there is: whole"):
        encoder.identity("frames")
