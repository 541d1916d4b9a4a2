"""`jocker ps`."""

from __future__ import annotations

from typing import Annotated

import typer

from composer.cli.globals import one_of
from composer.cli.listing import list_containers
from composer.cli.options import Services
from composer.errors import UsageError


def ps(
    context: typer.Context,
    services: Services = None,
    everything: Annotated[bool, typer.Option("--all", "-a", help="Stopped and one-off containers, too")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Ids only, in full")] = False,
    output: Annotated[str, typer.Option("--format", help="table or json")] = "table",
    names_only: Annotated[bool, typer.Option("--services", help="Names of services only")] = False,
    status: Annotated[list[str] | None, typer.Option("--status", help="Only these states; several")] = None,
    filters: Annotated[list[str] | None, typer.Option("--filter", help="status=STATE")] = None,
    no_trunc: Annotated[bool, typer.Option("--no-trunc", help="Ids and commands in full")] = False,
) -> None:
    """List the containers of the stack."""
    one_of("--format", output, ("table", "json"))
    list_containers(
        context.obj,
        services=services or (),
        everything=everything,
        quiet=quiet,
        names_only=names_only,
        as_lines=output == "json",
        states={*(status or ()), *(_state(text) for text in filters or ())},
        no_trunc=no_trunc,
    )


def _state(text: str) -> str:
    key, equals, value = text.partition("=")
    if key != "status" or not equals:
        raise UsageError(f"--filter {text!r}", hint="write status=running")
    return value
