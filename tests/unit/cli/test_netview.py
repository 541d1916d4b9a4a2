"""Networks in docker's shapes, from wirings alone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from composer.cli import netview
from composer.desired.state import DesiredNetwork, Endpoint
from composer.desired.wire import leased, wire
from composer.errors import NetworkError, UsageError
from composer.model.network import Subnet
from composer.model.wiring import Wiring

WEB, JOB = "a1" * 32, "b2" * 32


def network(name: str, **fields: Any) -> Wiring:
    wanted = DesiredNetwork(name=name, **fields)
    return wire(wanted, pool=("172.24.0.0/13",), taken=(), uplink="jk0", names=True, now=1_700_000_000.5)


BACK = network(
    "shop_back",
    project="shop",
    key="back",
    internal=True,
    enable_ipv6=True,
    subnets=(Subnet("10.5.0.0/24", "10.5.0.128/25", "", (("printer", "10.5.0.5"),)), Subnet("fd05::/64")),
    labels={"tier": "back", "com.docker.compose.project": "shop"},
    mtu=1400,
    icc=False,
)
FRONT = network("shop_front", labels={"tier": "front"})
BOTH = {one.name: one for one in (BACK, FRONT)}


def test_the_table_is_dockers() -> None:
    assert netview.as_table([FRONT]) == (
        "NETWORK ID     NAME         DRIVER   SCOPE\n"
        f"{netview.network_id('shop_front')[:12]}   shop_front   bridge   local\n"
    )
    assert netview.as_table([]) == "NETWORK ID   NAME   DRIVER   SCOPE\n"
    assert netview.network_id("shop_front") in netview.as_table([FRONT], no_trunc=True)


def test_ids_follow_from_names() -> None:
    assert netview.as_ids([FRONT], no_trunc=True) == f"{netview.network_id('shop_front')}\n"
    assert len(netview.as_ids([FRONT]).strip()) == 12
    assert netview.network_id("a") != netview.network_id("b")


def test_json_lines_hold_texts_only() -> None:
    first, second = map(json.loads, netview.as_lines([BACK, FRONT]).splitlines())
    assert first == {
        "CreatedAt": "2023-11-14 22:13:20.500000 +0000 UTC",
        "Driver": "bridge",
        "ID": netview.network_id("shop_back")[:12],
        "IPv4": "true",
        "IPv6": "true",
        "Internal": "true",
        "Labels": "com.docker.compose.project=shop,tier=back",
        "Name": "shop_back",
        "Scope": "local",
    }
    assert (second["IPv6"], second["Internal"], second["Labels"]) == ("false", "false", "tier=front")


def test_inspect_shows_who_is_on_it_and_only_options_that_differ() -> None:
    there = leased(BACK, WEB, Endpoint("shop_back"))
    there = leased(there, JOB, Endpoint("shop_back", mac_address="02:00:00:00:00:09"))
    shown = netview.inspected(there, {JOB: "shop-job-1", WEB: "shop-web-1"})
    assert shown["IPAM"]["Config"] == [
        {
            "Subnet": "10.5.0.0/24",
            "IPRange": "10.5.0.128/25",
            "Gateway": "10.5.0.1",
            "AuxiliaryAddresses": {"printer": "10.5.0.5"},
        },
        {"Subnet": "fd05::/64", "Gateway": "fd05::1"},
    ]
    assert list(shown["Containers"].items()) == [
        (
            JOB,
            {
                "Name": "shop-job-1",
                "MacAddress": "02:00:00:00:00:09",
                "IPv4Address": "10.5.0.129/24",
                "IPv6Address": "fd05::3/64",
            },
        ),
        (
            WEB,
            {
                "Name": "shop-web-1",
                "MacAddress": there.leases[WEB].mac,
                "IPv4Address": "10.5.0.128/24",
                "IPv6Address": "fd05::2/64",
            },
        ),
    ]
    assert shown["Options"] == {
        "com.docker.network.bridge.enable_icc": "false",
        "com.docker.network.driver.mtu": "1400",
    }
    assert (shown["Created"], shown["Internal"], shown["EnableIPv6"]) == ("2023-11-14T22:13:20.500000Z", True, True)


def test_inspect_of_a_plain_network() -> None:
    shown = netview.inspected(FRONT, {})
    assert (shown["Options"], shown["Containers"], shown["Attachable"]) == ({}, {}, False)
    assert shown["IPAM"] == {
        "Driver": "default",
        "Options": {},
        "Config": [{"Subnet": FRONT.subnet4, "Gateway": FRONT.gateway4}],
    }
    assert set(shown) == {
        *("Name", "Id", "Created", "Scope", "Driver", "EnableIPv4", "EnableIPv6", "IPAM", "Internal", "Attachable"),
        *("Ingress", "ConfigFrom", "ConfigOnly", "Containers", "Options", "Labels"),
    }


FILTERS: list[tuple[list[str], list[str]]] = [
    ([], ["shop_back", "shop_front"]),
    (["name=front"], ["shop_front"]),
    (["name=front", "name=back"], ["shop_back", "shop_front"]),
    (["label=tier"], ["shop_back", "shop_front"]),
    (["label=tier=back"], ["shop_back"]),
    (["label=tier", "label=com.docker.compose.project=shop"], ["shop_back"]),
    (["label=tier=back", "name=front"], []),
    (["driver=bridge"], ["shop_back", "shop_front"]),
    (["driver=host"], []),
    ([f"id={netview.network_id('shop_back')[:12]}"], ["shop_back"]),
]


@pytest.mark.parametrize(("filters", "names"), FILTERS, ids=str)
def test_filters(filters: list[str], names: list[str]) -> None:
    assert [one.name for one in netview.filtered(BOTH.values(), filters)] == names


@pytest.mark.parametrize("text", ["name", "scope=local", "=x", ""])
def test_what_is_no_filter_is_told_so(text: str) -> None:
    with pytest.raises(UsageError):
        netview.filtered([], [text])


def test_a_network_is_meant_by_its_name_or_the_beginning_of_its_id() -> None:
    assert netview.meant("shop_back", BOTH) is BACK
    assert netview.meant(netview.network_id("shop_front")[:4], BOTH) is FRONT
    assert netview.meant(netview.network_id("shop_front"), BOTH) is FRONT
    for text in ("shop", "", netview.network_id("shop_back")[:3], "0" * 64):
        with pytest.raises(NetworkError, match="no such network"):
            netview.meant(text, BOTH)


def test_a_name_comes_before_an_id() -> None:
    name = netview.network_id("shop_back")[:8]
    other = network(name)
    assert netview.meant(name, {**BOTH, name: other}) is other
