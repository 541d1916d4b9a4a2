"""Ports as docker shows them: one by one, and as a text."""

from __future__ import annotations

from typing import Any

import pytest

from composer.actual.state import ActualContainer, PublishedPort, Status
from composer.cli.publishers import Publisher, ports_text, publishers
from composer.model.wiring import Lease, Publication, Wiring

ID = "a1" * 32


def container(
    *published: PublishedPort, expose: Any = (), networks: Any = ("p_default",), status: Status = Status.RUNNING
) -> ActualContainer:
    ends = [{"network": name} for name in networks] if isinstance(networks, tuple) else networks
    return ActualContainer(
        id=ID,
        name="p-web-1",
        project="p",
        service="web",
        number=1,
        oneoff=False,
        status=status,
        config_hash="",
        image="",
        image_id="",
        published=published,
        spec={"networks": ends, "expose": list(expose) if isinstance(expose, tuple) else expose},
    )


def wiring(*rules: tuple[str, int, str, int]) -> Wiring:
    """A network whose rules lead (host address, port) to (address, port)."""
    leads = tuple(
        Publication("tcp", host_ip, number, number, address, target) for host_ip, number, address, target in rules
    )
    return Wiring(name="p_default", leases={ID: Lease(mac="02:42:00:00:00:02", publications=leads)})


def test_a_port_of_all_addresses_is_shown_for_what_leads_to_it() -> None:
    one = container(PublishedPort("tcp", "", 8080, 80))
    four, six = Publisher("0.0.0.0", 80, 8080, "tcp"), Publisher("::", 80, 8080, "tcp")
    assert publishers(one, [wiring(("", 8080, "172.24.0.2", 80))]) == (four,)
    assert publishers(one, [wiring(("", 8080, "172.24.0.2", 80), ("", 8080, "fd00::2", 80))]) == (four, six)
    assert publishers(one, [wiring(("", 8080, "fd00::2", 80))]) == (six,)
    assert publishers(one, []) == (four,)


def test_a_port_of_one_address_is_shown_with_that() -> None:
    one = container(PublishedPort("tcp", "127.0.0.1", 8080, 80), PublishedPort("udp", "::1", 53, 53))
    assert publishers(one, []) == (Publisher("127.0.0.1", 80, 8080, "tcp"), Publisher("::1", 53, 53, "udp"))


def test_what_is_exposed_and_not_published_is_shown_without_an_address() -> None:
    one = container(PublishedPort("tcp", "", 8080, 80), expose=("80/tcp", "80/udp", "8000-8001/tcp"))
    assert publishers(one, []) == (
        Publisher("", 80, 0, "udp"),
        Publisher("", 8000, 0, "tcp"),
        Publisher("", 8001, 0, "tcp"),
        Publisher("0.0.0.0", 80, 8080, "tcp"),
    )


@pytest.mark.parametrize("networks", [(), None, "text", [None, {}, {"network": 7}]], ids=str)
def test_who_is_on_no_network_exposes_nothing(networks: Any) -> None:
    assert publishers(container(expose=("80/tcp",), networks=networks), []) == ()


@pytest.mark.parametrize("expose", [None, 80, [None], ["x/tcp"], ["9-8/tcp"], ["99999999999/tcp"], ["²"], ["80-/tcp"]])
def test_what_cannot_be_read_is_left_out(expose: Any) -> None:
    assert publishers(container(expose=expose), []) == ()


@pytest.mark.parametrize("status", [Status.CREATED, Status.EXITED, Status.DEAD])
def test_what_does_not_run_has_no_ports(status: Status) -> None:
    assert publishers(container(PublishedPort("tcp", "", 8080, 80), expose=("1/tcp",), status=status), []) == ()


TEXTS: list[tuple[list[tuple[str, int, int, str]], str]] = [
    ([], ""),
    ([("0.0.0.0", 80, 8080, "tcp")], "0.0.0.0:8080->80/tcp"),
    ([("0.0.0.0", 80, 8080, "tcp"), ("::", 80, 8080, "tcp")], "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp"),
    ([("", 80, 0, "tcp")], "80/tcp"),
    ([("", 80, 0, "tcp"), ("", 81, 0, "tcp"), ("", 83, 0, "tcp")], "80-81/tcp, 83/tcp"),
    ([("", 53, 0, "udp"), ("", 53, 0, "tcp")], "53/tcp, 53/udp"),
    ([("0.0.0.0", 80, 80, "tcp"), ("0.0.0.0", 81, 81, "tcp")], "0.0.0.0:80-81->80-81/tcp"),
    (
        [("0.0.0.0", 80, 80, "tcp"), ("::", 80, 80, "tcp"), ("0.0.0.0", 81, 81, "tcp"), ("::", 81, 81, "tcp")],
        "0.0.0.0:80-81->80-81/tcp, [::]:80-81->80-81/tcp",
    ),
    ([("0.0.0.0", 80, 80, "tcp"), ("0.0.0.0", 81, 8081, "tcp")], "0.0.0.0:80->80/tcp, 0.0.0.0:8081->81/tcp"),
    ([("127.0.0.1", 80, 8080, "tcp"), ("", 443, 0, "tcp")], "443/tcp, 127.0.0.1:8080->80/tcp"),
]


@pytest.mark.parametrize(("found", "text"), TEXTS, ids=[text for _, text in TEXTS])
def test_ports_are_written_as_docker_does(found: list[tuple[str, int, int, str]], text: str) -> None:
    entries = [Publisher(*entry) for entry in found]
    assert ports_text(entries) == text
    assert ports_text(entries[::-1]) == text


def test_json_has_the_keys_of_docker_compose() -> None:
    assert Publisher("::", 80, 8080, "tcp").as_json() == {
        "URL": "::",
        "TargetPort": 80,
        "PublishedPort": 8080,
        "Protocol": "tcp",
    }
