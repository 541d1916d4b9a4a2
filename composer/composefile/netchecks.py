"""What must hold between services and networks: references, namespaces, addresses, ports.

What can only be known when the machine is asked (is a port free, does an external network exist) is not here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from composer.composefile.addresses import is_container_name, is_network_name, plain_mac, shortest_address
from composer.composefile.checks import did_you_mean
from composer.composefile.claims import check_claims, check_ports
from composer.composefile.implied import CONTAINER, SERVICE, references, split_link
from composer.composefile.netbind import BUILT_IN, is_network, order_of_ends, real_name
from composer.composefile.netdefinitions import Stack, check_definitions, config_of, is_true, subnet_of
from composer.composefile.networks import NAME_HINT, check_name
from composer.composefile.tree import Findings, Node, Path, shown
from composer.model.network import DEFAULT

_MODES: Final[Mapping[str, tuple[str, ...]]] = {
    "pid": ("", "host"),
    "ipc": ("", "private", "shareable", "host", "none"),
    "uts": ("", "host"),
}
_SHARED_WITH: Final = ("pid", "ipc")
_OF_THE_OTHER: Final = ("hostname", "mac_address", "ports", "expose", "dns", "extra_hosts")
"""What belongs to the owner of a network namespace, so that whoever shares it cannot have one."""


def check_wiring(
    project: str,
    services: Mapping[str, Node],
    disabled: Mapping[str, Node],
    networks: Mapping[str, Node],
    replicas: Mapping[str, int],
    findings: Findings,
) -> None:
    """Complains about all that does not fit together in the enabled `services` and the `networks` they use.

    `services` are completed: their default network is written out.
    """
    stack = Stack(project, services, disabled, networks, replicas, findings)
    for name, service in services.items():
        _check_references(name, service, stack)
        _check_modes(name, service, stack)
        _check_ends(name, service, stack)
    used = {key for service in services.values() if (ends := service.at("networks")) for key in ends.items}
    check_definitions(stack, used)
    check_claims(stack)
    check_ports(stack)


# references and namespaces -----------------------------------------------------------------------------
def _check_references(name: str, service: Node, stack: Stack) -> None:
    links = service.at("links")
    malformed: set[int] = set()
    for index, item in enumerate(links.elements if links else ()):
        path: Path = ("services", name, "links", index)
        target, alias = split_link(item.text)
        if not target or not alias or ":" in alias:
            stack.findings.complain(
                f"not a link: {shown(item.text)!r}", item.mark, path, "write SERVICE or SERVICE:NAME"
            )
            malformed.add(index)
        elif alias != target:
            check_name(alias, item, path, stack.findings)
    for target, node, below, _ in references(service):
        if target in stack.services or (below[0] == "links" and below[1] in malformed):
            continue
        path = ("services", name, *below)
        if target not in stack.disabled:
            message = f"the undefined service {shown(target)!r}" if target else "no service is named"
            stack.findings.complain(message, node.mark, path, did_you_mean(target, list(stack.services)))
        elif below[0] != "links" or not _is_optional(service, target):
            profiles = stack.disabled[target].at("profiles")
            first = " ".join(shown(item.text) for item in (profiles.elements if profiles else ())[:1])
            message = f"the service {shown(target)}, which no active profile enables"
            stack.findings.complain(message, node.mark, path, f"give --profile {first}")
    external = service.at("external_links")
    for index, item in enumerate(external.elements if external else ()):
        path = ("services", name, "external_links", index)
        target, alias = split_link(item.text)
        if not is_container_name(target) or not alias or ":" in alias:
            hint = "write CONTAINER or CONTAINER:NAME"
            stack.findings.complain(f"not a link: {shown(item.text)!r}", item.mark, path, hint)
        else:
            check_name(alias, item, path, stack.findings)
    _check_aliases(name, service, stack.findings)


def _check_aliases(name: str, service: Node, findings: Findings) -> None:
    """A name server that is given two meanings of one name, or a circle, does not start. Case is nothing to it."""
    meant: dict[str, tuple[str, str, Node, Path]] = {}
    for key in ("links", "external_links"):
        links = service.at(key)
        for index, item in enumerate(links.elements if links else ()):
            path: Path = ("services", name, key, index)
            target, alias = split_link(item.text)
            if findings.touches(path):
                continue
            before = meant.setdefault(alias.lower(), (target, alias, item, path))
            if before[:2] != (target, alias):
                findings.complain(f"{shown(alias)} stands for {shown(before[0])} already", item.mark, path)
    follow = {name: one[0].lower() for name, one in meant.items() if one[0] != one[1]}
    done: set[str] = set()
    for start in follow:
        at = start
        trail: dict[str, None] = {}
        while at in follow and at not in done and at not in trail:
            trail[at] = None
            at = follow[at]
        if at in trail:
            names = [*trail][[*trail].index(at) :]
            message = f"names in a circle: {' → '.join(map(shown, (*names, at)))}"
            findings.complain(message, meant[at][2].mark, meant[at][3], "each must lead to a service or container")
        done |= trail.keys()


def _is_optional(service: Node, other: str) -> bool:
    required = service.at("depends_on", other, "required")
    return required is not None and required.value is False


def _check_modes(name: str, service: Node, stack: Stack) -> None:
    path: Path = ("services", name)
    findings = stack.findings
    for key, words in _MODES.items():
        mode = service.at(key)
        if mode is None or mode.text in words:
            continue
        if key in _SHARED_WITH and mode.text.startswith(SERVICE):
            continue  # among the references
        known = ", ".join(filter(None, words))
        if key in _SHARED_WITH:
            known += ", service:NAME, container:NAME"
            if mode.text.startswith(CONTAINER):
                _check_container(mode, (*path, key), findings)
                continue
        hint = did_you_mean(mode.text, list(filter(None, words))) or f"write one of {known}"
        findings.complain(f"unknown {key} mode {shown(mode.text)!r}", mode.mark, (*path, key), hint)
    _check_ipc(name, service, stack)
    hostname, uts = service.at("hostname"), service.at("uts")
    if hostname is not None and hostname.text and uts is not None and uts.text == "host":
        message = "with `uts: host` the hostname is the machine's"
        findings.complain(message, hostname.key or hostname.mark, (*path, "hostname"), "remove it, or `uts`")
    _check_network_mode(service, path, findings)
    _warn_of_key(service, path, stack)


def _check_ipc(name: str, service: Node, stack: Stack) -> None:
    mode = service.at("ipc")
    owner = stack.services.get(mode.text.removeprefix(SERVICE)) if mode and mode.text.startswith(SERVICE) else None
    theirs = owner.at("ipc") if owner else None
    if mode is not None and theirs is not None and theirs.text in {"private", "none"}:
        other = shown(mode.text.removeprefix(SERVICE))
        message = f"the service {other} has `ipc: {theirs.text}`: nobody shares that"
        stack.findings.complain(message, mode.mark, ("services", name, "ipc"), "write `ipc: shareable` there")


def _check_network_mode(service: Node, path: Path, findings: Findings) -> None:
    mode, ends = service.at("network_mode"), service.at("networks")
    if mode is None or mode.value is None:
        return
    here = (*path, "network_mode")
    if mode.text and ends is not None and ends.items:
        message = "`network_mode` and `networks` exclude each other"
        findings.complain(message, mode.key or mode.mark, here, "remove one of them")
    if mode.text.startswith(CONTAINER):
        _check_container(mode, here, findings)
    elif ":" in mode.text and not mode.text.startswith(SERVICE):
        hint = "known are bridge, host, none, service:NAME, container:NAME, or a network's name"
        findings.complain(f"unknown network mode {shown(mode.text)!r}", mode.mark, here, hint)
    elif mode.text and ":" not in mode.text and not is_network_name(mode.text):
        findings.complain(f"{shown(mode.text)!r} cannot be a network's name", mode.mark, here, NAME_HINT)
    if mode.text.startswith((SERVICE, CONTAINER)):
        for key in _OF_THE_OTHER:
            node = service.at(key)
            if node is not None and (node.text or node.elements):
                message = f"in the network of {shown(mode.text)} it cannot have its own {key}"
                hint = "write it at the owner of the network, or remove `network_mode`"
                findings.complain(message, node.key or node.mark, (*path, key), hint)
        return
    mac, ports = service.at("mac_address"), service.at("ports")
    if mac is not None and mac.text and mode.text in BUILT_IN:
        message = f"with `network_mode: {mode.text or 'bridge'}` it has no MAC address to choose"
        findings.complain(message, mac.key or mac.mark, (*path, "mac_address"), "remove it, or use `networks`")
    if ports is not None and ports.elements and mode.text in {"host", "none"}:
        findings.warn(f"no effect with `network_mode: {mode.text}`", ports.key or ports.mark, (*path, "ports"))


def _warn_of_key(service: Node, path: Path, stack: Stack) -> None:
    """`network_mode` takes the real name of a network; a key of this file there is most likely a slip."""
    mode = service.at("network_mode")
    network = stack.networks.get(mode.text) if mode and is_network(mode.text) else None
    if mode is None or network is None:
        return
    names = {real_name(stack.project, key, node) for key, node in stack.networks.items()}
    if mode.text not in names:
        message = f"this is the machine's network {shown(mode.text)}; that of this file goes under `networks`"
        stack.findings.warn(message, mode.mark, (*path, "network_mode"))


def _check_container(mode: Node, path: Path, findings: Findings) -> None:
    name = mode.text.removeprefix(CONTAINER)
    if not is_container_name(name):
        findings.complain(f"{shown(name)!r} cannot be a container's name", mode.mark, path, "write container:NAME")


# a service's ends on its networks ----------------------------------------------------------------------
def _check_ends(name: str, service: Node, stack: Stack) -> None:
    ends = service.at("networks")
    if ends is None:
        return
    findings = stack.findings
    interfaces: dict[str, str] = {}
    for key, end in ends.items.items():
        path = ("services", name, "networks", key)
        if key not in stack.networks and key != DEFAULT:
            if findings.touches(("networks", key)):
                continue  # it is there, but cannot be called so
            hint = did_you_mean(key, [*stack.networks, DEFAULT]) or f"define it at the top level: networks: {{{key}: }}"
            findings.complain(f"the undefined network {shown(key)!r}", end.key or end.mark, path, hint)
            continue
        _check_addresses(key, end, path, stack)
        interface = end.at("interface_name")
        if interface is not None and interface.text:
            other = interfaces.setdefault(interface.text, key)
            if other != key:
                message = f"the network {shown(other)} has the interface {shown(interface.text)} already"
                findings.complain(message, interface.mark, (*path, "interface_name"))
        if stack.replicas[name] > 1:
            for field in ("ipv4_address", "ipv6_address", "mac_address"):
                fixed = end.at(field)
                if fixed is not None and fixed.text:
                    _complain_of_replicas(fixed, (*path, field), stack.replicas[name], "address", findings)
    ports = service.at("ports")
    if ports is not None and ports.elements and ends.items and all(_is_internal(key, stack) for key in ends.items):
        message = "no effect: all its networks are `internal`"
        findings.warn(message, ports.key or ports.mark, ("services", name, "ports"))
    _check_service_mac(name, service, ends, stack)


def _is_internal(key: str, stack: Stack) -> bool:
    network = stack.networks.get(key)
    return network is not None and is_true(network.at("internal"))


def _complain_of_replicas(node: Node, path: Path, count: int, what: str, findings: Findings) -> None:
    message = f"{count} containers cannot share one {what}"
    findings.complain(message, node.mark, path, "remove it, or run one container")


def _check_service_mac(name: str, service: Node, ends: Node, stack: Stack) -> None:
    mac = service.at("mac_address")
    if mac is None or not mac.text or not ends.items:
        return
    path: Path = ("services", name, "mac_address")
    first = order_of_ends(ends)[0]
    own = ends.at(first, "mac_address")
    if own is not None and own.text and plain_mac(own.text) != plain_mac(mac.text):
        message = f"the first network, {shown(first)}, has another one: {shown(own.text)}"
        stack.findings.complain(message, mac.mark, path, "write it at the network only")
    if stack.replicas[name] > 1:
        _complain_of_replicas(mac, path, stack.replicas[name], "address", stack.findings)


def _check_addresses(key: str, end: Node, path: Path, stack: Stack) -> None:
    network = stack.networks.get(key)
    if network is not None and is_true(network.at("external")):
        return  # its subnets are known when it is looked at
    for version, field in ((4, "ipv4_address"), (6, "ipv6_address")):
        node = end.at(field)
        address = shortest_address(node.text) if node and node.text else ""
        if node is None or not address:
            continue
        here = (*path, field)
        if stack.findings.touches(here):
            continue
        if version == 6 and not (network and is_true(network.at("enable_ipv6"))):
            hint = f"write `enable_ipv6: true` at the network {shown(key)}"
            stack.findings.complain(f"the network {shown(key)} has no IPv6", node.mark, here, hint)
            continue
        config = config_of(network, version)
        if config is None:
            message = f"a fixed address needs a subnet: the network {shown(key)} has none of its own"
            example = "10.5.0.0/24" if version == 4 else "fd00:5::/64"
            hint = f"write `ipam: {{config: [{{subnet: {example}}}]}}` at the network"
            stack.findings.complain(message, node.mark, here, hint)
            continue
        _check_address(node, address, config, key, here, stack.findings)


def _check_address(node: Node, address: str, config: Node, key: str, path: Path, findings: Findings) -> None:
    from ipaddress import ip_address

    subnet = subnet_of(config)
    if subnet is None:
        return
    spared = config.at("aux_addresses")
    taken = {shortest_address(item.text): name for name, item in (spared.items.items() if spared else ())}
    gateway = config.at("gateway")
    written = shortest_address(gateway.text) if gateway else str(subnet.network_address + 1)
    value = ip_address(address)
    message = ""
    if value not in subnet:
        message = f"{address} is outside of the network {shown(key)}: {subnet}"
    elif address == written:
        message = f"{address} is the gateway of the network {shown(key)}"
    elif value == subnet.network_address or (subnet.version == 4 and value == subnet.broadcast_address):
        message = f"{address} is the first or last address of {subnet}: no container can have it"
    elif address in taken:
        message = f"{address} is spared on the network {shown(key)}, as {shown(taken[address])}"
    if message:
        findings.complain(message, node.mark, path)
