"""Manifests: where each dataset and pretrained part comes from, and what it must hash to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from gemb.errors import UnknownName, UserError

ROOT = Path(__file__).resolve().parents[2]
MANIFESTS = ROOT / "data_manifests"


class ManifestError(UserError, ValueError):
    """A manifest that cannot be read; names the file and what is wrong."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Md5 = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]


class _Source(_Strict):
    root: str = Field(default="", description="folder in the source that members are relative to")


class FolderSource(_Source):
    """A local folder, or archive, that already holds the members; ``~`` and ``$VAR`` are
    expanded."""

    kind: Literal["folder"]
    path: str


class WheelSource(_Source):
    """A Python wheel, taken with pip without its dependencies and never installed."""

    kind: Literal["wheel"]
    package: str
    version: str
    size: int = Field(description="bytes to download")
    platform: str | None = Field(
        default=None,
        description="pip's platform tag, for a wheel tied to one platform of which only data "
        "files are used, so that every platform can take it",
    )


class DebSource(_Source):
    """A Debian package, unpacked without being installed."""

    kind: Literal["deb"]
    package: str
    version: str
    size: int = Field(description="bytes to download")
    architecture: str | None = Field(
        default=None,
        description="such as amd64, where the files used depend on it; elsewhere the source "
        "counts as not available",
    )


class UrlSource(_Source):
    """A file or archive on the web, or, where ``url`` ends in ``/``, a folder of them:
    each member's first part (before ``!/``) is then fetched from below that address."""

    kind: Literal["url"]
    url: str
    archive: str | None = Field(
        default=None,
        description="glob of the names a reader's own copy may have, each that of the folder in it",
    )
    size: int | None = None
    sha256: Sha256 | None = None
    md5: Md5 | None = None

    @property
    def has_checksum(self) -> bool:
        """Whether the whole of it is checked, and so all that is in it."""
        return bool(self.sha256 or self.md5)

    @field_validator("url")
    @classmethod
    def _web_address(cls, url: str) -> str:
        if not url.startswith(("https://", "http://")):
            raise ValueError(f"{url}: only http and https addresses are fetched")
        return url


class ByHandSource(_Source):
    """What a host gives out only to somebody who signs in, fills in a form or confirms."""

    kind: Literal["by-hand"]
    page: str
    how: str = Field(description="what to do there, and what the folder then holds")
    archive: str | None = Field(
        default=None, description="glob of the archive's name, where members lie in one"
    )
    size: int = Field(description="bytes to download")


Source = Annotated[
    FolderSource | WheelSource | DebSource | UrlSource | ByHandSource, Field(discriminator="kind")
]


class File(_Strict):
    """One file that is used, or a whole folder of them, and what it must hash to.

    ``member`` is a path inside the source, below its ``root``; ``path`` is
    where it lies afterwards, below the cache folder of the manifest. A file
    inside an archive inside the source is ``outer.zip!/inner/path``.

    A member with wildcards (``*`` and ``?`` within a folder, ``**`` across
    folders, ``[...]``) is a tree: every file it matches, laid below ``path``
    with its path relative to the member's last folder without wildcards.
    Its sha256 is that of the sorted ``<sha256>  <relative path>`` lines, as
    printed by ``sha256sum`` and sorted bytewise. Links are left out.
    """

    path: str
    member: str
    sha256: Sha256 | tuple[Sha256, ...] | None = Field(
        default=None, description="several where sources pack the same content differently"
    )
    md5: Md5 | None = None
    unverified: str | None = Field(
        default=None,
        description="why no checksum is known; where its source has none either, the hash seen "
        "first is enforced",
    )
    count: int | None = Field(default=None, description="files in a tree, where it is known")

    @model_serializer(mode="wrap")
    def _without_absent_count(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # it came later: where it says nothing, hashes of manifests stay what they were
        return {k: v for k, v in handler(self).items() if k != "count" or v is not None}

    @property
    def accepted_sha256(self) -> tuple[str, ...]:
        """Each sha256 that is right; empty where none is known."""
        return (self.sha256,) if isinstance(self.sha256, str) else self.sha256 or ()

    @property
    def is_tree(self) -> bool:
        return any(c in self.member for c in "*?[")

    @field_validator("path")
    @classmethod
    def _stays_inside(cls, path: str) -> str:
        if path.startswith(("/", "~")) or "\\" in path or ".." in path.split("/"):
            raise ValueError(f"{path}: must be relative, without '..' and backslashes")
        return path

    @model_validator(mode="after")
    def _has_checksum(self) -> File:
        if not (self.sha256 or self.md5 or self.unverified):
            raise ValueError(f"{self.path}: give sha256, md5, or say why it is unverified")
        if self.is_tree and self.md5:
            raise ValueError(f"{self.path}: a tree takes a sha256, not an md5")
        return self


class Manifest(_Strict):
    """One dataset or pretrained part."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")
    kind: Literal["part", "data"]
    title: str
    description: str
    licence: str
    licence_url: str | None = None
    non_commercial: bool = False
    official: bool = Field(
        default=False,
        description="one of the study's own datasets, which only the profile `paper` reads: "
        "fetched when it is named, not among all",
    )
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
    mean_seconds: float | None = Field(default=None, description="of a recording, about")
    derivation: str | None = Field(default=None, description="how items are made from the files")
    generator: dict[str, Any] = Field(
        default={}, description="name, version and settings of what generates the items"
    )

    @model_validator(mode="after")
    def _says_what_its_items_are(self) -> Manifest:
        # answers of an open vocabulary have no classes
        if self.derivation and not (self.splits and self.items):
            raise ValueError("a manifest of items states their splits and number")
        return self

    @property
    def download_bytes(self) -> int:
        """What the first source that downloads would take."""
        return next((s.size or 0 for s in self.sources if not isinstance(s, FolderSource)), 0)

    @property
    def by_hand(self) -> str:
        """What a reader has to do where no source can be downloaded; empty elsewhere."""
        hows = [s.how for s in self.sources if isinstance(s, ByHandSource)]
        return hows[0] if hows and len(hows) == len(self.sources) else ""

    @property
    def content_hash(self) -> str:
        """sha256 of what decides the content: version, files, classes and how items are made.

        Sources, licence and prose may be mended without changing it. What
        ``needs`` names enters by name alone.
        """
        decisive = self.model_dump(
            include={
                "name",
                "version",
                "files",
                "needs",
                "classes",
                "splits",
                "items",
                "derivation",
                "generator",
            }
        )
        text = json.dumps(decisive, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


@cache
def parse(path: Path) -> Manifest:
    """Read and check one manifest file.

    Raises:
        ManifestError: The file is no YAML, or a key is unknown, missing or wrong.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
        manifest = Manifest.model_validate(raw)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValidationError) as error:
        raise ManifestError(f"{path}: {error}") from error
    if manifest.name != path.stem:
        raise ManifestError(f"{path}: name {manifest.name!r} differs from the file's")
    return manifest


def load_all(folder: Path | None = None) -> dict[str, Manifest]:
    """Every manifest of ``folder`` (the project's), by name, in alphabetical order."""
    return {p.stem: parse(p) for p in sorted((folder or MANIFESTS).glob("*.yaml"))}


def get(name: str) -> Manifest:
    """The manifest called ``name``; reads that file alone.

    Raises:
        KeyError: There is none; the error names those there are.
        ManifestError: Its file is wrong.
    """
    path = MANIFESTS / f"{name}.yaml"
    if not path.is_file():
        there = ", ".join(sorted(p.stem for p in MANIFESTS.glob("*.yaml")))
        raise UnknownName(f"no manifest {name!r}; there are: {there}")
    return parse(path)


def hashes(names: Iterable[str]) -> dict[str, str]:
    """The content hash (16 digits) of each manifest and of all that it needs."""
    out: dict[str, str] = {}
    for name in names:
        manifest = get(name)
        out[name] = manifest.content_hash[:16]
        out |= hashes(manifest.needs)
    return out
