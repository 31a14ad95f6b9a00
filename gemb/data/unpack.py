"""Taking chosen files out of archives that nobody has vouched for.

Reads zip (and wheels), tar with any compression, Debian packages, plain folders, Qt
resources (``.rcc``), OpenTTD's sound sets (``.cat``), and archives inside these. Only
regular files are ever written, below one folder, under their checked names; links and
devices are never made, so nothing can lead out of it.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from gemb.data.game_archives import qt_resources, sound_catalogue
from gemb.errors import UserError

NESTED = "!/"  # between an archive and a member of it, as in a jar address


class UnpackError(UserError, ValueError):
    """An archive that is damaged or dangerous; says which and what to do."""


class MemberMissing(UnpackError):
    """An archive or folder that lacks a member."""


@dataclass(frozen=True)
class Limits:
    """What an archive may grow to; beyond it, it is taken for a bomb.

    Attributes:
        total: Bytes written, over all members.
        ratio: Bytes passed through for each byte of the archive. Text packs
            some 10 to 50 to 1; a bomb 1,000 to 1.
        free: Bytes that pass before the ratio is looked at.
        depth: Archives within archives.
    """

    total: int = 40 * 2**30
    ratio: int = 200
    free: int = 64 * 2**20
    depth: int = 2


DEFAULT_LIMITS = Limits()


def safe_name(name: str) -> str:
    """A member's name as a relative POSIX path without ``.`` parts.

    Raises:
        UnpackError: It is absolute, climbs with ``..``, names a drive, or holds
            a backslash or a NUL: on some system it would leave the folder.
    """
    parts = [p for p in name.split("/") if p not in ("", ".")]
    if (
        not parts
        or name.startswith("/")
        or ".." in parts
        or "\\" in name
        or "\0" in name
        or re.match(r"[A-Za-z]:", parts[0])
    ):
        raise UnpackError(
            f"member {name!r} would be written outside its folder: do not use this archive"
        )
    return "/".join(parts)


def glob_regex(pattern: str) -> re.Pattern[str]:
    """``*`` and ``?`` stay within a folder, ``**/`` is any number of folders."""
    out, i = "", 0
    while i < len(pattern):
        if pattern.startswith("**/", i):
            out, i = out + "(?:[^/]+/)*", i + 3
        elif pattern.startswith("**", i):
            out, i = out + ".*", i + 2
        elif pattern[i] == "*":
            out, i = out + "[^/]*", i + 1
        elif pattern[i] == "?":
            out, i = out + "[^/]", i + 1
        elif pattern[i] == "[" and (end := pattern.find("]", i + 2)) > 0:
            chosen = pattern[i + 1 : end].replace("\\", r"\\").replace("[", r"\[")
            negated = chosen.startswith("!")
            out, i = out + (f"[^/{chosen[1:]}]" if negated else f"[{chosen}]"), end + 1
        else:
            out, i = out + re.escape(pattern[i]), i + 1
    return re.compile(out, re.DOTALL)


def fixed_folder(pattern: str) -> str:
    """The folders of a glob before its first wildcard, ending in ``/``, or empty."""
    head = re.split(r"[*?\[]", pattern, maxsplit=1)[0]
    return head[: head.rfind("/") + 1]


def is_archive(path: Path) -> bool:
    """Whether :func:`extract` reads files named like this one."""
    return bool(re.search(r"\.(zip|whl|deb|tar|tgz|tbz2?|txz|tar\.(gz|bz2|xz|zst))$", path.name))


def extract(
    archive: Path, members: Iterable[str], into: Path, limits: Limits = DEFAULT_LIMITS
) -> dict[str, list[str]]:
    """Write the files that ``members`` ask for below ``into``, under their names in the archive.

    Args:
        archive: A zip, wheel, tar, Debian package, Qt resource, sound set or folder.
            In a wheel, what lies in ``NAME.data/purelib/`` is named as if it lay at
            the top.
        members: Exact names or globs; ``inner.zip!/name`` reaches into a
            nested archive and is written below ``inner.zip!``.
        into: An existing folder, best an empty one.
        limits: Caps against archive bombs.

    Returns:
        For each of ``members`` the names written, sorted.

    Raises:
        MemberMissing: There is no such file in it.
        UnpackError: The archive is truncated or damaged, a name in it escapes,
            a member is a link, or a limit is passed.
    """
    wanted = list(dict.fromkeys(members))
    nested: dict[str, list[str]] = {}
    for member in wanted:
        outer, mark, inner = member.partition(NESTED)
        if mark:
            nested.setdefault(outer, []).append(inner)
    if nested and limits.depth < 1:
        raise UnpackError(f"{archive.name}: archives lie too deep in one another")

    plain = [m for m in wanted if NESTED not in m]
    patterns = {m: glob_regex(m) for m in [*plain, *nested]}
    found: dict[str, list[str]] = {m: [] for m in patterns}
    written = _copy(archive, patterns, found, into, limits)
    for member, names in found.items():
        if not names:
            raise MemberMissing(
                f"{archive.name}: holds no file {member!r}; it is not the version that the "
                "manifest describes, or the manifest names it wrongly"
            )

    result = {m: sorted(found[m]) for m in plain}
    inner_limits = Limits(limits.total - written, limits.ratio, limits.free, limits.depth - 1)
    for outer, inners in nested.items():
        folder = into / f"{outer}!"
        folder.mkdir(parents=True)
        for inner, names in extract(into / outer, inners, folder, inner_limits).items():
            result[outer + NESTED + inner] = [outer + NESTED + n for n in names]
        if outer not in plain:
            (into / outer).unlink()
    return result


@dataclass(frozen=True)
class _Member:
    name: str
    size: int
    is_file: bool
    open: Callable[[], IO[bytes]]


def _copy(
    archive: Path,
    patterns: dict[str, re.Pattern[str]],
    found: dict[str, list[str]],
    into: Path,
    limits: Limits,
) -> int:
    """Copy what matches, noting it in ``found``; return the bytes written."""
    size = limits.total if archive.is_dir() else archive.stat().st_size
    allowed = max(limits.free, limits.ratio * size)
    passed = written = 0
    try:
        with _members(archive) as members:
            for member in members:
                name = safe_name(member.name)
                passed += member.size
                matching = [m for m, regex in patterns.items() if regex.fullmatch(name)]
                if matching and not member.is_file:
                    if name in matching:
                        raise UnpackError(
                            f"{archive.name}: {name!r} is a link or a device, "
                            "not a file; the manifest must name a plain file"
                        )
                    continue
                if passed > allowed or (matching and written + member.size > limits.total):
                    raise UnpackError(
                        f"{archive.name}: grows beyond {min(allowed, limits.total):,} bytes "
                        f"at {name!r}: it looks like an archive bomb, do not use it"
                    )
                if matching:
                    # A zip's stated size may lie, so no more than it is read.
                    written += _write(member.open, member.size, into / name)
                    for m in matching:
                        found[m].append(name)
    except UnpackError as error:
        if archive.name in str(error):
            raise
        raise UnpackError(f"{archive.name}: {error}") from error
    except (
        tarfile.TarError,
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        EOFError,
        OSError,
        ValueError,
        NotImplementedError,
        RuntimeError,
    ) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk's fault, not the archive's
        raise UnpackError(
            f"{archive.name}: truncated or damaged ({error}): delete it and fetch it again"
        ) from error
    return written


def _write(open_member: Callable[[], IO[bytes]], size: int, target: Path) -> int:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        sink = target.open("wb")
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        raise UnpackError(f"{target.name!r} is both a file and a folder") from None
    left = size
    with open_member() as source, sink:
        while block := source.read(min(left, 1 << 20) or 1):
            left -= len(block)
            if left < 0:
                raise UnpackError(f"{target.name!r} is longer than the archive says")
            sink.write(block)
    if left:
        raise UnpackError(
            f"{target.name!r} ends {left} bytes early: the archive is truncated or damaged; "
            "delete it and fetch it again"
        )
    return size


@contextmanager
def _members(archive: Path) -> Iterator[Iterator[_Member]]:
    if archive.is_dir():
        yield _folder_members(archive)
        return
    with archive.open("rb") as stream:
        magic = stream.read(8)
        if magic.startswith(b"PK"):
            with zipfile.ZipFile(stream) as zipped:
                yield _zip_members(zipped, is_wheel=archive.suffix == ".whl")
            return
        if magic == b"!<arch>\n":
            name, stream_of_tar = _deb_data(stream)
            with _decompressed(name, stream_of_tar) as plain:
                yield _tar_members(plain)
            return
        stream.seek(0)
        if magic.startswith(b"qres"):
            yield _loaded_members(qt_resources(stream.read()))
            return
        if archive.suffix == ".cat":  # has no magic
            yield _loaded_members(sound_catalogue(stream.read()))
            return
        with _decompressed(archive.name, stream) as plain:
            yield _tar_members(plain)


def _folder_members(folder: Path) -> Iterator[_Member]:
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):

        def opener(path: Path = path) -> IO[bytes]:
            return path.open("rb")

        yield _Member(path.relative_to(folder).as_posix(), path.stat().st_size, True, opener)


def _zip_members(zipped: zipfile.ZipFile, is_wheel: bool) -> Iterator[_Member]:
    for info in zipped.infolist():
        if info.is_dir():
            continue
        name = info.filename
        if is_wheel:
            name = re.sub(r"^[^/]+\.data/(purelib|platlib)/", "", name)
        kind = info.external_attr >> 16 & 0o170000  # 0 where made without Unix modes

        def opener(info: zipfile.ZipInfo = info) -> IO[bytes]:
            return zipped.open(info)

        yield _Member(name, info.file_size, kind in (0, 0o100000), opener)


def _tar_members(stream: IO[bytes]) -> Iterator[_Member]:
    with tarfile.open(fileobj=stream, mode="r|") as tar:
        for info in tar:
            if info.isdir():
                continue

            def opener(info: tarfile.TarInfo = info) -> IO[bytes]:
                return cast(IO[bytes], tar.extractfile(info))

            yield _Member(info.name, info.size, info.isreg(), opener)


def _loaded_members(files: Iterable[tuple[str, bytes]]) -> Iterator[_Member]:
    for name, content in files:

        def opener(content: bytes = content) -> IO[bytes]:
            return io.BytesIO(content)

        yield _Member(name, len(content), True, opener)


def _deb_data(stream: IO[bytes]) -> tuple[str, IO[bytes]]:
    """The ``data.tar.*`` of a Debian package: a member of an ar archive, whose headers
    are 60 bytes of text (name 16, …, size 10 at 48) and whose members start even."""
    while len(header := stream.read(60)) == 60 and header[58:] == b"`\n":
        name = header[:16].decode("ascii", "replace").rstrip(" /")
        size = int(header[48:58])
        if name.startswith("data.tar"):
            return name, cast(IO[bytes], io.BufferedReader(_Head(stream, size)))
        stream.seek(size + size % 2, io.SEEK_CUR)
    raise EOFError("no data.tar in this Debian package")


class _Head(io.RawIOBase):
    """The next ``size`` bytes of a stream."""

    def __init__(self, stream: IO[bytes], size: int):
        self._stream, self._left = stream, size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        block = self._stream.read(min(len(buffer), self._left))
        buffer[: len(block)] = block
        self._left -= len(block)
        return len(block)


@contextmanager
def _decompressed(name: str, stream: IO[bytes]) -> Iterator[IO[bytes]]:
    suffix = PurePosixPath(name).suffix
    if suffix == ".tar":
        yield stream
        return
    opener: Callable[[IO[bytes]], Any]
    if suffix in (".gz", ".tgz"):
        opener = gzip.open
    elif suffix in (".xz", ".txz"):
        opener = lzma.open
    elif suffix in (".bz2", ".tbz", ".tbz2"):
        opener = bz2.open
    elif suffix == ".zst":
        import pyarrow as pa  # carries a zstd decoder, which Python 3.11 lacks

        def opener(stream: IO[bytes]) -> Any:
            return pa.CompressedInputStream(stream, "zstd")
    else:
        raise UnpackError(f"{name}: neither zip, tar nor Debian package")
    with opener(stream) as plain:
        yield cast(IO[bytes], plain)
