"""`jocker up` and `jocker create`."""

from __future__ import annotations

from typing import Annotated

import typer

from composer.cli import attaching, flags
from composer.cli.doing import bring_up
from composer.cli.globals import Globals
from composer.cli.options import Services, Timeout, seconds
from composer.errors import UsageError


def up(
    context: typer.Context,
    services: Services = None,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Leave the containers running and return")] = False,
    force_recreate: flags.ForceRecreate = False,
    no_recreate: flags.NoRecreate = False,
    always_recreate_deps: flags.AlwaysRecreateDeps = False,
    no_deps: flags.NoDeps = False,
    no_start: Annotated[bool, typer.Option("--no-start", help="Make the containers, do not start them")] = False,
    scale: flags.Scale = None,
    remove_orphans: flags.RemoveOrphans = False,
    ignore_orphans: flags.IgnoreOrphans = False,
    renew_anon_volumes: flags.RenewVolumes = False,
    pull: flags.Pull = None,
    build: flags.BuildFirst = False,
    no_build: flags.NoBuild = False,
    quiet_build: flags.QuietBuild = False,
    timeout: Timeout = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Return when every service is healthy, running, or has completed; implies -d")
    ] = False,
    wait_timeout: Annotated[
        float | None, typer.Option("--wait-timeout", help="Seconds that --wait waits at most", callback=seconds)
    ] = None,
    yes: flags.Yes = False,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Stay, show what containers say, and watch files as `jocker watch`")
    ] = False,
    attach: attaching.Attach = None,
    no_attach: attaching.NoAttach = None,
    attach_dependencies: attaching.AttachDependencies = False,
    no_color: attaching.NoColor = False,
    no_log_prefix: attaching.NoLogPrefix = False,
    timestamps: attaching.Timestamps = False,
    abort_on_container_exit: attaching.AbortOnExit = False,
    abort_on_container_failure: attaching.AbortOnFailure = False,
    exit_code_from: attaching.ExitCodeFrom = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan instead (as `jocker plan`)")] = False,
) -> None:
    """Make the machine as the stack file says: pull, create, recreate what changed, start."""
    options: Globals = context.obj
    if watch and (detach or no_start):
        raise UsageError(f"--watch and {'--detach' if detach else '--no-start'} exclude each other")
    if watch and wait:
        raise UsageError("--watch and --wait exclude each other")
    if watch and no_build:
        raise UsageError("--no-build and --watch exclude each other")
    foreground = attaching.flags(
        attach,
        no_attach,
        attach_dependencies=attach_dependencies,
        no_color=no_color,
        no_log_prefix=no_log_prefix,
        timestamps=timestamps,
        abort_on_exit=abort_on_container_exit,
        abort_on_failure=abort_on_container_failure,
        exit_code_from=exit_code_from,
    )
    stays = not (detach or no_start or watch or wait)
    if not stays and (option := foreground.needs_foreground()):
        other = "--detach" if detach else "--no-start" if no_start else "--watch" if watch else "--wait"
        raise UsageError(f"{other} and {option} exclude each other")
    options = options.with_quiet_builds(quiet_build)
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
        yes=yes,
        pull=pull,
        build=build,
        no_build=no_build,
        timeout=timeout,
    )
    if watch and not dry_run:
        from composer.cli.watching import up_and_watch

        up_and_watch(options, wanted)
    elif stays and not dry_run:
        from composer.cli.foreground import up_attached

        raise typer.Exit(up_attached(options, wanted, foreground))
    else:
        seconds_at_most = float("inf") if wait_timeout is None else wait_timeout
        bring_up(options, wanted, dry_run=dry_run, wait=seconds_at_most if wait and not no_start else None)


def create(
    context: typer.Context,
    services: Services = None,
    force_recreate: flags.ForceRecreate = False,
    no_recreate: flags.NoRecreate = False,
    scale: flags.Scale = None,
    remove_orphans: flags.RemoveOrphans = False,
    ignore_orphans: flags.IgnoreOrphans = False,
    pull: flags.Pull = None,
    build: flags.BuildFirst = False,
    no_build: flags.NoBuild = False,
    yes: flags.Yes = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan instead")] = False,
) -> None:
    """Make the containers of the stack, without starting them."""
    bring_up(
        context.obj,
        flags.policy(
            services,
            force_recreate=force_recreate,
            no_recreate=no_recreate,
            no_start=True,
            scale=scale,
            remove_orphans=remove_orphans,
            ignore_orphans=ignore_orphans,
            yes=yes,
            pull=pull,
            build=build,
            no_build=no_build,
        ),
        dry_run=dry_run,
    )
