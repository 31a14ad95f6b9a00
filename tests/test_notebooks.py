"""The notebooks: paired with their .py, clean, run from top to bottom by papermill and nbval."""

import os
import subprocess
import sys

import jupytext
import nbformat
import pytest

from gemb import paper

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
