"""Container logs as conmon writes them (`k8s-file`): `TIME stdout|stderr F|P TEXT`, F ending a line, P a piece of one.

Read backwards for the tail, followed by inotify, renamed and reopened when full: conmon's own rotation throws the old
file away.
"""

from __future__ import annotations

import ctypes
import os
import select
import struct
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from typing import NamedTuple

from composer.paths import Paths

ROTATE_AT = 10 * 1024 * 1024
KEPT_FILES = 3
_BLOCK = 1 << 16
_IN_MODIFY, _IN_MOVED_TO, _IN_CREATE, _IN_MOVE_SELF = 0x2, 0x80, 0x100, 0x800
_REOPEN_LOG = b"2 0 0\n"


class LogLine(NamedTuple):
    """One line, or a piece of a long one (`is_whole` False). `time` is seconds since the epoch, `stamp` as written."""

    time: float
    stamp: str
    stream: str
    text: bytes
    is_whole: bool


def parse(raw: bytes) -> LogLine | None:
    """One raw line, without its line break; None for a torn one."""
    parts = raw.split(b" ", 3)
    if len(parts) < 4 or parts[2] not in {b"F", b"P"}:
        return None
    stamp = parts[0].decode(errors="replace")
    try:
        # Nanoseconds are more than fromisoformat takes.
        moment = datetime.fromisoformat(f"{stamp[:26]}{stamp[29:]}").timestamp()
    except ValueError:
        return None
    return LogLine(moment, stamp, parts[1].decode(errors="replace"), parts[3], parts[2] == b"F")


def files(path: str) -> list[str]:
    """The log and its older parts, oldest first."""
    older = [f"{path}.{number}" for number in range(KEPT_FILES, 0, -1)]
    return [name for name in (*older, path) if os.path.exists(name)]


def read_log(
    path: str, *, tail: int | None = None, since: float | None = None, until: float | None = None
) -> Iterator[LogLine]:
    """The lines of a log with its older parts. `tail` lines at most, times in seconds since the epoch."""
    source = _tail(path, tail) if tail is not None else _whole(path)
    for line in source:
        if since is not None and line.time < since:
            continue
        if until is not None and line.time > until:
            return
        yield line


def last_lines(path: str, count: int) -> list[LogLine]:
    """The last lines, none if there is no log."""
    return list(_tail(path, count))


def _whole(path: str) -> Iterator[LogLine]:
    for name in files(path):
        with suppress(FileNotFoundError), open(name, "rb") as file:
            for raw in file:
                line = parse(raw.rstrip(b"\n"))
                if line is not None:
                    yield line


def _tail(path: str, count: int) -> Iterator[LogLine]:
    """Reads blocks from the end until `count` whole lines are found."""
    if count <= 0:
        return
    found: list[LogLine] = []
    whole = 0
    for raw in _backwards(path):
        line = parse(raw)
        if line is None:
            continue
        if line.is_whole:
            if whole == count:
                break
            whole += 1
        found.append(line)
    yield from reversed(found)


def _backwards(path: str) -> Iterator[bytes]:
    for name in reversed(files(path)):
        with suppress(FileNotFoundError), open(name, "rb") as file:
            at = file.seek(0, os.SEEK_END)
            rest = b""
            while at:
                step = min(_BLOCK, at)
                at -= step
                file.seek(at)
                lines = (file.read(step) + rest).split(b"\n")
                rest = lines.pop(0)
                yield from (line for line in reversed(lines) if line)
            if rest:
                yield rest


class Follower:
    """Follows the logs of several containers at once, across rotation, woken by inotify."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")
        self._files: dict[str, _Followed] = {}
        self._watched: set[str] = set()

    def add(self, path: str, *, from_end: bool) -> None:
        """Follows this log; `from_end`: only what is written from now on."""
        self._files[path] = _Followed(path, from_end=from_end)
        # The directory, not the file: after a rotation the name is another file.
        self._watch(os.path.dirname(path))

    def watch(self, directory: str) -> None:
        """Wakes up for changes in this directory, too (exit files)."""
        self._watch(directory)

    def _watch(self, directory: str) -> None:
        if directory not in self._watched and os.path.isdir(directory):
            mask = _IN_MODIFY | _IN_MOVED_TO | _IN_CREATE
            if self._libc.inotify_add_watch(self._fd, directory.encode(), mask) >= 0:
                self._watched.add(directory)

    def new_lines(self, path: str) -> list[LogLine]:
        """What has been written to this log since the last call."""
        return self._files[path].read()

    def wait(self, timeout: float | None = None) -> None:
        """Until something changes, or `timeout` seconds."""
        select.select([self._fd], [], [], timeout)
        with suppress(BlockingIOError):
            while os.read(self._fd, 65536):
                continue

    def close(self) -> None:
        os.close(self._fd)


class _Followed:
    def __init__(self, path: str, *, from_end: bool) -> None:
        self._path = path
        self._file: int | None = None
        self._rest = b""
        self._open(from_end=from_end)

    def _open(self, *, from_end: bool) -> None:
        with suppress(FileNotFoundError):
            self._file = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            if from_end:
                os.lseek(self._file, 0, os.SEEK_END)

    def read(self) -> list[LogLine]:
        if self._file is None:
            self._open(from_end=False)
        if self._file is None:
            return []
        found = self._drain()
        if self._is_rotated():
            found += self._drain()  # what was written between the two looks
            self.close()
            self._open(from_end=False)
            if self._file is not None:
                found += self._drain()
        return found

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
        self._file, self._rest = None, b""

    def _is_rotated(self) -> bool:
        if self._file is None:
            return False
        try:
            there = os.stat(self._path)
        except FileNotFoundError:
            return False
        mine = os.fstat(self._file)
        return (there.st_dev, there.st_ino) != (mine.st_dev, mine.st_ino)

    def _drain(self) -> list[LogLine]:
        found = []
        while self._file is not None and (chunk := os.read(self._file, _BLOCK)):
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            found += [line for line in map(parse, lines) if line is not None]
        return found


def rotate_if_large(paths: Paths, container_id: str) -> bool:
    """Starts a new log file if the present one is over the cap; the oldest part goes. True if it did.

    The old file gets a second name, then conmon is told to open the path anew: no line is lost.
    """
    path = paths.log(container_id)
    try:
        if os.stat(path).st_size < ROTATE_AT:
            return False
        control = os.open(f"{paths.bundle(container_id)}/ctl", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False  # no log, or conmon is gone and with it whoever writes
    try:
        for number in range(KEPT_FILES - 1, 0, -1):
            with suppress(FileNotFoundError):
                os.rename(f"{path}.{number}", f"{path}.{number + 1}")
        os.rename(path, f"{path}.1")
        os.write(control, _REOPEN_LOG)
    finally:
        os.close(control)
    return True


def resize_command(rows: int, columns: int) -> bytes:
    """What conmon's control fifo takes for a new size of the terminal."""
    return f"1 {rows} {columns}\n".encode()


def window_size(fd: int) -> tuple[int, int] | None:
    """Rows and columns of a terminal, None if it is none."""
    import fcntl
    import termios

    try:
        rows, columns, _, _ = struct.unpack("HHHH", fcntl.ioctl(fd, termios.TIOCGWINSZ, bytes(8)))
    except OSError:
        return None
    return rows, columns
