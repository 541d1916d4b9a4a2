"""Firewalls of others that drop what the machine forwards, as docker leaves them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from composer.host import foreign_firewall, netns, nftables, proc
from composer.host.proc import Command

pytestmark = pytest.mark.real

Inside = Callable[[Callable[[], object]], object]


@pytest.fixture
def inside(tmp_path: Path) -> Iterator[Inside]:
    path = str(tmp_path / "one")
    netns.create(path, lambda: None)
    yield lambda work: netns.inside(path, work)
    netns.remove(path)


def iptables(program: str, *arguments: str) -> str:
    return proc.run(Command(argv=(program, *arguments))).stdout


def like_docker(program: str) -> None:
    iptables(program, "-P", "FORWARD", "DROP")
    iptables(program, "-N", "DOCKER-USER")
    iptables(program, "-I", "FORWARD", "-j", "DOCKER-USER")


@pytest.mark.parametrize("program", ["iptables-nft", "iptables-legacy", "ip6tables-nft"])
def test_our_links_pass_where_docker_has_a_place_for_that(inside: Inside, program: str) -> None:
    inside(lambda: like_docker(program))
    before = inside(lambda: iptables(program, "-S"))
    assert inside(lambda: foreign_firewall.let_pass(["jk1", "jk2"])) == ()
    inside(lambda: foreign_firewall.let_pass(["jk1"]))  # once more changes nothing
    rules = str(inside(lambda: iptables(program, "-S", "DOCKER-USER"))).splitlines()
    assert sorted(rules) == [
        "-A DOCKER-USER -i jk1 -j ACCEPT",
        "-A DOCKER-USER -i jk2 -j ACCEPT",
        "-A DOCKER-USER -o jk1 -j ACCEPT",
        "-A DOCKER-USER -o jk2 -j ACCEPT",
        "-N DOCKER-USER",
    ]
    inside(lambda: foreign_firewall.take_back(["jk1", "jk2"]))
    assert inside(lambda: iptables(program, "-S")) == before


def test_a_wall_without_such_a_place_is_told_in_words(inside: Inside) -> None:
    inside(lambda: iptables("iptables-nft", "-P", "FORWARD", "DROP"))
    inside(lambda: nftables.apply("table inet own { chain f { type filter hook forward priority 0; policy drop; }; }"))
    words = inside(lambda: sorted(foreign_firewall.let_pass(["jk1"])))
    assert words == [
        "the chain FORWARD of ip filter drops what the machine forwards:"
        " iptables-nft -I FORWARD -o LINK -j ACCEPT, and the same with -i",
        "the chain f of inet own drops what the machine forwards:"
        " nft insert rule inet own f oifname LINK accept, and the same with iifname",
    ]


def test_a_machine_without_walls_is_left_alone(inside: Inside) -> None:
    assert inside(foreign_firewall.walls) == ()
    inside(lambda: nftables.apply("table inet jocker { chain f { type filter hook forward priority 0; }; }"))
    assert inside(foreign_firewall.walls) == ()
    assert inside(lambda: foreign_firewall.let_pass(["jk1"])) == ()
