"""Networks and containers of a store on the machine in miniature of `netlab`, as the commands would make them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from netlab import OUTSIDE4, Lab, Upstream, lab

from composer.frozen import replace
from composer.host import dnsmasq, endpoints, net_paths, router
from composer.host.endpoints import Resolver
from composer.model.wiring import Joint, Lease, Publication, Wiring
from composer.paths import Paths


class Stretch:
    """The networks of one store; `upstreams` are the name servers of its world."""

    def __init__(self, paths: Paths, where: Lab, upstreams: tuple[str, ...] = ()) -> None:
        self.paths = paths
        self.lab = where
        self.upstreams = upstreams
        self.wirings: dict[str, Wiring] = {}
        self.containers: dict[str, list[str]] = {}
        self.upstream: Upstream | None = None

    def all_wirings(self) -> Iterator[Wiring]:
        yield from self.wirings.values()

    def define(self, name: str, number: int, *, v6: bool = False, internal: bool = False, **more: object) -> Wiring:
        """A network's wiring, `10.<100 + number>.0.0/24`, not made."""
        link = 2 * number
        wiring = Wiring(
            name=name,
            internal=internal,
            subnet4=f"10.{100 + number}.0.0/24",
            gateway4=f"10.{100 + number}.0.1",
            subnet6=f"fd00:{number}::/64" if v6 else "",
            gateway6=f"fd00:{number}::1" if v6 else "",
            uplink="" if internal else net_paths.uplink(self.paths, name),
            link4=("", "") if internal else (f"10.99.0.{link}", f"10.99.0.{link + 1}"),
            link6=(f"fd00:99::{link:x}", f"fd00:99::{link + 1:x}") if v6 and not internal else ("", ""),
        )
        return replace(wiring, **more)

    def network(self, name: str, number: int, *, v6: bool = False, internal: bool = False, **more: object) -> Wiring:
        """A network, made."""
        wiring = self.define(name, number, v6=v6, internal=internal, **more)
        self.wirings[name] = wiring
        self.make(name)
        return wiring

    def make(self, name: str) -> None:
        self.lab.on_host(lambda: router.make(self.paths, self.wirings[name], self.upstreams, self.all_wirings))

    def remove(self, name: str) -> None:
        wiring = self.wirings.pop(name)
        self.lab.on_host(lambda: router.remove(self.paths, wiring))

    def faults(self, name: str) -> tuple[str, ...]:
        return self.lab.on_host(lambda: router.faults(self.paths, self.wirings[name], self.upstreams))

    def lease(self, container_id: str, network: str, host: int) -> Lease:
        """Gives a container its address on a network."""
        wiring = self.wirings[network]
        lease = Lease(
            mac=f"02:aa:{wiring.gateway4.split('.')[1]:0>2.2}:00:00:{host:02x}",
            ipv4=wiring.gateway4.rsplit(".", 1)[0] + f".{host}",
            ipv6=wiring.gateway6[:-1] + f"{host:x}" if wiring.gateway6 else "",
        )
        self.wirings[network] = replace(wiring, leases={**wiring.leases, container_id: lease})
        return lease

    def joint(self, container_id: str, network: str, interface: str, *, first: bool = True) -> Joint:
        wiring = self.wirings[network]
        way_out = first and not wiring.internal
        return Joint(wiring, wiring.leases[container_id], interface, (), way_out, way_out and bool(wiring.subnet6))

    def container(self, container_id: str, host: int, *networks: str, resolver: Resolver | None = None) -> str:
        """A container on networks, known there by its id; gives the path of its namespace."""
        for name in networks:
            lease = self.lease(container_id, name, host)
            names = [(address, container_id) for address in (lease.ipv4, lease.ipv6) if address]
            dnsmasq.write_hosts(self.paths, name, container_id, names)
        self.containers[container_id] = list(networks)
        self.connect(container_id, resolver)
        return endpoints.netns_path(self.paths, container_id)

    def connect(self, container_id: str, resolver: Resolver | None = None) -> None:
        joints = [
            self.joint(container_id, name, f"eth{at}", first=at == 0)
            for at, name in enumerate(self.containers[container_id])
        ]
        wanted = resolver or Resolver(self.upstreams)
        self.lab.on_host(lambda: endpoints.connect(self.paths, container_id, joints, resolver=wanted))

    def publish(self, network: str, container_id: str, *publications: Publication) -> None:
        """Opens exactly these ports for a container."""
        old = self.wirings[network]
        lease = old.leases[container_id]._replace(publications=publications)
        new = self.wirings[network] = replace(old, leases={**old.leases, container_id: lease})
        self.lab.on_host(lambda: router.publish(self.paths, old, new, self.all_wirings))

    def sweep(self) -> None:
        """Takes all away, as the commands do."""
        for container_id, networks in self.containers.items():
            for name in networks:
                dnsmasq.clear_hosts(self.paths, name, container_id)
            endpoints.remove(self.paths, container_id)
        for name in list(self.wirings):
            self.remove(name)


@contextmanager
def stretch(paths: Paths, where: Lab, upstreams: tuple[str, ...] = ()) -> Iterator[Stretch]:
    """A store without networks; what the test makes is taken away at the end."""
    made = Stretch(paths, where, upstreams)
    try:
        yield made
    finally:
        made.sweep()


@contextmanager
def playground(paths: Paths) -> Iterator[Stretch]:
    """A machine in miniature with a store on it, whose world has a name server on the host outside."""
    directory = f"{os.path.dirname(paths.run)}/lab"
    os.mkdir(directory)
    with (
        lab(directory) as where,
        Upstream(where.outside, OUTSIDE4) as upstream,
        stretch(paths, where, (OUTSIDE4,)) as made,
    ):
        made.upstream = upstream
        yield made
