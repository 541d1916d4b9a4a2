"""Commands run in a container after its start and before its stop."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from composer.actual.parse import desired_of
from composer.errors import ContainerError, HookFailed, Interrupted
from composer.host.execing import Request, execute_quietly
from composer.host.rootfs import look_up_user
from composer.host.runtime import Runtime
from composer.model.life import Hook
from composer.paths import Paths

_SHOWN = 60
_LINES = 10


class _Result(NamedTuple):
    code: int
    lines: tuple[str, ...]


def post_start(paths: Paths, runtime: Runtime, record: Mapping[str, Any], gives_up: Callable[[], bool]) -> None:
    """Runs the hooks in order. Raises `HookFailed` for the first that does not end with 0, `Interrupted`."""
    hooks = desired_of(record).spec.hooks
    for number, hook in enumerate(hooks.post_start if hooks else (), 1):
        try:
            code, lines = _run(paths, runtime, record, hook, gives_up)
        except ContainerError as error:
            raise HookFailed(_failure(record, "post_start", number, hook, error.message)) from None
        if code:
            why = f"ended with code {code}"
            raise HookFailed(_failure(record, "post_start", number, hook, why), output=lines[-_LINES:])


def pre_stop(paths: Paths, runtime: Runtime, record: Mapping[str, Any], gives_up: Callable[[], bool]) -> str:
    """Runs the hooks in order up to the first that fails; gives what is to be said about that, or ""."""
    try:
        hooks = desired_of(record).spec.hooks
    except ContainerError:
        return ""  # a damaged record must not keep anybody from stopping it
    for number, hook in enumerate(hooks.pre_stop if hooks else (), 1):
        try:
            code, lines = _run(paths, runtime, record, hook, gives_up)
        except ContainerError as error:
            return _failure(record, "pre_stop", number, hook, error.message)
        if code:
            why = f"ended with code {code}{': ' + lines[-1] if lines else ''}"
            return _failure(record, "pre_stop", number, hook, why)
    return ""


def _run(
    paths: Paths, runtime: Runtime, record: Mapping[str, Any], hook: Hook, gives_up: Callable[[], bool]
) -> _Result:
    container_id, name = record["id"], record["name"]
    if not hook.command:
        raise ContainerError("it has no command")
    request = Request(
        argv=hook.command,
        env={key: value for key, value in hook.environment.items() if value is not None},
        working_dir=hook.working_dir,
        user=look_up_user(paths.rootfs(container_id), hook.user) if hook.user else None,
        privileged=hook.privileged,
        without=frozenset(key for key, value in hook.environment.items() if value is None),
    )
    code, said = execute_quietly(paths, runtime, container_id, name, request, gives_up)
    if gives_up():
        raise Interrupted("interrupted in a hook")
    return _Result(code, tuple(line for line in said.decode(errors="replace").splitlines() if line.strip()))


def _failure(record: Mapping[str, Any], kind: str, number: int, hook: Hook, why: str) -> str:
    command = shlex.join(hook.command or ())
    command = command if len(command) <= _SHOWN else f"{command[:_SHOWN]}…"
    return f"{kind} hook {number} of {record['name']} ({command}): {why}"
