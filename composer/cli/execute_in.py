"""`jocker exec`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from composer.cli.containers import running, variables
from composer.cli.globals import Globals
from composer.cli.options import Index
from composer.cli.text import escape
from composer.errors import CommandNotStarted


def execute_in(
    context: typer.Context,
    service: Annotated[str, typer.Argument(help="Service")],
    command: Annotated[list[str], typer.Argument(help="Command and its arguments")],
    detach: Annotated[bool, typer.Option("--detach", "-d", help="In the background")] = False,
    env: Annotated[list[str] | None, typer.Option("--env", "-e", help="NAME=VALUE, or NAME from here; several")] = None,
    index: Index = 0,
    no_tty: Annotated[
        bool, typer.Option("--no-tty", "--no-TTY", "-T", help="No terminal, even if there is one")
    ] = False,
    privileged: Annotated[bool, typer.Option("--privileged", help="All capabilities")] = False,
    user: Annotated[str | None, typer.Option("--user", "-u", help="User, or user:group")] = None,
    workdir: Annotated[str, typer.Option("--workdir", "-w", help="Working directory")] = "",
) -> None:
    """Run a command in a running container; its exit code is ours."""
    from composer.host.attach import is_terminal
    from composer.host.execing import Request, execute_in
    from composer.host.rootfs import look_up_user
    from composer.host.runtime import Runtime

    options: Globals = context.obj
    paths = options.paths
    one = running(options, service, index)
    request = Request(
        argv=tuple(command),
        env=variables(env),
        working_dir=workdir,
        user=look_up_user(paths.rootfs(one.id), user) if user is not None else None,
        tty=not no_tty and not detach and is_terminal(),
        privileged=privileged,
    )
    own = one.spec.get("runtime")
    runtime = Runtime.chosen(paths, {"JOCKER_RUNTIME": str(own)}) if own else options.wanted_runtime()
    try:
        code = execute_in(paths, runtime or Runtime.chosen(paths), one.id, one.name, request, detach=detach)
    except CommandNotStarted as error:
        print(f"jocker: {escape(error.message)}", file=sys.stderr)
        raise typer.Exit(error.exit_status) from None
    raise typer.Exit(code)
