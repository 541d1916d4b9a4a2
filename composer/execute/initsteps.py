"""`pre_start` hooks: each a container of its own that must end well before the service's container is started.

One that fails is kept until the next `up`, `rm` or `down`, so that somebody can look at it. Those that ended well are
gone, and noted in the record of their container: they are not run again for it.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from composer.desired.initsteps import hook_container, hook_id
from composer.errors import ContainerError, HookFailed
from composer.execute.endings import ending
from composer.host import records
from composer.host.logs import last_lines
from composer.plan.steps import Member

if TYPE_CHECKING:
    from composer.desired.state import DesiredContainer
    from composer.execute.machine import Machine
    from composer.model.life import InitStep
    from composer.paths import Paths

_DONE = "pre_start_done"
_LINES = 10


def run_pending(machine: Machine, paths: Paths, container: DesiredContainer, record: dict[str, Any]) -> None:
    """Runs those that have not been run for this container, in order, and notes each in its record.

    Raises `HookFailed`, `ContainerError`, `Interrupted`.
    """
    steps = container.spec.hooks.pre_start if container.spec.hooks else ()
    done = record.get(_DONE, 0)
    is_first = all(step.per_replica for step in steps) or _is_first(paths, record)
    for number, step in enumerate(steps, 1):
        if number <= done:
            continue
        if step.per_replica or is_first:
            _run(machine, paths, container, record, step, number)
        record[_DONE] = number
        records.write(paths, record)


def _is_first(paths: Paths, record: Mapping[str, Any]) -> bool:
    """Whether it has the lowest number of the containers of its service: that one runs hooks for all."""
    mine = (record["project"], record["service"], False)
    numbers = [
        other["number"]
        for other in records.every(paths)
        if (other.get("project"), other.get("service"), other.get("oneoff")) == mine
        and isinstance(other.get("number"), int)
    ]
    return bool(record["number"] <= min(numbers, default=record["number"]))


def _run(
    machine: Machine, paths: Paths, container: DesiredContainer, record: dict[str, Any], step: InitStep, number: int
) -> None:
    new_id = hook_id(record["id"], number)
    where = f"pre_start hook {number} of {container.name}"
    if not step.layers:
        raise ContainerError(f"{where}: image {step.image} is not here", hint=f"jocker image pull {step.image}")
    made = hook_container(container, record["id"], step, number)
    if records.read(paths, new_id) is not None:
        machine.remove_container(new_id, volumes=False)
    for end in made.spec.networks:
        machine.assign_addresses(end.network, [Member(new_id, end)])
    machine.create_container(made, new_id, replaces="", volumes=record["volumes"])
    try:
        machine.start_container(new_id, None, lambda *_: None)
        code = machine.wait_ended(new_id)
    except BaseException:
        machine.remove_container(new_id, volumes=False)
        raise
    if code != 0:
        if made.spec.networks:
            machine.networking.detach(new_id, [end.network for end in made.spec.networks])
        words = shlex.join((*step.entrypoint, *step.command))
        how = ending(paths, records.read(paths, new_id) or record, code)
        lines = last_lines(paths.log(new_id), _LINES)
        raise HookFailed(
            f"{where} ({words if len(words) <= 60 else words[:60] + '…'}) {how}",
            hint=f"its container {made.name} is kept until the next up or down",
            output=tuple(line.text.decode(errors="replace") for line in lines),
        )
    machine.remove_container(new_id, volumes=False)
