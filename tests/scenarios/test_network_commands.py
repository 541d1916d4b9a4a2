"""Commands about networks and ports, as a user runs them."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest
from scenarios.conftest import Stack

from composer.host import net_paths

pytestmark = pytest.mark.real

SERVE = "[sh, -c, 'mkdir -p /w; echo hello > /w/index.html; exec httpd -f -p 80 -h /w']"
SLEEP = "[sleep, '1000']"
WEB = f"""
services:
  web:
    image: demo
    command: {SERVE}
    ports: ["80", "127.0.0.1::81", "53/udp"]
    expose: ["443", "8000-8002"]
  api: {{image: demo, command: {SLEEP}, scale: 2}}
"""


def inspected(stack: Stack, name: str) -> dict[str, Any]:
    (found,) = json.loads(stack("network", "inspect", name).stdout)
    assert isinstance(found, dict)
    return found


def names(stack: Stack, *arguments: str) -> list[str]:
    lines = stack("network", "ls", "--format", "json", *arguments).stdout.splitlines()
    return [json.loads(line)["Name"] for line in lines]


def fetched(port: int, address: str = "127.0.0.1") -> bytes:
    """What a web server answers, its headers too."""
    with socket.create_connection((address, port), timeout=5) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        parts = iter(lambda: connection.recv(65536), b"")
        return b"".join(parts)


def answers(port: int) -> bool:
    try:
        return b"hello" in fetched(port)
    except OSError:
        return False


@pytest.fixture
def web(stack: Stack) -> Stack:
    stack.write(WEB)
    stack("up", "-d")
    return stack


def test_ports_are_told_by_port_and_ps(web: Stack) -> None:
    address, _, number = web("port", "web", "80").stdout.strip().rpartition(":")
    assert address == "0.0.0.0"
    web.wait_for(lambda: answers(int(number)), "web answers at its published port")
    assert web("port", "web", "81").stdout.startswith("127.0.0.1:")
    udp = web("port", "--protocol", "udp", "--index", "1", "web", "53").stdout.strip()
    shown = web.ps("web")["web-web-1"]
    assert {(one["URL"], one["TargetPort"], one["Protocol"]) for one in shown["Publishers"]} == {
        ("0.0.0.0", 80, "tcp"),
        ("127.0.0.1", 81, "tcp"),
        ("0.0.0.0", 53, "udp"),
        *(("", port, "tcp") for port in (443, 8000, 8001, 8002)),
    }
    assert shown["Networks"] == "web_default"
    for part in (f"0.0.0.0:{number}->80/tcp", f"{udp}->53/udp", "443/tcp, 8000-8002/tcp"):
        assert part in shown["Ports"]
    assert shown["Ports"] in web("ps", "web").stdout
    web("stop", "-t", "0", "web")
    assert web.ps("web")["web-web-1"]["Publishers"] == []
    assert web.ps("web")["web-web-1"]["Ports"] == ""
    web("down", "-t", "0")
    web.assert_nothing_left()


def test_a_port_that_is_not_published_is_an_error(web: Stack) -> None:
    assert "web-web-1 does not publish port 443/tcp" in web("port", "web", "443", code=1).stderr
    assert "does not publish port 80/udp" in web("port", "--protocol", "udp", "web", "80", code=1).stderr
    assert "does not publish port 80/tcp" in web("port", "api", "80", code=1).stderr
    assert "is not running" in web("port", "--index", "7", "web", "80", code=1).stderr
    web("port", "nobody", "80", code=2)
    web("port", "web", "0", code=2)
    web("port", "web", "http", code=2)
    web("port", "--protocol", "sctp", "web", "80", code=2)
    web("down", "-t", "0")
    assert "is not running" in web("port", "web", "80", code=1).stderr


def test_inspect_and_ls_show_what_a_stack_has(web: Stack) -> None:
    assert names(web) == ["web_default"]
    found = inspected(web, "web_default")
    ids = web.ids()
    assert {one["Name"] for one in found["Containers"].values()} == {"web-web-1", "web-api-1", "web-api-2"}
    own = found["Containers"][ids["web-web-1"]]
    said = web("exec", "-T", "web", "ip", "address", "show", "dev", "eth0").stdout
    assert f"inet {own['IPv4Address']} " in said
    assert own["MacAddress"] in said
    assert found["Labels"]["com.docker.compose.project"] == "web"
    assert f"default via {found['IPAM']['Config'][0]['Gateway']} " in web("exec", "-T", "web", "ip", "route").stdout
    assert inspected(web, found["Id"][:12]) == found
    assert web("network", "ls", "-q").stdout.strip() == found["Id"][:12]
    assert web("network", "ls", "-q", "--no-trunc").stdout.strip() == found["Id"]
    # As the documentation has it: the beginning of the id names the namespace.
    assert net_paths.router_netns(web.paths, "web_default").endswith(f"/net-{found['Id'][:12]}")
    web("network", "ls", "--format", "xml", code=2)
    web("network", "ls", "--filter", "scope=local", code=2)
    web("down", "-t", "0")
    assert names(web) == []
    assert "no such network" in web("network", "inspect", "web_default", code=1).stderr


def test_a_network_is_made_used_and_removed(stack: Stack) -> None:
    stack.write(
        f"services: {{web: {{image: demo, command: {SLEEP}, networks: [net]}}}}\n"
        "networks: {net: {name: shared, external: true}}\n"
    )
    assert "it is not there\n  jocker network create shared" in stack("up", "-d", code=1).stderr
    made = stack(
        *("network", "create", "--subnet", "10.213.5.0/24", "--ip-range", "10.213.5.128/25", "--gateway", "10.213.5.9"),
        *("--aux-address", "printer=10.213.5.128", "--label", "tier=back", "--internal", "shared"),
        *("-o", "com.docker.network.driver.mtu=1400"),
    ).stdout.strip()
    found = inspected(stack, "shared")
    assert (found["Id"], found["Internal"], found["Labels"]) == (made, True, {"tier": "back"})
    assert found["Options"] == {"com.docker.network.driver.mtu": "1400"}
    assert "there is a network shared already" in stack("network", "create", "shared", code=1).stderr
    assert names(stack, "--filter", "label=tier=back") == ["shared"]

    stack("up", "-d")
    (end,) = inspected(stack, "shared")["Containers"].values()
    assert (end["Name"], end["IPv4Address"]) == ("web-web-1", "10.213.5.129/24")
    assert "mtu 1400" in stack("exec", "-T", "web", "ip", "link", "show", "dev", "eth0").stdout
    assert "network shared is in use by web-web-1" in stack("network", "rm", "shared", code=1).stderr
    stack("stop", "-t", "0")
    assert "network shared is in use by web-web-1" in stack("network", "rm", "shared", code=1).stderr
    stack("down", "-t", "0")
    assert names(stack) == ["shared"]  # it is nobody's: it stays
    assert "no such network: other" in stack("network", "rm", "shared", "other", code=1).stderr
    assert names(stack) == ["shared"]  # all were looked at first
    assert stack("network", "rm", "--force", "other", "shared").stdout == "shared\n"
    assert names(stack) == []
    stack.assert_nothing_left()


def test_prune_removes_what_nobody_is_on(web: Stack) -> None:
    web("network", "create", "one")
    web("network", "create", "two", "--internal")
    refused = web("network", "prune", code=2).stderr
    assert "one, two" in refused
    assert "--force" in refused
    assert web("network", "prune", "-f").stdout == "Deleted Networks:\none\ntwo\n"
    assert web("network", "prune", "-f").stderr == "no unused networks\n"
    assert names(web) == ["web_default"]
    web("down", "-t", "0")
    # One that is left without containers is the next one's to use, or to be removed.
    web("run", "--rm", "-T", "--no-deps", "api", "true")
    assert names(web) == ["web_default"]
    assert web("network", "prune", "-f").stdout == "Deleted Networks:\nweb_default\n"
    web.assert_nothing_left()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--subnet", "10.5.0.1/24", "x"), "--subnet: 10.5.0.1/24 has bits set"),
        (("--driver", "overlay", "x"), "--driver: "),
        (("-o", "a=b", "x"), "--opt a: "),
        (("../x",), "NAME: "),
        (("bridge",), "NAME: the name bridge is taken"),
        (("--no-ipv4", "x"), "--no-ipv4: "),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_made_is_refused(stack: Stack, arguments: tuple[str, ...], message: str) -> None:
    assert stack("network", "create", *arguments, code=2).stderr.startswith(f"jocker: {message}")
    assert names(stack) == []


def test_run_joins_the_networks_of_its_service(web: Stack) -> None:
    addresses = {
        one["IPv4Address"].partition("/")[0]
        for one in inspected(web, "web_default")["Containers"].values()
        if one["Name"].startswith("web-api-")
    }
    said = web("run", "--rm", "-T", "api", "nslookup", "api").stdout
    assert all(address in said for address in addresses)
    assert said.count("Address: ") == len(addresses)  # it goes by its own name alone
    assert web("run", "--rm", "-T", "--use-aliases", "api", "nslookup", "api").stdout.count("Address: ") == 3
    web("run", "-d", "--name", "job", "api", *("sleep", "1000"))
    assert "Address: " in web("exec", "-T", "api", "nslookup", "job").stdout
    web("down", "-t", "0", "--remove-orphans")
    web.assert_nothing_left()


def test_run_makes_the_networks_that_are_not_there(stack: Stack) -> None:
    stack.write(f"services: {{api: {{image: demo, command: {SLEEP}, networks: [net]}}}}\nnetworks: {{net: }}\n")
    assert stack("run", "--rm", "-T", "api", "sh", "-c", "nslookup $(hostname)").stdout.count("Address: ") == 1
    assert names(stack) == ["web_net"]
    stack("down")
    stack.assert_nothing_left()


def test_run_publishes_only_what_it_is_told_to(web: Stack) -> None:
    web("run", "-d", "--name", "quiet", "web")
    assert not any(one["PublishedPort"] for one in web.ps()["quiet"]["Publishers"])
    web("run", "-d", "--name", "loud", "-P", "web")
    assert [one["TargetPort"] for one in web.ps()["loud"]["Publishers"] if one["PublishedPort"]] == [53, 80, 81]
    web("run", "-d", "--name", "own", "-p", "127.0.0.1::80", "web")
    (port,) = (one["PublishedPort"] for one in web.ps()["own"]["Publishers"] if one["PublishedPort"])
    web.wait_for(lambda: answers(port), "the one-off answers at its port")
    taken = web("run", "--rm", "-T", "-p", f"127.0.0.1:{port}:80", "web", "true", code=1).stderr
    assert f"port 127.0.0.1:{port}/tcp is taken by own of stack web" in taken
    assert "exclude each other" in web("run", "-P", "-p", "80", "web", code=2).stderr
    assert "--publish: " in web("run", "-p", "x:y", "web", code=2).stderr
    web("down", "-t", "0", "--remove-orphans")
    web.assert_nothing_left()


def test_run_cannot_publish_without_a_network(stack: Stack) -> None:
    stack.write("services: {alone: {image: demo, network_mode: none, command: [sleep, '9']}}")
    assert "alone has no network of its own" in stack("run", "-p", "80", "alone", code=2).stderr
    stack.assert_nothing_left()
