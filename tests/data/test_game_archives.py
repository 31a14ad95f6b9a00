"""Qt resources and OpenTTD's sound sets, made here byte by byte."""

import struct
from pathlib import Path

import pytest

from gemb.data.game_archives import qt_resources, sound_catalogue
from gemb.data.unpack import UnpackError, extract

FILES = {"a/cow.ogg": b"moo", "a/packed.ogg": b"zzz", "b/car.wav": b"brumm"}


def make_rcc(version: int = 2) -> bytes:
    """The files of ``FILES`` in their two folders; the second of them counts as packed."""
    names = ["a", "b", "cow.ogg", "packed.ogg", "car.wav"]
    name_part, name_at = b"", []
    for name in names:
        name_at.append(len(name_part))
        name_part += struct.pack(">HI", len(name), 0) + name.encode("utf-16-be")
    content_part, content_at = b"", []
    for content in FILES.values():
        content_at.append(len(content_part))
        content_part += struct.pack(">I", len(content)) + content
    date = b"\0" * 8 if version >= 2 else b""
    tree = struct.pack(">IHII", 0, 2, 2, 1) + date
    tree += struct.pack(">IHII", name_at[0], 2, 2, 3) + date
    tree += struct.pack(">IHII", name_at[1], 2, 1, 5) + date
    for number, flags in enumerate((0, 1, 0)):
        tree += struct.pack(">IHII", name_at[2 + number], flags, 0, content_at[number]) + date
    contents = 20 + len(tree)
    header = struct.pack(">4I", version, 20, contents, contents + len(content_part))
    return b"qres" + header + tree + content_part + name_part


def make_cat(sounds: list[bytes]) -> bytes:
    index, body = b"", b""
    for sound in sounds:
        at = 8 * len(sounds) + len(body)
        index += struct.pack("<II", at | 1 << 31, len(sound))
        body += b"\x04cow\0" + sound + b"\0\x09some.wav\0"
    return struct.pack("<I", 8 * len(sounds) | 1 << 31) + index[4:] + body


@pytest.mark.parametrize("version", [1, 2])
def test_the_unpacked_files_of_a_qt_resource(version: int) -> None:
    wanted = {name: content for name, content in FILES.items() if "packed" not in name}
    assert dict(qt_resources(make_rcc(version))) == wanted


def test_a_circle_in_a_qt_resource_ends() -> None:
    data = bytearray(make_rcc())
    struct.pack_into(">II", data, 20 + 22 + 6, 1, 0)  # the first folder holds the root
    with pytest.raises(ValueError, match="circles"):
        list(qt_resources(bytes(data)))


def test_the_sounds_of_a_sound_set() -> None:
    sounds = {"00.wav": b"RIFFmoo", "01.wav": b"RIFFbrumm"}
    assert dict(sound_catalogue(make_cat(list(sounds.values())))) == sounds


def test_they_unpack_like_any_archive(tmp_path: Path) -> None:
    into, set_file = tmp_path / "into", tmp_path / "sounds.cat"
    into.mkdir()
    (tmp_path / "animals.rcc").write_bytes(make_rcc())
    set_file.write_bytes(make_cat([b"RIFFmoo"]))
    assert extract(tmp_path / "animals.rcc", ["a/*.ogg"], into) == {"a/*.ogg": ["a/cow.ogg"]}
    assert extract(set_file, ["00.wav"], into) == {"00.wav": ["00.wav"]}
    assert (into / "00.wav").read_bytes() == b"RIFFmoo"


@pytest.mark.parametrize("kind", ["rcc", "cat"])
@pytest.mark.parametrize("length", [0, 6, 30, -20])
def test_a_truncated_one_is_named(kind: str, length: int, tmp_path: Path) -> None:
    whole = make_rcc() if kind == "rcc" else make_cat([b"RIFF" * 9])
    path = tmp_path / f"short.{kind}"
    path.write_bytes(whole[:length])
    (tmp_path / "into").mkdir()
    with pytest.raises(UnpackError, match=path.name.replace(".", r"\.")):
        extract(path, ["**"], tmp_path / "into")
