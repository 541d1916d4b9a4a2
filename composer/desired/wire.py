"""From a network that is wanted to how it is wired here; leases of addresses."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from composer.desired.addresses import (
    free_address,
    free_link,
    free_subnet,
    gateway_of,
    mac_for,
    span,
    unique_link6,
    unique_subnet6,
)
from composer.desired.state import DesiredNetwork, Endpoint
from composer.errors import NetworkError
from composer.frozen import replace
from composer.model.network import Subnet
from composer.model.wiring import Lease, Wiring

USUAL_MTU = 1500


def wire(
    network: DesiredNetwork,
    *,
    pool: Collection[str],
    taken: Collection[str],
    uplink: str,
    names: bool,
    now: float,
    machine_mtu: int = USUAL_MTU,
) -> Wiring:
    """The wiring of a new network. `taken` are CIDRs of other networks, of links, and of the machine's routes;
    `uplink` is the name of the machine's interface for it, `now` in seconds since the epoch. What the machine's way out
    cannot carry in one piece (`machine_mtu`) the network does not send, unless it is told to.

    Raises `NetworkError` when the pool is used up.
    """
    subnet4 = _given(network.subnets, 4)
    subnet6 = _given(network.subnets, 6)
    if network.enable_ipv4 and subnet4 is None:
        subnet4 = Subnet(free_subnet(pool, taken))
    if network.enable_ipv6 and subnet6 is None:
        subnet6 = Subnet(_free_subnet6(network.name, taken))
    four = subnet4 if network.enable_ipv4 else None
    six = subnet6 if network.enable_ipv6 else None
    return Wiring(
        name=network.name,
        project=network.project,
        key=network.key,
        config_hash=network.config_hash,
        created_at=now,
        labels=network.labels,
        internal=network.internal,
        attachable=network.attachable,
        mtu=network.mtu or (machine_mtu if machine_mtu < USUAL_MTU else 0),
        bridge=network.bridge_name or "br0",
        masquerade=network.masquerade,
        icc=network.icc,
        host_binding=network.host_binding,
        names=names,
        subnet4=four.subnet if four else "",
        gateway4=(four.gateway or gateway_of(four.subnet)) if four else "",
        range4=four.ip_range if four else "",
        subnet6=six.subnet if six else "",
        gateway6=(six.gateway or gateway_of(six.subnet)) if six else "",
        range6=six.ip_range if six else "",
        reserved={name: address for one in network.subnets for name, address in one.aux_addresses},
        uplink="" if network.internal else uplink,
        link4=("", "") if network.internal else free_link(pool, (*taken, *((four.subnet,) if four else ()))),
        link6=unique_link6(network.name) if six and not network.internal else ("", ""),
    )


def _given(subnets: Iterable[Subnet], version: int) -> Subnet | None:
    return next((one for one in subnets if span(one.subnet).version == version), None)


def _free_subnet6(name: str, taken: Iterable[str]) -> str:
    spans = [span(one) for one in taken if ":" in one]
    for attempt in range(100):
        subnet = unique_subnet6(name, attempt)
        mine = span(subnet)
        if not any(one.first <= mine.last and one.last >= mine.first for one in spans):
            return subnet
    raise NetworkError(f"network {name}: no free IPv6 subnet was found", hint="give it one: ipam.config.subnet")


def cidrs(wiring: Wiring) -> tuple[str, ...]:
    """What a network takes of the address space."""
    links = ((wiring.link4[0], "31"), (wiring.link6[0], "127"))
    return (
        *(subnet for subnet in (wiring.subnet4, wiring.subnet6) if subnet),
        *(f"{address}/{prefix}" for address, prefix in links if address),
    )


def check_apart(network: DesiredNetwork, others: Iterable[Wiring]) -> None:
    """Raises `NetworkError` if a subnet that the network names is, in part, another network's: the machine could reach
    the containers of one of them only. That the machine has a route to it already is its user's business.
    """
    wanted = [(one.subnet, span(one.subnet)) for one in network.subnets]
    for other in others if wanted else ():
        for cidr in cidrs(other):
            theirs = span(cidr)
            for text, mine in wanted:
                if mine.version == theirs.version and mine.first <= theirs.last and mine.last >= theirs.first:
                    raise NetworkError(
                        f"network {network.name}: the subnet {text} overlaps with {cidr} of network {other.name}",
                        hint="another subnet, or none: jocker finds a free one",
                    )


def leased(wiring: Wiring, container_id: str, end: Endpoint, *, claimed_by: str = "") -> Wiring:
    """The wiring with a lease for the container: the one it has, else the addresses it asks for, else free ones.

    Raises `NetworkError` for an address that is taken, or if none is free.
    """
    old = wiring.leases.get(container_id)
    if old is not None:
        return wiring
    taken = {address for lease in wiring.leases.values() for address in (lease.ipv4, lease.ipv6) if address}
    taken |= {wiring.gateway4, wiring.gateway6, *wiring.reserved.values()} - {""}
    ipv4 = _address(wiring, wiring.subnet4, wiring.range4, end.ipv4_address, taken)
    ipv6 = _address(wiring, wiring.subnet6, wiring.range6, end.ipv6_address, taken)
    lease = Lease(
        mac=end.mac_address or mac_for(ipv4, f"{wiring.name} {container_id}"),
        ipv4=ipv4,
        ipv6=ipv6,
        claimed_by=claimed_by,
    )
    return replace(wiring, leases={**wiring.leases, container_id: lease})


def _address(wiring: Wiring, subnet: str, within: str, asked: str, taken: set[str]) -> str:
    if not asked:
        return free_address(subnet, within, taken) if subnet else ""
    if not subnet or not (span(subnet).first <= span(asked).first <= span(subnet).last):
        raise NetworkError(
            f"network {wiring.name}: {asked} is not an address of {subnet or 'it: it has none of its kind'}",
            hint="another address, or `ipam.config.subnet` for the network",
        )
    if asked in taken:
        raise NetworkError(f"network {wiring.name}: the address {asked} is taken", hint="another address")
    return asked


def released(wiring: Wiring, container_ids: Iterable[str]) -> Wiring:
    """The wiring without the leases of these containers."""
    gone = set(container_ids)
    return replace(wiring, leases={one: lease for one, lease in wiring.leases.items() if one not in gone})
