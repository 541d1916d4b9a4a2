"""Which container a command means, and what it is told on the command line."""

from __future__ import annotations

import os
from collections.abc import Mapping

from composer.actual.observe import observe
from composer.actual.state import ActualContainer
from composer.cli.globals import Globals
from composer.errors import ContainerError, UsageError


def running(options: Globals, service: str, index: int) -> ActualContainer:
    """The replica that is meant: the lowest that runs, or number `index`. Raises `UsageError`, `ContainerError`."""
    found = [one for one in observe(options.paths, options.project()).containers if one.service == service]
    alive = [one for one in found if one.status.is_alive and (not index or one.number == index)]
    if not alive:
        if not found and not options.is_name_only:
            from composer.cli import road

            known = road.load(options, ()).services
            if service not in known:
                raise UsageError(f"no such service: {service}", hint=f"there are: {', '.join(known) or 'none'}")
        which = f" (replica {index})" if index else ""
        raise ContainerError(f'service "{service}"{which} is not running', hint="jocker up -d")
    return min(alive, key=lambda one: (one.oneoff, one.number))


def variables(
    given: list[str] | None, option: str = "--env", environment: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """`-e NAME=VALUE`, or NAME as it is set here; one that is not set anywhere is left out. Raises `UsageError`."""
    found = {}
    for entry in given or ():
        name, equals, value = entry.partition("=")
        if not name:
            raise UsageError(f"{option} {entry!r}", hint="write NAME=VALUE")
        if equals:
            found[name] = value
        elif name in environment:
            found[name] = environment[name]
    return found
