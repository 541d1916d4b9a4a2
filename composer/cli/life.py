"""`jocker start`, `stop`, `restart`, `kill`, `rm`: on containers that exist."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated

import typer

from composer.actual.observe import observe_stack
from composer.actual.state import ActualStack
from composer.cli import road
from composer.cli.globals import Globals
from composer.cli.options import Services, Timeout
from composer.errors import UsageError
from composer.plan.plan import Plan
from composer.plan.teardown import plan_kill, plan_restart, plan_rm, plan_start, plan_stop


def _do(options: Globals, command: str, make: Callable[[ActualStack, tuple[str, ...] | None], Plan]) -> Plan:
    name, project = road.known_services(options)
    known = tuple(project.services) if project else None
    with road.stack_lock(options, name, command):
        found = make(observe_stack(options.paths, name, faults=command in {"start", "restart"}), known)
        road.check_ports(options.paths, found)
        road.apply(options, found, road.contents_of(options.paths, project) if project else None)
    return found


def start(context: typer.Context, services: Services = None) -> None:
    """Start containers that exist."""
    named = tuple(services or ())
    _do(context.obj, "start", lambda actual, known: plan_start(actual, services=named, known=known))


def stop(context: typer.Context, services: Services = None, timeout: Timeout = None) -> None:
    """Stop containers, keep them."""
    named = tuple(services or ())
    _do(context.obj, "stop", lambda actual, known: plan_stop(actual, services=named, known=known, timeout=timeout))


def restart(
    context: typer.Context,
    services: Services = None,
    no_deps: Annotated[bool, typer.Option("--no-deps", help="Leave dependents with restart: true alone")] = False,
    timeout: Timeout = None,
) -> None:
    """Stop and start containers again; what changed in the stack file is not applied (that is `up`)."""
    named = tuple(services or ())
    _do(
        context.obj,
        "restart",
        lambda actual, known: plan_restart(actual, services=named, known=known, no_deps=no_deps, timeout=timeout),
    )


def kill(
    context: typer.Context,
    services: Services = None,
    signal: Annotated[str, typer.Option("--signal", "-s", help="SIGKILL, HUP, 9…")] = "SIGKILL",
) -> None:
    """Send a signal to containers."""
    from composer.host.process import signal_number

    signal_number(signal)
    named = tuple(services or ())
    _do(context.obj, "kill", lambda actual, known: plan_kill(actual, services=named, known=known, signal=signal))


def rm(
    context: typer.Context,
    services: Services = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="Do not ask")] = False,
    stop_first: Annotated[bool, typer.Option("--stop", "-s", help="Stop them first")] = False,
    volumes: Annotated[bool, typer.Option("--volumes", "-v", help="Remove anonymous volumes, too")] = False,
) -> None:
    """Remove stopped containers."""
    named = tuple(services or ())

    def make(actual: ActualStack, known: tuple[str, ...] | None) -> Plan:
        found = plan_rm(actual, services=named, known=known, stop=stop_first, volumes=volumes)
        names = [node.step.subject for node in found.nodes]
        if not names:
            print("no stopped containers", file=sys.stderr)
        elif not force:
            _ask(sorted(set(names)))
        return found

    _do(context.obj, "rm", make)


def _ask(names: list[str]) -> None:
    if not sys.stdin.isatty():
        raise UsageError(f"rm would remove {', '.join(names)}, and there is nobody to ask", hint="say --force")
    print(f"going to remove {', '.join(names)}\nare you sure? [yN] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise typer.Exit(0)
