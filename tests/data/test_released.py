import numpy as np
import pytest

from gemb.data import released
from gemb.data.items import Item, Media, MediaUnavailable


def test_what_is_written_comes_back_without_its_empty_block(tmp_path):
    rng = np.random.default_rng(0)
    image = [
        Item(
            f"i{n}",
            "image",
            Media.absent(f"k{n}", ""),
            "bag",
            group="g",
            split="test",
            subset="main",
            meta={"a": "b"},
        )
        for n in range(5)
    ]
    audio = [Item(f"s{n}", "audio", Media.absent(f"w{n}", ""), "up") for n in range(4)]
    by_key = {
        f"k{n}": np.r_[rng.normal(size=6), np.zeros(4)][None].astype(np.float32) for n in range(5)
    }
    by_key |= {
        f"w{n}": np.r_[np.zeros(6), rng.normal(size=4)][None].astype(np.float32) for n in range(4)
    }
    places = {"i0": {"0": "train", "1": "test"}, "i1": {"0": "val"}}
    released.write_items({"clothing": image, "words": audio}, {"clothing": places}, tmp_path)
    assert released.places("clothing", tmp_path) == places
    assert released.places("words", tmp_path) == {}
    released.write_vectors("an:enc", [*image, *audio], by_key, "enc", {"m": "h"}, tmp_path)
    about = {"encoder": "enc", "dim": 10, "manifests": {"m": "h"}}
    assert released.headers(tmp_path) == {
        tmp_path / "vectors-an-enc-audio.parquet": about | {"start": 6},
        tmp_path / "vectors-an-enc-image.parquet": about | {"start": 0},
    }
    found = released.vectors("enc", tmp_path)([*by_key, "unknown"])
    assert set(found) == set(by_key)
    for key, vector in by_key.items():
        np.testing.assert_allclose(found[key], vector, atol=2e-3)
    assert released.vectors("another encoder", tmp_path)(list(by_key)) == {}
    assert {i.modality for i in released.items("words", tmp_path)} == {"audio"}
    (first, *_) = released.items("clothing", tmp_path)
    assert (first.id, first.answer, first.group, first.split, dict(first.meta)) == (
        "i0",
        "bag",
        "g",
        "test",
        {"a": "b"},
    )
    with pytest.raises(MediaUnavailable, match="only its released vector"):
        first.media.bytes()
    with pytest.raises(KeyError, match="nothing is released"):
        released.items("digits", tmp_path)
