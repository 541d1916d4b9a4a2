"""What a stack's containers may use together: limits of their parent cgroup, and the record of them.

The record comes first and goes last: whatever makes the parent anew, after a reboot say, finds the limits there.
"""

from __future__ import annotations

import errno
import json
import os
from contextlib import suppress
from typing import NamedTuple

from composer.errors import MachineError
from composer.host import cgroup
from composer.host.files import make_private, read_text, write_atomic
from composer.model.resources import StackLimits
from composer.paths import Paths

_PERIOD = 100_000
"""Microseconds: that of docker's `cpus`."""
_PAGES = 1 << 16
"""The kernel rounds to pages, of 64 KiB at most."""
_V1_ENDLESS = 1 << 62
_VERSION = 1


class _Place(NamedTuple):
    """The directory of a controller's cgroup, and which kind it is."""

    path: str
    unified: bool

    def read(self, name: str) -> str:
        return (read_text(f"{self.path}/{name}") or "").strip()

    def write(self, name: str, value: str) -> None:
        with open(f"{self.path}/{name}", "w") as file:
            file.write(value)


def read(paths: Paths, project: str) -> StackLimits | None:
    """The limits that hold now; None for a stack that was given none."""
    wanted = _recorded(paths, project)
    if wanted is None:
        return None
    path = paths.stack_cgroup(project)
    memory, cpus, pids = _memory(path), _cpus(path), _pids(path)
    return StackLimits(
        memory=wanted.memory if abs(memory - wanted.memory) < _PAGES else memory,
        cpus=wanted.cpus if round(cpus * _PERIOD) == round(wanted.cpus * _PERIOD) else cpus,
        pids=pids,
    )


def apply(paths: Paths, project: str, limits: StackLimits | None) -> None:
    """Makes them hold, for what runs too; None takes them away. Raises `MachineError`."""
    file = paths.stack_record(project)
    if limits is not None:
        make_private(os.path.dirname(file))
        write_atomic(file, json.dumps({"version": _VERSION, **limits._asdict()}).encode())
    path = paths.stack_cgroup(project)
    if limits is not None or cgroup.is_there(path):
        cgroup.make(path, for_processes=False)
        _set(path, limits or StackLimits())
    if limits is None:
        forget(paths, project)


def restore(paths: Paths, project: str) -> None:
    """Sets what the record says on a parent that was just made. Raises `MachineError`."""
    wanted = _recorded(paths, project)
    if wanted is not None:
        _set(paths.stack_cgroup(project), wanted)


def forget(paths: Paths, project: str) -> None:
    """Removes the record; the parent is gone, or without limits."""
    with suppress(FileNotFoundError):
        os.unlink(paths.stack_record(project))


def _recorded(paths: Paths, project: str) -> StackLimits | None:
    text = read_text(paths.stack_record(project))
    if text is None:
        return None
    try:
        found = json.loads(text)
        return StackLimits(int(found["memory"]), float(found["cpus"]), int(found["pids"]))
    except (KeyError, TypeError, ValueError):
        return StackLimits()  # torn or of others: the next `up` writes it anew


def _set(path: str, limits: StackLimits) -> None:
    try:
        _set_memory(path, limits.memory)
        _set_cpus(path, limits.cpus)
        _set_pids(path, limits.pids)
    except OSError as error:
        raise MachineError(f"x-jocker.limits: {error.filename or path}: {error.strerror}") from None


def _place(path: str, controller: str) -> _Place | None:
    for hierarchy in cgroup.hierarchies():
        place = _Place(hierarchy.path + path, hierarchy.unified)
        if controller in hierarchy.controllers or (
            hierarchy.unified and controller in (read_text(f"{hierarchy.path}/cgroup.controllers") or "").split()
        ):
            return place
    return None


def _needed(path: str, controller: str, *, is_limited: bool) -> _Place | None:
    place = _place(path, controller)
    if place is None and is_limited:
        raise MachineError(
            f"x-jocker.limits: this machine has no {controller} controller of cgroups",
            hint="see `jocker doctor`, or leave that limit out",
        )
    return place


# Memory ---------------------------------------------------------------------------------------------------


def _memory(path: str) -> int:
    """Of two files that disagree, the one for memory and swap: so that what was set half counts as another limit."""
    place = _place(path, "memory")
    if place is None:
        return 0
    if place.unified:
        return _number(place.read("memory.max"))
    memory, both = _number(place.read("memory.limit_in_bytes")), _number(place.read("memory.memsw.limit_in_bytes"))
    return memory if not both or abs(both - 2 * memory) < 2 * _PAGES else both // 2


def _number(text: str) -> int:
    """0 = no limit."""
    return int(text) if text.isdecimal() and int(text) < _V1_ENDLESS else 0


def _set_memory(path: str, limit: int) -> None:
    """Memory, and as much swap again, as docker gives a container."""
    place = _needed(path, "memory", is_limited=limit > 0)
    if place is None:
        return
    if place.unified:
        if limit:
            _shrink(place, limit)
        place.write("memory.max", str(limit or "max"))
        if os.path.exists(f"{place.path}/memory.swap.max"):
            place.write("memory.swap.max", str(limit or "max"))
        return
    values = {"memory.limit_in_bytes": limit or -1, "memory.memsw.limit_in_bytes": 2 * limit or -1}
    names = [name for name in values if os.path.exists(f"{place.path}/{name}")]
    try:
        try:
            for name in reversed(names):
                place.write(name, str(values[name]))
        except OSError as error:
            if error.errno != errno.EINVAL:  # both together may never be less than memory alone: the other way round
                raise
            for name in names:
                place.write(name, str(values[name]))
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise _too_small(limit, _number(place.read("memory.usage_in_bytes"))) from None
        raise


def _shrink(place: _Place, limit: int) -> None:
    """Has the kernel take back what it can: at once, a lower `memory.max` would have it kill."""
    if _number(place.read("memory.current")) <= limit or not os.path.exists(f"{place.path}/memory.high"):
        return
    place.write("memory.high", str(limit))
    place.write("memory.high", "max")
    used = _number(place.read("memory.current"))
    if used > limit:
        raise _too_small(limit, used)


def _too_small(limit: int, used: int) -> MachineError:
    return MachineError(
        f"x-jocker.limits.memory: the stack's containers use {used >> 20} MiB, more than {limit >> 20} MiB",
        hint="stop some of them first, or give more",
    )


# CPUs and processes ---------------------------------------------------------------------------------------


def _cpus(path: str) -> float:
    place = _place(path, "cpu")
    if place is None:
        return 0.0
    if place.unified:
        quota, _, period = place.read("cpu.max").partition(" ")
    else:
        quota, period = place.read("cpu.cfs_quota_us"), place.read("cpu.cfs_period_us")
    return int(quota) / int(period) if quota.isdecimal() and period.isdecimal() and int(period) else 0.0


def _set_cpus(path: str, cpus: float) -> None:
    place = _needed(path, "cpu", is_limited=cpus > 0)
    if place is None:
        return
    quota = round(cpus * _PERIOD)
    if place.unified:
        place.write("cpu.max", f"{quota or 'max'} {_PERIOD}")
        return
    if not os.path.exists(f"{place.path}/cpu.cfs_quota_us"):
        return
    if quota:
        _lower_children(place, cpus)
    place.write("cpu.cfs_period_us", str(_PERIOD))
    place.write("cpu.cfs_quota_us", str(quota or -1))


def _lower_children(place: _Place, cpus: float) -> None:
    """On v1 no container may have more than its parent; on v2 the lower of both counts by itself."""
    for entry in os.scandir(place.path):
        if not entry.is_dir(follow_symlinks=False):
            continue
        child = _Place(entry.path, unified=False)
        quota, period = child.read("cpu.cfs_quota_us"), child.read("cpu.cfs_period_us")
        if quota.isdecimal() and period.isdecimal() and int(quota) > cpus * int(period):
            with suppress(FileNotFoundError):
                child.write("cpu.cfs_quota_us", str(int(cpus * int(period))))


def _pids(path: str) -> int:
    place = _place(path, "pids")
    return _number(place.read("pids.max")) if place else 0


def _set_pids(path: str, pids: int) -> None:
    place = _needed(path, "pids", is_limited=pids > 0)
    if place is not None:
        place.write("pids.max", str(pids or "max"))
