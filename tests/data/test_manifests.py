import re
from pathlib import Path

import pytest
import yaml

from gemb.data import manifests
from gemb.data.manifests import FolderSource, Manifest, ManifestError, load_all, parse

SAMPLE = {
    "name": "sample",
    "kind": "data",
    "title": "A sample",
    "description": "Something small",
    "licence": "MIT",
    "attribution": "Nobody",
    "version": "1",
    "sources": [{"kind": "wheel", "package": "sample", "version": "1.0", "size": 10}],
    "files": [{"path": "x", "member": "x", "sha256": "0" * 64}],
}


def written(folder: Path, **changes: object) -> Path:
    path = folder / "sample.yaml"
    path.write_text(yaml.safe_dump({**SAMPLE, **changes}))
    return path


def test_a_manifest_is_read(tmp_path: Path) -> None:
    manifest = parse(written(tmp_path))
    assert manifest.name == "sample"
    assert manifest.download_bytes == 10


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"licens": "MIT"}, "licens"),
        (
            {"sources": [{"kind": "wheel", "package": "s", "version": "1", "size": 1, "hash": ""}]},
            "hash",
        ),
        ({"sources": [{"kind": "torrent"}]}, "torrent"),
        ({"sources": [{"kind": "url", "url": "file:///etc/passwd"}]}, "only http"),
        ({"files": [{"path": "x", "member": "x"}]}, "say why it is unverified"),
        ({"files": [{"path": "../x", "member": "x", "sha256": "0" * 64}]}, "relative"),
        ({"files": [{"path": "x", "member": "*", "md5": "0" * 32}]}, "tree takes a sha256"),
        ({"files": [{"path": "x", "member": "x", "sha256": "abc"}]}, "{64}"),
        ({"name": "other"}, "differs from the file's"),
        ({"name": "../sample"}, "name"),
    ],
)
def test_a_wrong_manifest_is_refused_by_file_and_key(
    changes: dict[str, object], complaint: str, tmp_path: Path
) -> None:
    with pytest.raises(ManifestError) as caught:
        parse(written(tmp_path, **changes))
    assert "sample.yaml" in str(caught.value)
    assert complaint in str(caught.value)


def test_what_is_no_yaml_is_refused_by_file(tmp_path: Path) -> None:
    (tmp_path / "sample.yaml").write_text("a: [")
    with pytest.raises(ManifestError, match=r"sample\.yaml"):
        parse(tmp_path / "sample.yaml")


def test_an_unknown_name_is_answered_with_those_there_are() -> None:
    with pytest.raises(KeyError, match="fashion-mnist"):
        manifests.get("fashion")


def test_the_content_hash_minds_content_alone(tmp_path: Path) -> None:
    first = parse(written(tmp_path)).content_hash
    other = {
        "prose": Manifest.model_validate({**SAMPLE, "description": "Better words"}),
        "source": Manifest.model_validate({**SAMPLE, "sources": []}),
        "file": Manifest.model_validate(
            {**SAMPLE, "files": [{"path": "x", "member": "x", "sha256": "1" * 64}]}
        ),
        "classes": Manifest.model_validate({**SAMPLE, "classes": ["a"]}),
    }
    same = {what for what, manifest in other.items() if manifest.content_hash == first}
    assert same == {"prose", "source"}


def test_the_projects_manifests_hang_together() -> None:
    there = load_all()
    for name, manifest in there.items():
        assert set(manifest.needs) <= set(there), name
        assert bool(manifest.files) == bool(manifest.sources), name
        for source in manifest.sources:
            if not isinstance(source, FolderSource):
                assert source.size, f"{name}: state how much is downloaded"
        for file in manifest.files:
            for checksum in file.accepted_sha256:
                assert re.fullmatch("[0-9a-f]{64}", checksum), f"{name}: {file.path}"
