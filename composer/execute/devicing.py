"""What the machine has of the devices and limits that a container asks for, and what it has not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from composer.desired.state import DesiredContainer

if TYPE_CHECKING:
    from composer.bundle.context import MachineFacts
    from composer.bundle.resources import Found


def found(container: DesiredContainer, facts: MachineFacts) -> Found:
    """Raises `ContainerError`, `MachineError` for what is not there."""
    from composer.bundle.resources import NOTHING_FOUND

    if container.spec.resources is None:
        return NOTHING_FOUND
    from composer.host.devices import find

    return find(container.spec.resources, f'service "{container.service}"', facts)


def left_out(container: DesiredContainer, facts: MachineFacts) -> str:
    """In words, what the kernel cannot limit, and docker leaves out with a warning; "" = nothing."""
    from composer.bundle import resources
    from composer.host.devices import able

    names = resources.left_out(container.spec, resources.Found(able=able()), swap_limit=facts.swap_limit)
    told = ", ".join(names)
    return f"this kernel cannot do, and it goes without: {told}" if told else ""
