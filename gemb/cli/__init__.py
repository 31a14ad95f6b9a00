"""The ``gemb`` command: each module beside this one holds the commands of one concern."""

from __future__ import annotations

import logging
import sys

import typer

# Each registers its commands.
from gemb.cli import audio, data, embedding, encoders, own, study  # noqa: F401
from gemb.cli.app import app
from gemb.errors import UnknownName, UserError


def main() -> None:
    """Entry point: an expected failure is one clear message and exit status 1."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("gemb").setLevel(logging.INFO)
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


if __name__ == "__main__":
    main()
