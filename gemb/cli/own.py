"""Your own data: train an adaptor, ask it, publish it and fetch it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from gemb.cli.app import app
from gemb.errors import UserError

# What an adaptor is made of: nothing else in its folder is published.
FILES = ["README.md", "config.json", "model.safetensors"]


@app.command()
def train(
    data: Annotated[Path, typer.Option(help="CSV file: path, answer; optional group, prompt")],
    out: Annotated[Path, typer.Option(help="folder that the adaptor is written to")],
    prompt: Annotated[str, typer.Option(help="what is asked about every file")],
    encoder: Annotated[str, typer.Option(help="see `gemb encoders`")] = "open-concat",
    llm: Annotated[
        str, typer.Option(help="language model: manifest, folder or hub id")
    ] = "smollm2-135m",
    tokens: Annotated[int, typer.Option(min=1, help="virtual tokens a file")] = 1,
    epochs: Annotated[
        int | None,
        typer.Option(min=1, help="at most, the best is kept; more the fewer the files"),
    ] = None,
    seed: Annotated[int, typer.Option(help="of split, initialisation and order")] = 0,
) -> None:
    """Train an adaptor on your own files, test it, and write it with its model card."""
    from gemb.experiments import own_data

    own_data.train(
        data,
        encoder,
        llm,
        prompt,
        out,
        num_virtual_tokens=tokens,
        epochs=epochs,
        seed=seed,
        say=typer.echo,
    )


@app.command()
def ask(
    adaptor: Annotated[str, typer.Argument(help="folder or hub id")],
    about: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE... [PROMPT]",
            help="the last one is the prompt unless it is a file; without, the adaptor's own. "
            "With {media} in it, all files are asked about at once",
        ),
    ],
    encoder: Annotated[
        str, typer.Option(help="where the adaptor's own cannot be loaded under its name")
    ] = "",
    llm: Annotated[str, typer.Option(help="the same for the language model")] = "",
) -> None:
    """Ask about files: a line each with the answer and the probability that the model gives it."""
    from gemb.encoders import Failure
    from gemb.experiments import own_data

    prompt = "" if Path(about[-1]).is_file() else about[-1]
    files = about[:-1] if prompt else about
    if not files:
        raise UserError(
            f"{prompt} is no file, so it was taken as the prompt: give a file before it"
        )
    failed = 0
    for name, answer in own_data.ask(adaptor, files, prompt, encoder=encoder, llm=llm):
        if isinstance(answer, Failure):
            failed += 1
            typer.secho(answer.reason, fg="red", err=True)
        else:
            typer.echo(f"{name}\t{answer.text}\t{own_data.confidence(answer):.2f}")
    if failed:
        raise UserError(f"{failed} of {len(files)} files could not be used (see above)")


@app.command()
def push(
    folder: Annotated[Path, typer.Argument(help="of an adaptor")],
    repository: Annotated[str, typer.Argument(help="hub id, such as you/my-adaptor")],
    public: Annotated[bool, typer.Option("--public", help="for all to see")] = False,
) -> None:
    """Publish an adaptor with its model card on the hub; privately, unless told otherwise."""
    from huggingface_hub import HfApi

    absent = [name for name in FILES if not (folder / name).is_file()]
    if absent:
        raise UserError(f"{folder} is no adaptor's folder: it has no {', '.join(absent)}")
    with _hub(repository):
        api = HfApi()
        api.create_repo(repository, private=not public, exist_ok=True)
        api.upload_folder(repo_id=repository, folder_path=folder, allow_patterns=FILES)
    typer.echo(f"published as {repository}: gemb ask {repository} FILE...")


@app.command()
def pull(
    repository: Annotated[str, typer.Argument(help="hub id, such as someone/their-adaptor")],
    out: Annotated[Path, typer.Option(help="folder to write to")],
    revision: Annotated[str | None, typer.Option(help="branch, tag or commit")] = None,
) -> None:
    """Fetch an adaptor from the hub into a folder."""
    from huggingface_hub import snapshot_download

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} is there already: give a new or an empty folder")
    with _hub(repository):
        snapshot_download(repository, revision=revision, local_dir=out, allow_patterns=FILES)
    if not (out / "config.json").is_file():
        raise UserError(f"{repository} holds no adaptor")
    typer.echo(f"written to {out}")


@contextmanager
def _hub(repository: str) -> Iterator[None]:
    """Whatever goes wrong between here and the hub, as one clear message."""
    import httpx2

    from gemb.data.fetch import offline

    if offline():
        raise UserError("OFFLINE keeps from the hub: unset it")
    try:
        yield
    except (OSError, ValueError, httpx2.HTTPError) as error:
        raise UserError(
            f"{repository}: {error}\nWithout a login (`hf auth login`, or HF_TOKEN) nothing can be "
            "published and nothing private be read."
        ) from error
