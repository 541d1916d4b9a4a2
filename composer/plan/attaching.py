"""The steps about networks in the plan of `up`: made before what needs them, made anew when all have left them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from composer.actual.state import ActualContainer, ActualStack, PublishedPort
from composer.desired.names import dns_names
from composer.desired.state import DesiredContainer, DesiredService, DesiredStack, Endpoint
from composer.model.network import Port
from composer.plan.networks import NetworkVerdict
from composer.plan.plan import Draft
from composer.plan.steps import AssignAddresses, CreateNetwork, Member, RemoveContainer, RemoveNetwork, RepairNetwork
from composer.plan.verdicts import Replacement, Verdict

_ALL_ADDRESSES = frozenset({"", "0.0.0.0", "::"})  # noqa: S104  these are compared with, nothing listens there


class Stop(Protocol):
    """Writes the stop of a container, once, and returns its number. `removed`: it is removed next."""

    def __call__(self, one: ActualContainer, because: str, *, removed: bool = False) -> int: ...


class Attaching:
    """The networks of one plan in the making. `stopped` holds, by id, those that run and must leave a network for a
    while: the container, its stop, and the network.
    """

    def __init__(
        self,
        draft: Draft,
        desired: DesiredStack,
        actual: ActualStack,
        networks: Mapping[str, NetworkVerdict],
        *,
        no_start: bool,
    ) -> None:
        self._draft, self._desired, self._actual, self._networks = draft, desired, actual, networks
        self._no_start = no_start
        self._ready: dict[str, tuple[int, ...]] = {}
        self._members: dict[str, list[Member]] = {name: [] for name in networks}
        self.stopped: dict[str, tuple[ActualContainer, int, str]] = {}
        self.removed: dict[str, int] = {}
        """Containers that give way before their successor is made: id to the step that removes them."""

    def prepare(self, verdicts: Mapping[str, Verdict], stop: Stop) -> None:
        """Writes what precedes the containers: who must leave first, the networks, the addresses."""
        remade = {name for name, verdict in self._networks.items() if verdict.action == "remake"}
        leaving: dict[str, list[int]] = {name: [] for name in remade}
        replaced = {change.old.id: change for verdict in verdicts.values() for change in verdict.replaced}
        newcomers: list[tuple[DesiredContainer, ActualContainer | None]]
        newcomers = [(change.new, change.old) for change in replaced.values()]
        newcomers += [(new, None) for verdict in verdicts.values() for new, _, _ in verdict.made]
        going = {gone.container.id for verdict in verdicts.values() for gone in verdict.removed}
        for one in self._actual.containers:
            on = [name for name in remade if one.id in self._actual.networks[name].wiring.leases]
            change = replaced.get(one.id)
            if change is not None and (on or self._holds_its_address(change) or _has_to_yield(change, newcomers)):
                step = self._remove_first(change, stop)
                for name in on:
                    leaving[name].append(step)
                continue
            for name in on:
                if one.status.is_alive:
                    step = stop(one, f"network {name} is made anew")
                    leaving[name].append(step)
                    if one.id not in going and change is None:
                        self.stopped[one.id] = (one, step, f"network {name}")
        for name, verdict in self._networks.items():
            self._make(name, verdict, tuple(leaving.get(name, ())))
        self._rejoin(verdicts, stop, going | replaced.keys())
        for name, members in self._members.items():
            if members:
                # A stop takes names back: they are told again after it.
                stops = [self.stopped[one.container_id][1] for one in members if one.container_id in self.stopped]
                self._ready[name] = (self._assign(name, members, (*self._ready.get(name, ()), *stops)),)

    def _holds_its_address(self, change: Replacement) -> bool:
        """Whether the new container asks for an address that the old one has: it can get it only after that."""
        for end in change.new.spec.networks:
            network = self._actual.networks.get(end.network)
            lease = network.wiring.leases.get(change.old.id) if network else None
            if lease and {lease.ipv4, lease.ipv6} & {end.ipv4_address, end.ipv6_address} - {""}:
                return True
        return False

    def _remove_first(self, change: Replacement, stop: Stop) -> int:
        old = change.old
        after = (stop(old, change.because, removed=True),) if old.status.is_alive else ()
        remove = RemoveContainer(subject=old.name, because=change.because, container_id=old.id)
        self.removed[old.id] = self._draft.add(remove, after=after)
        return self.removed[old.id]

    def _make(self, name: str, verdict: NetworkVerdict, after: tuple[int, ...]) -> None:
        because = verdict.because
        if verdict.action == "repair":
            self._ready[name] = (self._draft.add(RepairNetwork(subject=name, because=because)),)
        elif verdict.action in {"create", "remake"}:
            if verdict.action == "remake":
                after = (self._draft.add(RemoveNetwork(subject=name, because=because), after=after),)
            create = CreateNetwork(
                subject=name, because=because, network=verdict.network, differences=verdict.differences
            )
            self._ready[name] = (self._draft.add(create, after=after),)

    def _rejoin(self, verdicts: Mapping[str, Verdict], stop: Stop, others: set[str]) -> None:
        """Those that stay and will be started are told to their networks; who runs and has lost one, after a stop."""
        kept = {one.id for verdict in verdicts.values() for one in verdict.kept}
        for one in self._actual.containers:
            if one.id in others or not (one.id in kept or one.id in self.stopped):
                continue
            for end in ends_of(one):
                verdict = self._networks.get(end.network)
                network = self._actual.networks.get(end.network)
                has_lease = (
                    verdict is not None and verdict.action in {"keep", "repair"} and network is not None
                ) and one.id in network.wiring.leases
                if verdict is None or (has_lease and one.status.is_alive and one.id not in self.stopped):
                    continue
                if one.status.is_alive and one.id not in self.stopped:
                    step = stop(one, f"it is not on network {end.network}")
                    self.stopped[one.id] = (one, step, f"network {end.network}")
                self._members[end.network].append(self._member(one.name, one.id, end))
        for service in verdicts.values():
            # What a crash left may have the very id: its names go with it, and must not take the new ones along.
            wrecks = {gone.container.id for gone in service.removed}
            new = [(container, new_id) for container, new_id, _ in service.made]
            new += [(one.new, one.new_id) for one in service.replaced if one.old.id not in self.removed]
            new = [(container, new_id) for container, new_id in new if new_id not in wrecks]
            for container, new_id in new:
                for end in container.spec.networks:
                    self._members[end.network].append(self._member(container.name, new_id, end))

    def _member(self, name: str, container_id: str, end: Endpoint) -> Member:
        names = () if self._no_start else dns_names(name, container_id, end.aliases)
        return Member(container_id, end, names)

    def _assign(self, name: str, members: list[Member], after: tuple[int, ...]) -> int:
        return self._draft.add(assign_step(name, members), after=after)

    def before_create(
        self, container: DesiredContainer, container_id: str, gone: tuple[int, ...] = ()
    ) -> tuple[int, ...]:
        """The steps that must be done before a new container can be made. `gone` are those that remove who has its
        addresses or its id: only after these it can be given any.
        """
        after = list(gone)
        for end in container.spec.networks:
            ready = self._ready.get(end.network, ())
            if gone:
                ready = (self._assign(end.network, [self._member(container.name, container_id, end)], (*ready, *gone)),)
            after += ready
        return tuple(after)

    def before_start(self, one: ActualContainer) -> tuple[int, ...]:
        """The steps that must be done before a container that exists can be started again."""
        return tuple(number for end in ends_of(one) for number in self._ready.get(end.network, ()))


def needs_port_of(new: DesiredContainer, old: ActualContainer | None, other: ActualContainer) -> bool:
    """Whether a new container, in the place of `old` if there is one, waits for a port that `other` has."""
    return any(_needs(port, old, held) for port in new.spec.ports for held in other.published)


def _has_to_yield(change: Replacement, newcomers: Iterable[tuple[DesiredContainer, ActualContainer | None]]) -> bool:
    """Whether the old container has a port that a new one other than its successor asks for, with whom it cannot be
    shared. `newcomers`: each new container, and which one it replaces.
    """
    if not change.old.status.can_signal:
        return False
    stay = [port for port in change.new.spec.ports if not _is_range(port)]
    may_stay = change.new.spec.ports
    return any(
        _needs(port, old, held) and not any(_covers(own, held) for own in (may_stay if _is_range(port) else stay))
        for new, old in newcomers
        if new is not change.new
        for port in new.spec.ports
        for held in change.old.published
    )


def _needs(port: Port, old: ActualContainer | None, held: PublishedPort) -> bool:
    """Whether a port can only be had when it is not held any more. Of a range who has a number keeps it."""
    has_one = _is_range(port) and old is not None and any(_covers(port, one) for one in old.published)
    return not has_one and _covers(port, held)


def _is_range(port: Port) -> bool:
    return "-" in port.published


def _covers(port: Port, held: PublishedPort) -> bool:
    first, dash, last = port.published.partition("-")
    hosts = {port.host_ip, held.host_ip}
    return (
        bool(first)
        and port.protocol == held.protocol
        and int(first) <= held.published <= int(last if dash else first)
        and (len(hosts) == 1 or not hosts.isdisjoint(_ALL_ADDRESSES))
    )


def assign_step(name: str, members: Iterable[Member]) -> AssignAddresses:
    """Tells a network who is about to be on it. Who asks for an address comes first, before somebody else gets it."""
    in_order = tuple(sorted(members, key=lambda one: not (one.end.ipv4_address or one.end.ipv6_address)))
    because = f"{len(in_order)} containers join" if len(in_order) != 1 else "a container joins"
    return AssignAddresses(subject=name, because=because, members=in_order)


def ends_of(one: ActualContainer) -> tuple[Endpoint, ...]:
    """A container's ends as its record has them; what cannot be read is left out: the record says so when it counts."""
    found = one.spec.get("networks")
    ends = []
    for plain in found if isinstance(found, list) else ():
        try:
            lists = {name: tuple(map(str, plain[name])) for name in ("aliases", "link_local_ips")}
            ends.append(Endpoint(**{**plain, **lists}))
        except (KeyError, TypeError):
            continue
    return tuple(ends)


def networks_of(services: Mapping[str, DesiredService], chosen: frozenset[str]) -> tuple[str, ...]:
    """The real names of the networks that the chosen services are on, in the order in which they are met."""
    return tuple(
        dict.fromkeys(end.network for name in services if name in chosen for end in services[name].spec.networks)
    )
