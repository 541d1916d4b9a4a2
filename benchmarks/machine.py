"""What the machine is, who runs on it and how much memory they hold: read from /proc."""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
from collections.abc import Collection, Iterator
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")


def facts() -> dict[str, str]:
    """What a reader must know to compare numbers."""
    cpu = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / (1 << 20)
    return {
        "system": platform.freedesktop_os_release().get("PRETTY_NAME", "unknown"),
        "kernel": os.uname().release,
        "cores": f"{os.cpu_count()} ({cpu})",
        "memory": f"{memory:.0f} GiB",
        "cgroups": "v2" if (CGROUPS / "cgroup.controllers").exists() else "v1 or hybrid",
        "python": platform.python_version(),
    }


def load() -> float:
    """Load average of the last minute: near the number of cores or above, times are noisy."""
    return os.getloadavg()[0]


def processes() -> Iterator[tuple[int, list[str]]]:
    """Pid and argv of everything that runs."""
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                argv = Path("/proc", entry, "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
                if argv:
                    yield int(entry), argv


def with_argument(mark: str) -> list[int]:
    """Pids of processes that have exactly this argument: the marked `sleep`s of the stacks."""
    return [pid for pid, argv in processes() if mark in argv[1:] and argv[0].endswith("sleep")]


def mentioning(mark: str) -> list[int]:
    """Pids of processes with `mark` somewhere in their command line, but us."""
    return [pid for pid, argv in processes() if mark in "\0".join(argv) and pid != os.getpid()]


def pss_mib(pids: list[int]) -> float:
    """Proportional set size of all together: what would be free if they were not there."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
    return total / 1024


def namespaces_below(directory: str) -> set[str]:
    """The network namespaces that are pinned to files below a directory, as /proc/PID/ns/net names them; never ours."""
    lines = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    pinned = {fields[3] for fields in lines if fields[4].startswith(f"{directory}/") and fields[3].startswith("net:")}
    return pinned - {os.readlink("/proc/self/ns/net")}


def living_in(namespaces: set[str]) -> list[int]:
    """Pids of the processes in any of these network namespaces."""
    found = []
    for pid, _ in processes():
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/{pid}/ns/net") in namespaces:
                found.append(pid)
    return found


def named(names: Collection[str], pids: list[int]) -> list[int]:
    """Those of the pids whose program has one of these names."""
    return [pid for pid, argv in processes() if pid in pids and os.path.basename(argv[0]) in names]


def unmount_below(directory: str) -> None:
    """Unmounts whatever is mounted below a directory, the newest first."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    for line in reversed(lines):
        target = line.split()[4]
        if target.startswith(f"{directory}/"):
            subprocess.run(["umount", "-l", target], check=False, capture_output=True)


def cgroup_tops() -> set[str]:
    """The top-level cgroups of all hierarchies: what a benchmark adds it must remove."""
    hierarchies = [path for path in (CGROUPS, *CGROUPS.iterdir()) if (path / "cgroup.procs").exists()]
    return {str(child) for top in hierarchies for child in top.iterdir() if child.is_dir() and child not in hierarchies}


def remove_cgroups(tops: set[str]) -> None:
    """Removes empty cgroups with their children."""
    for top in tops:
        for where, _, _ in os.walk(top, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(where)
