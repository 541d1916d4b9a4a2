"""What the doctor says about networks, from values alone: how full a pool is, whose firewall is in the way, who knows
names.
"""

from __future__ import annotations

import pytest

from composer.desired.addresses import DEFAULT_POOL
from composer.host.foreign_firewall import Wall
from composer.host.network_checks import Room, about_walls, check_resolvers, room
from composer.host.resolvers import Resolvers

CASES: list[tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], Room]] = [
    (DEFAULT_POOL, (), (), Room(2304, 2304, ())),
    (("10.9.0.0/16",), ("10.9.0.0/24", "10.9.255.254/31"), (), Room(256, 254, ())),
    (("10.9.0.0/16",), (), ("192.168.0.0/16", "fd00::/8"), Room(256, 256, ())),
    (("10.9.0.0/16",), (), ("10.9.8.0/23",), Room(256, 254, ("10.9.8.0/23",))),
    (("10.9.0.0/16",), (), ("10.0.0.0/8",), Room(256, 0, ("10.0.0.0/8",))),
    (("10.9.0.0/16",), (), ("10.9.8.1/32", "10.9.8.2/32"), Room(256, 255, ("10.9.8.1/32", "10.9.8.2/32"))),
    (("10.9.0.0/16",), ("10.9.8.0/24",), ("10.9.8.0/24",), Room(256, 255, ())),
    (("10.9.0.0/24",), (), (), Room(2, 2, ())),
    (("10.9.0.0/28",), ("10.9.0.0/29",), (), Room(2, 1, ())),
    (("10.8.0.0/16", "10.9.0.0/16"), (), ("10.8.0.0/15",), Room(512, 0, ("10.8.0.0/15",))),
]


@pytest.mark.parametrize(("pool", "own", "others", "expected"), CASES, ids=str)
def test_room(pool: tuple[str, ...], own: tuple[str, ...], others: tuple[str, ...], expected: Room) -> None:
    assert room(pool, own, others) == expected


DOCKER = Wall("ip", "filter", "FORWARD", "iptables-nft", has_place=True)
UFW = Wall("ip", "filter", "FORWARD", "iptables", has_place=False)
UFW6 = Wall("ip6", "filter", "FORWARD", "ip6tables", has_place=False)
NFT = Wall("inet", "mine", "forward", "", has_place=False)
FIREWALLD = Wall("inet", "firewalld", "filter_FORWARD", "", has_place=False)
FIXES: list[tuple[tuple[Wall, ...], str]] = [
    ((UFW,), "iptables -I FORWARD -i jk+ -j ACCEPT && iptables -I FORWARD -o jk+ -j ACCEPT"),
    (
        (NFT,),
        "nft insert rule inet mine forward iifname 'jk*' accept && "
        "nft insert rule inet mine forward oifname 'jk*' accept",
    ),
    ((FIREWALLD,), "firewall-cmd --permanent --zone=trusted --add-interface=jk+ && firewall-cmd --reload"),
    (
        (DOCKER, UFW6),
        "ip6tables -I FORWARD -i jk+ -j ACCEPT && ip6tables -I FORWARD -o jk+ -j ACCEPT",
    ),
]


@pytest.mark.parametrize(("walls", "fix"), FIXES, ids=[fix.partition(" ")[0] for _, fix in FIXES])
def test_a_closed_wall_comes_with_the_commands_that_open_it(walls: tuple[Wall, ...], fix: str) -> None:
    found = about_walls(walls)
    assert (found.status, found.fix) == ("warning", fix)


def test_docker_leaves_a_place_for_us() -> None:
    assert about_walls([DOCKER]).status == "ok"
    assert "DOCKER-USER" in about_walls([DOCKER]).found
    assert about_walls([]).found == "nobody drops what the machine forwards"


def test_name_servers_of_the_machine_are_named_or_missed() -> None:
    found = check_resolvers(Resolvers(("192.0.2.53", "2001:db8::53")))
    assert (found.status, found.fix) == ("ok", "")
    assert "192.0.2.53, 2001:db8::53" in found.found
    found = check_resolvers(Resolvers(local=("127.0.0.1",)))
    assert (found.status, found.fix) == ("ok", "")
    assert "127.0.0.1 by way of a forwarder" in found.found
    found = check_resolvers(Resolvers())
    assert found.status == "warning"
    assert "names no server that containers can reach" in found.found
