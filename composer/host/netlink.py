"""Links, addresses and routes, by rtnetlink messages of our own (rtnetlink(7), uapi/linux/rtnetlink.h and if_link.h).

Each function gives a message for `Netlink.do`, many of which go out at once; those at the end ask. A program (`ip`)
costs 2 ms a call, a library 200 ms before its first message.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
from typing import NamedTuple

from composer.host.netlink_wire import (
    ALREADY_THERE,
    CREATE,
    EXCLUSIVE,
    NOT_THERE,
    REPLACE,
    Message,
    Netlink,
    attribute,
    attributes,
    nested,
    text,
)

__all__ = ["Address", "Link", "Netlink", "Peer", "Route"]

_NEWLINK, _DELLINK, _GETLINK = 16, 17, 18
_NEWADDR, _GETADDR = 20, 22
_NEWROUTE, _DELROUTE, _GETROUTE = 24, 25, 26
_IFF_UP = 1
_NO_DAD = 0x02
_MAIN_TABLE = 254
_BY_BOOT = 3
_SCOPE_UNIVERSE, _SCOPE_LINK = 0, 253
_UNICAST = 1
# IFLA_*
_MAC, _NAME, _MTU, _LINK, _MASTER, _INFO, _NS_FD = 1, 3, 4, 5, 10, 18, 28
_INFO_KIND, _INFO_DATA, _INFO_SLAVE_KIND, _INFO_SLAVE_DATA = 1, 2, 4, 5
_PEER = 1
_ISOLATED = 33
# RTA_*
_DESTINATION, _OUT, _GATEWAY, _SOURCE, _TABLE = 1, 4, 5, 7, 15


class Peer(NamedTuple):
    """The other end of a veth pair: its name, and the namespace it is made in, by an open descriptor."""

    name: str
    netns: int
    mac: str = ""


class Link(NamedTuple):
    """A link as the kernel has it: its index, its name, and so on; `mac` with colons."""

    number: int
    name: str
    up: bool
    mtu: int
    mac: str


class Address(NamedTuple):
    """`link` is an index. `interface` is `10.0.0.2/24` or `fd00::2/64`: an address and the size of its network."""

    link: int
    interface: str


class Route(NamedTuple):
    """`destination` is a CIDR, `0.0.0.0/0` or `::/0` for the default route. `gateway` "" = on the link itself."""

    destination: str
    link: int
    gateway: str
    table: int


# links ----------------------------------------------------------------------------------------------------


def bridge(name: str, *, mac: str, mtu: int = 0) -> Message:
    """A bridge, up. With a given MAC it keeps that, whatever ports come and go."""
    body = _about_link(up=True) + attribute(_NAME, name) + attribute(_MAC, _mac(mac)) + _mtu(mtu)
    return Message(
        f"make the bridge {name}", _NEWLINK, CREATE | EXCLUSIVE, body + nested(_INFO, attribute(_INFO_KIND, "bridge"))
    )


def veth(name: str, peer: Peer, *, master: int = 0, mtu: int = 0) -> Message:
    """A pair: `name` here, up, on the bridge with index `master` if that is given, and its peer, which is down.

    A peer cannot be made up (ENOTCONN): its namespace does not know of the pair yet.
    """
    other = _about_link(up=False) + attribute(_NAME, peer.name) + attribute(_NS_FD, peer.netns) + _mtu(mtu)
    if peer.mac:
        other += attribute(_MAC, _mac(peer.mac))
    body = _about_link(up=True) + attribute(_NAME, name) + _mtu(mtu)
    if master:
        body += attribute(_MASTER, master)
    info = nested(_INFO, attribute(_INFO_KIND, "veth"), nested(_INFO_DATA, attribute(_PEER, other)))
    return Message(f"make the link {name}", _NEWLINK, CREATE | EXCLUSIVE, body + info)


def isolate(name: str) -> Message:
    """A port of a bridge that reaches the bridge, but no other isolated port."""
    slave = nested(_INFO_SLAVE_DATA, attribute(_ISOLATED, b"\1"))
    info = nested(_INFO, attribute(_INFO_SLAVE_KIND, "bridge"), slave)
    return Message(f"isolate the port {name}", _NEWLINK, 0, _about_link() + attribute(_NAME, name) + info)


def up(name: str) -> Message:
    return Message(f"bring up {name}", _NEWLINK, 0, _about_link(up=True) + attribute(_NAME, name))


def down(name: str) -> Message:
    """One that is not there is down, too."""
    return Message(f"bring down {name}", _NEWLINK, 0, _about_link(up=False) + attribute(_NAME, name), NOT_THERE)


def delete(name: str) -> Message:
    """Both ends of a pair go. One that is not there is gone."""
    return Message(f"delete {name}", _DELLINK, 0, _about_link() + attribute(_NAME, name), NOT_THERE)


# addresses and routes -------------------------------------------------------------------------------------


def address(index: int, interface: str) -> Message:
    """`10.0.0.2/24` or `fd00::2/64` for a link; an IPv6 one is usable at once (nobody asks whether it is taken)."""
    given = ipaddress.ip_interface(interface)
    family, packed = _family(given.version), given.ip.packed
    flags = _NO_DAD if given.version == 6 else 0
    scope = _SCOPE_LINK if given.ip.is_link_local else _SCOPE_UNIVERSE
    body = struct.pack("=BBBBI", family, given.network.prefixlen, flags, scope, index)
    body += attribute(2, packed) + attribute(1, packed)  # IFA_LOCAL, IFA_ADDRESS
    if given.version == 4 and given.network.prefixlen < 31:
        body += attribute(4, given.network.broadcast_address.packed)
    return Message(f"add the address {interface}", _NEWADDR, CREATE | EXCLUSIVE, body, ALREADY_THERE)


def route(destination: str, gateway: str, *, index: int = 0, source: str = "", may_fail: bool = False) -> Message:
    """A route to a CIDR by a gateway on a link of ours; one to the same destination is replaced.

    `source` is the address of ours that packets get. `may_fail`: no route is no failure.
    """
    body = _about_route(destination) + attribute(_GATEWAY, ipaddress.ip_address(gateway).packed)
    if index:
        body += attribute(_OUT, index)
    if source:
        body += attribute(_SOURCE, ipaddress.ip_address(source).packed)
    ignored = frozenset(range(1, 134)) if may_fail else frozenset()
    return Message(f"route to {destination} by {gateway}", _NEWROUTE, CREATE | REPLACE, body, ignored)


def new_route(destination: str, gateway: str, *, index: int, source: str = "") -> Message:
    """As `route`, but one that is there stays, whoever made it, and one the kernel will not have is left out."""
    made = route(destination, gateway, index=index, source=source, may_fail=True)
    return made._replace(flags=CREATE | EXCLUSIVE)


# questions ------------------------------------------------------------------------------------------------


def links(netlink: Netlink) -> tuple[Link, ...]:
    """All links of the socket's namespace."""
    found = []
    for body in netlink.ask(Message("list the links", _GETLINK, 0, _about_link()), dump=True):
        _, _, index, flags, _ = struct.unpack_from("=BxHiII", body)
        has = attributes(body[16:])
        mtu = struct.unpack("=I", has[_MTU])[0] if _MTU in has else 0
        found.append(Link(index, text(has[_NAME]), bool(flags & _IFF_UP), mtu, has.get(_MAC, b"").hex(":")))
    return tuple(found)


def addresses(netlink: Netlink) -> tuple[Address, ...]:
    """All addresses of the socket's namespace, IPv4 and IPv6."""
    found = []
    for body in netlink.ask(
        Message("list the addresses", _GETADDR, 0, struct.pack("=BBBBI", 0, 0, 0, 0, 0)), dump=True
    ):
        _, length, _, _, index = struct.unpack_from("=BBBBI", body)
        has = attributes(body[8:])
        packed = has.get(2) or has.get(1)
        if packed:
            found.append(Address(index, f"{ipaddress.ip_address(packed)}/{length}"))
    return tuple(found)


def routes(netlink: Netlink) -> tuple[Route, ...]:
    """All unicast routes of the socket's namespace, in whatever table."""
    found = []
    for body in netlink.ask(Message("list the routes", _GETROUTE, 0, bytes(12)), dump=True):
        family, length, _, _, table, _, _, kind, _ = struct.unpack_from("=BBBBBBBBI", body)
        if kind != _UNICAST or family not in {socket.AF_INET, socket.AF_INET6}:
            continue
        has = attributes(body[12:])
        packed = has.get(_DESTINATION, b"\0" * (4 if family == socket.AF_INET else 16))
        index = struct.unpack("=i", has[_OUT])[0] if _OUT in has else 0
        gateway = str(ipaddress.ip_address(has[_GATEWAY])) if _GATEWAY in has else ""
        number = struct.unpack("=I", has[_TABLE])[0] if _TABLE in has else table
        found.append(Route(f"{ipaddress.ip_address(packed)}/{length}", index, gateway, number))
    return tuple(found)


def machine_mtu(netlink: Netlink) -> int:
    """The MTU of the link that the default route takes; 1500 without one."""
    defaults = [one for one in routes(netlink) if one.destination in {"0.0.0.0/0", "::/0"} and one.link]
    by_number = {link.number: link.mtu for link in links(netlink)}
    return next((by_number[one.link] for one in defaults if by_number.get(one.link)), 1500)


# the bytes ------------------------------------------------------------------------------------------------


def _about_link(*, up: bool | None = None) -> bytes:
    flags, change = (_IFF_UP if up else 0), (0 if up is None else _IFF_UP)
    return struct.pack("=BxHiII", 0, 0, 0, flags, change)


def _about_route(destination: str) -> bytes:
    to = ipaddress.ip_network(destination)
    header = struct.pack(
        "=BBBBBBBBI", _family(to.version), to.prefixlen, 0, 0, _MAIN_TABLE, _BY_BOOT, _SCOPE_UNIVERSE, _UNICAST, 0
    )
    return header + (attribute(_DESTINATION, to.network_address.packed) if to.prefixlen else b"")


def _family(version: int) -> int:
    return socket.AF_INET if version == 4 else socket.AF_INET6


def _mac(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


def _mtu(mtu: int) -> bytes:
    return attribute(_MTU, mtu) if mtu else b""
