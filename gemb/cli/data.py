"""What there is and what it takes: tasks, machine, parts, data, cache."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from gemb import __version__, tasks
from gemb.cli.app import app
from gemb.errors import UserError


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


@app.command("tasks")
def list_tasks() -> None:
    """The eight tasks: prompt, answers, the study's dataset and the one used here."""
    from gemb.data import manifests, released

    for task in tasks.TASKS.values():
        data = manifests.get(task.dataset)
        groups = {i.group for i in released.items(task.name) if i.group}
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
            + (f", {len(groups)} in the profile local" if groups else "")
        )
        typer.echo(f"  leak-free   {task.split}")
        own = task.official
        typer.echo(f"  paper       {own.dataset}: {own.split}, groups: {own.grouped_by}")


@app.command()
def doctor() -> None:
    """What is there: Python, torch, memory, disk, keys (present or not), parts and data."""
    from gemb import doctor as report

    report.print_report()


@app.command()
def fetch(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="manifests; none means all but the study's own datasets"),
    ] = None,
    from_: Annotated[
        Path | None,
        typer.Option("--from", help="a folder with the archives, or what was unpacked from them"),
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="only say what there is")] = False,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="make the released vectors again and compare")
    ] = False,
) -> None:
    """Fetch pretrained parts and data, each checked against its checksum.

    What a host gives out only by hand, or what is there already, comes in with --from.
    """
    from gemb.data import fetch as fetching

    if list_:
        for state in fetching.status():
            m = state.manifest
            size = f"{m.download_bytes / 1e6:7.1f} MB" if m.download_bytes else "          "
            missing = "by hand" if m.by_hand else "absent" if m.sources else "to be made"
            mark = "present" if state.present else missing
            flag = "  NON-COMMERCIAL" if m.non_commercial else ""
            typer.echo(f"{m.name:24} {m.kind:5} {size}  {mark:11} {m.licence}{flag}")
        return
    if rebuild:
        from gemb import release

        for line in release.rebuild():
            typer.echo(line)
        return
    if from_ is not None:
        if not names:
            raise UserError("say which: `gemb fetch NAME --from FOLDER`")
        for name in names:
            typer.echo(f"{name}: {fetching.adopt(name, from_)}")
        return
    states = {s.manifest.name: s for s in fetching.status() if names or not s.manifest.official}
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
