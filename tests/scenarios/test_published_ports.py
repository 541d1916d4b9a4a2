"""Published ports: who reaches them, who has them meanwhile, and who is told."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from netlab import HOST4, HOST6, call, listening
from scenarios.conftest import Stack
from scenarios.wires import QUIET, address, free_ports, inside, is_free, machine, on_machine, small_machine, wiring

pytestmark = pytest.mark.real


@contextmanager
def serving(path: str, *ports: tuple[int, str]) -> Iterator[list[socket.socket]]:
    with ExitStack() as opened:
        yield [opened.enter_context(listening(path, port, kind)) for port, kind in ports]


def reached(path: str, server: socket.socket, address: str, port: int, kind: str = "tcp") -> bool:
    found = call(path, server, address, port, kind)
    return not found.startswith(("refused", "lost"))


def test_a_port_is_reached_from_all_sides_and_a_bound_one_only_where_it_is_bound(stack: Stack) -> None:
    stack.write(
        f"services:\n  web:\n{QUIET}    ports:\n"
        "      - '8080:80'\n      - '127.0.0.1:8081:81'\n      - '5353:53/udp'\n"
        f"      - '{HOST4}:8082:82'\n      - {{target: 83, published: '8083', protocol: tcp, mode: host}}\n"
        f"  peer:\n{QUIET}    expose: ['9000']\nnetworks: {{default: {{enable_ipv6: true}}}}\n"
    )
    with small_machine(stack) as (_, lab):
        stack("up", "-d")
        web, peer = inside(stack, "web-web-1"), inside(stack, "web-peer-1")
        gateway = wiring(stack, "web_default").gateway4
        with serving(web, (80, "tcp"), (81, "tcp"), (53, "udp"), (82, "tcp"), (83, "tcp")) as opened:
            open_, bound, udp, on_address, long = opened
            for path in (lab.host, lab.outside, peer, web):
                assert reached(path, open_, HOST4, 8080)
                assert reached(path, long, HOST4, 8083)
                assert reached(path, on_address, HOST4, 8082)
                assert reached(path, udp, HOST4, 5353, "udp")
                assert reached(path, open_, HOST6, 8080)
                assert not reached(path, bound, HOST4, 8081)
            assert reached(lab.host, open_, "127.0.0.1", 8080)
            assert reached(lab.host, udp, "127.0.0.1", 5353, "udp")
            assert reached(lab.host, bound, "127.0.0.1", 8081)
            assert not reached(lab.host, on_address, "127.0.0.1", 8082)
            assert reached(peer, open_, gateway, 8080)
            assert reached(peer, open_, address(stack, "web_default", "web-web-1"), 80)
        stack("down")
        stack.assert_nothing_left()


def test_nothing_is_published_unless_asked(stack: Stack) -> None:
    stack.write(f"services:\n  web:\n{QUIET}    expose: ['80']\n")
    with small_machine(stack) as (_, lab):
        stack("up", "-d")
        with listening(inside(stack, "web-web-1"), 80) as server:
            for path, where in ((lab.host, "127.0.0.1"), (lab.host, HOST4), (lab.outside, HOST4)):
                assert not reached(path, server, where, 80)
        stack("down")
        stack.assert_nothing_left()


def test_a_port_that_is_taken_names_who_has_it_before_anything_is_made(stack: Stack) -> None:
    first = free_ports(stack, 4)
    stack.write(
        f"services:\n  early:\n{QUIET}  web:\n{QUIET}    depends_on: [early]\n"
        f"    ports: ['{first}:80', '127.0.0.1:{first + 1}:53/udp']\n"
    )
    with open("/proc/self/comm") as file:
        me = f"is taken by {file.read().strip()} (pid {os.getpid()})"
    with listening(machine(stack), first):
        said = stack("up", "-d", code=1).stderr
        assert f'service "web": port {first}/tcp {me}' in said
    with listening(machine(stack), first + 1, "udp", "127.0.0.1"):
        said = stack("up", "-d", code=1).stderr
        assert f'service "web": port 127.0.0.1:{first + 1}/udp {me}' in said
    assert stack.states() == {}
    stack.assert_nothing_left()

    stack("up", "-d")
    other = stack.another("other")
    other.write(f"services:\n  web:\n{QUIET}    ports: ['{first}:81']\n")
    assert f"port {first}/tcp is taken by web-web-1 of stack web" in other("up", "-d", code=1).stderr
    assert other.states() == {}
    stack("stop")
    other("up", "-d")
    assert f"port {first}/tcp is taken by other-web-1 of stack other" in stack("start", code=1).stderr
    other("down")
    stack("start")
    stack("down")
    stack.assert_nothing_left()


def test_two_stacks_have_the_same_port_inside(stack: Stack) -> None:
    first = free_ports(stack, 2)
    other = stack.another("other")
    for number, one in enumerate((stack, other)):
        one.write(f"services:\n  web:\n{QUIET}    ports: ['{first + number}:80']\n")
        one("up", "-d")
    with listening(inside(stack, "web-web-1"), 80) as mine, listening(inside(other, "other-web-1"), 80) as theirs:
        assert reached(machine(stack), mine, "127.0.0.1", first)
        assert reached(machine(stack), theirs, "127.0.0.1", first + 1)
    other("down")
    stack("down")
    stack.assert_nothing_left()


def test_a_port_is_free_while_its_container_is_stopped(stack: Stack) -> None:
    port = free_ports(stack)
    stack.write(f"services:\n  web:\n{QUIET}    ports: ['{port}:80', '{port}:80/udp']\n")
    stack("up", "-d")
    for leave, come_back in (("stop", "start"), ("kill", "start"), ("stop", "up -d"), ("down", "up -d")):
        assert not is_free(stack, port)
        stack(leave)
        stack.wait_for(lambda: is_free(stack, port), f"the port is free after {leave}")
        stack(*come_back.split())
        with listening(inside(stack, "web-web-1"), 80) as server:
            assert reached(machine(stack), server, "127.0.0.1", port)
    stack("restart")
    assert not is_free(stack, port)
    stack("down")
    assert is_free(stack, port)
    stack.assert_nothing_left()


def test_nobody_can_take_the_port_while_its_container_is_made_anew(stack: Stack) -> None:
    port = free_ports(stack)
    stack.write(f"services:\n  web:\n{QUIET}    ports: ['{port}:80']\n    environment: {{V: '${{V:-0}}'}}\n")
    stack("up", "-d")
    got: list[int] = []
    over = threading.Event()

    def try_to_take() -> None:
        while not over.is_set():
            if is_free(stack, port):
                got.append(port)

    thief = threading.Thread(target=try_to_take)
    thief.start()
    try:
        for version in ("1", "2", "3"):
            stack("up", "-d", env={"V": version})
    finally:
        over.set()
        thief.join()
    assert got == []
    with listening(inside(stack, "web-web-1"), 80) as server:
        assert reached(machine(stack), server, "127.0.0.1", port)
    stack("down")
    stack.assert_nothing_left()


def test_replicas_share_a_range_and_a_busy_port_of_it_is_skipped(stack: Stack) -> None:
    first = free_ports(stack, 5)
    stack.write(f"services:\n  web:\n{QUIET}    ports: ['{first}-{first + 3}:80', '81']\n")
    with listening(machine(stack), first + 1):
        stack("up", "-d", "--scale", "web=3")
        found = {}
        for number in "123":
            said = stack("port", "--index", number, "web", "80").stdout
            found[number] = int(said.rpartition(":")[2])
        assert sorted(found.values()) == [first, first + 2, first + 3]
        said = stack("up", "-d", "--scale", "web=4", code=1).stderr
        assert f"all ports of {first}-{first + 3}/tcp are taken" in said
    for number, port in found.items():
        with listening(inside(stack, f"web-web-{number}"), 80) as server:
            assert reached(machine(stack), server, "127.0.0.1", port)
    stack("up", "-d", "--scale", "web=4")
    stack("up", "-d", "--scale", "web=1")
    assert is_free(stack, found["3"])
    stack("down")
    stack.assert_nothing_left()


def test_nothing_is_published_for_who_has_no_way_out(stack: Stack) -> None:
    port = free_ports(stack)
    stack.write(
        f"services:\n  web:\n{QUIET}    ports: ['{port}:80']\n    networks: [back]\n"
        "networks: {back: {internal: true}}\n"
    )
    assert "services.web.ports: no effect: all its networks are `internal`" in stack("up", "-d").stderr
    assert is_free(stack, port)
    assert not stack.ps()["web-web-1"]["Publishers"]
    assert "does not publish port 80/tcp" in stack("port", "web", "80", code=1).stderr
    stack("down")
    stack.assert_nothing_left()


def test_an_address_the_machine_lacks_is_told(stack: Stack) -> None:
    stack.write(f"services:\n  web:\n{QUIET}    ports: ['192.0.2.77:8080:80']\n")
    assert "this machine has no address 192.0.2.77" in stack("up", "-d", code=1).stderr
    assert stack.states() == {}
    stack.assert_nothing_left()


def test_ports_move_between_services(stack: Stack) -> None:
    first = free_ports(stack, 2)

    def up(a: str, b: str) -> None:
        stack.write(f"services:\n  a:\n{QUIET}    ports: [{a}]\n  b:\n{QUIET}    ports: [{b}]\n")
        stack("up", "-d")

    one, two = f"'{first}:80'", f"'{first + 1}:80'"
    for a, b in ((one, ""), ("", one), (two, one), (one, two), (one, f"'{first}-{first + 1}:80'")):
        up(a, b)
        for name, port in (("a", a), ("b", b)):
            if port:
                with listening(inside(stack, f"web-{name}-1"), 80) as server:
                    number = first + 1 if "-" in port or port == two else first
                    assert reached(machine(stack), server, "127.0.0.1", number)
    stack("down")
    stack.assert_nothing_left()


def test_the_address_that_a_network_binds_ports_to_counts_before_anything_is_made(stack: Stack) -> None:
    port = free_ports(stack)
    stack.write(
        f"services:\n  web:\n{QUIET}    ports: ['{port}:80']\n"
        "networks: {default: {driver_opts: {com.docker.network.bridge.host_binding_ipv4: 127.0.0.2}}}\n"
    )
    with listening(machine(stack), port, "tcp", "127.0.0.2"):
        assert f"port 127.0.0.2:{port}/tcp is taken by" in stack("up", "-d", code=1).stderr
    assert stack.states() == {}
    stack.assert_nothing_left()
    with listening(machine(stack), port, "tcp", "127.0.0.1"):
        stack("run", "--rm", "--service-ports", "web", "true")
        stack("down")
        stack("up", "-d")
    stack("down")
    stack.assert_nothing_left()


def test_a_port_taken_on_ipv6_alone_counts_before_anything_is_made(stack: Stack) -> None:
    port = free_ports(stack)
    stack.write(f"services:\n  web:\n{QUIET}    ports: ['{port}:80']\nnetworks: {{default: {{enable_ipv6: true}}}}\n")
    with listening(machine(stack), port, "tcp", "::1"):
        assert f"port {port}/tcp is taken by" in stack("plan", code=1).stderr
        assert f"port {port}/tcp is taken by" in stack("up", "-d", code=1).stderr
    assert stack.states() == {}
    stack.assert_nothing_left()


def test_a_port_of_nobody_known_is_waited_for_only_when_it_is_needed(stack: Stack) -> None:
    """It may be that of a shim that is just ending."""
    port = free_ports(stack)
    stack.write(f"services:\n  web:\n{QUIET}    ports: ['{port}:80']\n")
    with on_machine(stack, socket.socket) as ending:
        ending.bind(("", port))
        assert "CreateContainer" in stack("plan").stdout
        assert f"port {port}/tcp is taken" in stack("up", "-d", code=1).stderr
    stack("down")
    stack.assert_nothing_left()
