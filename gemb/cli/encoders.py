"""Which encoders there are."""

from __future__ import annotations

import typer

from gemb.cli.app import app


@app.command("encoders")
def list_encoders() -> None:
    """The encoders: dimension, what they read, licence, whether they work offline."""
    from gemb.encoders import REGISTRY

    for name, card in sorted(REGISTRY.items()):
        typer.secho(f"{name}:{card.argument}" if card.argument else name, bold=True)
        typer.echo(f"  dimension   {card.dim}")
        typer.echo(f"  reads       {', '.join(card.modalities)}")
        typer.echo(f"  licence     {card.licence}")
        typer.echo(f"  offline     {card.offline}")
