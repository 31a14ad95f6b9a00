"""The study's own datasets, read from tiny ones in the formats of their publishers."""

import io
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import official
import pytest
from PIL import Image
from scipy.io import loadmat, savemat

from gemb import profiles, tasks
from gemb.data import fetch, manifests
from gemb.data.fetch import FetchError, SourceUnavailable
from gemb.data.items import Item
from gemb.data.load import load, load_dataset
from gemb.data.media import decode_audio, decode_image
from gemb.data.readers import (
    celeba,
    cifar10,
    esc50,
    fluent_speech_commands,
    iiit5k,
    librispeech,
    ravdess,
    speech_commands,
    svhn,
)
from gemb.data.readers.files import DataFileError
from gemb.data.splits import leak_free_folds, random_fold
from gemb.data.unpickle import PickleRefused
from gemb.errors import UserError


@pytest.fixture(scope="module")
def given_out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every dataset as its publisher gives it out."""
    return official.write_all(tmp_path_factory.mktemp("given_out"))


@pytest.fixture(scope="module")
def cache(given_out: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that holds every dataset, as fetching would have left it."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GEMB_HOME", str(home))
        official.adopt_all(given_out)
    return home


@pytest.fixture
def home(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GEMB_HOME", str(cache))
    monkeypatch.setenv("OFFLINE", "1")
    return cache


def copied(home: Path, tmp_path: Path, name: str) -> Path:
    """A copy of a fetched dataset, to be damaged."""
    return shutil.copytree(home / "fetched" / name, tmp_path / name)


def by_split(items: list[Item]) -> dict[str | None, int]:
    return dict(Counter(i.split for i in items))


# --- all of them ---


@pytest.mark.parametrize("name", list(tasks.TASKS))
def test_every_task_has_its_official_items(home: Path, name: str) -> None:
    task = tasks.get(name, "official")
    loaded = load(tasks.get(name), "official")
    assert loaded.source == "official" and not task.stand_in
    items = loaded.items
    assert len({i.id for i in items}) == len(items)
    answers = {i.answer for i in items}
    assert answers <= set(manifests.get(task.dataset).classes or answers)
    assert all(a == a.lower() and a == " ".join(a.split()) for a in answers)
    assert {i.modality for i in items} == {task.modality}
    some = items[len(items) // 2]
    if task.modality == "image":
        assert decode_image(some.media.bytes(), name=some.id).width >= 28
    else:
        data = some.media.bytes()
        assert len(decode_audio(data, suffix=some.media.suffix, name=some.id)) > 1000


@pytest.mark.parametrize("name", list(tasks.TASKS))
def test_both_splits_can_be_made_and_the_fixed_one_does_not_leak(home: Path, name: str) -> None:
    task, sizes = tasks.get(name, "official"), profiles.get("paper-smoke").sizes_of(name)
    items = load(task, "official").items
    for fold in leak_free_folds(task, items, sizes):
        assert fold.train and fold.val and fold.test
        parts = [{i.id for i in p} for p in (fold.train, fold.val, fold.test)]
        assert not (parts[0] & parts[2] or parts[1] & parts[2] or parts[0] & parts[1])
        if task.split in ("holdout", "folds"):
            groups = [{i.group for i in p} for p in (fold.train, fold.val, fold.test)]
            assert not (groups[0] & groups[2] or groups[1] & groups[2] or groups[0] & groups[1])
    drawn = random_fold(items, sizes, 0)
    assert drawn.train and drawn.test


def test_nothing_stands_in_for_an_official_dataset(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GEMB_HOME", str(tmp_path))
    monkeypatch.setenv("OFFLINE", "1")
    monkeypatch.delenv("GEMB_SOURCES", raising=False)
    with pytest.raises(SourceUnavailable, match="gemb fetch speech-commands"):
        load(tasks.get("words"), "official")


# --- images ---


def test_cifar_10(home: Path) -> None:
    items = cifar10.items()
    assert by_split(items) == {"train": 100, "test": 40}
    first = items[0]
    assert (first.id, first.answer, items[1].answer) == (
        "cifar-10/train/00000",
        "airplane",
        "automobile",
    )
    shown = np.asarray(decode_image(first.media.bytes(), name="x"))
    assert np.array_equal(shown, official.pixels("data_batch_10", 32, 32, 3))


def test_svhn_calls_label_ten_zero(home: Path) -> None:
    items = svhn.items()
    assert by_split(items) == {"train": 100, "test": 40}
    assert [i.answer for i in items[8:11]] == ["nine", "zero", "one"]
    shown = np.asarray(decode_image(items[9].media.bytes(), name="x"))
    assert np.array_equal(shown, official.pixels("train9", 32, 32, 3))


def test_iiit5k_groups_words_of_one_picture(home: Path) -> None:
    items = iiit5k.items()
    assert by_split(items) == {"train": 40, "test": 20}
    assert (items[0].answer, items[0].group) == ("word0", items[1].group)
    assert items[2].group != items[1].group
    assert Image.open(io.BytesIO(items[0].media.bytes())).format == "PNG"


def test_celeba_has_one_face_of_each_test_person(home: Path) -> None:
    items = celeba.items()
    assert len(items) == 4 == len({i.group for i in items})
    # the thirteenth photograph, of the fifth person, is the first of the test part
    assert items[0].id == "celeba/000013"
    assert [i.answer for i in items] == ["male", "female", "male", "female"]
    assert decode_image(items[0].media.bytes(), name="x").size == (178, 218)


# --- sounds ---


def test_ravdess_asked_for_gender_and_emotion(home: Path) -> None:
    gender, emotion = ravdess.gender(), ravdess.emotion()
    assert [i.media.key for i in gender[:3]] == [i.media.key for i in emotion[:3]]
    assert Counter(i.answer for i in gender) == {"male": 96, "female": 96}
    assert Counter(i.answer for i in emotion)["fearful"] == 24
    twelfth = next(i for i in emotion if i.id == "ravdess-emotion/03-01-06-01-01-01-12")
    assert (twelfth.answer, twelfth.group, twelfth.meta["gender"]) == (
        "fearful",
        "actor 12",
        "female",
    )
    assert twelfth.meta["transcript"].startswith("Kids")


def test_speech_commands_leaves_other_words_and_noise_out(home: Path) -> None:
    items = speech_commands.items()
    assert by_split(items) == {"train": 60, "test": 30}
    assert {i.answer for i in items} == set(official.WORDS)
    assert items[0].group == "0000ab00"


def test_fluent_speech_commands_are_phrasings_without_case_and_points(home: Path) -> None:
    items = fluent_speech_commands.items()
    assert by_split(items) == {"train": 49, "test": 21}
    counts = Counter(i.answer for i in items)
    assert len(counts) == 6 and counts["turn up the heat in the bedroom"] == 20
    assert counts["volume down please"] == 10


def test_the_most_frequent_phrasings_that_are_tested_too_are_the_commands(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fluent_speech_commands, "COMMANDS", 2)
    kept = {i.answer for i in fluent_speech_commands.items()}
    # the one said twice, and the first in the alphabet of the others
    assert kept == {"turn up the heat in the bedroom", "bring me my shoes"}
    folder = copied(home, tmp_path, "fluent-speech-commands")
    table = folder / "data" / "test_data.csv"
    table.write_text(table.read_text().replace("Bring me my shoes", "Bring me my socks"))
    kept = {i.answer for i in fluent_speech_commands.items(folder)}
    assert kept == {"turn up the heat in the bedroom", "play the music"}


def test_esc_50_in_the_words_of_cifar_10(home: Path) -> None:
    items = esc50.items()
    assert Counter(i.answer for i in items) == {
        "airplane": 5, "automobile": 10, "bird": 20, "cat": 5, "dog": 5, "frog": 5,
    }  # fmt: skip
    assert {i.answer for i in items} <= set(cifar10.ANSWERS)
    folds: dict[str | None, set[str]] = {}
    for i in items:
        folds.setdefault(i.group, set()).add(i.meta["fold"])
    assert all(len(f) == 1 for f in folds.values()) and len(folds) < len(items)
    assert load_dataset("esc-50", "official").items[0].answer == "airplane"


def test_librispeech_tests_on_other_readers_and_other_sentences(home: Path) -> None:
    known, unseen = librispeech.sentences(), librispeech.unseen()
    assert known and unseen and not set(known) & set(unseen)
    assert all(8 <= len(s.split()) <= 20 for s in (*known, *unseen))
    speakers = [{librispeech.item(s).group for s in part} for part in (known, unseen)]
    assert not speakers[0] & speakers[1]
    item = librispeech.item(unseen[0])
    assert item.answer == item.meta["transcript"] == unseen[0]
    samples = decode_audio(item.media.bytes(), suffix=item.media.suffix, name=item.id)
    assert item.media.suffix == "flac" and len(samples) == pytest.approx(2.3 * 16000)
    assert librispeech.text_item(unseen[0]).media.bytes() == unseen[0].encode()
    with pytest.raises(UserError, match="no sentence"):
        librispeech.item("nobody reads this")


def test_a_sentence_read_in_both_parts_is_only_tested(home: Path) -> None:
    twice = official.READ_TWICE.lower()
    assert twice in librispeech.unseen() and twice not in librispeech.sentences()


# --- what goes wrong ---


def replaced(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def without_field(path: Path, variable: str, field: str) -> None:
    table = loadmat(path)[variable]
    kept = np.zeros(table.shape, [(n, object) for n in table.dtype.names if n != field])
    for name in kept.dtype.names or ():
        kept[name] = table[name]
    savemat(path, {variable: kept})


def relabelled(path: Path) -> None:
    found = loadmat(path)
    found["y"][0] = 11
    savemat(path, {"X": found["X"], "y": found["y"]})


def rewritten(path: Path, **changes: object) -> None:
    path.write_bytes(
        official.python2_pickle(
            {
                b"data": np.zeros((2, 3072), np.uint8),
                b"labels": [0, 1],
                **{k.encode(): v for k, v in changes.items()},
            }
        )
    )


ESC = "meta/esc50.csv"
FLUENT = "data/train_data.csv"
WRONG = {
    # a missing file
    "celeba gone": ("celeba", lambda f: (f / "img_align_celeba.zip").unlink(), celeba.items,
                    r"img_align_celeba\.zip: not a whole zip file \(the file is missing"),
    "cifar gone": ("cifar-10", lambda f: (f / "data_batch_3").unlink(), cifar10.items,
                   r"data_batch_3: the file is missing.*gemb fetch cifar-10"),
    "svhn gone": ("svhn", lambda f: (f / "test_32x32.mat").unlink(), svhn.items,
                  r"test_32x32\.mat: the file is missing.*gemb fetch svhn"),
    "iiit5k gone": ("iiit5k", lambda f: (f / "train" / "1000_0.png").unlink(), iiit5k.items,
                    r"1000_0\.png: named by trainCharBound\.mat"),
    "ravdess gone": ("ravdess", lambda f: shutil.rmtree(f / "speech"), ravdess.emotion,
                     r"speech: holds no Actor_"),
    "words gone": ("speech-commands", lambda f: shutil.rmtree(f / "left"),
                   speech_commands.items, "left: holds no recordings"),
    "list gone": ("speech-commands", lambda f: (f / "testing_list.txt").unlink(),
                  speech_commands.items, r"testing_list\.txt: the file is missing"),
    "fluent gone": ("fluent-speech-commands",
                    lambda f: (f / "wavs/speakers/trainSpeaker0/train-0-0.wav").unlink(),
                    fluent_speech_commands.items, r"train-0-0\.wav: named by the tables"),
    "esc gone": ("esc-50", lambda f: (f / "audio" / "1-100000-A-0.wav").unlink(), esc50.items,
                 r"1-100000-A-0\.wav: named by esc50\.csv"),
    # a truncated file
    "cifar cut": ("cifar-10", lambda f: (f / "test_batch").write_bytes(b"\x80\x02}q"),
                  cifar10.items, "test_batch: refused to read"),
    "svhn cut": ("svhn", lambda f: (f / "train_32x32.mat").write_bytes(
        (f / "train_32x32.mat").read_bytes()[:5000]), svhn.items, "not a whole MATLAB file"),
    "celeba cut": ("celeba", lambda f: (f / "img_align_celeba.zip").write_bytes(
        (f / "img_align_celeba.zip").read_bytes()[:5000]), celeba.items, "not a whole zip file"),
    # a renamed column
    "esc column": ("esc-50", lambda f: replaced(f / ESC, "category", "label"), esc50.items,
                   r"esc50\.csv: has no column category; it has: filename"),
    "fluent column": ("fluent-speech-commands",
                      lambda f: replaced(f / FLUENT, "speakerId", "speaker_id"),
                      fluent_speech_commands.items, "has no column speakerId; it has: path"),
    "iiit5k field": ("iiit5k",
                     lambda f: without_field(f / "testCharBound.mat", "testCharBound", "chars"),
                     iiit5k.items, "has no field chars; it has: ImgName, charBB"),
    "svhn variable": ("svhn", lambda f: savemat(f / "train_32x32.mat", {"images": [1]}),
                      svhn.items, "has no variable X, y; it has: images"),
    "cifar key": ("cifar-10", lambda f: (f / "test_batch").write_bytes(
        official.python2_pickle({b"images": 1})), cifar10.items, "has no data, labels"),
    "celeba attribute": ("celeba", lambda f: replaced(f / "list_attr_celeba.txt", "Male", "Man"),
                         celeba.items, "has no attribute Male"),
    # a wrong label code
    "svhn label": ("svhn", lambda f: relabelled(f / "test_32x32.mat"), svhn.items,
                   "label 11 is not 1 to 10"),
    "cifar label": ("cifar-10", lambda f: rewritten(f / "test_batch", labels=[0, 10]),
                    cifar10.items, "label 10 is not 0 to 9"),
    "cifar count": ("cifar-10", lambda f: rewritten(f / "test_batch", labels=[0]),
                    cifar10.items, "not a label for each of 2"),
    "ravdess code": ("ravdess", lambda f: next((f / "speech").glob("*/*.wav")).rename(
        f / "speech" / "Actor_01" / "03-01-09-01-01-01-01.wav"), ravdess.gender,
        "is no code of RAVDESS"),
    "celeba value": ("celeba", lambda f: replaced(f / "list_attr_celeba.txt",
                                                  "000013.jpg  1  1", "000013.jpg  1  2"),
                     celeba.items, "000013.jpg: not 3 values of 1 or -1"),
    "speaker": ("speech-commands", lambda f: (f / "up" / "0000ab00_nohash_0.wav").rename(
        f / "up" / "nobody.wav"), speech_commands.items, "does not say who speaks"),
    "leak": ("fluent-speech-commands",
             lambda f: replaced(f / FLUENT, ",trainSpeaker0,", ",testSpeaker0,"),
             fluent_speech_commands.items, "testSpeaker0 is in training and test"),
    "esc folds": ("esc-50", lambda f: replaced(f / ESC, "1-100000-B-0.wav,1", "1-100000-B-0.wav,2"),
                  esc50.items, "100000 is in two folds"),
}  # fmt: skip


@pytest.mark.parametrize("case", list(WRONG))
def test_a_damaged_dataset_is_refused_by_file(home: Path, tmp_path: Path, case: str) -> None:
    name, damage, read, complaint = WRONG[case]
    folder = copied(home, tmp_path, name)
    damage(folder)
    with pytest.raises((DataFileError, PickleRefused), match=complaint):
        read(folder)


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda f: next(f.rglob("*.flac")).unlink(), r"\.flac: named by .*trans\.txt"),
        (lambda f: shutil.rmtree(f / "librispeech-test-clean" / "speech"), "no transcripts"),
        (
            lambda f: next(f.rglob("*.trans.txt")).write_text("84-1 SOME WORDS\n"),
            "is not an utterance's number and its words",
        ),
    ],
)
def test_damaged_librispeech_is_refused(home: Path, tmp_path: Path, damage, complaint) -> None:
    for part in (librispeech.TRAIN, librispeech.TEST):
        copied(home, tmp_path, part)
    damage(tmp_path)
    with pytest.raises(DataFileError, match=complaint):
        librispeech.readings(tmp_path)


# --- gemb fetch --from ---


@pytest.fixture
def empty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A cache of this test alone."""
    monkeypatch.setenv("GEMB_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("OFFLINE", "1")
    return tmp_path


@pytest.mark.parametrize("name", ["ravdess", "speech-commands", "iiit5k", "cifar-10"])
def test_an_archive_that_is_not_the_publishers_is_refused(
    empty: Path, given_out: Path, name: str
) -> None:
    with pytest.raises(FetchError, match=r"wrong checksum of .*It is not used"):
        fetch.adopt(name, given_out)
    assert not fetch.is_present(name)


def test_loose_files_are_checked_one_by_one(empty: Path, given_out: Path) -> None:
    with pytest.raises(FetchError, match=r"wrong checksum of train_32x32\.mat"):
        fetch.adopt("svhn", given_out)


@pytest.mark.parametrize("inside", [True, False])
def test_an_unpacked_folder_is_taken_from_inside_and_from_above(
    empty: Path, inside: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = empty / "mine" / "fluent_speech_commands_dataset"
    official.put(folder, official.fluent_speech_commands())
    fetch.adopt("fluent-speech-commands", folder if inside else folder.parent)
    assert len(fluent_speech_commands.items()) == 70
    assert "wavs/speakers (the publisher gives no checksum)" in capsys.readouterr().err
    stamp = (fetch.folder_of("fluent-speech-commands") / ".gemb.json").read_text()
    assert "the publisher gives no checksum" in stamp


def test_an_archive_without_a_checksum_is_taken_and_the_reason_recorded(
    empty: Path, given_out: Path
) -> None:
    fetch.adopt("fluent-speech-commands", given_out)
    assert fetch.is_present("fluent-speech-commands")


@pytest.mark.parametrize(
    ("name", "copy"),
    [
        ("ESC-50-master", ""),
        ("ESC-50-master", " (1)"),  # as Chrome names it if it has been there before
        ("ESC-50-33c8ce9eb2cf0b1c2f8bcf322eb349b6be34dbb6", "(2)"),  # as Firefox does
    ],
)
def test_a_readers_own_copy_of_a_githubs_archive_is_taken(
    empty: Path, name: str, copy: str
) -> None:
    files = {f"{name}/{path}": content for path, content in official.esc50(40).items()}
    official.put(empty / "mine", {f"{name}{copy}.zip": official.zipped(files)})
    fetch.adopt("esc-50", empty / "mine", verify=False)
    assert (fetch.folder_of("esc-50") / "meta" / "esc50.csv").exists()


def test_an_unpacked_folder_that_lacks_recordings_is_refused(empty: Path) -> None:
    official.put(empty / "mine", official.ravdess(actors=3))
    with pytest.raises(FetchError, match=r"holds 24 files .*there should be 1440"):
        fetch.adopt("ravdess", empty / "mine")


def test_a_truncated_archive_is_refused(empty: Path, given_out: Path) -> None:
    whole = (given_out / "fluent.tar.gz").read_bytes()
    official.put(empty / "mine", {"fluent.tar.gz": whole[: len(whole) // 2]})
    with pytest.raises(FetchError, match="truncated or damaged"):
        fetch.adopt("fluent-speech-commands", empty / "mine")
    assert not fetch.is_present("fluent-speech-commands")


@pytest.mark.parametrize("name", ["celeba", "fluent-speech-commands"])
def test_what_a_host_gives_only_by_hand_says_what_to_do(
    empty: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with pytest.raises(SourceUnavailable, match=rf"by hand: .*gemb fetch {name} --from FOLDER"):
        fetch.fetch(name)
    (empty / "mine").mkdir()
    with pytest.raises(SourceUnavailable, match=r"(?s)does not hold it.*FOLDER"):
        fetch.adopt(name, empty / "mine")
    with pytest.raises(SourceUnavailable, match="no such folder"):
        fetch.adopt(name, empty / "nowhere")


def test_a_dataset_made_from_others_takes_those(empty: Path, given_out: Path) -> None:
    fetch.adopt("librispeech", given_out, verify=False)
    assert fetch.is_present("librispeech") and librispeech.unseen()
