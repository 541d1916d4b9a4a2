"""A mounted root file system of an image or a container: looked into and touched without ever being trusted.

Every path is opened by openat2(2) in the root, every file looked at before it is opened, every read bounded. A root is
to be checked before each start, not only the first: the container itself may have left traps in it.
"""

from __future__ import annotations

import errno
import os
import posixpath
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from composer.bundle.context import ProcessUser
from composer.bundle.users import find_user
from composer.errors import ContainerError
from composer.host import kernel, trees

_MAX_FILE = 1024 * 1024
_MAX_LINKS = 40  # the kernel's own limit of links in one path

_RUNTIME_READS = ("etc/passwd", "etc/group")
_RUNTIME_MOUNTS = ("dev", "proc", "sys")


def check_rootfs(rootfs: str) -> None:
    """Makes sure that the runtime can work in this root without being led out of it or hanging.

    `dev`, `proc` and `sys` must be directories or not there: runc makes devices and mounts by these names, and
    versions in use follow a link (CVE-2026-41579). `etc` may be a link, if one that stays inside however it is
    followed. passwd and group must be plain files: runc opens them itself, and waits for ever on a fifo.
    Raises `ContainerError`.
    """
    with _opened(rootfs) as root:
        for name in _RUNTIME_MOUNTS:
            try:
                found = os.stat(name, dir_fd=root, follow_symlinks=False)
            except FileNotFoundError:
                continue
            if not stat.S_ISDIR(found.st_mode):
                raise ContainerError(f"the image's /{name} is {_kind(found)}, not a directory: refused")
        try:
            os.close(kernel.open_in_root(root, b"etc", resolve=kernel.RESOLVE_BENEATH))
        except OSError as error:
            if error.errno != errno.ENOENT or _is_link(root, "etc"):
                raise ContainerError("the image's /etc is not a directory within the image: refused") from None
        for path in _RUNTIME_READS:
            _require_plain(root, path)


def look_up_user(rootfs: str, spec_user: str, group_add: tuple[str, ...] = ()) -> ProcessUser:
    """The user of the process by the image's own passwd and group files (`bundle.users` has the rules).

    Raises `ContainerError` for an unknown name, and for files that are not plain or larger than 1 MiB.
    """
    with _opened(rootfs) as root:
        return find_user(_read(root, "etc/passwd"), _read(root, "etc/group"), spec_user, group_add)


def ensure_directory(rootfs: str, path: str) -> None:
    """Makes the directory `path` with its parents as root:root 0755, as docker does with WorkingDir.

    Links of the image are followed as the container would follow them, dangling ones too. Raises `ContainerError`
    if something else than a directory is in the way.
    """
    if "\0" in path:
        raise ContainerError(f"{path!r} is not a path")
    with _opened(rootfs) as root:
        _make_directories(root, posixpath.normpath(f"/{path.lstrip('/')}"), path)


def copy_up(rootfs: str, path: str, volume_data_dir: str) -> None:
    """Fills an empty volume with what the image has at `path`; docker's rules.

    Only an empty volume is filled. Its root takes owner and mode of the image's directory, or stays as it is when
    the image has none there. Raises `ContainerError` if the image has a file there or the copy fails.
    """
    target = os.open(volume_data_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if os.listdir(target):
            return
        with _opened(rootfs) as root:
            try:
                source = kernel.open_in_root(root, os.fsencode(path), os.O_RDONLY | os.O_DIRECTORY)
            except OSError as error:
                if error.errno == errno.ENOENT:
                    return
                raise _unusable(path, error) from None
            try:
                trees.copy_tree(source, target)
            except OSError as error:
                raise ContainerError(f"the volume for {path!r} could not be filled: {error.strerror}") from error
            finally:
                os.close(source)
    finally:
        os.close(target)


@contextmanager
def _opened(rootfs: str) -> Iterator[int]:
    fd = os.open(rootfs, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def _read(root: int, path: str) -> bytes:
    """A plain file's content, b"" if it is missing."""
    fd = _require_plain(root, path, keep=True)
    if fd < 0:
        return b""
    try:
        # Opened only now that it is known to be plain: opening a device may already act on it.
        with open(f"/proc/self/fd/{fd}", "rb") as file:
            content = file.read(_MAX_FILE + 1)
    finally:
        os.close(fd)
    if len(content) > _MAX_FILE:
        raise ContainerError(f"the image's /{path} is larger than 1 MiB: refused")
    return content


def _require_plain(root: int, path: str, *, keep: bool = False) -> int:
    """Looks that `path` is a plain file of bearable size or missing; with `keep` gives its O_PATH descriptor, or -1."""
    try:
        fd = kernel.open_in_root(root, path.encode(), os.O_PATH)
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ENOTDIR}:
            return -1
        raise _unusable(f"/{path}", error) from None
    found = os.fstat(fd)
    if stat.S_ISREG(found.st_mode) and found.st_size <= _MAX_FILE:
        if keep:
            return fd
        os.close(fd)
        return -1
    os.close(fd)
    if stat.S_ISREG(found.st_mode):
        raise ContainerError(f"the image's /{path} is larger than 1 MiB: refused")
    raise ContainerError(f"the image's /{path} is {_kind(found)}, not a plain file: refused")


def _make_directories(root: int, path: str, shown: str) -> None:
    done, rest, links = "", path.split("/"), 0
    while rest:
        name = rest.pop(0)
        if name in {"", "."}:
            continue
        here = f"{done}/{name}"
        try:
            os.close(kernel.open_in_root(root, os.fsencode(here)))
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise _unusable(shown, error) from None
            parent = kernel.open_in_root(root, os.fsencode(done) or b"/")
            try:
                if _is_link(parent, name):
                    # It points to nothing yet: what it points to is made instead.
                    links += 1
                    if links > _MAX_LINKS:
                        raise ContainerError(f"{shown!r}: too many links in the image") from None
                    target = os.readlink(name, dir_fd=parent)
                    done = "" if target.startswith("/") else done
                    rest = [*target.split("/"), *rest]
                    continue
                _make_directory(parent, name)
            finally:
                os.close(parent)
        done = here


def _make_directory(parent: int, name: str) -> None:
    os.mkdir(name, 0o755, dir_fd=parent)
    fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        os.fchown(fd, 0, 0)
        os.fchmod(fd, 0o755)  # mkdir's mode went through the umask
    finally:
        os.close(fd)


def _is_link(directory: int, name: str) -> bool:
    try:
        return stat.S_ISLNK(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False


def _kind(found: os.stat_result) -> str:
    kinds = {
        stat.S_IFLNK: "a link",
        stat.S_IFIFO: "a fifo",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
        stat.S_IFDIR: "a directory",
        stat.S_IFREG: "a file",
    }
    return kinds.get(stat.S_IFMT(found.st_mode), "something odd")


def _unusable(path: str, error: OSError) -> ContainerError:
    if error.errno == errno.ENOTDIR:
        return ContainerError(f"{path!r} is not a directory in the image")
    return ContainerError(f"{path!r} cannot be used in the image: {os.strerror(error.errno or 0)}")
