"""Thin calls into the kernel: one ctypes door, one error function. Numbers are from man 2 and uapi headers."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Mapping
from contextlib import ExitStack
from typing import NoReturn

_libc = ctypes.CDLL(None, use_errno=True)
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long

# New system calls have one number on every architecture.
_OPEN_TREE, _MOVE_MOUNT, _FSOPEN, _FSCONFIG, _FSMOUNT, _OPENAT2, _MOUNT_SETATTR = 428, 429, 430, 431, 432, 437, 442

RESOLVE_NO_XDEV = 0x01
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_BENEATH = 0x08
RESOLVE_IN_ROOT = 0x10
MNT_DETACH = 2
NOSUID_NODEV_NOEXEC = 2 | 4 | 8
_MS_BIND, _MS_REC = 4096, 16384
_MOUNT_ATTR_RDONLY = 1
_MOUNT_ATTR_NOSUID = 2
_MOUNT_ATTR_NODEV = 4
_ATTRIBUTES = {1: 1, 2: 2, 4: 4, 8: 8, 1 << 10: 0x10, 1 << 11: 0x80, 1 << 24: 0x20}
"""Flags of mount(2) as attributes of mount_setattr(2): ro, nosuid, nodev, noexec, the kinds of atime."""
_ATIME = 0x70
_AT_EMPTY_PATH, _AT_RECURSIVE = 0x1000, 0x8000


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def _refuse(call: str, path: bytes | str) -> NoReturn:
    number = ctypes.get_errno()
    raise OSError(number, f"{call}: {os.strerror(number)}", os.fsdecode(path))


def open_in_root(
    root_fd: int,
    path: bytes,
    flags: int = os.O_PATH | os.O_DIRECTORY,
    mode: int = 0,
    *,
    resolve: int = RESOLVE_IN_ROOT,
) -> int:
    """Opens `path` as if `root_fd` were `/`: no link and no `..` leads out of it. Returns a descriptor (close-on-exec).

    openat2(2) with RESOLVE_IN_ROOT; raises `OSError`. With RESOLVE_BENEATH an absolute link or a `..` that would
    leave is an error (EXDEV) instead of being taken from the root.
    """
    how = _OpenHow(flags | os.O_CLOEXEC, mode, resolve | RESOLVE_NO_MAGICLINKS)
    while True:
        fd: int = _syscall(_OPENAT2, root_fd, path or b".", ctypes.byref(how), ctypes.sizeof(how))
        if fd >= 0:
            return fd
        if ctypes.get_errno() != 11:  # EAGAIN: the tree was renamed under us; openat2(2) says to try again
            _refuse("openat2", path)


def mount_overlay(lowers: list[str], upper: str, work: str, target: str) -> None:
    """Mounts an overlay on `target`; `lowers` uppermost first, at most 500. Raises `OSError`.

    fsopen/fsconfig with one `lowerdir+` per layer: no option string to overflow (kernel 6.7 and later).
    """
    mount_fd = _overlay(lowers, ((b"upperdir", upper), (b"workdir", work)), 0)
    try:
        attach(mount_fd, target)
    finally:
        os.close(mount_fd)


def open_overlay(lowers: list[str]) -> int:
    """A read-only overlay of at least two directories that is mounted nowhere, by its descriptor: it goes with that.

    Raises `OSError`.
    """
    return _overlay(lowers, (), _MOUNT_ATTR_RDONLY)


def open_tmpfs(options: Mapping[str, str]) -> int:
    """A new tmpfs that is mounted nowhere, by its descriptor: until `attach` it goes with that, whenever we are killed.

    No set-id programs, no devices, and nothing of it is swapped out (but on kernels before 6.4, and in a user
    namespace, which must not ask for that). Raises `OSError`.
    """
    fd: int = _syscall(_FSOPEN, b"tmpfs", 1)
    if fd < 0:
        _refuse("fsopen", "tmpfs")
    try:
        for key, value in options.items():
            if _syscall(_FSCONFIG, fd, 1, key.encode(), value.encode(), 0) < 0:
                _refuse(f"fsconfig {key}", "tmpfs")
        _syscall(_FSCONFIG, fd, 0, b"noswap", None, 0)
        if _syscall(_FSCONFIG, fd, 6, None, None, 0) < 0:
            _refuse("mount tmpfs", "tmpfs")
        mount_fd: int = _syscall(_FSMOUNT, fd, 1, _MOUNT_ATTR_NOSUID | _MOUNT_ATTR_NODEV)
        if mount_fd < 0:
            _refuse("fsmount", "tmpfs")
    finally:
        os.close(fd)
    return mount_fd


def attach(mount_fd: int, target: str) -> None:
    """Mounts on `target` what a descriptor holds. Raises `OSError`."""
    if _syscall(_MOVE_MOUNT, mount_fd, b"", -100, os.fsencode(target), 4) < 0:
        _refuse("move_mount", target)


class _MountAttributes(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "userns_fd"))


def clone_tree(fd: int, *, recursive: bool = False) -> int:
    """A second mount of what an open directory or file is, mounted nowhere: it goes with its descriptor, unless it is
    attached. With `recursive` what is mounted below comes along. Raises `OSError`.
    """
    flags = 1 | os.O_CLOEXEC | _AT_EMPTY_PATH | (_AT_RECURSIVE if recursive else 0)
    clone: int = _syscall(_OPEN_TREE, fd, b"", flags)
    if clone < 0:
        _refuse("open_tree", f"fd {fd}")
    return clone


def attributes_of(flags: int) -> int:
    """The attributes of a mount that the flags of mount(2) ask for."""
    return sum(attribute for flag, attribute in _ATTRIBUTES.items() if flags & flag)


def set_attributes(mount_fd: int, attributes: int, *, recursive: bool = False) -> None:
    """mount_setattr(2) on what a descriptor holds. Raises `OSError`."""
    if not attributes:
        return
    wanted = _MountAttributes(attributes, _ATIME if attributes & _ATIME else 0, 0, 0)
    flags = _AT_EMPTY_PATH | (_AT_RECURSIVE if recursive else 0)
    if _syscall(_MOUNT_SETATTR, mount_fd, b"", flags, ctypes.byref(wanted), ctypes.sizeof(wanted)) < 0:
        _refuse("mount_setattr", f"fd {mount_fd}")


def _overlay(lowers: list[str], others: tuple[tuple[bytes, str], ...], attributes: int) -> int:
    fd: int = _syscall(_FSOPEN, b"overlay", 1)
    if fd < 0:
        _refuse("fsopen", "overlay")
    with ExitStack() as opened:
        opened.callback(os.close, fd)
        for lower in lowers:
            _fsconfig_path(fd, b"lowerdir+", lower, opened)
        for key, path in others:
            _fsconfig_path(fd, key, path, opened)
        if _syscall(_FSCONFIG, fd, 6, None, None, 0) < 0:
            _refuse("mount overlay", lowers[0])
        mount_fd: int = _syscall(_FSMOUNT, fd, 1, attributes)
        if mount_fd < 0:
            _refuse("fsmount", lowers[0])
    return mount_fd


def _fsconfig_path(fd: int, key: bytes, path: str, opened: ExitStack) -> None:
    """Sets a directory; a path that does not fit into a value goes by a descriptor, kept until `opened` is closed."""
    value = os.fsencode(path)
    # The kernel takes 255 bytes, and takes a backslash in some keys for an escape.
    if len(value) > 255 or b"\\" in value:
        directory = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        opened.callback(os.close, directory)
        value = f"/proc/self/fd/{directory}".encode()
    if _syscall(_FSCONFIG, fd, 1, key, value, 0) < 0:
        _refuse(f"fsconfig {key.decode()}", path)


def mount(source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    """mount(2)."""
    if _libc.mount(
        os.fsencode(source),
        os.fsencode(target),
        kind and kind.encode(),
        ctypes.c_ulong(flags),
        data and data.encode(),
    ):
        _refuse("mount", target)


def bind(source: str, target: str) -> None:
    """Mounts what is at `source`, with all that is mounted in it, on `target`, too. Raises `OSError`."""
    mount(source, target, None, _MS_BIND | _MS_REC)


def make_read_only(target: str, *, read_only: bool) -> None:
    """mount_setattr(2) on a mount and all below it: nothing can be written there any more, or again (kernel 5.12).

    Raises `OSError`.
    """
    on, off = (_MOUNT_ATTR_RDONLY, 0) if read_only else (0, _MOUNT_ATTR_RDONLY)
    attributes = _MountAttributes(on, off, 0, 0)
    size = ctypes.sizeof(attributes)
    if _syscall(_MOUNT_SETATTR, -100, os.fsencode(target), _AT_RECURSIVE, ctypes.byref(attributes), size) < 0:
        _refuse("mount_setattr", target)


def umount(target: str, flags: int = 0) -> None:
    """umount2(2)."""
    if _libc.umount2(os.fsencode(target), flags):
        _refuse("umount", target)


def syncfs(fd: int) -> None:
    """syncfs(2): everything on the file system of `fd` is on disk."""
    if _libc.syncfs(fd):
        _refuse("syncfs", f"fd {fd}")


def die_with_parent() -> None:
    """This process is killed when the thread that started it ends (prctl(2), PR_SET_PDEATHSIG)."""
    if _libc.prctl(1, signal.SIGKILL, 0, 0, 0):
        _refuse("prctl", "PR_SET_PDEATHSIG")
