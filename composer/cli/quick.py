"""The command lines typed most, understood without loading typer, which takes as long as all the rest of a no-op `up`.

`up -d`, `plan`, `ps`, `down` and `config`, with services and the flags below, after any number of `-f FILE` and
`-p NAME`. What is not written exactly so goes to typer, which knows everything and words the errors. See
docs/decisions/start-up.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

from composer.cli.globals import Globals

_FILE = ("-f", "--file")
_PROJECT = ("-p", "--project-name")
_FLAGS: Mapping[str, Mapping[str, str]] = {
    "up": {"-d": "--detach", "--detach": "--detach"},
    "plan": {},
    "ps": {"-a": "--all", "--all": "--all", "-q": "--quiet", "--quiet": "--quiet"},
    "config": {"-q": "--quiet", "--quiet": "--quiet", "--services": "--services", "--images": "--images"},
    "down": {"-v": "--volumes", "--volumes": "--volumes"},
}
_SETTINGS = frozenset({
    "COMPOSE_PROGRESS", "COMPOSE_ANSI", "COMPOSE_PARALLEL_LIMIT", "COMPOSE_REMOVE_ORPHANS", "COMPOSE_IGNORE_ORPHANS",
    "JOCKER_RUNTIME",
})  # fmt: skip
"""Variables that are options of ours when they are set."""


class Understood(NamedTuple):
    """A command line. `flags` in their long form."""

    command: str
    options: Globals
    services: tuple[str, ...]
    flags: frozenset[str]


def understood(arguments: list[str], environ: Mapping[str, str]) -> Understood | None:
    """What the arguments mean, or None if that is for typer to say."""
    files: list[str] = []
    project_name: str | None = None
    rest = list(arguments)
    while len(rest) > 1 and rest[0] in (*_FILE, *_PROJECT):
        option, value, *rest = rest
        if option in _FILE:
            files.append(value)
        else:
            project_name = value
    known = _FLAGS.get(rest[0]) if rest else None
    if known is None or not _SETTINGS.isdisjoint(environ):
        return None
    command, *words = rest
    if any(word.startswith("-") and word not in known for word in words):
        return None
    flags = frozenset(known[word] for word in words if word in known)
    if command == "up" and not flags:
        return None
    options = Globals(
        files=tuple(files),
        project_name=project_name,
        profiles=(),
        env_files=(),
        project_directory=None,
        progress="auto",
        ansi="auto",
        parallel=0,
        lock_timeout=60.0,
        runtime=None,
    )
    return Understood(command, options, tuple(word for word in words if word not in known), flags)


def recognised(arguments: list[str], environ: Mapping[str, str]) -> Callable[[], object] | None:
    """The command that the arguments mean, ready to be called, or None if that is for typer to say."""
    found = understood(arguments, environ)
    if found is None:
        return None
    command, options, services, flags = found
    if command == "ps":
        from composer.cli.listing import list_containers

        return partial(
            list_containers, options, services=services, everything="--all" in flags, quiet="--quiet" in flags
        )
    if command == "config":
        from composer.cli.configuring import Wanted, show_config

        return partial(show_config, options, Wanted(services, flags))
    from composer.cli import doing
    from composer.plan.policy import Policy

    if command == "down":
        return partial(doing.take_down, options, services=services, volumes="--volumes" in flags)
    if command == "plan":
        return partial(doing.show_plan, options, Policy(services=services))
    return partial(doing.bring_up, options, Policy(services=services))
