"""Providers: programs that make what a service stands for. Their protocol is docker compose's.

`PROGRAM compose --project-name=P up|down --OPTION=VALUE… SERVICE` says JSON Lines `{"type": …, "message": …}` on its
standard output: `info`, `debug`, `error`, `setenv` and `rawsetenv` (`NAME=VALUE`). `PROGRAM compose metadata` may say
which options each command takes.

What has been asked for is kept in a record of its own, written before the program is: so `down` finds it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from composer.desired.providing import Variables
from composer.errors import ContainerError, MachineError
from composer.host import proc
from composer.host.files import make_private, read_json, write_json
from composer.model.life import Provider
from composer.paths import Paths

_PLUGINS = (
    "/usr/local/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
)
_METADATA_SECONDS = 10.0
_MOST = 1 << 20
"""Bytes of variables that one provider may tell."""

OnInfo = Callable[[str], None]


class Record(NamedTuple):
    """One provider that was asked for something: what is to be said to it again, and what it told."""

    provider: Provider
    directory: str
    variables: Variables = Variables()


def read(paths: Paths, project: str) -> dict[str, Record]:
    """The records of a stack, by service."""
    found = {}
    with suppress(FileNotFoundError):
        for name in sorted(os.listdir(paths.providers(project))):
            record = _from_json(read_json(f"{paths.providers(project)}/{name}"))
            if name.endswith(".json") and record is not None:
                found[name.removesuffix(".json")] = record
    return found


def _from_json(value: Any) -> Record | None:
    try:
        options = tuple((str(key), tuple(map(str, values))) for key, values in value["options"])
        variables = Variables(dict(value.get("prefixed") or {}), dict(value.get("raw") or {}))
        return Record(Provider(str(value["type"]), options), str(value["directory"]), variables)
    except (TypeError, KeyError, ValueError):
        return None


def write(paths: Paths, project: str, service: str, record: Record) -> None:
    """Writes a record atomically; on disk when this returns."""
    make_private(paths.providers(project))
    value = {
        "type": record.provider.type,
        "options": record.provider.options,
        "directory": record.directory,
        "prefixed": dict(record.variables.prefixed),
        "raw": dict(record.variables.raw),
    }
    write_json(f"{paths.providers(project)}/{service}.json", value)


def remove(paths: Paths, project: str, service: str) -> None:
    """Removes a record, and the directories it was the last in."""
    with suppress(FileNotFoundError):
        os.unlink(f"{paths.providers(project)}/{service}.json")
    with suppress(OSError):
        os.rmdir(paths.providers(project))
        os.rmdir(os.path.dirname(paths.providers(project)))


def program_of(kind: str, directory: str, environment: Mapping[str, str]) -> str:
    """The program of a provider: a plugin `docker-KIND` of docker's command line, else KIND on the PATH, or, with a
    slash, a path from `directory`. Raises `MachineError`.
    """
    if kind == "compose":
        raise MachineError("'compose' is not a valid provider type")
    if "/" in kind:
        candidates = [os.path.normpath(os.path.join(directory, kind))]
    else:
        home = environment.get("DOCKER_CONFIG") or f"{environment.get('HOME') or '/root'}/.docker"
        candidates = [f"{where}/docker-{kind}" for where in (f"{home}/cli-plugins", *_PLUGINS)]
        candidates += [f"{where}/{kind}" for where in environment.get("PATH", proc.PATH).split(":") if where]
    for path in candidates:
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    raise MachineError(
        f"the provider {kind!r} is not here", hint=f"install the docker plugin docker-{kind}, or {kind} on the PATH"
    )


def call(
    command: str,
    service: str,
    record: Record,
    *,
    project: str,
    environment: Mapping[str, str],
    on_info: OnInfo,
    is_cancelled: Callable[[], bool],
) -> Variables:
    """Has a provider do `up` or `down` for a service; gives what it tells.

    Raises `ContainerError` if it fails, tells of an error or speaks another language, `MachineError`, `Interrupted`.
    """
    kind = record.provider.type
    program = program_of(kind, record.directory, environment)
    known = _parameters(program, command, record, environment)
    missing = [name for name, is_required in (known or {}).items() if is_required and name not in _names(record)]
    if missing:
        raise ContainerError(f'service "{service}": the provider {kind} needs the option {missing[0]!r}')
    options = [
        f"--{name}={value}"
        for name, values in record.provider.options
        if known is None or name in known
        for value in values
    ]
    told = _Told(service, on_info)
    argv = [program, "compose", f"--project-name={project}", command, *options, service]
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=dict(environment),
            cwd=record.directory if os.path.isdir(record.directory) else "/",
            start_new_session=True,
        )
        with process:
            try:
                for line in proc.lines(process.stdout, is_cancelled) if process.stdout else ():
                    told.take(line)
                code = process.wait()
            except BaseException:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                raise
        if code:
            size = errors.seek(0, os.SEEK_END)
            errors.seek(max(0, size - 4096))
            said = errors.read().decode(errors="replace").strip().splitlines()
            why = f": {said[-1]}" if said else ""
            raise ContainerError(f'service "{service}": the provider {kind} ended `{command}` with code {code}{why}')
    return Variables(told.prefixed, told.raw)


def _names(record: Record) -> frozenset[str]:
    return frozenset(name for name, _ in record.provider.options)


class _Told:
    """Takes what a provider says, line by line."""

    def __init__(self, service: str, on_info: OnInfo) -> None:
        self._service, self._on_info = service, on_info
        self.prefixed: dict[str, str] = {}
        self.raw: dict[str, str] = {}
        self._size = 0

    def take(self, line: str) -> None:
        """Raises `ContainerError` for an error, and for what is not of the protocol."""
        if not line.strip():
            return
        try:
            message = json.loads(line)
            kind, text = message["type"], message["message"]
        except (ValueError, TypeError, KeyError, RecursionError):
            raise self._wrong(f"it said {line[:200]!r}, which is no message") from None
        if not isinstance(text, str):
            raise self._wrong(f"it said {line[:200]!r}, which is no message")
        if kind == "info":
            self._on_info(text.strip().split("\n")[0])
        elif kind == "error":
            raise self._wrong(text)
        elif kind in {"setenv", "rawsetenv"}:
            self._set(text, self.raw if kind == "rawsetenv" else self.prefixed)
        elif kind != "debug":
            raise self._wrong(f"it said {line[:200]!r}, a message of an unknown type")

    def _set(self, text: str, variables: dict[str, str]) -> None:
        name, equals, value = text.partition("=")
        self._size += len(text)
        if not (name and equals) or "\0" in text or self._size > _MOST:
            raise self._wrong(f"it set {text[:200]!r}, which is no variable")
        variables[name] = value

    def _wrong(self, what: str) -> ContainerError:
        return ContainerError(f'service "{self._service}": its provider failed: {what}')


def _parameters(program: str, command: str, record: Record, environment: Mapping[str, str]) -> dict[str, bool] | None:
    """The options that a command takes, with whether it must have them; None if the provider does not say."""
    try:
        done = subprocess.run(
            [program, "compose", "metadata"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=dict(environment),
            cwd=record.directory if os.path.isdir(record.directory) else "/",
            timeout=_METADATA_SECONDS,
            check=False,
        )
        said = json.loads(done.stdout) if done.returncode == 0 else None
        if not isinstance(said, dict) or not any(said.get(key) for key in ("description", "up", "down")):
            return None
        found: Sequence[Any] = (said.get(command) or {}).get("parameters") or ()
        return {str(one["name"]): one.get("required") is True for one in found}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError, subprocess.TimeoutExpired):
        return None
