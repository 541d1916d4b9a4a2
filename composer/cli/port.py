"""`jocker port`."""

from __future__ import annotations

from typing import Annotated

import typer

from composer.cli.containers import running
from composer.cli.globals import Globals, one_of
from composer.cli.options import Index
from composer.cli.publishers import ports_text, publishers_of
from composer.errors import NetworkError


def port(
    context: typer.Context,
    service: Annotated[str, typer.Argument(help="Service")],
    private_port: Annotated[int, typer.Argument(min=1, max=65535, help="Port of the container")],
    protocol: Annotated[str, typer.Option("--protocol", help="tcp or udp")] = "tcp",
    index: Index = 0,
) -> None:
    """Show where a port of a service is published on this machine: `0.0.0.0:8080`."""
    options: Globals = context.obj
    one_of("--protocol", protocol, ("tcp", "udp"))
    one = running(options, service, index)
    found = publishers_of(options.paths, one)
    for entry in found:
        if entry.published and (entry.target, entry.protocol) == (private_port, protocol):
            # Not in brackets, even with IPv6: as docker compose prints it.
            print(f"{entry.url}:{entry.published}")
            return
    published = [entry for entry in found if entry.published]
    raise NetworkError(
        f"{one.name} does not publish port {private_port}/{protocol}",
        hint=f"it publishes {ports_text(published)}" if published else "give the service `ports`",
    )
