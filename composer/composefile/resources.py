"""Limits, devices and GPUs of a service: short to long, what must hold of each, and between those of one meaning.

The canonical rules run on one document; `check_resources` on the merged services. What docker compose reads and its
engine then refuses is refused when containers are made (`Findings.refuse`), not when the file is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from composer.composefile.canonical import paired
from composer.composefile.hostpaths import Base
from composer.composefile.tree import Findings, Node, Path, path_text, shown

_RESERVED: Final = ("deploy", "resources", "reservations")
_LIMITED: Final = ("deploy", "resources", "limits")
_TWINS: Final = (
    ("cpus", _LIMITED, "cpus"),
    ("mem_limit", _LIMITED, "memory"),
    ("pids_limit", _LIMITED, "pids"),
    ("mem_reservation", _RESERVED, "memory"),
)
"""Keys of one meaning: if there is the block of the second, both must say the same."""
_DEVICE_KEYS: Final = ("source", "target", "permissions")
_LEAST_MEMORY: Final = 6 << 20
"""Bytes: with less, docker says, a container cannot even start."""
_SHARES: Final = (2, 262144)
_PERIOD: Final = (1000, 1_000_000)
_WEIGHT: Final = (10, 1000)
_RULE: Final = re.compile(r"[acb] ([0-9]{1,9}|\*):([0-9]{1,9}|\*) [rwm]{1,3}")
_CPUS: Final = re.compile(r"[0-9]{1,5}(-[0-9]{1,5})?(,[0-9]{1,5}(-[0-9]{1,5})?)*")
_CDI: Final = re.compile(
    r"[A-Za-z]([\w.-]*[A-Za-z0-9])?/[A-Za-z]([\w-]*[A-Za-z0-9])?=[A-Za-z0-9]([\w.:-]*[A-Za-z0-9])?", re.ASCII
)


def is_cdi_name(text: str) -> bool:
    """Is this a device's full name by the Container Device Interface: `vendor.com/class=name`?"""
    return _CDI.fullmatch(text) is not None


# Short to long --------------------------------------------------------------------------------------------


def devices(node: Node, path: Path, _base: Base, findings: Findings) -> Node:
    """Each `HOST[:CONTAINER[:rwm]]` as a mapping."""
    done = (_device(item, (*path, index), findings) for index, item in enumerate(node.elements))
    return node.with_value([item for item in done if item is not None])


def _device(node: Node, path: Path, findings: Findings) -> Node | None:
    if isinstance(node.value, dict):
        source = node.at("source")
        if source is None:
            if not findings.touches(path):
                findings.complain("`source` is missing", node.mark, path)
            return None
        entries = dict(node.items)
        entries.setdefault("target", Node(source.value, source.mark))
        return node.with_value(entries)
    parts = node.text.split(":")
    if len(parts) > 3:
        hint = "write HOST, HOST:CONTAINER or HOST:CONTAINER:rwm, or {source: …, target: …}"
        findings.complain(f"too many colons: {shown(node.text)!r}", node.mark, path, hint)
        return None
    target = (parts[1] if len(parts) > 1 else "") or parts[0]
    permissions = parts[2] if len(parts) == 3 else "rwm"
    texts = zip(_DEVICE_KEYS, (parts[0], target, permissions), strict=True)
    return node.with_value({key: Node(text, node.mark) for key, text in texts})


def gpus(node: Node, path: Path, base: Base, findings: Findings) -> Node:
    """`all` as a list of one request."""
    if isinstance(node.value, str):
        return node.with_value([Node({"count": Node(-1, node.mark)}, node.mark)])
    return _requests(node, path, base, findings)


def deploy(node: Node, path: Path, base: Base, findings: Findings) -> Node:
    """`deploy` with its requests for devices in long form."""
    resources, reserved = node.at("resources"), node.at("resources", "reservations")
    requests = reserved.at("devices") if reserved else None
    if resources is None or reserved is None or requests is None or not isinstance(requests.value, list):
        return node
    path = (*path, "resources", "reservations", "devices")
    for index, item in enumerate(requests.elements):
        if item.at("capabilities") is None and not findings.touches((*path, index)):
            hint = "as in capabilities: [gpu]"
            findings.complain("`capabilities` is missing", item.mark, (*path, index), hint)
    done = reserved.with_value({**reserved.items, "devices": _requests(requests, path, base, findings)})
    return node.with_value({**node.items, "resources": resources.with_value({**resources.items, "reservations": done})})


def _requests(node: Node, path: Path, base: Base, findings: Findings) -> Node:
    return node.with_value([
        _request(item, (*path, index), base, findings) for index, item in enumerate(node.elements)
    ])  # fmt: skip


def _request(node: Node, path: Path, base: Base, findings: Findings) -> Node:
    entries = dict(node.items)
    if "count" in entries and "device_ids" in entries:
        findings.complain("`count` and `device_ids` exclude each other", node.mark, path, "leave one of them out")
    if "count" not in entries and "device_ids" not in entries and not findings.touches(path):
        entries["count"] = Node(-1, node.mark)
    options = entries.get("options")
    if options is not None and options.value is not None:
        pairs = paired(options, (*path, "options"), base, findings)
        filled = {key: item.with_value(item.text) for key, item in pairs.items.items()}
        entries["options"] = pairs.with_value(filled)
    return node.with_value(entries)


# What must hold -------------------------------------------------------------------------------------------


def check_resources(services: Mapping[str, Node], limits: Node | None, findings: Findings) -> None:
    """Complains about what contradicts itself; refuses what docker's engine refuses. `limits`: the stack's."""
    for name, service in services.items():
        path: Path = ("services", name)
        _check_twins(service, path, findings)
        refusals = (*_beside(service, limits), *_memory(service), *_cpu(service), *_disks(service), *_devices(service))
        for place, node, message, hint in refusals:
            findings.refuse(message, node.mark, (*path, *place), hint)
    memory = limits.at("memory") if limits else None
    if memory is not None and 0 < number_at(memory) < _LEAST_MEMORY:
        message = f"{memory.text} bytes are too few for a container to start"
        findings.refuse(message, memory.mark, ("x-jocker", "limits", "memory"), "give the stack 6m or more")


def _check_twins(service: Node, path: Path, findings: Findings) -> None:
    for key, block, twin in _TWINS:
        node, parent = service.at(key), service.at(*block)
        if node is None or parent is None or not node.value:
            continue
        other = parent.at(twin)
        if other is None or other.value != node.value:
            there = path_text((*block, twin))
            message = f"this is {node.text}, but {there} is {other.text if other else 'not set'}"
            findings.complain(message, node.mark, (*path, key), "write one of them, or the same value twice")


Refusal = tuple[Path, Node, str, str]


def number_at(service: Node, *keys: str) -> int:
    """The whole number there, 0 if there is none."""
    node = service.at(*keys)
    return node.value if node is not None and isinstance(node.value, int) else 0


def limit_of(service: Node, key: str, *twin: str) -> tuple[Path, int]:
    """A limit and where it stands: in `deploy.resources`, or by its own key."""
    path = (*(_RESERVED if key == "mem_reservation" else _LIMITED), *twin)
    amount = number_at(service, *path)
    return (path, amount) if amount else ((key,), number_at(service, key))


def _beside(service: Node, limits: Node | None) -> Iterator[Refusal]:
    """No container may have more CPUs than the whole stack: cgroup v1 would refuse it."""
    cap = limits.at("cpus") if limits else None
    short, long = ("cpus",), (*_LIMITED, "cpus")
    node = service.at(*long)
    place, node = (long, node) if node is not None and node.value else (short, service.at(*short))
    if cap is not None and node is not None and _amount(node) > _amount(cap) > 0:
        yield place, node, f"{node.text} CPUs are more than the whole stack may have, {cap.text}", "see x-jocker.limits"


def _amount(node: Node) -> float:
    return node.value if isinstance(node.value, (int, float)) else 0.0


def _memory(service: Node) -> Iterator[Refusal]:
    def refusal(place: Path, message: str, hint: str = "") -> Refusal:
        node = service.at(*map(str, place))
        return place, node or service, message, hint

    limit_place, limit = limit_of(service, "mem_limit", "memory")
    kept_place, kept = limit_of(service, "mem_reservation", "memory")
    swap, swappiness = number_at(service, "memswap_limit"), number_at(service, "mem_swappiness")
    if 0 < limit < _LEAST_MEMORY:
        yield refusal(limit_place, f"{limit} bytes are too few for a container to start", "give it 6m or more")
    if 0 < kept < _LEAST_MEMORY:
        yield refusal(kept_place, f"{kept} bytes are less than a container needs to start", "give it 6m or more")
    if 0 < limit < kept:
        yield refusal(kept_place, f"{kept} bytes are more than the limit of its memory, {limit}")
    if swap > 0 and not limit:
        yield refusal(("memswap_limit",), "needs a limit of memory, too", "add mem_limit")
    elif 0 < swap < limit:
        hint = "it counts memory and swap together"
        yield refusal(("memswap_limit",), f"{swap} bytes are less than the limit of its memory, {limit}", hint)
    if swappiness > 100:
        yield refusal(("mem_swappiness",), f"must be 0 to 100: {swappiness}")


def _cpu(service: Node) -> Iterator[Refusal]:
    def between(key: str, least: int, most: int, unit: str, also: int = 0) -> Iterator[Refusal]:
        node, amount = service.at(key), number_at(service, key)
        if node is not None and amount not in {0, also} and not least <= amount <= most:
            yield (key,), node, f"must be {least} to {most}{unit}: {amount}", ""

    endless = 1 << 62
    yield from between("cpu_shares", *_SHARES, "")
    yield from between("cpu_period", *_PERIOD, " microseconds")
    yield from between("cpu_quota", 1000, endless, " microseconds", also=-1)
    yield from between("cpu_rt_period", 1, endless, " microseconds")
    yield from between("cpu_rt_runtime", 1, endless, " microseconds")
    yield from between("oom_score_adj", -1000, 1000, "")
    runtime, period = service.at("cpu_rt_runtime"), number_at(service, "cpu_rt_period")
    if runtime is not None and period and number_at(service, "cpu_rt_runtime") > period:
        yield ("cpu_rt_runtime",), runtime, f"{runtime.text} is more than cpu_rt_period, {period}", ""
    limited = service.at("deploy", "resources", "limits", "cpus") or service.at("cpus")
    if limited is not None and limited.value:
        for key in ("cpu_period", "cpu_quota"):
            node = service.at(key)
            if node is not None and node.value:
                yield (key,), node, "excludes a number of CPUs", "write cpus, or cpu_period and cpu_quota"
    cpuset = service.at("cpuset")
    if cpuset is not None and cpuset.text and not _is_cpuset(cpuset.text):
        yield ("cpuset",), cpuset, f"not a list of CPUs: {shown(cpuset.text)!r}", 'as in "0-3,5"'


def _is_cpuset(text: str) -> bool:
    spans = [part.split("-") for part in text.split(",")]
    return _CPUS.fullmatch(text) is not None and all(int(span[0]) <= int(span[-1]) for span in spans)


def _disks(service: Node) -> Iterator[Refusal]:
    config = service.at("blkio_config")
    if config is None:
        return
    weight = config.at("weight")
    if weight is not None and weight.value and not _is_weight(weight):
        yield ("blkio_config", "weight"), weight, f"must be {_WEIGHT[0]} to {_WEIGHT[1]}: {weight.text}", ""
    for key, node in config.items.items():
        for index, item in enumerate(node.elements):
            place: Path = ("blkio_config", key, index)
            where = item.at("path")
            if where is None or not where.text.startswith("/"):
                told = shown(where.text) if where else ""
                hint = "as in /dev/sda"
                yield (*place, "path"), where or item, f"must be the absolute path of a disk, not {told!r}", hint
            amount = item.at("weight")
            if key == "weight_device" and (amount is None or not _is_weight(amount)):
                told = amount.text if amount else "0"
                yield (*place, "weight"), amount or item, f"must be {_WEIGHT[0]} to {_WEIGHT[1]}: {told}", ""


def _is_weight(node: Node) -> bool:
    return isinstance(node.value, int) and _WEIGHT[0] <= node.value <= _WEIGHT[1]


def _devices(service: Node) -> Iterator[Refusal]:
    rules, listed = service.at("device_cgroup_rules"), service.at("devices")
    for index, rule in enumerate(rules.elements if rules else ()):
        if not _RULE.fullmatch(rule.text):
            place: Path = ("device_cgroup_rules", index)
            yield place, rule, f"not a rule for devices: {shown(rule.text)!r}", 'as in "c 1:3 mr" or "b *:* r"'
    for index, item in enumerate(listed.elements if listed else ()):
        yield from _one_device(item, ("devices", index))


def _one_device(item: Node, place: Path) -> Iterator[Refusal]:
    source, target, permissions = (node.text if (node := item.at(key)) else "" for key in _DEVICE_KEYS)
    if source == target and is_cdi_name(source):
        return
    if not source.startswith("/") or "\0" in source:
        hint = "or the name of a CDI device, as in vendor.com/class=name"
        message = f"must be the absolute path of a device, not {shown(source)!r}"
        yield (*place, "source"), item.at("source") or item, message, hint
    elif not target.startswith("/") or "\0" in target:
        message = f"must be an absolute path of the container, not {shown(target)!r}"
        yield (*place, "target"), item.at("target") or item, message, ""
    if not set("rwm").issuperset(permissions) or len(set(permissions)) != len(permissions):
        message = f"must be some of r, w and m, not {shown(permissions)!r}"
        yield (*place, "permissions"), item.at("permissions") or item, message, ""
