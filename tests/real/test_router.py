"""Networks on a machine in miniature: who reaches whom, who does not, and what is left of it all."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator

import pytest
from netlab import HOST4, HOST6, OUTSIDE4, OUTSIDE6, ask, call, listening
from patience import until
from stretches import Stretch, playground

from composer.frozen import replace
from composer.host import dnsmasq, endpoints, net_paths, netlink, netns, nfnetlink, nftables, process, router
from composer.host.files import read_json
from composer.host.netlink_wire import Netlink
from composer.model.wiring import Publication
from composer.paths import Paths

pytestmark = pytest.mark.real

WEB4 = Publication("tcp", "", 8080, 8080, "10.101.0.5", 80)
WEB6 = Publication("tcp", "", 8080, 8080, "fd00:1::5", 80)
NAMES4 = Publication("udp", "", 8053, 9053, "10.101.0.5", 53)
NAMES6 = Publication("udp", "", 8053, 9053, "fd00:1::5", 53)
ADMIN = Publication("tcp", "127.0.0.1", 9000, 9000, "10.101.0.5", 80)
LAN = Publication("tcp", HOST4, 9100, 9100, "10.101.0.5", 80)


@pytest.fixture
def store(jocker_dirs: Paths) -> Iterator[Stretch]:
    """Two networks, with `web` on one, and `other` on the other."""
    with playground(jocker_dirs) as made:
        made.network("one", 1, v6=True)
        made.network("two", 2, v6=True)
        made.container("web", 5, "one")
        made.container("other", 6, "two")
        yield made


@pytest.fixture
def web(store: Stretch) -> str:
    return endpoints.netns_path(store.paths, "web")


@pytest.fixture
def other(store: Stretch) -> str:
    return endpoints.netns_path(store.paths, "other")


def links(path: str) -> set[str]:
    def look() -> set[str]:
        with Netlink() as here:
            return {link.name for link in netlink.links(here)}

    return netns.inside(path, look)


def ruleset(store: Stretch) -> tuple[nfnetlink.Chain, ...]:
    return store.lab.on_host(nfnetlink.chains)


def test_a_published_port_is_reached_from_everywhere(store: Stretch, web: str, other: str) -> None:
    peer = store.container("peer", 7, "one")
    store.publish("one", "web", WEB4, WEB6, NAMES4, NAMES6)
    host, outside = store.lab
    with listening(web, 80) as tcp, listening(web, 53, "udp") as udp:
        for path, address, seen in (
            (host, "127.0.0.1", "10.101.0.1"),
            (host, HOST4, HOST4),
            (host, HOST6, HOST6),
            (outside, HOST4, OUTSIDE4),
            (outside, HOST6, OUTSIDE6),
            # By the address of the machine, from within, and from the container itself.
            (peer, HOST4, "10.101.0.1"),
            (peer, HOST6, "fd00:1::1"),
            (web, HOST4, "10.101.0.1"),
            (web, HOST6, "fd00:1::1"),
            (other, HOST4, "10.101.0.1"),
            (other, HOST6, "fd00:1::1"),
            # The gateway is the machine.
            (peer, "10.101.0.1", "10.101.0.1"),
            (web, "10.101.0.1", "10.101.0.1"),
            (peer, "fd00:1::1", "fd00:1::1"),
            (other, "10.102.0.1", "10.101.0.1"),
        ):
            assert call(path, tcp, address, 8080) == seen, (path, address)
            assert call(path, udp, address, 8053, "udp") == seen, (path, address)
        assert call(host, tcp, "::1", 8080).startswith("refused")
        assert call(host, tcp, "127.0.0.1", 80) == "refused"


def test_a_port_bound_to_an_address_is_reached_by_that_alone(store: Stretch, web: str, other: str) -> None:
    store.publish("one", "web", ADMIN, LAN)
    host, outside = store.lab
    with listening(web, 80) as server:
        assert call(host, server, "127.0.0.1", 9000) == "10.101.0.1"
        assert call(host, server, HOST4, 9100) == HOST4
        assert call(outside, server, HOST4, 9100) == OUTSIDE4
        assert call(other, server, HOST4, 9100) == "10.101.0.1"
        for path, address, port in (
            *((path, HOST4, 9000) for path in (host, outside, web, other)),
            *((path, "10.101.0.1", 9000) for path in (web,)),
            (host, "127.0.0.1", 9100),
            (other, "10.102.0.1", 9000),
            (other, "10.99.0.3", 9000),
        ):
            assert call(path, server, address, port) in {"refused", "lost"}, (path, address, port)


def test_a_port_is_closed_when_it_is_no_longer_published(store: Stretch, web: str) -> None:
    store.publish("one", "web", WEB4, NAMES4)
    store.publish("one", "web", WEB4._replace(target=81))
    with listening(web, 81) as server:
        assert call(store.lab.outside, server, HOST4, 8080) == OUTSIDE4
        store.publish("one", "web")
        assert call(store.lab.outside, server, HOST4, 8080) == "refused"
        assert call(store.lab.host, server, "127.0.0.1", 8080) == "refused"


def test_containers_of_a_network_reach_each_other_the_machine_and_the_world(store: Stretch, web: str) -> None:
    peer = store.container("peer", 7, "one")
    host, outside = store.lab
    with listening(web, 80) as server:
        assert call(peer, server, "10.101.0.5", 80) == "10.101.0.7"
        assert call(peer, server, "fd00:1::5", 80) == "fd00:1::7"
        # The machine, as with docker, comes from the gateway.
        assert call(host, server, "10.101.0.5", 80) == "10.101.0.1"
        assert call(host, server, "fd00:1::5", 80) == "fd00:1::1"
    with listening(outside, 99) as server, listening(outside, 99, "udp") as datagrams:
        assert call(web, server, OUTSIDE4, 99) == HOST4
        assert call(web, server, OUTSIDE6, 99) == HOST6
        assert call(web, datagrams, OUTSIDE4, 99, "udp") == HOST4
    with listening(host, 98) as server:
        for address, seen in (("10.101.0.1", "10.99.0.3"), ("fd00:1::1", "fd00:99::3"), ("10.99.0.2", "10.99.0.3")):
            assert call(web, server, address, 98) == seen


@pytest.mark.parametrize("flushed", [False, True])
def test_networks_are_walled_off(store: Stretch, web: str, other: str, flushed: bool) -> None:
    """With the machine's own rules and without them."""
    store.publish("one", "web", ADMIN)

    def way_to_containers() -> None:
        with Netlink() as here:
            for subnet, gateway in (("10.0.0.0/8", HOST4), ("fd00::/16", HOST6)):
                here.do(netlink.route(subnet, gateway))

    store.lab.on_outside(way_to_containers)
    if flushed:
        store.lab.on_host(lambda: nftables.apply("flush ruleset"))
    with listening(web, 80) as tcp, listening(web, 53, "udp") as udp:
        for path in (other, store.lab.outside):
            for address in ("10.101.0.5", "fd00:1::5"):
                assert call(path, tcp, address, 80) in {"lost", "refused"}
                assert call(path, udp, address, 53, "udp") == "lost"
            for address, port in (("10.99.0.3", 9000), ("10.99.0.3", 53), ("10.101.0.1", 53), ("fd00:1::1", 53)):
                assert call(path, tcp, address, port) in {"lost", "refused"}
    assert ask(other, "web", server="127.0.0.11") == "nxdomain"
    assert ask(other, "other", server="127.0.0.11") == ["10.102.0.6"]


def test_an_internal_network_has_no_way_out(store: Stretch) -> None:
    store.network("back", 3, internal=True)
    inner, peer = store.container("inner", 5, "back"), store.container("peer", 6, "back")
    with listening(inner, 80) as server:
        assert call(peer, server, "10.103.0.5", 80) == "10.103.0.6"
        assert call(store.lab.host, server, "10.103.0.5", 80) in {"lost", "refused (Network is unreachable)"}
        # The gateway knows names, and says at once that it has nothing else.
        assert call(peer, server, "10.103.0.1", 80) == "refused"
    with listening(store.lab.outside, 99) as server:
        assert call(inner, server, OUTSIDE4, 99).startswith("refused")
    assert ask(inner, "peer", server="127.0.0.11") == ["10.103.0.6"]
    # Not "refused": musl would go on waiting, and never try the rest of its search list.
    assert ask(inner, "www.example.org", server="127.0.0.11") == "nxdomain"
    assert store.faults("back") == ()


def test_other_name_servers_of_the_world_are_drift_and_cost_no_restart(store: Stretch, web: str) -> None:
    """As when a laptop is carried from one network to another."""
    state = f"{net_paths.network_dns(store.paths, 'one')}/state"
    before = read_json(state)
    for servers in (("192.0.2.77",), (OUTSIDE4,)):
        store.upstreams = servers
        assert store.faults("one") == ("its name server asks others than the machine does by now",)
        store.lab.on_host(lambda: router.mend(store.paths, store.wirings["one"], store.upstreams, store.all_wirings))
        assert store.faults("one") == ()
        after = read_json(state)
        assert before
        assert after
        assert before["pid"] == after["pid"]
    until(lambda: ask(web, "www.example.org", server="127.0.0.11") == ["198.51.100.7"])


def test_containers_can_be_kept_apart(store: Stretch) -> None:
    store.network("apart", 3, icc=False)
    one, two = store.container("x", 5, "apart"), store.container("y", 6, "apart")
    with listening(one, 80) as server:
        assert call(two, server, "10.103.0.5", 80).startswith(("lost", "refused (No route"))
        assert call(store.lab.host, server, "10.103.0.5", 80) == "10.103.0.1"
    with listening(store.lab.outside, 99) as server:
        assert call(one, server, OUTSIDE4, 99) == HOST4


def test_without_masquerade_the_world_sees_the_container(store: Stretch) -> None:
    store.network("open", 3, masquerade=False)
    path = store.container("x", 5, "open")
    store.publish("open", "x", WEB4._replace(address="10.103.0.5"))

    def way_back() -> None:
        with Netlink() as here:
            here.do(netlink.route("10.103.0.0/24", HOST4))

    store.lab.on_outside(way_back)
    with listening(store.lab.outside, 99) as server:
        assert call(path, server, OUTSIDE4, 99) == "10.103.0.5"
    with listening(path, 80) as server:
        assert call(path, server, HOST4, 8080) == "10.103.0.1"
        assert call(store.lab.outside, server, "10.103.0.5", 80) == "lost"


# attacks --------------------------------------------------------------------------------------------------


def send_raw(path: str, interface: str, to_mac: str, packet: bytes) -> None:
    def send() -> None:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
            raw.bind((interface, 0x0800))
            raw.send(bytes.fromhex(to_mac.replace(":", "")) + b"\2\0\0\0\0\7" + b"\x08\x00" + packet)

    netns.inside(path, send)


def datagram(source: str, target: str, port: int, word: bytes) -> bytes:
    """An IPv4 packet with a UDP datagram; its checksum is the only one that is needed."""
    udp = struct.pack(">HHHH", 4444, port, 8 + len(word), 0) + word
    ends = socket.inet_aton(source) + socket.inet_aton(target)
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0) + ends
    total = sum(struct.unpack(">10H", head))
    checksum = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    return head[:10] + struct.pack(">H", checksum) + head[12:] + udp


def mac_of(path: str, name: str) -> str:
    def look() -> str:
        with Netlink() as here:
            return next(link.mac for link in netlink.links(here) if link.name == name)

    return netns.inside(path, look)


def next_word(store: Stretch, server: socket.socket) -> bytes:
    """What a server on the machine's loopback hears next, if nothing else then what the machine itself tells it."""

    def tell() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(b"own", ("127.0.0.1", 7777))

    store.lab.on_host(tell)
    return server.recv(16)


def test_the_loopback_of_the_machine_is_out_of_reach_from_its_links(store: Stretch, web: str) -> None:
    host, uplink = store.lab.host, store.wirings["one"].uplink
    inner = net_paths.router_netns(store.paths, "one")
    attack = datagram("10.99.0.3", "127.0.0.1", 7777, b"attack")
    with listening(host, 7777, "udp", "127.0.0.1") as server:
        # From a container over its router; from the router itself; as if from the machine itself.
        send_raw(web, "eth0", mac_of(inner, "br0"), datagram("10.101.0.5", "127.0.0.1", 7777, b"attack"))
        send_raw(inner, "up0", mac_of(host, uplink), attack)
        send_raw(inner, "up0", mac_of(host, uplink), datagram("127.0.0.1", "127.0.0.1", 7777, b"attack"))
        send_raw(store.lab.outside, "eth0", mac_of(host, "eth0"), datagram(OUTSIDE4, "127.0.0.1", 7777, b"attack"))
        assert next_word(store, server) == b"own"
        # That it is our guard which keeps them out, and that without it the router still does for its containers:
        store.lab.on_host(lambda: nftables.apply("flush ruleset"))
        send_raw(web, "eth0", mac_of(inner, "br0"), datagram("10.101.0.5", "127.0.0.1", 7777, b"attack"))
        assert next_word(store, server) == b"own"
        send_raw(inner, "up0", mac_of(host, uplink), attack)
        assert next_word(store, server) == b"attack"


def test_a_container_cannot_pass_for_somebody_else(store: Stretch, web: str) -> None:
    """Nothing leaves a network but from its own addresses."""
    inner = net_paths.router_netns(store.paths, "one")
    with listening(store.lab.outside, 7777, "udp", OUTSIDE4) as server:
        for source in ("10.102.0.6", "10.99.0.4", HOST4):
            send_raw(web, "eth0", mac_of(inner, "br0"), datagram(source, OUTSIDE4, 7777, b"forged"))
        send_raw(web, "eth0", mac_of(inner, "br0"), datagram("10.101.0.5", OUTSIDE4, 7777, b"honest"))
        assert server.recvfrom(16)[0] == b"honest"


# faults, wrecks, ends -------------------------------------------------------------------------------------


def test_faults_are_told_and_mended(store: Stretch) -> None:
    wiring = store.wirings["one"]
    store.publish("one", "web", WEB4)
    assert store.faults("one") == store.faults("two") == ()
    state = read_json(f"{net_paths.network_dns(store.paths, 'one')}/state")
    assert state is not None
    process.kill_and_wait(state["pid"])
    store.lab.on_host(lambda: nftables.apply("flush ruleset"))
    store.lab.on_host(lambda: netns.set_sysctls({"net/ipv4/ip_forward": "0", "net/ipv6/conf/all/forwarding": "0"}))
    assert store.faults("one") == (
        "its name server is not running",
        "its rules are gone from the firewall of the machine",
        "the machine does not forward (net.ipv4.ip_forward is 0)",
        "the machine does not forward IPv6 (net.ipv6.conf.all.forwarding is 0)",
    )

    def cut() -> None:
        with Netlink() as here:
            here.do(netlink.delete(wiring.uplink))

    store.lab.on_host(cut)
    assert f"its link {wiring.uplink} is gone" in store.faults("one")
    netns.remove(net_paths.router_netns(store.paths, "one"))
    assert store.faults("one")[0] == "its namespace is gone"
    store.make("one")
    store.connect("web")
    assert store.faults("one") == store.faults("two") == ()
    with listening(endpoints.netns_path(store.paths, "web"), 80) as server:
        assert call(store.lab.outside, server, HOST4, 8080) == OUTSIDE4


def test_a_flushed_table_is_written_anew_for_all_networks(store: Stretch, web: str, other: str) -> None:
    store.publish("two", "other", WEB4._replace(published=8082, inner=8082, address="10.102.0.6"))
    store.lab.on_host(lambda: nftables.apply("flush ruleset"))
    store.publish("one", "web", WEB4)
    assert store.faults("one") == store.faults("two") == ()
    with listening(web, 80) as server:
        assert call(store.lab.outside, server, HOST4, 8080) == OUTSIDE4
    with listening(other, 80) as server:
        assert call(store.lab.outside, server, HOST4, 8082) == OUTSIDE4


def test_tables_that_hold_something_else_are_mended_by_the_next_change(store: Stretch, web: str) -> None:
    store.publish("one", "web", WEB4)
    table = net_paths.host_table(store.paths)
    store.lab.on_host(lambda: nftables.apply(f"delete element inet {table} any4 {{ tcp . 8080 }}"))
    inner = net_paths.router_netns(store.paths, "one")
    netns.inside(inner, lambda: nftables.apply("delete element inet jk pub4 { tcp . 8080 }"))
    store.publish("one", "web", LAN)
    with listening(web, 80) as server:
        assert call(store.lab.outside, server, HOST4, 9100) == OUTSIDE4
        assert call(store.lab.outside, server, HOST4, 8080) == "refused"


@pytest.mark.parametrize("missing", ["pin", "file", "server", "table", "link", "elements", "nothing"])
def test_any_wreck_can_be_made_whole_and_removed(store: Stretch, missing: str) -> None:
    """Whatever a crash has left out."""
    path, wiring = net_paths.router_netns(store.paths, "one"), store.wirings["one"]
    table = net_paths.host_table(store.paths)

    def wreck() -> None:
        if missing == "pin":
            netns.remove(path)
            open(path, "w").close()
        elif missing == "file":
            netns.remove(path)
        elif missing == "server":
            state = f"{net_paths.network_dns(store.paths, 'one')}/state"
            with open(state, "w") as file:
                file.write('{"hosts": [], "upstreams": []}')
        elif missing == "table":
            nftables.apply(f"delete table inet {table}")
        elif missing == "elements":
            nftables.apply(f"flush set inet {table} routers4")
        elif missing == "link":
            with Netlink() as here:
                here.do(netlink.delete(wiring.uplink))

    store.lab.on_host(wreck)
    store.make("one")
    store.connect("web")
    assert store.faults("one") == ()
    with listening(endpoints.netns_path(store.paths, "web"), 80) as server:
        assert call(store.lab.host, server, "10.101.0.5", 80) == "10.101.0.1"
    store.lab.on_host(wreck)
    store.remove("one")
    store.containers.pop("web")
    endpoints.remove(store.paths, "web")
    assert store.lab.on_host(lambda: wiring.uplink not in {name for _, name in socket.if_nameindex()})
    assert not os.path.exists(path)


def test_nothing_is_left_of_the_last_network(store: Stretch) -> None:
    store.publish("one", "web", WEB4, WEB6, ADMIN)
    assert {chain.table for chain in ruleset(store)} == {net_paths.host_table(store.paths)}
    store.sweep()
    store.containers.clear()
    assert ruleset(store) == ()
    assert not store.lab.on_host(lambda: nfnetlink.has_table(net_paths.host_table(store.paths)))
    assert links(store.lab.host) == {"lo", "eth0"}

    def routes() -> set[str]:
        with Netlink() as here:
            return {one.destination for one in netlink.routes(here) if one.destination.startswith(("10.", "fd00"))}

    assert store.lab.on_host(routes) == set()
    for directory in ("netns", "dns"):
        assert os.listdir(f"{store.paths.run}/{directory}") == []


def test_a_machine_that_hears_of_routers_goes_on_hearing_of_them(jocker_dirs: Paths) -> None:
    name = "net/ipv6/conf/eth0/accept_ra"
    with playground(jocker_dirs) as made:
        made.lab.on_host(lambda: netns.set_sysctls({name: "1"}))
        made.network("four", 1)
        assert made.lab.on_host(lambda: netns.sysctl(name)) == "1"
        assert made.lab.on_host(lambda: netns.sysctl("net/ipv6/conf/all/forwarding")) == "0"
        made.network("six", 2, v6=True)
        assert made.lab.on_host(lambda: netns.sysctl(name)) == "2"


def test_a_network_of_any_size_of_name_and_mtu(jocker_dirs: Paths) -> None:
    with playground(jocker_dirs) as made:
        wiring = made.network("x" * 200, 1, mtu=1300, bridge="mybridge0", names=False)
        path = made.container("one", 5, wiring.name)
        inner = net_paths.router_netns(made.paths, wiring.name)
        assert not dnsmasq.alive(net_paths.network_dns(made.paths, wiring.name))

        def mtus() -> dict[str, int]:
            with Netlink() as here:
                return {link.name: link.mtu for link in netlink.links(here)}

        assert netns.inside(inner, mtus) == {"lo": 65536, "mybridge0": 1300, "up0": 1300, "vone": 1300}
        assert netns.inside(path, mtus) == {"lo": 65536, "eth0": 1300}
        assert made.lab.on_host(mtus)[wiring.uplink] == 1300
        with listening(path, 80) as server:
            assert call(made.lab.host, server, "10.101.0.5", 80) == "10.101.0.1"


def test_a_network_on_this_very_machine_leaves_it_as_it_was(jocker_dirs: Paths) -> None:
    """Not in miniature: only that all comes and goes."""
    name = "net/ipv4/ip_forward"
    before = netns.sysctl(name)
    store = Stretch(jocker_dirs, None)  # type: ignore[arg-type]
    wiring = replace(store.define("real", 1), subnet4="100.127.250.0/24", gateway4="100.127.250.1")
    wiring = replace(wiring, link4=("100.127.251.0", "100.127.251.1"))
    try:
        router.make(jocker_dirs, wiring, ())
        assert router.faults(jocker_dirs, wiring, ()) == ()
    finally:
        router.remove(jocker_dirs, wiring)
        netns.set_sysctls({name: before or "0"})
    assert not nfnetlink.has_table(net_paths.host_table(jocker_dirs))
    assert wiring.uplink not in {link for _, link in socket.if_nameindex()}
