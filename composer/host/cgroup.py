"""Cgroups of stacks, on v1, hybrid and v2 hosts: places, the kill switch, the freezer (cgroups(7)).

Containers live in `<root>/<project>/<id>`, made and removed by the runtime; conmon in the sibling
`<root>/<project>.sup`. The runtime never removes the parents: we do.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from typing import Literal, NamedTuple

from composer.errors import MachineError

Mode = Literal["v1", "hybrid", "v2"]

ROOT = "/sys/fs/cgroup"
_TRIES = 100
_CONTROLLERS_WE_LIMIT = ("cpu", "memory", "pids", "io", "cpuset", "hugetlb")


class Hierarchy(NamedTuple):
    """One mounted hierarchy: where, and its v1 controllers (empty for the unified one)."""

    path: str
    controllers: frozenset[str]
    unified: bool


@lru_cache(maxsize=1)
def hierarchies() -> tuple[Hierarchy, ...]:
    """All mounted hierarchies, in mount order, the first mount of each."""
    found: dict[str, Hierarchy] = {}
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
        for line in file:
            before, _, after = line.partition(" - ")
            kind, _, options = after.split()[:3]
            if kind in {"cgroup", "cgroup2"}:
                names = frozenset(options.split(",")) - {"rw", "ro"} if kind == "cgroup" else frozenset()
                key = ",".join(sorted(names))
                found.setdefault(key, Hierarchy(before.split()[4], names, kind == "cgroup2"))
    return tuple(found.values())


def mode() -> Mode:
    """Which kind of host this is."""
    kinds = {hierarchy.unified for hierarchy in hierarchies()}
    if kinds == {True}:
        return "v2"
    return "hybrid" if True in kinds else "v1"


def make(path: str, *, for_processes: bool) -> tuple[str, ...]:
    """Makes the cgroup in every hierarchy and returns its directories.

    `for_processes`: processes are put there directly, so cpuset (which wants to be filled in first) is left out.
    On v2 the controllers we limit by are handed down to a cgroup that is for other cgroups.
    """
    made = []
    for hierarchy in hierarchies():
        if for_processes and "cpuset" in hierarchy.controllers:
            continue
        directory = hierarchy.path + path
        _make_directories(directory)
        made.append(directory)
        if hierarchy.unified and not for_processes:
            _hand_down(hierarchy.path, path)
    return tuple(made)


def _make_directories(path: str) -> None:
    """As `makedirs`, though other stacks may remove an empty parent at any moment."""
    if os.path.isdir(path):  # a fifth of the price, and mostly so
        return
    for _ in range(_TRIES):
        with suppress(FileNotFoundError):
            os.makedirs(path, exist_ok=True)
            return
    raise MachineError(f"the cgroup {path} cannot be made: its parent vanishes again and again")


def _hand_down(root: str, path: str) -> None:
    """Enables controllers for the children of each directory on the way (cgroup v2, "subtree_control")."""
    here = root
    for part in ("", *path.strip("/").split("/")):
        here = f"{here}/{part}" if part else here
        # Those a v1 hierarchy owns are not available here. Each write costs 0.3 ms, also one that changes nothing.
        for controller in _words(f"{here}/cgroup.controllers") - _words(f"{here}/cgroup.subtree_control"):
            if controller in _CONTROLLERS_WE_LIMIT:
                # Refused one by one: limits then say so.
                with suppress(OSError), open(f"{here}/cgroup.subtree_control", "w") as file:
                    file.write(f"+{controller}")


def _words(path: str) -> frozenset[str]:
    with suppress(OSError), open(path) as file:
        return frozenset(file.read().split())
    return frozenset()


def put(directories: tuple[str, ...], pid: int) -> None:
    """Moves a process into the cgroup directories given."""
    for directory in directories:
        with open(f"{directory}/cgroup.procs", "w") as file:
            file.write(str(pid))


def processes(path: str) -> frozenset[int]:
    """All pids in the cgroup and below, over all hierarchies."""
    pids: set[int] = set()
    for hierarchy in hierarchies():
        for directory, _, _ in os.walk(hierarchy.path + path):
            with suppress(OSError), open(f"{directory}/cgroup.procs") as file:
                pids.update(int(line) for line in file)
    return frozenset(pids - {0})


def kill(path: str) -> None:
    """Kills everything in the cgroup and below: by `cgroup.kill` where there is one, and SIGKILL until none is left."""
    for below in _with_children(path):
        thaw(below)
    for hierarchy in hierarchies():
        if hierarchy.unified:
            with suppress(OSError), open(f"{hierarchy.path}{path}/cgroup.kill", "w") as file:
                file.write("1")
    for _ in range(50):
        left = processes(path) - {os.getpid()}
        if not left:
            return
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)  # the kernel has no event for "this v1 cgroup is empty" that we could wait for


def _with_children(path: str) -> Iterator[str]:
    for hierarchy in hierarchies():
        if "freezer" in hierarchy.controllers or mode() == "v2":
            for directory, _, _ in os.walk(hierarchy.path + path):
                yield directory.removeprefix(hierarchy.path)


def remove_at_once(path: str) -> bool:
    """As `remove` for a cgroup that should be empty, without children: no second try. A tenth of the work."""
    gone = True
    for hierarchy in hierarchies():
        try:
            os.rmdir(hierarchy.path + path)
        except FileNotFoundError:
            continue
        except OSError:
            gone = False
    return gone


def remove(path: str) -> bool:
    """Removes the cgroup with its children, in every hierarchy. True if nothing of it is left.

    A cgroup whose last process has just died stays busy for a moment, so this tries for half a second in all.
    """
    gone = True
    deadline = time.monotonic() + 0.5
    for hierarchy in hierarchies():
        for directory, _, _ in os.walk(hierarchy.path + path, topdown=False):
            gone &= _rmdir(directory, deadline)
    return gone


def _rmdir(directory: str, deadline: float) -> bool:
    wait = 0.001
    while True:
        try:
            os.rmdir(directory)
        except FileNotFoundError:
            return True
        except OSError:
            if time.monotonic() > deadline:
                return False
            time.sleep(wait)
            wait = min(2 * wait, 0.02)
        else:
            return True


def remove_if_empty(path: str) -> None:
    """Removes the cgroup where it has no children and no processes; another stack may be using it."""
    for hierarchy in hierarchies():
        with suppress(OSError):
            os.rmdir(hierarchy.path + path)


def is_there(path: str) -> bool:
    """Whether every hierarchy has the cgroup."""
    return all(os.path.isdir(hierarchy.path + path) for hierarchy in hierarchies())


def is_left(path: str, parent: str) -> bool:
    """Whether anything is there of the cgroup, or of its parent with nothing in it."""
    for hierarchy in hierarchies():
        if os.path.isdir(hierarchy.path + path):
            return True
        with suppress(FileNotFoundError):
            if not any(entry.is_dir() for entry in os.scandir(hierarchy.path + parent)):
                return True
    return False


def is_frozen(path: str) -> bool:
    """Whether the cgroup is frozen, by itself or with its parent."""
    for hierarchy in hierarchies():
        if "freezer" in hierarchy.controllers:
            with suppress(OSError), open(f"{hierarchy.path}{path}/freezer.state") as file:
                return file.read().strip() != "THAWED"
        elif hierarchy.unified and mode() == "v2":
            with suppress(OSError), open(f"{hierarchy.path}{path}/cgroup.events") as file:
                return "frozen 1" in file.read()
    return False


def freeze(path: str, *, frozen: bool) -> None:
    """Freezes or thaws everything in the cgroup. Raises `OSError`."""
    for hierarchy in hierarchies():
        if "freezer" in hierarchy.controllers:
            with open(f"{hierarchy.path}{path}/freezer.state", "w") as file:
                file.write("FROZEN" if frozen else "THAWED")
        elif hierarchy.unified and mode() == "v2":
            with open(f"{hierarchy.path}{path}/cgroup.freeze", "w") as file:
                file.write("1" if frozen else "0")


def thaw(path: str) -> None:
    """Thaws the cgroup if it is there: on v1 a frozen process gets no signal, not even SIGKILL."""
    with suppress(FileNotFoundError):
        freeze(path, frozen=False)


def out_of_memory_kills(path: str) -> int:
    """How often the kernel killed something in the cgroup for want of memory; 0 if it cannot be told."""
    for hierarchy in hierarchies():
        name = "memory.oom_control" if "memory" in hierarchy.controllers else "memory.events"
        with suppress(OSError), open(f"{hierarchy.path}{path}/{name}") as file:
            for line in file:
                if line.startswith("oom_kill "):
                    return int(line.split()[1])
    return 0
