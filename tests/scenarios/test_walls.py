"""Walls: who does not reach whom."""

from __future__ import annotations

import socket

import pytest
from netlab import HOST4, OUTSIDE4, REFUSAL, call, listening
from scenarios.conftest import Stack
from scenarios.wires import QUIET, address, inside, small_machine, wiring

from composer.host import netlink, netns
from composer.host.netlink_wire import Netlink

pytestmark = pytest.mark.real

WALLED = f"""
services:
  web:
{QUIET}    networks: [front]
  both:
{QUIET}    networks: [front, back]
  way:
{QUIET}    networks: [front, back]
    sysctls: {{net.ipv4.ip_forward: 1}}
  db:
{QUIET}    networks: [back]
  vault:
{QUIET}    networks: [deep]
  guard:
{QUIET}    networks: [deep]
networks:
  front:
  back:
  deep: {{internal: true}}
"""


def is_cut_off(path: str, target: str, address: str) -> bool:
    with listening(target, 80) as tcp, listening(target, 81, "udp") as udp:
        found = {call(path, tcp, address, 80), call(path, udp, address, 81, "udp")}
    return all(one.startswith(("lost", "refused")) for one in found)


def arrives(path: str, target: str, address: str, through: str) -> bool:
    """Whether a datagram gets to an address if it is sent there through a neighbour."""

    def send() -> None:
        with Netlink() as here, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            here.do(netlink.route(f"{address}/32", through))
            one.sendto(b"hello", (address, 81))

    with listening(target, 81, "udp") as server:
        server.settimeout(REFUSAL)
        netns.inside(path, send)
        try:
            return server.recv(16) == b"hello"
        except TimeoutError:
            return False


def test_networks_do_not_reach_each_other_and_nobody_outside_reaches_a_container(stack: Stack) -> None:
    stack.write(WALLED)
    other = stack.another("other")
    other.write(f"services:\n  web:\n{QUIET}")
    with small_machine(stack) as (_, lab):
        other.netns = lab.host
        stack("up", "-d")
        other("up", "-d")
        on = {name: inside(stack, f"web-{name}-1") for name in ("web", "both", "db", "vault", "guard")}
        on["other"] = inside(other, "other-web-1")
        at = {
            "web": address(stack, "web_front", "web-web-1"),
            "db": address(stack, "web_back", "web-db-1"),
            "vault": address(stack, "web_deep", "web-vault-1"),
            "other": address(other, "other_default", "other-web-1"),
        }
        for source, target in (
            *(("web", "db"), ("web", "vault"), ("web", "other"), ("db", "web"), ("db", "other")),
            *(("vault", "web"), ("vault", "other"), ("other", "web"), ("other", "db"), ("other", "vault")),
        ):
            assert is_cut_off(on[source], on[target], at[target]), (source, target)
        assert not is_cut_off(on["both"], on["web"], at["web"])
        assert not is_cut_off(on["both"], on["db"], at["db"])
        assert not is_cut_off(on["guard"], on["vault"], at["vault"])

        # The world outside is reached, not from an internal network; and does not come in, even if it knows the way.
        with listening(lab.outside, 90) as server:
            assert call(on["web"], server, OUTSIDE4, 90) == HOST4
            assert call(on["vault"], server, OUTSIDE4, 90).startswith(("lost", "refused"))
            assert call(on["vault"], server, HOST4, 90).startswith(("lost", "refused"))

        def know_the_way() -> None:
            with Netlink() as here:
                for name in ("web_front", "web_back", "web_deep"):
                    here.do(netlink.route(wiring(stack, name).subnet4, HOST4))

        lab.on_outside(know_the_way)
        for name in ("web", "db", "vault"):
            assert is_cut_off(lab.outside, on[name], at[name]), name
        # The machine itself does.
        assert not is_cut_off(lab.host, on["web"], at["web"])
        assert is_cut_off(lab.host, on["vault"], at["vault"])

        # Who is on two networks is a way from one to the other only if it is meant to be.
        for name, leads in (("both", False), ("way", True)):
            through = address(stack, "web_front", f"web-{name}-1")
            assert arrives(on["web"], on["db"], at["db"], through) is leads
        other("down")
        stack("down")
        stack.assert_nothing_left()


def test_the_machine_and_its_firewall_are_as_before_when_the_last_network_is_gone(stack: Stack) -> None:
    stack.write(WALLED)
    with small_machine(stack) as (_, lab):
        before = lab.on_host(_links_and_routes)
        stack("up", "-d")
        assert lab.on_host(_links_and_routes) != before
        stack("down")
        stack.wait_for(lambda: lab.on_host(_links_and_routes) == before, "links and routes are as before")
        stack.assert_nothing_left()


def _links_and_routes() -> tuple[set[str], set[str]]:
    """Without the IPv6 routes: the kernel adds those of a link when it is sure of its address."""
    with Netlink() as here:
        routes = {one.destination for one in netlink.routes(here)}
        return {one.name for one in netlink.links(here)}, {one for one in routes if ":" not in one}
