"""Files that survive a crash: atomic writes, locks that die with their holder, reads that say nothing is there."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from composer.errors import LockTimeout


def write_atomic(path: str, data: bytes, *, mode: int = 0o600, sync: bool = True) -> None:
    """Writes `data` to `path`: a reader, or the next start after a crash, sees the old file or the new one.

    `sync` forces the bytes to disk before the rename; leave it off only below the run directory.
    """
    temporary = f"{path}.{os.getpid()}.{os.urandom(4).hex()}.tmp"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        try:
            _write_all(fd, data)
            if sync:
                os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(temporary, path)
    except BaseException as error:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        if isinstance(error, OSError):
            error.filename = path  # a full disk does not say for which file it is full
        raise


def write_plain(path: str, data: bytes, *, mode: int) -> None:
    """Writes `data` to `path`, which has exactly `mode` then, in place: for what nobody reads before this returns, and
    what is written again after a crash. Cheaper than `write_atomic`.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(path, flags, mode)
    try:
        _write_all(fd, data)
        os.fchmod(fd, mode)
    except OSError as error:
        error.filename = path
        raise
    finally:
        os.close(fd)


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def write_json(path: str, value: Any, *, sync: bool = True) -> None:
    """`write_atomic` of compact JSON."""
    write_atomic(path, json_bytes(value), sync=sync)


def json_bytes(value: Any) -> bytes:
    """Compact JSON. Bytes of paths that are not UTF-8 come out again as they went in."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode(errors="surrogatepass")


def read_json(path: str) -> Any | None:
    """The parsed file, or None if it is missing or not JSON (a torn write of another program)."""
    try:
        with open(path, "rb") as file:
            return json.loads(file.read())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None


def read_text(path: str) -> str | None:
    """The file's text, or None if it is missing."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None


def make_private(path: str) -> None:
    """Makes a directory with its missing parents, each for our own user alone: whatever the umask, nobody else gets to
    the files of containers, their setuid programs or their secrets. One that is there stays as it is.
    """
    while True:
        try:
            os.mkdir(path, 0o700)
        except FileNotFoundError:
            make_private(os.path.dirname(path))
        except FileExistsError:
            if os.path.isdir(path):
                return
            if os.path.lexists(path):  # else somebody has just removed it
                raise NotADirectoryError(errno.ENOTDIR, "Not a directory, and in the way of one", path) from None
        else:
            return


@contextmanager
def locked(path: str, *, shared: bool = False, timeout: float | None = None, what: str = "") -> Iterator[int]:
    """Holds an flock on `path` (made if missing, parents too) while the block runs; yields its descriptor.

    `timeout` in seconds, None waits for ever. The holder's pid and command stand in the file, so that the
    `LockTimeout` raised can name it. Whoever holds the lock may remove the
    file: those who wait notice, and take the new one.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    while True:
        try:
            make_private(os.path.dirname(path))
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            continue  # who had the lock has removed it and its directory between the two
        try:
            _flock(fd, path, shared=shared, deadline=deadline, what=what)
            if _is_same_file(fd, path):
                break
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)  # removed while we waited: take the new one
    try:
        if not shared:
            with suppress(OSError):  # on a full disk nobody could tidy up, for want of these few bytes
                os.ftruncate(fd, 0)
                os.pwrite(fd, f"{os.getpid()} {what}\n".encode(), 0)
        yield fd
    finally:
        os.close(fd)


def _flock(fd: int, path: str, *, shared: bool, deadline: float | None, what: str) -> None:
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    if deadline is None:
        fcntl.flock(fd, kind)
        return
    pause = 0.001
    while True:
        try:
            fcntl.flock(fd, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                holder = (read_text(path) or "").strip() or "another command"
                raise LockTimeout(
                    f"{what or path} is locked by {holder}",
                    hint="wait for it, or give more time with --lock-timeout SECONDS",
                    transient=True,
                ) from None
            time.sleep(pause)
            pause = min(2 * pause, 0.05)
        else:
            return


def _is_same_file(fd: int, path: str) -> bool:
    try:
        there = os.stat(path)
    except FileNotFoundError:
        return False
    mine = os.fstat(fd)
    return (mine.st_dev, mine.st_ino) == (there.st_dev, there.st_ino)
