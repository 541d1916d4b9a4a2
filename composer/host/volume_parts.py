"""Parts of volumes and images, mounted for one container under its bundle, from where the runtime binds them.

A part is opened in its volume (no link and no `..` leads out) and mounted by that descriptor: whatever containers of
the volume do to the path meanwhile, it is what was opened.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from contextlib import ExitStack, suppress

from composer.digest import sha256_hex
from composer.errors import ContainerError
from composer.host import kernel
from composer.host.files import make_private
from composer.host.volume_mounts import is_mounted
from composer.paths import Paths

_READ_ONLY = 1


def point(paths: Paths, container_id: str, target: str) -> str:
    """Where the part for a container's `target` is mounted, once it is."""
    return f"{paths.parts(container_id)}/{sha256_hex(target.encode(errors='surrogatepass'))[:16]}"


def mount_part(paths: Paths, container_id: str, target: str, *, data: str, subpath: str, what: str) -> None:
    """Mounts the directory or file `subpath` of a volume, whose data are at `data`, for one container.

    `what` names the volume in the `ContainerError` raised if there is no such part.
    """
    with ExitStack() as opened:
        root = _open(data, opened)
        part = _part(root, subpath, what, opened)
        clone = kernel.clone_tree(part)
        opened.callback(os.close, clone)
        _attach(clone, point(paths, container_id, target), is_directory=stat.S_ISDIR(os.fstat(part).st_mode))


def mount_image(
    paths: Paths, container_id: str, target: str, *, layers: Sequence[str], subpath: str, what: str
) -> None:
    """Mounts the files of an image, or a part of them, read-only. `layers` are directories, lowest first."""
    where = point(paths, container_id, target)
    whole = f"{where}.whole"
    with ExitStack() as opened:
        if len(layers) == 1:
            root = _open(layers[0], opened)
        else:
            overlay = kernel.open_overlay(list(reversed(layers)))
            opened.callback(os.close, overlay)
            # Parts are mounted again only of what is mounted somewhere.
            _attach(overlay, whole, is_directory=True)
            opened.callback(_unmount, whole)
            root = _open(whole, opened)
        part = _part(root, subpath, what, opened) if subpath else root
        clone = kernel.clone_tree(part)
        opened.callback(os.close, clone)
        kernel.set_attributes(clone, _READ_ONLY)
        _attach(clone, where, is_directory=stat.S_ISDIR(os.fstat(part).st_mode))


def _open(directory: str, opened: ExitStack) -> int:
    fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    opened.callback(os.close, fd)
    return fd


def _part(root: int, subpath: str, what: str, opened: ExitStack) -> int:
    try:
        part = kernel.open_in_root(root, os.fsencode(subpath), os.O_PATH)
    except OSError as error:
        why = os.strerror(error.errno or 0)
        hint = "it must be there before the container is made" if error.errno == errno.ENOENT else ""
        raise ContainerError(f"{what} has no {subpath!r} to mount: {why}", hint=hint) from None
    opened.callback(os.close, part)
    mode = os.fstat(part).st_mode
    if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
        raise ContainerError(f"{what}: {subpath!r} is neither a directory nor a file")
    return part


def _attach(mount_fd: int, where: str, *, is_directory: bool) -> None:
    _unmount(where)
    make_private(os.path.dirname(where))
    if is_directory:
        os.mkdir(where, 0o700)
    else:
        os.close(os.open(where, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    kernel.attach(mount_fd, where)


def _unmount(where: str) -> None:
    """Removes a mount point with what is on it. Nothing of it need be there."""
    while _is_there(where):
        kernel.umount(where, kernel.MNT_DETACH)
    with suppress(FileNotFoundError):
        if os.path.isdir(where):
            os.rmdir(where)
        else:
            os.unlink(where)


def _is_there(where: str) -> bool:
    return os.path.lexists(where) and is_mounted(where)


def unmount_all(paths: Paths, container_id: str) -> None:
    """Unmounts all parts of a container."""
    directory = paths.parts(container_id)
    for name in os.listdir(directory):
        _unmount(f"{directory}/{name}")
    os.rmdir(directory)
