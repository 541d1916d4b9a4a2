"""Labels of SELinux for what containers share with the machine (`z`, `Z`). Where SELinux is off, nothing happens.

Containers run without a category of their own here, so `Z` is what `z` is: one label that all containers may use.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress

from composer.errors import ContainerError
from composer.host import trees

_LABEL = b"system_u:object_r:container_file_t:s0\0"
_ENFORCE = "/sys/fs/selinux/enforce"
_NEVER = frozenset({
    "/", "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib64", "/proc", "/root", "/run", "/sbin", "/srv", "/sys",
    "/tmp", "/usr", "/var", "/var/lib", "/var/log",
})  # fmt: skip
"""What a machine does not work without, labelled as it is."""


def relabel(path: str, *, enforce: str = _ENFORCE) -> None:
    """Labels a directory or file and all below for containers. Raises `ContainerError` for what must stay as it is."""
    if not os.path.exists(enforce):
        return
    real = os.path.realpath(path)
    if real in _NEVER:
        raise ContainerError(f"{path} is not relabelled: the machine itself needs it", hint="leave out z and Z")
    try:
        _label(real)
        if os.path.isdir(real):
            for fd, name, _ in trees.entries(real, with_mounts=True):
                with suppress(FileNotFoundError):
                    _label(f"/proc/self/fd/{fd}/{name}")
    except OSError as error:
        if error.errno != errno.ENOTSUP:  # a file system without labels is not guarded by them
            raise ContainerError(f"{path} cannot be relabelled: {error.strerror}", hint="leave out z and Z") from error


def _label(path: str) -> None:
    os.setxattr(path, "security.selinux", _LABEL, follow_symlinks=False)
