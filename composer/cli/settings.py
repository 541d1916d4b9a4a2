"""Settings of commands that stand in `.env` files: docker compose takes them from there, too."""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping, Sequence

_FILES = ("-f", "--file")
_DIRECTORY = "--project-directory"
_ENV_FILE = "--env-file"
_WITH_VALUE = frozenset({
    *_FILES, _DIRECTORY, _ENV_FILE, "-p", "--project-name", "--profile", "--progress", "--ansi", "--parallel",
    "--lock-timeout", "--runtime",
})  # fmt: skip


def settings_of_env_files(
    arguments: list[str], environ: MutableMapping[str, str], wanted: Sequence[str]
) -> dict[str, str]:
    """What the env files that `arguments` and `environ` lead to say of the variables `wanted`."""
    given: dict[str, list[str]] = {}
    rest = iter(arguments)
    for argument in rest:
        option, equals, value = argument.partition("=")
        if option in _WITH_VALUE:
            given.setdefault("file" if option in _FILES else option, []).append(value if equals else next(rest, ""))
        elif not argument.startswith("-"):
            break
    if not _may_say(given, environ):
        return {}
    found = _variables(given, environ)
    return {name: found[name] for name in wanted if name in found}


def _may_say(given: Mapping[str, list[str]], environ: Mapping[str, str]) -> bool:
    """Cheaply: is there an env file with a setting in it?"""
    if given.get(_ENV_FILE) or environ.get("COMPOSE_ENV_FILES") or environ.get("JOCKER_ENV_FILES"):
        return True
    first = os.path.dirname(given.get("file", [""])[0])
    for directory in given.get(_DIRECTORY, [])[-1:] or [first]:
        try:
            with open(os.path.join(directory, ".env"), "rb") as file:
                text = file.read()
        except OSError:
            return False
        return b"COMPOSE_" in text or b"JOCKER_" in text
    return False


def _variables(given: Mapping[str, list[str]], environ: Mapping[str, str]) -> dict[str, str]:
    from composer.composefile.read import StackRequest, variables_of_env_files
    from composer.errors import JockerError

    try:
        request = StackRequest(
            files=tuple(given.get("file", ())),
            env_files=tuple(given.get(_ENV_FILE, ())),
            project_directory=given.get(_DIRECTORY, [None])[-1],
            environ=environ,
            cwd=os.getcwd(),
        )
        return variables_of_env_files(request)
    except (JockerError, OSError):
        return {}  # whoever reads the stack file says so; not all commands do
