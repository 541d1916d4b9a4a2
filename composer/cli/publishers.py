"""The ports of a container as docker shows them. Loaded without typer, and only where a container has ports."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from composer.actual.state import ActualContainer
from composer.model.wiring import Wiring
from composer.paths import Paths

_WILDCARDS = {4: "0.0.0.0", 6: "::"}  # noqa: S104  words to show, nothing is bound
_LAST = 65535


class Publisher(NamedTuple):
    """One port of a container: where it is published, or `url` "" and `published` 0 if it is only exposed."""

    url: str
    target: int
    published: int
    protocol: str

    def as_json(self) -> dict[str, Any]:
        """With docker compose's keys."""
        return {
            "URL": self.url,
            "TargetPort": self.target,
            "PublishedPort": self.published,
            "Protocol": self.protocol,
        }


def publishers_of(paths: Paths, one: ActualContainer) -> tuple[Publisher, ...]:
    """What a container that runs has, by its record and those of its networks; one that does not has nothing."""
    wirings: list[Wiring] = []
    if one.status.is_alive and any(not entry.host_ip for entry in one.published):
        from composer.host import networks

        found = (networks.read(paths, name) for name in network_names(one.spec))
        wirings = [wiring for wiring in found if wiring is not None]
    return publishers(one, wirings)


def publishers(one: ActualContainer, wirings: Iterable[Wiring]) -> tuple[Publisher, ...]:
    """The same, of the networks given. A port of all addresses has two entries where IPv6 leads to it, too: only the
    rules of its networks say so.
    """
    if not one.status.is_alive:
        return ()
    leases = [wiring.leases[one.id] for wiring in wirings if one.id in wiring.leases]
    versions: dict[tuple[str, int, int], set[int]] = {}
    for rule in (rule for lease in leases for rule in lease.publications):
        key = (rule.protocol, rule.published, rule.target)
        versions.setdefault(key, set()).add(6 if ":" in rule.address else 4)
    done: dict[Publisher, None] = {}
    for protocol, host_ip, published, target in one.published:
        known = versions.get((protocol, published, target), {4})
        for url in (host_ip,) if host_ip else [_WILDCARDS[version] for version in sorted(known)]:
            done[Publisher(url, target, published, protocol)] = None
    taken = {(entry.target, entry.protocol) for entry in done}
    for target, protocol in _exposed(one.spec) if network_names(one.spec) else ():
        if (target, protocol) not in taken:
            done[Publisher("", target, 0, protocol)] = None
    return tuple(sorted(done))


def network_names(spec: Mapping[str, Any]) -> tuple[str, ...]:
    """The networks that a recorded spec names; what cannot be read is left out."""
    ends = spec.get("networks")
    names = (end.get("network") for end in (ends if isinstance(ends, list) else ()) if isinstance(end, Mapping))
    return tuple(name for name in names if isinstance(name, str) and name)


def _exposed(spec: Mapping[str, Any]) -> dict[tuple[int, str], None]:
    """Port and protocol of each entry of `expose`, ranges port by port."""
    entries = spec.get("expose")
    done: dict[tuple[int, str], None] = {}
    for entry in entries if isinstance(entries, list) else ():
        numbers, _, protocol = str(entry).partition("/")
        first, dash, last = numbers.partition("-")
        words = (first, last if dash else first)
        if all(word.isascii() and word.isdecimal() and len(word) <= len(str(_LAST)) for word in words):
            low, high = map(int, words)
            done.update(dict.fromkeys((number, protocol or "tcp") for number in range(low, min(high, _LAST) + 1)))
    return done


def ports_text(found: Collection[Publisher]) -> str:
    """`0.0.0.0:8080->80/tcp, 443/tcp`, as docker writes it: neighbours that are led to themselves are one range."""
    in_order = sorted(found, key=lambda one: (one.target, one.url, one.published, one.protocol))
    straight = [one for one in in_order if not one.url or one.published == one.target]
    runs: dict[tuple[str, str], list[list[int]]] = {}
    for one in straight:
        spans = runs.setdefault((one.url, one.protocol), [])
        if spans and spans[-1][1] + 1 == one.target:
            spans[-1][1] = one.target
        else:
            spans.append([one.target, one.target])
    parts = [
        _straight(url, protocol, first, last)
        for (url, protocol), spans in runs.items()
        for first, last in spans
    ]  # fmt: skip
    parts += [
        f"{address(one.url, one.published)}->{one.target}/{one.protocol}"
        for one in in_order
        if one.url and one.published != one.target
    ]
    return ", ".join(parts)


def _straight(url: str, protocol: str, first: int, last: int) -> str:
    span = str(first) if first == last else f"{first}-{last}"
    return f"{address(url, span)}->{span}/{protocol}" if url else f"{span}/{protocol}"


def address(url: str, port: int | str) -> str:
    """`0.0.0.0:80`, `[::]:80`."""
    return f"[{url}]:{port}" if ":" in url else f"{url}:{port}"
