"""What `up`, `plan` and `down` do, once their options are understood. Loaded without typer: see `quick`."""

from __future__ import annotations

import json
import os
import sys

from composer.actual.observe import observe_stack
from composer.cli import road
from composer.cli.globals import Globals, one_of
from composer.cli.planned import text
from composer.cli.text import status_stream
from composer.host import cgroup, networks, records
from composer.paths import Paths
from composer.plan.plan import Plan
from composer.plan.policy import Policy


def bring_up(options: Globals, wanted: Policy, *, dry_run: bool = False, wait: float | None = None) -> None:
    """Makes the machine as the stack file says, and shows how. Raises `Failed`; `dry_run` only prints the plan. With
    `wait` (seconds, may be infinite) returns when every service has reached its goal.
    """
    project = road.load(options, wanted.services)
    if dry_run:
        seen = road.view(options.paths, project, wanted)
        road.warn(seen.plan.warnings)
        print(text(seen.plan, with_differences=False), end="")
        return
    seen = road.up(options, project, wanted)
    if not seen.plan and options.progress != "quiet":
        _say_unchanged(options, seen.plan.unchanged)
    if wait is not None:
        from composer.cli.waiting import wait_for_goals

        wait_for_goals(options, project, wanted, wait)


def _say_unchanged(options: Globals, names: tuple[str, ...]) -> None:
    for name in names:
        if options.progress == "json":
            print(json.dumps({"id": f"Container {name}", "status": "Running", "event": "done"}), file=status_stream())
        else:
            print(f" Container {name}  Running", file=status_stream())


def show_plan(options: Globals, wanted: Policy, *, as_json: bool = False, differences: bool = False) -> bool:
    """Prints what `up` would do; True if that is anything."""
    from composer.cli import planned

    project = road.load(options, wanted.services)
    found = road.view(options.paths, project, wanted).plan
    road.warn(found.warnings)
    print(planned.as_json(found) + "\n" if as_json else text(found, with_differences=differences), end="")
    return bool(found)


def take_down(
    options: Globals,
    *,
    services: tuple[str, ...] = (),
    volumes: bool = False,
    remove_orphans: bool = False,
    timeout: float | None = None,
    rmi: str | None = None,
    dry_run: bool = False,
) -> None:
    """Stops and removes the containers of the stack. Raises `Failed`, `UsageError`."""
    from composer.image.reference import normalise
    from composer.plan.teardown import plan_down

    if rmi is not None:
        one_of("--rmi", rmi, ("all", "local"))
    name, project = road.known_services(options)
    paths = options.paths
    with road.stack_lock(options, name, "down"):
        actual = observe_stack(paths, name, faults=False)
        images: list[str] = []
        if rmi == "all":
            here = road.images(paths, project) if project else {}
            mine = {one.image for one in actual.containers}
            wanted = {normalise(one.image) for one in project.services.values()} if project else mine
            images = sorted(reference for reference in wanted if reference in here or reference in mine)
        elif rmi == "local" and project:
            made = [one for one in project.services.values() if one.build is not None and not one.image_is_named]
            here = road.images(paths, project)
            images = sorted(reference for one in made if (reference := normalise(one.image)) in here)
        released = frozenset[str]()
        if os.path.isdir(paths.providers(name)):
            from composer.cli.providing import to_release

            released = to_release(paths, name, services)
        provided = (project.providers if project else {}).keys() | released
        named = tuple(one for one in services if one not in provided)
        found = (
            Plan()
            if services and not named
            else plan_down(
                actual,
                known=frozenset(project.services) | frozenset(project.disabled) if project else None,
                disabled=frozenset(project.disabled) if project else frozenset(),
                services=named,
                remove_orphans=remove_orphans,
                volumes=volumes,
                timeout=timeout,
                images=images,
            )
        )
        if released:
            from composer.cli.providing import release_plan
            from composer.plan.providing import joined

            found = joined(found, release_plan(name, project, released, os.environ))
        if dry_run:
            print(text(found, with_differences=False), end="")
            return
        road.warn(found.warnings)
        if os.path.isdir(paths.build_run):  # while something is built, or after that was killed
            from composer.execute.building import Builder

            Builder(paths, "", lambda: False).tidy()
        is_nothing = not (actual.containers or found.nodes[:-1] or released)
        if is_nothing and options.progress != "quiet":
            print(f"jocker: warning: nothing to remove for stack {name}", file=sys.stderr)
        if is_nothing and not _left_by_crashes(paths, name):
            return
        road.apply(options, found)


def _left_by_crashes(paths: Paths, project: str) -> bool:
    """Whether a stack without containers has anything: to find out costs less than to load what would remove it."""
    cgroups = (paths.stack_cgroup(project), paths.shim_cgroup(project))
    return (
        any(cgroup.is_left(path, paths.cgroup_root) for path in cgroups)
        or os.path.exists(paths.stack_record(project))
        or os.path.isdir(paths.supervision(project))
        or not (records.is_swept(paths) and networks.is_swept(paths))
    )
