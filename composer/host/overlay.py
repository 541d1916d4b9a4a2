"""The root file system of a container: its image's layers, read-only, under a directory of its own."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from composer.errors import ContainerError, MachineError
from composer.host import kernel
from composer.host.files import make_private
from composer.paths import Paths

MOST_LAYERS = 500
"""The kernel's own limit (fs/overlayfs, OVL_MAX_STACK)."""


def mount(paths: Paths, container_id: str, layers: Sequence[str]) -> str:
    """Mounts the rootfs of a container and returns its path; if it is mounted, just that.

    `layers` are directories, lowest first. Raises `ContainerError`, or `MachineError` where overlay cannot work.
    """
    target = paths.rootfs(container_id)
    make_private(target)
    if os.path.ismount(target):
        return target
    if not 1 <= len(layers) <= MOST_LAYERS:
        raise ContainerError(f"the image has {len(layers)} layers, the kernel takes 1 to {MOST_LAYERS}")
    upper, work = f"{paths.container(container_id)}/upper", f"{paths.container(container_id)}/work"
    try:
        _prepare(upper, work, layers)
        kernel.mount_overlay(list(reversed(layers)), upper, work, target)
    except OSError as error:
        raise _explained(error, paths) from error
    return target


def _prepare(upper: str, work: str, layers: Sequence[str]) -> None:
    """Makes both directories, once: what the container did to its / later is to stay."""
    if os.path.isdir(work):
        return
    os.makedirs(upper, exist_ok=True)
    image = os.stat(layers[-1])  # the upper's owner and mode are those of the container's /
    os.chown(upper, image.st_uid, image.st_gid)
    os.chmod(upper, stat.S_IMODE(image.st_mode))
    os.mkdir(work, 0o700)


def _explained(error: OSError, paths: Paths) -> Exception:
    if error.errno in {errno.EINVAL, errno.ENODEV}:
        return MachineError(
            f"cannot mount an overlay: {error.strerror}",
            hint=f"{paths.data} must be on ext4, xfs, btrfs or tmpfs (not on an overlay), on Linux 6.7 or later",
        )
    return ContainerError(
        f"cannot mount the container's root: {error.strerror} ({error.filename})",
        transient=error.errno in {errno.EBUSY, errno.EAGAIN},
    )


@contextmanager
def looked_at(paths: Paths, layers: Sequence[str]) -> Iterator[str]:
    """An image's file system, to be read for as long as the block runs; yields its path.

    It is mounted nowhere, so that nothing is left whenever we are killed. An overlay takes two layers or more: a single
    one is what it is.
    """
    if len(layers) == 1:
        yield layers[0]
        return
    try:
        root = kernel.open_overlay(list(reversed(layers)))
    except OSError as error:
        raise _explained(error, paths) from error
    try:
        yield f"/proc/self/fd/{root}"
    finally:
        os.close(root)


def unmount(paths: Paths, container_id: str) -> None:
    """Unmounts the rootfs if it is mounted. A busy one is detached: it goes with its last user."""
    target = paths.rootfs(container_id)
    for attempt in range(20):
        try:
            kernel.umount(target)
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno == errno.EINVAL:
                return  # not a mount point, so there is nothing more below
            if error.errno != errno.EBUSY:
                raise
            time.sleep(min(0.001 * 2**attempt, 0.05))
    kernel.umount(target, kernel.MNT_DETACH)
