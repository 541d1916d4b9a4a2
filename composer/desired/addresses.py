"""Which subnets and addresses are free: given what is taken, nothing else.

Addresses are whole numbers within; texts come in and go out in the shortest form.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final, NamedTuple

from composer.digest import sha256_hex
from composer.errors import NetworkError
from composer.model.addresses import pool_network

DEFAULT_POOL: Final = ("172.24.0.0/13", "10.201.0.0/16")
"""2,048 networks of 254 containers in space that routers at home and VPNs use little; more if docker has taken it."""
_NETWORK_PREFIX = 24
_LINK_PREFIX = 31


class Span(NamedTuple):
    """Addresses from `first` to `last`, both included."""

    version: int
    first: int
    last: int


def span(cidr: str) -> Span:
    """The span of a CIDR or of one address. Raises `ValueError`."""
    network = ip_network(cidr, strict=False)
    return Span(network.version, int(network.network_address), int(network.broadcast_address))


def check_pool(pool: Iterable[str]) -> tuple[str, ...]:
    """The pool in the shortest form. Raises `ValueError` with what is wrong with it."""
    done = tuple(map(pool_network, pool))
    if not done:
        raise ValueError("it is empty")
    return done


def free_subnet(pool: Collection[str], taken: Iterable[str]) -> str:
    """The lowest free network of the pool: a /24, or half of a pool that is no larger. Raises `NetworkError`."""
    spans = _of_version(4, taken)
    for network in _networks(pool):
        prefix = max(_NETWORK_PREFIX, network.prefixlen + 1)
        size = 1 << (32 - prefix)
        first = int(network.network_address)
        for one in spans:
            if one.first >= first + size:
                break
            if one.last >= first:
                first = (one.last // size + 1) * size
        if first + size - 1 <= int(network.broadcast_address):
            return f"{ip_address(first)}/{prefix}"
    raise _exhausted(pool, "network")


def free_link(pool: Collection[str], taken: Iterable[str]) -> tuple[str, str]:
    """Two addresses for the way from the machine to a router, from the pool's end. Raises `NetworkError`."""
    spans = _of_version(4, taken)
    size = 1 << (32 - _LINK_PREFIX)
    for network in reversed(_networks(pool)):
        first = int(network.broadcast_address) + 1 - size
        for one in sorted(spans, key=lambda one: -one.last):
            if one.last < first:
                break
            if one.first < first + size:
                first = one.first // size * size - size
        if first >= int(network.network_address):
            return str(ip_address(first)), str(ip_address(first + 1))
    raise _exhausted(pool, "link")


def _networks(pool: Collection[str]) -> list[IPv4Network]:
    return [network for text in pool if isinstance(network := ip_network(text), IPv4Network)]


def _of_version(version: int, taken: Iterable[str]) -> list[Span]:
    return sorted(found for found in map(span, taken) if found.version == version)


def _exhausted(pool: Collection[str], what: str) -> NetworkError:
    return NetworkError(
        f"no address left for another {what}: {', '.join(pool)} is used up by networks and the machine's own routes",
        hint="jocker network prune, or a larger pool: x-jocker.address_pool, JOCKER_ADDRESS_POOL",
    )


def unique_subnet6(name: str, attempt: int = 0) -> str:
    """A /64 of unique local addresses (RFC 4193) that follows from the network's name: the same on every machine."""
    return f"{_ula(f'{name} {attempt}')}::/64"


def unique_link6(name: str) -> tuple[str, str]:
    """Two unique local addresses for the way from the machine to a router."""
    prefix = _ula(f"{name} link")
    return f"{prefix}::", f"{prefix}::1"


def _ula(seed: str) -> str:
    digits = sha256_hex(seed.encode(errors="surrogatepass"))[:14]
    network = ip_network(f"fd{digits[:2]}:{digits[2:6]}:{digits[6:10]}:{digits[10:14]}::/64")
    return str(network.network_address).removesuffix("::")


def gateway_of(subnet: str) -> str:
    """The first address of a subnet that a host may have."""
    network = ip_network(subnet)
    return str(network.network_address + 1)


def free_address(subnet: str, within: str, taken: Collection[str]) -> str:
    """The lowest free address of `within` ("" = all of the subnet). Raises `NetworkError`."""
    whole = ip_network(subnet)
    part = span(within) if within else span(subnet)
    used = {int(ip_address(text)) for text in taken}
    first, last = int(whole.network_address), int(whole.broadcast_address)
    edges = {first, last} if isinstance(whole, IPv4Network) else {first}
    number = part.first
    while number <= part.last:
        if number not in used and number not in edges:
            make = ip_address(number) if whole.version == 4 else IPv6Network((number, 128)).network_address
            return str(make)
        number += 1
    raise NetworkError(f"no address left in {within or subnet}", hint="a larger subnet, or fewer containers")


def mac_for(address: str, seed: str) -> str:
    """A locally administered MAC address: of the IPv4 address, as docker's were, else of the seed."""
    if address and ":" not in address:
        return "02:42:" + ":".join(f"{int(part):02x}" for part in address.split("."))
    digits = sha256_hex(seed.encode(errors="surrogatepass"))
    return "02:42:" + ":".join(digits[at : at + 2] for at in range(0, 8, 2))
