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

from composer.errors import ContainerError
from composer.host.logs import resize_order, window_size
from composer.paths import Paths

_STDERR = 3
_PACKET = 32768


class Attachment:
    """An open line to one container. Make it before the container is started, and nothing is lost.

    Raises `ContainerError` if there is nothing to attach to.
    """

    def __init__(self, paths: Paths, container_id: str) -> None:
        self._bundle = paths.bundle(container_id)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            # sun_path holds 108 bytes, our paths may be longer: through the descriptor of the directory.
            directory = os.open(self._bundle, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                self._socket.connect(f"/proc/self/fd/{directory}/attach")
            finally:
                os.close(directory)
        except OSError as error:
            self._socket.close()
            raise ContainerError(f"cannot attach to container {container_id[:12]}: {error.strerror}") from error
        self._socket.setblocking(False)

    def close(self) -> None:
        self._socket.close()

    def resize(self, rows: int, columns: int) -> None:
        """Tells the container's terminal its size."""
        with suppress(OSError):
            fd = os.open(f"{self._bundle}/winsz", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                os.write(fd, resize_order(rows, columns))
            finally:
                os.close(fd)

    def pump(self, *, stdin: int | None) -> None:
        """Carries output and, from descriptor `stdin`, input until the container ends.

        Never waits to send alone: a container that is not reading may be waiting for us to take its output.
        """
        typed = b""
        while True:
            sources: list[int | socket.socket] = [self._socket]
            if stdin is not None and not typed:
                sources.append(stdin)
            ready, _, _ = select.select(sources, [self._socket] if typed else [], [])
            if self._socket in ready:
                packet = self._receive()
                if packet == b"":
                    return
                if packet:
                    _write(2 if packet[0] == _STDERR else 1, packet[1:])
            if stdin is not None and stdin in ready:
                typed = _read(stdin)
                if not typed:
                    stdin = None
                    with suppress(OSError):
                        self._socket.shutdown(socket.SHUT_WR)
            if typed and stdin is not None:
                try:
                    self._socket.send(typed)  # a packet goes whole or not at all
                    typed = b""
                except BlockingIOError:
                    continue
                except OSError:
                    typed, stdin = b"", None  # nobody reads input any more; output may still come

    def _receive(self) -> bytes | None:
        """One packet, empty at the end; None if there is none just now."""
        try:
            return self._socket.recv(_PACKET)
        except (BlockingIOError, ConnectionResetError):
            # Reset: input of ours was never read. Output that came before is still there, and then the end.
            return None


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, _PACKET)
    except OSError:
        return b""  # a terminal that has gone


def _write(fd: int, data: bytes) -> None:
    while data:
        try:
            data = data[os.write(fd, data) :]
        except BlockingIOError:  # whoever shares our output has made it so
            select.select([], [fd], [])


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
