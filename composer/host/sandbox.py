"""A program that serves strangers, shut in: no root, no capabilities, next to no files, a network namespace we choose.

Its root is a tmpfs with /usr read-only, two devices, and the directories it is given, read-only, at their own paths.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Sequence
from typing import NamedTuple

from composer.errors import CommandFailed, MachineError
from composer.host import kernel, netns
from composer.host.proc import environment

_libc = ctypes.CDLL(None, use_errno=True)
_NEWNS = 0x20000
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REMOUNT, _MS_BIND, _MS_REC, _MS_SLAVE = (
    1,
    2,
    4,
    8,
    32,
    4096,
    16384,
    1 << 19,
)
_SET_NO_NEW_PRIVS, _DROP_FROM_BOUND = 38, 24
_LINKS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_DEVICES = ("null", "urandom")
_PLENTY = 1024
SCRATCH = "/run"
"""The one place inside where the program may write; it goes with it."""


class Sandbox(NamedTuple):
    """`netns` is the path of a pinned namespace, `root` an empty directory to build on, `directories` what is shown."""

    netns: str
    root: str
    directories: tuple[str, ...]
    uid: int
    gid: int


def run_daemon(sandbox: Sandbox, argv: Sequence[str], pid_file: str) -> int:
    """Starts a program that goes into the background when it is ready, and gives the pid it wrote to its `pid_file`.

    Raises `CommandFailed` with what it said if it does not come to that, `OSError` if the kernel refuses the sandbox.
    """

    def work() -> int:
        netns.enter(sandbox.netns)
        _shut_in(sandbox)
        process = subprocess.Popen(
            _with_few_files(argv),
            user=sandbox.uid,
            group=sandbox.gid,
            extra_groups=[],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment({"HOME": "/"}),
            start_new_session=True,
        )
        said = process.communicate()[0].decode(errors="replace")
        if process.returncode:
            raise CommandFailed(tuple(argv), process.returncode, said)
        with open(pid_file) as file:
            return int(file.read())

    return netns.in_thread(work)


def _shut_in(sandbox: Sandbox) -> None:
    """Gives the calling thread the sandbox for its root, and takes from it what a child must not inherit."""
    if _libc.unshare(_NEWNS):
        _refuse("unshare")
    kernel.mount("none", "/", None, _MS_REC | _MS_SLAVE)
    root = sandbox.root
    kernel.mount("tmpfs", root, "tmpfs", _MS_NOSUID | _MS_NODEV, "mode=755,size=1m,nr_inodes=1k")
    for name in ("usr", "dev", "old"):
        os.mkdir(f"{root}/{name}")
    _show("/usr", f"{root}/usr", _MS_RDONLY | _MS_NOSUID | _MS_NODEV)
    for name in _LINKS:
        if os.path.islink(f"/{name}"):
            os.symlink(os.readlink(f"/{name}"), f"{root}/{name}")
        elif os.path.isdir(f"/{name}"):
            os.mkdir(f"{root}/{name}")
            _show(f"/{name}", f"{root}/{name}", _MS_RDONLY | _MS_NOSUID | _MS_NODEV)
    for name in _DEVICES:
        os.close(os.open(f"{root}/dev/{name}", os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC))
        kernel.mount(f"/dev/{name}", f"{root}/dev/{name}", None, _MS_BIND)
    for directory in sandbox.directories:
        os.makedirs(root + directory, exist_ok=True)
        _show(directory, root + directory, _MS_RDONLY | _MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
    os.makedirs(root + SCRATCH, exist_ok=True)
    os.chown(root + SCRATCH, sandbox.uid, sandbox.gid)
    if _libc.pivot_root(os.fsencode(root), os.fsencode(f"{root}/old")) or _libc.chdir(b"/"):
        _refuse("pivot_root")
    # Without this its root would keep every mount of the machine busy as long as it lives.
    kernel.umount("/old", kernel.MNT_DETACH)
    for capability in range(64):
        if _libc.prctl(_DROP_FROM_BOUND, capability, 0, 0, 0):
            break  # the last one this kernel knows
    if _libc.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        _refuse("prctl")


def _show(source: str, target: str, flags: int) -> None:
    kernel.mount(source, target, None, _MS_BIND)
    kernel.mount("none", target, None, _MS_BIND | _MS_REMOUNT | flags)


def _with_few_files(argv: Sequence[str]) -> tuple[str, ...]:
    """A daemon without /proc closes every file that it might have: with a limit of a million that takes a while."""
    import resource

    if 0 <= resource.getrlimit(resource.RLIMIT_NOFILE)[0] <= _PLENTY:
        return tuple(argv)
    return ("/bin/sh", "-c", f'ulimit -n {_PLENTY}; exec "$@"', "sh", *argv)


def _refuse(call: str) -> None:
    number = ctypes.get_errno()
    raise MachineError(f"a sandbox cannot be made: {call}: {os.strerror(number)}")
