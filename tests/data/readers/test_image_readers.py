"""The image readers, on small files in the official formats, whole and damaged."""

from __future__ import annotations

import gzip
import io
import shutil
from collections import Counter
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image

from gemb.data import manifests
from gemb.data.fetch import fetch
from gemb.data.items import Item
from gemb.data.readers import fashion_mnist, mnist_digits, rendered_words, tuxpaint_objects
from gemb.data.readers.files import DataFileError

MAGIC = {1: b"\0\0\x08\x01", 3: b"\0\0\x08\x03"}
RNG = np.random.RandomState(0)


def write_idx(path: Path, array: np.ndarray, magic: bytes | None = None) -> None:
    lengths = b"".join(n.to_bytes(4, "big") for n in array.shape)
    path.write_bytes(gzip.compress((magic or MAGIC[array.ndim]) + lengths + array.tobytes()))


def write_photograph(path: Path, width: int, height: int, alpha: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = RNG.randint(0, 256, (height, width, 4 if alpha else 3), dtype=np.uint8)
    if alpha:
        pixels[..., 3] = 255
        pixels[0] = pixels[:, 0] = 0  # a transparent edge, as cut-outs have
    Image.fromarray(pixels).save(path)


def opened(item: Item) -> Image.Image:
    return Image.open(io.BytesIO(item.media.bytes()))


# --- Fashion-MNIST --------------------------------------------------------------------------


@pytest.fixture
def fashion(tmp_path: Path) -> Path:
    for prefix, count in (("train", 20), ("t10k", 10)):
        images = RNG.randint(0, 256, (count, 28, 28), dtype=np.uint8)
        write_idx(tmp_path / f"{prefix}-images-idx3-ubyte.gz", images)
        labels = np.arange(count, dtype=np.uint8) % 10
        write_idx(tmp_path / f"{prefix}-labels-idx1-ubyte.gz", labels)
    return tmp_path


def test_fashion_mnist_keeps_the_official_split_order_and_pixels(fashion: Path) -> None:
    items = fashion_mnist.items(fashion)
    assert Counter(i.split for i in items) == {"train": 20, "test": 10}
    assert items[0].id == "fashion-mnist/train/00000" and items[0].answer == "t-shirt"
    assert items[-1].id == "fashion-mnist/test/00009" and items[-1].answer == "boot"
    raw = gzip.decompress((fashion / "train-images-idx3-ubyte.gz").read_bytes())
    expected = np.frombuffer(raw, np.uint8, 784, 16 + 3 * 784).reshape(28, 28)
    picture = opened(items[3])
    assert picture.format == "PNG" and np.array_equal(np.asarray(picture), expected)


def test_answers_are_the_classes_of_the_manifests() -> None:
    assert list(fashion_mnist.ANSWERS) == manifests.get("fashion-mnist").classes
    assert list(mnist_digits.ANSWERS) == manifests.get("mnist-digits").classes


def test_a_key_depends_on_the_pixels_alone(fashion: Path) -> None:
    images = np.zeros((10, 28, 28), np.uint8)
    images[1] = 1
    write_idx(fashion / "t10k-images-idx3-ubyte.gz", images)
    test = [i for i in fashion_mnist.items(fashion) if i.split == "test"]
    assert test[0].media.key == test[2].media.key != test[1].media.key


def test_fashion_mnist_names_a_missing_file_and_the_remedy(fashion: Path) -> None:
    (fashion / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataFileError, match=r"t10k-labels.*missing.*gemb fetch fashion-mnist"):
        fashion_mnist.items(fashion)


@pytest.mark.parametrize("keep", [5, 60, -20])
def test_fashion_mnist_names_a_truncated_file(fashion: Path, keep: int) -> None:
    path = fashion / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataFileError, match=r"train-images.*not a whole gzip file"):
        fashion_mnist.items(fashion)


def test_fashion_mnist_refuses_what_is_no_idx_file_of_images(fashion: Path) -> None:
    path = fashion / "train-images-idx3-ubyte.gz"
    shutil.copy(fashion / "train-labels-idx1-ubyte.gz", path)
    with pytest.raises(DataFileError, match="0x0801 instead of 0x0803"):
        fashion_mnist.items(fashion)
    path.write_bytes(gzip.compress(b""))
    with pytest.raises(DataFileError, match="magic number"):
        fashion_mnist.items(fashion)
    path.write_bytes(gzip.compress(MAGIC[3] + b"\0\0\0\2"))
    with pytest.raises(DataFileError, match="bytes for an array of shape"):
        fashion_mnist.items(fashion)


def test_fashion_mnist_refuses_labels_that_do_not_fit(fashion: Path) -> None:
    path = fashion / "train-labels-idx1-ubyte.gz"
    write_idx(path, np.zeros(19, np.uint8))
    with pytest.raises(DataFileError, match="19 labels for 20 images"):
        fashion_mnist.items(fashion)
    write_idx(path, np.full(20, 10, np.uint8))
    with pytest.raises(DataFileError, match="label 10"):
        fashion_mnist.items(fashion)


# --- MNIST digits ---------------------------------------------------------------------------


def write_csv(path: Path, rows: np.ndarray) -> None:
    text = "\n".join(",".join(map(str, row)) for row in rows.tolist())
    path.write_bytes(gzip.compress(text.encode()))


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    rows = RNG.randint(0, 256, (10, 785))
    rows[:, -1] = range(10)
    write_csv(tmp_path / "mnist_5k.csv.gz", rows)
    return tmp_path


def test_digits_are_answered_by_words_and_have_no_groups(digits: Path) -> None:
    items = mnist_digits.items(digits)
    assert [i.answer for i in items][:3] == ["zero", "one", "two"] and len(items) == 10
    assert {i.split for i in items} == {i.group for i in items} == {None}
    assert opened(items[0]).size == (28, 28)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (np.zeros((2, 784), int), "785 numbers a row"),
        (np.full((2, 785), 300), "pixels outside"),
        (np.full((2, 785), 0.5), "whole numbers"),
        (np.zeros((0, 785), int), "785 numbers a row"),
    ],
)
def test_digits_refuse_another_table(digits: Path, row: np.ndarray, problem: str) -> None:
    write_csv(digits / "mnist_5k.csv.gz", row)
    with pytest.raises(DataFileError, match=f"mnist_5k.csv.gz.*{problem}.*gemb fetch mnist-5k"):
        mnist_digits.items(digits)


def test_digits_name_a_missing_or_truncated_file(digits: Path) -> None:
    path = digits / "mnist_5k.csv.gz"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataFileError, match="not a whole gzip file"):
        mnist_digits.items(digits)
    path.unlink()
    with pytest.raises(DataFileError, match="missing"):
        mnist_digits.items(digits)


# --- objects and words ----------------------------------------------------------------------


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Stamps, landscapes and fonts under their official names, all of them small."""
    for names in manifests.get("tuxpaint-objects").generator["stamps"].values():
        for name in names:
            write_photograph(tmp_path / "tuxpaint-stamps/stamps" / name, 12, 8, alpha=True)
    splits = manifests.get("rendered-words").generator["splits"]
    for part in splits.values():
        for kind in part["backgrounds"]:
            write_photograph(tmp_path / f"endless-sky/land/{kind}0.jpg", 60, 30)
        for font in part["fonts"]:
            path = tmp_path / font / manifests.get(font).files[0].path
            path.parent.mkdir()
            data = Path(matplotlib.get_data_path())
            shutil.copy(data / "fonts/ttf/DejaVuSans.ttf", path)
    return tmp_path


def test_objects_are_what_their_manifest_says(root: Path) -> None:
    manifest = manifests.get("tuxpaint-objects")
    items = tuxpaint_objects.items(root)
    assert len(items) == manifest.items == len({i.id for i in items})
    assert len({i.media.key for i in items}) == len(items)
    assert set(manifest.classes) == {i.answer for i in items} == set(manifest.generator["stamps"])
    groups = {a: {i.group for i in items if i.answer == a} for a in manifest.classes}
    assert min(map(len, groups.values())) >= 6  # enough for five folds
    assert len(set().union(*groups.values())) == sum(map(len, groups.values()))


def test_variants_of_a_stamp_share_a_group(root: Path) -> None:
    groups: dict[str, set[str]] = {}
    for item in tuxpaint_objects.items(root):
        assert item.group is not None
        groups.setdefault(item.group, set()).add(item.meta["stamp"].rsplit("/", 1)[1])
    assert groups["mammal/rabbit"] == {"rabbit.png", "rabbit-2.png", "rabbit_little.png"}
    assert groups["tool/scissor"] == {"scissors_small_open.png", "scissors_small_closed.png"}
    assert groups["vegetable/garlic"] == {"garlic.png", "garlics.png"}
    assert groups["bird/hen"] == {"hen.png"}


def test_compositions_are_made_when_asked_for_and_always_alike(root: Path) -> None:
    items = tuxpaint_objects.items(root)
    again = tuxpaint_objects.items(root)
    assert [i.media.key for i in items] == [i.media.key for i in again]
    assert items[0].media.bytes() == again[0].media.bytes() != items[1].media.bytes()
    picture = opened(items[0])
    assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", (224, 224))


def test_a_changed_stamp_changes_the_keys_of_its_compositions_alone(root: Path) -> None:
    before = {i.id: i.media.key for i in tuxpaint_objects.items(root)}
    write_photograph(root / "tuxpaint-stamps/stamps/animals/birds/owl.png", 12, 8, alpha=True)
    after = {i.id: i.media.key for i in tuxpaint_objects.items(root)}
    changed = {i for i in before if before[i] != after[i]}
    assert changed == {f"tuxpaint-objects/animals/birds/owl/{n}" for n in range(8)}


def test_objects_name_what_is_missing(root: Path) -> None:
    (root / "tuxpaint-stamps/stamps/food/fruit/kiwi.png").unlink()
    with pytest.raises(DataFileError, match=r"kiwi\.png.*missing.*gemb fetch tuxpaint-stamps"):
        tuxpaint_objects.items(root)
    shutil.rmtree(root / "endless-sky")
    with pytest.raises(DataFileError, match="gemb fetch endless-sky"):
        tuxpaint_objects.items(root)


def test_words_are_what_their_manifest_says(root: Path) -> None:
    manifest = manifests.get("rendered-words")
    words = manifest.classes
    unseen = manifest.generator["unseen_words"].split()
    assert (len(set(words)), len(set(unseen)), set(words) & set(unseen)) == (200, 40, set())
    assert all(w.isalpha() and w.islower() and 3 <= len(w) <= 10 for w in words + unseen)
    items = rendered_words.items(root)
    assert len(items) == manifest.items == len({i.id for i in items})
    assert len({i.media.key for i in items}) == len(items)


def test_training_and_test_words_share_neither_fonts_nor_backgrounds(root: Path) -> None:
    items = rendered_words.items(root)
    train = [i for i in items if i.split == "train"]
    test = [i for i in items if i.split == "test"]
    for key in ("font", "background"):
        assert not {i.meta[key] for i in train} & {i.meta[key] for i in test}
    assert {i.subset for i in train} == {"main"}
    assert {i.answer for i in train} == {i.answer for i in test if i.subset == "main"}
    unseen = {i.answer for i in test if i.subset == "unseen-words"}
    assert len(unseen) == 40 and not unseen & {i.answer for i in train}
    assert all(i.group == i.meta["font"] and i.meta["text"].lower() == i.answer for i in items)


def test_renderings_are_alike_every_time_and_fit_the_longest_word(root: Path) -> None:
    items = rendered_words.items(root)
    longest = max(items, key=lambda i: (len(i.answer), i.meta["text"].isupper()))
    again = {i.id: i for i in rendered_words.items(root)}[longest.id]
    assert longest.media.bytes() == again.media.bytes()
    assert opened(longest).size == (224, 224)


@pytest.mark.parametrize("background", [0, 90, 128, 255])
def test_text_stands_out_from_any_background(tmp_path: Path, background: int) -> None:
    land = tmp_path / "plain0.jpg"
    Image.new("RGB", (720, 360), (background,) * 3).save(land)
    font = Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"
    for seed in range(5):
        picture = rendered_words.render("MOUNTAIN", font, land, 224, seed)
        grey = np.asarray(Image.open(io.BytesIO(picture)).convert("L"), dtype=float)
        text = np.abs(grey - background) > 40  # noise stays below this
        assert text.mean() > 0.01
        columns = np.nonzero(text.any(axis=0))[0]
        assert columns[-1] - columns[0] > 0.6 * 224  # the word is whole and wide


def test_words_name_what_is_missing(root: Path) -> None:
    (root / "endless-sky/land/fog0.jpg").unlink()
    with pytest.raises(DataFileError, match=r"no fog.*gemb fetch endless-sky"):
        rendered_words.items(root)
    (root / "fonts-lobster/lobster.otf").unlink()
    with pytest.raises(DataFileError, match=r"lobster\.otf.*missing.*gemb fetch fonts-lobster"):
        rendered_words.items(root)


# --- real data ------------------------------------------------------------------------------


@pytest.mark.data
def test_the_stamps_that_are_taken_are_photographs_by_the_stated_rule() -> None:
    folder = fetch("tuxpaint-stamps") / "stamps"
    for names in manifests.get("tuxpaint-objects").generator["stamps"].values():
        for name in names:
            assert not {"cartoon", "toys", "plastic"} & set(name.split("/"))
            pixels = np.asarray(Image.open(folder / name).convert("RGBA"))
            opaque = pixels[..., 3] > 200
            both = opaque[:, 1:] & opaque[:, :-1]
            equal = (pixels[:, 1:, :3] == pixels[:, :-1, :3]).all(axis=2)
            assert equal[both].mean() < 0.5, name


@pytest.mark.data
def test_the_real_data_have_the_items_that_the_manifests_state() -> None:
    readers = {
        "fashion-mnist": fashion_mnist,
        "mnist-digits": mnist_digits,
        "tuxpaint-objects": tuxpaint_objects,
        "rendered-words": rendered_words,
    }
    for name, reader in readers.items():
        items = reader.items()
        assert len(items) == manifests.get(name).items
        opened(items[len(items) // 2]).load()
