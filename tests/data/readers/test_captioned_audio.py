"""Readers of the field's captioned sounds, on tiny copies in their official layouts."""

import logging
from pathlib import Path

import official_audio
import pytest

from gemb.data.fetch import adopt
from gemb.data.media import decode_audio
from gemb.data.readers import captioned_audio as read
from gemb.data.readers.files import DataFileError


def test_audiocaps_has_five_captions_a_clip_and_says_what_has_vanished(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    official_audio.audiocaps(tmp_path)
    with caplog.at_level(logging.WARNING):
        pairs = read.audiocaps(tmp_path)
    assert "1 of 3 test clips are not in" in caplog.text and "vanished000_120" in caplog.text
    assert [c for i, c in pairs if i.id == "audiocaps/test/--aB_c1_30"] == [
        f"a man speaks, take 0.{k}" for k in range(5)
    ]
    assert {i.meta["file"] for i, _ in pairs} == {
        "audio/--aB_c1_30.flac",
        "audio/YdEfGhIjKlMn.wav",
    }
    ((item, caption),) = read.audiocaps(tmp_path, "train")  # found by its audiocap_id
    assert (item.split, caption) == ("train", "Rain, then thunder")
    assert len(decode_audio(item.media.bytes(), suffix="wav", name=item.id)) == 4000


def test_audioset_is_captioned_by_its_labels_or_by_a_table_of_captions(tmp_path: Path) -> None:
    official_audio.audioset_strong(tmp_path)
    by_id = {i.id.rpartition("/")[2]: c for i, c in read.audioset(tmp_path)}
    assert by_id == {"b0RFKhbpFJA_30000": "Speech, then Bark", "x_y-z000000_0": "Speech"}
    official_audio.table(
        tmp_path / "captions.csv",
        ("segment_id", "caption"),
        [("x_y-z000000_0", "Somebody speaks.")],
    )
    assert [c for _, c in read.audioset(tmp_path)] == ["Somebody speaks."]


def test_clotho_has_three_parts_with_five_captions_a_clip(tmp_path: Path) -> None:
    official_audio.clotho(tmp_path)
    assert len(read.clotho(tmp_path)) == 10
    pairs = read.clotho(tmp_path, "val")
    assert {i.id for i, _ in pairs} == {"clotho/val/Waves, Salinas.wav"}
    assert pairs[0][1] == "Caption 1 of Waves, Salinas.wav, quietly."
    assert read.clotho(tmp_path, "train")[0][0].meta["file"].startswith("development/")


def test_fsd50k_is_captioned_by_its_labels(tmp_path: Path) -> None:
    official_audio.fsd50k(tmp_path)
    captions = {s: [c for _, c in read.fsd50k(tmp_path, s)] for s in ("train", "val", "test")}
    assert captions == {
        "train": ["electric guitar, guitar, music"],
        "val": ["chewing and mastication"],
        "test": ["bark, dog, animal"],
    }


def test_urbansound8k_keeps_slices_of_one_recording_together(tmp_path: Path) -> None:
    official_audio.urbansound8k(tmp_path)
    test = read.urbansound8k(tmp_path)
    assert [c for _, c in test] == ["car horn", "car horn"]
    assert {i.group for i, _ in test} == {"99812"}
    assert [c for _, c in read.urbansound8k(tmp_path, "val")] == ["children playing"]
    assert [c for _, c in read.urbansound8k(tmp_path, "train")] == ["dog bark"]


def test_macs_is_split_by_place(tmp_path: Path) -> None:
    official_audio.macs(tmp_path)
    sides = {s: read.macs(tmp_path, s) for s in ("train", "val", "test")}
    assert sum(map(len, sides.values())) == 2 * 40
    places = {s: {i.group for i, _ in pairs} for s, pairs in sides.items()}
    assert not places["train"] & places["test"] and not places["train"] & places["val"]
    assert "airport-barcelona-0" in set.union(*places.values())


@pytest.mark.parametrize("name", read.READERS)
def test_what_a_reader_hands_over_is_read_from_the_cache(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEMB_HOME", str(tmp_path / "home"))
    given = tmp_path / "given"
    getattr(official_audio, name.replace("-", "_"))(given)
    adopt(name, given, verify=False)
    ours, theirs = read.READERS[name](None, "test"), read.READERS[name](given, "test")
    assert [(i.id, i.media.key, c) for i, c in ours] == [(i.id, i.media.key, c) for i, c in theirs]


@pytest.mark.parametrize("name", read.READERS)
def test_what_is_missing_is_named_with_the_remedy(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match=rf"missing.*gemb fetch {name}|No such file.*{name}"):
        read.READERS[name](tmp_path, "test")
    getattr(official_audio, name.replace("-", "_"))(tmp_path)
    for path in list(tmp_path.rglob("*")):
        if path.suffix in (".wav", ".flac", ".ogg"):
            path.unlink()
    with pytest.raises(DataFileError, match="none of the"):
        read.READERS[name](tmp_path, "test")


def test_a_table_with_other_columns_is_refused_by_name(tmp_path: Path) -> None:
    official_audio.table(tmp_path / "dataset/test.csv", ("id", "text"), [("1", "x")])
    with pytest.raises(DataFileError, match=r"test\.csv: no column audiocap_id, caption"):
        read.audiocaps(tmp_path)
