"""Networks and ports of the command line go by the rules of the stack file, and the errors name the option."""

from __future__ import annotations

from typing import Any

import pytest

from composer.cli.filewords import NetworkOptions, desired_network, published_ports
from composer.desired.networks import hashed
from composer.desired.state import DesiredNetwork
from composer.errors import UsageError
from composer.model.network import Port, Subnet


def network(**given: Any) -> DesiredNetwork:
    return desired_network(NetworkOptions(**{"name": "shared", **given}))


def test_without_options_it_is_what_a_stack_file_would_make_of_nothing() -> None:
    made = network()
    assert made == hashed(DesiredNetwork(name="shared"))
    assert (made.project, made.key, made.external) == ("", "", False)


def test_every_option_arrives() -> None:
    made = network(
        internal=True,
        attachable=True,
        ipv6=True,
        subnets=("10.5.0.0/24", "FD05:0::/64"),
        ip_ranges=("10.5.0.128/25",),
        gateways=("fd05::9", "10.5.0.254"),
        aux_addresses=("printer=10.5.0.5", "scanner=fd05::5"),
        labels=("a=b=c", "bare"),
        options=(
            "com.docker.network.driver.mtu=1400",
            "com.docker.network.bridge.enable_icc=false",
            "com.docker.network.bridge.host_binding_ipv4=127.0.0.1",
        ),
    )
    assert made == hashed(
        DesiredNetwork(
            name="shared",
            internal=True,
            attachable=True,
            enable_ipv6=True,
            subnets=(
                Subnet("10.5.0.0/24", "10.5.0.128/25", "10.5.0.254", (("printer", "10.5.0.5"),)),
                Subnet("fd05::/64", "", "fd05::9", (("scanner", "fd05::5"),)),
            ),
            labels={"a": "b=c", "bare": ""},
            mtu=1400,
            icc=False,
            host_binding="127.0.0.1",
        )
    )


def test_a_network_may_have_ipv6_alone() -> None:
    made = network(ipv4=False, ipv6=True)
    assert (made.enable_ipv4, made.enable_ipv6) == (False, True)


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"name": "-x"}, "NAME: '-x' cannot be a network's name", "letters"),
    ({"name": ""}, "NAME: '' cannot be a network's name", "letters"),
    ({"name": "host"}, "NAME: the name host is taken", "network_mode: host"),
    ({"driver": "macvlan"}, "--driver: the network driver macvlan is not supported yet", "bridge"),
    ({"driver": "brigde"}, "--driver: unknown network driver 'brigde'", "did you mean `bridge`?"),
    ({"ipv4": False}, "--no-ipv4: a network without IPv4 needs IPv6", "give --ipv6"),
    (
        {"subnets": ("10.5.0.1/24",)},
        "--subnet: 10.5.0.1/24 has bits set behind its prefix",
        "did you mean 10.5.0.0/24?",
    ),
    ({"subnets": ("x",)}, "--subnet: not a subnet: 'x'", "as in"),
    ({"subnets": ("fd00::/64",)}, "--subnet fd00::/64: no effect without --ipv6", ""),
    (
        {"subnets": ("10.5.0.0/24",), "ipv4": False, "ipv6": True},
        "--subnet 10.5.0.0/24: no effect with --no-ipv4",
        "",
    ),
    ({"subnets": ("10.5.0.0/24", "10.6.0.0/24")}, "--subnet: a second IPv4 subnet, after 10.5.0.0/24", "family"),
    ({"gateways": ("10.5.0.1",)}, "--gateway 10.5.0.1: it lies in no subnet", "--subnet"),
    ({"subnets": ("10.5.0.0/24",), "gateways": ("x",)}, "--gateway: not an IP address: 'x'", ""),
    ({"subnets": ("10.5.0.0/24",), "gateways": ("10.6.0.1",)}, "--gateway 10.6.0.1: it lies in no subnet", "--subnet"),
    (
        {"subnets": ("10.5.0.0/24",), "gateways": ("10.5.0.1", "10.5.0.2")},
        "--gateway 10.5.0.2: a second one for --subnet 10.5.0.0/24",
        "",
    ),
    (
        {"subnets": ("10.5.0.0/24",), "ip_ranges": ("10.5.0.0/16",)},
        "--ip-range: 10.5.0.0/16 is outside of the subnet 10.5.0.0/24",
        "",
    ),
    (
        {"subnets": ("10.5.0.0/24",), "gateways": ("10.5.0.9",), "aux_addresses": ("a=10.5.0.9",)},
        "--aux-address: 10.5.0.9 is the gateway",
        "",
    ),
    ({"subnets": ("10.5.0.0/24",), "aux_addresses": ("=10.5.0.9",)}, "--aux-address '=10.5.0.9'", "NAME=VALUE"),
    ({"labels": ("=x",)}, "--label '=x'", "NAME=VALUE"),
    ({"options": ("a.b=c",)}, "--opt a.b: a driver option that is not supported", "known are"),
    (
        {"options": ("com.docker.network.driver.mtu=1",)},
        "--opt com.docker.network.driver.mtu: must be 68 to 65535, not '1'",
        "",
    ),
]


@pytest.mark.parametrize(("given", "message", "hint"), REFUSED, ids=[message for _, message, _ in REFUSED])
def test_what_is_wrong_is_told_by_the_option(given: dict[str, Any], message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        network(**given)
    assert caught.value.message == message
    assert hint in caught.value.hint
    assert bool(hint) == bool(caught.value.hint)


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(UsageError) as caught:
        network(subnets=("x",), options=("com.docker.network.driver.mtu=1",))
    assert [line for line in caught.value.message.splitlines() if not line.startswith("  ")] == [
        "--opt com.docker.network.driver.mtu: must be 68 to 65535, not '1'",
        "jocker: --subnet: not a subnet: 'x'",
    ]


PUBLISHED: list[tuple[list[str], tuple[Port, ...]]] = [
    (["8080:80"], (Port(80, "8080"),)),
    (["80"], (Port(80),)),
    (["127.0.0.1::80/udp"], (Port(80, "", "127.0.0.1", "udp"),)),
    (["[::1]:8080:80"], (Port(80, "8080", "::1"),)),
    (["8000-8001:80-81", "9:9"], (Port(80, "8000"), Port(81, "8001"), Port(9, "9"))),
]


@pytest.mark.parametrize(("texts", "expected"), PUBLISHED, ids=str)
def test_publish_is_the_short_form_of_ports(texts: list[str], expected: tuple[Port, ...]) -> None:
    assert published_ports(texts) == expected


@pytest.mark.parametrize("text", ["x", "", "1:0", "1:2:3:4", "8080:80/sctp", "1.2.3:80:80", "70000:80"])
def test_what_is_no_port_is_told_so(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        published_ports([text])
    assert caught.value.message.startswith("--publish: ")
