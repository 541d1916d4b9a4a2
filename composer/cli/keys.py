"""Keys that are pressed while output goes by."""

from __future__ import annotations

import os
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


def are_heard() -> bool:
    """Whether somebody could press one: a terminal in and out, and we are in its foreground."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return False
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except OSError:
        return False


@contextmanager
def heard(on_key: Callable[[bytes], None]) -> Iterator[None]:
    """Calls `on_key` for each key while the block runs, from another thread; Ctrl-C stays a signal."""
    fd = sys.stdin.fileno()
    before = termios.tcgetattr(fd)
    changed: list[Any] = termios.tcgetattr(fd)
    changed[3] &= ~(termios.ICANON | termios.ECHO)  # local modes: a key at a time, and not shown
    termios.tcsetattr(fd, termios.TCSANOW, changed)

    def read() -> None:
        while key := os.read(fd, 1):
            on_key(key)

    threading.Thread(target=read, name="keys", daemon=True).start()
    try:
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSANOW, before)
