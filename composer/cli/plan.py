"""`jocker plan`: what `up` would do, and why. It is given nothing that could write."""

from __future__ import annotations

from typing import Annotated

import typer

from composer.cli import flags
from composer.cli.doing import show_plan
from composer.cli.globals import one_of
from composer.cli.options import Services, Timeout

CHANGES = 10
"""`--detailed-exitcode`: there is something to do."""


def plan(
    context: typer.Context,
    services: Services = None,
    output: Annotated[str, typer.Option("--format", help="text or json")] = "text",
    detailed_exitcode: Annotated[
        bool, typer.Option("--detailed-exitcode", help="Exit 10 if there are changes")
    ] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Every field that differs, not only the first")] = False,
    force_recreate: flags.ForceRecreate = False,
    no_recreate: flags.NoRecreate = False,
    always_recreate_deps: flags.AlwaysRecreateDeps = False,
    no_deps: flags.NoDeps = False,
    no_start: Annotated[bool, typer.Option("--no-start", help="As `up --no-start`")] = False,
    scale: flags.Scale = None,
    remove_orphans: flags.RemoveOrphans = False,
    ignore_orphans: flags.IgnoreOrphans = False,
    renew_anon_volumes: flags.RenewVolumes = False,
    pull: flags.Pull = None,
    build: flags.BuildFirst = False,
    no_build: flags.NoBuild = False,
    timeout: Timeout = None,
) -> None:
    """Show what `up` would do, and why; changes nothing."""
    one_of("--format", output, ("text", "json"))
    wanted = flags.policy(
        services,
        force_recreate=force_recreate,
        no_recreate=no_recreate,
        always_recreate_deps=always_recreate_deps,
        no_deps=no_deps,
        no_start=no_start,
        scale=scale,
        remove_orphans=remove_orphans,
        ignore_orphans=ignore_orphans,
        renew_volumes=renew_anon_volumes,
        pull=pull,
        build=build,
        no_build=no_build,
        timeout=timeout,
    )
    if show_plan(context.obj, wanted, as_json=output == "json", differences=diff) and detailed_exitcode:
        raise typer.Exit(CHANGES)
