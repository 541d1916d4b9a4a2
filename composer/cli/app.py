"""The commands, by name. Only the module of the command that is run gets imported: start-up time is a feature."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Annotated, Any, NamedTuple

import typer

from composer.cli.globals import Globals
from composer.cli.options import seconds


class _Command(NamedTuple):
    module: str
    function: str
    help: str
    is_group: bool = False
    greedy: bool = False
    """What follows the first argument belongs to another program."""


COMMANDS = {
    "build": _Command("build", "build", "Build the images of services"),
    "config": _Command("config", "config", "Check the stack file and print what it means"),
    "create": _Command("up", "create", "Make the containers of the stack, without starting them"),
    "doctor": _Command("doctor", "doctor", "Check everything jocker needs of this machine"),
    "down": _Command("down", "down", "Stop and remove the containers of the stack"),
    "exec": _Command("execute_in", "execute_in", "Run a command in a running container", greedy=True),
    "image": _Command("image", "app", "Images: pull, load, import, list, remove", is_group=True),
    "kill": _Command("life", "kill", "Send a signal to containers"),
    "logs": _Command("logs", "logs", "Show the output of containers"),
    "network": _Command("network", "app", "Networks: create, list, inspect, remove", is_group=True),
    "plan": _Command("plan", "plan", "Show what `up` would do, and why; changes nothing"),
    "port": _Command("port", "port", "Show where a port of a service is published"),
    "ps": _Command("ps", "ps", "List the containers of the stack"),
    "render": _Command("render", "render", "Print the config.json a service's container gets"),
    "restart": _Command("life", "restart", "Stop and start containers again"),
    "rm": _Command("life", "rm", "Remove stopped containers"),
    "run": _Command("run", "run", "Run one command in a new container of a service", greedy=True),
    "schema": _Command("schema", "schema", "Print a JSON Schema of jocker.yml, for editors"),
    "start": _Command("life", "start", "Start containers that exist"),
    "stop": _Command("life", "stop", "Stop containers, keep them"),
    "up": _Command("up", "up", "Make the machine as the stack file says"),
    "volume": _Command("volume", "app", "Volumes: create, list, inspect, remove", is_group=True),
    "volumes": _Command("volumes", "volumes", "List the volumes of the stack"),
    "watch": _Command("watch", "watch", "Bring changes of files into running containers"),
    "version": _Command("version", "version", "Show the version"),
}

_WITH_VALUE = {
    "-f", "--file", "-p", "--project-name", "--profile", "--env-file", "--project-directory", "--progress", "--ansi",
    "--parallel", "--lock-timeout", "--runtime",
}  # fmt: skip


_OTHER_SPELLINGS = {"--tls-verify=true": "--tls-verify", "--tls-verify=false": "--no-tls-verify"}
"""As skopeo, podman and buildah spell it."""


def as_written(arguments: list[str]) -> list[str]:
    """The arguments in the spelling that the commands know."""
    if command_name(arguments) != "image":
        return arguments
    return [_OTHER_SPELLINGS.get(argument, argument) for argument in arguments]


def command_name(arguments: list[str]) -> str | None:
    """The command among the arguments: the first that is neither a global option nor its value."""
    skip = False
    for argument in arguments:
        if skip:
            skip = False
        elif argument in _WITH_VALUE:
            skip = True
        elif not argument.startswith("-"):
            return argument
    return None


def build_app(arguments: list[str]) -> Callable[..., Any]:
    """The command line, with the one command that `arguments` name filled in; if there is none, all by name."""
    app = typer.Typer(
        add_completion=False,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    )
    app.callback()(_options)
    name = command_name(arguments)
    for command, entry in COMMANDS.items():
        if name is not None and name in COMMANDS and command != name:
            continue
        _register(app, command, entry, fill=command == name)
    return typer.main.get_command(app)


def _register(app: typer.Typer, name: str, entry: _Command, *, fill: bool) -> None:
    if not fill:
        app.command(name, help=entry.help)(_stub)
        return
    target = getattr(import_module(f"composer.cli.{entry.module}"), entry.function)
    if entry.is_group:
        app.add_typer(target, name=name, help=entry.help)
        return
    settings = {"allow_interspersed_args": False} if entry.greedy else {}
    app.command(name, context_settings=settings)(target)


def _stub() -> None:
    """Stands for a command that is listed and not run."""


def _version(wanted: bool) -> None:
    if wanted:
        from composer import __version__

        print(f"jocker {__version__}")
        raise typer.Exit


def _options(
    context: typer.Context,
    file: Annotated[
        list[str] | None, typer.Option("--file", "-f", help="Stack file; several are merged, `-` is stdin")
    ] = None,
    project_name: Annotated[str | None, typer.Option("--project-name", "-p", help="Project name")] = None,
    profile: Annotated[
        list[str] | None, typer.Option("--profile", help="Activate a profile; several, `*` for all")
    ] = None,
    env_file: Annotated[
        list[str] | None, typer.Option("--env-file", help="Instead of .env; several, the last wins")
    ] = None,
    project_directory: Annotated[str | None, typer.Option("--project-directory", help="Base of relative paths")] = None,
    progress: Annotated[
        str, typer.Option("--progress", help="auto, tty, plain, json or quiet", envvar="COMPOSE_PROGRESS")
    ] = "auto",
    ansi: Annotated[str, typer.Option("--ansi", help="auto, never or always", envvar="COMPOSE_ANSI")] = "auto",
    parallel: Annotated[
        int,
        typer.Option("--parallel", help="Steps at once; 0 is what suits the machine", envvar="COMPOSE_PARALLEL_LIMIT"),
    ] = 0,
    lock_timeout: Annotated[
        float,
        typer.Option("--lock-timeout", help="Seconds to wait for another command on this stack", callback=seconds),
    ] = 60.0,
    runtime: Annotated[
        str | None, typer.Option("--runtime", help="OCI runtime: runc, crun, youki or a path", envvar="JOCKER_RUNTIME")
    ] = None,
    _show_version: Annotated[
        bool, typer.Option("--version", "-v", help="Show the version", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Stacks of containers from a Compose file, on runc, without a daemon."""
    context.obj = Globals(
        files=tuple(file or ()),
        project_name=project_name,
        profiles=tuple(profile or ()),
        env_files=tuple(env_file or ()),
        project_directory=project_directory,
        progress=progress,
        ansi=ansi,
        parallel=max(0, parallel),
        lock_timeout=lock_timeout,
        runtime=runtime,
    )
