"""Containers on networks: each has a pinned namespace with a link to every network it is on, and a way to its names.

Nothing here takes a lock: the caller holds the lock over all networks, or is alone with the container and sure that its
networks stay.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from typing import Any, NamedTuple

from composer.bundle import firewall
from composer.host import dnsmasq, net_paths, netlink, netns, nftables
from composer.host.files import make_private, read_json, write_json
from composer.host.netlink_wire import Message, Netlink
from composer.model.wiring import RESOLVER, Joint
from composer.paths import Paths

OWN_PORT = 61053
"""Where a container's own name server listens on the resolver's address: above the ports the kernel hands out."""
_LOCAL4, _LOCAL6 = 16, 64
"""The sizes of the networks of link-local addresses."""


class Resolver(NamedTuple):
    """What a container asks of the name server on 127.0.0.11, beside the names on its networks.

    `upstreams`: who knows the rest. `links`: pairs of an alias and the name it stands for. `own_upstreams`: they are
    this container's own (`dns:`), not the machine's.
    """

    upstreams: tuple[str, ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    own_upstreams: bool = False


def netns_path(paths: Paths, container_id: str) -> str:
    """What the container's bundle names as its network namespace."""
    return net_paths.container_netns(paths, container_id)


def connect(paths: Paths, container_id: str, joints: Sequence[Joint], *, resolver: Resolver | None) -> None:
    """Makes the container's namespace, or completes it: links to networks that it has lost or never had are made, those
    that are not among `joints` are cut, the others stay. Without joints there is only a loopback.

    `resolver` None: nobody listens on 127.0.0.11. Raises `JockerError`, or `OSError` with what the kernel refused.
    """
    path = netns_path(paths, container_id)
    before = _Known.read(paths, container_id)
    routers = {joint.wiring.name: _router(paths, joint) for joint in joints}
    after = _Known(
        {joint.interface: _described(joint, routers[joint.wiring.name]) for joint in joints},
        _server(paths, container_id, joints, resolver),
        _nameserver(joints, resolver),
    )
    if before == after and netns.exists(path) and (after.server is None or dnsmasq.alive(after.server.directory)):
        return
    with ExitStack() as opened:
        fds = {}
        for joint in joints:
            fds[joint.wiring.name] = netns.open_pinned(net_paths.router_netns(paths, joint.wiring.name))
            opened.callback(os.close, fds[joint.wiring.name])
        work = _Connection(container_id, joints, fds, after)
        if before is not None and netns.exists(path):
            # Should it fail half-way, nothing is taken for granted the next time.
            _Known({name: [] for name in (*before.links, *after.links)}, None, "").write(paths, container_id)
            netns.in_thread(lambda: work.complete(path, before))
        else:
            make_private(os.path.dirname(path))
            netns.create(path, work.furnish)
    _start_server(paths, container_id, before, after)
    after.write(paths, container_id)


def remove(paths: Paths, container_id: str) -> None:
    """Takes away the container's namespace with all links, and its name server. None need be there."""
    directory = net_paths.container_dns(paths, container_id)
    if os.path.isdir(directory):
        dnsmasq.remove(paths, directory)
    netns.remove(netns_path(paths, container_id))
    with suppress(FileNotFoundError):
        os.unlink(net_paths.endpoint(paths, container_id))


def faults(paths: Paths, container_id: str) -> tuple[str, ...]:
    """What is missing of the connections a container once had, in words: none if all is well."""
    known = _Known.read(paths, container_id)
    if known is None or not netns.exists(netns_path(paths, container_id)):
        return ("its network namespace is gone",)
    found = []
    for described in known.links.values():
        if not described:
            found.append("its links are half made")
            continue
        name = described[0]
        if netns.identity(net_paths.router_netns(paths, name)) != described[1]:
            found.append(f"it has lost the network {name}")
    if known.server is not None and not dnsmasq.alive(known.server.directory):
        found.append("its name server is not running")
    return tuple(found)


def adopt(paths: Paths, container_id: str, pid: int) -> None:
    """Takes the namespace of a container that runs, as process `pid`, for its own again, after its pin or what was
    known of it has been lost: `connect` makes its links anew then.
    """
    path = netns_path(paths, container_id)
    make_private(os.path.dirname(path))
    if not netns.exists(path):
        netns.pin(path, pid)
    if _Known.read(paths, container_id) is None:
        names = netns.inside(path, _link_names)
        _Known({name: [] for name in names if name != "lo"}, None, "").write(paths, container_id)


def _link_names() -> tuple[str, ...]:
    with Netlink() as here:
        return tuple(link.name for link in netlink.links(here))


# what is known of a container -----------------------------------------------------------------------------


class _Known(NamedTuple):
    """By interface what it is ([]: nobody knows); the container's own name server, or the gateway that is asked instead
    ("": neither).
    """

    links: dict[str, list[Any]]
    server: dnsmasq.NameServer | None
    asks: str

    @classmethod
    def read(cls, paths: Paths, container_id: str) -> _Known | None:
        saved = read_json(net_paths.endpoint(paths, container_id))
        if saved is None:
            return None
        server = saved["server"] and dnsmasq.NameServer(*(_tuples(value) for value in saved["server"]))
        return cls(saved["links"], server, saved["asks"])

    def write(self, paths: Paths, container_id: str) -> None:
        write_json(net_paths.endpoint(paths, container_id), self._asdict(), sync=False)


def _tuples(value: Any) -> Any:
    return tuple(_tuples(one) for one in value) if isinstance(value, list) else value


def _described(joint: Joint, router: int) -> list[Any]:
    """All that would make it another link; a network that was made anew is another one. As JSON gives it back."""
    wiring, lease = joint.wiring, joint.lease
    own = [lease.mac, lease.ipv4, lease.ipv6, list(joint.link_local_ips), joint.has_default4, joint.has_default6]
    return [wiring.name, router, wiring.mtu, wiring.gateway4, wiring.gateway6, wiring.subnet4, wiring.subnet6, *own]


def _router(paths: Paths, joint: Joint) -> int:
    path = net_paths.router_netns(paths, joint.wiring.name)
    number = netns.identity(path)
    if number is None:
        raise FileNotFoundError(2, f"the network {joint.wiring.name} is not there", path)
    return number


def _named(joints: Sequence[Joint]) -> list[Joint]:
    return [joint for joint in joints if joint.wiring.names]


def _nameserver(joints: Sequence[Joint], resolver: Resolver | None) -> str:
    """The gateway whose name server is enough for this container; "" if none is."""
    named = _named(joints)
    if resolver is None or len(named) != 1 or resolver.links or resolver.own_upstreams:
        return ""
    return named[0].wiring.gateway4


def _server(
    paths: Paths, container_id: str, joints: Sequence[Joint], resolver: Resolver | None
) -> dnsmasq.NameServer | None:
    """The name server that the container needs for itself, if it does: of several networks each knows its own names."""
    named = _named(joints)
    if resolver is None or not named or _nameserver(joints, resolver):
        return None
    leads_out = any(joint.wiring.uplink for joint in joints)
    subnets = {subnet for one in named for subnet in (one.wiring.subnet4, one.wiring.subnet6) if subnet}
    return dnsmasq.NameServer(
        directory=net_paths.container_dns(paths, container_id),
        netns=netns_path(paths, container_id),
        listen=(RESOLVER,),
        port=OWN_PORT,
        hosts=tuple(net_paths.hosts_dir(paths, joint.wiring.name) for joint in named),
        upstreams=resolver.upstreams if leads_out else (),
        cnames=resolver.links,
        subnets=tuple(sorted(subnets)),
    )


def _start_server(paths: Paths, container_id: str, before: _Known | None, after: _Known) -> None:
    if after.server is not None:
        was = before.server if before is not None and before.links == after.links else None
        same = was is not None and was._replace(upstreams=after.server.upstreams) == after.server
        if same and dnsmasq.alive(after.server.directory):
            dnsmasq.set_upstreams(after.server.directory, after.server.upstreams)
        else:
            dnsmasq.start(paths, after.server)
    elif os.path.isdir(net_paths.container_dns(paths, container_id)):
        dnsmasq.remove(paths, net_paths.container_dns(paths, container_id))


# inside ---------------------------------------------------------------------------------------------------


class _Connection:
    """The work in the container's namespace. `routers` are open descriptors by the name of the network."""

    def __init__(self, container_id: str, joints: Sequence[Joint], routers: dict[str, int], known: _Known) -> None:
        self._port = net_paths.port(container_id)
        self._joints = joints
        self._routers = routers
        self._known = known

    def furnish(self) -> None:
        """Everything, in a namespace that was just made, by the thread that made it."""
        own = netns.open_here()
        try:
            with Netlink() as here:
                here.do(netlink.up("lo"))
                # Each interface gets IPv6 where its network has it, and none listens to whoever says he is a router.
                netns.set_sysctls({f"net/ipv6/conf/default/{name}": value for name, value in _QUIET.items()})
                if len(self._joints) > 1:
                    # It would be a way from one network to the other: a new namespace does as the machine does.
                    netns.set_sysctls({"net/ipv4/ip_forward": "0"})
                self._make_links(own, self._joints, here)
            self._lead_to_names(fresh=True)
        finally:
            os.close(own)

    def complete(self, path: str, before: _Known) -> None:
        """What is missing, in a namespace that is there; run in a thread of its own."""
        netns.enter(path)
        own = netns.open_here()
        try:
            with Netlink() as here:
                there = {link.name for link in netlink.links(here)}
                kept = {
                    name
                    for name, described in before.links.items()
                    if name in there and self._known.links.get(name) == described
                }
                here.do(*(netlink.delete(name) for name in there & before.links.keys() - kept))
                self._make_links(own, [joint for joint in self._joints if joint.interface not in kept], here)
            self._lead_to_names(fresh=False)
        finally:
            os.close(own)

    def _make_links(self, own: int, joints: Sequence[Joint], here: Netlink) -> None:
        """Makes each pair from its router's end, where the thread goes for that, and comes back with the last."""
        if not joints:
            return
        for joint in joints:
            netns.enter_opened(self._routers[joint.wiring.name])
            self._make_link(own, joint)
        netns.enter_opened(own)
        messages: list[Message] = []
        for joint in joints:
            if joint.wiring.subnet6:
                netns.set_sysctls({f"net/ipv6/conf/{joint.interface}/disable_ipv6": "0"})
            messages += _addresses(joint)
        here.do(*messages)

    def _make_link(self, own: int, joint: Joint) -> None:
        wiring = joint.wiring
        bridge = socket.if_nametoindex(wiring.bridge)
        peer = netlink.Peer(joint.interface, own, joint.lease.mac)
        made = [netlink.veth(self._port, peer, master=bridge, mtu=wiring.mtu)]
        if not wiring.icc:
            made.append(netlink.isolate(self._port))
        with Netlink() as router:
            try:
                router.do(*made)
            except FileExistsError:
                # The end of a container with this id that is gone: its namespace has not quite ended yet.
                router.do(netlink.delete(self._port), *made)

    def _lead_to_names(self, *, fresh: bool) -> None:
        table = net_paths.RESOLVER_TABLE
        if self._known.server is not None:
            text = firewall.own_resolver(table, OWN_PORT)
        elif self._known.asks:
            asked = next(joint for joint in _named(self._joints) if joint.wiring.gateway4 == self._known.asks)
            netns.set_sysctls({f"net/ipv4/conf/{asked.interface}/route_localnet": "1"})
            text = firewall.resolver(table, self._known.asks)
        else:
            if not fresh:
                nftables.apply(firewall.no_table(table))
            return
        nftables.apply(text if fresh else firewall.replacing(table, text))


_QUIET = {"disable_ipv6": "1", "accept_ra": "0", "accept_dad": "0", "autoconf": "0"}


def _addresses(joint: Joint) -> list[Message]:
    """Up, addresses, routes of one interface; runs in the container's namespace."""
    wiring, lease = joint.wiring, joint.lease
    index = socket.if_nametoindex(joint.interface)
    messages = [netlink.up(joint.interface)]
    for address, subnet in ((lease.ipv4, wiring.subnet4), (lease.ipv6, wiring.subnet6)):
        if address:
            messages.append(netlink.address(index, f"{address}/{subnet.partition('/')[2]}"))
    messages += [netlink.address(index, f"{one}/{_LOCAL6 if ':' in one else _LOCAL4}") for one in joint.link_local_ips]
    if joint.has_default4 and wiring.gateway4:
        messages.append(netlink.route("0.0.0.0/0", wiring.gateway4, index=index))
    if joint.has_default6 and wiring.gateway6:
        messages.append(netlink.route("::/0", wiring.gateway6, index=index))
    return messages
