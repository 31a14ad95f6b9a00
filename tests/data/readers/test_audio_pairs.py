"""Pairs of sounds and captions: disjoint sides, two styles, and the packages as they are."""

import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemb.data import manifests, speech
from gemb.data.items import Item, Media
from gemb.data.media import decode_audio
from gemb.data.readers import audio_pairs
from gemb.data.readers.files import DataFileError
from gemb.errors import UnknownName

OWN = manifests.get(audio_pairs.DATASET).generator["sounds"]


def plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))


def check_disjoint(items: list[Item]) -> None:
    """No words and no recording on two sides."""
    for mark in (lambda i: plain(i.answer), lambda i: i.media.key, lambda i: i.meta["sentence"]):
        sides: dict[str, set[str | None]] = {}
        for item in items:
            sides.setdefault(mark(item), set()).add(item.split)
        assert all(len(s) == 1 for s in sides.values())


@pytest.fixture(scope="module")
def spoken() -> list[Item]:
    return audio_pairs.items(subsets=("speech",))


def test_speech_is_disjoint_by_words_and_by_voice(spoken: list[Item]) -> None:
    check_disjoint(spoken)
    assert len({i.id for i in spoken}) == len(spoken)
    assert sum(i.split == "train" for i in spoken) >= 2000
    voices = {s: {i.meta["voice"] for i in spoken if i.split == s} for s in audio_pairs.VOICES}
    assert not voices["train"] & voices["test"] and not voices["train"] & voices["val"]
    # whoever trains on these may be tested on the other tasks' unseen voices
    assert not (voices["train"] | voices["val"]) & {v.id for v in speech.TEST_VOICES}
    kinds = Counter(i.meta["kind"] for i in spoken if i.split == "train")
    assert min(kinds[k] for k in ("word", "command", "sentence")) >= 400


def test_a_pair_has_two_styles_of_caption(spoken: list[Item]) -> None:
    item = next(i for i in spoken if i.answer == "open the window")
    ((_, name),) = audio_pairs.pairs([item])
    ((same, sentence),) = audio_pairs.pairs([item], style="sentence")
    assert same is item and name == "open the window"
    assert "open the window" in sentence and len(sentence) > len(name) + 8
    assert sentence[0].isupper()


def test_a_smaller_sample_lies_inside_a_larger_one(spoken: list[Item]) -> None:
    few, more, all_ = (audio_pairs.take(spoken, "test", n) for n in (10, 40, None))
    assert few == more[:10] and more == all_[:40]
    assert len(more) == 40 and all(i.split == "test" for i in all_)
    assert [i.id for i in spoken] != sorted(i.id for i in spoken)  # not one voice after the other


def test_an_unknown_subset_is_answered_with_those_there_are() -> None:
    with pytest.raises(UnknownName, match="speech, caption, sound"):
        audio_pairs.items(subsets=("music",))


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["train", "val", "test"]),
            st.sampled_from(["A duck.", "a duck", "Un pato", "cow"]),
            st.integers(0, 3),
        ),
        max_size=12,
    )
)
def test_what_is_on_two_sides_stays_in_the_test_alone(rows: list[tuple[str, str, int]]) -> None:
    items = [
        Item(str(n), "audio", Media.from_text(str(sound)), words, split=split,
             meta={"sentence": plain(words)})
        for n, (split, words, sound) in enumerate(rows)
    ]  # fmt: skip
    kept = audio_pairs.disjoint(items)
    check_disjoint(kept)
    assert [i for i in kept if i.split == "test"] == [i for i in items if i.split == "test"]


CAPTIONS = """A duck.
ca.utf8=Un ànec.
es.utf8=Un pato.
fr.utf8=Un canard.
ru.utf8=Утка.
"""


def write_stamp(folder: Path, name: str, text: str, *languages: str) -> None:
    path = folder / "stamps" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_name(f"{path.name}.txt").write_text(text, encoding="utf-8")
    for language in languages:
        path.with_name(f"{path.name}_desc_{language}.ogg").write_bytes(
            f"{name} {language}".encode()
        )


def named(split: str) -> str:
    """An English caption that falls on that side."""
    return next(f"thing {n}" for n in range(100) if audio_pairs._split(f"thing {n}") == split)


def test_spoken_captions_are_in_the_language_that_is_spoken(tmp_path: Path) -> None:
    for split in ("train", "test"):
        text = CAPTIONS.replace("A duck", named(split)).replace("Un ", f"Un {split} ")
        write_stamp(tmp_path, f"animals/{split}", text, "ca", "es", "ru")
        write_stamp(tmp_path, f"animals/{split}_mirror", text, "es")
        write_stamp(tmp_path, f"symbols/{split}", text, "es")
    found = {(i.meta["language"], i.split): i for i in audio_pairs.caption_items(tmp_path)}
    assert set(found) == {("es", "train"), ("es", "test"), ("ca", "test")}
    assert found["es", "train"].answer == "Un train pato"
    assert found["es", "train"].subset == found["ca", "test"].subset == "caption"
    assert found["es", "test"].subset == audio_pairs.KNOWN_VOICE
    assert "Spanish" in found["es", "test"].meta["sentence"]
    assert found["es", "test"].group == found["ca", "test"].group == named("test")
    with pytest.raises(DataFileError, match=r"no spoken caption.*gemb fetch tuxpaint-stamps"):
        audio_pairs.caption_items(tmp_path / "elsewhere")


def test_sounds_of_one_name_are_on_one_side(tmp_path: Path) -> None:
    packaged = manifests.get("packaged-sounds").generator["sounds"]
    places = [p for groups in packaged.values() for some in groups.values() for p in some]
    places += [p for named in OWN.values() for p in named.values()]
    for place in places:
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_bytes(place.encode())
    items = audio_pairs.disjoint(audio_pairs.sound_items(tmp_path))
    check_disjoint(items)
    assert len(items) == len({i.id for i in items}) == len(places)
    frog = next(i for i in items if i.answer == "frog")
    assert "an animal" in frog.meta["sentence"] and "frog" in frog.meta["sentence"]
    (tmp_path / OWN["an animal"]["frog"]).unlink()
    with pytest.raises(DataFileError, match=r"frog\.ogg: the file is missing"):
        audio_pairs.sound_items(tmp_path)


@pytest.mark.data
def test_the_packages_hold_what_the_manifest_says() -> None:
    items = audio_pairs.items()
    assert len(items) == manifests.get(audio_pairs.DATASET).items
    check_disjoint(items)
    train = Counter(i.subset for i in items if i.split == "train")
    test = Counter(i.subset for i in items if i.split == "test")
    assert sum(train.values()) >= 4000 and train["caption"] >= 1500 and train["sound"] >= 140
    assert test["sound"] >= 50 and test["caption"] >= 100 and test[audio_pairs.KNOWN_VOICE] >= 300
    catalan = {i.split for i in items if i.meta.get("language") == "ca"}
    assert catalan == {"test"}
    for item in items:
        if item.subset == "sound":
            decode_audio(item.media.bytes(), suffix=item.media.suffix, name=item.id)
