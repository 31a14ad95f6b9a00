"""The ``gemb`` command."""

from __future__ import annotations

import importlib.util
import logging
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from gemb import __version__, profiles, tasks
from gemb.errors import UnknownName, UserError

app = typer.Typer(
    help="Can embeddings be the eyes and ears of a frozen language model? Rerun the study.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
ProfileOption = Annotated[
    str, typer.Option("--profile", help=f"one of: {', '.join(profiles.PROFILES)}")
]


def main() -> None:
    """Entry point: an expected failure is one clear message and exit status 1."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        app()
    except UserError as error:
        typer.secho(f"gemb: {error}", fg="red", err=True)
        sys.exit(2 if isinstance(error, UnknownName) else 1)
    except KeyboardInterrupt:
        typer.secho(
            "gemb: interrupted; what was finished is kept, run it again to go on",
            fg="yellow",
            err=True,
        )
        sys.exit(130)


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


@app.command("tasks")
def list_tasks() -> None:
    """The eight tasks: prompt, answers, the study's dataset and the one used here."""
    from gemb.data import manifests

    for task in tasks.TASKS.values():
        data = manifests.get(task.dataset)
        stand_in = f"stand-in: {task.stand_in}" if task.stand_in else "the study's own dataset"
        answers = ", ".join(data.classes[:10]) + (
            f", … ({len(data.classes)})" if len(data.classes) > 10 else ""
        )
        typer.secho(f"{task.name}: {task.title} ({task.modality})", bold=True)
        typer.echo(f"  prompt      {task.prompt}")
        typer.echo(f"  answers     {answers}")
        typer.echo(f"  study       {task.paper_dataset}, {task.paper_accuracy:.1%}")
        typer.echo(f"  here        {task.dataset}: {stand_in}")
        typer.echo(
            f"  items       {data.items or '?'}; classes {len(data.classes)}; "
            f"groups: {task.grouped_by}"
        )
        typer.echo(f"  leak-free   {task.split}")


@app.command()
def doctor() -> None:
    """What is there: Python, torch, memory, disk, keys (present or not), parts and data."""
    from gemb import doctor as report

    report.print_report()


@app.command()
def fetch(
    names: Annotated[list[str] | None, typer.Argument(help="manifests; none means all")] = None,
    list_: Annotated[bool, typer.Option("--list", help="only say what there is")] = False,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="make the released files again and compare")
    ] = False,
) -> None:
    """Fetch pretrained parts and data, each checked against its checksum."""
    from gemb.data import fetch as fetching

    if list_:
        for state in fetching.status():
            m = state.manifest
            size = f"{m.download_bytes / 1e6:7.1f} MB" if m.download_bytes else "          "
            mark = "present" if state.present else "to be made" if not m.sources else "absent"
            flag = "  NON-COMMERCIAL" if m.non_commercial else ""
            typer.echo(f"{m.name:24} {m.kind:5} {size}  {mark:11} {m.licence}{flag}")
        return
    if rebuild:
        from gemb import release

        for line in release.rebuild():
            typer.echo(line)
        return
    states = {s.manifest.name: s for s in fetching.status()}
    absent = [s.manifest for n, s in states.items() if (not names or n in names) and not s.present]
    if absent:
        total = sum(m.download_bytes for m in absent)
        typer.echo(f"to fetch: {len(absent)} of {len(names or states)}, {total / 1e6:.0f} MB")
    for manifest in absent:
        if manifest.non_commercial:
            typer.echo(f"{manifest.name}: {manifest.licence}, for non-commercial use only")
    failed = []
    for name in names or states:
        try:
            typer.echo(f"{name}: {fetching.fetch(name)}")
        except fetching.FetchError as error:  # the others can be had all the same
            typer.secho(f"{name}: {error}", fg="red", err=True)
            failed.append(name)
    if failed:
        raise UserError(f"not fetched: {', '.join(failed)} (see above)")


@app.command()
def release() -> None:
    """Write the released files anew: vectors, samples, adaptors, licences."""
    from gemb import release as releasing

    releasing.write()


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

    profiles.get(profile)
    path = paper.NOTEBOOKS / f"{Path(notebook).stem}.ipynb"
    if not path.exists():
        raise paper.PaperError(
            f"no notebook {notebook}; there are: " + ", ".join(p.stem for p in paper.notebooks())
        )
    given = dict(p.split("=", 1) for p in parameter or [])
    typer.echo(paper.execute(path, paper.BUILD / "notebooks" / profile / path.name, profile, given))


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
        chosen = profiles.get(profile)
        _say_costs(chosen)
        for number, notebook in enumerate(paper.notebooks(), 1):
            typer.echo(f"[{number}/{len(paper.notebooks())}] {notebook.stem} ({profile})")
            output = paper.BUILD / "notebooks" / profile / notebook.name
            executed.append(paper.execute(notebook, output, profile))
    typer.echo("building the book")
    index = paper.build_book(executed)
    typer.echo(f"done in {(time.perf_counter() - started) / 60:.1f} min; open {index}")


def _say_costs(profile: profiles.Profile) -> None:
    """What is going to be downloaded and where it will lie, before it is."""
    from gemb.data import fetch as fetching
    from gemb.experiments import needs

    typer.echo(f"profile {profile.name}: {profile.purpose} ({profile.duration})")
    states = {s.manifest.name: s for s in fetching.status()}
    absent = [states[n] for n in needs.of_profile(profile) if not states[n].present]
    size = sum(s.manifest.download_bytes for s in absent)
    if absent:
        typer.echo(
            f"to download: {size / 1e6:.0f} MB ({', '.join(s.manifest.name for s in absent)})"
        )
    typer.echo(f"cache: {fetching.cache_dir()}")


@app.command()
def study(profile: ProfileOption = "study") -> None:
    """Make the published records and the committed notebooks' outputs; resumable at any point."""
    from gemb import paper, records
    from gemb.data.fetch import cache_dir

    _say_costs(profiles.get(profile))
    for notebook in paper.notebooks():
        output = paper.BUILD / "notebooks" / profile / notebook.name
        paper.adopt(paper.execute(notebook, output, profile), notebook)
    for path in sorted((cache_dir() / "records").glob(f"*.{profile}.*")):
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


@app.command("clean-cache")
def clean_cache(
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
) -> None:
    """Delete everything that gemb keeps: parts, data, vectors, trainings."""
    from gemb.data.fetch import FOLDERS, cache_dir

    folder = cache_dir()
    size = sum(
        p.stat().st_size for name in FOLDERS for p in (folder / name).rglob("*") if p.is_file()
    )
    if not yes and not typer.confirm(f"delete {size / 1e6:.0f} MB in {folder}?"):
        raise typer.Exit(1)
    for name in FOLDERS:
        shutil.rmtree(folder / name, ignore_errors=True)
    typer.echo(f"freed {size / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
