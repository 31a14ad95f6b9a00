"""Notebooks executed with papermill, and the book built from what they gave."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import nbformat
import papermill

from gemb import profiles
from gemb.errors import UserError

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = ROOT / "notebooks"
BUILD = ROOT / "_build"


class PaperError(UserError, RuntimeError):
    """A notebook or the book failed; the message says where to look."""


def notebooks() -> list[Path]:
    """The notebooks of the book, in its order; one that is not in its contents is a draft."""
    pages = _entries(ROOT)
    return [ROOT / f"{page}.ipynb" for page in pages if page.startswith("notebooks/")]


def execute(
    notebook: Path, output: Path, profile: str, parameters: Mapping[str, Any] | None = None
) -> Path:
    """Run one notebook from top to bottom under ``profile``.

    The profile, a name or a file, travels in the environment, as it does under
    nbval, so no cell is injected unless ``parameters`` are given.

    Raises:
        PaperError: If a parameter is not declared by the notebook, or a cell fails.
    """
    declared = papermill.inspect_notebook(str(notebook))
    for name in parameters or {}:
        if name not in declared:
            raise PaperError(
                f"{notebook.name} has no parameter {name!r}; "
                f"it has: {', '.join(declared) or 'none'}"
            )
    output.parent.mkdir(parents=True, exist_ok=True)
    # the kernel inherits both; the second quiets a remark of tqdm's about a widget
    found = str(Path(profile).absolute()) if profiles.is_file(profile) else profile
    ours = {"GEMB_PROFILE": found, "PYTHONWARNINGS": "ignore:IProgress not found"}
    before = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    try:
        papermill.execute_notebook(
            str(notebook),
            str(output),
            parameters=dict(parameters or {}),
            cwd=str(ROOT),
            progress_bar=sys.stderr.isatty(),
            stdout_file=sys.stdout,
            stderr_file=sys.stderr,
            kernel_name="python3",
            # no remark that a kernel on this machine speaks to it unencrypted
            extra_arguments=["--IPKernelApp.log_level=ERROR"],
        )
    except papermill.PapermillExecutionError as error:
        raise PaperError(
            f"{notebook.name} failed (see {output}): {error.ename}: {error.evalue}"
        ) from error
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
    return output


def adopt(executed: Path, notebook: Path) -> None:
    """Take over the outputs of an executed notebook into the committed one.

    Only outputs move: no papermill metadata, no timings, no injected cell.
    """
    done, kept = nbformat.read(executed, as_version=4), nbformat.read(notebook, as_version=4)
    codes = [c for c in done.cells if c.cell_type == "code"]
    mine = [c for c in kept.cells if c.cell_type == "code"]
    if [c.source for c in codes] != [c.source for c in mine]:
        raise PaperError(f"{executed} was not made from {notebook.name}: its cells differ")
    for new, old in zip(codes, mine, strict=True):
        # what libraries warn of while they are imported is of no use to a reader
        old.outputs = [o for o in new.outputs if o.get("name") != "stderr"]
        old.execution_count = new.execution_count
    nbformat.write(kept, notebook)


# Runs before a notebook's own cells, so that its section gives the published record.
_FROM_RECORD = """
from gemb import records
from gemb.experiments import {0} as section
section.run = lambda profile: records.published(records.KINDS["{0}"], "{0}")
"""


def redraw(notebook: Path) -> None:
    """Draw a committed notebook's outputs anew from its published record: nothing is computed.

    For when a table or a sentence has changed, and what it is made from has not. What the section
    said when it ran is kept.

    Raises:
        PaperError: If nothing is published of it, or a cell fails.
    """
    from gemb import records

    experiment = notebook.stem.partition("_")[2]
    record = records.published(records.KINDS[experiment], experiment)
    if record is None:
        raise PaperError(f"no published record of {experiment}: run `gemb study` first")
    cells = nbformat.read(notebook, as_version=4)
    cells.cells.insert(0, nbformat.v4.new_code_cell(_FROM_RECORD.format(experiment)))
    drawn = BUILD / "notebooks" / "redrawn" / notebook.name
    drawn.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(cells, drawn)
    execute(drawn, drawn, record.provenance.profile)
    done, kept = nbformat.read(drawn, as_version=4), nbformat.read(notebook, as_version=4)
    del done.cells[0]
    for new, old in zip(done.cells, kept.cells, strict=True):
        if new.cell_type != "code":
            continue
        new.execution_count -= 1
        for output in new.outputs:
            if output.output_type == "execute_result":
                output.execution_count = new.execution_count
        if f"{experiment}.run(" in new.source:
            new.outputs = old.outputs
    nbformat.write(done, drawn)
    adopt(drawn, notebook)


def scripts() -> str:
    """Where this Python's programs lie: beside it, or, in conda on Windows, in ``Scripts``."""
    return os.pathsep.join([str(Path(sys.executable).parent), sysconfig.get_path("scripts")])


def build_book(executed: Sequence[Path] = ()) -> Path:
    """Build the book from the committed sources, with ``executed`` notebooks in their place.

    Everything is copied to a folder of its own first, so that neither the
    environment nor the caches of this folder are seen, and the tree stays clean.

    Returns:
        The path of the first page.

    Raises:
        PaperError: If there was a warning or an error, or a page is missing.
    """
    source, site = BUILD / "source", BUILD / "book"
    for folder in (source, site):
        shutil.rmtree(folder, ignore_errors=True)
    source.mkdir(parents=True)
    for name in ("_config.yml", "_toc.yml"):
        shutil.copy(ROOT / name, source / name)
    for name in ("book", "notebooks"):
        shutil.copytree(ROOT / name, source / name)
    (source / "data_manifests").mkdir()
    shutil.copy(ROOT / "data_manifests" / "LICENSES.md", source / "data_manifests")
    for path in executed:
        shutil.copy(path, source / "notebooks" / path.name)
    program = shutil.which("jupyter-book", path=scripts())
    if program is None:
        raise PaperError("jupyter-book is not installed beside this Python: see the README")
    command = [program, "build", str(source), "--path-output", str(site)]
    command += ["-W", "-n", "--keep-going", "--quiet"]
    if subprocess.run(command, cwd=source, stdin=subprocess.DEVNULL, check=False).returncode:
        raise PaperError("the book has warnings or errors: see above")
    pages = site / "_build" / "html"
    missing = [p for p in _pages(source) if not (pages / p).exists()]
    if missing:
        raise PaperError(f"the book lacks {', '.join(missing)}")
    return pages / "index.html"


def _entries(source: Path) -> list[str]:
    """Every entry of the table of contents, without a suffix."""
    import yaml

    toc = yaml.safe_load((source / "_toc.yml").read_text(encoding="utf-8"))
    chapters = [c for part in toc.get("parts", [toc]) for c in part.get("chapters", [])]
    return [
        Path(e).with_suffix("").as_posix() for e in (toc["root"], *(c["file"] for c in chapters))
    ]


def _pages(source: Path) -> list[str]:
    """The page of every entry of the table of contents."""
    return [f"{entry}.html" for entry in _entries(source)]


PUBLISHED_SUMMARY = ROOT / "book" / "records" / "summary.md"
PUBLISHED_FINDINGS = ROOT / "book" / "records" / "findings.md"
_MARKS = ("<!-- results: written by `gemb study` -->", "<!-- end of results -->")


def findings(count: int = 2) -> str:
    """What is published of sections 2 to 5, the first lines of each in short, as Markdown."""
    from gemb import figures, records

    said: dict[str, Callable[[Any], figures.Bullets]] = {
        "librispeech_failure": figures.evidence,
        "esc50_transfer": figures.transfer_findings,
        "multitask_scaling": figures.multitask_findings,
        "open_audio_encoder": figures.audio_findings,
    }
    out = []
    for notebook in notebooks():
        experiment = notebook.stem.partition("_")[2]
        if experiment not in said:
            continue
        record = records.published(records.KINDS[experiment], experiment)
        if record is not None:
            first = figures.Bullets([" ".join(said[experiment](record).lines[:count])])
            # the page's title stands for the empty text of the link
            line = first._repr_markdown_().removeprefix("- ")
            out.append(f"- **[](../notebooks/{notebook.name}).** {line}\n")
    return "".join(out)


def write_summary() -> None:
    """Write the published results into the book's first page and the README, table and figure."""
    from gemb import figures, records, report

    record = records.published(records.SingleTaskRecord, "single_task")
    if record is None:
        raise PaperError("no published record: run `gemb study` first")
    text = figures.summary(record)
    records.write_text(PUBLISHED_SUMMARY, text)
    figures.accuracy_chart(record).save(records.PUBLISHED / "single_task.png")
    figures.main_frame(record).to_csv(records.PUBLISHED / "single_task.csv", index=False)
    report.write(report.load("published"), records.PUBLISHED)
    records.write_text(PUBLISHED_FINDINGS, findings())
    readme = ROOT / "README.md"
    before, _, rest = readme.read_text(encoding="utf-8").partition(_MARKS[0])
    _, _, after = rest.partition(_MARKS[1])
    records.write_text(readme, f"{before}{_MARKS[0]}\n\n{text}\n{_MARKS[1]}{after}")
