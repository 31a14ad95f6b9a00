"""Fetching datasets and pretrained parts into the cache, each file checked before it counts.

The sources of a manifest are tried in order. What is needed of them is unpacked
beside its destination, hashed, and renamed into place in one step, so that the
cache holds a manifest's files either whole or not at all. A lock for each
manifest makes it safe to fetch from several processes.

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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs
from filelock import FileLock, Timeout

from gemb.data import manifests
from gemb.data.manifests import File, Manifest, Source, UrlSource
from gemb.data.sources import (
    FetchError,
    SourceUnavailable,
    archive_names,
    describe,
    file_hash,
    handed_over,
    obtain,
    offline,
    say,
)
from gemb.data.unpack import UnpackError, fixed_folder

__all__ = [
    "FetchError",
    "SourceUnavailable",
    "Status",
    "adopt",
    "cache_dir",
    "fetch",
    "folder_of",
    "is_present",
    "offline",
    "remove",
    "status",
    "tree_sha256",
]

_STAMP = ".gemb.json"  # in a fetched folder: what it holds and where from


@dataclass(frozen=True)
class Status:
    """What of one manifest lies in the cache; ``bytes`` is what it takes there."""

    manifest: Manifest
    present: bool
    bytes: int


# All that gemb keeps under the cache folder, but for `first_seen.json`: hashes once trusted stay.
FOLDERS = (
    "fetched",
    "converted",
    "vectors",
    "released",
    "measured",
    "runs",
    "records",
    "apt",
    "audio-models",
)


def cache_dir() -> Path:
    """``GEMB_HOME``, else the platform's cache folder for gemb; made if absent."""
    home = os.environ.get("GEMB_HOME")
    folder = Path(home).expanduser() if home else platformdirs.user_cache_path("gemb")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FetchError(
            f"cannot make the cache folder {folder}: {error.strerror}; set GEMB_HOME to a "
            "folder that can be written"
        ) from error
    return folder


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
    freed = 0
    with _locked(name):
        for leftover in (folder_of(name), _work(name)):
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
        ManifestError: Its manifest is wrong.
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
            _fetch_from_first(manifest)
    return folder


def adopt(name: str, folder: Path, verify: bool = True) -> Path:
    """Take the files of ``name``, and of all it needs, from what the reader already has.

    Args:
        name: Of the manifest.
        folder: Holds the archives as their publishers give them out, or the same
            unpacked. It is only read.
        verify: Compare with the manifest's checksums and counts. Without it any
            files in the publisher's layout will do: for tests, which make their own.

    Returns:
        As :func:`fetch`. What no checksum vouches for is said, and recorded beside
        the files with the reason.

    Raises:
        UnknownName: There is no such manifest.
        SourceUnavailable: ``folder`` does not hold what the manifest names.
        FetchError: A checksum or a count differs, or an archive is damaged.
    """
    manifest = manifests.get(name)
    if not folder.is_dir():
        raise SourceUnavailable(f"{folder}: there is no such folder")
    for needed in manifest.needs:
        adopt(needed, folder, verify)
    if not manifest.files:
        return folder_of(name)
    reasons = []
    with _locked(name):
        for source, checked in handed_over(manifest, folder, verify):
            try:
                return _fill(manifest, source, checked, verify)
            except SourceUnavailable as error:
                reasons.append(f"\n  - {describe(source)}: {error}")
    names = " or ".join(n for s in manifest.sources for n in archive_names(s))
    raise SourceUnavailable(
        f"{name}: {folder} does not hold it. Looked into:{''.join(reasons)}\n"
        + (manifest.by_hand or f"Expected is {names or 'each file'} as published, or unpacked")
    )


def tree_sha256(hashes: Mapping[str, str]) -> str:
    """The checksum of a tree, from the sha256 of each file by relative path."""
    lines = sorted(f"{sha}  {path}\n".encode() for path, sha in hashes.items())
    return hashlib.sha256(b"".join(lines)).hexdigest()


# --- one manifest ---------------------------------------------------------------------------


def _work(name: str) -> Path:
    """Where it is put together: beside its destination, so that a rename brings it there."""
    return cache_dir() / "fetched" / f".{name}.part"


@contextmanager
def _locked(name: str) -> Iterator[None]:
    folder = cache_dir() / "fetched"
    folder.mkdir(exist_ok=True)
    lock = FileLock(folder / f".{name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(f"{name}: another process is fetching it; waiting")
        lock.acquire()
    try:
        yield
    except OSError as error:
        raise FetchError(
            f"{name}: {error}. Free some disk below {folder}, or set GEMB_HOME to a folder with "
            "more room"
        ) from error
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


def _fetch_from_first(manifest: Manifest) -> None:
    """Fill the manifest's folder from the first source that is available."""
    if manifest.non_commercial:
        say(f"{manifest.name}: NOTE: its licence ({manifest.licence}) forbids commercial use")
    reasons = []
    for source in manifest.sources:
        try:
            _fill(manifest, source, isinstance(source, UrlSource) and source.has_checksum)
            return
        except SourceUnavailable as error:
            reasons.append(f"\n  - {describe(source)}: {error}")
    why = "".join(reasons) or "\n  - its manifest names none"
    remedy = (
        ""  # which the reason says
        if manifest.by_hand
        else f"\nRun `gemb fetch {manifest.name}` where there is network, or put its package into "
        "a folder and name that folder in GEMB_SOURCES"
    )
    raise SourceUnavailable(f"{manifest.name}: no source is available:{why}{remedy}")


def _fill(manifest: Manifest, source: Source, vouched: bool, verify: bool = True) -> Path:
    """Fill the manifest's folder from one source.

    ``vouched``: its archive has a checksum, which is checked and vouches for what is in it.
    """
    work, folder = _work(manifest.name), folder_of(manifest.name)
    _tidy(work)
    work.mkdir(exist_ok=True)
    try:
        files = _lay_out(manifest, source, work, vouched, verify)
        unverified = {
            f.path: f.unverified if verify else "checksums were not asked for"
            for f in manifest.files
            if not verify or (f.unverified and not vouched)
        }
        stamp = {
            "manifest": _files_hash(manifest),
            "source": describe(source),
            "files": files,
            "unverified": unverified,
        }
        text = json.dumps(stamp, indent=1, sort_keys=True)
        (work / "files" / _STAMP).write_text(text, encoding="utf-8")
        if folder.exists():  # of another version, or damaged
            folder.rename(work / "replaced")
        (work / "files").rename(folder)
        shutil.rmtree(work)
    finally:
        _tidy(work)
    for why in dict.fromkeys(unverified.values()):
        paths = ", ".join(p for p, reason in unverified.items() if reason == why)
        say(f"{manifest.name}: not verified: {paths} ({why})")
    return folder


def _tidy(work: Path) -> None:
    """Keep nothing but downloads that were cut off, to go on from."""
    if not work.exists():
        return
    for child in work.iterdir():
        if child.name != "downloads" or not any(child.rglob("*.partial")):
            shutil.rmtree(child)
    if not any(work.iterdir()):
        work.rmdir()


def _lay_out(
    manifest: Manifest, source: Source, work: Path, vouched: bool, verify: bool
) -> dict[str, dict[str, Any]]:
    """Bring the files from ``source`` to ``work/files``, checked; their size and sha256 by path."""
    root = f"{source.root.strip('/')}/" if source.root else ""
    members = [root + f.member for f in manifest.files]
    try:
        found = obtain(manifest, source, members, work, cache_dir() / "apt")
    except UnpackError as error:
        raise FetchError(f"{manifest.name}: {error}") from error
    laid: dict[str, dict[str, Any]] = {}
    for file, member in zip(manifest.files, members, strict=True):
        # Relative paths of a tree's files; a single file's is empty.
        strip = len(fixed_folder(member) if file.is_tree else member)
        origins = {name[strip:]: work / "unpacked" / name for name in found[member]}
        hashes = {relative: file_hash(origin) for relative, origin in origins.items()}
        if verify:
            _check(manifest, source, file, hashes, origins, vouched)
        for relative, origin in origins.items():
            target = work / "files" / file.path / relative
            path = target.relative_to(work / "files").as_posix()
            if path in laid:
                raise FetchError(f"{manifest.name}: its manifest lays two files at {path}")
            laid[path] = {"size": origin.stat().st_size, "sha256": hashes[relative]}
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(origin, target)
    return laid


def _check(
    manifest: Manifest,
    source: Source,
    file: File,
    hashes: Mapping[str, str],
    origins: Mapping[str, Path],
    vouched: bool,
) -> None:
    """Compare a file, or a tree, with the count and the checksum that the manifest gives."""
    if file.count is not None and len(hashes) != file.count:
        raise FetchError(
            f"{manifest.name}: {describe(source)} holds {len(hashes)} files {file.member}, and "
            f"there should be {file.count}. It is not used. Remedy: get the missing ones, or the "
            "archive as published"
        )
    got = tree_sha256(hashes) if file.is_tree else hashes[""]
    kind, expected = "sha256", file.accepted_sha256
    remedy = (
        "fetch again; if it stays, the publisher has changed the file without a new version, "
        "and it is for this project to look at the change"
    )
    if not expected and file.md5:
        kind, expected, got = "md5", (file.md5,), file_hash(origins[""], "md5")
    elif not expected and vouched:
        return
    elif not expected:
        kind, expected = "sha256", (_first_seen(manifest, file, got),)
        remedy = (
            "no checksum is published, so the one seen first counts; if you trust the change, "
            f"delete {_first_seen_path()}"
        )
    if got not in expected:
        what = f"{file.path} ({len(hashes)} files)" if file.is_tree else file.path
        raise FetchError(
            f"{manifest.name}: wrong checksum of {what} from {describe(source)}: expected {kind} "
            f"{' or '.join(expected)}, got {got}. It is not used. Remedy: {remedy}"
        )


def _first_seen_path() -> Path:
    return cache_dir() / "first_seen.json"


def _first_seen(manifest: Manifest, file: File, got: str) -> str:
    """The hash that a file without a published checksum had when it was first fetched."""
    path = _first_seen_path()
    with FileLock(path.with_suffix(".lock")):
        seen: dict[str, str] = json.loads(path.read_text("utf-8")) if path.exists() else {}
        key = f"{manifest.name} {manifest.version} {file.path} {file.member}"
        if key not in seen:
            seen[key] = got
            temporary = path.with_suffix(".new")
            temporary.write_text(json.dumps(seen, indent=1, sort_keys=True), encoding="utf-8")
            temporary.replace(path)
        return seen[key]
