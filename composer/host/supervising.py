"""The supervisor of a stack, as commands see it: is it there, wake it, start it, end it.

It is started under the lock of the stack, lives in the cgroup of the shims, and is known by `supervision/process` (pid
and start time). Whoever starts a container rings a bell, a fifo: without a reader there is no supervisor.
"""

from __future__ import annotations

import errno
import os
import signal
import threading
from contextlib import suppress

from composer.host import cgroup, process
from composer.host.files import locked, read_text, write_atomic
from composer.paths import Paths

_one_at_a_time = threading.Lock()
_PATIENCE = 10.0
EVERYTHING = "*"
"""Rung instead of an id: look at all containers."""


def process_of(paths: Paths, project: str) -> tuple[int, int] | None:
    """Pid and start time of the supervisor, if it lives."""
    text = read_text(f"{paths.supervision(project)}/process")
    try:
        pid, started = map(int, (text or "").split())
    except ValueError:
        return None
    return (pid, started) if process.alive(pid, started) else None


def is_alive(paths: Paths, project: str) -> bool:
    """Whether somebody supervises the stack now."""
    return process_of(paths, project) is not None


def notice(paths: Paths, project: str, container_id: str, runtime: str = "") -> None:
    """Tells the supervisor to look at a container; starts one if there is none. `runtime` is a path or a name, ""
    = runc: what a new one drives containers through that do not say.
    """
    with _one_at_a_time:
        if not _ring(paths, project, container_id):
            _start(paths, project, runtime)


def ensure(paths: Paths, project: str, runtime: str = "") -> None:
    """Starts a supervisor if there is none. The stack is locked by the caller, or a container of it waited for."""
    with _one_at_a_time:
        if not is_alive(paths, project) or not _ring(paths, project, EVERYTHING):
            _start(paths, project, runtime)


def _ring(paths: Paths, project: str, word: str) -> bool:
    try:
        bell = os.open(f"{paths.supervision(project)}/bell", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in {errno.ENXIO, errno.ENOENT, errno.ENOTDIR}:
            return False
        raise
    try:
        os.write(bell, f"{word}\n".encode())  # a full pipe (EAGAIN) is a supervisor with enough to look at
    except BlockingIOError:
        pass
    except BrokenPipeError:
        return False
    finally:
        os.close(bell)
    return True


def _start(paths: Paths, project: str, runtime: str) -> None:
    directory = paths.supervision(project)
    with locked(f"{directory}/starting", timeout=_PATIENCE, what=f"the supervisor of stack {project}"):
        if is_alive(paths, project) and _ring(paths, project, EVERYTHING):
            return  # another was quicker
        _spawn(paths, project, runtime)


def _spawn(paths: Paths, project: str, runtime: str) -> None:
    """A process of its own, with nothing of ours: it lives on when we end, whatever ends us."""
    import subprocess
    import sys

    from composer.host.proc import environment

    directory = paths.supervision(project)
    with suppress(FileExistsError):
        os.mkfifo(f"{directory}/bell", 0o600)
    # Both ends: from now on somebody hears the bell.
    bell = os.open(f"{directory}/bell", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    log = os.open(f"{directory}/log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    place = cgroup.make(paths.shim_cgroup(project), for_processes=True)
    try:
        started = subprocess.Popen(
            (sys.executable, "-P", "-m", "composer.supervisor.main", paths.data, paths.run, project, str(bell)),
            pass_fds=(bell,),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment({
                "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
                **({"JOCKER_RUNTIME": runtime} if runtime else {}),
            }),
            cwd="/",
            start_new_session=True,
        )  # fmt: skip
    finally:
        os.close(bell)
        os.close(log)
    began = process.start_time(started.pid)
    write_atomic(f"{directory}/process", f"{started.pid} {began}\n".encode(), sync=False)
    with suppress(ProcessLookupError):
        cgroup.put(place, started.pid)
    # It is nobody's to wait for; Popen would complain that it still runs.
    started.returncode = 0


def end(paths: Paths, project: str) -> None:
    """Ends the supervisor and what it has in hand, and removes what it kept. The stack is locked by the caller."""
    from composer.host.trees import remove_tree

    directory = paths.supervision(project)
    found = process_of(paths, project)
    if found is not None:
        with suppress(ProcessLookupError):  # it leads a group of its own, with all that it started
            os.killpg(found[0], signal.SIGKILL)
        process.send(*found, signal.SIGKILL)
        process.wait_gone(*found, 10.0)
    remove_tree(directory)
