"""What runs of jocker may leave behind on a machine: found, named, and (after a failed test) swept away.

As a program: `leftovers.py save FILE` writes down what is there, `leftovers.py check FILE` fails if there is more.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from composer.host import kernel, net_paths
from composer.paths import Paths

CGROUPS = "/sys/fs/cgroup"
NETNS = "/run/netns"


def leftovers(*marks: str) -> set[str]:
    """One line for every mount, process, cgroup, link and nft table whose name or command line holds one of `marks`."""
    return {line for line in everything() if any(mark in line for mark in marks)}


def everything() -> set[str]:
    """One line for every mount, process, cgroup, named network namespace, link and nft table of this machine."""
    found = {f"mount {target}" for target in mounts()}
    found |= {f"process {pid} {' '.join(argv)}" for pid, argv in processes() if argv}
    found |= {f"cgroup {path}" for path in cgroups("jocker", "jktest")}
    if os.path.isdir(NETNS):
        found |= {f"netns {name}" for name in os.listdir(NETNS)}
    found |= {f"link {name}" for name in os.listdir("/sys/class/net")}
    return found | {f"table {name}" for name in tables()}


def tables() -> list[str]:
    """The nft tables of the machine's own namespace, as `inet jocker`."""
    said = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout
    return [line.removeprefix("table ") for line in said.splitlines()]


def mounts() -> list[str]:
    """Mount points, in the order they were made."""
    lines = Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines()
    return [line.split(" ")[4].replace("\\040", " ") for line in lines]


def processes() -> Iterator[tuple[int, list[str]]]:
    """Pid and argv of every process; an empty argv for kernel threads and zombies."""
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):
                raw = Path(f"/proc/{name}/cmdline").read_bytes()
                yield int(name), raw.decode(errors="replace").split("\0")[:-1]


def cgroups(*prefixes: str) -> Iterator[str]:
    """Directories of all hierarchies in top-level cgroups named with one of `prefixes`; the deepest first."""
    v2 = os.path.exists(f"{CGROUPS}/cgroup.controllers")
    hierarchies = [CGROUPS] if v2 else [entry.path for entry in os.scandir(CGROUPS) if entry.is_dir()]
    for hierarchy in {os.path.realpath(path) for path in hierarchies}:
        for name in sorted(os.listdir(hierarchy)):
            if name.startswith(prefixes):
                yield from (where for where, _, _ in os.walk(f"{hierarchy}/{name}", topdown=False))


def sweep(paths: Paths) -> None:
    """Removes all that a store has on the machine: processes, mounts, cgroups, files. For tests that went wrong."""
    root = paths.cgroup_root.lstrip("/")
    ours = [where for where in cgroups(root) if f"/{root}" in where]
    for _ in range(50):
        pids = {pid for where in ours for pid in _members(where)}
        pids |= {pid for pid, argv in processes() if argv and f"{paths.run}/" in " ".join(argv) and pid != os.getpid()}
        if not pids:
            break
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)  # killed processes leave their cgroup when they are gone, and no event tells of all of them
    table = net_paths.host_table(paths)
    if f"inet {table}" in tables():
        subprocess.run(["nft", "delete", "table", "inet", table], check=False)
    for target in reversed(mounts()):
        if target.startswith((f"{paths.run}/", f"{paths.data}/")):
            with contextlib.suppress(OSError):
                kernel.umount(target, kernel.MNT_DETACH)
    for where in ours:
        with contextlib.suppress(OSError):
            os.rmdir(where)
    shutil.rmtree(paths.run, ignore_errors=True)
    shutil.rmtree(paths.data, ignore_errors=True)


def _members(cgroup: str) -> list[int]:
    try:
        return [int(pid) for pid in Path(f"{cgroup}/cgroup.procs").read_text().split()]
    except OSError:
        return []


def _interesting(line: str) -> bool:
    """Whether a new line means that a test left something: other programs of the machine come and go as they like."""
    kind, _, rest = line.partition(" ")
    if kind != "process":
        return True
    program = rest.split(" ")[1].rpartition("/")[2] if " " in rest else ""
    return program in {"conmon", "runc", "crun", "dnsmasq", "jocker"} or "composer" in rest


def main(action: str, file: str) -> int:
    """`save` or `check`; 1 if `check` finds more than was saved."""
    if action == "save":
        Path(file).write_text("\n".join(sorted(everything())), errors="surrogateescape")
        return 0
    before = set(Path(file).read_text(errors="surrogateescape").splitlines())
    own = f"process {os.getpid()} "
    more = sorted(line for line in everything() - before if _interesting(line) and not line.startswith(own))
    for line in more:
        sys.stderr.write(f"left behind by the tests: {line}\n")
    return 1 if more else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
