"""The containers of a stack as a table and as JSON, in the shapes of docker compose. Loaded without typer."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any

from composer.actual.observe import observe
from composer.actual.state import ActualContainer, Status
from composer.cli.globals import Globals
from composer.cli.text import ago, table
from composer.errors import UsageError
from composer.host.log_sizes import trim
from composer.image.reference import familiar
from composer.paths import Paths

if TYPE_CHECKING:
    from composer.cli.publishers import Publisher

_LONGEST_COMMAND = 20
_UNKNOWN_EXIT = 255


def list_containers(
    options: Globals,
    *,
    services: Collection[str] = (),
    everything: bool = False,
    quiet: bool = False,
    names_only: bool = False,
    as_lines: bool = False,
    states: Collection[str] = (),
    no_trunc: bool = False,
) -> None:
    """Prints what `ps` prints. `as_lines`: JSON Lines. Raises `UsageError` for a service that nobody knows."""
    found = observe(options.paths, options.project()).containers
    trim(options.paths, [one.id for one in found])
    if services:
        _check(services, {one.service for one in found}, options)
    if any(one.is_supervised for one in found):
        _check_supervisor(options.paths, found[0].project)
    shown = [
        one
        for one in sorted(found, key=lambda one: one.name)
        if (not services or one.service in services)
        and (
            one.status.value in states
            if states
            else everything or ((one.status.is_alive or one.comes_back) and not one.oneoff)
        )
    ]
    if quiet:
        print("".join(f"{one.id}\n" for one in shown), end="")
    elif names_only:
        print("".join(f"{name}\n" for name in dict.fromkeys(one.service for one in shown)), end="")
    elif as_lines:
        print("".join(f"{json.dumps(as_json(options.paths, one, no_trunc=no_trunc))}\n" for one in shown), end="")
    else:
        print(as_table(options.paths, shown, no_trunc=no_trunc), end="")


def _check_supervisor(paths: Paths, project: str) -> None:
    from composer.host import supervising

    if not supervising.is_alive(paths, project):
        print(
            f"jocker: warning: the supervisor of stack {project} is not running: nobody looks after health and "
            "restarts; jocker up -d starts it again",
            file=sys.stderr,
        )


def _check(services: Iterable[str], existing: set[str], options: Globals) -> None:
    unknown = [name for name in services if name not in existing]
    if not unknown:
        return
    from composer.cli import road

    known = () if options.is_name_only else road.load(options).services
    for name in unknown:
        if name not in known:
            raise UsageError(f"no such service: {name}")


def as_table(paths: Paths, shown: list[ActualContainer], *, no_trunc: bool = False) -> str:
    """NAME IMAGE COMMAND SERVICE CREATED STATUS PORTS."""
    now = time.time()
    rows = [
        (
            one.name,
            familiar(one.image),
            f'"{command(one, no_trunc=no_trunc)}"',
            one.service,
            f"{ago(one.created_at, now)} ago",
            status_text(one, now),
            _ports(paths, one)[0],
        )
        for one in shown
    ]
    return table(("NAME", "IMAGE", "COMMAND", "SERVICE", "CREATED", "STATUS", "PORTS"), rows)


def _ports(paths: Paths, one: ActualContainer) -> tuple[str, tuple[Publisher, ...]]:
    """The ports of a container, as a text and one by one."""
    if not (one.published or one.spec.get("expose")):
        return "", ()
    from composer.cli.publishers import ports_text, publishers_of

    found = publishers_of(paths, one)
    return ports_text(found), found


def _networks(one: ActualContainer) -> str:
    """The networks it is on, else its mode. Who shares the network of another container has none of its own."""
    if one.spec.get("networks"):
        from composer.cli.publishers import network_names

        return ",".join(network_names(one.spec))
    mode = one.spec.get("network_mode", "")
    return mode if isinstance(mode, str) and ":" not in mode else ""


def as_json(paths: Paths, one: ActualContainer, *, no_trunc: bool = False) -> dict[str, Any]:
    """One container with docker compose's keys, alphabetical."""
    now = time.time()
    ports, publishers = _ports(paths, one)
    mounts = [
        mount.get("source") or mount.get("volume") or mount.get("image") or one.volumes.get(mount["target"], "")
        for mount in one.spec.get("mounts", ())
        if mount["type"] != "tmpfs"
    ]
    return {
        "Command": f'"{command(one, no_trunc=no_trunc)}"',
        "CreatedAt": time.strftime("%Y-%m-%d %H:%M:%S %z %Z", time.localtime(one.created_at)),
        "ExitCode": exit_code(one),
        "Health": one.health,
        "ID": one.id if no_trunc else one.id[:12],
        "Image": familiar(one.image),
        "Labels": ",".join(f"{key}={value}" for key, value in sorted(one.labels.items())),
        "LocalVolumes": str(len(one.volumes)),
        "Mounts": ",".join(mounts),
        "Name": one.name,
        "Names": one.name,
        "Networks": _networks(one),
        "Ports": ports,
        "Project": one.project,
        "Publishers": [entry.as_json() for entry in publishers],
        "RunningFor": f"{ago(one.created_at, now)} ago",
        "Service": one.service,
        "Size": "0B",
        "State": one.status.value,
        "Status": status_text(one, now),
    }


def command(one: ActualContainer, *, no_trunc: bool) -> str:
    """The command line, quoted and cut as docker does it: to look at, not to run."""
    program, *arguments = [*one.spec.get("entrypoint", ()), *one.spec.get("command", ())] or [""]
    text = " ".join([program, *(f"'{word}'" if " " in word else word for word in arguments)])
    return text if no_trunc or len(text) <= _LONGEST_COMMAND else f"{text[: _LONGEST_COMMAND - 1]}…"


def exit_code(one: ActualContainer) -> int:
    """0 while it lives; 255 where nobody knows, as docker has it after a power cut."""
    if one.status is not Status.EXITED:
        return 0
    return _UNKNOWN_EXIT if one.exit_code is None else one.exit_code


def status_text(one: ActualContainer, now: float) -> str:
    """`Up 5 minutes (healthy), 2 restarts`, `Exited (0) 2 hours ago`, `Restarting (1) 2 seconds ago`, `Created`."""
    restarts = f", {one.restarts} restart{'s' * (one.restarts > 1)}" if one.restarts else ""
    if one.status is Status.RUNNING:
        health = f"health: {one.health}" if one.health == "starting" else one.health
        return f"Up {ago(one.started_at or one.created_at, now)}" + (f" ({health})" if health else "") + restarts
    if one.status is Status.PAUSED:
        return f"Up {ago(one.started_at or one.created_at, now)} (Paused)"
    if one.status is Status.EXITED:
        since = f" {ago(one.finished_at, now)} ago" if one.finished_at else ""
        return f"{'Restarting' if one.comes_back else 'Exited'} ({exit_code(one)}){since}{restarts}"
    return one.status.value.capitalize()
