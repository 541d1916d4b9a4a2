"""A container's ends on its networks: interfaces, default routes, names in its hosts file, rules for its ports."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from composer.desired.state import ContainerSpec
from composer.model.network import Port
from composer.model.wiring import Joint, Publication, Wiring

_FIRST_INNER_PORT = 61000
"""Where those ports of a router begin that differ from the machine's: above what Linux gives out by itself."""


def joints(spec: ContainerSpec, wirings: Sequence[Wiring], container_id: str) -> tuple[Joint, ...]:
    """The ends, one for each of `spec.networks`, whose wirings are given in the same order."""
    names = interface_names([end.interface_name for end in spec.networks])
    way_out4, way_out6 = way_out(spec, wirings, 4), way_out(spec, wirings, 6)
    return tuple(
        Joint(
            wiring=wiring,
            lease=wiring.leases[container_id],
            interface=name,
            link_local_ips=end.link_local_ips,
            has_default4=wiring is way_out4,
            has_default6=wiring is way_out6,
        )
        for end, wiring, name in zip(spec.networks, wirings, names, strict=True)
    )


def interface_names(asked: Sequence[str]) -> tuple[str, ...]:
    """The names asked for, and `eth0`, `eth1`… in order for the others."""
    free = (name for number in range(2 * len(asked) + 1) if (name := f"eth{number}") not in asked)
    return tuple(name or next(free) for name in asked)


def way_out(spec: ContainerSpec, wirings: Sequence[Wiring], version: int) -> Wiring | None:
    """The network that the default route leads to: the highest `gw_priority`, then by name; never an internal one."""
    able = [
        (-end.gw_priority, wiring.name, wiring)
        for end, wiring in zip(spec.networks, wirings, strict=True)
        if wiring.uplink and (wiring.gateway4 if version == 4 else wiring.gateway6)
    ]
    return min(able, key=lambda one: one[:2])[2] if able else None


def machine_address(spec: ContainerSpec, wirings: Sequence[Wiring]) -> str:
    """The address that the machine has for the container (`host-gateway`), "" if there is no way to it."""
    for version in (4, 6):
        wiring = way_out(spec, wirings, version)
        if wiring is not None:
            return (wiring.link4 if version == 4 else wiring.link6)[0]
    return ""


def own_addresses(
    spec: ContainerSpec, hostname: str, wirings: Iterable[Wiring], container_id: str
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """What a container's hosts file says of itself: addresses, each with the names it has."""
    names = (f"{hostname}.{spec.domainname}", hostname) if spec.domainname else (hostname,)
    leases = [wiring.leases[container_id] for wiring in wirings]
    return tuple((address, names) for lease in leases for address in (lease.ipv4, lease.ipv6) if address)


def publications(wiring: Wiring, container_id: str, chosen: Iterable[tuple[Port, int]]) -> tuple[Publication, ...]:
    """The rules for a container's published ports, each with the number that was chosen for it on the machine."""
    lease = wiring.leases[container_id]
    others = [
        one for other, held in wiring.leases.items() if other != container_id for one in held.publications
    ]  # fmt: skip
    done: list[Publication] = []
    for port, number in chosen:
        for address in (lease.ipv4, lease.ipv6):
            of_this_kind = not port.host_ip or (":" in port.host_ip) == (":" in address)
            if address and of_this_kind:
                inner = _inner(port.protocol, number, (address, port.target), [*others, *done])
                done.append(Publication(port.protocol, port.host_ip, number, inner, address, port.target))
    return tuple(done)


def _inner(protocol: str, number: int, leads_to: tuple[str, int], there: Iterable[Publication]) -> int:
    """A port of the router that leads there, or to nothing yet: the machine's own number wherever that will do."""
    is_v6 = ":" in leads_to[0]
    taken = {
        one.inner: (one.address, one.target)
        for one in there
        if one.protocol == protocol and (":" in one.address) == is_v6
    }
    inner = number
    while taken.get(inner, leads_to) != leads_to:
        inner = inner + 1 if inner >= _FIRST_INNER_PORT else _FIRST_INNER_PORT
    return inner
