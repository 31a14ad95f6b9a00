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


def test_a_search_keeps_which_clips_were_found(tmp_path):
    sounds = [
        Item(f"s{n}", "audio", Media.from_text(f"{word} {n}"), word)
        for n, word in enumerate(("dog", "cat", "owl"))
    ]
    first, *_, last = audio_uses._searches(Letters(), sounds, Store(tmp_path))
    assert (first.kind, first.query, first.ids[0]) == ("text", "dog", "s0")
    assert len(first.ids) == len(first.found) == 3
    assert last.kind == "sound" and "s0" not in last.ids


def test_sounds_that_may_be_put_on_a_page_are_shown_first():
    def sound(number, caption, package):
        media = Media.from_text(caption)
        return Item(f"s{number}", "audio", media, caption, meta={"package": package})

    sounds = [
        sound(0, "dog", "tuxpaint-stamps"),
        sound(1, "cat", "tuxpaint-stamps"),
        sound(2, "dog", "scratch"),
        sound(3, "owl", "sonic-pi-samples"),
    ]
    assert [i.id for i in audio_uses.examples(sounds)] == ["s2", "s3", "s1"]
    assert [audio_uses.may_be_shown(i) for i in sounds] == [False, False, True, True]
