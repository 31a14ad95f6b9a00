"""The notebooks: paired with their .py, clean, run from top to bottom by papermill and nbval."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jupytext
import nbformat
import pytest

from gemb import paper
from gemb.data.fetch import cache_dir

# drafts too, which are not in the book yet
NAMES = sorted(p.stem for p in paper.NOTEBOOKS.glob("[0-9]*.ipynb"))


def test_the_book_has_notebooks_and_all_are_here():
    listed = [p.stem for p in paper.notebooks()]
    assert listed[0] == "01_single_task" and listed == sorted(set(listed) & set(NAMES))


@pytest.mark.parametrize("name", NAMES)
def test_the_pair_holds_the_same_cells(name):
    ours = nbformat.read(paper.NOTEBOOKS / f"{name}.ipynb", as_version=4)
    pair = jupytext.read(paper.NOTEBOOKS / f"{name}.py")
    assert [(c.cell_type, c.source, c.metadata.get("tags", [])) for c in ours.cells] == [
        (c.cell_type, c.source, c.metadata.get("tags", [])) for c in pair.cells
    ]


@pytest.mark.parametrize("name", NAMES)
def test_the_committed_notebook_is_clean_and_defines_nothing(name):
    ours = nbformat.read(paper.NOTEBOOKS / f"{name}.ipynb", as_version=4)
    assert set(ours.metadata) <= {"kernelspec", "jupytext", "language_info"}
    for cell in ours.cells:
        assert set(cell.metadata) <= {"tags"}
        assert "injected-parameters" not in cell.metadata.get("tags", [])
        if cell.cell_type == "code":
            assert not any(line.startswith(("def ", "class ")) for line in cell.source.splitlines())
    assert (paper.NOTEBOOKS / f"{name}.ipynb").stat().st_size < 2_000_000


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", NAMES)
def test_smoke_runs_and_nbval_agrees(name, tmp_path):
    """papermill runs the notebook, then nbval runs it again on the records just made."""
    environment = {**os.environ, "GEMB_PROFILE": "smoke"}
    source = paper.NOTEBOOKS / f"{name}.ipynb"
    done = paper.execute(source, tmp_path / f"{name}.ipynb", "smoke")
    cells = nbformat.read(done, as_version=4).cells
    assert not any(
        o.output_type == "error" for c in cells if c.cell_type == "code" for o in c.outputs
    )
    checked = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "--nbval-lax",
            "-q",
            "-p",
            "no:cacheprovider",
            "-o",
            "addopts=",
            str(source),
        ],
        env=environment,
        cwd=paper.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout[-4000:]


@contextmanager
def running_paper(home: Path) -> Iterator[subprocess.Popen]:
    """`make paper PROFILE=smoke` as make calls it, in a process group that gets Ctrl-C at the end.

    The pipe is read to its end then, so that what it said is in ``said``.
    """
    process = subprocess.Popen(
        [shutil.which("gemb", path=paper.scripts()), "paper", "--profile", "smoke"],
        env={**os.environ, "GEMB_HOME": str(home)},
        cwd=paper.ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.said = process.communicate(timeout=60)[0]


def wait_for_trainings(home: Path, count: int, process: subprocess.Popen) -> dict[Path, int]:
    """When each finished training was written, once there are ``count``."""
    while len(found := list(home.glob("runs/*/outcome.json"))) < count and process.poll() is None:
        time.sleep(0.05)
    return {path: path.stat().st_mtime_ns for path in found}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no process groups to interrupt")
@pytest.mark.timeout(300)
def test_an_interrupted_paper_goes_on_where_it_stopped(tmp_path):
    """Ctrl-C after the first training; the same command again leaves that training as it is."""
    for kept in cache_dir().iterdir():  # all but trainings and records: nothing embedded anew
        if kept.name not in ("runs", "records"):
            (tmp_path / kept.name).symlink_to(kept)
    with running_paper(tmp_path) as first:
        wait_for_trainings(tmp_path, 1, first)
    done = wait_for_trainings(tmp_path, 1, first)
    assert first.returncode and done, first.said
    with running_paper(tmp_path) as second:
        after = wait_for_trainings(tmp_path, len(done) + 1, second)
    assert f"{len(done)} done before" in second.said
    assert len(after) > len(done) and {p: after[p] for p in done} == done


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_what_is_committed_is_drawn_from_what_is_published(tmp_path, monkeypatch):
    """The shortest notebook stands for all: drawn anew from its record it stays as it is."""
    name = "03_esc50_transfer.ipynb"
    copy = tmp_path / name
    shutil.copy(paper.NOTEBOOKS / name, copy)
    monkeypatch.setattr(paper, "BUILD", tmp_path / "build")

    def said(path: Path) -> list[tuple[str, list[str]]]:
        return [
            (c.source, [o.get("text") or o["data"]["text/plain"] for o in c.outputs])
            for c in nbformat.read(path, as_version=4).cells
            if c.cell_type == "code"
        ]

    paper.redraw(copy)
    assert said(copy) == said(paper.NOTEBOOKS / name), "run `gemb study --from records`"
