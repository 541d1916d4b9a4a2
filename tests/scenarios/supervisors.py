"""The supervisor of the stack `web`, as tests find it and end it."""

from __future__ import annotations

import os
import signal

from scenarios.conftest import Stack

from composer.host import process, supervising


def supervisor(stack: Stack) -> tuple[int, int]:
    """Pid and start time of the one that runs."""
    found = supervising.process_of(stack.paths, "web")
    assert found is not None
    return found


def kill_supervisor(stack: Stack) -> None:
    """As a crash would; it is gone on return."""
    pid, started = supervisor(stack)
    os.kill(pid, signal.SIGKILL)
    assert process.wait_gone(pid, started, 10)


def down(stack: Stack) -> None:
    """Nothing is left then."""
    stack("down", "-t", "0")
    stack.assert_nothing_left()
