import gzip
import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest
from archives import make_deb, make_wheel, make_zip, tar_bytes
from hypothesis import given
from hypothesis import strategies as st

from gemb.data.unpack import (
    Limits,
    MemberMissing,
    UnpackError,
    extract,
    fixed_folder,
    glob_regex,
    safe_name,
)

MEMBERS = {"a/one.txt": b"1", "a/b/two.txt": b"22", "a/b/three.wav": b"333"}


@pytest.fixture
def into(tmp_path: Path) -> Path:
    folder = tmp_path / "out" / "into"
    folder.mkdir(parents=True)
    return folder


def written(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir()}


def make(kind: str, folder: Path) -> Path:
    path = folder / f"sample.{kind}"
    match kind:
        case "zip":
            return make_zip(path, MEMBERS)
        case "deb":
            return make_deb(path, MEMBERS)
        case "tar.zst":
            import pyarrow as pa

            with pa.CompressedOutputStream(str(path), "zstd") as stream:
                stream.write(tar_bytes(MEMBERS, "w"))
        case "tar":
            path.write_bytes(tar_bytes(MEMBERS, "w"))
        case "folder":
            for name, content in MEMBERS.items():
                (path / name).parent.mkdir(parents=True, exist_ok=True)
                (path / name).write_bytes(content)
        case _:
            path.write_bytes(tar_bytes(MEMBERS, f"w:{kind.removeprefix('tar.')}"))
    return path


@pytest.mark.parametrize(
    "kind", ["zip", "deb", "tar", "tar.gz", "tar.bz2", "tar.xz", "tar.zst", "folder"]
)
def test_takes_only_what_is_asked_for(kind: str, tmp_path: Path, into: Path) -> None:
    found = extract(make(kind, tmp_path), ["a/b/two.txt", "**/*.wav"], into)
    assert found == {"a/b/two.txt": ["a/b/two.txt"], "**/*.wav": ["a/b/three.wav"]}
    assert written(into) == {"a/b/two.txt", "a/b/three.wav"}
    assert (into / "a/b/two.txt").read_bytes() == b"22"


@pytest.mark.parametrize("compression", ["", "gz", "xz"])
def test_debian_packages_of_each_compression(compression: str, tmp_path: Path, into: Path) -> None:
    deb = make_deb(tmp_path / "x.deb", MEMBERS, compression)
    assert extract(deb, ["a/one.txt"], into) == {"a/one.txt": ["a/one.txt"]}


def test_an_archive_in_an_archive(tmp_path: Path, into: Path) -> None:
    inner = make_zip(tmp_path / "inner.zip", MEMBERS).read_bytes()
    outer = make_zip(tmp_path / "outer.zip", {"data/inner.zip": inner, "x": b""})
    found = extract(outer, ["data/inner.zip!/a/**/*.txt", "x"], into)
    assert found["data/inner.zip!/a/**/*.txt"] == [
        "data/inner.zip!/a/b/two.txt",
        "data/inner.zip!/a/one.txt",
    ]
    assert written(into) == {"x", "data/inner.zip!/a/b/two.txt", "data/inner.zip!/a/one.txt"}


def test_a_wheels_purelib_counts_as_its_top(tmp_path: Path, into: Path) -> None:
    wheel = make_wheel(tmp_path, "p", "1", {"p-1.data/purelib/p/weights.bin": b"w"})
    assert extract(wheel, ["p/weights.bin"], into) == {"p/weights.bin": ["p/weights.bin"]}


def test_a_missing_member_is_named(tmp_path: Path, into: Path) -> None:
    with pytest.raises(MemberMissing, match=r"sample\.zip: holds no file 'a/four\.txt'"):
        extract(make("zip", tmp_path), ["a/four.txt"], into)


@pytest.mark.parametrize("kind", ["zip", "deb", "tar.gz", "tar.bz2", "tar.xz", "tar.zst"])
def test_a_truncated_archive_is_named(kind: str, tmp_path: Path, into: Path) -> None:
    archive = make(kind, tmp_path)
    archive.write_bytes(archive.read_bytes()[:-40])
    with pytest.raises(UnpackError, match=rf"sample\.{kind}.*(truncated or damaged|holds no)"):
        extract(archive, ["a/b/three.wav"], into)


@pytest.mark.parametrize("name", ["sample.zip", "sample.tar.gz", "sample.deb", "page.html"])
def test_what_is_no_archive_at_all_is_named(name: str, tmp_path: Path, into: Path) -> None:
    (tmp_path / name).write_bytes(b"<html>Sign in</html>" * 20)
    with pytest.raises(UnpackError, match=name):
        extract(tmp_path / name, ["x"], into)


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/../../evil", "C:/evil", "a\\..\\evil"])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_an_escaping_name_condemns_the_archive(
    name: str, kind: str, tmp_path: Path, into: Path
) -> None:
    members = {name: b"evil", "good": b""}
    archive = tmp_path / f"sample.{kind}"
    if kind == "zip":
        make_zip(archive, members)
    else:
        archive.write_bytes(tar_bytes(members, "w"))
    with pytest.raises(UnpackError, match=r"sample\.(zip|tar).*outside its folder"):
        extract(archive, ["**", "good"], into)
    assert not [p for p in tmp_path.rglob("*") if "evil" in p.name]


def special_tar(path: Path, name: str, kind: bytes, target: str = "") -> Path:
    with tarfile.open(path, "w") as tar:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, target
        tar.addfile(info)
        plain = tarfile.TarInfo("plain")
        plain.size = 1
        tar.addfile(plain, io.BytesIO(b"p"))
    return path


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices_are_never_made(kind: bytes, tmp_path: Path, into: Path) -> None:
    archive = special_tar(tmp_path / "s.tar", "special", kind, "/etc/passwd")
    with pytest.raises(UnpackError, match="link or a device"):
        extract(archive, ["special"], into)
    assert extract(archive, ["*"], into) == {"*": ["plain"]}
    assert written(into) == {"plain"}


def test_a_link_in_a_zip_is_never_made(tmp_path: Path, into: Path) -> None:
    with zipfile.ZipFile(tmp_path / "s.zip", "w") as zipped:
        info = zipfile.ZipInfo("link")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        zipped.writestr(info, "/etc/passwd")
    with pytest.raises(UnpackError, match="link or a device"):
        extract(tmp_path / "s.zip", ["link"], into)


def test_writing_through_a_link_is_not_possible(tmp_path: Path, into: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    with tarfile.open(tmp_path / "s.tar", "w") as tar:
        link = tarfile.TarInfo("door")
        link.type, link.linkname = tarfile.SYMTYPE, str(outside)
        tar.addfile(link)
        inside = tarfile.TarInfo("door/evil")
        inside.size = 1
        tar.addfile(inside, io.BytesIO(b"e"))
    extract(tmp_path / "s.tar", ["**"], into)
    assert not list(outside.iterdir())
    assert (into / "door/evil").read_bytes() == b"e"


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tar.xz"])
def test_a_bomb_is_refused(kind: str, tmp_path: Path, into: Path) -> None:
    zeros = {"bomb": bytes(1 << 22)}
    archive = tmp_path / f"bomb.{kind}"
    if kind == "zip":
        make_zip(archive, zeros)
    else:
        archive.write_bytes(tar_bytes(zeros, f"w:{kind.removeprefix('tar.')}"))
    with pytest.raises(UnpackError, match="archive bomb"):
        extract(archive, ["bomb"], into, Limits(ratio=100, free=1 << 16))
    with pytest.raises(UnpackError, match="archive bomb"):
        extract(archive, ["bomb"], into, Limits(total=1 << 20))
    assert not written(into)


def test_a_chain_of_archives_is_refused(tmp_path: Path, into: Path) -> None:
    archive = make_zip(tmp_path / "1.zip", {"x": b""})
    for outer in ("2.zip", "3.zip", "4.zip"):
        inner = archive.read_bytes()
        archive = make_zip(tmp_path / outer, {archive.name: inner})
    with pytest.raises(UnpackError, match="too deep"):
        extract(archive, ["3.zip!/2.zip!/1.zip!/x"], into)


def test_a_plain_gzip_file_is_left_as_it_is(tmp_path: Path, into: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "x-ubyte.gz").write_bytes(gzip.compress(b"x"))
    extract(tmp_path / "folder", ["x-ubyte.gz"], into)
    assert gzip.decompress((into / "x-ubyte.gz").read_bytes()) == b"x"


@given(st.text(alphabet="ab./\\:C\0", max_size=12))
def test_a_safe_name_stays_inside(name: str) -> None:
    try:
        safe = safe_name(name)
    except UnpackError:
        return
    root = Path("/root/folder")
    joined = root / safe
    assert joined.is_relative_to(root) and joined != root
    assert ".." not in joined.parts and "\\" not in safe and not safe.startswith("/")
    assert safe_name(safe) == safe


@given(
    st.lists(
        st.text(alphabet="ab.-_ ü", min_size=1, max_size=5).filter(
            lambda part: part not in (".", "..")
        ),
        min_size=1,
        max_size=4,
    )
)
def test_an_ordinary_name_stays_as_it_is(parts: list[str]) -> None:
    assert safe_name("/".join(parts)) == "/".join(parts)
    assert safe_name("./" + "/".join(parts)) == "/".join(parts)


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("*.txt", ["a.txt"], ["b/a.txt", "a.txt.gz"]),
        ("**/*.txt", ["a.txt", "b/a.txt", "b/c/a.txt"], ["a.wav"]),
        ("a/**", ["a/b", "a/b/c"], ["b/a"]),
        ("v[12]/?.w", ["v1/x.w", "v2/y.w"], ["v3/x.w", "v1/xx.w"]),
        ("[!a]", ["b"], ["a", "/"]),
        ("a+b(1).txt", ["a+b(1).txt"], ["aab1.txt"]),
    ],
)
def test_globs(pattern: str, yes: list[str], no: list[str]) -> None:
    regex = glob_regex(pattern)
    assert [n for n in yes + no if regex.fullmatch(n)] == yes


def test_the_fixed_folder_of_a_glob() -> None:
    assert fixed_folder("usr/share/x-*/y") == "usr/share/"
    assert fixed_folder("*.txt") == ""
