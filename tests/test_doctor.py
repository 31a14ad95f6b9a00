from pathlib import Path

import pytest

from gemb import doctor
from gemb.data import manifests
from gemb.data.fetch import cache_dir


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMB_HOME", str(tmp_path / "home"))
    for name in ("GOOGLE_API_KEY", "GEMINI_API_KEY", "OFFLINE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("name", ["GOOGLE_API_KEY", "GEMINI_API_KEY"])
def test_a_key_is_seen_and_never_shown(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dict(doctor.report())["Gemini key"].startswith("absent")
    monkeypatch.setenv(name, "AIza-secret-value")
    doctor.print_report()
    printed = capsys.readouterr().out
    assert f"present ({name})" in printed
    assert "secret" not in printed


def test_what_a_reader_asks_is_there() -> None:
    report = dict(doctor.report())
    assert {"gemb", "Python", "platform", "torch", "memory", "pip", "cache", "disk"} <= set(report)
    assert report["cache"] == str(cache_dir())
    assert "threads" in report["torch"] and "build" in report["torch"]
    assert "GiB" in report["memory"] and "GiB" in report["disk"]
    assert set(manifests.load_all()) <= set(report)
    assert report["fashion-mnist"] == "to be fetched, 30.9 MB"


def test_offline_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OFFLINE", "1")
    assert dict(doctor.report())["network"].startswith("not touched")


def test_a_cache_that_cannot_be_made_is_reported_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("GEMB_HOME", str(tmp_path / "file" / "cache"))
    report = dict(doctor.report())
    assert "GEMB_HOME" in report["cache"]


def test_a_broken_manifest_is_reported_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken.yaml").write_text("name: [")
    monkeypatch.setattr(manifests, "MANIFESTS", tmp_path)
    assert "broken.yaml" in dict(doctor.report())["parts and data"]
