"""Networks in their long form: the top-level ones, a service's ends on them, and its names and servers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from composer.composefile.addresses import (
    is_bridge_name,
    is_dns_name,
    is_interface_name,
    is_network_name,
    parse_cidr,
    plain_mac,
    shortest_address,
    version_of,
)
from composer.composefile.tree import Findings, Node, Path, shown
from composer.model.addresses import MAX_LINK_NAME, pool_network

NAME_HINT: Final = "letters, digits, dots, dashes and underscores; a letter or digit first"
_BRIDGE = "com.docker.network.bridge."
MTU: Final = "com.docker.network.driver.mtu"
BRIDGE_NAME: Final = f"{_BRIDGE}name"
ICC: Final = f"{_BRIDGE}enable_icc"
MASQUERADE: Final = f"{_BRIDGE}enable_ip_masquerade"
HOST_BINDING: Final = f"{_BRIDGE}host_binding_ipv4"
OPTIONS: Final = (MTU, BRIDGE_NAME, ICC, MASQUERADE, HOST_BINDING)
_MIN_MTU, _MAX_MTU = 68, 65535
TRUE: Final = frozenset({"1", "t", "T", "true", "True", "TRUE"})
_FALSE = frozenset({"0", "f", "F", "false", "False", "FALSE"})


def network(node: Node, path: Path, findings: Findings) -> Node:
    """One top-level network: `external` a boolean, values of `driver_opts` strings, addresses checked."""
    entries = with_plain_external(dict(node.items), path, findings)
    name, options, configs = entries.get("name"), entries.get("driver_opts"), node.at("ipam", "config")
    if name is not None and name.value is not None and name.tag != "reset" and not is_network_name(name.text):
        message = f"{shown(name.text)!r} cannot be a network's name"
        findings.complain(message, name.mark, (*path, "name"), NAME_HINT)
    if options is not None and options.items:
        entries["driver_opts"] = options.with_value({
            key: _option(key, option, (*path, "driver_opts", key), findings) for key, option in options.items.items()
        })  # fmt: skip
    for index, config in enumerate(configs.elements if configs else ()):
        _check_subnet(config, (*path, "ipam", "config", index), findings)
    return node.with_value(entries)


def with_plain_external(entries: dict[str, Node], path: Path, findings: Findings) -> dict[str, Node]:
    """The entries of a network or volume, the obsolete `external: {name: …}` as a boolean and a `name`."""
    external = entries.get("external")
    if external is None or not isinstance(external.value, dict):
        return entries
    entries["external"] = Node(True, external.mark, external.key, external.tag)
    old, name = external.at("name"), entries.get("name")
    if old is None:
        return entries
    here = (*path, "external", "name")
    if name is not None and name.value is not None and name.value != old.value:
        message = f"the name is {shown(name.text)} here and {shown(old.text)} there"
        findings.complain(message, old.mark, here, "write `name:` and `external: true`")
    else:
        findings.warn("obsolete: write `name:` and `external: true`", old.key or old.mark, here)
        entries["name"] = old
    return entries


def _option(key: str, node: Node, path: Path, findings: Findings) -> Node:
    if node.tag == "reset" or node.value is None:
        return node
    done = node.with_value(node.text)
    text, mark = done.text, node.mark
    if key == MTU and not (text.isascii() and text.isdecimal() and _MIN_MTU <= int(text[:6]) <= _MAX_MTU):
        findings.complain(f"must be {_MIN_MTU} to {_MAX_MTU}, not {shown(text)!r}", mark, path)
    elif key == BRIDGE_NAME and not is_bridge_name(text):
        hint = f"{_INTERFACE_HINT}; so are up0, and v with 12 hexadecimal digits"
        findings.complain(_not_an_interface(text), mark, path, hint)
    elif key in {ICC, MASQUERADE} and text not in TRUE | _FALSE:
        findings.complain(f"must be true or false, not {shown(text)!r}", mark, path)
    elif key == HOST_BINDING and (not shortest_address(text) or version_of(text) != 4):
        findings.complain(f"not an IPv4 address: {shown(text)!r}", mark, path)
    return done


def _check_subnet(config: Node, path: Path, findings: Findings) -> None:
    """The form of each value; how they fit together is checked once all files are merged."""
    for key in ("subnet", "ip_range"):
        node = config.at(key)
        if node is None or node.value is None:
            continue
        cidr = parse_cidr(node.text)
        if cidr is None:
            findings.complain(f"not a subnet: {shown(node.text)!r}", node.mark, (*path, key), "as in 10.5.0.0/24")
        elif shortest_address(node.text.partition("/")[0]) != str(cidr.network_address):
            message = f"{shown(node.text)} has bits set behind its prefix"
            findings.complain(message, node.mark, (*path, key), f"did you mean {cidr}?")
    gateway, spared = config.at("gateway"), config.at("aux_addresses")
    found = [(gateway, (*path, "gateway"))] if gateway else []
    found += [(node, (*path, "aux_addresses", name)) for name, node in (spared.items.items() if spared else ())]
    for node, here in found:
        _address(node, here, findings)


# a service's ends --------------------------------------------------------------------------------------
def attachments(node: Node, path: Path, findings: Findings) -> Node:
    """`networks:` of a service as a mapping; null for a network without settings."""
    if isinstance(node.value, list):
        found: dict[str, Node] = {}
        for index, item in enumerate(node.value):
            if item.text in found:
                findings.complain(f"{shown(item.text)!r} is written twice", item.mark, (*path, index))
            found[item.text] = Node(None, item.mark, item.mark)
        return node.with_value(found)
    for name, end in node.items.items():
        _check_end(end, (*path, name), findings)
    return node


def _check_end(end: Node, path: Path, findings: Findings) -> None:
    for key in ("ipv4_address", "ipv6_address"):
        address = end.at(key)
        if address is not None and address.text:
            _address(address, (*path, key), findings, int(key[3]))
    links, aliases = end.at("link_local_ips"), end.at("aliases")
    for index, address in enumerate(links.elements if links else ()):
        _address(address, (*path, "link_local_ips", index), findings)
    for index, alias in enumerate(aliases.elements if aliases else ()):
        check_name(alias.text, alias, (*path, "aliases", index), findings)
    mac, interface = end.at("mac_address"), end.at("interface_name")
    if mac is not None:
        check_mac(mac, (*path, "mac_address"), findings)
    if interface is not None and interface.text and not is_interface_name(interface.text):
        message = _not_an_interface(interface.text)
        findings.complain(message, interface.mark, (*path, "interface_name"), _INTERFACE_HINT)


_INTERFACE_HINT = f"at most {MAX_LINK_NAME} {NAME_HINT}; all, default and lo are taken"


def _not_an_interface(text: str) -> str:
    return f"{shown(text)!r} cannot be an interface's name"


def _address(node: Node, path: Path, findings: Findings, version: int = 0) -> None:
    plain = shortest_address(node.text)
    if node.value is None or (plain and version in {0, version_of(plain)}):
        return
    kind = f"IPv{version}" if version else "IP"
    findings.complain(f"not an {kind} address: {shown(node.text)!r}", node.mark, path)


def check_mac(node: Node, path: Path, findings: Findings) -> None:
    """Complains about a MAC address that no interface can have. An empty one is none."""
    if node.text and not plain_mac(node.text):
        message = f"not a MAC address of an interface: {shown(node.text)!r}"
        findings.complain(message, node.mark, path, "as in 02:42:ac:11:00:02; the second digit is even")


def check_name(text: str, node: Node, path: Path, findings: Findings) -> bool:
    """Complains about what cannot be looked up as a name."""
    if is_dns_name(text):
        return True
    hint = "letters, digits, dashes and underscores, in parts of at most 63 between dots"
    findings.complain(f"{shown(text)!r} cannot be a name on a network", node.mark, path, hint)
    return False


# names and servers of a service ------------------------------------------------------------------------
def servers(node: Node, path: Path, findings: Findings) -> Node:
    """`dns:` as a list without empty items."""
    return _listed(node, path, findings, _is_server)


def search_domains(node: Node, path: Path, findings: Findings) -> Node:
    """`dns_search:` as a list without empty items; `.` alone means none."""
    return _listed(node, path, findings, _is_domain)


def resolver_options(node: Node, path: Path, findings: Findings) -> Node:
    """`dns_opt:` without empty items."""
    return _listed(node, path, findings, _is_option)


def _listed(node: Node, path: Path, findings: Findings, check: Callable[[Node, Path, Findings], bool]) -> Node:
    items = node.elements if isinstance(node.value, list) else [Node(node.value, node.mark)]
    return node.with_value([
        item for index, item in enumerate(items) if item.text and check(item, (*path, index), findings)
    ])  # fmt: skip


def _is_server(item: Node, path: Path, findings: Findings) -> bool:
    _address(item, path, findings)
    return True


def _is_domain(item: Node, path: Path, findings: Findings) -> bool:
    return item.text == "." or check_name(item.text.removesuffix("."), item, path, findings)


def _is_option(item: Node, path: Path, findings: Findings) -> bool:
    if item.text.isascii() and item.text.isprintable() and " " not in item.text:
        return True
    findings.complain(f"not an option of a resolver: {shown(item.text)!r}", item.mark, path, "as in ndots:2 or use-vc")
    return False


def domainname(node: Node, path: Path, findings: Findings) -> None:
    """Complains if it cannot be one. An empty one is none."""
    if node.text:
        check_name(node.text, node, path, findings)


def address_pool(node: Node, path: Path, findings: Findings) -> Node:
    """`x-jocker.address_pool` as a list of IPv4 networks in their shortest form."""
    items = node.elements if isinstance(node.value, list) else [Node(node.value, node.mark)]
    done: list[Node] = []
    for index, item in enumerate(items):
        here = (*path, index) if isinstance(node.value, list) else path
        try:
            done.append(item.with_value(pool_network(shown(item.text))))
        except ValueError as error:
            findings.complain(str(error), item.mark, here, "as in 172.24.0.0/13")
    if not items:
        findings.complain("an empty pool", node.mark, path, "remove it, or write as in 172.24.0.0/13")
    return node.with_value(done)
