"""What `jocker doctor` asks about networks: whether they can be made here, and what is in their way."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from composer.desired.addresses import DEFAULT_POOL, check_pool, span
from composer.desired.wire import cidrs
from composer.errors import CommandFailed, JockerError
from composer.host import networks
from composer.host.checks import Check
from composer.host.files import read_text
from composer.paths import Paths

if TYPE_CHECKING:
    from composer.host.foreign_firewall import Wall
    from composer.host.resolvers import Resolvers

_FORWARD = "/proc/sys/net/ipv4/ip_forward"
_RULES = """
table inet jocker_doctor {
    map ports { type inet_proto . inet_service : ipv4_addr . inet_service; }
    chain c_pub { dnat ip to meta l4proto . th dport map @ports; }
    chain c_pre { type nat hook prerouting priority dstnat; fib daddr type local jump c_pub; }
    chain c_post { type nat hook postrouting priority srcnat; oifname "up0" masquerade; }
    chain c_raw { type filter hook prerouting priority raw; iifname "br0" ip daddr 127.0.0.0/8 drop; }
    chain c_fwd { type filter hook forward priority filter; policy drop; ct status dnat accept; }
}
"""
"""One of each kind of rule that a network has."""


def check_networking() -> Check:
    """A small network, really made: a namespace, in it a bridge, links and rules. All goes with the thread."""
    from composer.host import netlink, netns, nftables

    def make() -> None:
        netns.unshare()
        here = netns.open_here()
        try:
            with netlink.Netlink() as socket:
                socket.do(
                    netlink.bridge("br0", mac="02:42:00:00:00:01"), netlink.veth("up0", netlink.Peer("up1", here))
                )
        finally:
            os.close(here)
        nftables.apply(_RULES)

    name = "networking"
    try:
        netns.in_thread(make)
    except OSError as error:
        fix = (
            "run jocker as root with CAP_SYS_ADMIN and CAP_NET_ADMIN, on a kernel with bridge and veth (modprobe them)"
        )
        return Check(name, "missing", f"no network can be made: {error.strerror or error}", fix)
    except CommandFailed as error:
        fix = "modprobe nf_tables nft_chain_nat nft_masq nft_fib_inet, or use a kernel with them"
        return Check(name, "missing", f"no network can be made: {error.stderr.strip() or error.message}", fix)
    except JockerError as error:
        return Check(name, "missing", f"no network can be made: {error.message}", error.hint or "jocker needs nft")
    return Check(name, "ok", "namespace, bridge, veth, nat and filter rules can be made")


def check_forwarding() -> Check:
    """The machine forwards for containers; who turns that on."""
    name, ours = "forwarding", "route_localnet is set on jocker's own links (jk…) only"
    if (read_text(_FORWARD) or "").strip() == "1":
        return Check(name, "ok", f"net.ipv4.ip_forward is 1; {ours}")
    if os.access(_FORWARD, os.W_OK):
        return Check(name, "ok", f"net.ipv4.ip_forward is 0, jocker sets it to 1 with the first network; {ours}")
    return Check(
        name,
        "warning",
        "net.ipv4.ip_forward is 0 and cannot be set: no way out for containers, and nobody outside reaches them",
        "sysctl -w net.ipv4.ip_forward=1 on the machine (docker run --sysctl net.ipv4.ip_forward=1)",
    )


def check_resolvers(found: Resolvers | None = None) -> Check:
    """Whether the machine's name servers are of use to containers."""
    from composer.host.forwarder import PORT
    from composer.host.resolvers import FILE, resolvers

    machine = found or resolvers()
    servers = machine.servers
    if machine.local:
        asked = f"containers ask {', '.join(machine.local)} by way of a forwarder for each network"
        return Check("resolvers", "ok", f"{asked}; a firewall must let in what comes from jk… to port {PORT}")
    if servers:
        return Check("resolvers", "ok", f"containers ask {', '.join(servers)} about the rest of the world")
    return Check(
        "resolvers",
        "warning",
        f"{FILE} names no server that containers can reach: they find each other, nobody else",
        f"a name server in {FILE}, or `dns:` in the stack file",
    )


def check_firewall(paths: Paths) -> Check:
    """Whether somebody else's firewall drops what the machine forwards."""
    from composer.host import foreign_firewall, net_paths

    return about_walls(foreign_firewall.walls(net_paths.host_table(paths)))


def about_walls(walls: Collection[Wall]) -> Check:
    """What becomes of forwarded packets behind these walls. No rule of ours can overrule them, so the fix is theirs."""
    closed = [wall for wall in walls if not wall.has_place]
    opened = [wall for wall in walls if wall.has_place]
    if closed:
        names = ", ".join(_wall(wall) for wall in closed)
        found = f"{names} drops what the machine forwards: containers have no way out, and nobody outside reaches them"
        return Check("firewall", "warning", found, "; ".join(_way_through(wall) for wall in closed))
    if opened:
        names = ", ".join(_wall(wall) for wall in opened)
        return Check("firewall", "ok", f"{names} drops what the machine forwards; jocker's links pass by DOCKER-USER")
    return Check("firewall", "ok", "nobody drops what the machine forwards")


def _wall(wall: Wall) -> str:
    return f"{wall.program or 'nft'} {wall.table} {wall.chain}"


def _way_through(wall: Wall) -> str:
    if wall.table == "firewalld":
        return "firewall-cmd --permanent --zone=trusted --add-interface=jk+ && firewall-cmd --reload"
    if wall.program:
        return " && ".join(f"{wall.program} -I {wall.chain} {way} jk+ -j ACCEPT" for way in ("-i", "-o"))
    insert = f"nft insert rule {wall.family} {wall.table} {wall.chain}"
    return " && ".join(f"{insert} {way} 'jk*' accept" for way in ("iifname", "oifname"))


class Room(NamedTuple):
    """Of a pool: how many networks fit, how many of these are free, and what of others lies in it."""

    total: int
    free: int
    others: tuple[str, ...]


def room(pool: Iterable[str], own: Collection[str], others: Collection[str]) -> Room:
    """How a pool is filled: `own` are CIDRs of our networks, `others` those the machine has routes to."""
    total = free = 0
    in_the_way = []
    taken = [(found, text, text in own) for text in (*own, *others) if (found := span(text)).version == 4]
    for cidr in pool:
        whole = span(cidr)
        size = min(1 << 8, (whole.last - whole.first + 1) // 2)
        count = (whole.last - whole.first + 1) // size
        used: set[int] = set()
        for found, text, is_ours in taken:
            first, last = max(found.first, whole.first), min(found.last, whole.last)
            if first > last:
                continue
            used.update(range((first - whole.first) // size, (last - whole.first) // size + 1))
            if not is_ours and text not in in_the_way:
                in_the_way.append(text)
        total += count
        free += count - len(used)
    return Room(total, free, tuple(in_the_way))


def check_address_pool(paths: Paths, environ: Mapping[str, str]) -> Check:
    """Whether there is room for networks that name no subnet."""
    from composer.host import netlink

    name, fix = "addresses", "another pool: x-jocker.address_pool in the stack file, or JOCKER_ADDRESS_POOL"
    given = environ.get("JOCKER_ADDRESS_POOL", "").replace(",", " ").split()
    try:
        pool = check_pool(given) if given else DEFAULT_POOL
    except ValueError as error:
        return Check(name, "missing", f"JOCKER_ADDRESS_POOL: {error}", 'CIDRs, as in "172.24.0.0/13"')
    own = [cidr for wiring in networks.every(paths) for cidr in cidrs(wiring)]
    with netlink.Netlink() as socket:
        routes = {one.destination for one in netlink.routes(socket)} - {"0.0.0.0/0", "::/0", *own}
    found = room(pool, own, sorted(routes))
    text = f"{found.free} of {found.total} networks are free in {', '.join(pool)}"
    if found.others:
        text += f"; avoided: {', '.join(found.others)}"
    if not found.free:
        return Check(name, "missing", text, fix)
    if found.free < found.total // 10:
        return Check(name, "warning", text, f"jocker network prune, or {fix}")
    return Check(name, "ok", text)
