"""Networks, ends and ports of the checked tree to the model's values, and as `config` prints them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

from composer.composefile.implied import CONTAINER, SERVICE, split_link
from composer.composefile.tree import Node, place_of
from composer.errors import Place
from composer.model.network import Attachment, Network, Port, Protocol, Subnet

BUILT_IN: Final = frozenset({"", "none", "host", "bridge", "default"})
"""Network modes that are words of their own. "" and `default` are `bridge`, as to docker."""


def real_name(project: str, key: str, node: Node | None) -> str:
    """The real name of a network or volume.

    As written, else the key if it is external, else the key with the project's name before it.
    """
    name = node.at("name") if node else None
    if name is not None:
        return name.text
    external = node.at("external") if node else None
    return key if external is not None and external.value is True else f"{project}_{key}"


def is_network(mode: str) -> bool:
    """Does this `network_mode` name a network?"""
    return mode not in BUILT_IN and not mode.startswith((SERVICE, CONTAINER))


def bind_networks(project: str, defined: Mapping[str, Node], services: Mapping[str, Node]) -> dict[str, Network]:
    """The networks that these services are on, in the order in which the file has them."""
    users: dict[str, Node] = {}
    modes: dict[str, Node] = {}
    for service in services.values():
        ends, mode = service.at("networks"), service.at("network_mode")
        for key, end in ends.items.items() if ends else ():
            users.setdefault(key, end)
        if mode is not None and is_network(mode.text):
            modes.setdefault(mode.text, mode)
    wanted = [key for key in defined if key in users] + [key for key in users if key not in defined]
    done: dict[str, Network] = {}
    for key in wanted:
        node = defined.get(key)
        mark = (node.key or node.mark) if node else users[key].key or users[key].mark
        done[key] = _network(key, real_name(project, key, node), node, place_of(mark, ("networks", key)))
    names = {network.name for network in done.values()}
    for name, mode in modes.items():
        if name not in names:
            key = f"{name}:" if name in done else name  # no key in a file has a colon
            done[key] = Network(key=key, name=name, place=place_of(mode.mark, ("networks", key)), external=True)
    return done


def _network(key: str, name: str, node: Node | None, place: Place) -> Network:
    if node is None or not node.items:
        return Network(key=key, name=name, place=place)
    if _flag(node, "external"):
        return Network(key=key, name=name, place=place, external=True)
    from composer.composefile.networks import BRIDGE_NAME, HOST_BINDING, ICC, MASQUERADE, MTU, TRUE

    options, labels = node.at("driver_opts"), node.at("labels")
    texts = {option: value.text for option, value in (options.items.items() if options else ())}
    ipv4, ipv6 = _flag(node, "enable_ipv4", default=True), _flag(node, "enable_ipv6")
    return Network(
        key=key,
        name=name,
        place=place,
        internal=_flag(node, "internal"),
        attachable=_flag(node, "attachable"),
        enable_ipv4=ipv4,
        enable_ipv6=ipv6,
        subnets=tuple(_subnets(node, ipv4=ipv4, ipv6=ipv6)),
        labels={label: value.text for label, value in (labels.items.items() if labels else ())},
        mtu=int(texts.get(MTU, "0")),
        bridge_name=texts.get(BRIDGE_NAME, ""),
        masquerade=texts.get(MASQUERADE, "true") in TRUE,
        icc=texts.get(ICC, "true") in TRUE,
        host_binding=_address(texts.get(HOST_BINDING, "")),
    )


def _subnets(node: Node, *, ipv4: bool, ipv6: bool) -> Iterable[Subnet]:
    configs = node.at("ipam", "config")
    for config in configs.elements if configs else ():
        subnet = _cidr(_text(config, "subnet"))
        if not (ipv6 if ":" in subnet else ipv4):
            continue
        spared = config.at("aux_addresses")
        yield Subnet(
            subnet=subnet,
            ip_range=_cidr(_text(config, "ip_range")),
            gateway=_address(_text(config, "gateway")),
            aux_addresses=tuple((name, _address(at.text)) for name, at in (spared.items.items() if spared else ())),
        )


def bind_ends(service: Node, networks: Mapping[str, Network]) -> tuple[Attachment, ...]:
    """The service's ends in the order of attachment. `networks` are the project's: a mode may name one of them."""
    mode, ends = service.at("network_mode"), service.at("networks")
    mac = _mac(_text(service, "mac_address"))
    if mode is not None and is_network(mode.text):
        keys = [key for key, network in networks.items() if network.name == mode.text]
        return tuple(Attachment(network=key, mac_address=mac) for key in keys[:1])
    if ends is None or not ends.items:
        return ()
    if not mac and all(end.value is None for end in ends.items.values()):
        return tuple(Attachment(key) for key in sorted(ends.items))
    done = [_end(key, ends.items[key]) for key in order_of_ends(ends)]
    if mac:
        done[0] = done[0]._replace(mac_address=mac)
    return tuple(done)


def order_of_ends(ends: Node) -> list[str]:
    """The keys of a service's networks: highest `priority` first, then by name."""
    return sorted(ends.items, key=lambda key: (-_number(ends.items[key], "priority"), key))


def _end(key: str, end: Node) -> Attachment:
    return Attachment(
        network=key,
        aliases=_texts(end, "aliases"),
        ipv4_address=_address(_text(end, "ipv4_address")),
        ipv6_address=_address(_text(end, "ipv6_address")),
        link_local_ips=tuple(map(_address, _texts(end, "link_local_ips"))),
        mac_address=_mac(_text(end, "mac_address")),
        interface_name=_text(end, "interface_name"),
        priority=_number(end, "priority"),
        gw_priority=_number(end, "gw_priority"),
    )


def bind_mode(service: Node) -> str:
    """The model's `network_mode`: a network that is named so is among the ends."""
    mode = service.at("network_mode")
    if mode is None or mode.value is None or is_network(mode.text):
        return ""
    return "bridge" if mode.text in {"", "default"} else mode.text


def bind_ports(service: Node) -> tuple[Port, ...]:
    """What is published. With the machine's network or none there is nothing to publish."""
    node = service.at("ports")
    if node is None or bind_mode(service) in {"host", "none"}:
        return ()
    from composer.composefile.ports import plain_published

    done = (
        Port(
            target=_number(item, "target"),
            published=plain_published(_text(item, "published")),
            host_ip=_address(_text(item, "host_ip")),
            protocol=cast("Protocol", _text(item, "protocol").lower() or "tcp"),
        )
        for item in node.elements
    )
    return tuple(dict.fromkeys(done))


def bind_exposed(service: Node) -> tuple[str, ...]:
    """`expose:` in one form."""
    node = service.at("expose")
    if node is None:
        return ()
    from composer.composefile.ports import plain_exposed

    return tuple(dict.fromkeys(plain_exposed(item.text) for item in node.elements))


def bind_links(service: Node, key: str) -> tuple[tuple[str, str], ...]:
    """`links` or `external_links`: what is linked, and the name it has."""
    return tuple(map(split_link, _texts(service, key)))


def bind_servers(service: Node) -> tuple[str, ...]:
    """`dns:` in the shortest form."""
    return tuple(map(_address, _texts(service, "dns")))


# what `config` prints ----------------------------------------------------------------------------------
def canonical_networks(project: str, defined: Mapping[str, Node], services: Mapping[str, Node]) -> dict[str, Any]:
    """The networks that these services are on, by key."""
    used = {key for service in services.values() if (ends := service.at("networks")) for key in ends.items}
    return {key: _canonical_network(project, key, defined.get(key)) for key in sorted(used)}


def _canonical_network(project: str, key: str, node: Node | None) -> dict[str, Any]:
    whole = _plain(node) if node else None
    entries: dict[str, Any] = whole if isinstance(whole, dict) else {}
    ipam = {part: value for part, value in entries.get("ipam", {}).items() if value and part != "options"}
    if "config" in ipam:
        ipam["config"] = [{part: value for part, value in config.items() if value} for config in ipam["config"]]
    done = {"name": real_name(project, key, node), "ipam": ipam}
    for part, value in entries.items():
        kept = value or part.startswith("x-") or (part.startswith("enable_") and value is False)
        if kept and part not in done:
            done[part] = value
    return done


def canonical_ends(node: Node) -> dict[str, Any]:
    """A service's `networks`; what is empty or zero is left out."""
    return {key: None if end.value is None else _canonical_end(end) for key, end in sorted(node.items.items())}


def _canonical_end(end: Node) -> dict[str, Any]:
    done = {part: value for part, value in _plain(end).items() if value}
    if "driver_opts" in done:
        done["driver_opts"] = {key: option.text for key, option in sorted(end.items["driver_opts"].items.items())}
    return done


def canonical_ports(node: Node) -> list[dict[str, Any]]:
    """A service's `ports`."""
    return [{part: value for part, value in _plain(item).items() if value} for item in node.elements]


def _plain(node: Node) -> Any:
    if isinstance(node.value, dict):
        return {key: _plain(child) for key, child in node.value.items()}
    if isinstance(node.value, list):
        return [_plain(child) for child in node.value]
    return node.value


# single values -----------------------------------------------------------------------------------------
def _text(node: Node, key: str) -> str:
    child = node.items.get(key)
    return child.text if child else ""


def _texts(node: Node, key: str) -> tuple[str, ...]:
    child = node.items.get(key)
    return tuple(item.text for item in child.elements) if child else ()


def _number(node: Node, key: str) -> int:
    child = node.items.get(key)
    return child.value if child and isinstance(child.value, int) else 0


def _flag(node: Node, key: str, *, default: bool = False) -> bool:
    child = node.items.get(key)
    return child.value is True if child and child.value is not None else default


def _address(text: str) -> str:
    if not text:
        return ""
    from composer.composefile.addresses import shortest_address

    return shortest_address(text)


def _cidr(text: str) -> str:
    if not text:
        return ""
    from composer.composefile.addresses import parse_cidr

    return str(parse_cidr(text) or "")


def _mac(text: str) -> str:
    if not text:
        return ""
    from composer.composefile.addresses import plain_mac

    return plain_mac(text)
