"""What the kernel's firewall holds, asked by messages of our own (uapi/linux/netfilter/nf_tables.h): no library, no
program, a tenth of a millisecond. The answers are about the calling thread's network namespace.
"""

from __future__ import annotations

import errno
import socket
import struct
from typing import NamedTuple

from composer.host.netlink_wire import Message, Netlink, attribute, attributes, listed, nested, text

_NETFILTER = 12
_SUBSYSTEM = 10 << 8  # NFNL_SUBSYS_NFTABLES
_GETTABLE, _GETCHAIN, _GETSETELEM = _SUBSYSTEM | 1, _SUBSYSTEM | 4, _SUBSYSTEM | 13
_INET = 1
_FAMILIES = {_INET: "inet", socket.AF_INET: "ip", socket.AF_INET6: "ip6"}
_FORWARD_HOOK = 2
_IFNAMSIZ = 16


class Chain(NamedTuple):
    """A chain of the machine's ruleset. `hook` is -1 for one that is only jumped to; `drops`: its policy is drop."""

    family: str
    table: str
    name: str
    hook: int
    drops: bool

    @property
    def forwards(self) -> bool:
        """Whether all that the machine forwards goes through it."""
        return self.hook == _FORWARD_HOOK


def has_table(table: str) -> bool:
    """Whether there is a table of family inet with this name."""
    return _ask(Message("look for a table", _GETTABLE, 0, _header(_INET) + attribute(1, table))) is not None


def has_link(table: str, set_name: str, link: str) -> bool:
    """Whether a set of link names of an inet table holds `link`; False, too, if there is no such table or set."""
    key = nested(1, attribute(1, link.encode().ljust(_IFNAMSIZ, b"\0")))  # NFTA_SET_ELEM_KEY, NFTA_DATA_VALUE
    elements = nested(3, nested(1, key))
    body = _header(_INET) + attribute(1, table) + attribute(2, set_name) + elements
    return _ask(Message("look for an element", _GETSETELEM, 0, body)) is not None


def links_in(table: str, set_name: str) -> frozenset[str] | None:
    """The link names in a set of an inet table; None if there is no such table or set."""
    body = _header(_INET) + attribute(1, table) + attribute(2, set_name)
    with Netlink(_NETFILTER) as netlink:
        try:
            answers = netlink.ask(Message("list a set", _GETSETELEM, 0, body), dump=True)
        except FileNotFoundError:
            return None
    elements = [element for answer in answers for element in listed(attributes(answer[4:]).get(3, b""))]
    return frozenset(text(attributes(attributes(element)[1])[1]) for element in elements)


def chains() -> tuple[Chain, ...]:
    """All chains of the families inet, ip and ip6: those made by iptables-nft, too."""
    with Netlink(_NETFILTER) as netlink:
        try:
            answers = netlink.ask(Message("list the chains", _GETCHAIN, 0, _header(0)), dump=True)
        except OSError as error:
            if error.errno in {errno.EPERM, errno.EOPNOTSUPP, errno.EPROTONOSUPPORT, errno.ENOENT}:
                return ()
            raise
    found = []
    for answer in answers:
        has = attributes(answer[4:])
        if answer[0] in _FAMILIES:
            hook = attributes(has[4]) if 4 in has else {}
            number = struct.unpack(">I", hook[1])[0] if 1 in hook else -1
            drops = 5 in has and struct.unpack(">I", has[5])[0] == 0
            found.append(Chain(_FAMILIES[answer[0]], text(has[1]), text(has[3]), number, drops))
    return tuple(found)


def _header(family: int) -> bytes:
    return struct.pack(">BBH", family, 0, 0)


def _ask(message: Message) -> list[bytes] | None:
    with Netlink(_NETFILTER) as netlink:
        try:
            return netlink.ask(message)
        except FileNotFoundError:
            return None
