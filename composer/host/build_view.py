"""A process of its own, in a mount namespace of its own: makes the machine read-only but for some directories, and
becomes another program. `build_view BIG DIRECTORY... -- PROGRAM ARGUMENT...`; BIG is what /var/tmp is for it.

What a hostile Dockerfile finds a way to in buildah (as by CVE-2024-1753 before its 1.35) cannot be written to then.
Started by `host.buildah` only.
"""

from __future__ import annotations

import errno
import os
import sys

from composer.host import kernel

_BIG = "/var/tmp"
"""Where buildah puts what is large, whatever TMPDIR says."""
_SCRATCH = ("/var/cache", "/dev/shm")
"""In memory, and gone with the build: buildah looks names up in a file below the first only if it may lock it, and puts
secrets into the second.
"""
_OF_THE_KERNEL = ("/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/proc/fs", "/proc/acpi")
"""What of /proc is not about processes, but about the whole machine."""


def main(arguments: list[str]) -> None:
    """Does not return. Kernels before 5.12 cannot do it: there the program sees the machine as it is."""
    split = arguments.index("--")
    big, *directories = arguments[:split]
    program = arguments[split + 1 :]
    try:
        for directory in directories:
            kernel.bind(directory, directory)
        writable = [*directories, *filter(os.path.isdir, (_BIG, *_SCRATCH))]
        if os.path.isdir(_BIG):
            kernel.bind(big, _BIG)
        for directory in filter(os.path.isdir, _SCRATCH):
            kernel.mount("tmpfs", directory, "tmpfs", kernel.NOSUID_NODEV_NOEXEC)
        kernel.make_read_only("/", read_only=True)
        for directory in writable:
            kernel.make_read_only(directory, read_only=False)
        for path in filter(os.path.exists, _OF_THE_KERNEL):
            kernel.bind(path, path)
            kernel.make_read_only(path, read_only=True)
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
    os.execv(program[0], program)  # noqa: S606  an absolute path, no shell


if __name__ == "__main__":
    main(sys.argv[1:])
