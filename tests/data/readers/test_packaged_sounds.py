"""The reader of packaged sounds, on tiny trees laid out as the packages are in the cache."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from gemb.data import manifests
from gemb.data.media import RATE, decode_audio
from gemb.data.readers import packaged_sounds, tuxpaint_objects
from gemb.data.readers.files import DataFileError

MANIFEST = manifests.get(packaged_sounds.DATASET)
SOUNDS: dict[str, dict[str, list[str]]] = MANIFEST.generator["sounds"]
PLACES = [p for groups in SOUNDS.values() for places in groups.values() for p in places]
SUBTYPES = {".flac": "PCM_16", ".mp3": "MPEG_LAYER_III", ".ogg": "VORBIS", ".wav": "PCM_16"}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every sound of the manifest, each a tone of its own in the format of its name."""
    folder = tmp_path_factory.mktemp("sounds")
    for number, place in enumerate(PLACES):
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        tone = np.sin(2 * np.pi * (100 + number) * np.arange(RATE // 10) / RATE)
        soundfile.write(path, tone, RATE, format=path.suffix[1:], subtype=SUBTYPES[path.suffix])
    return folder


def test_every_listed_sound_is_an_item_of_its_category(root: Path) -> None:
    items = {i.id: i for i in packaged_sounds.items(root)}
    assert len(items) == MANIFEST.items == len(PLACES)
    assert list(dict.fromkeys(i.answer for i in items.values())) == MANIFEST.classes
    hammer = items["packaged-sounds/tuxpaint-stamps/stamps/household/tools/hammer"]
    assert (hammer.modality, hammer.answer) == ("audio", "tool")
    assert hammer.group == "tool/hammer/tuxpaint"
    assert hammer.meta == {
        "package": "tuxpaint-stamps",
        "file": "stamps/household/tools/hammer.ogg",
        "name": "hammer",
    }
    assert all(i.split is None and i.subset == "main" for i in items.values())


def test_takes_of_one_animal_are_one_group(root: Path) -> None:
    groups = {i.id: i.group for i in packaged_sounds.items(root)}
    cats = {groups[f"packaged-sounds/scratch/animals/{n}"] for n in ("Cat", "Kitten", "Meow")}
    assert cats == {"mammal/cat/scratch"}


@pytest.mark.parametrize(("content", "problem"), [(None, "missing"), (b"", "empty")])
def test_a_missing_or_empty_sound_is_named_with_the_remedy(
    content: bytes | None, problem: str, root: Path
) -> None:
    path = root / "scratch/animals/Owl.wav"
    kept = path.read_bytes()
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    try:
        with pytest.raises(DataFileError, match=rf"Owl\.wav: .*{problem}.*gemb fetch scratch"):
            packaged_sounds.items(root)
    finally:
        path.write_bytes(kept)


def test_the_manifest_lists_sounds_once_in_pictured_categories() -> None:
    assert set(MANIFEST.classes) == set(SOUNDS)
    assert set(SOUNDS) < set(manifests.get(tuxpaint_objects.DATASET).classes)
    assert len(PLACES) == len(set(PLACES))
    assert {p.partition("/")[0] for p in PLACES} == set(MANIFEST.needs)
    assert not any(manifests.get(name).non_commercial for name in MANIFEST.needs)


@pytest.mark.data
def test_there_are_enough_sounds_of_each_category() -> None:
    items = packaged_sounds.items()
    sizes = Counter(i.answer for i in items)
    assert sum(sizes.values()) >= 150
    assert sum(size >= 10 for size in sizes.values()) >= 5
    assert sizes == {
        "bird": 29, "mammal": 59, "insect": 6, "instrument": 79, "tool": 12, "vehicle": 33
    }  # fmt: skip
    answers: dict[str | None, set[str]] = {}
    for item in items:
        answers.setdefault(item.group, set()).add(item.answer)
    assert all(len(several) == 1 for several in answers.values())
    assert len({i.media.key for i in items}) == len(items)


@pytest.mark.data
def test_every_sound_can_be_decoded_and_heard() -> None:
    for item in packaged_sounds.items():
        sound = decode_audio(item.media.bytes(), suffix=item.media.suffix, name=item.id)
        assert 0.1 <= len(sound) / RATE <= 60, item.id
        assert np.abs(sound).max() > 0.01, item.id
