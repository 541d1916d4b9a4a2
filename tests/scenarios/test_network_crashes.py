"""Networks whose makers are killed: the next command converges, and `down` leaves nothing."""

from __future__ import annotations

import os
import random
import time

import pytest
from netlab import NXDOMAIN
from scenarios.conftest import Stack, kill
from scenarios.wires import QUIET, addresses, asked, free_ports, inside, is_free

from composer.execute.networking import Networking
from composer.frozen import replace
from composer.host import dnsmasq, net_paths, netns, networks
from composer.model.wiring import Lease

pytestmark = pytest.mark.real

ROUNDS = int(os.environ.get("JOCKER_TEST_NETWORK_ROUNDS", "6"))
"""In CI; by hand 300."""


def shop(port: int) -> str:
    return (
        f"services:\n  web:\n{QUIET}    ports: ['{port}:80', '{port}:80/udp']\n    networks: [front, back]\n"
        f"    environment: {{V: '${{V:-0}}'}}\n"
        f"  db:\n{QUIET}    networks: [back]\n    scale: 2\n"
        f"  side:\n{QUIET}    network_mode: service:web\n"
        "networks:\n  front: {enable_ipv6: true, labels: {n: '${N:-0}'}}\n  back: {internal: true}\n"
    )


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_whatever_is_killed_at_a_random_moment_the_next_up_converges(stack: Stack, seed: int) -> None:
    port = free_ports(stack)
    stack.write(shop(port))
    chance = random.Random(seed)
    command = (("up", "-d"), ("down",), ("up", "-d", "--scale", "db=4"), ("restart",))[seed % 4]
    if seed % 4 or seed % 8 == 4:
        stack("up", "-d")
        (stack.directory / ".env").write_text(f"V={seed % 2}\nN={seed % 8 // 4}\n")
    process = stack.start(*command)
    time.sleep(chance.uniform(0.1, 1.0))
    kill(process)
    if seed % 3:
        stack("up", "-d")
        assert "nothing to do" in stack("plan").stdout
        states = stack.states()
        assert set(states.values()) == {"running"}
        found = addresses(stack, "web_back")
        for name in ("web-web-1", "web-db-1"):
            if name in found:
                assert asked(inside(stack, name), "db") == sorted(found[one] for one in states if "-db-" in one)
    stack("down")
    assert is_free(stack, port)
    stack.assert_nothing_left()


def test_a_down_that_had_taken_one_network_and_half_of_another_is_undone(stack: Stack) -> None:
    stack.write(shop(free_ports(stack)))
    stack("up", "-d")
    stack("stop", "-t", "0")
    Networking(stack.paths).remove("web_back")
    netns.remove(net_paths.router_netns(stack.paths, "web_front"))
    (stack.directory / ".env").write_text("V=1\n")  # web is made anew: the old one never gets an address on back
    stack("up", "-d")
    assert "nothing to do" in stack("plan").stdout
    assert asked(inside(stack, "web-db-1"), "web") == [addresses(stack, "web_back")["web-web-1"]]
    stack("down", "-t", "0")
    stack.assert_nothing_left()


def test_what_a_killed_command_had_claimed_is_given_back(stack: Stack) -> None:
    """A lease and a name of a container that never came to be, as if the stack file had changed since."""
    stack.write(f"services:\n  web:\n{QUIET}")
    stack("up", "-d")
    name, nobody = "web_default", "f" * 64

    def claim() -> None:
        with networks.changing(stack.paths):
            found = networks.read(stack.paths, name)
            assert found is not None
            lease = Lease(mac="02:42:00:00:00:09", ipv4=found.subnet4.replace(".0/24", ".3"), claimed_by="4194305-1")
            networks.write(stack.paths, replace(found, leases={**found.leases, nobody: lease}))
            dnsmasq.write_hosts(stack.paths, name, nobody, [(lease.ipv4, "late")])

    claim()
    web = inside(stack, "web-web-1")
    stack.wait_for(lambda: asked(web, "late") != NXDOMAIN, "the name is there")
    stack("up", "-d", "--scale", "web=2")
    assert asked(web, "late") == NXDOMAIN
    assert addresses(stack, name)["web-web-2"].endswith(".3")
    claim()
    stack("down")
    stack.assert_nothing_left()
