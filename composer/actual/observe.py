"""Asks the machine once what is there."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any

from composer.actual.parse import actual_of
from composer.actual.state import ActualContainer, ActualNetwork, ActualStack, used_volumes
from composer.frozen import replace
from composer.host import records
from composer.host.state import snapshot
from composer.paths import Paths

if TYPE_CHECKING:
    from composer.model.resources import StackLimits
    from composer.model.wiring import Wiring


def observe(paths: Paths, project: str) -> ActualStack:
    """The containers of one project as they are now; networks are left out."""
    return _containers_of(paths, project, records.every(paths))


def _containers_of(paths: Paths, project: str, every: Iterable[dict[str, Any]]) -> ActualStack:
    return ActualStack.of(project, (_seen(paths, record) for record in every if record.get("project") == project))


def observe_stack(paths: Paths, project: str, names: Collection[str] = (), *, faults: bool = True) -> ActualStack:
    """One project with its networks: its own, those called `names`, those its containers are on. Without `faults`
    nobody looks whether they work.
    """
    from composer.host import networks, volumes

    every = list(records.every(paths))
    seen = _containers_of(paths, project, every)
    ids = {one.id for one in seen.containers}
    found = [
        networks.without_strays(paths, wiring)
        for wiring in networks.every(paths)
        if wiring.project == project or wiring.name in names or not ids.isdisjoint(wiring.leases)
    ]
    seen_networks = observe_networks(paths, found, faults=faults)
    if faults and seen_networks:
        seen_networks = _with_lost_ends(paths, seen.containers, seen_networks)
    anonymous = {str(name) for one in every for name in _values(one.get("volumes"))}
    users: dict[str, list[str]] = {}
    foreign = [record for record in every if record.get("project") != project]
    for record in foreign:
        for name in used_volumes(record):
            users.setdefault(name, []).append(str(record.get("name") or record["id"][:12]))
    others = {str(record.get("name")): str(record.get("project")) for record in foreign}
    named = volumes.named_records(paths, anonymous)
    projects = {name: str(record.get("project", "")) for name, record in named.items()}
    hashes = {name: str(record["config_hash"]) for name, record in named.items() if record.get("config_hash")}
    found_stack = ActualStack.of(project, seen.containers, seen_networks, projects, users)
    return replace(found_stack, others=others, volume_hashes=hashes, limits=_limits(paths, project))


def _limits(paths: Paths, project: str) -> StackLimits | None:
    if not os.path.exists(paths.stack_record(project)):
        return None
    from composer.host import stack_limits

    return stack_limits.read(paths, project)


def _values(found: object) -> Iterable[object]:
    return found.values() if isinstance(found, dict) else ()


def observe_networks(paths: Paths, found: Iterable[Wiring], *, faults: bool = True) -> tuple[ActualNetwork, ...]:
    """These networks as they are now."""
    wirings = tuple(found)
    if not faults or not wirings:
        return tuple(ActualNetwork(wiring=wiring) for wiring in wirings)
    from composer.host import foreign_firewall, router
    from composer.host.resolvers import resolvers

    upstreams = resolvers().upstreams
    uplinks = [wiring.uplink for wiring in wirings if wiring.uplink]
    kept_out = foreign_firewall.kept_out(uplinks) if uplinks else frozenset()
    behind_wall = ("docker's firewall does not let it pass (DOCKER-USER)",)
    return tuple(
        ActualNetwork(
            wiring=wiring,
            faults=router.faults(paths, wiring, upstreams) + (behind_wall if wiring.uplink in kept_out else ()),
        )
        for wiring in wirings
    )


def _with_lost_ends(
    paths: Paths, containers: Iterable[ActualContainer], found: tuple[ActualNetwork, ...]
) -> tuple[ActualNetwork, ...]:
    """The networks, with what is wrong with the ends of running containers on those that are well themselves."""
    from composer.host import endpoints

    lost: dict[str, tuple[str, ...]] = {}
    for one in containers:
        ends = [network for network in found if one.id in network.wiring.leases]
        if one.status.is_alive and ends and not any(network.faults for network in ends):
            faults = tuple(f"{one.name}: {fault}" for fault in endpoints.faults(paths, one.id))
            lost[ends[0].name] = lost.get(ends[0].name, ()) + faults
    return tuple(replace(network, faults=network.faults + lost.get(network.name, ())) for network in found)


def observe_all(paths: Paths) -> tuple[ActualStack, ...]:
    """Every project of this store, by name. Records that name none belong to nobody."""
    by_project: dict[str, list[dict[str, Any]]] = {}
    for record in records.every(paths):
        project = record.get("project")
        if isinstance(project, str):
            by_project.setdefault(project, []).append(record)
    return tuple(
        ActualStack.of(project, (_seen(paths, record) for record in found))
        for project, found in sorted(by_project.items())
    )


def _seen(paths: Paths, record: dict[str, Any]) -> ActualContainer:
    return actual_of(record, **snapshot(paths, record)._asdict())
