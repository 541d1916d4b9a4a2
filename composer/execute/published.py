"""Published ports and who has them, before anything is started."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from composer.actual.parse import desired_of
from composer.desired.joining import way_out
from composer.desired.state import ContainerSpec, DesiredContainer, DesiredNetwork
from composer.errors import NetworkError
from composer.host import networks, ports, records
from composer.host.state import conmon_process, snapshot
from composer.model.network import Port
from composer.model.wiring import Wiring
from composer.paths import Paths
from composer.plan.plan import Plan
from composer.plan.steps import (
    AnyStep,
    CreateContainer,
    CreateNetwork,
    RemoveContainer,
    StartContainer,
    StopContainer,
)

_ALL_ADDRESSES = frozenset({"", "0.0.0.0", "::"})  # noqa: S104  these are compared with, nothing listens there
_SHIMS = ("conmon ", "runc", "crun")
_ENDS_WITHIN = 1.0
"""Seconds in which a shim ends whose container has ended."""
_LOOKS_EVERY = 0.01


def check(paths: Paths, plan: Plan) -> None:
    """Raises `NetworkError`, with who is in the way, for a port that a container of the plan cannot have.

    It only looks: what may be free in a moment passes, and is waited for when it is needed.
    """
    steps = [node.step for node in plan.nodes]
    started = {step.container_id for step in steps if isinstance(step, StartContainer)}
    stopped = {step.container_id for step in steps if isinstance(step, StopContainer)}
    leaving = {step.container_id for step in steps if isinstance(step, RemoveContainer)} | (stopped - started)
    made = {step.network.name: step.network for step in steps if isinstance(step, CreateNetwork)}
    wanted: list[tuple[Port, int, str]] = []
    for container_id, container in _to_be_started(paths, steps):
        where = f'service "{container.service}"'
        asked, ipv6 = effective(container.spec, [_wiring(paths, end.network, made) for end in container.spec.networks])
        for port in asked:
            numbers = [number for number in ports.candidates(port) if number]
            if len(numbers) == 1:
                first = next((name for other, number, name in wanted if _meet(port, numbers[0], other, number)), "")
                wanted.append((port, numbers[0], container.name))
                if first and first != container.name:
                    raise NetworkError(
                        f"{where}: {first} and {container.name} cannot both publish port {numbers[0]}/{port.protocol}",
                        hint="leave the machine's port out, or name a range: "
                        f'"{numbers[0]}-{numbers[0] + 9}:{port.target}"',
                    )
            # Of its own earlier life the shim may not quite have ended.
            own = {*leaving, container_id}
            if numbers and not any(_can_be_had(paths, port, number, own, ipv6=ipv6) for number in numbers):
                raise ports.in_the_way(port, where, owner=owner(paths, port, numbers[0]))


def effective(spec: ContainerSpec, wirings: Sequence[Wiring]) -> tuple[tuple[Port, ...], bool]:
    """The container's ports, each with the address of the machine it gets, and whether those without one are for IPv6
    addresses, too; no ports if no network leads out. `wirings` are those of its networks, in their order.
    """
    way, way6 = way_out(spec, wirings, 4), way_out(spec, wirings, 6)
    if way is None and way6 is None:
        return (), False
    binding = way.host_binding if way else ""
    return tuple(port._replace(host_ip=port.host_ip or binding) for port in spec.ports), way6 is not None


def _wiring(paths: Paths, name: str, made: dict[str, DesiredNetwork]) -> Wiring:
    """A network as it is, or, as far as ports go, as it will be made."""
    found = None if name in made else networks.read(paths, name)
    if found is not None:
        return found
    network = made.get(name, DesiredNetwork(name=name))
    return Wiring(
        name=name,
        uplink="" if network.internal else "to be made",
        gateway4="to be found" if network.enable_ipv4 else "",
        gateway6="to be found" if network.enable_ipv6 else "",
        host_binding=network.host_binding,
    )


def keep(
    paths: Paths, container: DesiredContainer, record: dict[str, Any], wirings: Sequence[Wiring]
) -> tuple[ports.Kept, ...]:
    """Takes the container's ports on the machine; what may just be ending is waited for. Raises `NetworkError`."""
    asked, ipv6 = effective(container.spec, wirings)
    deadline = time.monotonic() + _ENDS_WITHIN
    while True:
        try:
            return ports.keep(
                asked,
                ipv6=ipv6,
                held=held(paths, record["id"], container.project, record["replaces"]),
                owner=lambda port, number: owner(paths, port, number),
                where=f'service "{container.service}"',
            )
        except NetworkError:
            if time.monotonic() > deadline or not all(_may_be_had(paths, port, ipv6=ipv6) for port in asked):
                raise
        time.sleep(_LOOKS_EVERY)


def _to_be_started(paths: Paths, steps: Iterable[AnyStep]) -> Iterator[tuple[str, DesiredContainer]]:
    """Containers that have no ports yet, by id: new ones, and those that do not run."""
    made = set()
    for step in steps:
        if isinstance(step, CreateContainer):
            made.add(step.container_id)
            yield step.container_id, step.container
        elif isinstance(step, StartContainer) and step.container_id not in made:
            record = records.read(paths, step.container_id)
            if record is not None and record.get("phase") == "created" and not snapshot(paths, record).pid:
                yield step.container_id, desired_of(record)


def _meet(one: Port, number: int, other: Port, other_number: int) -> bool:
    """Whether two fixed ports are one: addresses meet if they are the same, or one of them means all."""
    hosts = {one.host_ip, other.host_ip}
    same_host = len(hosts) == 1 or not hosts.isdisjoint(_ALL_ADDRESSES)
    return same_host and (one.protocol, number) == (other.protocol, other_number)


def _may_be_had(paths: Paths, port: Port, *, ipv6: bool) -> bool:
    return any(not number or _can_be_had(paths, port, number, set(), ipv6=ipv6) for number in ports.candidates(port))


def _can_be_had(paths: Paths, port: Port, number: int, leaving: set[str], *, ipv6: bool) -> bool:
    """Whether a port is free, or will be: its container is about to leave, or it is what a shim keeps that no container
    has any more, and that may just be ending.
    """
    try:
        if not ports.is_taken(port, number, ipv6=ipv6):
            return True
    except OSError:
        return False
    holder = _holder(paths, port, number)
    if holder is not None:
        return holder["id"] in leaving
    by = ports.listener(port, number)
    return not by or by.startswith(_SHIMS)


def held(paths: Paths, container_id: str, project: str, replaces: str) -> frozenset[tuple[str, int]]:
    """The ports of the container that is being replaced, of the container's own earlier life, and of what crashes left
    half made of the stack.
    """
    return frozenset(
        (one[0], one[2])
        for record in records.every(paths)
        if record["id"] in {replaces, container_id}
        or (record.get("project") == project and record.get("phase") == "removing")
        for one in record.get("published") or ()
    )


def owner(paths: Paths, port: Port, number: int) -> str:
    """The container that has a port, in words; "" if none has."""
    found = _holder(paths, port, number)
    return f"{found['name']} of stack {found['project']}" if found else ""


def _holder(paths: Paths, port: Port, number: int) -> dict[str, Any] | None:
    for record in records.every(paths):
        if _has(record, port.protocol, number) and _is_there(paths, record):
            return record
    return None


def _has(record: dict[str, Any], protocol: str, number: int) -> bool:
    found = record.get("published")
    return isinstance(found, list) and any(one[0] == protocol and one[2] == number for one in found)


def _is_there(paths: Paths, record: dict[str, Any]) -> bool:
    """Its shim keeps the port as long as it lives, a moment longer than the first process; of one half made nobody
    knows.
    """
    return record.get("phase") != "created" or conmon_process(paths, record["id"]) is not None
