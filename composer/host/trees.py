"""Whole directory trees, by descriptors: copied and removed without following a link, however deep or odd they are.

Trees come from images and containers. Nothing but regular files is ever read (a fifo hangs, /dev/zero never ends),
no name is opened through a link or a mount, and depth costs neither descriptors nor the interpreter's stack: one
descriptor goes down and comes back by `..`.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import suppress

from composer.host import kernel

_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

# Overlayfs keeps its own marks in these; copied, they would hide files of the next overlay.
_OVERLAY_MARKS = ("trusted.overlay.", "user.overlay.")


class _Walker:
    """A directory descriptor that goes down into children and back up, and knows whether it came back to its parent."""

    def __init__(self, fd: int) -> None:
        self.fd = os.dup(fd)
        self._above: list[tuple[int, int]] = []

    def down(self, name: str, *, with_mounts: bool = False) -> None:
        # What is mounted in a tree is somebody else's: EXDEV instead of emptying a directory of the machine.
        how = kernel.RESOLVE_BENEATH | (0 if with_mounts else kernel.RESOLVE_NO_XDEV)
        child = kernel.open_in_root(self.fd, os.fsencode(name), _OPEN_DIRECTORY, resolve=how)
        self._above.append(_identity(os.fstat(self.fd)))
        os.close(self.fd)
        self.fd = child

    def up(self) -> None:
        parent = os.open("..", _OPEN_DIRECTORY, dir_fd=self.fd)
        os.close(self.fd)
        self.fd = parent
        if _identity(os.fstat(parent)) != self._above.pop():
            raise OSError(errno.ESTALE, "the directory was moved while we worked in it")

    def close(self) -> None:
        os.close(self.fd)


def copy_tree(source_fd: int, target_fd: int) -> None:
    """Copies what is in one directory into another, empty one, and that directory's own attributes onto it.

    Content with holes, owners, modes, times, xattrs, hard links, links, fifos and devices are kept; sockets are left
    out. Raises `OSError`; what was copied until then stays.
    """
    source, target = _Walker(source_fd), _Walker(target_fd)
    copied: dict[tuple[int, int], str] = {}
    path: list[str] = []
    pending = [os.listdir(source.fd)]
    try:
        while True:
            if pending[-1]:
                name = pending[-1].pop()
                found = os.stat(name, dir_fd=source.fd, follow_symlinks=False)
                if stat.S_ISDIR(found.st_mode):
                    os.mkdir(name, 0o700, dir_fd=target.fd)
                    source.down(name)
                    target.down(name)
                    path.append(name)
                    pending.append(os.listdir(source.fd))
                elif not _linked(found, copied, name, target_fd, target.fd):
                    _copy_entry(found, name, source.fd, target.fd)
                    if found.st_nlink > 1:
                        copied[_identity(found)] = "/".join((*path, name))
                continue
            _copy_attributes(os.fstat(source.fd), source.fd, target.fd)
            pending.pop()
            if not pending:
                return
            source.up()
            target.up()
            path.pop()
    finally:
        source.close()
        target.close()


def copy_entry(source_fd: int, name: str, target_fd: int) -> None:
    """Copies one entry of a directory, whatever it is, into another directory that has none of that name."""
    found = os.stat(name, dir_fd=source_fd, follow_symlinks=False)
    if not stat.S_ISDIR(found.st_mode):
        _copy_entry(found, name, source_fd, target_fd)
        return
    os.mkdir(name, 0o700, dir_fd=target_fd)
    source, target = _Walker(source_fd), _Walker(target_fd)
    try:
        source.down(name)
        target.down(name)
        copy_tree(source.fd, target.fd)
    finally:
        source.close()
        target.close()


def entries(path: str, *, with_mounts: bool = False) -> Iterator[tuple[int, str, os.stat_result]]:
    """Everything below a directory, each with the descriptor of where it is, which is good until the next is asked for.

    What goes away meanwhile is left out, and so is what is mounted below unless `with_mounts`. Raises `OSError` if the
    directory cannot be opened, or is turned upside down while we are in it.
    """
    fd = os.open(path, _OPEN_DIRECTORY)
    walker = _Walker(fd)
    os.close(fd)
    pending = [os.listdir(walker.fd)]
    try:
        while True:
            while pending[-1]:
                name = pending[-1].pop()
                try:
                    found = os.stat(name, dir_fd=walker.fd, follow_symlinks=False)
                    if stat.S_ISDIR(found.st_mode):
                        walker.down(name, with_mounts=with_mounts)
                        pending.append([])
                except OSError:
                    continue  # gone, a mount, or another thing by now
                if stat.S_ISDIR(found.st_mode):
                    yield walker.fd, ".", found
                    pending[-1] = os.listdir(walker.fd)
                else:
                    yield walker.fd, name, found
            pending.pop()
            if not pending:
                return
            walker.up()
    finally:
        walker.close()


def disk_size(path: str) -> int:
    """Bytes on disk of what is in a directory, without what is mounted there; what is not there has none."""
    total = 0
    seen: set[tuple[int, int]] = set()
    with suppress(OSError):
        for _, _, found in entries(path):
            if found.st_nlink > 1 and not stat.S_ISDIR(found.st_mode):
                if _identity(found) in seen:
                    continue
                seen.add(_identity(found))
            total += found.st_blocks * 512
    return total


def remove_tree(path: str) -> None:
    """Removes a directory and all in it; nothing happens if it is not there. Raises `OSError` (a mount: EXDEV)."""
    remove_tree_at(None, path)


def is_mounted(directory_fd: int, name: str) -> bool:
    """Whether something is mounted on an entry of a directory, whoever's mount that is.

    The kernel refuses to remove what is mounted on (EBUSY) to those alone who see the mount: for us a mount of a
    container is in nobody's way, and it would go.
    """
    flags, resolve = os.O_PATH | os.O_NOFOLLOW, kernel.RESOLVE_BENEATH | kernel.RESOLVE_NO_XDEV
    try:
        os.close(kernel.open_in_root(directory_fd, os.fsencode(name), flags, resolve=resolve))
    except OSError as error:
        if error.errno == errno.ENOENT:
            return False
        if error.errno != errno.EXDEV:
            raise
        return True
    return False


def remove_tree_at(directory_fd: int | None, name: str | bytes, *, with_mounts: bool = True) -> None:
    """`remove_tree` of `name` in an open directory; links are removed, never followed. Where a container's mounts may
    be below, `with_mounts` is to be False: at the first one that is an `OSError` (EBUSY).
    """
    try:
        fd = os.open(name, _OPEN_DIRECTORY, dir_fd=directory_fd)
    except FileNotFoundError:
        return
    walker = _Walker(fd)
    os.close(fd)
    names: list[str] = []
    pending = [os.listdir(walker.fd)]
    try:
        while True:
            if pending[-1]:
                entry = pending[-1].pop()
                try:
                    if not with_mounts and is_mounted(walker.fd, entry):
                        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), entry)
                    os.unlink(entry, dir_fd=walker.fd)
                except IsADirectoryError:
                    walker.down(entry)
                    names.append(entry)
                    pending.append(os.listdir(walker.fd))
                except FileNotFoundError:
                    continue
                continue
            pending.pop()
            if not pending:
                break
            walker.up()
            os.rmdir(names.pop(), dir_fd=walker.fd)
    finally:
        walker.close()
    with suppress(FileNotFoundError):
        os.rmdir(name, dir_fd=directory_fd)


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _linked(found: os.stat_result, copied: dict[tuple[int, int], str], name: str, root_fd: int, target_fd: int) -> bool:
    """Makes `name` a hard link if its file was copied before under another name."""
    first = copied.get(_identity(found)) if found.st_nlink > 1 else None
    if first is None:
        return False
    try:
        os.link(first, name, src_dir_fd=root_fd, dst_dir_fd=target_fd, follow_symlinks=False)
    except OSError as error:
        if error.errno not in {errno.ENAMETOOLONG, errno.EMLINK}:
            raise
        return False
    return True


def _copy_entry(found: os.stat_result, name: str, source_fd: int, target_fd: int) -> None:
    kind = stat.S_IFMT(found.st_mode)
    times = (found.st_atime_ns, found.st_mtime_ns)
    if kind == stat.S_IFREG:
        _copy_file(name, source_fd, target_fd)
    elif kind == stat.S_IFLNK:
        os.symlink(os.readlink(name, dir_fd=source_fd), name, dir_fd=target_fd)
        os.chown(name, found.st_uid, found.st_gid, dir_fd=target_fd, follow_symlinks=False)
        os.utime(name, ns=times, dir_fd=target_fd, follow_symlinks=False)
    elif kind in {stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK}:
        if kind == stat.S_IFCHR and found.st_rdev == 0:
            return  # a whiteout: it means that nothing is there
        os.mknod(name, found.st_mode, found.st_rdev, dir_fd=target_fd)
        os.chown(name, found.st_uid, found.st_gid, dir_fd=target_fd, follow_symlinks=False)
        os.chmod(name, stat.S_IMODE(found.st_mode), dir_fd=target_fd)  # mknod's mode went through the umask
        os.utime(name, ns=times, dir_fd=target_fd, follow_symlinks=False)


def _copy_file(name: str, source_fd: int, target_fd: int) -> None:
    source = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=source_fd)
    try:
        found = os.fstat(source)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.ESTALE, "the file was replaced while we worked", name)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        target = os.open(name, flags, 0o600, dir_fd=target_fd)
        try:
            _copy_data(source, target, found.st_size)
            _copy_attributes(found, source, target)
        finally:
            os.close(target)
    finally:
        os.close(source)


def _copy_data(source: int, target: int, size: int) -> None:
    """Only what is data: a sparse file of a terabyte is as quick as it is small."""
    offset = 0
    while offset < size:
        try:
            offset = os.lseek(source, offset, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:  # ENXIO: nothing but a hole from here on
                raise
            break
        end = os.lseek(source, offset, os.SEEK_HOLE)
        os.lseek(target, offset, os.SEEK_SET)
        while offset < end:
            sent = os.sendfile(target, source, offset, end - offset)
            if not sent:
                break
            offset += sent
        offset = end
    os.ftruncate(target, size)


def _copy_attributes(found: os.stat_result, source: int, target: int) -> None:
    """Owner before mode: chown clears setuid and setgid. Times last."""
    os.fchown(target, found.st_uid, found.st_gid)
    os.fchmod(target, stat.S_IMODE(found.st_mode))
    for name in _xattrs(source):
        if name.startswith(_OVERLAY_MARKS):
            continue
        try:
            os.setxattr(target, name, os.getxattr(source, name))
        except OSError as error:
            # A file capability that gets lost changes what a program can do; other attributes are a nicety.
            if name == "security.capability" or error.errno not in {errno.ENOTSUP, errno.EPERM, errno.ENODATA}:
                raise
    os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))


def _xattrs(fd: int) -> list[str]:
    try:
        return os.listxattr(fd)
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise
        return []
