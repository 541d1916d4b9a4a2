"""`jocker watch`."""

from __future__ import annotations

from typing import Annotated

import typer

from composer.cli import road
from composer.cli.globals import Globals
from composer.cli.options import Services
from composer.cli.watching import Watching
from composer.plan.policy import Policy

_INTERRUPTED = 130


def watch(
    context: typer.Context,
    services: Services = None,
    no_up: Annotated[bool, typer.Option("--no-up", help="Do not build and start the services first")] = False,
    prune: Annotated[bool, typer.Option("--prune/--no-prune", help="Remove images that were built over")] = True,
    quiet: Annotated[bool, typer.Option("--quiet", help="Nothing of what builds say")] = False,
) -> None:
    """Bring changes of files into running containers, or build anew what they belong to, as `develop.watch` says."""
    options: Globals = context.obj.with_quiet_builds(quiet)
    named = tuple(services or ())
    watching = Watching(options, road.load(options, named), named, prune=prune)
    if not no_up:
        policy = Policy(services=named, recreate_dependencies="never", ignore_orphans=True)
        road.up(options, watching.built_first(), policy)
    try:
        watching.go_on()
    except KeyboardInterrupt:
        raise typer.Exit(_INTERRUPTED) from None
