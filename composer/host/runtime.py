"""The OCI runtime: command lines as values, and what its answers mean. runc by default; crun and youki will do."""

from __future__ import annotations

import os
from collections.abc import Mapping

from composer.errors import CommandFailed, CommandNotStarted, ContainerError, MachineError
from composer.frozen import frozen
from composer.host.proc import Command, require, run
from composer.paths import Paths

COMMAND_NOT_FOUND = 127
COMMAND_NOT_EXECUTABLE = 126

_TRANSIENT = (
    "device or resource busy",
    "resource temporarily unavailable",
    "cgroup has been removed",
    "cgroup.procs: no such",
    "interrupted system call",
)


@frozen(kw_only=False)
class Runtime:
    """One runtime binary with its state directory."""

    binary: str
    root: str

    @classmethod
    def chosen(cls, paths: Paths, environ: Mapping[str, str] | None = None) -> Runtime:
        """`JOCKER_RUNTIME` or runc. Raises `MachineError` if it is not there."""
        name = (os.environ if environ is None else environ).get("JOCKER_RUNTIME") or "runc"
        if "/" in name and not os.access(name, os.X_OK):
            raise MachineError(f"there is no runtime {name}", hint="install it, or name another")
        return cls(require(name), paths.runc)

    def command(self, *arguments: str, timeout: float | None = 60.0) -> Command:
        return Command(argv=(self.binary, "--root", self.root, *arguments), timeout=timeout)

    def start(self, container_id: str) -> Command:
        return self.command("start", container_id)

    def delete(self, container_id: str, *, force: bool = False) -> Command:
        return self.command("delete", *(("--force",) if force else ()), container_id)

    def state_dir(self, container_id: str) -> str:
        return f"{self.root}/{container_id}"

    @property
    def waits_for_reader(self) -> bool:
        """Whether a created container starts when somebody reads from its fifo: runc's way, crun's is another."""
        return os.path.basename(self.binary) == "runc"

    def exec_fifo(self, container_id: str) -> str:
        """There between `create` and `start`: runc, crun and youki all wait on it."""
        return f"{self.root}/{container_id}/exec.fifo"

    def call(self, command: Command, *, name: str) -> None:
        """Runs a command of the runtime; raises `ContainerError` in the user's words. `name` is the container's."""
        try:
            run(command)
        except CommandFailed as error:
            raise explained(error.stderr or error.message, name) from error


def explained(text: str, name: str) -> ContainerError:
    """What the runtime said about container `name`, as an error: which command, which path, will it pass."""
    message = _last_message(text)
    lower = message.lower()
    if "executable file not found" in lower or ("exec:" in lower and "no such file or directory" in lower):
        return CommandNotStarted(
            f"{name}: {_after(message, 'exec: ')}",
            exit_status=COMMAND_NOT_FOUND,
            hint="is the command in the image, and on its PATH?",
        )
    if "exec:" in lower and ("permission denied" in lower or "is a directory" in lower):
        return CommandNotStarted(
            f"{name}: {_after(message, 'exec: ')}", exit_status=COMMAND_NOT_EXECUTABLE, hint="is the file executable?"
        )
    if "chdir to cwd" in lower:
        return CommandNotStarted(
            f"{name}: {message}", exit_status=COMMAND_NOT_FOUND, hint="is the working directory in the container?"
        )
    if "exec format error" in lower:
        return CommandNotStarted(
            f"{name}: exec format error",
            exit_status=COMMAND_NOT_EXECUTABLE,
            hint="the program is of another architecture, or a script without #! in its first line",
        )
    return ContainerError(f"{name}: {message}", transient=any(sign in lower for sign in _TRANSIENT))


def _last_message(text: str) -> str:
    """The innermost cause in runc's chain of messages: `level=error msg="..."` lines, JSON lines or plain text."""
    lines = [line for line in text.strip().splitlines() if line.strip()]
    if not lines:
        return "the runtime failed and said nothing"
    last = lines[-1].strip()
    if 'msg="' in last:
        last = last.split('msg="', 1)[1].rsplit('"', 1)[0].replace('\\"', '"')
    for noise in (
        "runc create failed: ",
        "unable to start container process: ",
        "runc run failed: ",
        "exec failed: ",
        "error during container init: ",
    ):
        last = last.replace(noise, "")
    return last


def _after(message: str, mark: str) -> str:
    return message.split(mark, 1)[1] if mark in message else message
