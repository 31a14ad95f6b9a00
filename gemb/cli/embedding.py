"""Vectors: what they cost, making them ahead of a run, and serving an encoder to others."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from gemb import profiles
from gemb.cli.app import ProfileOption, app
from gemb.errors import UserError

if TYPE_CHECKING:
    from gemb.encoders import Encoder
    from gemb.experiments.needs import Vectors

EncoderOption = Annotated[
    str | None, typer.Option("--encoder", help="such as gemini or open-concat; the profile's")
]
TaskOption = Annotated[
    list[str] | None, typer.Option("--task", help="a task of the profile; all, if none is given")
]
RequestsOption = Annotated[
    float | None,
    typer.Option("--requests-per-minute", min=0.1, help="your project's limit [default: 100]"),
]
TokensOption = Annotated[
    float | None,
    typer.Option("--tokens-per-minute", min=1, help="your project's limit [default: 30000]"),
]


@app.command()
def estimate(
    profile: ProfileOption = "local",
    encoder: EncoderOption = None,
    task: TaskOption = None,
    requests_per_minute: RequestsOption = None,
    tokens_per_minute: TokensOption = None,
) -> None:
    """What embedding a profile's tasks takes, before anything is sent: items, price, minutes."""
    chosen = profiles.get(profile)
    maker = _encoder(encoder or chosen.encoder, requests_per_minute, tokens_per_minute)
    _announce(chosen, maker, task or [], fetching=False)


@app.command()
def embed(
    profile: ProfileOption = "local",
    encoder: EncoderOption = None,
    task: TaskOption = None,
    ceiling: Annotated[
        float, typer.Option(help="dollars above which you are asked first", min=0)
    ] = 1.0,
    max_dollars: Annotated[
        float | None, typer.Option(help="stop before more is spent", min=0)
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    requests_per_minute: RequestsOption = None,
    tokens_per_minute: TokensOption = None,
) -> None:
    """Embed what a profile's tasks lack, with its estimate first; resumable at any point."""
    from gemb.embed import embed as make
    from gemb.encoders.base import Paid

    chosen = profiles.get(profile)
    maker = _encoder(encoder or chosen.encoder, requests_per_minute, tokens_per_minute)
    wanted, dollars = _announce(chosen, maker, task or [], fetching=True)
    if isinstance(maker, Paid):
        maker.limits.max_dollars = max_dollars
    if not yes and (dollars is None or dollars > ceiling):
        cost = "at an unknown price" if dollars is None else f"for about ${dollars:.2f}"
        if not sys.stdin.isatty():
            raise UserError(
                f"embedding {cost} is above the ceiling of ${ceiling:.2f}: "
                "agree by --yes, or raise --ceiling"
            )
        if not typer.confirm(f"embed {cost}?"):
            raise typer.Exit(1)
    failures = []
    try:
        for some in wanted:
            refused = {f.item_id for f in some.failures}
            failures += some.failures
            items = [i for i in some.todo if i.id not in refused]
            if items and some.store:
                done = make(items, maker, some.store, some.view, label=f"embedding {some.name}")
                failures += done.failures
                typer.echo(f"{some.name}: {done.computed} embedded in {done.seconds:.0f} s")
    finally:
        if isinstance(maker, Paid):
            typer.echo(f"spent about ${maker.spent:.4f}, by the list price of the tokens reported")
    for failure in failures:
        typer.secho(f"not embedded: {failure.reason}", fg="yellow", err=True)
    if failures:
        raise UserError(f"{len(failures)} items have no vector (see above); all others have")


@app.command()
def serve(
    encoder: Annotated[str, typer.Option("--encoder", help="whose vectors")] = "open-concat",
    host: Annotated[str, typer.Option(help="by default only this machine can reach it")] = "",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free")] = 8808,
    model: Annotated[
        list[str] | None,
        typer.Option(help="a model id to answer to, besides the encoder's name"),
    ] = None,
    require_key: Annotated[
        bool, typer.Option("--require-key", help="want the key that GEMB_SERVE_KEY holds")
    ] = False,
) -> None:
    """Serve an encoder on the Gemini embedding API's wire format, until Ctrl-C."""
    from gemb import encoders
    from gemb import serve as server

    maker = encoders.load(encoder)
    key = os.environ.get(server.KEY) if require_key else None
    if require_key and not key:
        raise UserError(f"--require-key: put the key that clients must send into {server.KEY}")
    with server.running(
        maker, host=host or server.HOST, port=port, models=model or [], key=key
    ) as url:
        typer.echo(f"{maker.name} at {url}, {maker.dim} dimensions; Ctrl-C ends it")
        typer.echo(f"export GOOGLE_GEMINI_BASE_URL={url}")
        typer.echo(f"and use gemini:{maker.name}:{maker.dim} as the encoder")
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            typer.echo("ended")


def _encoder(spec: str, requests: float | None, tokens: float | None) -> Encoder:
    """The encoder, at the pace asked for."""
    from gemb import encoders
    from gemb.encoders.base import Paid

    maker = encoders.load(spec)
    if isinstance(maker, Paid):
        if requests is not None:
            maker.limits.requests_per_minute = requests
        if tokens is not None:
            maker.limits.tokens_per_minute = tokens
    return maker


def _announce(
    profile: profiles.Profile, maker: Encoder, names: Sequence[str], *, fetching: bool
) -> tuple[list[Vectors], float | None]:
    """Print what is there and what is to be embedded; with the price, ``None`` if unknown."""
    from gemb.encoders import prices
    from gemb.encoders.base import Paid
    from gemb.experiments import needs

    wanted = needs.items_of(profile, maker, names, fetching=fetching)
    about = maker.identity()
    typer.echo(f"{about.name}, {about.revision}, {about.dim} dimensions; profile {profile.name}")
    if not isinstance(maker, Paid):
        for some in wanted:
            about_many = "at most " if some.guessed else ""
            typer.echo(
                f"{some.name:22} {about_many}{some.items} items, {some.stored} stored, "
                f"{some.missing} to embed"
            )
        typer.echo("free: it runs on this machine")
        return wanted, 0.0
    needs.price(wanted, maker)
    typer.echo(
        f"{'task':22} {'items':>7} {'stored':>7} {'to embed':>8} {'images':>7} {'sound':>9} "
        f"{'tokens':>9} {'price':>9}"
    )

    def line(name: str, items: int, stored: int, missing: int, amount: prices.Amount) -> str:
        dollars = maker.price(amount)
        cost = "unknown" if dollars is None else f"${dollars:.4f}"
        return (
            f"{name:22} {items:7} {stored:7} {missing:8} {amount.images:7} "
            f"{amount.seconds:7.0f} s {amount.tokens:9.0f} {cost:>9}"
        )

    for w in wanted:
        shown = line(w.name, w.items, w.stored, w.missing, w.amount)
        shared = f"  {w.shared} come with a task above" if w.shared else ""
        typer.echo(shown + ("  guessed" if w.guessed else "") + shared)
    total = sum((w.amount for w in wanted), prices.Amount())
    items, stored = sum(w.items for w in wanted), sum(w.stored for w in wanted)
    typer.echo(line("all", items, stored, sum(w.missing for w in wanted), total))
    if any(w.guessed for w in wanted):
        typer.echo(
            "guessed: the data are not here yet; at most as many as the profile's sizes say, of "
            "the dataset's mean length"
        )
    for failure in (f for w in wanted for f in w.failures):
        typer.secho(f"cannot be sent: {failure.reason}", fg="yellow", err=True)
    if not names and profile.source != "official":
        typer.echo("of the single tasks; other sections embed what they need besides as they run")
    limits = maker.limits
    typer.echo(f"prices of {prices.AS_OF}, without tax; today's are at {prices.SOURCE}")
    typer.echo(
        f"at {limits.requests_per_minute:g} requests and {limits.tokens_per_minute:g} tokens a "
        f"minute: {limits.minutes(total):.1f} min; a free tier may end after some requests a day"
    )
    return wanted, maker.price(total)
