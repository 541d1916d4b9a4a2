"""Ports of the machine: kept without listening, shared only within a stack, and who has one that is taken."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from composer.errors import NetworkError
from composer.host.ports import Kept, is_taken, keep, listener
from composer.model.network import Port

pytestmark = pytest.mark.real


def take(*ports: Port, ipv6: bool = False, held: int = 0) -> tuple[Kept, ...]:
    return keep(ports, ipv6=ipv6, held={("tcp", held)}, where='service "web"')


@pytest.fixture
def free() -> int:
    """A port that nobody has."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture
def server() -> Iterator[tuple[int, socket.socket]]:
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind(("127.0.0.1", 0))
        one.listen()
        yield one.getsockname()[1], one


def test_what_is_kept_nobody_else_gets_and_nothing_answers(free: int) -> None:
    (kept,) = take(Port(80, str(free)))
    assert kept.published == free
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do
        with pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", free))
        with pytest.raises(ConnectionRefusedError):
            other.connect(("127.0.0.1", free))
    kept.close()
    assert not is_taken(Port(80, str(free)), free)


def test_any_port_means_a_free_one_the_same_for_both_kinds_of_addresses() -> None:
    (kept,) = take(Port(80), ipv6=True)
    assert kept.published > 1024
    assert {one.getsockname()[1] for one in kept.sockets} == {kept.published}
    assert {one.family for one in kept.sockets} == {socket.AF_INET, socket.AF_INET6}
    kept.close()


def test_of_a_range_the_first_free_one_is_taken(server: tuple[int, socket.socket]) -> None:
    taken, _ = server
    (kept,) = take(Port(80, f"{taken}-{taken + 20}"))
    assert taken < kept.published <= taken + 20
    kept.close()


def test_who_listens_is_named(server: tuple[int, socket.socket]) -> None:
    taken, _ = server
    with pytest.raises(NetworkError, match=rf'service "web": port {taken}/tcp is taken by \S+ \(pid {os.getpid()}\)'):
        take(Port(80, str(taken)))
    assert listener(Port(80, protocol="udp"), taken) == ""


def test_if_one_port_cannot_be_had_none_is_kept(free: int, server: tuple[int, socket.socket]) -> None:
    with pytest.raises(NetworkError):
        take(Port(80, str(free)), Port(81, str(server[0])))
    assert not is_taken(Port(80, str(free)), free)


def test_a_replacement_shares_the_port_with_its_predecessor_alone(free: int) -> None:
    (old,) = take(Port(80, str(free)))
    with pytest.raises(NetworkError):
        take(Port(80, str(free)))
    (new,) = take(Port(80, str(free)), held=free)
    old.close()
    assert is_taken(Port(80, str(free)), free)
    new.close()


def test_of_a_range_a_replacement_keeps_the_number_and_a_sibling_gets_the_next(free: int) -> None:
    port = Port(80, f"{free}-{free + 20}")
    (old,) = take(port)
    (sibling,) = take(port)
    (new,) = take(port, held=sibling.published)
    assert sibling.published != old.published
    assert new.published == sibling.published
    for one in (old, sibling, new):
        one.close()


def test_a_listener_is_not_shared_with_even_if_a_predecessor_had_the_port(server: tuple[int, socket.socket]) -> None:
    with pytest.raises(NetworkError):
        take(Port(80, str(server[0])), held=server[0])


def test_of_two_who_ask_at_once_one_gets_the_port(free: int) -> None:
    """Also while the one that has it would let itself be replaced."""
    results: list[bool] = []

    def ask() -> None:
        try:
            kept.extend(take(Port(80, str(free)), Port(53, str(free), protocol="udp")))
        except NetworkError:
            results.append(False)

    kept: list[Kept] = []
    several = [threading.Thread(target=ask) for _ in range(8)]
    for thread in several:
        thread.start()
    for thread in several:
        thread.join()
    for one in kept:
        one.close()
    assert (len(kept), len(results)) == (2, 7)


@pytest.fixture(params=["of a server", "of a client"])
def remains(request: pytest.FixtureRequest) -> int:
    """A port that nobody has, and that a connection of an ended program is remembered of (TIME_WAIT)."""
    with socket.socket() as server, socket.socket() as client:
        for one in (server, client):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind(("127.0.0.1", 0))
        server.listen()
        client.connect(server.getsockname())
        first, second = server.accept()[0], client
        if request.param == "of a client":
            first, second = second, first
        left = int(first.getsockname()[1])
        first.close()
        assert second.recv(1) == b""
        second.close()
    with socket.socket() as plain, pytest.raises(OSError, match="in use"):
        plain.bind(("", left))
    return left


def test_remembered_connections_do_not_keep_a_port_and_nobody_else_gets_in_over_them(remains: int) -> None:
    port = Port(80, str(remains))
    assert not is_taken(port, remains)
    (old,) = take(port)
    assert is_taken(port, remains)
    (new,) = take(port, held=remains)
    old.close()
    for options in ((), (socket.SO_REUSEADDR,)):
        with socket.socket() as other:
            for option in options:
                other.setsockopt(socket.SOL_SOCKET, option, 1)
            with pytest.raises(OSError, match="in use"):
                other.bind(("", remains))
    with pytest.raises(NetworkError):
        take(port)
    new.close()
    (both,) = take(port, ipv6=True)
    both.close()


def test_over_remembered_connections_too_only_one_of_two_gets_the_port(remains: int) -> None:
    start, kept = threading.Barrier(8), []

    def ask() -> None:
        start.wait()
        with suppress(NetworkError):
            kept.extend(take(Port(80, str(remains))))

    several = [threading.Thread(target=ask) for _ in range(8)]
    for thread in several:
        thread.start()
    for thread in several:
        thread.join()
    for one in kept:
        one.close()
    assert len(kept) <= 1
    take(Port(80, str(remains)))[0].close()


def test_udp_and_tcp_are_two_things(free: int) -> None:
    (tcp,) = take(Port(53, str(free)))
    (udp,) = take(Port(53, str(free), protocol="udp"))
    tcp.close()
    udp.close()


def test_an_address_of_another_machine_cannot_be_published_on() -> None:
    with pytest.raises(NetworkError, match=r"this machine has no address 203\.0\.113\.9"):
        take(Port(80, "8080", "203.0.113.9"))


def test_a_whole_range_that_is_taken_is_said_so(server: tuple[int, socket.socket]) -> None:
    with pytest.raises(NetworkError, match="all ports of"):
        keep(
            [Port(80, f"{server[0]}-{server[0] + 1}"), Port(80, f"{server[0]}-{server[0] + 1}")],
            ipv6=False,
            held=(),
            where="x",
        )
