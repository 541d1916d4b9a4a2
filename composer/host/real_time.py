"""Real-time for containers on cgroup v1: no group has more than its parent, and a new parent has none.

Kernel documentation, scheduler/sched-rt-group: `cpu.rt_runtime_us` out of each `cpu.rt_period_us`; the sum of the
children's shares may not exceed the parent's.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from math import ceil

from composer.errors import MachineError
from composer.host import cgroup
from composer.host.files import read_text

_USUAL_PERIOD = 1_000_000
_LOCK = threading.Lock()


@contextmanager
def allowed(path: str, *, root: str, period: int, runtime: int, where: str) -> Iterator[None]:
    """Gives the cgroup `path` and those above it, up to `root`, as much more as a child of it with this share needs,
    and keeps other threads from it until the child has it.

    Microseconds; `period` 0 is the kernel's. Raises `MachineError` if the kernel has no more to give.
    """
    hierarchy = next((one for one in cgroup.hierarchies() if "cpu" in one.controllers), None)
    if hierarchy is None:
        yield
        return
    share = runtime / (period or _USUAL_PERIOD)
    with _LOCK:
        try:
            _raise(f"{hierarchy.path}{root}", hierarchy.path + path, share)
        except OSError as error:
            raise MachineError(
                f"{where}: cpu_rt_runtime: the kernel has no more real-time to give: {error.strerror}",
                hint=f"see {hierarchy.path}/cpu.rt_runtime_us, and who else has some of it",
            ) from None
        yield


def _raise(root: str, parent: str, share: float) -> None:
    """From the outside in, as the kernel wants it."""
    own = _below(parent) + share
    if parent != root:
        missing = own - _share(parent)
        if missing > 0:
            _raise(root, os.path.dirname(parent), missing)
    if own > _share(parent):
        period = _number(parent, "cpu.rt_period_us") or _USUAL_PERIOD
        with open(f"{parent}/cpu.rt_runtime_us", "w") as file:
            file.write(str(ceil(own * period)))


def _below(directory: str) -> float:
    return sum(_share(entry.path) for entry in os.scandir(directory) if entry.is_dir(follow_symlinks=False))


def _share(directory: str) -> float:
    period = _number(directory, "cpu.rt_period_us")
    return max(0, _number(directory, "cpu.rt_runtime_us")) / period if period else 0.0


def _number(directory: str, name: str) -> int:
    with suppress(ValueError):
        return int((read_text(f"{directory}/{name}") or "0").strip())
    return 0
