"""`jocker down`."""

from __future__ import annotations

from typing import Annotated

import typer

from composer.cli.doing import take_down
from composer.cli.options import Services, Timeout


def down(
    context: typer.Context,
    services: Services = None,
    volumes: Annotated[bool, typer.Option("--volumes", "-v", help="Remove volumes, too: named and anonymous")] = False,
    remove_orphans: Annotated[
        bool,
        typer.Option("--remove-orphans", help="Also orphans and one-off containers", envvar="COMPOSE_REMOVE_ORPHANS"),
    ] = False,
    timeout: Timeout = None,
    rmi: Annotated[
        str | None, typer.Option("--rmi", help="Remove images: all, or local (those without a name of their own)")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan instead")] = False,
) -> None:
    """Stop and remove the containers of the stack."""
    take_down(
        context.obj,
        services=tuple(services or ()),
        volumes=volumes,
        remove_orphans=remove_orphans,
        timeout=timeout,
        rmi=rmi,
        dry_run=dry_run,
    )
