"""What a container is doing now, from its record, the kernel and the exit file: no process is started to find out."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from composer.actual.state import Status
from composer.host import cgroup, process
from composer.host.files import read_json, read_text
from composer.paths import Paths

_RUNTIMES = (b"runc", b"crun", b"youki")


class Snapshot(NamedTuple):
    """`pid` is 0 unless it lives; `exit_code` None unless known; times in seconds since the epoch, 0 = unknown."""

    status: Status
    pid: int = 0
    exit_code: int | None = None
    started_at: float = 0.0
    finished_at: float = 0.0
    health: str = ""
    """`starting`, `healthy` or `unhealthy` while one runs that has a health check."""
    restarts: int = 0
    comes_back: bool = False
    """See `actual.state.ActualContainer`."""


class FirstProcess(NamedTuple):
    """The first process of a container: pid and start time in clock ticks since boot."""

    pid: int
    started: int


def snapshot(paths: Paths, record: Mapping[str, Any]) -> Snapshot:
    """The state of one container. About 0.1 ms."""
    container_id = record["id"]
    if record.get("phase") != "created":
        return Snapshot(Status.DEAD)
    started_at = _started_at(paths, container_id)
    first = first_process(paths, container_id)
    if first is not None and process.alive(*first):
        status = _alive_status(paths, record, first.pid)
        restarts = _restarts(paths, record)[0]
        return Snapshot(status, first.pid, None, started_at, 0.0, _health(paths, record, first, status), restarts)
    _await_exit_file(paths, container_id)
    code, finished_at = exit_status(paths, container_id)
    if code is None and not started_at and first is not None:
        finished_at = 0.0
    return Snapshot(Status.EXITED, 0, code, started_at, finished_at, "", *_after_end(paths, record, code, started_at))


def _restarts(paths: Paths, record: Mapping[str, Any]) -> tuple[int, int]:
    """How often the container was started again, and how often that counts: see `plan.restart.Past`."""
    spec = record.get("spec")
    if not (isinstance(spec, dict) and spec.get("restart")):
        return 0, 0
    found = read_json(f"{paths.supervision(record['project'])}/{record['id']}.restarts")
    if not isinstance(found, dict):
        return 0, 0
    restarts, attempts = found.get("restarts"), found.get("attempts")
    return restarts if isinstance(restarts, int) else 0, attempts if isinstance(attempts, int) else 0


def _after_end(paths: Paths, record: Mapping[str, Any], code: int | None, started_at: float) -> tuple[int, bool]:
    """How often a container that has ended was started again, and whether it may be once more."""
    restarts, attempts = _restarts(paths, record)
    spec = record.get("spec")
    policy = spec.get("restart") if isinstance(spec, dict) else None
    if not (isinstance(policy, dict) and (started_at or restarts)):
        return restarts, False
    is_over = (policy.get("condition") == "on-failure" and code == 0) or (
        0 < policy.get("max_attempts", 0) <= attempts and not policy.get("window")
    )
    return restarts, not is_over and not os.path.exists(f"{paths.container(record['id'])}/stopped")


def _health(paths: Paths, record: Mapping[str, Any], first: FirstProcess, status: Status) -> str:
    spec = record.get("spec")
    if not (status.is_alive and isinstance(spec, dict) and spec.get("healthcheck")):
        return ""
    return str((health_file(paths, record, first) or {}).get("Status") or "starting")


def health_file(paths: Paths, record: Mapping[str, Any], first: FirstProcess) -> dict[str, Any] | None:
    """What the supervisor last wrote about this life of a container: see `plan.health.to_json`."""
    found = read_json(f"{paths.supervision(record['project'])}/{record['id']}.health")
    return found if isinstance(found, dict) and found.get("life") == list(first) else None


def _alive_status(paths: Paths, record: Mapping[str, Any], pid: int) -> Status:
    if waits(f"{paths.runc}/{record['id']}/exec.fifo", pid):
        return Status.CREATED
    if cgroup.is_frozen(f"{paths.stack_cgroup(record['project'])}/{record['id']}"):
        return Status.PAUSED
    return Status.RUNNING


def waits(exec_fifo: str, pid: int) -> bool:
    """Whether a container is made and not started yet: the runtime's fifo is there, and its first process still is the
    runtime. A command killed between the start and the removal of the fifo leaves that behind a container that runs.
    """
    if not os.path.exists(exec_fifo):
        return False
    with suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:
        program = file.read(4096).split(b"\0")[0].rpartition(b"/")[2]
        return not program or program.startswith(_RUNTIMES)
    return True


def first_process(paths: Paths, container_id: str) -> FirstProcess | None:
    """The container's first process as noted when it was made; it may be gone. None if there was none since boot."""
    text = read_text(f"{paths.conmon(container_id)}/process")
    try:
        pid, started = map(int, (text or "").split())
    except ValueError:
        return None
    return FirstProcess(pid, started)


def conmon_process(paths: Paths, container_id: str) -> FirstProcess | None:
    """conmon, or the program it becomes at the container's end, if its pidfile names a process that lives and is it."""
    pidfile = f"{paths.conmon(container_id)}/conmon.pid"
    text = (read_text(pidfile) or "").strip()
    if not text.isdigit():
        return None
    pid = int(text)
    started = process.start_time(pid)
    with suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:
        arguments = file.read().split(b"\0")
        # Its own pidfile among its arguments: another store's conmon may have the same container id.
        is_conmon = os.fsencode(pidfile) in arguments
        ours, ending = os.fsencode(f"{paths.run}/"), f"/{container_id}".encode()
        becomes = any(one.startswith(ours) and one.endswith(ending) for one in arguments)
        if started is not None and (is_conmon or becomes):
            return FirstProcess(pid, started)
    return None


def exit_status(paths: Paths, container_id: str) -> tuple[int | None, float]:
    """The exit code conmon wrote and when, or (None, 0)."""
    path = f"{paths.exit_dir(container_id)}/{container_id}"
    text = (read_text(path) or "").strip()
    if not text.isdigit():
        return None, 0.0
    with suppress(FileNotFoundError):
        return int(text), os.stat(path).st_mtime
    return int(text), 0.0


def _await_exit_file(paths: Paths, container_id: str) -> None:
    """The process has ended: conmon writes the exit file and ends too, a few ms later."""
    if exit_status(paths, container_id)[0] is None:
        shim = conmon_process(paths, container_id)
        if shim is not None:
            process.wait_gone(*shim, 1.0)


def _started_at(paths: Paths, container_id: str) -> float:
    with suppress(FileNotFoundError):
        return os.stat(f"{paths.container(container_id)}/started").st_mtime
    return 0.0
