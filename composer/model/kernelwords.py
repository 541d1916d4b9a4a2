"""What Linux knows by name: the limits of processes, and the sysctls that belong to a namespace."""

from __future__ import annotations

from typing import Final

LIMITS: Final = frozenset({
    "as", "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss", "rtprio",
    "rttime", "sigpending", "stack",
})  # fmt: skip
"""Names of `ulimits`; RLIMIT_ and the name in capitals is the kernel's (setrlimit(2))."""

_IPC: Final = frozenset({
    "kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall", "kernel.shmmax", "kernel.shmmni",
    "kernel.shm_rmid_forced",
})  # fmt: skip


def sysctl_namespace(name: str) -> str | None:
    """Kind of the namespace this sysctl belongs to, as config.json calls it; None: it is the whole machine's.

    >>> sysctl_namespace("net/core/somaxconn"), sysctl_namespace("vm.swappiness")
    ('network', None)
    """
    dotted = name.replace("/", ".")
    if dotted.startswith("net."):
        return "network"
    if dotted.startswith("fs.mqueue.") or dotted in _IPC:
        return "ipc"
    return "uts" if dotted == "kernel.domainname" else None
