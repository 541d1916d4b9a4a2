"""Attached to a container through conmon: its output comes here, our input goes there.

conmon's socket is SOCK_SEQPACKET; each packet from it starts with a byte for the stream (2 stdout, 3 stderr).
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from composer.host.logs import resize_command, window_size
from composer.paths import Paths

_STDERR = 3
_PACKET = 32768


class Attachment:
    """An open line to one container. Make it before the container is started, and nothing is lost."""

    def __init__(self, paths: Paths, container_id: str) -> None:
        self._bundle = paths.bundle(container_id)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # sun_path holds 108 bytes, our paths may be longer: through the descriptor of the directory.
        directory = os.open(self._bundle, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._socket.connect(f"/proc/self/fd/{directory}/attach")
        finally:
            os.close(directory)

    def close(self) -> None:
        self._socket.close()

    def resize(self, rows: int, columns: int) -> None:
        """Tells the container's terminal its size."""
        with suppress(OSError):
            fd = os.open(f"{self._bundle}/ctl", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                os.write(fd, resize_command(rows, columns))
            finally:
                os.close(fd)

    def pump(self, *, stdin: int | None) -> None:
        """Carries output and, from descriptor `stdin`, input until the container ends."""
        sources: list[int | socket.socket] = [self._socket] if stdin is None else [self._socket, stdin]
        while True:
            ready, _, _ = select.select(sources, [], [])
            if self._socket in ready:
                packet = self._socket.recv(_PACKET)
                if not packet:
                    return
                _write(2 if packet[0] == _STDERR else 1, packet[1:])
            if stdin is not None and stdin in ready:
                typed = os.read(stdin, _PACKET)
                if typed:
                    self._socket.sendall(typed)
                else:
                    sources.remove(stdin)
                    with suppress(OSError):
                        self._socket.shutdown(socket.SHUT_WR)


def _write(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


@contextmanager
def raw_terminal(fd: int, attachment: Attachment) -> Iterator[None]:
    """The terminal passes every key on while the block runs, and follows changes of its size."""
    before = termios.tcgetattr(fd)

    def resized(*_: object) -> None:
        size = window_size(fd)
        if size is not None:
            attachment.resize(*size)

    previous = signal.signal(signal.SIGWINCH, resized)
    tty.setraw(fd, termios.TCSANOW)  # what has been typed already is for the container
    resized()
    try:
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)
        signal.signal(signal.SIGWINCH, previous)


@contextmanager
def forwarded(send: Callable[[int], object]) -> Iterator[None]:
    """Signals that would end us go to the container instead while the block runs."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
    previous = {number: signal.signal(number, lambda number, _: send(number)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def is_terminal() -> bool:
    """Whether input and output are a terminal."""
    return sys.stdin.isatty() and sys.stdout.isatty()
