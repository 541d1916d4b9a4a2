"""What a plan's steps ask of networks: records and locks around what `host.router` and `host.endpoints` do."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from composer.actual.parse import desired_of
from composer.desired.joining import joints, machine_address, publications, way_out
from composer.desired.networks import BRIDGE
from composer.desired.state import ContainerSpec, DesiredContainer, DesiredNetwork, Endpoint
from composer.desired.wire import released
from composer.errors import ContainerError, NetworkError, UsageError
from composer.frozen import replace
from composer.host import net_paths, networks, records
from composer.host.forwarder import asked_instead
from composer.host.resolvers import resolvers
from composer.model.network import Port
from composer.model.wiring import Publication, Wiring
from composer.paths import Paths

if TYPE_CHECKING:
    from composer.host.ports import Kept
    from composer.plan.steps import Member


def _machine_cidrs() -> list[str]:
    """Where the machine itself sends things: addresses that nobody else may have."""
    from composer.host.netlink import Netlink, addresses, routes

    with Netlink() as here:
        # Two halves of everything are how a VPN takes the default route.
        found = [route.destination for route in routes(here) if not route.destination.endswith(("/0", "/1"))]
        return found + [one.interface for one in addresses(here)]


def _machine_mtu() -> int:
    from composer.host.netlink import Netlink, machine_mtu

    with Netlink() as here:
        return machine_mtu(here)


def _upstreams(spec: ContainerSpec, wirings: Sequence[Wiring]) -> tuple[str, ...]:
    """Whom a name server asks that a container has for itself."""
    way = way_out(spec, wirings, 4) or way_out(spec, wirings, 6)
    return asked_instead(way, resolvers().upstreams) if way else ()


def _with_ports(wiring: Wiring, container_id: str, ports: tuple[Publication, ...]) -> Wiring:
    lease = wiring.leases[container_id]
    leases = {**wiring.leases, container_id: lease._replace(publications=ports, claimed_by="")}
    return replace(wiring, leases=leases)


class Attached(NamedTuple):
    """What came of attaching: the networks in the order of the container's ends, the machine's address for it."""

    wirings: tuple[Wiring, ...]
    machine: str


def address_pool(network: DesiredNetwork) -> tuple[str, ...]:
    """`JOCKER_ADDRESS_POOL`, else the stack file's, else ours. Raises `UsageError`."""
    from composer.desired.addresses import DEFAULT_POOL, check_pool

    given = os.environ.get("JOCKER_ADDRESS_POOL", "").replace(",", " ").split()
    if not given:
        return network.address_pool or DEFAULT_POOL
    try:
        return check_pool(given)
    except ValueError as error:
        raise UsageError(f"JOCKER_ADDRESS_POOL: {error}", hint='CIDRs, as in "172.24.0.0/13"') from None


class Networking:
    """The networks of one store. Safe to use from several threads and processes: changes are made under one lock."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths

    # networks -----------------------------------------------------------------------------------------

    def create(self, network: DesiredNetwork) -> None:
        """Makes a network; one that a killed command has begun is finished. Raises `NetworkError`."""
        from composer.host import foreign_firewall, router

        paths = self._paths
        with networks.changing(paths):
            wiring = networks.read(paths, network.name)
            if wiring is not None and (wiring.project, wiring.key) != (network.project, network.key):
                raise NetworkError(f"network {network.name} has been made by somebody else meanwhile")
            if wiring is None or wiring.config_hash != network.config_hash:
                wiring = self._wired(network)
                networks.write(paths, wiring, sync=True)
            else:
                wiring = self._without_dead_ports(wiring)
            router.make(paths, wiring, resolvers().upstreams, self._everything)
            foreign_firewall.let_pass([wiring.uplink] if wiring.uplink else ())

    def _wired(self, network: DesiredNetwork) -> Wiring:
        from composer.desired.wire import check_apart, cidrs, wire

        others = [wiring for wiring in networks.every(self._paths) if wiring.name != network.name]
        check_apart(network, others)
        taken = [cidr for wiring in others for cidr in cidrs(wiring)]
        return wire(
            network,
            pool=address_pool(network),
            taken=[*taken, *_machine_cidrs()],
            uplink=net_paths.uplink(self._paths, network.name),
            names=network.name != BRIDGE,
            now=time.time(),
            machine_mtu=_machine_mtu(),
        )

    def _everything(self) -> Iterable[Wiring]:
        return networks.every(self._paths)

    def repair(self, name: str) -> None:
        """Makes what is missing of a network; its containers are connected again if they must be. Raises
        `NetworkError`.
        """
        from composer.host import foreign_firewall, router

        paths = self._paths
        with networks.changing(paths):
            wiring = self._without_dead_ports(self._wiring(name))
            router.mend(paths, wiring, resolvers().upstreams, self._everything)
            foreign_firewall.let_pass([wiring.uplink] if wiring.uplink else ())
            for container_id in wiring.leases:
                self._mend_end(container_id)

    def _mend_end(self, container_id: str) -> None:
        """Connects a container again where it must be. One that is not even pinned is connected when it is started, one
        that has lost another network, too, when that is repaired or it has got an address there.
        """
        from composer.host import endpoints, netns
        from composer.host.state import snapshot

        record = records.read(self._paths, container_id)
        if record is None:
            return
        pid = snapshot(self._paths, record).pid
        if pid:
            endpoints.adopt(self._paths, container_id, pid)
        if netns.exists(net_paths.container_netns(self._paths, container_id)):
            with suppress(ContainerError, NetworkError):  # of a damaged record its own stack will hear
                spec = desired_of(record).spec
                wirings = [self._wiring(end.network) for end in spec.networks]
                routers = [net_paths.router_netns(self._paths, wiring.name) for wiring in wirings]
                if all(map(netns.exists, routers)) and all(container_id in wiring.leases for wiring in wirings):
                    self._connect(spec, wirings, container_id)

    def remove(self, name: str, *, for_good: bool = False) -> None:
        """Removes a network that nobody runs on; with `for_good`, that no container is on. Raises `NetworkError`."""
        from composer.host import foreign_firewall, router

        paths = self._paths
        with networks.changing(paths):
            wiring = networks.read(paths, name)
            if wiring is None:
                return
            wiring = networks.without_strays(paths, wiring)
            users = [user for one in wiring.leases if (user := self._user(wiring, one, for_good=for_good))]
            if users:
                raise NetworkError(f"network {name} is in use by {', '.join(users)}", hint="remove these first")
            foreign_firewall.take_back([wiring.uplink] if wiring.uplink else ())
            router.remove(paths, wiring)
            networks.remove(paths, name)

    def _user(self, wiring: Wiring, container_id: str, *, for_good: bool) -> str:
        """Who keeps a network from being removed, "" if nobody does. Those that have ended may stay on it, unless it
        goes `for_good`; what a crash left half made of its own stack goes with it.
        """
        from composer.host.state import snapshot

        record = records.read(self._paths, container_id)
        if record is None:  # it may have gone since we looked: the same plan removes containers
            is_stray = networks.is_stray(self._paths, container_id, wiring.leases[container_id])
            return "" if is_stray else "a container that is being made"
        if record.get("phase") == "removing":
            return ""
        is_whole = record.get("phase") == "created"
        is_alive = is_whole and snapshot(self._paths, record).status.is_alive
        is_foreign = record.get("project") != wiring.project
        return str(record.get("name")) if is_alive or (for_good and is_whole) or (is_foreign and not is_whole) else ""

    def _without_dead_ports(self, wiring: Wiring) -> Wiring:
        """The wiring without published ports of containers that do not run, written down so: nothing leads to them when
        its rules are made. Under the lock.
        """
        kept = {
            one: lease._replace(publications=()) if lease.publications and not self._runs(one) else lease
            for one, lease in wiring.leases.items()
        }
        if kept == wiring.leases:
            return wiring
        new = replace(wiring, leases=kept)
        networks.write(self._paths, new)
        return new

    def _runs(self, container_id: str) -> bool:
        from composer.host.state import snapshot

        record = records.read(self._paths, container_id)
        return record is not None and snapshot(self._paths, record).pid != 0

    def _wiring(self, name: str) -> Wiring:
        wiring = networks.read(self._paths, name)
        if wiring is None:
            raise NetworkError(f"network {name} is not there", hint="jocker up makes it")
        return wiring

    def assign(self, name: str, members: Sequence[Member]) -> None:
        """Gives containers to be their addresses, and the network their names. Raises `NetworkError`."""
        from composer.desired.wire import leased

        paths = self._paths
        me = networks.me()
        with networks.changing(paths):
            before = self._wiring(name)
            wiring = self._without_strays(before)
            for member in members:
                wiring = leased(wiring, member.container_id, member.end, claimed_by=me)
            self._store(before, wiring)
        if wiring.names:
            self._tell(wiring, {member.container_id: member.names for member in members if member.names})

    def _without_strays(self, wiring: Wiring) -> Wiring:
        """The wiring without leases of containers that never came to be; their names go, too. Under the lock."""
        from composer.host import dnsmasq

        kept = networks.without_strays(self._paths, wiring)
        for container_id in wiring.leases.keys() - kept.leases.keys():
            dnsmasq.clear_hosts(self._paths, wiring.name, container_id)
        return kept

    def _tell(self, wiring: Wiring, names: Mapping[str, tuple[str, ...]]) -> None:
        from composer.host import dnsmasq

        news = {}
        for container_id, known in names.items():
            lease = wiring.leases[container_id]
            pairs = [(address, name) for address in (lease.ipv4, lease.ipv6) if address for name in known]
            if not dnsmasq.knows(self._paths, wiring.name, container_id, pairs):
                news[container_id] = pairs
        if news:
            with networks.changing(self._paths):
                for container_id, pairs in news.items():
                    dnsmasq.write_hosts(self._paths, wiring.name, container_id, pairs)

    # containers ---------------------------------------------------------------------------------------

    def attach(self, container: DesiredContainer, container_id: str) -> Attached:
        """Makes the container's network namespace with an end on each of its networks; what is there stays.

        Raises `NetworkError`.
        """
        return self.join(container.spec, container_id)

    def join(self, spec: ContainerSpec, container_id: str) -> Attached:
        """As `attach`, for what is no container: a build."""
        wirings = [self._leased(end, container_id) for end in spec.networks]
        self._connect(spec, wirings, container_id)
        return Attached(tuple(wirings), machine_address(spec, wirings))

    def _connect(self, spec: ContainerSpec, wirings: Sequence[Wiring], container_id: str) -> None:
        from composer.host import endpoints

        endpoints.connect(
            self._paths,
            container_id,
            joints(spec, wirings, container_id),
            resolver=endpoints.Resolver(
                spec.dns or _upstreams(spec, wirings), spec.links, own_upstreams=bool(spec.dns)
            ),
        )

    def _leased(self, end: Endpoint, container_id: str) -> Wiring:
        wiring = self._wiring(end.network)
        if container_id in wiring.leases:
            return wiring
        from composer.desired.wire import leased

        with networks.changing(self._paths):
            before = self._wiring(end.network)
            wiring = leased(self._without_strays(before), container_id, end)
            self._store(before, wiring)
        return wiring

    def _store(self, before: Wiring, wiring: Wiring) -> None:
        """Writes down a changed wiring and makes the rules as it says. Under the lock."""
        if wiring == before:
            return
        networks.write(self._paths, wiring)
        if before.publications != wiring.publications:
            from composer.host import router

            router.publish(self._paths, before, wiring, self._everything)

    def at_end(self, attached: Attached, container_id: str) -> tuple[str, ...]:
        """The command that takes a container's names back when it has ended, whoever ended it; () if it has none."""
        from composer.host.proc import find

        files = [
            f"{net_paths.hosts_dir(self._paths, wiring.name)}/{container_id}"
            for wiring in attached.wirings
            if wiring.names
        ]
        program = find("truncate")
        return (program, "--no-create", "--size=0", *files) if program and files else ()

    def keep_ports(self, container: DesiredContainer, record: dict[str, Any]) -> tuple[Kept, ...]:
        """Takes the container's ports on the machine, and notes in its record which. Raises `NetworkError`."""
        from composer.execute.published import keep

        kept = keep(self._paths, container, record, [self._wiring(end.network) for end in container.spec.networks])
        if not kept:
            record.pop("published", None)
            return ()  # all its networks are internal: nothing leads to it
        record["published"] = [[one.port.protocol, one.port.host_ip, one.published, one.port.target] for one in kept]
        # Before the shim has them: what a crash leaves is known for whose they are.
        records.write(self._paths, record, sync=False)
        return kept

    def show(self, container: DesiredContainer, container_id: str, published: Iterable[Sequence[Any]]) -> None:
        """Lets a container that is about to run be found: its names on its networks, and on the machine its ports,
        `published` as its record has them.
        """
        from composer.desired.names import dns_names

        spec = container.spec
        wirings = [self._wiring(end.network) for end in spec.networks]
        for end, wiring in zip(spec.networks, wirings, strict=True):
            if wiring.names:
                self._tell(wiring, {container_id: dns_names(container.name, container_id, end.aliases)})
        ports = [
            (Port(target, str(number), host_ip, protocol), number) for protocol, host_ip, number, target in published
        ]
        if ports:
            four, six = way_out(spec, wirings, 4), way_out(spec, wirings, 6)
            for wiring in {one.name: one for one in (four, six) if one}.values():
                with networks.changing(self._paths):
                    self._drop_dead_claims(container_id, publications(wiring, container_id, ports))
                    now = self._wiring(wiring.name)
                    self._publish(now, container_id, publications(now, container_id, ports))

    def _publish(self, wiring: Wiring, container_id: str, wanted: tuple[Publication, ...]) -> None:
        """Makes these the published ports of the container. Under the lock."""
        from composer.host import router

        lease = wiring.leases.get(container_id)
        if lease is None or not (wanted or lease.publications):
            return
        without = _with_ports(wiring, container_id, ())
        new = _with_ports(wiring, container_id, wanted)
        networks.write(self._paths, new)
        # Told anew even if they stand in the record: rules may have been lost since.
        router.publish(self._paths, without if wanted else wiring, new, self._everything)

    def _drop_dead_claims(self, container_id: str, wanted: Iterable[Publication]) -> None:
        """Takes ports that a container is about to have from those that have ended and still have them: only one can
        keep a port of the machine, so it is not in use. Under the lock.
        """
        ports = {(one.protocol, one.published) for one in wanted}
        for wiring in networks.every(self._paths):
            for other, lease in wiring.leases.items():
                claims = {(one.protocol, one.published) for one in lease.publications}
                if other != container_id and not claims.isdisjoint(ports) and not self._runs(other):
                    self._store(wiring, _with_ports(wiring, other, ()))

    def hide(self, container_id: str, names: Iterable[str], *, has_ports: bool) -> None:
        """Takes back the names and ports of a container that has ended. `names` are those of its networks."""
        from composer.host import dnsmasq

        with networks.changing(self._paths):
            for name in names:
                dnsmasq.clear_hosts(self._paths, name, container_id)
                wiring = networks.read(self._paths, name) if has_ports else None
                if wiring is not None:
                    self._publish(wiring, container_id, ())

    def detach(self, container_id: str, names: Iterable[str]) -> None:
        """Removes the container's network namespace, names, ports and leases on the networks called `names`. Nothing of
        it need be there.
        """
        from composer.host import dnsmasq, endpoints

        endpoints.remove(self._paths, container_id)
        left = tuple(names)
        if not left:
            return
        with networks.changing(self._paths):
            for name in left:
                dnsmasq.clear_hosts(self._paths, name, container_id)
                wiring = networks.read(self._paths, name)
                if wiring is not None and container_id in wiring.leases:
                    self._store(wiring, released(wiring, [container_id]))
