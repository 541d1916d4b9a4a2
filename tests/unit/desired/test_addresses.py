"""Free subnets and addresses, given what is taken."""

from __future__ import annotations

import ipaddress
import random

import pytest

from composer.desired.addresses import (
    DEFAULT_POOL,
    check_pool,
    free_address,
    free_link,
    free_subnet,
    gateway_of,
    mac_for,
    unique_link6,
    unique_subnet6,
)
from composer.errors import NetworkError


@pytest.mark.parametrize(
    ("pool", "taken", "expected"),
    [
        (["172.24.0.0/13"], [], "172.24.0.0/24"),
        (["172.24.0.0/13"], ["172.24.0.0/24"], "172.24.1.0/24"),
        (["172.24.0.0/13"], ["172.24.0.77/32"], "172.24.1.0/24"),
        (["172.24.0.0/13"], ["172.24.0.0/16"], "172.25.0.0/24"),
        (["172.24.0.0/13"], ["172.24.1.0/24"], "172.24.0.0/24"),
        (["172.24.0.0/13"], ["172.24.0.0/24", "172.24.0.128/25", "172.24.2.0/24"], "172.24.1.0/24"),
        (["172.24.0.0/13", "10.201.0.0/16"], ["172.16.0.0/12"], "10.201.0.0/24"),
        (["172.24.0.0/13"], ["fd00::/8"], "172.24.0.0/24"),
        (["10.0.0.0/24"], [], "10.0.0.0/25"),
        (["10.0.0.0/24"], ["10.0.0.3/32"], "10.0.0.128/25"),
    ],
)
def test_the_lowest_free_subnet_is_given(pool: list[str], taken: list[str], expected: str) -> None:
    assert free_subnet(pool, taken) == expected


def test_what_is_used_up_is_said_with_the_cure() -> None:
    for find in (free_subnet, free_link):
        with pytest.raises(NetworkError, match=r"10\.0\.0\.0/24 is used up") as caught:
            find(["10.0.0.0/24"], ["10.0.0.0/8"])
        assert "JOCKER_ADDRESS_POOL" in caught.value.hint


def test_links_come_from_the_end_of_the_pool() -> None:
    assert free_link(["10.0.0.0/24"], []) == ("10.0.0.254", "10.0.0.255")
    assert free_link(["10.0.0.0/24"], ["10.0.0.254/31"]) == ("10.0.0.252", "10.0.0.253")
    assert free_link(["10.0.0.0/24"], ["10.0.0.128/25"]) == ("10.0.0.126", "10.0.0.127")
    assert free_link(["10.0.0.0/24", "10.0.9.0/24"], ["10.0.9.0/24"]) == ("10.0.0.254", "10.0.0.255")


def given_until_used_up(pool: list[str], taken: list[str]) -> list[str]:
    """Links and networks in turn, as long as there are any."""
    given: list[str] = []
    try:
        while True:
            given.append(f"{free_link(pool, [*taken, *given])[0]}/31")
            given.append(free_subnet(pool, [*taken, *given]))
    except NetworkError:
        return given


def test_nothing_is_given_twice_whatever_is_taken() -> None:
    """Against `ipaddress` itself, in a small pool until it is used up."""
    chance = random.Random(7)
    for _ in range(30):
        taken = [f"10.{chance.choice([7, 9])}.{chance.randrange(16)}.{chance.randrange(256)}/32" for _ in range(5)]
        given = given_until_used_up(["10.9.0.0/20", "10.7.0.0/22"], taken)
        whole = [ipaddress.ip_network(one) for one in (*taken, *given)]
        for at, one in enumerate(whole[len(taken) :], len(taken)):
            assert not any(one.overlaps(other) for other in whole[:at]), one  # type: ignore[arg-type]
        assert len(given) > 15


def test_three_hundred_stacks_fit_into_the_default_pool() -> None:
    taken: list[str] = ["192.168.0.0/16", "172.17.0.0/16", "10.0.0.0/8"]
    for _ in range(300):
        taken.append(free_subnet(DEFAULT_POOL, taken))
        taken.append(f"{free_link(DEFAULT_POOL, taken)[0]}/31")


@pytest.mark.parametrize(
    ("subnet", "within", "taken", "expected"),
    [
        ("10.0.0.0/24", "", [], "10.0.0.1"),
        ("10.0.0.0/24", "", ["10.0.0.1", "10.0.0.2"], "10.0.0.3"),
        ("10.0.0.0/24", "10.0.0.128/25", [], "10.0.0.128"),
        ("10.0.0.0/30", "", ["10.0.0.1"], "10.0.0.2"),
        ("fd00::/64", "", ["fd00::1"], "fd00::2"),
        ("fd00::/64", "fd00::a0/124", [], "fd00::a0"),
    ],
)
def test_the_lowest_free_address_is_given(subnet: str, within: str, taken: list[str], expected: str) -> None:
    assert free_address(subnet, within, taken) == expected


def test_neither_end_of_a_subnet_is_given() -> None:
    with pytest.raises(NetworkError, match=r"no address left in 10\.0\.0\.0/30"):
        free_address("10.0.0.0/30", "", ["10.0.0.1", "10.0.0.2"])


@pytest.mark.parametrize(
    ("pool", "message"),
    [
        ([], "empty"),
        (["10.0.0.1/8"], "bits set behind"),
        (["fd00::/64"], "not an IPv4 network"),
        (["10.0.0.0/29"], "no pool"),
        (["10.0.0.0/16", "8.0.0.0/7"], "no pool"),
        (["0.0.0.0/8"], "no machine"),
        (["127.0.0.0/24"], "no machine"),
        (["240.0.0.0/8"], "no machine"),
        (["10.0.0.0/255.0.0.0"], "not an IPv4 network"),
        (["x"], "x"),
    ],
)
def test_a_pool_that_cannot_be_one_is_refused(pool: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_pool(pool)


def test_ipv6_prefixes_follow_from_the_name() -> None:
    assert unique_subnet6("web") == unique_subnet6("web")
    assert unique_subnet6("web") not in {unique_subnet6("db"), unique_subnet6("web", 1)}
    assert ipaddress.ip_network(unique_subnet6("web")).subnet_of(ipaddress.ip_network("fd00::/8"))  # type: ignore[arg-type]
    ours, theirs = map(ipaddress.ip_address, unique_link6("web"))
    assert int(theirs) == int(ours) + 1
    assert int(ours) % 2 == 0


def test_gateways_and_hardware_addresses() -> None:
    assert gateway_of("10.0.0.0/24") == "10.0.0.1"
    assert gateway_of("fd00::/64") == "fd00::1"
    assert mac_for("10.0.0.255", "x") == "02:42:0a:00:00:ff"
    assert mac_for("", "x") == mac_for("", "x") != mac_for("", "y")
