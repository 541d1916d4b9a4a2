"""What holds of addresses and of names of links wherever they come from: a stack file, the environment, a record.

Nothing here loads `ipaddress` before something needs it: that costs 3 ms.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network

_ALNUM = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
_LINK = _ALNUM | frozenset("_.-")
MAX_LINK_NAME: Final = 15
_SMALLEST_POOL, _LARGEST_POOL = 28, 8
_NOBODYS: Final = ("0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/3", "::/8", "fe80::/10", "ff00::/8")
"""Unspecified, loopback, multicast and reserved; of IPv6 also what every link has anyway."""


def is_link_name(text: str) -> bool:
    """Is this what we call a link? Far less than the kernel's rule: it is pasted into texts of nft and into paths."""
    return 0 < len(text) <= MAX_LINK_NAME and text[0] in _ALNUM and _LINK.issuperset(text)


def is_usable(network: IPv4Network | IPv6Network) -> bool:
    """May machines have every address of it?"""
    from ipaddress import ip_network

    others = map(ip_network, _NOBODYS)
    return not any(network.version == other.version and network.overlaps(other) for other in others)


def pool_network(text: str) -> str:
    """One network that others get their addresses from, in its shortest form. Raises `ValueError` with a reason."""
    from ipaddress import IPv4Network

    prefix = text.partition("/")[2]
    try:
        if not prefix.isascii() or not prefix.isdecimal():
            raise ValueError
        network = IPv4Network(text, strict=False)
    except ValueError:
        raise ValueError(f"not an IPv4 network: {text!r}") from None
    if str(network.network_address) != text.partition("/")[0]:
        raise ValueError(f"{text} has bits set behind its prefix: did you mean {network}?")
    if not _LARGEST_POOL <= network.prefixlen <= _SMALLEST_POOL:
        raise ValueError(f"{network} is no pool: a network of /{_LARGEST_POOL} to /{_SMALLEST_POOL} is one")
    if not is_usable(network):
        raise ValueError(f"no machine can have an address of {network}")
    return str(network)
