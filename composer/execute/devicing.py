"""What the machine has of the devices and limits that a container asks for, and what it has not."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from composer.desired.state import DesiredContainer

if TYPE_CHECKING:
    from composer.bundle.context import MachineFacts
    from composer.bundle.resources import Found
    from composer.paths import Paths


def found(container: DesiredContainer, facts: MachineFacts) -> Found:
    """Raises `ContainerError`, `MachineError` for what is not there."""
    from composer.bundle.resources import NOTHING_FOUND

    if container.spec.resources is None:
        return NOTHING_FOUND
    from composer.host.devices import find

    return find(container.spec.resources, f'service "{container.service}"', facts)


def real_time(paths: Paths, container: DesiredContainer) -> AbstractContextManager[None]:
    """While the container is made, its stack has what it asks for of real-time. Raises `MachineError`."""
    asked = container.spec.resources
    if asked is None or not asked.cpu_rt_runtime:
        return nullcontext()
    from composer.host import cgroup, real_time

    path = paths.stack_cgroup(container.project)
    cgroup.make(path, for_processes=False)
    return real_time.allowed(
        path,
        root=paths.cgroup_root,
        period=asked.cpu_rt_period,
        runtime=asked.cpu_rt_runtime,
        where=f'service "{container.service}"',
    )


def left_out(container: DesiredContainer, facts: MachineFacts) -> str:
    """In words, what the kernel cannot limit, and docker leaves out with a warning; "" = nothing."""
    from composer.bundle import resources
    from composer.host.devices import able

    names = resources.left_out(container.spec, resources.Found(able=able()), swap_limit=facts.swap_limit)
    told = ", ".join(names)
    return f"this kernel cannot do, and it goes without: {told}" if told else ""
