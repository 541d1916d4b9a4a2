"""The flags that `up`, `create` and `plan` share, and the policy they make."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from composer.cli.globals import one_of
from composer.cli.options import scales
from composer.errors import UsageError
from composer.plan.policy import Policy, Recreate

ForceRecreate = Annotated[bool, typer.Option("--force-recreate", help="Recreate even if nothing changed")]
NoRecreate = Annotated[bool, typer.Option("--no-recreate", help="Keep existing containers as they are")]
AlwaysRecreateDeps = Annotated[bool, typer.Option("--always-recreate-deps", help="Recreate dependencies, too")]
NoDeps = Annotated[bool, typer.Option("--no-deps", help="Only the services named, not what they depend on")]
Scale = Annotated[list[str] | None, typer.Option("--scale", help="SERVICE=N: this many replicas")]
RemoveOrphans = Annotated[
    bool,
    typer.Option(
        "--remove-orphans", help="Remove containers of services gone from the file", envvar="COMPOSE_REMOVE_ORPHANS"
    ),
]
IgnoreOrphans = Annotated[bool, typer.Option("--ignore-orphans", hidden=True, envvar="COMPOSE_IGNORE_ORPHANS")]
RenewVolumes = Annotated[bool, typer.Option("--renew-anon-volumes", "-V", help="Fresh anonymous volumes; recreates")]
Yes = Annotated[
    bool, typer.Option("--yes", "-y", help="Make volumes anew whose definition changed: what is in them is lost")
]
Pull = Annotated[str | None, typer.Option("--pull", help="always, missing or never; default: as the file says")]
BuildFirst = Annotated[bool, typer.Option("--build", help="Build images first, also those that are here")]
NoBuild = Annotated[bool, typer.Option("--no-build", help="Build nothing, also what is missing")]
QuietBuild = Annotated[bool, typer.Option("--quiet-build", help="Nothing of what builds say")]


def policy(
    services: list[str] | None,
    *,
    force_recreate: bool = False,
    no_recreate: bool = False,
    always_recreate_deps: bool = False,
    no_deps: bool = False,
    no_start: bool = False,
    scale: list[str] | None = None,
    remove_orphans: bool = False,
    ignore_orphans: bool = False,
    renew_volumes: bool = False,
    yes: bool = False,
    pull: str | None = None,
    build: bool = False,
    no_build: bool = False,
    timeout: float | None = None,
) -> Policy:
    """The flags as a policy. Raises `UsageError` for flags that exclude each other."""
    if no_recreate and (force_recreate or always_recreate_deps or renew_volumes):
        raise UsageError("--no-recreate excludes --force-recreate, --always-recreate-deps and --renew-anon-volumes")
    if ignore_orphans and remove_orphans:
        raise UsageError("COMPOSE_IGNORE_ORPHANS and --remove-orphans exclude each other")
    if build and no_build:
        raise UsageError("--build and --no-build exclude each other")
    recreate: Recreate = "never" if no_recreate else "always" if force_recreate or renew_volumes else "changed"
    wanted: Any = pull
    if pull is not None:
        wanted = one_of(
            "--pull", "missing" if pull == "if_not_present" else pull, ("always", "missing", "never", "build")
        )
    return Policy(
        services=tuple(services or ()),
        recreate=recreate,
        recreate_dependencies="never" if no_recreate else "always" if always_recreate_deps else "changed",
        no_deps=no_deps,
        no_start=no_start,
        remove_orphans=remove_orphans,
        ignore_orphans=ignore_orphans,
        renew_volumes=renew_volumes,
        remake_volumes=yes,
        scale=scales(scale),
        pull=wanted,
        build="always" if build else "never" if no_build else "missing",
        timeout=timeout,
    )
