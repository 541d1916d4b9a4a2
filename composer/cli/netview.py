"""Networks as docker shows them: lists, filters, JSON. Knows no machine."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from composer.cli.text import table
from composer.composefile.networks import BRIDGE_NAME, HOST_BINDING, ICC, MASQUERADE, MTU
from composer.digest import sha256_hex
from composer.errors import NetworkError, UsageError
from composer.model.wiring import Lease, Wiring

DRIVER = "bridge"
_SHORT = 12
_SHORTEST = 4
"""Digits of an id that are enough to mean a network."""
_KEYS = ("driver", "id", "label", "name")


def network_id(name: str) -> str:
    """The id of a network, which follows from its name; its first 12 digits name its namespace (`net-…`)."""
    return sha256_hex(name.encode(errors="surrogatepass"))


def meant(text: str, found: Mapping[str, Wiring]) -> Wiring:
    """The network (of those, by name) that a name or the beginning of an id means. Raises `NetworkError`."""
    if text in found:
        return found[text]
    fitting = [one for name, one in found.items() if len(text) >= _SHORTEST and network_id(name).startswith(text)]
    if len(fitting) > 1:
        raise NetworkError(f"{text} is the beginning of several ids", hint="write more of it, or the name")
    if not fitting:
        raise NetworkError(f"no such network: {text}", hint="jocker network ls shows all")
    return fitting[0]


def filtered(found: Iterable[Wiring], filters: Iterable[str]) -> list[Wiring]:
    """Those that fit `KEY=VALUE` filters: one of each key's, all of the labels. Raises `UsageError`."""
    wanted: dict[str, list[str]] = {}
    for text in filters:
        key, equals, value = text.partition("=")
        if key not in _KEYS or not equals:
            raise UsageError(f"--filter {text!r}", hint=f"write KEY=VALUE; keys are {', '.join(_KEYS)}")
        wanted.setdefault(key, []).append(value)
    return [one for one in found if _fits(one, wanted)]


def _fits(one: Wiring, wanted: Mapping[str, list[str]]) -> bool:
    for key, values in wanted.items():
        match key:
            case "name":
                fits = any(value in one.name for value in values)
            case "id":
                fits = any(network_id(one.name).startswith(value) for value in values)
            case "driver":
                fits = DRIVER in values
            case _:
                fits = all(_has_label(one, value) for value in values)
        if not fits:
            return False
    return True


def _has_label(one: Wiring, text: str) -> bool:
    name, equals, value = text.partition("=")
    return name in one.labels and (not equals or one.labels[name] == value)


def as_table(found: Iterable[Wiring], *, no_trunc: bool = False) -> str:
    """NETWORK ID, NAME, DRIVER, SCOPE."""
    rows = [(_id(one, no_trunc=no_trunc), one.name, DRIVER, "local") for one in found]
    return table(("NETWORK ID", "NAME", "DRIVER", "SCOPE"), rows)


def as_ids(found: Iterable[Wiring], *, no_trunc: bool = False) -> str:
    """An id per line."""
    return "".join(f"{_id(one, no_trunc=no_trunc)}\n" for one in found)


def as_lines(found: Iterable[Wiring], *, no_trunc: bool = False) -> str:
    """A JSON object per line, all values texts."""
    return "".join(
        json.dumps({
            "CreatedAt": _moment(one.created_at, "%Y-%m-%d %H:%M:%S.%f +0000 UTC"),
            "Driver": DRIVER,
            "ID": _id(one, no_trunc=no_trunc),
            "IPv4": _word(bool(one.subnet4)),
            "IPv6": _word(bool(one.subnet6)),
            "Internal": _word(one.internal),
            "Labels": ",".join(f"{key}={value}" for key, value in sorted(one.labels.items())),
            "Name": one.name,
            "Scope": "local",
        }) + "\n"
        for one in found
    )  # fmt: skip


def inspected(one: Wiring, names: Mapping[str, str]) -> dict[str, Any]:
    """All about a network in docker's words. `names` are those of the containers that are on it, by id: also of
    stopped ones, which keep their addresses.
    """
    return {
        "Name": one.name,
        "Id": network_id(one.name),
        "Created": _moment(one.created_at, "%Y-%m-%dT%H:%M:%S.%fZ"),
        "Scope": "local",
        "Driver": DRIVER,
        "EnableIPv4": bool(one.subnet4),
        "EnableIPv6": bool(one.subnet6),
        "IPAM": {"Driver": "default", "Options": {}, "Config": _subnets(one)},
        "Internal": one.internal,
        "Attachable": one.attachable,
        "Ingress": False,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": False,
        "Containers": {
            container_id: _end(one, one.leases[container_id], name)
            for container_id, name in sorted(names.items(), key=lambda pair: (pair[1], pair[0]))
        },
        "Options": _options(one),
        "Labels": dict(sorted(one.labels.items())),
    }


def _subnets(one: Wiring) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for subnet, reach, gateway in (
        (one.subnet4, one.range4, one.gateway4),
        (one.subnet6, one.range6, one.gateway6),
    ):
        if not subnet:
            continue
        spared = {name: at for name, at in sorted(one.reserved.items()) if (":" in at) == (":" in subnet)}
        found.append({
            "Subnet": subnet,
            **({"IPRange": reach} if reach else {}),
            "Gateway": gateway,
            **({"AuxiliaryAddresses": spared} if spared else {}),
        })  # fmt: skip
    return found


def _end(one: Wiring, lease: Lease, name: str) -> dict[str, str]:
    return {
        "Name": name,
        "MacAddress": lease.mac,
        "IPv4Address": _interface(lease.ipv4, one.subnet4),
        "IPv6Address": _interface(lease.ipv6, one.subnet6),
    }


def _interface(address: str, subnet: str) -> str:
    return f"{address}/{subnet.partition('/')[2]}" if address else ""


def _options(one: Wiring) -> dict[str, str]:
    """What differs from the defaults, as `--opt` has it."""
    options = {
        MTU: str(one.mtu) if one.mtu else "",
        BRIDGE_NAME: "" if one.bridge == "br0" else one.bridge,
        ICC: "" if one.icc else "false",
        MASQUERADE: "" if one.masquerade else "false",
        HOST_BINDING: one.host_binding,
    }
    return {key: value for key, value in sorted(options.items()) if value}


def _id(one: Wiring, *, no_trunc: bool) -> str:
    return network_id(one.name)[: None if no_trunc else _SHORT]


def _word(value: bool) -> str:
    return "true" if value else "false"


def _moment(seconds: float, form: str) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC).strftime(form)
