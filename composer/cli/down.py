"""`jocker down`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from composer.actual.observe import observe
from composer.cli import road
from composer.cli.options import Globals, Services, Timeout, one_of
from composer.host import cgroup, records
from composer.image.reference import normalise
from composer.paths import Paths


def down(
    context: typer.Context,
    services: Services = None,
    volumes: Annotated[bool, typer.Option("--volumes", "-v", help="Remove anonymous volumes, too")] = False,
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
    from composer.plan.teardown import plan_down

    options: Globals = context.obj
    if rmi is not None:
        one_of("--rmi", rmi, ("all", "local"))
    name, project = road.known_services(options)
    paths = options.paths
    with road.stack_lock(options, name, "down"):
        actual = observe(paths, name)
        images: list[str] = []
        if rmi == "all":
            here = road.images(paths, project) if project else {}
            mine = {one.image for one in actual.containers}
            wanted = {normalise(one.image) for one in project.services.values()} if project else mine
            images = sorted(reference for reference in wanted if reference in here or reference in mine)
        found = plan_down(
            actual,
            known=frozenset(project.services) | frozenset(project.disabled) if project else None,
            disabled=frozenset(project.disabled) if project else frozenset(),
            services=tuple(services or ()),
            remove_orphans=remove_orphans,
            volumes=volumes,
            timeout=timeout,
            images=images,
        )
        if dry_run:
            from composer.cli.planned import text

            print(text(found, with_differences=False), end="")
            return
        road.warn(found.warnings)
        if not actual.containers and options.progress != "quiet":
            print(f"jocker: warning: nothing to remove for stack {name}", file=sys.stderr)
        if not actual.containers and not images and not _left_by_crashes(paths, name):
            return
        road.apply(options, found)


def _left_by_crashes(paths: Paths, project: str) -> bool:
    """Whether a stack without containers has anything: to find out costs less than to load what would remove it."""
    cgroups = (paths.stack_cgroup(project), paths.shim_cgroup(project))
    return any(cgroup.is_left(path, paths.cgroup_root) for path in cgroups) or not records.is_swept(paths)
