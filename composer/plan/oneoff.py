"""What must be there before one one-off container can be made: its volumes, its networks, its addresses on them."""

from __future__ import annotations

from composer.actual.state import ActualStack
from composer.desired.names import dns_names
from composer.desired.state import DesiredContainer, DesiredStack, NamedVolume
from composer.plan.attaching import assign_step
from composer.plan.networks import NetworkVerdict, judge_networks
from composer.plan.plan import Draft, Plan
from composer.plan.steps import CreateNetwork, Member, RemoveNetwork, RepairNetwork
from composer.plan.volumes import create_volume


def plan_oneoff(desired: DesiredStack, actual: ActualStack, container: DesiredContainer, container_id: str) -> Plan:
    """The steps that precede it. A network whose definition has changed is made anew if nobody is on it; else it is
    used as it is, with a warning: nobody is stopped for a one-off. Raises `NetworkError`, `ContainerError`.
    """
    ends = {end.network: end for end in container.spec.networks}
    verdicts, warnings = judge_networks(desired, actual, tuple(ends))
    draft = Draft()
    if desired.limits != actual.limits:
        from composer.plan.limits import limit_stack

        draft.add(limit_stack(desired, actual))
    named = (mount.volume for mount in container.spec.mounts if isinstance(mount, NamedVolume))
    for volume in dict.fromkeys(named):
        step = create_volume(desired.volumes[volume], actual)
        if step is not None:
            draft.add(step)
    for name, verdict in verdicts.items():
        ready = _ready(draft, actual, verdict)
        member = Member(container_id, ends[name], dns_names(container.name, container_id, ends[name].aliases))
        draft.add(assign_step(name, [member]), after=ready)
    changed = tuple(
        f"network {name} is used as it is, while others are on it: `jocker up` makes it anew ({verdict.because})"
        for name, verdict in verdicts.items()
        if verdict.action == "remake" and actual.networks[name].wiring.leases
    )
    return draft.finish(warnings=warnings + changed)


def _ready(draft: Draft, actual: ActualStack, verdict: NetworkVerdict) -> tuple[int, ...]:
    """Writes what makes one network usable; the step to wait for, if any."""
    name, because = verdict.network.name, verdict.because
    found = actual.networks.get(name)
    if verdict.action == "repair":
        return (draft.add(RepairNetwork(subject=name, because=because)),)
    if verdict.action == "remake" and found is not None and found.wiring.leases:
        if not found.faults:
            return ()
        return (draft.add(RepairNetwork(subject=name, because="; ".join(found.faults))),)
    if verdict.action == "keep":
        return ()
    after: tuple[int, ...] = ()
    if verdict.action == "remake":
        after = (draft.add(RemoveNetwork(subject=name, because=because)),)
    create = CreateNetwork(
        subject=name, because=because, network=verdict.network, differences=verdict.differences
    )  # fmt: skip
    return (draft.add(create, after=after),)
