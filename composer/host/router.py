"""A network on this machine: a namespace with a bridge, a firewall and a name server, and one link out of it.

Nothing here takes a lock: the caller holds the one lock over all networks. "Here" is the calling thread's network
namespace, the machine's.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress

from composer.bundle import firewall
from composer.digest import sha256_hex
from composer.host import dnsmasq, forwarder, net_paths, netlink, netns, nfnetlink, nftables
from composer.host.files import make_private
from composer.host.netlink_wire import Message, Netlink
from composer.model.wiring import GATEWAY_PORT, Wiring
from composer.paths import Paths

_FORWARD4, _FORWARD6 = "net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"
_BRIDGE_CALLS = ("net/bridge/bridge-nf-call-iptables", "net/bridge/bridge-nf-call-ip6tables")

AllWirings = Callable[[], Iterable[Wiring]]


def make(paths: Paths, wiring: Wiring, upstreams: tuple[str, ...], all_wirings: AllWirings = tuple) -> None:
    """Makes all of a network anew, with the ports its leases publish; whatever is there of it goes first.

    `upstreams` are the machine's name servers; `all_wirings` is asked if the machine's table has to be written anew,
    for this and all other networks. The names that containers have on it stay. Containers have to be
    connected again. Raises `JockerError` or `OSError`; what is half made then, `remove` takes away.
    """
    _clear(paths, wiring)
    path = net_paths.router_netns(paths, wiring.name)
    make_private(os.path.dirname(path))
    machine = netns.open_here()
    try:
        netns.create(path, lambda: _furnish(wiring, machine))
    finally:
        os.close(machine)
    if wiring.names:
        dnsmasq.start(paths, _name_server(paths, wiring, upstreams))
    if wiring.uplink:
        _lead_out(wiring)
        if wiring.names:
            forwarder.keep(paths, wiring, upstreams)
        if nfnetlink.has_link(net_paths.host_table(paths), firewall.UPLINKS, wiring.uplink):
            _rebuild(paths, _with(wiring, all_wirings))  # what the table says of it is of an earlier life
        else:
            _publish_on_machine(paths, None, wiring, all_wirings)


def mend(paths: Paths, wiring: Wiring, upstreams: tuple[str, ...], all_wirings: AllWirings) -> None:
    """Makes what is missing of a network and leaves the rest as it is, so that what goes through it goes on. Maybe all
    had to be made anew: containers have to be connected again. Raises as `make`.
    """
    has_link = not wiring.uplink or os.path.exists(f"/proc/sys/net/ipv4/conf/{wiring.uplink}")
    if not has_link or not netns.exists(net_paths.router_netns(paths, wiring.name)):
        make(paths, wiring, upstreams, all_wirings)
        return
    directory = net_paths.network_dns(paths, wiring.name)
    if wiring.names and not dnsmasq.alive(directory):
        dnsmasq.start(paths, _name_server(paths, wiring, upstreams))
    if wiring.uplink:
        dnsmasq.set_upstreams(directory, forwarder.asked_instead(wiring, upstreams))
        if wiring.names:
            forwarder.keep(paths, wiring, upstreams)
        if not nfnetlink.has_link(net_paths.host_table(paths), firewall.UPLINKS, wiring.uplink):
            repair_rules(paths, all_wirings)
        for setting in (_FORWARD4, *((_FORWARD6,) if wiring.link6[0] else ())):
            _forward(setting)


def remove(paths: Paths, wiring: Wiring) -> None:
    """Takes away all of a network, in whatever state it is; the machine's table goes with the last one."""
    directory = net_paths.network_dns(paths, wiring.name)
    with dnsmasq.ending(directory):  # it takes longer to end than all the rest
        _unpublish_on_machine(paths, wiring)
        _take_links(paths, wiring)
    dnsmasq.remove(paths, directory)
    forwarder.remove(paths, wiring)


def faults(paths: Paths, wiring: Wiring, upstreams: tuple[str, ...]) -> tuple[str, ...]:
    """What is missing of a network, in words: none if all is well. `upstreams` are the name servers that the machine
    has by now. Half a millisecond, no process.
    """
    found = []
    directory = net_paths.network_dns(paths, wiring.name)
    if not netns.exists(net_paths.router_netns(paths, wiring.name)):
        found.append("its namespace is gone")
    if wiring.names and not dnsmasq.alive(directory):
        found.append("its name server is not running")
    if not wiring.uplink:
        return tuple(found)
    if wiring.names and dnsmasq.upstreams(directory) not in {None, forwarder.asked_instead(wiring, upstreams)}:
        found.append("its name server asks others than the machine does by now")
    elif wiring.names and not forwarder.works(paths, wiring, upstreams):
        found.append("its way to the name server on the machine's loopback is gone")
    if not os.path.exists(f"/proc/sys/net/ipv4/conf/{wiring.uplink}"):
        found.append(f"its link {wiring.uplink} is gone")
    if not nfnetlink.has_link(net_paths.host_table(paths), firewall.UPLINKS, wiring.uplink):
        found.append("its rules are gone from the firewall of the machine")
    if netns.sysctl(_FORWARD4) == "0":
        found.append("the machine does not forward (net.ipv4.ip_forward is 0)")
    if wiring.link6[0] and netns.sysctl(_FORWARD6) == "0":
        found.append("the machine does not forward IPv6 (net.ipv6.conf.all.forwarding is 0)")
    return tuple(found)


def publish(paths: Paths, old: Wiring, new: Wiring, all_wirings: AllWirings) -> None:
    """Opens and closes ports, in the router and on the machine, where the leases of `new` differ from those of `old`.

    A table that does not hold what it should is written anew, the machine's from `all_wirings` (which know `new`).
    """
    if old.publications == new.publications:
        return
    inner = firewall.router_change(net_paths.ROUTER_TABLE, old, new)

    def inside() -> None:
        if not nftables.try_apply(inner):
            whole = firewall.router(new, net_paths.ROUTER_TABLE, net_paths.UP)
            nftables.apply(firewall.replacing(net_paths.ROUTER_TABLE, whole))

    # Without a router there is nothing inside; what leads there from the machine goes all the same.
    if inner and netns.exists(net_paths.router_netns(paths, new.name)):
        netns.inside(net_paths.router_netns(paths, new.name), inside)
    if new.uplink:
        _publish_on_machine(paths, old, new, all_wirings)


def repair_rules(paths: Paths, all_wirings: AllWirings) -> None:
    """Writes the machine's table anew for all networks: after somebody flushed it."""
    _rebuild(paths, all_wirings)


# inside ---------------------------------------------------------------------------------------------------


def _furnish(wiring: Wiring, machine: int) -> None:
    """All that is in the namespace of a router; runs in it. `machine` is a descriptor of the machine's."""
    with Netlink() as here:
        netns.set_sysctls(_settings(wiring))
        messages = [
            netlink.up("lo"),
            netlink.bridge(wiring.bridge, mac=_mac(wiring.name), mtu=wiring.mtu),
        ]
        if wiring.uplink:
            messages.append(netlink.veth(net_paths.UP, netlink.Peer(wiring.uplink, machine), mtu=wiring.mtu))
        here.do(*messages)
        here.do(*_inner_addresses(wiring))
    nftables.apply(firewall.router(wiring, net_paths.ROUTER_TABLE, net_paths.UP))


def _settings(wiring: Wiring) -> dict[str, str]:
    v6 = "0" if wiring.subnet6 else "1"
    settings = {
        _FORWARD4: "1",
        # The name server is not root.
        "net/ipv4/ip_unprivileged_port_start": str(GATEWAY_PORT),
        "net/ipv6/conf/default/disable_ipv6": v6,
        # Until a link knows that nobody has its address it does not even ask for neighbours: a second or two.
        "net/ipv6/conf/default/accept_dad": "0",
        # Nobody on the network tells the router where to send things.
        "net/ipv6/conf/default/accept_ra": "0",
        "net/ipv4/conf/all/accept_redirects": "0",
        "net/ipv4/conf/default/accept_redirects": "0",
        "net/ipv4/conf/all/rp_filter": "0",
        "net/ipv4/conf/default/rp_filter": "0",
        # Redirects would name a neighbour that `icc: false` keeps apart.
        "net/ipv4/conf/all/send_redirects": "0",
        "net/ipv4/conf/default/send_redirects": "0",
    }
    if wiring.subnet6:
        settings[_FORWARD6] = "1"
    # With br_netfilter loaded, frames between two containers would go through the router's rules, too.
    settings.update({name: "0" for name in _BRIDGE_CALLS if os.path.exists(f"/proc/sys/{name}")})
    return settings


def _inner_addresses(wiring: Wiring) -> list[Message]:
    bridge = socket.if_nametoindex(wiring.bridge)
    messages = [netlink.address(bridge, one) for one in _with_size(wiring)]
    if wiring.uplink:
        up = socket.if_nametoindex(net_paths.UP)
        for (machine, here), size, everywhere in ((wiring.link4, 31, "0.0.0.0/0"), (wiring.link6, 127, "::/0")):
            if here:
                messages.append(netlink.address(up, f"{here}/{size}"))
                messages.append(netlink.route(everywhere, machine))
    return messages


def _with_size(wiring: Wiring) -> list[str]:
    """The addresses of the gateway, with the size of their networks."""
    pairs = ((wiring.gateway4, wiring.subnet4), (wiring.gateway6, wiring.subnet6))
    return [f"{gateway}/{subnet.partition('/')[2]}" for gateway, subnet in pairs if gateway]


def _mac(name: str) -> str:
    """The bridge's: a local one, the same each time, so that what containers remember stays true."""
    digits = sha256_hex(name.encode())[:10]
    return ":".join(("02", *(digits[at : at + 2] for at in range(0, 10, 2))))


def _name_server(paths: Paths, wiring: Wiring, upstreams: tuple[str, ...]) -> dnsmasq.NameServer:
    return dnsmasq.NameServer(
        directory=net_paths.network_dns(paths, wiring.name),
        netns=net_paths.router_netns(paths, wiring.name),
        listen=tuple(gateway for gateway in (wiring.gateway4, wiring.gateway6) if gateway),
        port=GATEWAY_PORT,
        hosts=(net_paths.hosts_dir(paths, wiring.name),),
        upstreams=forwarder.asked_instead(wiring, upstreams),
        subnets=tuple(subnet for subnet in (wiring.subnet4, wiring.subnet6) if subnet),
    )


# on the machine -------------------------------------------------------------------------------------------


def _lead_out(wiring: Wiring) -> None:
    """The machine's end of the link: addresses, a way to the containers, and the settings it takes."""
    _forward(_FORWARD4)
    v6 = f"net/ipv6/conf/{wiring.uplink}"
    netns.set_sysctls(
        {
            # For 127.0.0.1:PORT of the machine; the machine's table keeps others from using it.
            f"net/ipv4/conf/{wiring.uplink}/route_localnet": "1",
            f"{v6}/disable_ipv6": "0" if wiring.link6[0] else "1",
            f"{v6}/accept_dad": "0",
            f"{v6}/accept_ra": "0",
        }
    )
    if wiring.link6[0] and netns.sysctl(_FORWARD6) == "0":
        _keep_router_advertisements()
        _forward(_FORWARD6)
    with Netlink() as here:
        index = socket.if_nametoindex(wiring.uplink)
        messages = [netlink.up(wiring.uplink)]
        ways = ((wiring.link4, 31, wiring.subnet4), (wiring.link6, 127, wiring.subnet6))
        for (machine, router), size, subnet in ways:
            if machine:
                messages.append(netlink.address(index, f"{machine}/{size}"))
                if subnet:
                    messages.append(netlink.new_route(subnet, router, index=index, source=machine))
        here.do(*messages)


def _forward(setting: str) -> None:
    if netns.sysctl(setting) == "0":
        netns.set_sysctls({setting: "1"})


def _keep_router_advertisements() -> None:
    """A machine that forwards IPv6 no longer listens to routers, unless told to in so many words (accept_ra = 2): it
    would lose its default route.
    """
    root = "net/ipv6/conf"
    for name in os.listdir(f"/proc/sys/{root}"):
        if name not in {"all", "default", "lo"} and netns.sysctl(f"{root}/{name}/accept_ra") == "1":
            netns.set_sysctls({f"{root}/{name}/accept_ra": "2"})


def _clear(paths: Paths, wiring: Wiring) -> None:
    """Takes away what processes, links and namespaces there are of a network; the rules and the names stay."""
    with dnsmasq.ending(net_paths.network_dns(paths, wiring.name)):
        _take_links(paths, wiring)


def _take_links(paths: Paths, wiring: Wiring) -> None:
    if wiring.uplink:
        with Netlink() as here:
            here.do(netlink.delete(wiring.uplink))
    netns.remove(net_paths.router_netns(paths, wiring.name))


def _publish_on_machine(paths: Paths, old: Wiring | None, new: Wiring, all_wirings: AllWirings) -> None:
    # No question first: a socket that asks would, when it is closed, wait for what was deleted just before.
    change = firewall.host_change(net_paths.host_table(paths), old, new)
    if change and not nftables.try_apply(change):
        _rebuild(paths, _with(new, all_wirings))


def _with(wiring: Wiring, all_wirings: AllWirings) -> AllWirings:
    """All wirings, of this network this one."""
    return lambda: [*(one for one in all_wirings() if one.name != wiring.name), wiring]


def _unpublish_on_machine(paths: Paths, wiring: Wiring) -> None:
    table = net_paths.host_table(paths)
    links = nfnetlink.links_in(table, firewall.UPLINKS)
    if links is not None and links <= {wiring.uplink}:
        nftables.apply(firewall.no_table(table))
    elif links and wiring.uplink and not nftables.try_apply(firewall.host_change(table, wiring, None)):
        # Not all of it is there: take what is.
        for line in firewall.host_removal(table, wiring):
            nftables.try_apply(line)


def _rebuild(paths: Paths, all_wirings: AllWirings) -> None:
    table = net_paths.host_table(paths)
    there = [one for one in all_wirings() if one.uplink]
    nftables.apply(firewall.replacing(table, firewall.host_table(table, there)))
    with suppress(FileNotFoundError):
        _forward(_FORWARD4)
