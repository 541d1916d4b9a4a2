"""Addresses and names of the network as a stack file writes them: is it one, and what is its plain form.

Nothing here loads `ipaddress` before something needs it: that costs 3 ms, and most stacks write no address.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from composer.model.addresses import is_link_name

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network

_ALNUM = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
_LABEL = _ALNUM | frozenset("-_")
_NAME = _ALNUM | frozenset("_.-")
_HEX = frozenset("0123456789abcdef")
MAX_DNS_NAME: Final = 253
_MAX_LABEL = 63
MAX_NETWORK_NAME: Final = 128


def shortest_address(text: str) -> str:
    """The address in its shortest form, "" if it is none; none with a zone, either (`fe80::1%eth0`)."""
    parts = text.split(".")
    if len(parts) == 4 and ":" not in text:
        return text if all(map(_is_octet, parts)) else ""
    if ":" not in text or "%" in text:
        return ""
    from ipaddress import ip_address

    try:
        return str(ip_address(text))
    except ValueError:
        return ""


def version_of(address: str) -> int:
    """4 or 6, of what `shortest_address` has made."""
    return 6 if ":" in address else 4


def parse_cidr(text: str) -> IPv4Network | IPv6Network | None:
    """`10.5.0.0/24`, host bits allowed; None if it is none."""
    from ipaddress import ip_network

    address, slash, prefix = text.partition("/")
    if not slash or not prefix.isascii() or not prefix.isdecimal() or not shortest_address(address):
        return None
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


def plain_mac(text: str) -> str:
    """The MAC address in lower case with colons, "" if it is none that an interface can have."""
    text = text.lower()
    if "." in text:
        groups = text.split(".")
        whole = "".join(groups) if len(groups) == 3 and all(len(group) == 4 for group in groups) else ""
    else:
        groups = text.split("-" if "-" in text else ":")
        whole = "".join(groups) if len(groups) == 6 and all(len(group) == 2 for group in groups) else ""
    if not whole or not _HEX.issuperset(whole) or int(whole, 16) == 0 or int(whole[:2], 16) & 1:
        return ""  # the kernel gives no interface the address of a group, nor zero
    return ":".join(whole[at : at + 2] for at in range(0, 12, 2))


def is_dns_name(text: str) -> bool:
    """May this be a name that others look up? Underscores are allowed: names of services have them."""
    if not 0 < len(text) <= MAX_DNS_NAME:
        return False
    return all(
        0 < len(label) <= _MAX_LABEL and _LABEL.issuperset(label) and not label.startswith("-")
        for label in text.split(".")
    )


def is_network_name(text: str) -> bool:
    """May this be the real name of a network?"""
    return 0 < len(text) <= MAX_NETWORK_NAME and text[0] in _ALNUM and _NAME.issuperset(text)


def is_container_name(text: str) -> bool:
    """May this be what `container:` names: a container's name or id?"""
    return bool(text) and text[0] in _ALNUM and _NAME.issuperset(text)


def is_interface_name(text: str) -> bool:
    """May an interface be called so? `all` and `default` have a meaning of their own among the kernel's settings."""
    return is_link_name(text) and text not in {"all", "default", "lo"}


def is_bridge_name(text: str) -> bool:
    """May a network's bridge be called so? Beside it are the way out and the containers' ends, as we call them."""
    ours = text == "up0" or (len(text) == 13 and text[0] == "v" and _HEX.issuperset(text[1:]))
    return is_interface_name(text) and not ours


def _is_octet(text: str) -> bool:
    plain = text.isascii() and text.isdecimal() and len(text) <= 3 and int(text) <= 255
    return plain and (text == "0" or not text.startswith("0"))
