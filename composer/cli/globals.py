"""What stands before the command. Loaded without typer: see `quick`."""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from typing import TYPE_CHECKING

from composer.errors import UsageError
from composer.frozen import frozen, replace
from composer.paths import Paths

if TYPE_CHECKING:
    from composer.composefile.read import StackRequest
    from composer.host.runtime import Runtime

_SETTINGS = ("ANSI", "IGNORE_ORPHANS", "PARALLEL_LIMIT", "PROGRESS", "REMOVE_ORPHANS", "STATUS_STDOUT")
"""What commands themselves look for in variables. Those of files and projects are `composefile.read`'s."""
_PROGRESS = ("auto", "tty", "plain", "json", "quiet")


@frozen
class Globals:
    """The options before the command."""

    files: tuple[str, ...]
    project_name: str | None
    profiles: tuple[str, ...]
    env_files: tuple[str, ...]
    project_directory: str | None
    progress: str
    ansi: str
    parallel: int
    lock_timeout: float
    runtime: str | None
    quiet_build: bool = False
    """Nothing of what builds say is shown."""

    def with_quiet_builds(self, quiet: bool) -> Globals:
        return replace(self, quiet_build=True) if quiet else self

    @property
    def paths(self) -> Paths:
        return Paths.from_environment(os.environ, os.geteuid())

    def request(self) -> StackRequest:
        """What these options say about the stack."""
        from composer.composefile.read import StackRequest

        if self.progress not in _PROGRESS:
            raise UsageError(f"--progress {self.progress!r}", hint=f"one of: {', '.join(_PROGRESS)}")
        return StackRequest(
            files=self.files,
            env_files=self.env_files,
            project_name=self.project_name,
            project_directory=self.project_directory,
            profiles=self.profiles,
            environ={**os.environ, "PWD": working_directory()},
            cwd=_current_directory(),
        )

    def wanted_runtime(self) -> Runtime | None:
        """The one `--runtime` or `JOCKER_RUNTIME` name; None if nobody asked for one. Raises `ToolMissing`."""
        if not self.runtime:
            return None
        from composer.host.runtime import Runtime

        return Runtime.chosen(self.paths, {"JOCKER_RUNTIME": self.runtime})

    def project(self) -> str:
        """The project's name alone."""
        from composer.composefile.read import find_project_name

        return find_project_name(self.request())

    @property
    def is_name_only(self) -> bool:
        """Only `-p` was given: commands on what exists then need no file (as docker compose)."""
        return bool(self.project_name) and not self.files


def take_settings(arguments: list[str], environ: MutableMapping[str, str]) -> None:
    """Puts settings into `environ` under compose's names: from `JOCKER_…`, and what is not set from the `.env` file."""
    for name in _SETTINGS:
        if f"JOCKER_{name}" in environ:
            environ[f"COMPOSE_{name}"] = environ[f"JOCKER_{name}"]
    named = any(argument.startswith(("-f", "--file", "--project-d", "--env-file")) for argument in arguments)
    if named or os.path.exists(".env") or "COMPOSE_ENV_FILES" in environ or "JOCKER_ENV_FILES" in environ:
        from composer.cli.settings import settings_of_env_files

        found = settings_of_env_files(arguments, environ, [f"COMPOSE_{name}" for name in _SETTINGS])
        for name, value in found.items():
            environ.setdefault(name, value)


def working_directory() -> str:
    """Where we are, by the name the shell has for it. Not every caller is a shell: cron and units set no PWD."""
    here, named = _current_directory(), os.environ.get("PWD", "")
    try:
        return named if os.path.isabs(named) and os.path.samefile(named, here) else here
    except OSError:
        return here


def _current_directory() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:
        raise UsageError("the current directory has been removed", hint="cd to one that is there") from None


def one_of(option: str, value: str, known: tuple[str, ...]) -> str:
    """`value` if it is known. Raises `UsageError`."""
    if value not in known:
        raise UsageError(f"{option} {value!r}", hint=f"one of: {', '.join(known)}")
    return value
