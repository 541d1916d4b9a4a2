"""`jocker version`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from composer import __version__
from composer.cli.globals import one_of


def version(
    output: Annotated[str, typer.Option("--format", "-f", help="pretty or json")] = "pretty",
    short: Annotated[bool, typer.Option("--short", help="The number alone")] = False,
) -> None:
    """Show the version."""
    one_of("--format", output, ("pretty", "json"))
    if output == "json":
        print(json.dumps({"version": __version__}))
    else:
        print(__version__ if short else f"jocker version {__version__}")
