"""Container logs as conmon writes them (`k8s-file`): `TIME stdout|stderr F|P TEXT`, F ending a line, P a piece of one.

conmon writes `log`. `log.0` is a second name of the same file, so that what conmon throws away when it starts a new
one stays; `log.1` to `log.3` are older parts (docs/decisions/logs.md). Read backwards for the tail, followed by
inotify.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import struct
import termios
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from datetime import datetime
from itertools import count, dropwhile
from typing import BinaryIO, NamedTuple

from composer.host.files import read_text, write_atomic
from composer.host.log_sizes import ROTATE_AT
from composer.model.process import Log
from composer.paths import Paths

OLDER_PARTS = 3
_BLOCK = 1 << 16
_IN_MODIFY, _IN_MOVED_TO, _IN_CREATE = 0x2, 0x80, 0x100


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


class Position(NamedTuple):
    """A place between two lines of a log: in which file, after how many bytes."""

    device: int
    inode: int
    offset: int


def read_log(
    path: str,
    *,
    tail: int | None = None,
    since: float | None = None,
    until: float | None = None,
    before: Position | None = None,
) -> Iterator[LogLine]:
    """The lines of a log with its older parts. `tail` lines at most, times in seconds since the epoch.

    `before`: only what stands before that place (from `Follower.add`): so nothing is shown twice, and nothing lost.
    """
    with ExitStack() as opened:
        parts = _opened(path, opened, before)
        for line in _whole(parts) if tail is None else reversed(_last(parts, tail)):
            if since is not None and line.time < since:
                continue
            if until is not None and line.time > until:
                return
            yield line


def last_lines(path: str, count: int, *, most: int = 1 << 16) -> list[LogLine]:
    """The last lines, none if there is no log; cut at the front after `most` bytes of text."""
    with ExitStack() as opened:
        return _last(_opened(path, opened), count, most)[::-1]


class _Part(NamedTuple):
    """One file of a log, to be read up to `end`."""

    file: BinaryIO
    end: int


def _opened(path: str, opened: ExitStack, before: Position | None = None) -> list[_Part]:
    """The parts of a log, oldest first, each file once under whatever names.

    From new to old: a rotation meanwhile gives files higher numbers, so none can be missed. One that puts a newer file
    below what we have opened is seen by the first name, and we begin again.
    """
    found: dict[tuple[int, int], _Part] = {}
    for tries_left in range(9, -1, -1):
        with ExitStack() as attempt:
            found = {}
            for name in _names(path):
                with suppress(FileNotFoundError):
                    file = attempt.enter_context(open(name, "rb"))
                    status = os.fstat(file.fileno())
                    found.setdefault(_identity(status), _Part(file, status.st_size))
            if next(iter(found), None) in {_identity_at(path), None} or not tries_left:
                opened.push(attempt.pop_all())
                break
    parts = list(found.items())
    if before is not None:
        parts = list(dropwhile(lambda part: part[0] != before[:2], parts))
        parts[:1] = [(identity, _Part(part.file, before.offset)) for identity, part in parts[:1]]
    return [part for _, part in reversed(parts)]


def _names(path: str) -> Iterator[str]:
    """The names that parts may have, newest first."""
    yield path
    for number in count():
        name = f"{path}.{number}"
        if number > OLDER_PARTS and not os.path.exists(name):
            return
        yield name


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _identity_at(path: str) -> tuple[int, int] | None:
    try:
        return _identity(os.stat(path))
    except FileNotFoundError:
        return None


def _whole(parts: list[_Part]) -> Iterator[LogLine]:
    for part in parts:
        left = part.end
        while left > 0 and (raw := part.file.readline(left)):
            left -= len(raw)
            line = parse(raw.rstrip(b"\n"))
            if line is not None:
                yield line


def _last(parts: list[_Part], count: int, most: int | None = None) -> list[LogLine]:
    """The last `count` lines with all their pieces, newest first."""
    found: list[LogLine] = []
    lines = size = 0
    for line in filter(None, map(parse, _backwards(parts))):
        # A piece whose line never ended, and one that another stream cut in two, are shown as lines of their own.
        if not found or line.is_whole or line.stream != found[-1].stream:
            lines += 1
        if lines > count or (most is not None and size >= most):
            break
        found.append(line)
        size += len(line.text)
    return found


def _backwards(parts: list[_Part]) -> Iterator[bytes]:
    for part in reversed(parts):
        at = part.end
        rest = b""
        while at:
            step = min(_BLOCK, at)
            at -= step
            part.file.seek(at)
            lines = (part.file.read(step) + rest).split(b"\n")
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

    def add(self, path: str, *, from_end: bool) -> Position:
        """Follows this log from its end, or from where its present file begins. Gives that place."""
        # The directory, not the file: after a rotation the name is another file.
        self._watch(os.path.dirname(path))
        followed = self._files[path] = _Followed(path)
        return followed.place(from_end=from_end)

    def watch(self, directory: str) -> None:
        """Wakes up for changes in this directory, too (exit files)."""
        self._watch(directory)

    def _watch(self, directory: str) -> None:
        if directory not in self._watched and os.path.isdir(directory):
            mask = _IN_MODIFY | _IN_MOVED_TO | _IN_CREATE
            if self._libc.inotify_add_watch(self._fd, os.fsencode(directory), mask) >= 0:
                self._watched.add(directory)

    def new_lines(self, path: str) -> list[LogLine]:
        """What has been written to this log since the last call."""
        return self._files[path].read()

    def fileno(self) -> int:
        """The descriptor that becomes readable when something changes."""
        return int(self._fd)

    def wait(self, timeout: float | None = None) -> bool:
        """Until something changes (True), or `timeout` seconds."""
        ready, _, _ = select.select([self._fd], [], [], timeout)
        with suppress(BlockingIOError):
            while os.read(self._fd, _BLOCK):
                continue
        return bool(ready)

    def close(self) -> None:
        for followed in self._files.values():
            followed.close()
        os.close(self._fd)


class _Followed:
    """One log that is followed: the file read from now, and the torn line at its end."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._rest = b""
        with suppress(FileNotFoundError):
            self._file = open(path, "rb", buffering=0)  # noqa: SIM115  kept, see close

    def place(self, *, from_end: bool) -> Position:
        """Where reading begins; `from_end`: goes to the end of the last whole line."""
        if self._file is None:
            return Position(0, 0, 0)
        offset = 0
        if from_end:
            end = self._file.seek(0, os.SEEK_END)
            start = max(0, end - _BLOCK)  # conmon's lines are shorter than that
            self._file.seek(start)
            offset = start + self._file.read(end - start).rfind(b"\n") + 1
            self._file.seek(offset)
        return Position(*_identity(os.fstat(self._file.fileno())), offset)

    def read(self) -> list[LogLine]:
        """What has come since the last call, from as many files as have been started since."""
        is_rotated = self._is_rotated()  # before reading: what is written to the old file comes before the new one
        found = self._drain()
        if is_rotated:
            found += self._next_parts()
        return found

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file = None

    def _is_rotated(self) -> bool:
        there = _identity_at(self._path)
        return there is not None and there != self._mine()

    def _mine(self) -> tuple[int, int] | None:
        return _identity(os.fstat(self._file.fileno())) if self._file is not None else None

    def _next_parts(self) -> list[LogLine]:
        found: list[LogLine] = []
        with ExitStack() as opened:
            parts = _opened(self._path, opened)
            known = [_identity(os.fstat(part.file.fileno())) for part in parts]
            mine = self._mine()
            after = known.index(mine) + 1 if mine in known else 0
            for part in parts[after:]:
                self.close()
                self._rest = b""
                self._file = open(os.dup(part.file.fileno()), "rb", buffering=0)  # noqa: SIM115  kept, see close
                found += self._drain()
        return found

    def _drain(self) -> list[LogLine]:
        found: list[LogLine] = []
        while self._file is not None and (chunk := self._file.read(_BLOCK)):
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            found += filter(None, map(parse, lines))
        return found


def limit(paths: Paths, container_id: str, log: Log) -> None:
    """Writes down what `rotate` is to keep of this container's log, if the stack file says so."""
    if log.driver == "file" and log.max_size:
        text = f"{log.max_size} {log.max_files}\n"
        write_atomic(f"{paths.log(container_id)}.limits", text.encode(), sync=False)


class _Limits(NamedTuple):
    """Bytes after which a new file is ordered (0: conmon sees to it, or nobody), and how many older ones stay."""

    order_at: int
    older: int


def _limits(path: str) -> _Limits:
    try:
        size, files = map(int, (read_text(f"{path}.limits") or "").split())
    except ValueError:
        return _Limits(ROTATE_AT, OLDER_PARTS)
    return _Limits(0, files - 1 if size > 0 else 0)


def rotate(paths: Paths, container_ids: Iterable[str]) -> None:
    """Keeps logs in bounds: one stat(2) for each, and for one that is too large a new file and an end of the oldest.

    No line is lost. To be called by whatever comes by; who comes at the same time as another does nothing.
    """
    for container_id in container_ids:
        path = paths.log(container_id)
        with suppress(OSError):  # gone, in another's hands, a full disk: none is worth a failed command
            found = os.stat(path)
            if found.st_nlink < 2 or found.st_size >= ROTATE_AT:
                _rotate(path, f"{paths.bundle(container_id)}/ctl", _limits(path))


def _rotate(path: str, control: str, limits: _Limits) -> None:
    directory = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _keep(path, limits.older)
        due = limits.order_at and os.stat(path).st_size >= limits.order_at
        if due and _start_new_file(path, control):
            _keep(path, limits.older)
    finally:
        os.close(directory)


def _keep(path: str, older: int) -> None:
    """Gives the present file its second name; older parts move up, and what had the last number goes."""
    with open(path, "rb") as file:
        if _identity(os.fstat(file.fileno())) == _identity_at(f"{path}.0"):
            return
        # Only up to the first gap: after a crash in the middle of this, nothing moves twice.
        names = [f"{path}.{number}" for number in range(older + 1)]
        free = next((number for number, name in enumerate(names) if not os.path.exists(name)), older)
        for number in range(free, 0, -1):
            os.rename(names[number - 1], names[number])
        if not older:
            with suppress(FileNotFoundError):
                os.unlink(names[0])
        # This very file, whatever its first name means by now. Without a dir_fd Python would not follow the link.
        here = file.fileno()
        os.link(f"/proc/self/fd/{here}", names[0], src_dir_fd=here, follow_symlinks=True)


def _start_new_file(path: str, control: str) -> bool:
    """Has conmon go on in a new file. False if it did not within a second, or is gone and with it whoever writes."""
    before = _identity_at(path)
    try:
        fd = os.open(control, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        # An order that conmon has not read yet is not given twice: the second would throw the new file away.
        (unread,) = struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, bytes(4)))
        if not unread:
            os.write(fd, _order("2 0 0"))
        deadline = time.monotonic() + 1.0
        while _identity_at(path) == before and time.monotonic() < deadline:
            time.sleep(0.001)
    finally:
        os.close(fd)
    return _identity_at(path) != before


def _order(text: str) -> bytes:
    """One line as long as conmon's buffer: of several short ones read at once it (before 2.2) repeats the first."""
    return text.ljust(198).encode() + b"\n"


def resize_order(rows: int, columns: int) -> bytes:
    """What conmon's fifo `winsz` takes for a new size of the terminal."""
    return _order(f"{rows} {columns}")


def window_size(fd: int) -> tuple[int, int] | None:
    """Rows and columns of a terminal, None if it is none."""
    try:
        rows, columns, _, _ = struct.unpack("HHHH", fcntl.ioctl(fd, termios.TIOCGWINSZ, bytes(8)))
    except OSError:
        return None
    return rows, columns
