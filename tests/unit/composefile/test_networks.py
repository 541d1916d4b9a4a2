"""Networks, ends and ports in the model; addresses and names; what is warned of; limits."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from stackcases import complaints_of, load

import composer.composefile
from composer.composefile.addresses import (
    is_bridge_name,
    is_dns_name,
    is_interface_name,
    is_network_name,
    parse_cidr,
    plain_mac,
    shortest_address,
)
from composer.composefile.ports import MAX_PORTS, parse_span, plain_exposed, plain_published
from composer.model.network import Attachment, Network, Port, Subnet
from composer.model.service import Dependency, Project, Service

FULL = """\
x-jocker: {address_pool: [10.0.0.0/8, 10.0.0.0/8, 192.168.0.0/16]}
services:
  a:
    image: x
    networks:
      back: {aliases: [db], ipv4_address: 10.5.0.5, ipv6_address: "FD00:5:0::5", mac_address: 02-42-AC-11-00-05}
      front: {priority: 5, gw_priority: 1, interface_name: web, link_local_ips: ["169.254.1.1", "FE80:0::1"]}
      other:
    mac_address: 0242.AC11.0006
    ports: ["127.0.0.1:8080:80", "[::0:1]:8000-8010:81/UDP", {target: 82, published: 0}, "7000-7000:83"]
    expose: [80, 53/UDP, "80/tcp", 90-95]
    dns: [1.1.1.1, "2001:DB8:0::1"]
    dns_search: [a.example]
    dns_opt: [use-vc]
    domainname: example.com
    links: [b, "b:database"]
    external_links: [c_1, "c_2:two"]
    pid: host
    ipc: service:b
    cgroup: private
  b: {image: x}
networks:
  front:
    internal: true
    attachable: true
    labels: {l: 1}
    driver_opts:
      com.docker.network.driver.mtu: 1400
      com.docker.network.bridge.name: br-front
      com.docker.network.bridge.enable_icc: "false"
      com.docker.network.bridge.enable_ip_masquerade: "0"
      com.docker.network.bridge.host_binding_ipv4: 127.0.0.1
  unused: {driver: overlay}
  back:
    name: the-back
    enable_ipv6: true
    ipam:
      config:
        - {subnet: 10.5.0.0/24, ip_range: 10.5.0.128/25, gateway: 10.5.0.9, aux_addresses: {r: 10.5.0.2}}
        - {subnet: "FD00:5::/64"}
  other: {external: true}
"""


def full() -> Project:
    return load({"stack": FULL})


def service(text: str) -> Service:
    return load({"networked": text}).services["a"]


def test_ends_are_in_the_order_of_priority_and_then_of_name() -> None:
    assert full().services["a"].networks == (
        Attachment(
            "front",
            mac_address="02:42:ac:11:00:06",
            interface_name="web",
            link_local_ips=("169.254.1.1", "fe80::1"),
            priority=5,
            gw_priority=1,
        ),
        Attachment(
            "back",
            aliases=("db",),
            ipv4_address="10.5.0.5",
            ipv6_address="fd00:5::5",
            mac_address="02:42:ac:11:00:05",
        ),
        Attachment("other"),
    )


def test_what_concerns_the_network_reaches_the_model() -> None:
    one = full().services["a"]
    assert one.ports == (
        Port(80, "8080", "127.0.0.1"),
        Port(81, "8000-8010", "::1", "udp"),
        Port(82),
        Port(83, "7000"),
    )
    assert one.expose == ("80/tcp", "53/udp", "90-95/tcp")
    assert (one.dns, one.dns_search, one.dns_opt) == (("1.1.1.1", "2001:db8::1"), ("a.example",), ("use-vc",))
    assert one.domainname == "example.com"
    assert one.links == (("b", "b"), ("b", "database"))
    assert one.external_links == (("c_1", "c_1"), ("c_2", "two"))
    assert (one.network_mode, one.pid, one.ipc, one.uts, one.cgroup) == ("", "host", "service:b", "", "private")
    assert one.depends_on == {"b": Dependency(restart=True)}


def test_only_the_networks_that_services_are_on_are_in_the_model() -> None:
    networks = full().networks
    assert list(networks) == ["front", "back", "other", "default"]
    assert networks["front"] == Network(
        key="front",
        name="stack_front",
        place=networks["front"].place,
        internal=True,
        attachable=True,
        labels={"l": "1"},
        mtu=1400,
        bridge_name="br-front",
        masquerade=False,
        icc=False,
        host_binding="127.0.0.1",
    )
    assert networks["back"] == Network(
        key="back",
        name="the-back",
        place=networks["back"].place,
        enable_ipv6=True,
        subnets=(
            Subnet("10.5.0.0/24", "10.5.0.128/25", "10.5.0.9", (("r", "10.5.0.2"),)),
            Subnet("fd00:5::/64"),
        ),
    )
    assert networks["other"] == Network(key="other", name="other", place=networks["other"].place, external=True)
    assert networks["default"] == Network(key="default", name="stack_default", place=networks["default"].place)
    assert str(networks["front"].place) == "jocker.yml:23:3  networks.front"


def test_the_pool_is_of_the_whole_stack() -> None:
    assert full().address_pool == ("10.0.0.0/8", "192.168.0.0/16")
    assert load({"networked": ""}).address_pool == ()
    assert load({"stack": "services: {a: {image: x}}\nx-jocker: {address_pool: 10.0.0.0/8}"}).address_pool


@pytest.mark.parametrize(
    ("mode", "bound"),
    [("", "bridge"), ("default", "bridge"), ("bridge", "bridge"), ("host", "host"), ("container:c", "container:c")],
)
def test_a_mode_is_bound_as_docker_understands_it(mode: str, bound: str) -> None:
    one = service(f"network_mode: '{mode}'")
    assert (one.network_mode, one.networks) == (bound, ())


def test_a_mode_may_name_a_network() -> None:
    text = """\
        services:
          a: {image: x, network_mode: stack_n, mac_address: "02:42:ac:11:00:05"}
          b: {image: x, network_mode: foreign}
          c: {image: x, networks: [n, foreign]}
        networks: {n: , foreign: {name: mine}}
        """
    project = load({"stack": text})
    assert [one.network_mode for one in project.services.values()] == ["", "", ""]
    assert project.services["a"].networks == (Attachment("n", mac_address="02:42:ac:11:00:05"),)
    [end] = project.services["b"].networks
    network = project.networks[end.network]
    assert (network.name, network.external) == ("foreign", True)
    assert project.networks["foreign"].name == "mine"


def test_a_mode_that_names_a_key_is_warned_of() -> None:
    project = load({"stack": "services: {a: {image: x, network_mode: n}}\nnetworks: {n: }\n"})
    assert [network.name for network in project.networks.values()] == ["n"]
    assert project.warnings == (
        "jocker.yml:1:40  services.a.network_mode: this is the machine's network n; "
        "that of this file goes under `networks`",
    )


def test_what_nobody_can_publish_is_not_in_the_model() -> None:
    project = load({"service": "ports: ['80:80']"})
    assert project.services["a"].ports == ()
    assert project.warnings == ("jocker.yml:5:5  services.a.ports: no effect with `network_mode: none`",)


def test_subnets_of_a_family_that_is_off_are_warned_of_and_dropped() -> None:
    text = """\
        services: {a: {image: x, networks: [n]}}
        networks: {n: {ipam: {config: [{subnet: 10.5.0.0/24}, {subnet: "fd00:5::/64"}]}}}
        """
    project = load({"stack": text})
    assert project.networks["n"].subnets == (Subnet("10.5.0.0/24"),)
    [warning] = project.warnings
    assert warning.endswith("networks.n.ipam.config[1].subnet: no effect without `enable_ipv6: true`")


def test_the_old_form_of_external_is_warned_of() -> None:
    project = load({"stack": "services: {a: {image: x, networks: [n]}}\nnetworks: {n: {external: {name: o}}}\n"})
    assert project.networks["n"].name == "o"
    assert project.warnings == (
        "jocker.yml:2:27  networks.n.external.name: obsolete: write `name:` and `external: true`",
    )


def test_ranges_are_short_to_write_and_so_they_are_counted() -> None:
    text = "services:\n  a: {image: x, ports: ['1-65535']}\n  b: {image: x, ports: [80, 80-81]}\n"
    assert complaints_of({"stack": text}) == [
        f"jocker.yml:3:29  services.b.ports[1]: more than {MAX_PORTS} ports (publish fewer)"
    ]


def test_a_complaint_about_a_subnet_does_not_stop_the_other_checks() -> None:
    text = """\
        services: {a: {image: x, networks: {n: {ipv4_address: 10.5.0.5}, o: }}}
        networks: {n: {ipam: {config: [{subnet: 10.5.0.0/99, gateway: x}]}}}
        """
    assert len(complaints_of({"stack": text})) == 3


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("FE80:0:0::1", "fe80::1"),
        ("fe80::1%eth0", ""),
        ("10.0.0.01", ""),
        ("10.0.0.256", ""),
        ("10.0.0", ""),
        ("10.0.0.1 ", ""),
        ("1.2.3.٤", ""),
        ("", ""),
        ("localhost", ""),
    ],
)
def test_addresses(text: str, plain: str) -> None:
    assert shortest_address(text) == plain


@pytest.mark.parametrize("text", ["10.0.0.0", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/255.0.0.0", "a/8", "::/129", "/"])
def test_what_is_no_subnet(text: str) -> None:
    assert parse_cidr(text) is None


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("02:42:AC:11:00:05", "02:42:ac:11:00:05"),
        ("02-42-ac-11-00-05", "02:42:ac:11:00:05"),
        ("0242.ac11.0005", "02:42:ac:11:00:05"),
        ("01:00:5e:00:00:01", ""),
        ("00:00:00:00:00:00", ""),
        ("02:42:ac:11:00", ""),
        ("02:42-ac:11:00:05", ""),
        ("2:42:ac:11:00:05", ""),
        ("02:42:ac:11:00:0g", ""),
        ("", ""),
    ],
)
def test_mac_addresses(text: str, plain: str) -> None:
    assert plain_mac(text) == plain


def test_names() -> None:
    assert all(map(is_dns_name, ["a", "a.b", "my_db-1", "A9", "a" * 63, "_tcp"]))
    assert not any(map(is_dns_name, ["", ".", "a.", ".a", "a b", "-a", "a" * 64, "é", "a\n", ".".join(["a" * 63] * 4)]))
    assert all(map(is_network_name, ["n", "a.b-c_D", "9"]))
    assert not any(map(is_network_name, ["", "-n", "a/b", "a b", "é", "n" * 129]))
    assert all(map(is_interface_name, ["eth0", "a.b", "x" * 15]))
    bad = ["", "x" * 16, "a/b", "a:b", "a b", ".", "..", "lo", "é", "all", "default", "e%d", 'a"', "a;", "a#", "-a"]
    assert not any(map(is_interface_name, bad))
    assert all(map(is_bridge_name, ["br0", "v0123456789a", "v0123456789ag", "up1"]))
    assert not any(map(is_bridge_name, [*bad, "up0", "v0123456789ab"]))


def test_ports() -> None:
    assert [parse_span(text) for text in ("80", "80-90", "0", "90-80", "65536", "", "-1", "1-", "+1")] == [
        *((80, 80), (80, 90), (0, 0)),
        *[None] * 6,
    ]
    assert [plain_published(text) for text in ("", "0", "080", "80-80", "80-90")] == ["", "", "80", "80", "80-90"]
    assert [plain_exposed(text) for text in ("80", "53/UDP", "80-90/tcp")] == ["80/tcp", "53/udp", "80-90/tcp"]


def test_no_module_loads_ipaddress_before_an_address_is_written() -> None:
    """It takes 3 ms, a twentieth of what a command may take."""
    folder = Path(composer.composefile.__file__).parent
    for file in folder.glob("*.py"):
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            assert not isinstance(node, ast.ImportFrom) or node.module != "ipaddress", file.name
            assert not isinstance(node, ast.Import) or "ipaddress" not in ast.dump(node), file.name
