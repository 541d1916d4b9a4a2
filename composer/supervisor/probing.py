"""One probe: a command in a container, through the runtime, with an end to its time and to its output."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from contextlib import suppress

from composer.host import cgroup, process
from composer.host.execing import Request, process_description
from composer.host.files import read_json, read_text, write_atomic
from composer.host.proc import environment
from composer.host.runtime import Runtime
from composer.model.life import Check
from composer.paths import Paths
from composer.plan.health import LONGEST_OUTPUT, Probe, bounded, timed_out

_PIPEFUL = 65536
_ROUNDS = 20


class Place:
    """Where the probes of one container have their files, and the cgroup they run in."""

    def __init__(self, paths: Paths, project: str, container_id: str) -> None:
        self.id = container_id
        self.bundle = paths.bundle(container_id)
        self.cgroup = f"{paths.stack_cgroup(project)}/{container_id}"
        self._stem = f"{paths.supervision(project)}/{container_id}"
        self.description, self.pidfile = f"{self._stem}.process.json", f"{self._stem}.pid"

    def describe(self, check: Check) -> None:
        """Writes what the runtime is to run. Raises `FileNotFoundError` if the container is being removed."""
        config = read_json(f"{self.bundle}/config.json")
        if not isinstance(config, dict):
            raise FileNotFoundError(self.bundle)
        found = process_description(config, Request(check.argv, {}), ())
        write_atomic(self.description, json.dumps(found).encode(), sync=False)

    def forget(self) -> None:
        for path in (self.description, self.pidfile):
            with suppress(FileNotFoundError):
                os.unlink(path)

    def sweep(self) -> None:
        """Ends the probe that a killed supervisor has left."""
        if not os.path.exists(self.pidfile) and not os.path.exists(self.description):
            return
        for pid in process.with_arguments("exec", self.description):
            _end_tree(self)
            process.kill_and_wait(pid)
        _end_tree(self)
        self.forget()


class Running:
    """A probe that runs. `fd` is readable at its end, `output_fd` when it has said something. `deadline` is of the
    monotonic clock.
    """

    def __init__(self, place: Place, runtime: Runtime, check: Check) -> None:
        self._place, self._check = place, check
        self._said = b""
        self._is_late = False
        with suppress(FileNotFoundError):
            os.unlink(place.pidfile)
        self.output_fd, output = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        os.set_blocking(output, True)
        self.started = time.time()
        self.deadline = time.monotonic() + check.timeout
        try:
            self._process = subprocess.Popen(
                (
                    runtime.binary, "--root", runtime.root, "--log", "/dev/null", "exec",
                    "--process", place.description, "--pid-file", place.pidfile, place.id,
                ),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment(),
                cwd="/",
            )  # fmt: skip
        except BaseException:
            os.close(self.output_fd)
            raise
        finally:
            os.close(output)
        self.fd = os.pidfd_open(self._process.pid)

    def read(self) -> bool:
        """Takes what it has said, one pipeful at most; what is beyond the bound is forgotten. False if that was all."""
        try:
            chunk = os.read(self.output_fd, _PIPEFUL)
        except BlockingIOError:
            return True
        self._said += chunk[: LONGEST_OUTPUT + 1 - len(self._said)]
        return bool(chunk)

    def stop(self) -> None:
        """Its time is over: everything that it has started is ended."""
        self._is_late = True
        self.deadline = float("inf")
        _end_tree(self._place)
        self._process.kill()

    def result(self) -> Probe:
        """How it went; only once it has ended."""
        code = self._process.wait()
        self.read()
        self.close()
        output, end = bounded(self._said), time.time()
        if self._is_late:
            return timed_out(self._check, self.started, end, output)
        return Probe(self.started, end, code if code >= 0 else 128 - code, output)

    def abandon(self) -> None:
        """Its container has ended."""
        self._process.kill()
        self._process.wait()
        self.close()

    def close(self) -> None:
        os.close(self.fd)
        os.close(self.output_fd)
        with suppress(FileNotFoundError):
            os.unlink(self._place.pidfile)


def _end_tree(place: Place) -> None:
    """Kills the command of a probe with all its descendants, by parent and by session: held first, so that none
    escapes by forking.
    """
    text = read_text(place.pidfile) or ""
    if not text.strip().isdigit():
        return
    root = int(text)
    held: set[int] = set()
    for _ in range(_ROUNDS):
        members = {pid: found for pid in cgroup.processes(place.cgroup) if (found := _parent_and_session(pid))}
        doomed = {pid for pid, (_, session) in members.items() if root in {pid, session}} | (held & members.keys())
        while more := {pid for pid, (parent, _) in members.items() if parent in doomed} - doomed:
            doomed |= more
        fresh = doomed - held
        for pid in fresh:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        held |= fresh
        if not fresh:
            break
    for pid in held:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _parent_and_session(pid: int) -> tuple[int, int] | None:
    with suppress(OSError), open(f"/proc/{pid}/stat", "rb") as file:
        stat = file.read()
        fields = stat[stat.rindex(b")") + 2 :].split()
        return int(fields[1]), int(fields[3])
    return None
