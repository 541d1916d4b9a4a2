"""The supervisor's process: takes the place, or finds it taken. Loads as little as it can, for it stays.

`python -m composer.supervisor.main DATA_DIR RUN_DIR PROJECT FD`; FD is both ends of the bell. Started by
`host.supervising`, which see.
"""

from __future__ import annotations

import fcntl
import os
import sys
import time
from contextlib import suppress

from composer.host import process
from composer.host.files import write_atomic
from composer.paths import Paths
from composer.supervisor.watching import Supervisor

_PATIENCE = 10.0
"""Seconds the one before gets to leave."""


def main(data: str, run: str, project: str, bell: int) -> None:
    """Supervises until there is nothing left to supervise."""
    paths = Paths(data, run)
    directory = paths.supervision(project)
    lock = _place(directory)
    if lock is None:
        return
    with suppress(FileNotFoundError):  # the stack is being removed
        write_atomic(f"{directory}/process", f"{os.getpid()} {process.start_time(os.getpid())}\n".encode(), sync=False)
        Supervisor(paths, project, bell, lock).run()


def _place(directory: str) -> int | None:
    """The lock that only one holds; None if another does its work, or the stack is gone."""
    try:
        lock = os.open(f"{directory}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        return None
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        with suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
        time.sleep(0.005)
    return None


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
