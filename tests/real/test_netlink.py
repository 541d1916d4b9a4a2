"""Links, addresses and routes by our own messages, in namespaces of the test's own."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from composer.host import netlink, netns
from composer.host.netlink_wire import Netlink

pytestmark = pytest.mark.real

T = TypeVar("T")


class Pair:
    def __init__(self, directory: Path) -> None:
        self.left, self.right = str(directory / "left"), str(directory / "right")

    def do(self, work: Callable[[Netlink], T]) -> T:
        """In the left one."""

        def inside() -> T:
            with Netlink() as here:
                return work(here)

        return netns.inside(self.left, inside)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    made = Pair(tmp_path)
    netns.create(made.left, lambda: None)
    netns.create(made.right, lambda: None)
    yield made
    netns.remove(made.left)
    netns.remove(made.right)


def test_a_link_is_made_with_its_other_end_elsewhere(pair: Pair) -> None:
    right = netns.open_pinned(pair.right)
    mac = "02:00:00:00:00:07"
    try:

        def work(here: Netlink) -> tuple[netlink.Link, ...]:
            here.do(netlink.up("lo"), netlink.bridge("br7", mac="02:00:00:00:00:01", mtu=1400))
            bridge = socket.if_nametoindex("br7")
            here.do(netlink.veth("v1", netlink.Peer("eth0", right, mac), master=bridge, mtu=1400))
            here.do(netlink.isolate("v1"))
            return netlink.links(here)

        links = {link.name: link for link in pair.do(work)}
    finally:
        os.close(right)
    assert links["br7"][2:] == (True, 1400, "02:00:00:00:00:01")
    assert links["v1"].up
    assert netns.inside(pair.left, lambda: os.path.exists("/proc/sys/net/ipv4/conf/v1"))

    def there() -> tuple[netlink.Link, ...]:
        with Netlink() as here:
            return netlink.links(here)

    others = {link.name: link for link in netns.inside(pair.right, there)}
    assert others["eth0"][2:] == (False, 1400, mac)


def test_addresses_and_routes_are_told_as_they_were_made(pair: Pair) -> None:
    def work(here: Netlink) -> tuple[set[str], set[tuple[str, str]]]:
        here.do(netlink.up("lo"), netlink.bridge("br0", mac="02:00:00:00:00:01"))
        index = socket.if_nametoindex("br0")
        here.do(netlink.address(index, "10.1.0.1/24"), netlink.address(index, "fd00:1::1/64"))
        here.do(netlink.address(index, "10.9.0.2/31"), netlink.address(index, "169.254.7.7/16"))
        here.do(netlink.address(index, "10.1.0.1/24"))  # once more is no failure
        here.do(netlink.route("0.0.0.0/0", "10.1.0.9"), netlink.route("::/0", "fd00:1::9"))
        here.do(netlink.route("0.0.0.0/0", "10.1.0.8"))
        here.do(netlink.new_route("172.30.0.0/16", "10.1.0.8", index=index, source="10.1.0.1"))
        here.do(netlink.new_route("172.30.0.0/16", "10.1.0.7", index=index))  # the one there is stays
        here.do(netlink.new_route("172.31.0.0/16", "203.0.113.1", index=index))  # and one that cannot be is not
        assert netlink.machine_mtu(here) == 1500
        return (
            {one.interface for one in netlink.addresses(here) if one.link == index},
            {(one.destination, one.gateway) for one in netlink.routes(here) if one.gateway},
        )

    addresses, routes = pair.do(work)
    assert addresses >= {"10.1.0.1/24", "fd00:1::1/64", "10.9.0.2/31", "169.254.7.7/16"}
    assert routes == {
        ("0.0.0.0/0", "10.1.0.8"),
        ("::/0", "fd00:1::9"),
        ("172.30.0.0/16", "10.1.0.8"),
    }


def test_a_refusal_says_what_was_refused(pair: Pair) -> None:
    def work(here: Netlink) -> None:
        here.do(netlink.up("lo"), netlink.up("nothing"), netlink.bridge("br0", mac="02:00:00:00:00:01"))

    with pytest.raises(OSError, match="bring up nothing: No such device"):
        pair.do(work)
    # What came after the refused one was carried out: the kernel has no transactions here.
    assert "br0" in {link.name for link in pair.do(netlink.links)}


def test_what_is_not_there_can_be_taken_away(pair: Pair) -> None:
    def work(here: Netlink) -> tuple[str, ...]:
        here.do(netlink.bridge("br0", mac="02:00:00:00:00:01"))
        here.do(netlink.delete("br0"), netlink.delete("br0"), netlink.down("br0"))
        return tuple(link.name for link in netlink.links(here))

    assert pair.do(work) == ("lo",)


def test_a_hundred_links_at_once(pair: Pair) -> None:
    right = netns.open_pinned(pair.right)
    try:
        pair.do(lambda here: here.do(*(netlink.veth(f"v{n}", netlink.Peer(f"p{n}", right)) for n in range(100))))
    finally:
        os.close(right)
    assert len(pair.do(netlink.links)) == 101
