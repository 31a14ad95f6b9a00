"""What every command shares."""

from __future__ import annotations

from typing import Annotated

import typer

from gemb import profiles

app = typer.Typer(
    help="Can embeddings be the eyes and ears of a frozen language model? Rerun the study.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
ProfileOption = Annotated[
    str, typer.Option("--profile", help=f"one of: {', '.join(profiles.PROFILES)}; or a YAML file")
]
