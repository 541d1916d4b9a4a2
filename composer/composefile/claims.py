"""What can be had only once: an address on a network, a fixed port of the machine."""

from __future__ import annotations

from composer.composefile.addresses import plain_mac, shortest_address, version_of
from composer.composefile.netbind import order_of_ends, real_name
from composer.composefile.netdefinitions import Stack
from composer.composefile.ports import EVERY_IPV4, parse_span, plain_published
from composer.composefile.tree import Mark, Node, Path, place_of, shown


def check_claims(stack: Stack) -> None:
    """One address on one network for one service only; MAC addresses too."""
    owners: dict[tuple[str, str], tuple[str, Mark, Path]] = {}
    for name, service in stack.services.items():
        ends = service.at("networks")
        if ends is None or not ends.items:
            continue
        claims: list[tuple[str, str, Node, Path]] = []
        for key, end in ends.items.items():
            for field in ("ipv4_address", "ipv6_address", "mac_address"):
                node = end.at(field)
                text = node.text if node else ""
                plain = plain_mac(text) if field == "mac_address" else shortest_address(text)
                if node is not None and plain:
                    claims.append((key, plain, node, ("services", name, "networks", key, field)))
        mac = service.at("mac_address")
        if mac is not None and plain_mac(mac.text):
            claims.append((order_of_ends(ends)[0], plain_mac(mac.text), mac, ("services", name, "mac_address")))
        for key, plain, node, path in claims:
            network = real_name(stack.project, key, stack.networks.get(key))
            owner, mark, theirs = owners.setdefault((network, plain), (name, node.mark, path))
            if owner != name:
                message = f"the service {shown(owner)} has {plain} on the network {shown(key)} already"
                stack.findings.complain(message, node.mark, path, f"see {place_of(mark, theirs)}")


def check_ports(stack: Stack) -> None:
    """One fixed port of the machine once for each service: a container that asks for it twice cannot start.

    Two services, or two containers of one, may name one port. They need not be up at the same time, so what counts
    is what a plan would make.
    """
    for name, service in stack.services.items():
        ports, mode = service.at("ports"), service.at("network_mode")
        if ports is None or (mode is not None and mode.text in {"host", "none"}) or not stack.replicas[name]:
            continue
        seen: dict[tuple[str, str], list[tuple[str, Mark, Path]]] = {}
        for index, item in enumerate(ports.elements):
            path: Path = ("services", name, "ports", index)
            if (node := item.at("protocol")) and node.text.lower() == "sctp":
                stack.findings.refuse("the protocol sctp is not supported", node.mark, path, "write tcp or udp")
            published = plain_published(node.text) if (node := item.at("published")) else ""
            first, last = parse_span(published) or (0, 0)
            if not published or first != last:
                continue
            protocol = (node.text if (node := item.at("protocol")) else "").lower() or "tcp"
            host_ip = shortest_address(node.text) if (node := item.at("host_ip")) else ""
            others = seen.setdefault((protocol, published), [])
            rival = next((other for other in others if _overlap(other[0], host_ip)), None)
            if rival is None:
                others.append((host_ip, item.mark, path))
            else:
                message = f"this service publishes the port {published}/{protocol} already"
                stack.findings.complain(message, item.mark, path, f"see {place_of(*rival[1:])}")


def _overlap(one: str, other: str) -> bool:
    """Do two host addresses of published ports meet? "" is all of both families."""
    if one == other or not one or not other:
        return True
    return version_of(one) == version_of(other) and not {one, other}.isdisjoint({EVERY_IPV4, "::"})
