"""`jocker volumes`."""

from __future__ import annotations

from typing import Annotated

import typer

from composer.actual.state import used_volumes
from composer.cli import road, volumeview
from composer.cli.globals import Globals, one_of
from composer.cli.options import Services
from composer.cli.volume import every
from composer.errors import UsageError
from composer.host import records


def volumes(
    context: typer.Context,
    services: Services = None,
    output: Annotated[str, typer.Option("--format", help="table or json")] = "table",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Names only")] = False,
) -> None:
    """List the volumes that were made for the stack; with SERVICEs those that their containers use."""
    one_of("--format", output, ("table", "json"))
    options: Globals = context.obj
    name, project = road.known_services(options)
    mine = [record for record in records.every(options.paths) if record.get("project") == name]
    known = {*(project.services if project else ()), *(project.disabled if project else ())}
    for service in services or ():
        if service not in known and not any(record.get("service") == service for record in mine):
            raise UsageError(f"no such service: {service}", hint=f"there are: {', '.join(sorted(known)) or 'none'}")
    found = [one for one in every(options.paths) if one.project == name]
    if services:
        used = {volume for record in mine if record.get("service") in services for volume in used_volumes(record)}
        found = [one for one in found if one.name in used]
    shown = volumeview.as_names if quiet else volumeview.as_lines if output == "json" else volumeview.as_table
    print(shown(found), end="")
