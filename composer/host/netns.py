"""Network namespaces pinned to files: made, entered, removed (network_namespaces(7)).

unshare(2) and setns(2) act on the thread that calls them, and coming back may be forbidden. So whoever enters a
namespace is a thread that ends there. "Here" is the namespace of the calling thread.
"""

from __future__ import annotations

import ctypes
import errno
import os
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Generic, TypeVar

from composer.host import kernel

T = TypeVar("T")

_libc = ctypes.CDLL(None, use_errno=True)
_NEWNET = 0x40000000
_MS_BIND = 4096
_OWN = "/proc/thread-self/ns/net"


def create(path: str, furnish: Callable[[], T]) -> T:
    """Makes a namespace, runs `furnish` in it, and only then pins it to `path`; gives what that gave.

    Whatever is at `path` is removed first. Whoever is killed in between leaves at most an empty file: without a pin the
    namespace goes with the thread. Raises what `furnish` raises, and `OSError`.
    """
    remove(path)

    def work() -> T:
        unshare()
        made = furnish()
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444))
        try:
            kernel.mount(_OWN, path, None, _MS_BIND)
        except BaseException:
            os.unlink(path)
            raise
        return made

    return in_thread(work)


def pin(path: str, pid: int) -> None:
    """Pins the namespace that a process is in to `path`; whatever is there is removed first. Raises `OSError`."""
    remove(path)
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444))
    try:
        kernel.mount(f"/proc/{pid}/ns/net", path, None, _MS_BIND)
    except BaseException:
        os.unlink(path)
        raise


def inside(path: str, function: Callable[[], T]) -> T:
    """Runs `function` in the namespace pinned at `path`; its result or exception comes back.

    Raises `FileNotFoundError` if there is none.
    """

    def work() -> T:
        enter(path)
        return function()

    return in_thread(work)


def exists(path: str) -> bool:
    """Whether a namespace is pinned at `path`: not an empty file, as a crash may leave it."""
    return identity(path) is not None


def identity(path: str) -> int | None:
    """A number that no other living namespace has, or None if none is pinned at `path`."""
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_ino if found.st_dev == os.stat("/proc/self/ns/net").st_dev else None


def remove(path: str) -> None:
    """Takes away pin and file. The namespace goes with its last process, a moment later. None need be there."""
    with suppress(FileNotFoundError):
        while True:  # several may lie over one another
            try:
                kernel.umount(path, kernel.MNT_DETACH)
            except OSError as error:
                if error.errno != errno.EINVAL:  # not a mount point
                    raise
                break
        os.unlink(path)


def open_pinned(path: str) -> int:
    """A descriptor of the namespace at `path`. Raises `FileNotFoundError` if there is none."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    if os.fstat(fd).st_dev != os.stat("/proc/self/ns/net").st_dev:
        os.close(fd)
        raise FileNotFoundError(errno.ENOENT, "No network namespace is pinned here", path)
    return fd


def open_here() -> int:
    """A descriptor of the calling thread's namespace."""
    return os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)


def in_thread(work: Callable[[], T]) -> T:
    """Runs `work` in a thread of its own, which may change its namespaces, and waits for it."""
    thread = _Errand(work)
    thread.start()
    thread.join()
    return thread.outcome()


def unshare() -> None:
    """Puts the calling thread, one of `in_thread`, into a new network namespace."""
    if _libc.unshare(_NEWNET):
        _refuse("unshare", "a network namespace")


def enter(path: str) -> None:
    """Puts the calling thread, one of `in_thread`, into the namespace pinned at `path`."""
    fd = open_pinned(path)
    try:
        enter_opened(fd)
    finally:
        os.close(fd)


def enter_opened(fd: int) -> None:
    """As `enter`, by a descriptor."""
    if _libc.setns(fd, _NEWNET):
        _refuse("setns", f"fd {fd}")


def set_sysctls(values: Mapping[str, str]) -> None:
    """Writes `net/...` settings of the calling thread's namespace. Raises `OSError`."""
    for name, value in values.items():
        fd = os.open(f"/proc/sys/{name}", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, value.encode())
        finally:
            os.close(fd)


def sysctl(name: str) -> str | None:
    """A `net/...` setting of the calling thread's namespace, or None if this kernel has none of that name."""
    try:
        with open(f"/proc/sys/{name}") as file:
            return file.read().strip()
    except FileNotFoundError:
        return None


class _Errand(threading.Thread, Generic[T]):
    def __init__(self, work: Callable[[], T]) -> None:
        super().__init__(name="netns")
        self._work = work
        self._result: list[T] = []
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            self._result.append(self._work())
        except BaseException as error:  # noqa: BLE001  it is raised where somebody waits for it
            self._error = error

    def outcome(self) -> T:
        if self._error is not None:
            raise self._error
        return self._result[0]


def _refuse(call: str, what: str) -> None:
    number = ctypes.get_errno()
    raise OSError(number, f"{call}: {os.strerror(number)}", what)
