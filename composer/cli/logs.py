"""`jocker logs`."""

from __future__ import annotations

import heapq
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import cycle
from typing import Annotated

import typer

from composer.actual.observe import observe
from composer.actual.state import ActualContainer
from composer.cli.globals import Globals
from composer.cli.options import Index, Services
from composer.cli.text import escape, wants_colour
from composer.desired.names import short_name
from composer.errors import ContainerError, UsageError
from composer.host import logs as files
from composer.host.logs import LogLine

_COLOURS = ("36", "33", "32", "35", "34", "96", "93", "92", "95", "94")


def logs(
    context: typer.Context,
    services: Services = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as output comes")] = False,
    tail: Annotated[str, typer.Option("--tail", "-n", help="Lines from the end, or all")] = "all",
    since: Annotated[
        str | None, typer.Option("--since", help="Time (2026-01-31T12:00:00Z) or how long ago (10m)")
    ] = None,
    until: Annotated[str | None, typer.Option("--until", help="Time or how long ago")] = None,
    timestamps: Annotated[bool, typer.Option("--timestamps", "-t", help="Show when each line came")] = False,
    no_color: Annotated[bool, typer.Option("--no-color", help="No colours")] = False,
    no_log_prefix: Annotated[bool, typer.Option("--no-log-prefix", help="No names before the lines")] = False,
    index: Index = 0,
) -> None:
    """Show the output of containers."""
    options: Globals = context.obj
    name = options.project()
    if index and len(services or ()) != 1:
        raise UsageError("--index needs exactly one service")
    containers = _readable(_chosen(options, name, tuple(services or ()), index), named=bool(services))
    count = _count(tail)
    start, end = _moment(since), _moment(until)
    width = max((len(short_name(name, one.name)) for one in containers), default=0)
    colours = cycle(_COLOURS if wants_colour(ansi="never" if no_color else options.ansi) else ("",))
    prefixes = {
        one.id: "" if no_log_prefix else _prefix(short_name(name, one.name), width, next(colours)) for one in containers
    }
    printer = _Printer(prefixes, timestamps=timestamps)
    paths = options.paths
    files.rotate(paths, [one.id for one in containers])
    follower = files.Follower() if follow else None
    positions = {one.id: follower.add(paths.log(one.id), from_end=True) for one in containers} if follower else {}
    streams = [
        _labelled(
            one,
            files.read_log(paths.log(one.id), tail=count, since=start, until=end, before=positions.get(one.id)),
        )
        for one in containers
    ]
    for _, _, container_id, line in heapq.merge(*streams):
        printer.show(container_id, line)
    if follower is not None:
        sys.stdout.flush()
        _follow(options, containers, follower, printer, end)
    printer.finish()
    sys.stdout.flush()


def _labelled(one: ActualContainer, lines: Iterator[LogLine]) -> Iterator[tuple[float, int, str, LogLine]]:
    return ((line.time, number, one.id, line) for number, line in enumerate(lines))


def _chosen(options: Globals, project: str, services: tuple[str, ...], index: int) -> list[ActualContainer]:
    found = observe(options.paths, project).containers
    unknown = [service for service in services if not any(one.service == service for one in found)]
    if unknown:
        from composer.cli import road

        known = () if options.is_name_only else road.load(options, services).services
        for service in unknown:
            if service not in known:
                raise UsageError(f"no such service: {service}")
    chosen = [one for one in found if (not services or one.service in services) and (one.number == index or not index)]
    if index and not chosen:
        raise ContainerError(f'service "{services[0]}" has no replica {index}')
    return chosen


_ELSEWHERE = {
    "journald": "its output goes to the journal: journalctl CONTAINER_ID_FULL={id}",
    "none": "its output is kept nowhere (logging: driver: none)",
    "passthrough": "its output went where that of the command went that made it (logging: driver: passthrough)",
}


def _readable(containers: list[ActualContainer], *, named: bool) -> list[ActualContainer]:
    """Those whose log is ours to read; of the others it is said where to look. Who is not to be shown unasked
    (`attach: false`) is shown if `named`.
    """
    found = []
    for one in containers:
        log = one.spec.get("logging")
        driver = log.get("driver", "") if isinstance(log, dict) else ""
        if driver in _ELSEWHERE:
            print(f"jocker: {escape(one.name)}: {_ELSEWHERE[driver].format(id=one.id)}", file=sys.stderr)
        elif named or one.spec.get("attach") is not False:
            found.append(one)
    return found


def _prefix(name: str, width: int, colour: str) -> str:
    text = f"{name:{width}}  | "
    return f"\x1b[{colour}m{text}\x1b[0m" if colour else text


def _count(tail: str) -> int | None:
    if tail in {"all", "-1"}:
        return None
    if not (tail.isascii() and tail.isdigit()):
        raise UsageError(f"--tail {tail!r}", hint="a number, or all")
    return int(tail)


def _moment(text: str | None) -> float | None:
    """Seconds since the epoch of `2026-01-31T12:00:00Z`, `1769860800` or `10m` (ago)."""
    if text is None:
        return None
    from composer.errors import JockerError
    from composer.model.values import parse_duration

    try:
        return float(text)
    except ValueError:
        pass
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        pass
    else:
        return (found if found.tzinfo else found.astimezone()).astimezone(UTC).timestamp()
    try:
        return time.time() - parse_duration(text) / 1e9
    except (JockerError, ValueError):
        raise UsageError(
            f"{text!r} is not a time", hint="write 2026-01-31T12:00:00Z, or 10m for ten minutes ago"
        ) from None


def stamp(line: LogLine) -> str:
    """When the line came, in universal time to the nanosecond, as docker writes it."""
    if line.stamp.endswith("+00:00"):
        return f"{line.stamp[:29]}Z"
    return f"{datetime.fromtimestamp(int(line.time), UTC):%Y-%m-%dT%H:%M:%S}{line.stamp[19:29]}Z"


class _Printer:
    """Writes lines with their names; pieces of a long line follow one another."""

    def __init__(self, prefixes: dict[str, str], *, timestamps: bool) -> None:
        self._prefixes = prefixes
        self._timestamps = timestamps
        self._open: tuple[str, str] | None = None
        """Container and stream of the line that has begun and not ended."""

    def show(self, container_id: str, line: LogLine) -> None:
        out = sys.stdout.buffer
        source = container_id, line.stream
        if self._open != source:
            if self._open is not None:
                out.write(b"\n")
            out.write(self._prefixes[container_id].encode())
            if self._timestamps:
                out.write(f"{stamp(line)} ".encode())
        out.write(line.text + (b"\n" if line.is_whole else b""))
        self._open = None if line.is_whole else source

    def finish(self) -> None:
        """Ends a line that its container has not."""
        if self._open is not None:
            sys.stdout.buffer.write(b"\n")


def _follow(
    options: Globals,
    containers: list[ActualContainer],
    follower: files.Follower,
    printer: _Printer,
    until: float | None,
) -> None:
    """Until every container has ended and its log is read out."""
    paths = options.paths
    ids = {one.id for one in containers}
    for one in containers:
        follower.watch(paths.exit_dir(one.id))
    try:
        while True:
            alive = (
                {one.id for one in observe(paths, containers[0].project).containers if one.status.is_alive}
                if ids
                else set()
            )
            for one in containers:
                for line in follower.new_lines(paths.log(one.id)):
                    if until is None or line.time <= until:
                        printer.show(one.id, line)
            files.rotate(paths, ids)
            sys.stdout.flush()
            if not ids & alive or (until is not None and time.time() > until):
                return
            follower.wait(1.0)
    finally:
        follower.close()
