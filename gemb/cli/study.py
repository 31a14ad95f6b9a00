"""Running the study: notebooks, book, published records, checks."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Annotated

import typer

from gemb import profiles
from gemb.cli.app import ProfileOption, app
from gemb.errors import UserError


@app.command()
def run(
    notebook: Annotated[str, typer.Argument(help="such as 01_single_task")],
    profile: ProfileOption = "local",
    parameter: Annotated[
        list[str] | None, typer.Option("-p", help="NAME=VALUE, declared by the notebook")
    ] = None,
) -> None:
    """Execute one notebook with papermill."""
    from gemb import paper

    chosen = profiles.get(profile)
    path = paper.NOTEBOOKS / f"{Path(notebook).stem}.ipynb"
    if not path.exists():
        raise paper.PaperError(
            f"no notebook {notebook}; there are: " + ", ".join(p.stem for p in paper.notebooks())
        )
    given = dict(p.split("=", 1) for p in parameter or [])
    _say_costs(profiles.get(given.get("profile", profile)), path.stem)
    output = paper.BUILD / "notebooks" / chosen.name / path.name
    typer.echo(paper.execute(path, output, profile, given))


@app.command("paper")
def make_paper(
    profile: ProfileOption = "local",
    from_: Annotated[
        str, typer.Option("--from", help="'records' renders the published run only")
    ] = "run",
) -> None:
    """Run every notebook under a profile and build the book from what they gave."""
    from gemb import paper

    if from_ not in ("run", "records"):
        raise typer.BadParameter("--from is 'run' or 'records'")
    started = time.perf_counter()
    executed = []
    if from_ == "run":
        chosen = profiles.get(profile)  # may be a file
        _say_costs(chosen)
        for number, notebook in enumerate(paper.notebooks(), 1):
            typer.echo(f"[{number}/{len(paper.notebooks())}] {notebook.stem} ({chosen.name})")
            output = paper.BUILD / "notebooks" / chosen.name / notebook.name
            executed.append(paper.execute(notebook, output, profile))
    typer.echo("building the book")
    index = paper.build_book(executed)
    typer.echo(f"done in {(time.perf_counter() - started) / 60:.1f} min; open {index}")


def _say_costs(profile: profiles.Profile, notebook: str | None = None) -> None:
    """What is going to be downloaded and where it will lie, and where the LLM is going to run.

    Of one notebook, or of all.
    """
    from gemb.data import fetch as fetching
    from gemb.device import best_device, best_dtype, describe
    from gemb.experiments import needs

    duration = f" ({profile.duration})" if profile.duration and not notebook else ""
    typer.echo(f"profile {profile.name}: {profile.purpose}{duration}")
    device = best_device()
    llm = profile.audio.llm if notebook and notebook.startswith("05") else profile.llm
    typer.echo(f"language model: {llm}, {describe(best_dtype(device), device)}")
    states = {s.manifest.name: s for s in fetching.status()}
    wanted = needs.of_profile(profile, [notebook] if notebook else None)
    absent = [states[n] for n in wanted if not states[n].present]
    size = sum(s.manifest.download_bytes for s in absent)
    if absent:
        what = "not here, and OFFLINE is set" if fetching.offline() else "to download"
        typer.echo(f"{what}: {size / 1e6:.0f} MB ({', '.join(s.manifest.name for s in absent)})")
    typer.echo(f"cache: {fetching.cache_dir()}")


@app.command()
def study(
    profile: ProfileOption = "study",
    from_: Annotated[
        str, typer.Option("--from", help="'records' draws what is published anew, and runs nothing")
    ] = "run",
) -> None:
    """Make the published records and the committed notebooks' outputs; resumable at any point."""
    from gemb import paper, records
    from gemb.data.fetch import cache_dir

    if from_ not in ("run", "records"):
        raise typer.BadParameter("--from is 'run' or 'records'")
    if from_ == "records":
        for notebook in paper.notebooks():
            typer.echo(f"drawing {notebook.stem}")
            paper.redraw(notebook)
        paper.write_summary()
        return
    chosen = profiles.get(profile)
    _say_costs(chosen)
    for notebook in paper.notebooks():
        output = paper.BUILD / "notebooks" / chosen.name / notebook.name
        paper.adopt(paper.execute(notebook, output, profile), notebook)
    for path in sorted((cache_dir() / "records").glob(f"*.{chosen.name}.*")):
        shutil.copy(path, records.PUBLISHED / path.name)
        typer.echo(f"published {path.name}")
    paper.write_summary()


@app.command()
def report(
    run: Annotated[str, typer.Argument(help="'published', a profile, or a folder")] = "published",
    out: Annotated[
        Path | None, typer.Option(help="write report.md, report.json and report.csv there")
    ] = None,
    compare: Annotated[
        tuple[str, str] | None, typer.Option(help="two runs: say what changed between them")
    ] = None,
) -> None:
    """The study's claims beside what a run says to them."""
    from gemb import report as reporting

    if compare is not None:
        for line in reporting.compare(*map(reporting.load, compare)):
            typer.echo(line)
        return
    found = reporting.load(run)
    typer.echo(reporting.text(found))
    for path in reporting.write(found, out) if out else []:
        typer.echo(f"written {path}")


@app.command("test")
def check(
    fast: Annotated[bool, typer.Option("--fast", help="leave out what is marked slow")] = False,
) -> None:
    """All checks that CI runs: style, types, layers, tests."""
    from gemb.paper import scripts
    from gemb.records import ROOT

    if importlib.util.find_spec("pytest") is None:
        raise UserError(
            "the checks are not installed; `make test` installs them, as does "
            "pip install -c constraints.txt -e '.[dev]' with this environment's pip"
        )
    checks = [
        ["ruff", "check", "gemb", "tests", "notebooks"],
        ["mypy", "gemb"],
        ["lint-imports"],
        ["pytest", *(["-m", "not slow"] if fast else [])],
    ]
    environment = {
        **os.environ,
        "PATH": f"{scripts()}{os.pathsep}{os.environ['PATH']}",
    }
    for command in checks:
        typer.secho("$ " + " ".join(command), bold=True)
        program = shutil.which(command[0], path=environment["PATH"]) or command[0]
        done = subprocess.run([program, *command[1:]], cwd=ROOT, env=environment, check=False)
        if done.returncode:
            raise typer.Exit(1)
