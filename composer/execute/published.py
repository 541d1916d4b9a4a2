"""Published ports and who has them, before anything is started."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any

from composer.actual.parse import desired_of
from composer.desired.state import DesiredContainer
from composer.errors import NetworkError
from composer.host import ports, records
from composer.host.state import conmon_process, snapshot
from composer.model.network import Port
from composer.paths import Paths
from composer.plan.plan import Plan
from composer.plan.steps import AnyStep, CreateContainer, RemoveContainer, StartContainer, StopContainer

_ALL_ADDRESSES = frozenset({"", "0.0.0.0", "::"})  # noqa: S104  these are compared with, nothing listens there


_SHIMS = ("conmon ", "runc", "crun")
_ENDS_WITHIN = 1.0


def check(paths: Paths, plan: Plan) -> None:
    """Raises `NetworkError`, with who is in the way, for a port that a container of the plan cannot have."""
    steps = [node.step for node in plan.nodes]
    started = {step.container_id for step in steps if isinstance(step, StartContainer)}
    stopped = {step.container_id for step in steps if isinstance(step, StopContainer)}
    leaving = {step.container_id for step in steps if isinstance(step, RemoveContainer)} | (stopped - started)
    wanted: list[tuple[Port, int, str]] = []
    for container_id, container in _to_be_started(paths, steps):
        where = f'service "{container.service}"'
        for port in container.spec.ports:
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
            if numbers and not any(_is_free(paths, port, number, {*leaving, container_id}) for number in numbers):
                raise ports.in_the_way(port, where, owner=owner(paths, port, numbers[0]))


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


def _is_free(paths: Paths, port: Port, number: int, leaving: set[str]) -> bool:
    try:
        if not ports.is_taken(port, number):
            return True
    except OSError:
        return False
    holder = _holder(paths, port, number)
    return _comes_free(port, number) if holder is None else holder["id"] in leaving


def _comes_free(port: Port, number: int) -> bool:
    """Whether a port that no container has is free in a moment: what a killed command has left may just be ending."""
    deadline = time.monotonic() + _ENDS_WITHIN
    while ports.is_taken(port, number):
        by = ports.listener(port, number)
        if time.monotonic() > deadline or (by and not by.startswith(_SHIMS)):
            return False
        time.sleep(0.01)
    return True


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
