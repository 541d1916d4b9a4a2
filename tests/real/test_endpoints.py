"""Containers on networks: their links, addresses, routes and names, and how they get back what they have lost."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from netlab import AAAA, OUTSIDE4, ask, call, listening
from stretches import Stretch, playground

from composer.frozen import replace
from composer.host import dnsmasq, endpoints, net_paths, netlink, netns, nfnetlink, process, router
from composer.host.endpoints import Resolver
from composer.host.files import read_json
from composer.host.netlink_wire import Netlink
from composer.model.wiring import Joint, Lease
from composer.paths import Paths

pytestmark = pytest.mark.real

NAMES = "127.0.0.11"


@pytest.fixture
def store(jocker_dirs: Paths) -> Iterator[Stretch]:
    with playground(jocker_dirs) as made:
        made.network("one", 1, v6=True)
        made.network("two", 2)
        yield made


def interfaces(path: str) -> dict[str, tuple[set[str], str, bool]]:
    """By name: addresses (but those the kernel makes up), MAC, whether it is up."""

    def look() -> dict[str, tuple[set[str], str, bool]]:
        with Netlink() as here:
            found = netlink.addresses(here)
            return {
                link.name: (
                    {
                        one.interface
                        for one in found
                        if one.link == link.number and not one.interface.startswith("fe80")
                    },
                    link.mac,
                    link.up,
                )
                for link in netlink.links(here)
            }

    return netns.inside(path, look)


def routes(path: str) -> set[tuple[str, str]]:
    def look() -> set[tuple[str, str]]:
        with Netlink() as here:
            return {(one.destination, one.gateway) for one in netlink.routes(here) if one.gateway}

    return netns.inside(path, look)


def connect(store: Stretch, container_id: str, *joints: Joint, resolver: Resolver | None = None) -> str:
    store.containers.setdefault(container_id, [])
    store.lab.on_host(lambda: endpoints.connect(store.paths, container_id, joints, resolver=resolver))
    return endpoints.netns_path(store.paths, container_id)


def test_a_container_without_networks_has_a_loopback(store: Stretch) -> None:
    path = connect(store, "alone")
    assert interfaces(path) == {"lo": ({"127.0.0.1/8", "::1/128"}, "00:00:00:00:00:00", True)}
    assert routes(path) == set()
    assert netns.inside(path, nfnetlink.chains) == ()
    assert endpoints.faults(store.paths, "alone") == ()
    with listening(path, 80) as server:
        assert call(path, server, "127.0.0.1", 80) == "127.0.0.1"


def test_it_has_what_its_leases_say(store: Stretch) -> None:
    for name in ("one", "two"):
        store.lease("web", name, 5)
    joints = (
        store.joint("web", "one", "front", first=False)._replace(
            link_local_ips=("169.254.8.8", "fe80::8"), has_default6=True
        ),
        store.joint("web", "two", "eth1"),
    )
    path = connect(store, "web", *joints)
    found = interfaces(path)
    assert found["front"] == ({"10.101.0.5/24", "fd00:1::5/64", "169.254.8.8/16"}, "02:aa:10:00:00:05", True)
    assert found["eth1"] == ({"10.102.0.5/24"}, "02:aa:10:00:00:05", True)
    assert routes(path) == {("0.0.0.0/0", "10.102.0.1"), ("::/0", "fd00:1::1")}
    for name, value in (("front", "0"), ("eth1", "1")):
        assert netns.inside(path, lambda name=name: netns.sysctl(f"net/ipv6/conf/{name}/disable_ipv6")) == value  # type: ignore[misc]
        assert netns.inside(path, lambda name=name: netns.sysctl(f"net/ipv6/conf/{name}/accept_ra")) == "0"  # type: ignore[misc]
    # Nobody asked for names.
    assert netns.inside(path, nfnetlink.chains) == ()


def test_connecting_again_changes_nothing(store: Stretch) -> None:
    path = store.container("web", 5, "one")
    before = (netns.identity(path), interfaces(path), os.stat(net_paths.endpoint(store.paths, "web")).st_mtime_ns)
    store.connect("web")
    after = (netns.identity(path), interfaces(path), os.stat(net_paths.endpoint(store.paths, "web")).st_mtime_ns)
    assert before == after


@pytest.mark.parametrize("networks", [("one",), ("one", "two")])
def test_a_network_made_anew_is_joined_again(store: Stretch, networks: tuple[str, ...]) -> None:
    """The running container keeps its namespace, and its names."""
    path = store.container("web", 5, *networks)
    peer = store.container("peer", 6, "one")
    number = netns.identity(path)
    store.make("one")
    assert endpoints.faults(store.paths, "web") == ("it has lost the network one",)
    store.connect("web")
    store.connect("peer")
    assert endpoints.faults(store.paths, "web") == endpoints.faults(store.paths, "peer") == ()
    assert netns.identity(path) == number
    with listening(path, 80) as server:
        assert call(peer, server, "10.101.0.5", 80) == "10.101.0.6"
    assert ask(path, "peer", server=NAMES) == ["10.101.0.6"]
    assert ask(peer, "web", server=NAMES) == ["10.101.0.5"]
    with listening(store.lab.outside, 99) as server:
        assert call(path, server, OUTSIDE4, 99) != "lost"


def test_networks_can_be_added_and_cut(store: Stretch) -> None:
    path = store.container("web", 5, "one")
    peer = store.container("peer", 6, "two")
    assert ask(path, "peer", server=NAMES) == "nxdomain"
    lease = store.lease("web", "two", 5)
    dnsmasq.write_hosts(store.paths, "two", "web", [(lease.ipv4, "web")])
    store.containers["web"] = ["one", "two"]
    store.connect("web")
    assert set(interfaces(path)) == {"lo", "eth0", "eth1"}
    assert ask(path, "peer", server=NAMES) == ["10.102.0.6"]
    assert ask(peer, "web", server=NAMES) == ["10.102.0.5"]
    store.containers["web"] = ["one"]
    dnsmasq.clear_hosts(store.paths, "two", "web")
    store.connect("web")
    assert set(interfaces(path)) == {"lo", "eth0"}
    assert not os.path.exists(net_paths.container_dns(store.paths, "web"))
    assert ask(path, "peer", server=NAMES) == "nxdomain"
    assert ask(path, "web", server=NAMES) == ["10.101.0.5"]
    assert ask(peer, "web", server=NAMES) == "nxdomain"
    store.containers["web"] = []
    store.connect("web", Resolver())
    assert set(interfaces(path)) == {"lo"}
    assert netns.inside(path, nfnetlink.chains) == ()


def test_on_several_networks_it_knows_the_names_of_all(store: Stretch) -> None:
    path = store.container("web", 5, "one", "two")
    store.container("db", 6, "two")
    store.container("cache", 7, "one")
    for over in ("udp", "tcp"):
        assert ask(path, "db", server=NAMES, over=over) == ["10.102.0.6"]
        assert ask(path, "cache", server=NAMES, over=over) == ["10.101.0.7"]
    assert ask(path, "cache", AAAA, server=NAMES) == ["fd00:1::7"]
    assert ask(path, "nosuch", server=NAMES) == "nxdomain"
    assert ask(path, "www.example.org", server=NAMES) == ["198.51.100.7"]
    state = read_json(f"{net_paths.container_dns(store.paths, 'web')}/state")
    assert state is not None
    process.kill_and_wait(state["pid"])
    assert endpoints.faults(store.paths, "web") == ("its name server is not running",)
    store.connect("web")
    assert endpoints.faults(store.paths, "web") == ()
    assert ask(path, "db", server=NAMES) == ["10.102.0.6"]


def test_servers_of_its_own_are_asked_about_the_world_alone(store: Stretch) -> None:
    store.container("db", 6, "one")
    path = store.container("web", 5, "one", resolver=Resolver(("192.0.2.200",), own_upstreams=True))
    assert ask(path, "db", server=NAMES) == ["10.101.0.6"]
    with open(f"{net_paths.container_dns(store.paths, 'web')}/servers") as file:
        assert file.read() == "server=192.0.2.200\n"


def test_names_are_there_without_ipv4(store: Stretch) -> None:
    store.network("six", 6, v6=True, subnet4="", gateway4="", link4=("", ""))
    lease = Lease("02:00:00:00:00:05", "", "fd00:6::5")
    store.wirings["six"] = wiring = replace(store.wirings["six"], leases={"web": lease})
    dnsmasq.write_hosts(store.paths, "six", "web", [("fd00:6::5", "web")])
    path = connect(
        store,
        "web",
        Joint(wiring, lease, "eth0", (), has_default6=True),
        resolver=Resolver(store.upstreams),
    )
    store.containers["web"] = ["six"]
    assert ask(path, "web", AAAA, server=NAMES) == ["fd00:6::5"]
    assert ask(path, "web", AAAA, server="fd00:6::1") == ["fd00:6::5"]


@pytest.mark.parametrize("wreck", ["empty file", "no state", "state alone", "old link"])
def test_what_a_crash_left_is_no_obstacle(store: Stretch, wreck: str) -> None:
    path = store.container("web", 5, "one")
    state = net_paths.endpoint(store.paths, "web")
    if wreck == "empty file":
        netns.remove(path)
        open(path, "w").close()
    elif wreck == "no state":
        os.unlink(state)
    elif wreck == "state alone":
        netns.remove(path)
    else:
        # The namespace is held by somebody still, as by a process that is slow to end: the port is taken.
        held = netns.open_pinned(path)
        endpoints.remove(store.paths, "web")
    if wreck != "no state":
        assert endpoints.faults(store.paths, "web") == ("its network namespace is gone",)
    store.connect("web")
    assert endpoints.faults(store.paths, "web") == ()
    assert ask(path, "web", server=NAMES) == ["10.101.0.5"]
    if wreck == "old link":
        os.close(held)


def test_a_network_that_is_not_there_is_an_error_and_leaves_nothing(store: Stretch) -> None:
    store.lease("web", "one", 5)
    joint = store.joint("web", "one", "eth0")
    store.lab.on_host(lambda: router.remove(store.paths, store.wirings["one"]))
    with pytest.raises(FileNotFoundError, match="the network one is not there"):
        connect(store, "web", joint)
    assert not os.path.exists(endpoints.netns_path(store.paths, "web"))


def test_nothing_is_left_of_a_container(store: Stretch) -> None:
    store.container("web", 5, "one", "two")
    endpoints.remove(store.paths, "web")
    endpoints.remove(store.paths, "web")
    assert [name for name in os.listdir(net_paths.netns_dir(store.paths)) if name.startswith("web")] == []
    assert not os.path.exists(net_paths.container_dns(store.paths, "web"))


def test_a_hundred_at_once_find_each_other_with_their_first_question(store: Stretch) -> None:
    ids = [f"{number:012d}" for number in range(100)]
    for at, one in enumerate(ids):
        store.lease(one, "two", 10 + at)
        store.containers[one] = ["two"]

    def start(at: int) -> object:
        one = ids[at]
        dnsmasq.write_hosts(store.paths, "two", one, [(f"10.102.0.{10 + at}", f"c{at}")])
        store.connect(one)
        return ask(endpoints.netns_path(store.paths, one), f"c{at}", server=NAMES)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(start, range(100)))
    assert answers == [[f"10.102.0.{10 + at}"] for at in range(100)]
    assert ask(endpoints.netns_path(store.paths, ids[0]), "c99", server=NAMES) == ["10.102.0.109"]
