"""The life of one container: made, started, stopped, removed. Each step may follow a crash in any other."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from enum import StrEnum
from typing import TYPE_CHECKING

from composer.errors import CommandFailed, ContainerError
from composer.host import cgroup, kernel, overlay, process, records, volumes
from composer.host.files import make_private, read_text, write_atomic
from composer.host.runtime import Runtime
from composer.host.state import FirstProcess, conmon_process, exit_status, first_process, waits
from composer.host.trees import remove_tree
from composer.paths import Paths

if TYPE_CHECKING:
    from composer.host.conmon import Shim

_SEEN_GONE = 2
_STARTS_WITHIN = 10
"""Seconds an init that is told to go gets to answer."""
_GONE_WITHIN = 10.0
"""Seconds a killed process gets to vanish: only one stuck in the kernel needs more."""
_RUNS_WITHIN = 1.0
"""Seconds the runtime's last process gets to become the container's program."""
_CLOCK_OF_FILES = 5
"""CLOCK_REALTIME_COARSE (clock_gettime(2)), which the times of files are taken from: milliseconds behind the other."""


class StopOutcome(StrEnum):
    """How a stop ended."""

    NOT_RUNNING = "was not running"
    STOPPED = "stopped"
    KILLED = "killed after the grace period"
    DEAF = "killed at once: its first process does not handle the stop signal"


class Lifecycle:
    """Containers of one store, driven through one runtime. Safe to use from several threads, one container each."""

    def __init__(self, paths: Paths, runtime: Runtime) -> None:
        self._paths = paths
        self._runtime = runtime

    def mount_rootfs(self, container_id: str, layers: Sequence[str]) -> str:
        """See `overlay.mount`."""
        return overlay.mount(self._paths, container_id, layers)

    def create(self, shim: Shim, config_text: str) -> int:
        """Makes the container from its config.json; not started. The rootfs is mounted. Returns its pid.

        Raises `ContainerError`; then nothing but the mount is left.
        """
        from composer.host import conmon, logs

        paths, container_id = self._paths, shim.container_id
        for directory in (paths.conmon(container_id), paths.exit_dir(container_id), paths.runc):
            make_private(directory)
        self._forget_last_life(container_id)
        write_atomic(f"{paths.bundle(container_id)}/config.json", config_text.encode(), sync=False)
        self._make_parent(shim.project)
        try:
            pid = conmon.create(paths, self._runtime, shim)
            started = process.start_time(pid)
            if started is None:
                raise ContainerError(f"{shim.name}: its first process was gone at once", transient=True)
            note = f"{pid} {started}\n".encode()
            write_atomic(f"{paths.conmon(container_id)}/process", note, sync=False)
            logs.limit(paths, container_id, shim.log)
            logs.rotate(paths, (container_id,))
        except BaseException:
            self.delete_runtime(container_id, shim.project)
            raise
        return pid

    def _make_parent(self, project: str) -> None:
        """The cgroup of the stack, with the limits it was given: after a reboot there is none."""
        path = self._paths.stack_cgroup(project)
        has_limits = os.path.exists(self._paths.stack_record(project))
        is_new = has_limits and not cgroup.is_there(path)
        cgroup.make(path, for_processes=False)
        if is_new:
            from composer.host import stack_limits

            stack_limits.restore(self._paths, project)

    def _forget_last_life(self, container_id: str) -> None:
        for path in (
            f"{self._paths.exit_dir(container_id)}/{container_id}",
            f"{self._paths.conmon(container_id)}/process",
            f"{self._paths.container(container_id)}/started",
        ):
            with suppress(FileNotFoundError):
                os.unlink(path)

    def start(self, container_id: str, name: str) -> None:
        """Starts a created container; its program runs when this returns.

        Raises `ContainerError` (`CommandNotStarted` if its command cannot be run).
        """
        now = time.clock_gettime_ns(_CLOCK_OF_FILES)
        first = first_process(self._paths, container_id)
        before = _program(first)
        if not (self._runtime.waits_for_reader and first is not None and _let_go(self._runtime, container_id, first)):
            self._runtime.call(self._runtime.start(container_id), name=name)
        deadline = time.monotonic() + _RUNS_WITHIN
        while before is not None and _program(first) == before and time.monotonic() < deadline:
            time.sleep(0.0005)  # until then it is the runtime that gets its signals, and loses them
        mark = f"{self._paths.container(container_id)}/started"
        write_atomic(mark, b"", sync=False)
        os.utime(mark, ns=(now, now))  # not later than the end of a container that has ended by now

    def is_created(self, container_id: str) -> bool:
        """Whether it is made and waits to be started."""
        first = first_process(self._paths, container_id)
        return first is not None and process.alive(*first) and waits(self._runtime.exec_fifo(container_id), first.pid)

    def stop(self, container_id: str, *, signal_name: str, grace_seconds: float, cgroup_path: str) -> StopOutcome:
        """Signal, grace, SIGKILL; returns when the process is gone and its exit status is on disk.

        A first process that can be seen not to handle the signal is killed at once: as PID 1 it would never notice.
        `grace_seconds` may be `math.inf`.
        """
        first = first_process(self._paths, container_id)
        if first is None or not process.alive(*first):
            return StopOutcome.NOT_RUNNING
        number = process.signal_number(signal_name)
        outcome = StopOutcome.STOPPED
        if waits(self._runtime.exec_fifo(container_id), first.pid):
            number = signal.SIGKILL  # never started: there is nothing to be gentle with
        elif number != signal.SIGKILL and _is_deaf(first.pid, number):
            number, outcome = signal.SIGKILL, StopOutcome.DEAF
        process.send(*first, number)
        cgroup.thaw(cgroup_path)  # the signal is waiting for it: it runs no further than to that
        if number != signal.SIGKILL:
            timeout = None if grace_seconds == float("inf") else grace_seconds
            if not process.wait_gone(*first, timeout):
                outcome = StopOutcome.KILLED
                process.send(*first, signal.SIGKILL)
        self._await_end(container_id, first)
        return outcome

    def _await_end(self, container_id: str, first: FirstProcess) -> None:
        if not process.wait_gone(*first, _GONE_WITHIN):
            raise ContainerError(f"process {first.pid} survives SIGKILL", hint="it hangs in the kernel: see dmesg")
        shim = conmon_process(self._paths, container_id)
        if shim is not None:
            process.wait_gone(*shim, _GONE_WITHIN)  # it ends when the exit status is on disk

    def kill(self, container_id: str, signal_number: int, *, cgroup_path: str = "") -> bool:
        """One signal to its first process; False if that is gone. With `cgroup_path` SIGKILL reaches a paused one."""
        first = first_process(self._paths, container_id)
        sent = first is not None and process.send(*first, signal_number)
        if sent and cgroup_path and signal_number == signal.SIGKILL:
            cgroup.thaw(cgroup_path)
        return sent

    def wait(self, container_id: str, timeout: float | None = None) -> int | None:
        """Waits for the container's end and returns its exit code; None if that is unknown (conmon was killed).

        Raises `TimeoutError` if it still runs after `timeout` seconds.
        """
        first = first_process(self._paths, container_id)
        if first is not None and not process.wait_gone(*first, timeout):
            raise TimeoutError(container_id)
        shim = conmon_process(self._paths, container_id)
        if shim is not None:
            process.wait_gone(*shim, _GONE_WITHIN)
        return exit_status(self._paths, container_id)[0]

    def delete_runtime(self, container_id: str, project: str) -> None:
        """Takes away what runs: conmon, processes, the runtime's state, the cgroup. Nothing of it need be there."""
        paths = self._paths
        cgroup_path = f"{paths.stack_cgroup(project)}/{container_id}"
        first = first_process(paths, container_id)
        if first is not None and process.alive(*first):
            process.send(*first, signal.SIGKILL)
            cgroup.thaw(cgroup_path)
            self._await_end(container_id, first)
        if first is None:
            # A crash in the middle of `create`: conmon or the runtime may be at it still, without us.
            # Another store may hold the same id, which follows from the stack: only what works for our runtime.
            _end_all(container_id, self._runtime.root)
        # Of what has ended the runtime would only remove files and cgroups, as we do below, at 8 ms a container.
        if os.path.isdir(self._runtime.state_dir(container_id)) and (first is None or self._has_hooks(container_id)):
            with suppress(CommandFailed):  # a state torn by a crash is beyond the runtime: we finish below
                self._run_delete(container_id)
        if not cgroup.remove_at_once(cgroup_path):
            cgroup.kill(cgroup_path)
            if not cgroup.remove(cgroup_path):
                raise ContainerError(f"the cgroup {cgroup_path} cannot be removed", transient=True)
        remove_tree(self._runtime.state_dir(container_id))

    def _has_hooks(self, container_id: str) -> bool:
        config = read_text(f"{self._paths.bundle(container_id)}/config.json") or ""
        return '"hooks"' in config or '"intelRdt"' in config

    def _run_delete(self, container_id: str) -> None:
        from composer.host.proc import run

        run(self._runtime.delete(container_id))

    def remove(self, container_id: str, project: str, with_volumes: Iterable[str] = ()) -> None:
        """Removes all of the container, from whatever state, and the volumes given; the record goes last."""
        paths = self._paths
        record = records.read(paths, container_id)
        if record is not None and record.get("phase") != "removing":
            records.mark_removing(paths, record)
        self.delete_runtime(container_id, project)
        self.unmount_rootfs(container_id)
        for path in (paths.shm(container_id), paths.given_files(container_id)):
            if os.path.ismount(path):
                kernel.umount(path, kernel.MNT_DETACH)
        volumes.release(paths, record or {"id": container_id})
        remove_tree(paths.bundle(container_id))
        remove_tree(paths.conmon(container_id))
        for name in with_volumes:
            volumes.remove_unused(paths, name, leaving=container_id)
        records.remove(paths, container_id)

    def unmount_rootfs(self, container_id: str) -> None:
        """See `overlay.unmount`."""
        overlay.unmount(self._paths, container_id)

    def remove_stack(self, project: str) -> None:
        """Removes what a stack without containers leaves: its cgroups, and what crashes left."""
        paths = self._paths
        for path in (paths.stack_cgroup(project), paths.shim_cgroup(project)):
            deadline = time.monotonic() + _GONE_WITHIN
            while not cgroup.remove(path) and time.monotonic() < deadline:
                continue  # the last conmon is on its way out
        cgroup.remove_if_empty(paths.cgroup_root)
        with suppress(FileNotFoundError):
            os.unlink(paths.stack_record(project))
        records.sweep(paths)


def _program(first: FirstProcess | None) -> tuple[int, int] | None:
    """Which file a process runs; None if it is gone."""
    if first is not None and process.alive(*first):
        with suppress(OSError):
            found = os.stat(f"/proc/{first.pid}/exe")
            return found.st_dev, found.st_ino
    return None


def _let_go(runtime: Runtime, container_id: str, first: FirstProcess) -> bool:
    """Starts a container of runc as `runc start` does: reads from the fifo its init is about to write to. False if it
    has not come to that. A process less, 6 ms a container: see docs/decisions/runtime-calls.md.
    """
    fifo = runtime.exec_fifo(container_id)
    try:
        ends = os.pidfd_open(first.pid)
    except ProcessLookupError:
        return False
    try:
        go = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        os.close(ends)
        return False
    try:
        waiting = select.poll()
        waiting.register(go, select.POLLIN)
        waiting.register(ends, select.POLLIN)
        waiting.poll(_STARTS_WITHIN * 1000)
        try:
            written = os.read(go, 1)
        except BlockingIOError:
            return False
    finally:
        os.close(go)
        os.close(ends)
    if written:
        os.unlink(fifo)
    return bool(written)


def _end_all(*arguments: str) -> None:
    """Ends every process that has all these arguments. Seen gone twice: conmon forks, and who calls exec has none."""
    gone = 0
    while gone < _SEEN_GONE:
        pids = process.with_arguments(*arguments)
        for pid in pids:
            process.kill_and_wait(pid)
        gone = 0 if pids else gone + 1
        time.sleep(0.005)


def _is_deaf(pid: int, number: int) -> bool:
    return process.is_first_of_namespace(pid) and not process.handles_signal(pid, number)
