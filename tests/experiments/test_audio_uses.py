"""Section 5's uses: what is shown of sounds that share a caption."""

import numpy as np

from gemb.data.items import Item, Media
from gemb.encoders.base import ItemEncoder
from gemb.experiments import audio_uses
from gemb.store import Store


class Letters(ItemEncoder):
    """A direction for each first letter, of sounds as of texts."""

    name, dim, modalities = "letters", 26, ("audio", "text")

    def vector(self, item):
        return np.eye(26)[item.media.bytes()[0] - ord("a")]


def test_labels_are_scored_over_all_sounds_and_shown_once_a_caption(tmp_path):
    def sound(number, heard, caption):
        return Item(f"s{number}", "audio", Media.from_text(f"{heard} {number}"), caption)

    sounds = [
        sound(0, "dog", "dog"),
        sound(1, "cat", "dog"),
        sound(2, "cat", "cat"),
        sound(3, "owl", "owl"),
    ]
    found = audio_uses._labelled(Letters(), sounds, Store(tmp_path))
    assert found.items == 4 and found.captions == 3 and found.accuracy.value == 0.75
    assert [(e.item, e.caption, e.labels[0]) for e in found.examples] == [
        ("s0", "dog", "dog"),
        ("s2", "cat", "cat"),
        ("s3", "owl", "owl"),
    ]
