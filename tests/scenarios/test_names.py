"""Names: who is found by which, from where, and since when."""

from __future__ import annotations

import pytest
from netlab import AAAA, NXDOMAIN, OUTSIDE4, PTR, Upstream, call, listening
from scenarios.conftest import Stack
from scenarios.wires import QUIET, address, addresses, asked, inside, reverse, small_machine, wiring

pytestmark = pytest.mark.real

NAMES = f"""
services:
  web:
{QUIET}    hostname: front
    domainname: corp.test
    networks: {{front: {{aliases: [www, www.corp.test]}}, back: }}
  db:
{QUIET}    scale: 2
    networks: {{back: {{aliases: [store]}}}}
  api:
{QUIET}    container_name: the-api
    networks: [back]
    links: ["db:database", "web:site"]
    external_links: ["web-db-2:second"]
networks:
  front: {{enable_ipv6: true}}
  back: {{internal: true}}
"""


def test_a_container_is_found_by_all_its_names_and_only_where_it_is(stack: Stack) -> None:
    stack.write(NAMES)
    stack("up", "-d")
    ids = stack.ids()
    web, api, db = (inside(stack, name) for name in ("web-web-1", "the-api", "web-db-1"))
    both = sorted([address(stack, "web_back", "web-db-1"), address(stack, "web_back", "web-db-2")])
    on_front, on_back = address(stack, "web_front", "web-web-1"), address(stack, "web_back", "web-web-1")
    of_api = address(stack, "web_back", "the-api")

    for over in ("udp", "tcp"):
        for name in ("web", "web-web-1", "front", "front.corp.test", ids["web-web-1"][:12], "WEB"):
            assert asked(db, name, over=over) == [on_back]
            assert asked(api, name, over=over) == [on_back]
            assert asked(web, name, over=over) == sorted([on_back, on_front])
        for name in ("db", "store"):
            assert asked(web, name, over=over) == asked(api, name, over=over) == asked(db, name, over=over) == both
        for name in ("www", "www.corp.test"):
            assert asked(web, name, over=over) == [on_front]
            assert asked(api, name, over=over) == asked(db, name, over=over) == NXDOMAIN
    for path in (web, db, api):
        assert asked(path, "the-api") == asked(path, "api") == [of_api]

    six = wiring(stack, "web_front").leases[ids["web-web-1"]].ipv6
    assert asked(web, "www", AAAA) == [six]
    assert asked(web, "db", AAAA) == []  # it is there, and has no such address
    assert asked(db, reverse(on_back), PTR) == ["web-web-1"]
    assert asked(api, reverse(both[0]), PTR)[0].startswith("web-db-")

    # Links are names for one container alone; each that has a link answers as its target would.
    assert set(both) <= set(asked(api, "database"))
    assert address(stack, "web_back", "web-db-2") in asked(api, "second")
    for name in ("database", "site", "second"):
        assert asked(db, name) == asked(web, name) == NXDOMAIN
    stack("down")
    stack.assert_nothing_left()


def test_what_nobody_is_called_fails_at_once_even_without_a_way_out(stack: Stack) -> None:
    """A refusal is not enough: musl waits for a better answer and never gets to the next name of its search list."""
    stack.write(
        f"services:\n  web:\n{QUIET}    networks: [back]\n    dns_search: [corp.test]\n"
        f"  own:\n{QUIET}    networks: [back]\n    links: ['web:w']\nnetworks: {{back: {{internal: true}}}}\n"
    )
    stack("up", "-d")
    for name in ("web-web-1", "web-own-1"):
        path = inside(stack, name)
        for nobody in ("nobody", "web.corp.test", "www.example.org", "7.100.51.198.in-addr.arpa"):
            assert asked(path, nobody) == NXDOMAIN
    stack("down")
    stack.assert_nothing_left()


def test_names_follow_what_a_command_does_before_it_ends(stack: Stack) -> None:
    stack.write(f"services:\n  db:\n{QUIET}  eye:\n{QUIET}")
    stack("up", "-d", "--scale", "db=3")
    eye = inside(stack, "web-eye-1")

    def known() -> bool:
        found = addresses(stack, "web_default")
        running = [name for name, state in stack.states().items() if state == "running"]
        return asked(eye, "db") == (sorted(found[name] for name in running if "-db-" in name) or NXDOMAIN)

    assert len(asked(eye, "db")) == 3
    assert known()
    for words in (
        ("up", "-d", "--scale", "db=5"),
        ("up", "-d", "--scale", "db=2"),
        ("stop", "db"),
        ("start", "db"),
        ("up", "-d", "--force-recreate", "--scale", "db=2", "db"),
        ("rm", "-sf", "db"),
        ("up", "-d", "db"),
    ):
        stack(*words)
        assert known(), words
    assert len(asked(eye, "db")) == 1
    stack("kill", "db")  # it only sends a signal: who has ended takes his names along
    stack.wait_for(lambda: asked(eye, "db") == NXDOMAIN, "the name of the killed one is gone")
    stack("start", "db")
    assert len(asked(eye, "db")) == 1
    stack("down")
    stack.assert_nothing_left()


@pytest.mark.parametrize("own", [False, True], ids=["server of the network", "server of their own"])
def test_a_peer_is_known_to_a_hundred_at_once_as_their_first_act(stack: Stack, own: bool) -> None:
    links = "    links: ['peer:other']\n" if own else ""
    number = 20 if own else 100
    stack.write(
        f"services:\n  peer:\n{QUIET}  eye:\n    image: demo\n    command: [nslookup, {'other' if own else 'peer'}]\n"
        f"    scale: {number}\n{links}"
    )
    stack("up", "-d")
    stack.wait_for(lambda: "running" not in {one["State"] for one in stack.ps("eye").values()}, "all have asked")
    codes = [one["ExitCode"] for one in stack.ps("eye").values()]
    assert codes == [0] * number
    stack("down")
    stack.assert_nothing_left()


def test_the_rest_of_the_world_is_asked_of_the_servers_that_a_service_names(stack: Stack) -> None:
    stack.write(
        f"services:\n  web:\n{QUIET}    dns: {OUTSIDE4}\n    dns_search: [corp.test, example.org]\n"
        "    dns_opt: ['ndots:2', 'timeout:1']\n    domainname: corp.test\n    hostname: front\n"
        "    extra_hosts: ['printer:10.1.2.3', 'six=fd00::7', 'machine:host-gateway']\n"
        f"  db:\n{QUIET}"
    )
    with small_machine(stack) as (_, lab), Upstream(lab.outside, OUTSIDE4) as upstream:
        stack("up", "-d")
        web = inside(stack, "web-web-1")
        assert asked(web, "www.example.org") == ["198.51.100.7"]
        assert asked(web, "db") == [address(stack, "web_default", "web-db-1")]
        assert asked(web, "nobody") == NXDOMAIN
        assert upstream.asked == ["www.example.org"]
        assert stack("exec", "-T", "web", "cat", "/etc/resolv.conf").stdout == (
            "nameserver 127.0.0.11\nsearch corp.test example.org\noptions ndots:2 timeout:1\n"
        )
        hosts = stack("exec", "-T", "web", "cat", "/etc/hosts").stdout
        net = wiring(stack, "web_default")
        for line in (
            "10.1.2.3\tprinter",
            "fd00::7\tsix",
            f"{net.link4[0]}\tmachine",
            f"{address(stack, 'web_default', 'web-web-1')}\tfront.corp.test front",
        ):
            assert line in hosts
        with listening(lab.host, 9000) as server:
            for to_machine in (net.link4[0], net.gateway4):
                assert not call(web, server, to_machine, 9000).startswith(("lost", "refused"))
        stack("down")
        stack.assert_nothing_left()
