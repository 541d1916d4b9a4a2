"""Networks: what becomes of each that services are on, and what differs of one that is to be made anew."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any, Literal

from composer.actual.state import ActualNetwork, ActualStack
from composer.desired.networks import BRIDGE
from composer.desired.state import DesiredNetwork, DesiredStack
from composer.errors import NetworkError
from composer.frozen import frozen
from composer.model.network import Subnet
from composer.model.wiring import Wiring
from composer.plan.diff import summary

Action = Literal["keep", "create", "repair", "remake"]


@frozen(kw_only=False)
class NetworkVerdict:
    """What is to be done with one network, and why."""

    network: DesiredNetwork
    action: Action
    because: str = ""
    differences: tuple[str, ...] = ()


def judge_networks(
    desired: DesiredStack, actual: ActualStack, names: Collection[str]
) -> tuple[dict[str, NetworkVerdict], tuple[str, ...]]:
    """What becomes of the networks called `names`; and warnings. Raises `NetworkError` for one that must be there and
    is not, or that belongs to somebody else.
    """
    verdicts, warnings = {}, []
    for name in names:
        wanted, found = desired.networks[name], actual.networks.get(name)
        verdicts[name] = _judge(wanted, found)
        if found and _is_of_others(wanted, found.wiring) and found.wiring.project:
            warnings.append(
                f"network {name} was made for stack {found.wiring.project}: it is taken as it is; `external: true` "
                "says that this is meant"
            )
    return verdicts, tuple(warnings)


def _is_of_others(wanted: DesiredNetwork, found: Wiring) -> bool:
    return not wanted.external and wanted.name != BRIDGE and found.project != wanted.project


def _judge(wanted: DesiredNetwork, found: ActualNetwork | None) -> NetworkVerdict:
    if found is None:
        if wanted.external:
            raise NetworkError(
                f"network {wanted.name} is declared external, and it is not there",
                hint=f"jocker network create {wanted.name}",
            )
        return NetworkVerdict(wanted, "create", "it does not exist")
    is_of_others = _is_of_others(wanted, found.wiring)
    if is_of_others and found.wiring.key != wanted.key:
        owner = f"stack {found.wiring.project}" if found.wiring.project else "`jocker network create`"
        raise NetworkError(
            f"the name of network {wanted.name} is taken: that one was made by {owner}",
            hint=f"another `name`, or `external: true` to use it (networks.{wanted.key})",
        )
    if not (wanted.external or is_of_others) and found.wiring.config_hash != wanted.config_hash:
        changed = differences(found.wiring, wanted)
        return NetworkVerdict(wanted, "remake", summary(changed), changed)
    if found.faults:
        return NetworkVerdict(wanted, "repair", "; ".join(found.faults))
    return NetworkVerdict(wanted, "keep")


def differences(old: Wiring, new: DesiredNetwork) -> tuple[str, ...]:
    """A line per difference: `internal: false → true`."""
    pairs: list[tuple[str, Any, Any]] = [
        ("internal", old.internal, new.internal),
        ("attachable", old.attachable, new.attachable),
        ("enable_ipv4", bool(old.subnet4), new.enable_ipv4),
        ("enable_ipv6", bool(old.subnet6), new.enable_ipv6),
        ("mtu", old.mtu, new.mtu or old.mtu),
        ("bridge name", old.bridge, new.bridge_name or "br0"),
        ("enable_ip_masquerade", old.masquerade, new.masquerade),
        ("enable_icc", old.icc, new.icc),
        ("host_binding_ipv4", old.host_binding, new.host_binding),
    ]
    lines = [f"{name}: {_shown(was)} → {_shown(now)}" for name, was, now in pairs if was != now]
    lines += _labels(old, new)
    given = {one.subnet: one for one in new.subnets}
    for kept in _subnets(old):
        if new.subnets and kept.subnet not in given:
            lines.append(f"ipam: {kept.subnet} → {', '.join(sorted(given))}")
        elif kept.subnet in given and kept != given[kept.subnet]._replace(aux_addresses=()):
            lines.append(f"ipam.{kept.subnet}: another range or gateway")
    return tuple(lines)


def _labels(old: Wiring, new: DesiredNetwork) -> list[str]:
    def own(labels: Any) -> dict[str, str]:
        return {key: value for key, value in labels.items() if not key.startswith("com.docker.compose.")}

    before, after = own(old.labels), own(new.labels)
    return [
        f"labels.{key}: {_shown(before.get(key))} → {_shown(after.get(key))}"
        for key in sorted({*before, *after})
        if before.get(key) != after.get(key)
    ]


def _subnets(wiring: Wiring) -> list[Subnet]:
    both = (
        Subnet(wiring.subnet4, wiring.range4, wiring.gateway4),
        Subnet(wiring.subnet6, wiring.range6, wiring.gateway6),
    )
    return [one for one in both if one.subnet]


def _shown(value: Any) -> str:
    return "(none)" if value is None else json.dumps(value, ensure_ascii=False)
