"""Small archives of every kind, made in the official formats."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path


def make_zip(path: Path, members: Mapping[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, content in members.items():
            zipped.writestr(name, content)
    return path


def tar_bytes(members: Mapping[str, bytes], mode: str = "w:xz") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:  # type: ignore[call-overload]
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def _ar(members: Mapping[str, bytes]) -> bytes:
    out = b"!<arch>\n"
    for name, content in members.items():
        out += f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n".encode()
        out += content + b"\n" * (len(content) % 2)
    return out


def make_deb(path: Path, members: Mapping[str, bytes], compression: str = "xz") -> Path:
    """As dpkg-deb lays it out: an ar archive of version, control and data."""
    data = tar_bytes(
        {f"./{name}": content for name, content in members.items()},
        f"w:{compression}" if compression else "w",
    )
    suffix = f".{compression}" if compression else ""
    path.write_bytes(
        _ar(
            {
                "debian-binary": b"2.0\n",
                "control.tar.xz": tar_bytes({"./control": b"Package: sample\n"}),
                f"data.tar{suffix}": data,
            }
        )
    )
    return path


def make_wheel(folder: Path, package: str, version: str, members: Mapping[str, bytes]) -> Path:
    """A wheel that pip takes: with METADATA, WHEEL and an empty RECORD."""
    info = f"{package}-{version}.dist-info"
    return make_zip(
        folder / f"{package}-{version}-py3-none-any.whl",
        {
            **members,
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n"
            "Requires-Dist: a-package-that-nobody-has\n".encode(),
            f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            f"{info}/RECORD": b"",
        },
    )
