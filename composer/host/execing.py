"""Commands in a running container, through the runtime's `exec` with a process description of our own."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from composer.bundle.context import ProcessUser
from composer.errors import CommandNotStarted, ContainerError
from composer.host.files import read_json
from composer.host.proc import environment
from composer.host.runtime import Runtime, explained
from composer.paths import Paths

_FAILED = frozenset({1, 126, 127, 255})
_LOOK_UP_EVERY = 200
"""Milliseconds between two looks whether the user has had enough of waiting."""


class Request(NamedTuple):
    """What is to be run. Empty `working_dir`: the container's; `user` None: the container's."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    working_dir: str = ""
    user: ProcessUser | None = None
    tty: bool = False
    privileged: bool = False
    without: frozenset[str] = frozenset()
    """Variables that it is not to have."""


def process_description(config: Mapping[str, Any], request: Request, capabilities: tuple[str, ...]) -> dict[str, Any]:
    """The container's own `process` with what the request changes. `capabilities`: all there are, for `privileged`."""
    process = dict(config["process"])
    process["args"] = list(request.argv)
    process["terminal"] = request.tty
    changes = dict(request.env)
    if request.tty:
        changes = {"TERM": "xterm", **changes}  # as for a container that has a terminal
    if request.user is not None:
        changes = {"HOME": request.user.home, **changes}
    kept = [entry for entry in process.get("env", []) if entry.partition("=")[0] not in request.without]
    process["env"] = _merged(kept, changes)
    if request.working_dir:
        process["cwd"] = request.working_dir
    if request.user is not None:
        process["user"] = {
            "uid": request.user.uid,
            "gid": request.user.gid,
            "additionalGids": list(request.user.additional_gids),
        }
    if request.privileged:
        # Not inheritable: a program with file capabilities would hand them to whoever may start it.
        process["capabilities"] = {name: list(capabilities) for name in ("bounding", "effective", "permitted")}
    return process


def _merged(env: list[str], changes: Mapping[str, str]) -> list[str]:
    kept = [entry for entry in env if entry.partition("=")[0] not in changes]
    return [*kept, *(f"{name}={value}" for name, value in changes.items())]


def execute_in(
    paths: Paths,
    runtime: Runtime,
    container_id: str,
    name: str,
    request: Request,
    *,
    detach: bool,
    alone: bool = False,
) -> int:
    """Runs it with our own input and output and returns its exit code; detached: starts it and returns 0. `alone`: it
    has no input, and a signal is for us and ends it, too.

    Without a terminal the runtime's complaint goes to our stderr, and 127, 126 or 1 comes back. Else raises
    `CommandNotStarted` (127 not found, 126 not executable), `ContainerError`.
    """
    with _described(paths, runtime, container_id, name, request, detach=detach) as (argv, directory):
        with tempfile.TemporaryFile() as said:
            # The runtime's own complaint must not mix with the command's: it goes to its log, and to us.
            code = _run(argv, said.fileno() if request.tty else None, detach=detach, alone=alone)
        if code in _FAILED:
            complaint = _complaint(f"{directory}/log")
            if complaint:
                error = explained(complaint, name)
                if not request.tty and not detach:  # the runtime has said it on our stderr already
                    return error.exit_status if isinstance(error, CommandNotStarted) else 1
                raise error if isinstance(error, CommandNotStarted) else ContainerError(error.message)
    return code


def execute_quietly(
    paths: Paths, runtime: Runtime, container_id: str, name: str, request: Request, gives_up: Callable[[], bool]
) -> tuple[int, bytes]:
    """Runs it without input; returns its exit code and the end of what it said. It is told to end when `gives_up`.

    What it leaves running runs on. Raises `ContainerError` if it could not be started.
    """
    with _described(paths, runtime, container_id, name, request, detach=False) as (argv, directory):
        code, said = _listened_to(argv, gives_up)
        if code in _FAILED:
            complaint = _complaint(f"{directory}/log")
            if complaint:
                raise ContainerError(explained(complaint, name).message)
    return code, said


def _listened_to(argv: tuple[str, ...], gives_up: Callable[[], bool]) -> tuple[int, bytes]:
    read, write = os.pipe2(os.O_CLOEXEC)
    process = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=write, stderr=write, env=environment({}), cwd="/", umask=0o022,
        start_new_session=True,
    )  # fmt: skip
    os.close(write)
    os.set_blocking(read, False)
    ended = os.pidfd_open(process.pid)
    said, is_over = b"", False
    try:
        waiting = select.poll()
        waiting.register(read, select.POLLIN)
        waiting.register(ended, select.POLLIN)
        while not is_over:
            ready = [fd for fd, _ in waiting.poll(_LOOK_UP_EVERY)]
            is_over = ended in ready
            with suppress(BlockingIOError):
                while chunk := os.read(read, 65536):
                    said = (said + chunk)[-65536:]
                if read in ready:  # nobody writes any more
                    waiting.unregister(read)
            if gives_up():
                process.terminate()
    finally:
        os.close(read)
        os.close(ended)
    code = process.wait()
    return (128 - code if code < 0 else code), said


@contextmanager
def _described(
    paths: Paths, runtime: Runtime, container_id: str, name: str, request: Request, *, detach: bool
) -> Iterator[tuple[tuple[str, ...], str]]:
    """The command line of the runtime, and the directory in which its log will be. Raises `ContainerError`."""
    config = read_json(f"{paths.bundle(container_id)}/config.json")
    if not isinstance(config, dict):
        raise ContainerError(f"{name}: its bundle is gone", hint="jocker up -d makes it again")
    from composer.host.machine_facts import machine_facts

    capabilities = tuple(sorted(machine_facts().capabilities)) if request.privileged else ()
    description = process_description(config, request, capabilities)
    with tempfile.TemporaryDirectory(prefix="exec-", dir=paths.bundle(container_id)) as directory:
        with open(f"{directory}/process.json", "w", encoding="utf-8") as file:
            json.dump(description, file)
        argv = (
            runtime.binary, "--root", runtime.root, "--log", f"{directory}/log", "--log-format", "json", "exec",
            *(("--tty",) if request.tty else ()),
            *(("--detach",) if detach else ()),
            "--process", f"{directory}/process.json", container_id,
        )  # fmt: skip
        yield argv, directory


def _run(argv: tuple[str, ...], stderr: int | None, *, detach: bool, alone: bool) -> int:
    quiet = subprocess.DEVNULL if detach else None
    process = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL if alone else quiet,
        stdout=quiet,
        stderr=quiet if detach else stderr,
        env=environment({name: os.environ[name] for name in ("TERM",) if name in os.environ}),
        cwd="/",
        umask=0o022,  # as conmon's: what is made in the container does not depend on who calls
    )
    if alone:
        try:
            code = process.wait()
        except BaseException:
            process.terminate()
            process.wait()
            raise
    else:
        from composer.host.attach import forwarded

        with forwarded(process.send_signal):
            code = process.wait()
    sys.stdout.flush()
    return 128 - code if code < 0 else code


def _complaint(path: str) -> str:
    last = ""
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if entry.get("level") in {"error", "fatal"}:
                last = str(entry.get("msg", ""))
    return last
