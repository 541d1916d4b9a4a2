"""The plans of `down`, `stop`, `start`, `restart`, `kill` and `rm`: from the actual stack alone, so no file is needed.

Order comes from the records: what depends on others stops first (docker compose keeps it in a label for that).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from composer.actual.state import ActualContainer, ActualStack, Status, named_volumes
from composer.desired.names import dns_names
from composer.desired.networks import BRIDGE
from composer.errors import ContainerError
from composer.model.service import Dependency
from composer.plan.attaching import assign_step, ends_of
from composer.plan.order import dependents, ordered, selected
from composer.plan.plan import Draft, Plan
from composer.plan.reconcile import stop_step, wait_step
from composer.plan.steps import (
    KillContainer,
    Member,
    RemoveContainer,
    RemoveImage,
    RemoveNetwork,
    RemoveStack,
    RemoveVolume,
    RepairNetwork,
    StartContainer,
)

Known = Collection[str] | None
"""The services the stack file enables; None if there is no file, then everything is ours."""


def graph_of(actual: ActualStack, known: Iterable[str] = ()) -> dict[str, Mapping[str, Dependency]]:
    """Services and what they depend on, as the records have it; `known` services without containers are added."""
    graph: dict[str, Mapping[str, Dependency]] = {name: {} for name in known}
    for one in actual.containers:
        graph[one.service] = {**graph.get(one.service, {}), **one.depends_on}
    return graph


def _chosen(graph: Mapping[str, Mapping[str, Dependency]], services: tuple[str, ...], known: Known) -> frozenset[str]:
    """The services named, or those of the stack file: orphans and services of inactive profiles are left alone."""
    if not services and known is not None:
        return frozenset(known)
    return selected(graph, services, with_dependencies=False)


def plan_down(
    actual: ActualStack,
    *,
    known: frozenset[str] | None,
    disabled: frozenset[str] = frozenset(),
    services: tuple[str, ...] = (),
    remove_orphans: bool = False,
    volumes: bool = False,
    timeout: float | None = None,
    images: Iterable[str] = (),
) -> Plan:
    """Stops and removes. `known` are the services of the stack file (None: no file, everything is ours).

    As docker compose: orphans and one-offs stay unless `remove_orphans`, services of inactive profiles always.
    `images` are references to remove afterwards.
    """
    graph = graph_of(actual, known or ())
    chosen = selected(graph, services, with_dependencies=False)

    def is_ours(one: ActualContainer) -> bool:
        if services:
            return one.service in chosen and (not one.oneoff or bool(one.hook_of))
        if one.service in disabled:
            return False
        is_orphan = (one.oneoff and not one.hook_of) or (known is not None and one.service not in known)
        return remove_orphans or one.status is Status.DEAD or not is_orphan

    doomed = [one for one in actual.containers if is_ours(one)]
    draft = Draft()
    because = "down"
    stops = _stop_all(draft, graph, doomed, because, timeout, removed=True)
    networks, in_use = _networks_to_remove(actual, {one.id for one in doomed})
    removals = []
    # As soon as nobody runs on it: behind the end of all its containers' namespaces the kernel would let it wait.
    for name in networks:
        after = [number for one in doomed if one in networks[name] for number in stops.get(one.id, ())]
        removals.append(draft.add(RemoveNetwork(subject=name, because=because), after=tuple(after)))
    gone = []
    for one in doomed:
        networks_go = all(network.name in networks for network in actual.networks_of(one))
        remove = RemoveContainer(
            subject=one.name, because=because, container_id=one.id, volumes=volumes, networks_go=networks_go
        )
        gone.append(draft.add(remove, after=stops.get(one.id, ())))
    removals += gone
    left = [one for one in actual.containers if not is_ours(one)]
    kept = []
    if volumes and not services:
        for name in (name for name, project in actual.volumes.items() if project == actual.project):
            if users := _users_of_volume(actual, name, left):
                kept.append(f"volume {name} stays: {users} it")
            else:
                removals.append(draft.add(RemoveVolume(subject=name, because="down -v"), after=tuple(gone)))
    if not left:
        removals.append(
            draft.add(RemoveStack(subject=actual.project, because="nothing of it is left"), after=tuple(removals))
        )
    for reference in dict.fromkeys(images):
        draft.add(RemoveImage(subject=reference, because="--rmi"), after=tuple(removals))
    warnings = [f"network {name} stays: {users} on it" for name, users in in_use.items()] if not services else []
    warnings += kept
    if left and not services:
        names = ", ".join(one.name for one in left if one.service not in disabled)
        warnings += [f"left: {names}; --remove-orphans removes them"] if names else []
    return draft.finish(warnings=tuple(warnings))


def _users_of_volume(actual: ActualStack, name: str, left: Iterable[ActualContainer]) -> str:
    """Who will use a volume, in words: those of the stack that are `left`, and those of others. "" = nobody."""
    shown = [one.name for one in left if name in named_volumes(one.spec)]
    shown += [f"{user} of another stack" for user in actual.volume_users.get(name, ())]
    return f"{', '.join(shown)} {'uses' if len(shown) == 1 else 'use'}" if shown else ""


def _networks_to_remove(
    actual: ActualStack, doomed: Collection[str]
) -> tuple[dict[str, list[ActualContainer]], dict[str, str]]:
    """The stack's own networks (and `bridge`) that nobody will be on, with those who are now; and for the others, in
    words, who will be.
    """
    free: dict[str, list[ActualContainer]] = {}
    in_use: dict[str, str] = {}
    names = {one.id: one.name for one in actual.containers}
    for network in actual.networks.values():
        if network.wiring.project != actual.project and network.name != BRIDGE:
            continue
        users = [one for one in network.wiring.leases if one not in doomed]
        if not users:
            free[network.name] = [one for one in actual.containers if one.id in network.wiring.leases]
        elif network.name != BRIDGE:
            shown = [names.get(one, f"a container of another stack ({one[:12]})") for one in users]
            in_use[network.name] = f"{', '.join(shown)} {'is' if len(shown) == 1 else 'are'}"
    return free, in_use


def _stop_all(
    draft: Draft,
    graph: Mapping[str, Mapping[str, Dependency]],
    containers: Iterable[ActualContainer],
    because: str,
    timeout: float | None,
    *,
    removed: bool = False,
) -> dict[str, tuple[int, ...]]:
    """Writes the stops, dependents first; returns container id to its stop step. `removed`: that comes next."""
    by_service: dict[str, list[ActualContainer]] = {}
    for one in containers:
        by_service.setdefault(one.service, []).append(one)
    users = dependents(graph)
    stops: dict[str, tuple[int, ...]] = {}
    of_service: dict[str, tuple[int, ...]] = {}
    for name in reversed(ordered(graph)):
        # Through a dependent that has nothing to stop, its own dependents still come first.
        before = tuple(number for user in users[name] for number in of_service.get(user, ()))
        mine = []
        for one in by_service.get(name, ()):
            if one.status.is_alive or (one.comes_back and not removed):
                mine.append(draft.add(stop_step(one, because, timeout, removed=removed), after=before))
                stops[one.id] = (mine[-1],)
        of_service[name] = tuple(mine) or before
    return stops


def plan_stop(actual: ActualStack, *, services: tuple[str, ...], known: Known, timeout: float | None) -> Plan:
    """Stops what runs, dependents first. One-offs are left alone."""
    graph = graph_of(actual, known or ())
    chosen = _chosen(graph, services, known)
    draft = Draft()
    mine = [one for one in actual.containers if not one.oneoff or one.hook_of]
    _stop_all(draft, graph, [one for one in mine if one.service in chosen], "stop", timeout)
    return draft.finish()


def plan_start(actual: ActualStack, *, services: tuple[str, ...], known: Known) -> Plan:
    """Starts what exists and does not run, and what it depends on first. Services without containers are left out:
    they may be scaled to 0. Raises `ContainerError` if one is named, or if all are without.
    """
    graph = graph_of(actual, known or ())
    chosen = selected(graph, services, with_dependencies=True) if services else _chosen(graph, (), known)
    empty = [name for name in graph if name in chosen and not any(one.service == name for one in _replicas(actual))]
    missing = [name for name in empty if name in services or len(empty) == len(chosen)]
    if missing:
        raise ContainerError(f'service "{missing[0]}" has no container to start', hint="jocker up -d makes it")
    draft = Draft()
    _start_all(draft, actual, graph, [one for one in _replicas(actual) if one.service in chosen], "start", {})
    return draft.finish()


def _start_all(
    draft: Draft,
    actual: ActualStack,
    graph: Mapping[str, Mapping[str, Dependency]],
    containers: Iterable[ActualContainer],
    because: str,
    stops: Mapping[str, tuple[int, ...]],
) -> None:
    """Writes the starts, dependencies first, and the waits for those that must complete. `stops` (container id to
    steps) precede the start of their container; those that run and are not stopped are left alone.
    """
    by_service: dict[str, list[ActualContainer]] = {}
    for one in containers:
        by_service.setdefault(one.service, []).append(one)
    of_service: dict[str, tuple[int, ...]] = {}
    networks = _prepare_networks(draft, actual, [one for mine in by_service.values() for one in mine], stops)
    for name in ordered(graph):
        after = [number for dependency in graph[name] for number in of_service.get(dependency, ())]
        starting = [one for one in by_service.get(name, ()) if one.id in stops or not one.status.is_alive]
        if starting:
            for needed, dependency in graph[name].items():
                if dependency.condition != "service_started":
                    for one in by_service.get(needed, ()):
                        wait = wait_step(name, one.id, one.name, dependency)
                        after.append(draft.add(wait, after=of_service.get(needed, ())))
        started: list[int] = []
        for one in starting:
            step = StartContainer(subject=one.name, because=because, container_id=one.id, service=name, retry=one.retry)
            own = one.spec.get("hooks")
            first = started[:1] if isinstance(own, Mapping) and own.get("pre_start") else ()
            started.append(draft.add(step, after=(*after, *first, *stops.get(one.id, ()), *networks.get(one.id, ()))))
        of_service[name] = tuple(started) or tuple(after)


def _prepare_networks(
    draft: Draft, actual: ActualStack, containers: Iterable[ActualContainer], stops: Mapping[str, tuple[int, ...]]
) -> dict[str, tuple[int, ...]]:
    """Writes what comes before the start of containers that are on networks: these are repaired, and told who comes.
    Returns container id to steps.
    """
    starting = [one for one in containers if one.id in stops or not one.status.is_alive]
    found: dict[str, tuple[int, ...]] = {one.id: () for one in starting}
    for network in actual.networks.values():
        mine = [(one, end) for one in starting for end in ends_of(one) if end.network == network.name]
        if not mine:
            continue
        after = tuple(number for one, _ in mine for number in stops.get(one.id, ()))
        if network.faults:
            after += (draft.add(RepairNetwork(subject=network.name, because="; ".join(network.faults))),)
        members = [Member(one.id, end, dns_names(one.name, one.id, end.aliases)) for one, end in mine]
        assign = draft.add(assign_step(network.name, members), after=after)
        for one, _ in mine:
            found[one.id] += (assign,)
    return found


def plan_restart(
    actual: ActualStack, *, services: tuple[str, ...], known: Known, no_deps: bool, timeout: float | None
) -> Plan:
    """Stops and starts again with the old configuration; those that depend with `restart: true` go along."""
    graph = graph_of(actual, known or ())
    chosen = set(_chosen(graph, services, known))
    if services and not no_deps:
        users = dependents(graph)
        pending = list(chosen)
        while pending:
            name = pending.pop()
            for user in users[name]:
                if graph[user][name].restart and user not in chosen:
                    chosen.add(user)
                    pending.append(user)
    draft = Draft()
    mine = [one for one in _replicas(actual) if one.service in chosen]
    stops = _stop_all(draft, graph, mine, "restart", timeout)
    _start_all(draft, actual, graph, mine, "restart", stops)
    return draft.finish()


def plan_kill(actual: ActualStack, *, services: tuple[str, ...], known: Known, signal: str) -> Plan:
    """One signal to everything that runs, one-offs too."""
    chosen = _chosen(graph_of(actual, known or ()), services, known)
    draft = Draft()
    for one in actual.containers:
        if one.service in chosen and (one.status.is_alive or one.comes_back):
            draft.add(KillContainer(subject=one.name, because=signal, container_id=one.id, signal=signal))
    return draft.finish()


def plan_rm(
    actual: ActualStack,
    *,
    services: tuple[str, ...],
    known: Known,
    stop: bool,
    volumes: bool,
    timeout: float | None = None,
) -> Plan:
    """Removes stopped containers, and those half made or half removed; with `stop`, all of them."""
    graph = graph_of(actual, known or ())
    chosen = _chosen(graph, services, known)
    replicas = [one for one in actual.containers if one.service in chosen and (not one.oneoff or one.hook_of)]
    mine = [one for one in replicas if stop or not one.status.is_alive]
    draft = Draft()
    stops = _stop_all(draft, graph, mine, "rm", timeout, removed=True)
    for one in mine:
        step = RemoveContainer(subject=one.name, because="rm", container_id=one.id, volumes=volumes)
        draft.add(step, after=stops.get(one.id, ()))
    return draft.finish()


def _replicas(actual: ActualStack) -> list[ActualContainer]:
    return [one for one in actual.containers if not one.oneoff and one.status is not Status.DEAD]
