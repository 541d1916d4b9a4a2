"""Top-level networks that somebody uses: names, drivers, subnets and what lies in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from composer.composefile.addresses import is_network_name, parse_cidr, shortest_address, version_of
from composer.composefile.checks import did_you_mean
from composer.composefile.netbind import real_name
from composer.composefile.networks import NAME_HINT, OPTIONS
from composer.composefile.tree import Findings, Node, Path, shown
from composer.model.addresses import is_usable

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network

_PREDEFINED: Final = frozenset({"bridge", "host", "none", "default"})


class Stack(NamedTuple):
    """What the checks look at: the enabled services, completed; `networks` are all that are defined."""

    project: str
    services: Mapping[str, Node]
    disabled: Mapping[str, Node]
    networks: Mapping[str, Node]
    replicas: Mapping[str, int]
    findings: Findings


def check_definitions(stack: Stack, used: Iterable[str]) -> None:
    """Of the networks that somebody uses: nobody makes the others."""
    names: dict[str, str] = {}
    subnets: list[tuple[str, Node]] = []
    wanted = set(used)
    for key, network in stack.networks.items():
        if key not in wanted:
            continue
        path: Path = ("networks", key)
        name = real_name(stack.project, key, network)
        mark = (node := network.at("name") or network).key or node.mark
        external = is_true(network.at("external"))
        if name in _PREDEFINED:
            what = "stands for no network of this kind" if external else "is taken"
            hint = f"write `network_mode: {name}` at the service" if name != "default" else "write `name:`, too"
            stack.findings.complain(f"the name {name} {what}", mark, (*path, "name"), hint)
        elif not is_network_name(name) and not stack.findings.touches(path):
            stack.findings.complain(f"{shown(name)!r} cannot be a network's name", mark, path, NAME_HINT)
        other = names.setdefault(name, key)
        if other != key and not (external and is_true(stack.networks[other].at("external"))):
            message = f"the network {shown(other)} has the name {shown(name)} already"
            stack.findings.complain(message, mark, (*path, "name"))
        if external:
            _check_external(network, path, stack.findings)
            continue
        _check_driver(network, path, stack.findings)
        _check_families(network, path, stack.findings)
        subnets += [(key, config) for version in (4, 6) if (config := config_of(network, version))]
        _check_ipam(network, path, stack.findings)
    _check_overlaps(subnets, stack.findings)


def _check_external(network: Node, path: Path, findings: Findings) -> None:
    for key, node in network.items.items():
        if key not in {"external", "name"} and not key.startswith("x-") and node.value not in ({}, [], False, ""):
            message = "an external network is used as it is"
            findings.refuse(message, node.key or node.mark, (*path, key), "remove this, or `external`")


def _check_driver(network: Node, path: Path, findings: Findings) -> None:
    """What other drivers and options mean, we do not know: they are not wrong, but nobody can make such a network."""
    options = network.at("driver_opts")
    for key, option in options.items.items() if options else ():
        if key not in OPTIONS:
            known = "known are " + ", ".join(OPTIONS)
            here = (*path, "driver_opts", key)
            findings.refuse("a driver option that is not supported", option.key or option.mark, here, known)
    driver = network.at("driver")
    if driver is None or driver.text in {"", "bridge"}:
        return
    text = shown(driver.text)
    if text in {"host", "none", "null"}:
        hint = f"write `network_mode: {'host' if text == 'host' else 'none'}` at the service"
        findings.refuse(f"no network can be made with the driver {text}", driver.mark, (*path, "driver"), hint)
    elif text in {"macvlan", "ipvlan", "overlay"}:
        message = f"the network driver {text} is not supported yet"
        findings.refuse(message, driver.mark, (*path, "driver"), "write bridge")
    else:
        hint = did_you_mean(text, ["bridge", "host", "none"]) or "write bridge"
        findings.refuse(f"unknown network driver {text!r}", driver.mark, (*path, "driver"), hint)


def _check_families(network: Node, path: Path, findings: Findings) -> None:
    ipv4, ipv6 = network.at("enable_ipv4"), network.at("enable_ipv6")
    if ipv4 is not None and ipv4.value is False and not is_true(ipv6):
        message = "a network without IPv4 needs IPv6"
        findings.complain(message, ipv4.key or ipv4.mark, (*path, "enable_ipv4"), "write `enable_ipv6: true`")


def _check_ipam(network: Node, path: Path, findings: Findings) -> None:
    configs = network.at("ipam", "config")
    seen: dict[int, str] = {}
    for index, config in enumerate(configs.elements if configs else ()):
        here = (*path, "ipam", "config", index)
        if findings.touches(here):
            continue
        subnet = config.at("subnet")
        if subnet is None or not subnet.text:
            findings.complain("`subnet` is missing", config.mark, here, "as in subnet: 10.5.0.0/24")
            continue
        cidr = subnet_of(config)
        if cidr is None:
            continue
        version = cidr.version
        if version in seen:
            message = f"a second IPv{version} subnet, after {shown(seen[version])}"
            findings.complain(message, subnet.mark, (*here, "subnet"), "a network has one of each family")
        seen.setdefault(version, subnet.text)
        ipv4 = network.at("enable_ipv4")
        if version == 6 and not is_true(network.at("enable_ipv6")):
            findings.warn("no effect without `enable_ipv6: true`", subnet.mark, (*here, "subnet"))
        elif version == 4 and ipv4 is not None and ipv4.value is False:
            findings.warn("no effect with `enable_ipv4: false`", subnet.mark, (*here, "subnet"))
        _check_config(config, cidr, here, findings)


def _check_config(config: Node, subnet: IPv4Network | IPv6Network, path: Path, findings: Findings) -> None:
    """One subnet: may machines have it, and does all the rest lie inside?"""
    from ipaddress import ip_address

    text = config.items["subnet"]
    if not is_usable(subnet):
        findings.complain(f"no container can have an address of {subnet}", text.mark, (*path, "subnet"))
    elif subnet.num_addresses < 4:
        message = f"{subnet} has no room for a gateway and a container"
        findings.complain(message, text.mark, (*path, "subnet"), f"/{subnet.max_prefixlen - 2} or larger")
    reach, gateway, spared = config.at("ip_range"), config.at("gateway"), config.at("aux_addresses")
    inner = parse_cidr(reach.text) if reach else None
    if reach and inner and not (inner.network_address in subnet and inner.broadcast_address in subnet):
        findings.complain(f"{inner} is outside of the subnet {subnet}", reach.mark, (*path, "ip_range"))
    inside: list[tuple[Node, Path]] = [(gateway, (*path, "gateway"))] if gateway else []
    owner = shortest_address(gateway.text) if gateway else ""
    for name, node in spared.items.items() if spared else ():
        inside.append((node, (*path, "aux_addresses", name)))
        if owner and shortest_address(node.text) == owner:
            findings.complain(f"{owner} is the gateway", node.mark, (*path, "aux_addresses", name))
    for node, here in inside:
        if not shortest_address(node.text):
            continue
        value = ip_address(node.text)
        if value not in subnet:
            findings.complain(f"{value} is outside of the subnet {subnet}", node.mark, here)
        elif value == subnet.network_address or (subnet.version == 4 and value == subnet.broadcast_address):
            findings.complain(f"{value} is the first or last address of {subnet}", node.mark, here)


def _check_overlaps(subnets: list[tuple[str, Node]], findings: Findings) -> None:
    # in the order of their first addresses, each can only meet the one before that reaches furthest
    spans = sorted(
        (net.version, int(net.network_address), int(net.broadcast_address), at)
        for at, (_, config) in enumerate(subnets)
        if (net := subnet_of(config)) is not None
    )
    furthest = (0, 0, -1, 0)
    for one in spans:
        if one[0] == furthest[0] and one[1] <= furthest[2]:
            first, second = sorted((furthest[3], one[3]))
            key, node = subnets[second][0], subnets[second][1].items["subnet"]
            other, text = subnets[first][0], subnets[first][1].items["subnet"].text
            message = f"{shown(node.text)} overlaps {shown(text)} of the network {shown(other)}"
            findings.complain(message, node.mark, ("networks", key))
        if one[0] != furthest[0] or one[2] > furthest[2]:
            furthest = one


def subnet_of(config: Node) -> IPv4Network | IPv6Network | None:
    """The subnet of one entry of `ipam.config`, if it is one."""
    node = config.at("subnet")
    return parse_cidr(node.text) if node else None


def config_of(network: Node | None, version: int) -> Node | None:
    """The first entry of `ipam.config` with a subnet of this family, if the network has the family."""
    enabled = network.at(f"enable_ipv{version}") if network else None
    if not is_true(enabled) and (version == 6 or enabled is not None):
        return None
    configs = network.at("ipam", "config") if network else None
    for config in configs.elements if configs else ():
        subnet = config.at("subnet")
        address = shortest_address(subnet.text.partition("/")[0]) if subnet else ""
        if address and version_of(address) == version:
            return config
    return None


def is_true(node: Node | None) -> bool:
    """Is it there, and true?"""
    return node is not None and node.value is True
