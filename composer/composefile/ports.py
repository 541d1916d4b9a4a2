"""`ports:` and `expose:`: short forms to long ones, ranges to single ports."""

from __future__ import annotations

from typing import Final

from composer.composefile.addresses import shortest_address
from composer.composefile.tree import Findings, Node, Path, shown

_LAST = 65535
EVERY_IPV4: Final = "0.0.0.0"  # noqa: S104  a word of the file, nothing is bound
MAX_PORTS = 1 << 16
"""Of a whole stack: a range is short to write."""
_HINT = "write HOST:CONTAINER, as in 8080:80"
_PROTOCOL_HINT = "write tcp or udp"

Span = tuple[int, int]


def ports(node: Node, path: Path, findings: Findings) -> Node:
    """The list in its long form: `target` a number, `published` a string, `protocol` and `mode` always there."""
    done: list[Node] = []
    for index, item in enumerate(node.elements):
        here = (*path, index)
        if isinstance(item.value, dict):
            long = _checked_long(item, here, findings)
            done += [long] if long is not None else []
        else:
            done += _from_short(item, here, findings)
    return node.with_value(done)


def port_key(item: Node) -> str:
    """What makes two entries of `ports` one: `host_ip:published:target/protocol`."""
    fields = {key: item.items[key].text for key in ("host_ip", "published", "target", "protocol") if key in item.items}
    protocol = (fields.get("protocol") or "tcp").lower()
    return f"{fields.get('host_ip') or EVERY_IPV4}:{fields.get('published', '')}:{fields.get('target')}/{protocol}"


def exposed(node: Node, path: Path, findings: Findings) -> Node:
    """`expose:` with everything left out that is no port."""
    return node.with_value([
        item for index, item in enumerate(node.elements) if _is_exposable(item, (*path, index), findings)
    ])  # fmt: skip


def plain_exposed(text: str) -> str:
    """`80` → `80/tcp`, `53/UDP` → `53/udp`."""
    numbers, _, protocol = text.partition("/")
    return f"{numbers}/{protocol.lower() or 'tcp'}"


def plain_published(text: str) -> str:
    """What is asked for: "" any port, `8080`, or `8000-9000`. Zero is any."""
    first, last = parse_span(text) or (0, 0)
    if not last:
        return ""
    return str(first) if first == last else f"{first}-{last}"


def parse_span(text: str) -> Span | None:
    """`80` or `80-90` as first and last; None if it is neither."""
    first, dash, last = text.partition("-")
    words = (first, last) if dash else (first, first)
    if not all(word.isascii() and word.isdecimal() and len(word) < 10 for word in words):
        return None
    low, high = (int(word) for word in words)
    return (low, high) if low <= high <= _LAST else None


def _from_short(item: Node, path: Path, findings: Findings) -> list[Node]:
    """`[[ip]:][host[-host]]:container[-container][/protocol]`."""

    def refused(message: str, hint: str = _HINT) -> list[Node]:
        findings.complain(message, item.mark, path, hint)
        return []

    text = item.text
    bare, _, protocol = text.partition("/")
    rest, _, container = bare.rpartition(":")
    host_ip, _, host = rest.rpartition(":")
    if host_ip.startswith("[") and host_ip.endswith("]"):
        host_ip = host_ip[1:-1]
    targets = parse_span(container)
    published = parse_span(host) if host else (0, 0)
    if targets is None or published is None:
        return refused(f"not a port: {shown(text)!r}")
    if not targets[0]:
        return refused(f"0 is not a port of a container: {shown(text)!r}")
    if host_ip and not shortest_address(host_ip):
        return refused(f"not an IP address: {shown(host_ip)!r}", f"as in 127.0.0.1:{host or container}:{container}")
    if not _is_protocol(protocol, item, path, findings):
        return []
    size = targets[1] - targets[0]
    many = bool(host) and published[1] - published[0] != size
    if many and size:
        return refused(f"the ranges differ in length: {shown(host)} and {shown(container)}", "as in 8000-8009:80-89")
    findings.ports += size + 1
    if findings.ports > MAX_PORTS:
        return refused(f"more than {MAX_PORTS} ports", "publish fewer")
    kind = protocol.lower() or "tcp"
    done: list[Node] = []
    # as docker compose lists them: in the order of their texts
    for target in sorted(range(targets[0], targets[1] + 1), key=lambda port: f"{port}/{kind}"):
        entries: dict[str, str | int] = {"mode": "ingress", "target": target, "protocol": kind}
        if host:
            first = published[0] + target - targets[0]
            entries["published"] = f"{published[0]}-{published[1]}" if many else str(first)
        if host_ip:
            entries["host_ip"] = host_ip
        done.append(Node({key: Node(value, item.mark) for key, value in entries.items()}, item.mark))
    return done


def _checked_long(item: Node, path: Path, findings: Findings) -> Node | None:
    entries = dict(item.items)
    if findings.touches(path):
        return None
    for key, node in entries.items():
        if node.value is None and not key.startswith("x-"):
            findings.complain("must be a value, not null", node.key or node.mark, (*path, key), "remove the key")
            return None
    target = entries.get("target")
    if target is None:
        findings.complain("`target` is missing", item.mark, path, "the port of the container")
        return None
    if not isinstance(target.value, int) or not 0 < target.value <= _LAST:
        findings.complain(f"a port is 1 to {_LAST}, not {shown(target.text)}", target.mark, (*path, "target"))
        return None
    published, host_ip, protocol = (entries.get(key) for key in ("published", "host_ip", "protocol"))
    if published is not None and published.text and parse_span(published.text) is None:
        message = f"not a port of the machine: {shown(published.text)!r}"
        findings.complain(message, published.mark, (*path, "published"), "write 8080, or 8000-9000 for a free one")
        return None
    if host_ip is not None and not shortest_address(host_ip.text):
        findings.complain(f"not an IP address: {shown(host_ip.text)!r}", host_ip.mark, (*path, "host_ip"))
        return None
    if protocol is not None and not _is_protocol(protocol.text, protocol, (*path, "protocol"), findings):
        return None
    findings.ports += 1
    return item.with_value({"mode": Node("ingress", item.mark), "protocol": Node("tcp", item.mark), **entries})


def _is_protocol(word: str, node: Node, path: Path, findings: Findings) -> bool:
    if word.lower() in {"", "tcp", "udp", "sctp"}:
        return True
    findings.complain(f"unknown protocol {shown(word)!r}", node.mark, path, _PROTOCOL_HINT)
    return False


def _is_exposable(item: Node, path: Path, findings: Findings) -> bool:
    numbers, _, protocol = item.text.partition("/")
    span = parse_span(numbers)
    if span is not None and span[0] and protocol.lower() in {"", "tcp", "udp", "sctp"}:
        return True
    hint = "nothing of the machine stands here" if ":" in numbers else "as in 80, 8000-8010 or 53/udp"
    findings.complain(f"not a port: {shown(item.text)!r}", item.mark, path, hint)
    return False
