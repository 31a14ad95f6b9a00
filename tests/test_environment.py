"""The pins, their conda twin, the Makefile and CI say the same."""

import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
DIRECT = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]]


def pins() -> dict[str, str]:
    lines = [
        line.partition("#")[0].strip()
        for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    ]
    pairs = [line.split("==") for line in lines if line]
    assert all(len(pair) == 2 for pair in pairs), "every pin is name==version"
    names = [canonicalize_name(name) for name, _ in pairs]
    assert len(set(names)) == len(names), "every name stands once"
    return dict(zip(names, (version for _, version in pairs), strict=True))


def needed_here() -> set[str]:
    """Every package that the project needs on this machine, by what is installed."""
    seen: set[tuple[str, frozenset[str]]] = set()
    todo = [Requirement(line) for line in DIRECT]
    while todo:
        requirement = todo.pop()
        key = (canonicalize_name(requirement.name), frozenset(requirement.extras))
        if key in seen:
            continue
        seen.add(key)
        for line in importlib.metadata.requires(requirement.name) or []:
            further = Requirement(line)
            wanted = any(
                further.marker is None
                or further.marker.evaluate({**default_environment(), "extra": extra})
                for extra in ("", *requirement.extras)
            )
            if wanted:
                todo.append(further)
    return {name for name, _ in seen}


def test_every_package_needed_is_pinned_and_no_other() -> None:
    # What a CUDA build of torch, macOS or Windows bring beside, the pins leave free.
    beside = ("nvidia-", "cuda-", "triton", "appnope", "colorama", "pywin")
    free = {n for n in needed_here() if n.startswith(beside)} - set(pins())
    assert needed_here() - free == set(pins())


def test_the_pins_are_what_the_tests_run_on() -> None:
    installed = {name: importlib.metadata.version(name).partition("+")[0] for name in pins()}
    assert installed == pins()


def test_the_pins_meet_the_project() -> None:
    there = pins()
    for line in DIRECT:
        requirement = Requirement(line)
        assert requirement.specifier.contains(there[canonicalize_name(requirement.name)]), line


def test_torch_is_pinned_without_a_build_and_nothing_else_pulls_cuda() -> None:
    text = (ROOT / "constraints.txt").read_text("utf-8")
    assert pins()["torch"] == "2.13.0"
    assert "torch==2.13.0" in PROJECT["dependencies"]
    assert "+" not in "".join(pins().values())
    assert not re.search(r"^(torchvision|torchaudio|nvidia|triton|cuda|llama)", text, re.M)


def test_conda_gives_the_same_environment_from_the_same_pins() -> None:
    conda = yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))
    *by_conda, by_pip = conda["dependencies"]
    assert by_conda == ["python=3.11", "pip"]
    assert by_pip == {"pip": ["-c constraints.txt", "-e .[dev]"]}
    assert PROJECT["requires-python"] == ">=3.11"


@pytest.mark.parametrize("name", ["Makefile", "environment.yml", ".ci/run", "constraints.txt"])
def test_pip_is_used_as_the_user_has_configured_it(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    assert not re.search(
        r"--?(i|index-url|extra-index-url|find-links|trusted-host|isolated)\b.*(http|file|/)", text
    )
    assert "PIP_" not in text


def test_ci_runs_make_test() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert script.read_text("utf-8").rstrip().endswith("make test")
    assert "set -euo pipefail" in script.read_text("utf-8")


# --- make ---


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The Makefile beside a Python that only writes down what it is asked to do."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        (tmp_path / name).write_text((ROOT / name).read_text("utf-8"))
    log, fake = tmp_path / "log", tmp_path / "fake-python"
    fake.write_text(
        f"""#!/bin/sh
echo "$@" >> '{log}'
case "$*" in
  "-m venv .venv") mkdir -p .venv/bin; cp '{fake}' .venv/bin/python
    printf '#!/bin/sh\\necho gemb "$@" >> "{log}"\\n' > .venv/bin/gemb; chmod +x .venv/bin/* ;;
  *install*) [ ! -e '{tmp_path}/broken' ] ;;
esac
"""
    )
    fake.chmod(0o755)
    return tmp_path


def make(tree: Path, *arguments: str, offline: str = "") -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    environment["OFFLINE"] = offline
    return subprocess.run(
        ["make", f"PYTHON={tree / 'fake-python'}", *arguments],
        cwd=tree,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def calls(tree: Path) -> list[str]:
    log = tree / "log"
    lines = log.read_text().splitlines() if log.exists() else []
    log.unlink(missing_ok=True)
    return lines


needs_make = pytest.mark.skipif(
    subprocess.run(["make", "--version"], capture_output=True, check=False).returncode != 0
    if sys.platform != "win32"
    else True,
    reason="there is no make",
)


@needs_make
def test_make_paper_sets_up_once(tree: Path) -> None:
    first = make(tree, "paper", "PROFILE=smoke")
    assert first.returncode == 0, first.stderr
    assert "640 MB" in first.stdout and "minutes" in first.stdout
    assert calls(tree) == [
        "-m venv .venv",
        "-m pip install --quiet -c constraints.txt -e .",
        "gemb paper --profile smoke --from run",
    ]
    make(tree, "paper", "FROM=records")
    assert calls(tree) == ["gemb paper --profile local --from records"]


@needs_make
def test_make_test_fetches_the_parts_and_checks(tree: Path) -> None:
    assert make(tree, "test").returncode == 0
    assert calls(tree) == [
        "-m venv .venv",
        "-m pip install --quiet -c constraints.txt -e .[dev]",
        "gemb fetch smollm2-135m efficientnet-lite0 moonshine-base yamnet minilm piper-joe "
        "imagenet-names",
        "gemb test",
    ]
    make(tree, "paper")  # what the tests needed is enough for the paper
    assert calls(tree) == ["gemb paper --profile local --from run"]


@needs_make
def test_a_broken_installation_is_taken_up_again(tree: Path) -> None:
    (tree / "broken").touch()
    assert make(tree, "paper").returncode != 0
    assert "gemb" not in " ".join(calls(tree))
    (tree / "broken").unlink()
    assert make(tree, "paper").returncode == 0
    assert len(calls(tree)) == 3


@needs_make
def test_new_pins_renew_the_environment(tree: Path) -> None:
    make(tree, "paper")
    calls(tree)
    stamp = (tree / ".venv" / "ready").stat().st_mtime
    os.utime(tree / "constraints.txt", (stamp + 5, stamp + 5))
    make(tree, "paper")
    assert "-m pip install --quiet -c constraints.txt -e ." in calls(tree)


@needs_make
def test_no_python_is_explained(tree: Path) -> None:
    result = make(tree, "paper", "PYTHON=")
    assert result.returncode != 0
    assert "No Python 3.11 or later" in result.stderr


@needs_make
def test_offline_installs_nothing_and_runs_what_is_installed(tree: Path) -> None:
    refused = make(tree, "paper", offline="1")
    assert refused.returncode != 0 and "OFFLINE is set" in refused.stderr
    assert calls(tree) == []
    assert make(tree, "paper", offline="0").returncode == 0
    assert len(calls(tree)) == 3
    assert make(tree, "paper", offline="1").returncode == 0
    assert calls(tree) == ["gemb paper --profile local --from run"]


@needs_make
def test_make_alone_only_helps(tree: Path) -> None:
    result = make(tree)
    assert "make paper" in result.stdout and "make test" in result.stdout
    assert calls(tree) == []
