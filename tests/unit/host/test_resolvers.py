"""Which name servers of the machine containers can use."""

from __future__ import annotations

import pytest

from composer.host.resolvers import FILE, SYSTEMD, Resolvers, parse, resolvers


def machine(**files: str) -> Resolvers:
    return resolvers({FILE: files.get("etc"), SYSTEMD: files.get("systemd")}.get)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", Resolvers()),
        ("nameserver 192.0.2.1\n", Resolvers(("192.0.2.1",))),
        ("nameserver\nnameserver 192.0.2.1 # mine\n;nameserver 192.0.2.2\n", Resolvers(("192.0.2.1",))),
        ("nameserver 2001:db8::1\nnameserver 192.0.2.1\n", Resolvers(("2001:db8::1", "192.0.2.1"))),
        ("nameserver 192.0.2.1\nnameserver 192.0.2.1\n", Resolvers(("192.0.2.1",))),
        ("nameserver 127.0.0.1\nnameserver ::1\nnameserver 0.0.0.0\n", Resolvers(local=("127.0.0.1", "::1"))),
        ("nameserver 127.0.0.1\nnameserver 192.0.2.1\n", Resolvers(("192.0.2.1",), local=("127.0.0.1",))),
        ("nameserver 192.0.2.1\nnameserver 127.0.0.1\n", Resolvers(("192.0.2.1",))),
        ("nameserver fe80::1%eth0\nnameserver here\n", Resolvers()),
        ("domain a.org\nsearch b.org c.org\n", Resolvers(search=("b.org", "c.org"))),
        ("search .\n", Resolvers()),
        ("options ndots:2 edns0\noptions rotate\n", Resolvers(options=("ndots:2", "edns0", "rotate"))),
    ],
)
def test_a_file_is_read_as_resolvers_read_it(text: str, found: Resolvers) -> None:
    assert parse(text) == found


def test_behind_the_stub_of_systemd_are_the_real_ones() -> None:
    stub = "nameserver 127.0.0.53\noptions edns0 trust-ad\n"
    real = "nameserver 192.0.2.1\nsearch lan\n"
    assert machine(etc=stub, systemd=real) == Resolvers(("192.0.2.1",), ("lan",))
    assert machine(etc=stub) == Resolvers((), (), ("edns0", "trust-ad"), ("127.0.0.53",))
    assert machine(etc="nameserver 192.0.2.9\n", systemd=real) == Resolvers(("192.0.2.9",))


def test_networks_ask_those_whom_the_machine_asks_first() -> None:
    assert Resolvers(("192.0.2.1",), local=("127.0.0.1",)).upstreams == ("127.0.0.1",)
    assert Resolvers(("192.0.2.1",)).upstreams == ("192.0.2.1",)


def test_a_machine_without_the_file_has_none() -> None:
    assert machine() == Resolvers()
