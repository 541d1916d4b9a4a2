"""Files of the machine brought into a running container, and out of it again, whatever the container has put there.

All is done in the container's own mounts, from its root (/proc/PID/root) by openat2(2): links lead where they would
lead the container, never out of it. Nothing is opened that was not just made here, but a file that is mounted.
"""

from __future__ import annotations

import errno
import os
import posixpath
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

from composer.errors import ContainerError
from composer.host import kernel, process, trees
from composer.host.rootfs import ensure_directory
from composer.host.state import FirstProcess

_READ_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_MOUNTED_FILE = os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_BLOCK = 1 << 20


class Owner(NamedTuple):
    """Who owns what is brought in."""

    uid: int
    gid: int


class Pair(NamedTuple):
    """A path of the machine, and where it belongs in the container. `is_left_out` says of paths below it which are."""

    path: str
    target: str
    is_left_out: Callable[[str], bool] = lambda _: False


def sync(first: FirstProcess, pairs: Iterable[Pair], owner: Owner | None) -> None:
    """Makes each target as its path is now: copied, with all below if it is a directory, or removed if it is gone.

    Modes and times are kept; without `owner` the owners, too. A file is never seen half written. Sockets, pipes and
    devices are left out. Raises `ContainerError`, after all has been tried, for the first that failed.
    """
    failure: ContainerError | None = None
    with _root_of(first) as root:
        for pair in pairs:
            try:
                _bring(root, pair, owner)
            except OSError as error:
                why = "it is read-only there" if error.errno == errno.EROFS else error.strerror or str(error)
                failure = failure or ContainerError(f"{pair.path} could not be brought to {pair.target}: {why}")
            except ContainerError as error:
                failure = failure or error
    if failure is not None:
        raise failure


@contextmanager
def _root_of(first: FirstProcess) -> Iterator[int]:
    """The root of the container as its first process has it. Raises `ContainerError` if that is gone."""
    try:
        root = os.open(f"/proc/{first.pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        raise ContainerError("the container has ended") from None
    try:
        # It was that process before and after: so what was opened is its own.
        if not process.alive(*first):
            raise ContainerError("the container has ended")
        yield root
    finally:
        os.close(root)


def _bring(root: int, pair: Pair, owner: Owner | None) -> None:
    target = posixpath.normpath(f"/{pair.target.lstrip('/')}")
    for path, there, found in _entries(pair.path, target, pair.is_left_out):
        directory, name = posixpath.split(there)
        if found is None:
            _remove(root, directory, name)
        elif stat.S_ISDIR(found.st_mode):
            _make_directory(root, directory, name, found, owner)
        elif name and (stat.S_ISREG(found.st_mode) or stat.S_ISLNK(found.st_mode)):
            with _parent(root, directory, make=True) as parent:
                _put(parent, name, path, found, owner)


def _entries(
    path: str, target: str, is_left_out: Callable[[str], bool]
) -> Iterator[tuple[str, str, os.stat_result | None]]:
    """The path, and what is below it, each with its target and what it is (None: gone). Directories come first."""
    pending = [(path, target)]
    while pending:
        here, there = pending.pop()
        try:
            found = os.lstat(here)
        except (FileNotFoundError, NotADirectoryError):
            if here == path:
                yield here, there, None
            continue
        yield here, there, found
        if stat.S_ISDIR(found.st_mode):
            with suppress(FileNotFoundError, NotADirectoryError):
                pending += [
                    (f"{here}/{name}", f"{there.rstrip('/')}/{name}")
                    for name in sorted(os.listdir(here), reverse=True)
                    if not is_left_out(f"{here}/{name}")
                ]


@contextmanager
def _parent(root: int, directory: str, *, make: bool) -> Iterator[int]:
    """An open directory of the container; with `make` it is there afterwards, root's, as docker makes such."""
    path = os.fsencode(directory)
    flags = os.O_RDONLY | os.O_DIRECTORY
    try:
        fd = kernel.open_in_root(root, path, flags)
    except OSError as error:
        if error.errno != errno.ENOENT or not make:
            raise
        ensure_directory(f"/proc/self/fd/{root}", directory)
        fd = kernel.open_in_root(root, path, flags)
    try:
        yield fd
    finally:
        os.close(fd)


def _remove(root: int, directory: str, name: str) -> None:
    if not name:
        raise ContainerError("the root of a container is not removed")
    with suppress(FileNotFoundError, NotADirectoryError), _parent(root, directory, make=False) as parent:
        _clear(parent, name)


def _clear(parent: int, name: str) -> None:
    """Removes an entry, a directory with all in it. What is mounted there stays: that is an `OSError`."""
    if trees.is_mounted(parent, name):
        raise OSError(errno.EBUSY, "something is mounted there")
    try:
        os.unlink(name, dir_fd=parent)
    except IsADirectoryError:
        trees.remove_tree_at(parent, name, with_mounts=False)
    except FileNotFoundError:
        return


def _make_directory(root: int, directory: str, name: str, found: os.stat_result, owner: Owner | None) -> None:
    """What leads to a directory counts as one, and stays as it is: whose it is, the image has decided."""
    if not name:
        return
    with _parent(root, directory, make=True) as parent:
        try:
            here = os.stat(name, dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            pass
        else:
            if stat.S_ISDIR(here.st_mode) or stat.S_ISLNK(here.st_mode):
                return
            _clear(parent, name)
        os.mkdir(name, 0o700, dir_fd=parent)
        fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        try:
            _own(fd, found, owner)
        finally:
            os.close(fd)


def _put(parent: int, name: str, path: str, found: os.stat_result, owner: Owner | None) -> None:
    """A file or a link, under another name first and then in the place of what is there. Nothing can take the place of
    a file that is mounted: that is written anew.
    """
    if trees.is_mounted(parent, name):
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EBUSY, "something is mounted there")
        _copy(path, parent, name, _MOUNTED_FILE, owner)
        return
    temporary = f".jocker-{os.urandom(6).hex()}"
    try:
        if stat.S_ISLNK(found.st_mode):
            os.symlink(os.readlink(path), temporary, dir_fd=parent)
            uid, gid = owner or (found.st_uid, found.st_gid)
            os.chown(temporary, uid, gid, dir_fd=parent, follow_symlinks=False)
        elif not _copy(path, parent, temporary, _NEW_FILE, owner):
            return
        _move(parent, temporary, name)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=parent)


def _move(parent: int, temporary: str, name: str) -> None:
    try:
        os.rename(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)
    except IsADirectoryError:
        trees.remove_tree_at(parent, name, with_mounts=False)
        os.rename(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)


def _copy(path: str, parent: int, name: str, flags: int, owner: Owner | None) -> bool:
    """Copies a plain file; False if it is gone, or something else by now."""
    try:
        source = os.open(path, _READ_FILE)
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO}:
            return False
        raise
    try:
        found = os.fstat(source)
        if not stat.S_ISREG(found.st_mode):
            return False
        target = os.open(name, flags, 0o600, dir_fd=parent)
        try:
            if not stat.S_ISREG(os.fstat(target).st_mode):
                raise OSError(errno.EBUSY, "what is mounted there is no file")
            os.ftruncate(target, 0)
            while os.sendfile(target, source, None, _BLOCK):
                continue
            if flags & os.O_CREAT:
                _own(target, found, owner)
        finally:
            os.close(target)
    finally:
        os.close(source)
    return True


def _own(fd: int, found: os.stat_result, owner: Owner | None) -> None:
    """Owner before mode: chown clears setuid and setgid. Times last."""
    uid, gid = owner or (found.st_uid, found.st_gid)
    os.fchown(fd, uid, gid)
    os.fchmod(fd, stat.S_IMODE(found.st_mode))
    os.utime(fd, ns=(found.st_atime_ns, found.st_mtime_ns))
