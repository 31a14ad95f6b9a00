"""Audio embedding models: made here, used as the encoder ``open-audio:<folder>``."""

from __future__ import annotations

import csv
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gemb.cli.app import app
from gemb.data.items import Item, Media, Pair
from gemb.errors import UnknownName, UserError

if TYPE_CHECKING:
    from gemb.audio_embedding.uses import Answer
    from gemb.encoders import Encoder
    from gemb.store import Store

MAX_DOLLARS = 1.0  # that a paid encoder may spend on one command

FilesArgument = Annotated[list[Path], typer.Argument(metavar="FILE...", help="sound files")]
TopOption = Annotated[int, typer.Option(min=1, help="so many answers")]
_MODEL = (
    "folder of a model that `gemb audio train` made, or another encoder of sounds and texts; "
    f"one that costs money stops at ${MAX_DOLLARS:g}"
)

audio_app = typer.Typer(help="Audio embedding models from pretrained parts.", no_args_is_help=True)
app.add_typer(audio_app, name="audio")


@audio_app.command()
def train(
    out: Annotated[Path, typer.Option(help="folder of the model; checkpoints lie there too")],
    route: Annotated[str, typer.Option(help="full, prune, text-only or combine")] = "",
    config: Annotated[Path | None, typer.Option(help="a recipe (YAML or JSON), or give:")] = None,
    parts: Annotated[
        str | None,
        typer.Option(help="open (if none are said), moonshine, yamnet, m1 … m4, omni-7b"),
    ] = None,
    layers: Annotated[int | None, typer.Option(help="to keep, where the route prunes")] = None,
    pairs: Annotated[
        str, typer.Option(help="audio-pairs, an official dataset, or a CSV: audio (file), caption")
    ] = "audio-pairs",
    texts: Annotated[
        str, typer.Option(help="packaged, an official dataset, or a CSV: text, match; text-only")
    ] = "packaged",
    epochs: Annotated[int | None, typer.Option(help="of each stage")] = None,
    batch_size: Annotated[int | None, typer.Option(help="pairs a step")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="of the language model")] = None,
    lora_rank: Annotated[int | None, typer.Option(help="of adapters in the language model")] = None,
    grad_cache: Annotated[bool, typer.Option(help="large batches in little memory")] = False,
    bfloat16: Annotated[bool, typer.Option(help="compute in bfloat16")] = False,
    seed: Annotated[int | None, typer.Option(help="0 if none is said")] = None,
) -> None:
    """Make a model along one of the source's four routes; interrupted, the same command goes on.

    Several processes: accelerate launch $(which gemb) audio train ….
    """
    from gemb.audio_embedding.model import AudioEmbedder
    from gemb.audio_embedding.routes import follow, stages
    from gemb.audio_embedding.train import Pairs
    from gemb.data.fetch import cache_dir
    from gemb.device import this_process
    from gemb.encoders.base import Failure
    from gemb.store import Store

    recipe = _recipe(
        config,
        route,
        parts,
        layers,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        lora_rank=lora_rank,
        grad_cache=grad_cache or None,
        bfloat16=bfloat16 or None,
        seed=seed,
    )
    # aligned parts that are trained on texts need no sound
    heard = any(s.trains and s.on == "audio" for s in stages(recipe))
    sounds = _sounds(pairs) if heard else []
    matches = _texts(texts) if recipe.route == "text-only" else []
    process = this_process()
    model = AudioEmbedder.build(recipe.parts, recipe.training.seed)
    with process.main_process_first():  # the others then read what it has kept
        prepared = model.prepare([i for i, _ in sounds], Store(cache_dir() / "vectors"))
    good = []
    for clip, (_, caption) in zip(prepared, sounds, strict=True):
        if isinstance(clip, Failure):
            typer.secho(f"left out: {clip.reason}", fg="yellow", err=True)
        else:
            good.append((clip, caption))

    def after(stage: str, _: AudioEmbedder) -> None:
        if process.is_main_process and stage != "start":
            typer.echo(f"done: {stage}")

    model.provenance["pairs"] = Path(pairs).name if heard else ""
    done = follow(
        recipe,
        model,
        Pairs.of(good) if heard else None,
        Pairs.of(matches) if matches else None,
        out / "checkpoints",
        after,
    )
    if process.is_main_process:
        model.save(out)
        shutil.rmtree(out / "checkpoints", ignore_errors=True)
        for stage, fit in done.items():
            typer.echo(
                f"{stage}: {fit.steps} steps, loss {fit.losses[0]:.3f} to {fit.losses[-1]:.3f}, "
                f"{fit.trainable / 1e6:.1f} million weights trained, {fit.seconds:.0f} s"
            )
        typer.echo(f"use it as the encoder open-audio:{out}")


@audio_app.command()
def route(
    files: FilesArgument,
    model: Annotated[
        str | None, typer.Option(help=f"{_MODEL}; notebook 05's best", show_default=False)
    ] = None,
    tools: Annotated[
        Path | None, typer.Option(help="YAML, name: {description: what it does}; a home's")
    ] = None,
    top: TopOption = 1,
) -> None:
    """Say which tool a spoken command is for, without transcribing it: file, tool, similarity."""
    from gemb.audio_embedding import uses

    encoder, store = _encoder_and_store(model or _best_model())
    known = uses.read_tools(tools) if tools else uses.read_tools()
    items = [uses.sound(f) for f in files]
    _show(files, uses.route(encoder, items, known, store, top))


@audio_app.command()
def label(
    files: FilesArgument,
    captions: Annotated[
        Path | None, typer.Option(help="text file, one a line; AudioSet's 521 names")
    ] = None,
    model: Annotated[str, typer.Option(help=_MODEL)] = "open-bound",
    top: TopOption = 3,
) -> None:
    """Say what sounds, as the nearest of some captions: file, caption, similarity."""
    from gemb.audio_embedding import uses

    encoder, store = _encoder_and_store(model)
    chosen = _lines(captions) if captions else _audioset_names()
    _show(files, uses.label(encoder, [uses.sound(f) for f in files], chosen, store, top))


@audio_app.command()
def search(
    query: Annotated[str, typer.Argument(metavar='"TEXT"|FILE', help="words, or a sound file")],
    folder: Annotated[Path, typer.Argument(help="of sound files; those in its folders count")],
    model: Annotated[str, typer.Option(help=_MODEL)] = "open-bound",
    top: TopOption = 10,
) -> None:
    """Find the sounds of a folder that are nearest to words or to another sound.

    The folder is embedded at the first search; later ones embed what is new.
    """
    from gemb.audio_embedding import uses

    asked: str | Item = query
    if os.path.isfile(query):  # Path.is_file raises at words too long for a file's name
        asked = uses.sound(Path(query))
    elif Path(query).suffix.lower() in uses.SUFFIXES:
        raise UserError(f"there is no file {query}: give a sound file that is there, or words")
    items = uses.sounds(folder)
    encoder, store = _encoder_and_store(model)
    hits, failures = uses.search(encoder, asked, items, store, top)
    for hit in hits:
        typer.echo(f"{hit.name}\t{hit.similarity:.3f}")
    for failed in failures:
        typer.secho(failed.reason, fg="red", err=True)
    if failures:
        raise UserError(f"{len(failures)} of {len(items)} files could not be searched (see above)")


def _best_model() -> str:
    """The folder of the best model that notebook 05 trained here, said aloud."""
    from gemb.experiments.open_audio_encoder import LARGEST_FIRST, best_model

    found = best_model()
    if found is None:
        raise UserError(
            f"notebook 05 has made no model here under any of the profiles "
            f"{', '.join(LARGEST_FIRST)} (smaller ones do not count): run "
            "`gemb run 05_open_audio_encoder`, make one with `gemb audio train`, or name an "
            "encoder of sounds and texts with --model"
        )
    profile, folder = found
    typer.secho(f"model: notebook 05's best under the profile {profile}, {folder}", err=True)
    return str(folder)


def _encoder_and_store(model: str) -> tuple[Encoder, Store]:
    """The encoder by folder or name, a paid one with a ceiling, and where vectors are kept."""
    from gemb import encoders
    from gemb.data.fetch import cache_dir
    from gemb.encoders.base import Paid
    from gemb.store import Store

    named = model.partition(":")[0] in encoders.REGISTRY
    encoder = encoders.load(model if named else f"open-audio:{model}")
    if isinstance(encoder, Paid):
        encoder.limits.max_dollars = MAX_DOLLARS
    return encoder, Store(cache_dir() / "vectors")


def _show(files: list[Path], answers: list[Answer]) -> None:
    """A line an answer; what could not be used is named, and the status then is 1."""
    from gemb.encoders import Failure

    failed = 0
    for file, answer in zip(files, answers, strict=True):
        if isinstance(answer, Failure):
            failed += 1
            typer.secho(answer.reason, fg="red", err=True)
            continue
        for hit in answer:
            typer.echo(f"{file}\t{hit.name}\t{hit.similarity:.3f}")
    if failed:
        raise UserError(f"{failed} of {len(files)} files could not be used (see above)")


def _lines(path: Path) -> list[str]:
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    if not any(lines):
        raise UserError(f"{path} holds no caption: write one a line")
    return [line for line in lines if line]


def _audioset_names() -> list[str]:
    from gemb.data.fetch import fetch
    from gemb.encoders.yamnet import YamNet

    return YamNet(fetch("yamnet")).class_names


def _recipe(
    config: Path | None, route: str, parts: str | None, layers: int | None, **given: Any
) -> Any:
    """The recipe in a file, or one put together from options."""
    from pydantic import ValidationError

    from gemb.audio_embedding.config import Recipe, Training, preset, read

    said = {k: v for k, v in given.items() if v is not None}
    if config is not None:
        parted = {"route": route or None, "parts": parts, "layers": layers} | said
        also = [f"--{k.replace('_', '-')}" for k, v in parted.items() if v is not None]
        if also:
            raise UserError(f"{config} is the whole recipe: say there what {', '.join(also)} said")
        return read(config)
    try:
        return Recipe.model_validate(
            {
                "route": route,
                "parts": preset(parts or "open"),
                "layers": layers,
                "training": Training.model_validate(said),
            }
        )
    except ValidationError as error:
        raise UserError(f"this cannot be trained: {error}") from error


def _sounds(source: str) -> list[Pair]:
    """Clips and captions to train on: packaged, of an official dataset, or of a table."""
    from gemb.data.readers import audio_pairs, captioned_audio

    if source.endswith(".csv"):
        table = Path(source)
        return [
            (Item(name, "audio", Media.from_file(_beside(table, name)), caption), caption)
            for name, caption in _rows(table, "audio", "caption")
        ]
    if source == audio_pairs.DATASET:
        return audio_pairs.pairs(audio_pairs.take(audio_pairs.items(), "train"))
    if source in captioned_audio.READERS:
        return captioned_audio.READERS[source](None, "train")
    known = ", ".join([audio_pairs.DATASET, *captioned_audio.READERS])
    raise UnknownName(f"no pairs {source!r}; there are: {known}; or name a .csv file")


def _texts(source: str) -> list[tuple[str, str]]:
    """Pairs of texts to train on; packaged ones hold no caption that is asked about later."""
    from gemb.data.readers import audio_pairs, text_pairs

    if source.endswith(".csv"):
        return _rows(Path(source), "text", "match")
    if source == "packaged":
        items = audio_pairs.items()
        asked = [*audio_pairs.take(items, "val"), *audio_pairs.take(items, "test")]
        exclude = [i.answer for i in asked] + [i.meta["sentence"] for i in asked]
        return text_pairs.offline(audio_pairs.take(items, "train"), exclude)
    readers = (text_pairs.multinli, text_pairs.snli, text_pairs.fever, text_pairs.scifact)
    official = {reader.__name__: reader for reader in readers}
    if source in official:
        return official[source]()
    known = ", ".join(["packaged", *official])
    raise UnknownName(f"no text pairs {source!r}; there are: {known}; or name a .csv file")


def _rows(path: Path, left: str, right: str) -> list[tuple[str, str]]:
    """Two columns of a CSV file."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:  # as spreadsheets write it
            rows = [(row[left], row[right]) for row in csv.DictReader(file)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    except KeyError as error:
        raise UserError(
            f"{path} has no column {error}: its header needs {left} and {right}"
        ) from error
    for number, (a, b) in enumerate(rows, 2):
        if not (a or "").strip() or not (b or "").strip():
            raise UserError(f"{path}, line {number}: {left} or {right} is empty")
    return rows


def _beside(table: Path, name: str) -> Path:
    path = table.parent / name
    if not path.is_file():
        raise UserError(f"{table} names {name}, and {path} is no file")
    return path
