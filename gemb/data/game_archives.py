"""Two containers in which games and programs ship their sounds, read whole from memory.

Only what :mod:`gemb.data.unpack` needs: names and bytes of the files in them.
A damaged one raises ``ValueError``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

_FOLDER, _PACKED = 2, 1 | 4  # flags of a Qt resource; packed with zlib or zstd


def qt_resources(data: bytes) -> Iterator[tuple[str, bytes]]:
    """The files of a Qt resource file (``.rcc``) that lie in it unpacked; others are left out.

    A header with the offsets of three parts: a tree of fixed-size nodes, in
    which the children of a folder follow one another behind it; contents,
    each behind its length; and names, behind length and hash. All big endian.
    """
    try:
        version, tree, contents, names = struct.unpack_from(">4I", data, 4)
        size = 22 if version >= 2 else 14  # since then with a date
        paths: dict[int, str] = {0: ""}
        for node in range((len(data) - tree) // size):
            if node not in paths:
                return
            at = tree + node * size
            name, flags = struct.unpack_from(">IH", data, at)
            if node:
                (length,) = struct.unpack_from(">H", data, names + name)
                raw = data[names + name + 6 : names + name + 6 + 2 * length]
                paths[node] += raw.decode("utf-16-be")
            if flags & _FOLDER:
                count, first = struct.unpack_from(">II", data, at + 6)
                inside = f"{paths[node]}/" if node else ""
                for child in range(first, first + count):
                    if child <= node or child in paths:  # so that crafted ones end as well
                        raise ValueError("its tree of files runs in circles")
                    paths[child] = inside
            elif not flags & _PACKED:
                (start,) = struct.unpack_from(">I", data, at + 10)
                start += contents
                (length,) = struct.unpack_from(">I", data, start)
                yield paths[node], _slice(data, start + 4, length)
    except struct.error as error:
        raise ValueError(str(error)) from error


def sound_catalogue(data: bytes) -> Iterator[tuple[str, bytes]]:
    """The sounds of an OpenTTD sound set (``.cat``), as ``00.wav``, ``01.wav``, …

    Little-endian pairs of offset and length, then the sounds, each behind its title.
    """
    try:
        (first,) = struct.unpack_from("<I", data)
        if not first & 1 << 31:
            raise ValueError("a sound set of the first version, whose WAV headers are wrong")
        for number in range((first & ~(1 << 31)) // 8):
            start, length = struct.unpack_from("<II", data, 8 * number)
            start &= ~(1 << 31)
            (title,) = struct.unpack_from("B", data, start)
            yield f"{number:02}.wav", _slice(data, start + 1 + title, length)
    except struct.error as error:
        raise ValueError(str(error)) from error


def _slice(data: bytes, start: int, length: int) -> bytes:
    if start + length > len(data):
        raise ValueError("it ends before its last file")
    return data[start : start + length]
