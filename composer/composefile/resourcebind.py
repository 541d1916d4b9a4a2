"""Limits, devices and GPUs of a service, to the model's values, and as `config` prints them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from composer.composefile.resources import limit_of, number_at
from composer.composefile.tree import Node, plain
from composer.model.resources import DISK_KEYS, Device, DeviceRequest, DiskLimit, Resources, StackLimits

_SIZES: Final = frozenset({"memory", "rate"})
_GPU: Final = "gpu"
_ALL: Final[Mapping[str, Any]] = {"count": 0, "device_ids": []}
"""Without one of these, even if it says 0, a request is for all devices."""


def bind_resources(service: Node) -> Resources | None:
    """What the service says of it; None = nothing."""
    flag, cpuset = service.at("oom_kill_disable"), service.at("cpuset")
    rules, devices = service.at("device_cgroup_rules"), service.at("devices")
    disks = {key: _disks(service.at("blkio_config", key)) for key in DISK_KEYS}
    found = Resources(
        cpu_shares=number_at(service, "cpu_shares"),
        cpu_period=number_at(service, "cpu_period"),
        cpu_quota=number_at(service, "cpu_quota"),
        cpu_rt_period=number_at(service, "cpu_rt_period"),
        cpu_rt_runtime=number_at(service, "cpu_rt_runtime"),
        cpuset=cpuset.text if cpuset else "",
        mem_reservation=limit_of(service, "mem_reservation", "memory")[1],
        mem_swappiness=number_at(service, "mem_swappiness"),
        memswap_limit=number_at(service, "memswap_limit"),
        oom_kill_disable=flag is not None and flag.value is True,
        oom_score_adj=number_at(service, "oom_score_adj"),
        blkio_weight=number_at(service, "blkio_config", "weight"),
        device_cgroup_rules=tuple(rule.text for rule in rules.elements) if rules else (),
        devices=tuple(Device(**_texts(item)) for item in devices.elements) if devices else (),
        gpus=_requests(service),
        **disks,
    )
    return found if found != Resources() else None


def limits_of(service: Node) -> tuple[int, float, int]:
    """The limits of memory, CPUs and processes: those of `deploy.resources` win."""
    node = service.at("deploy", "resources", "limits", "cpus")
    cpus = node if node is not None and node.value else service.at("cpus")
    memory, pids = limit_of(service, "mem_limit", "memory")[1], limit_of(service, "pids_limit", "pids")[1]
    return memory, float(cast("float", cpus.value)) if cpus else 0.0, pids


def bind_stack_limits(node: Node) -> StackLimits | None:
    """`x-jocker.limits`; None if it limits nothing."""
    cpus = node.at("cpus")
    limits = StackLimits(
        memory=number_at(node, "memory"),
        cpus=float(cast("float", cpus.value)) if cpus and cpus.value else 0.0,
        pids=number_at(node, "pids"),
    )
    return limits if any(limits) else None


def _disks(node: Node | None) -> tuple[DiskLimit, ...]:
    return tuple(
        DiskLimit(_text(item, "path"), number_at(item, "weight") or number_at(item, "rate"))
        for item in (node.elements if node else ())
    )


def _texts(item: Node) -> dict[str, str]:
    return {key: _text(item, key) for key in ("source", "target", "permissions")}


def _requests(service: Node) -> tuple[DeviceRequest, ...]:
    """Those of `deploy`, then `gpus`: each of these is for a GPU, whatever else it is for."""
    reserved, gpus = service.at("deploy", "resources", "reservations", "devices"), service.at("gpus")
    found = [_request(item) for item in (reserved.elements if reserved else ())]
    for item in gpus.elements if gpus else ():
        request = _request(item)
        found.append(request._replace(capabilities=tuple(dict.fromkeys((*request.capabilities, _GPU)))))
    return tuple(found)


def _request(item: Node) -> DeviceRequest:
    ids, capabilities, options = item.at("device_ids"), item.at("capabilities"), item.at("options")
    return DeviceRequest(
        driver=_text(item, "driver"),
        amount=number_at(item, "count"),
        device_ids=tuple(one.text for one in ids.elements) if ids else (),
        capabilities=tuple(one.text for one in capabilities.elements) if capabilities else (),
        options=tuple((key, value.text) for key, value in sorted(options.items.items())) if options else (),
    )


def _text(node: Node, key: str) -> str:
    child = node.at(key)
    return child.text if child else ""


# As `config` prints them ----------------------------------------------------------------------------------


def printed(key: str, node: Node) -> Any:
    """The value of one of these keys of a service (`resources`: that of `deploy`), as docker compose prints it."""
    match key:
        case "mem_limit" | "shm_size" | "mem_reservation" | "memswap_limit" | "mem_swappiness":
            return node.text if node.value else None
        case "blkio_config":
            return _blkio(node)
        case "devices":
            return [_printed_device(item) for item in node.elements]
        case "gpus":
            return [_printed_request(item, _ALL) for item in node.elements]
        case "storage_opt":
            return {name: item.text for name, item in node.items.items()}
        case "resources":
            return {part: _part(child) for part, child in node.items.items()}
        case _:
            return plain(node)


def _blkio(node: Node) -> dict[str, Any]:
    done: dict[str, Any] = {}
    for key, child in node.items.items():
        if key == "weight":
            if child.value:
                done[key] = child.value
        elif child.elements:
            amount = "weight" if key == "weight_device" else "rate"
            nothing: Any = 0 if amount == "weight" else "0"
            done[key] = [
                {"path": _text(item, "path"), amount: _number(amount, given) if (given := item.at(amount)) else nothing}
                for item in child.elements
            ]
    return done


def _part(node: Node) -> Any:
    """`limits` or `reservations`."""
    if not isinstance(node.value, dict):
        return plain(node)
    done: dict[str, Any] = {}
    for key, child in node.items.items():
        if key.startswith("x-"):
            done[key] = plain(child)
        elif key == "devices":
            done[key] = [_printed_request(item, {**_ALL, "capabilities": []}) for item in child.elements]
        elif key == "generic_resources":
            done[key] = [_generic(item) for item in child.elements]
        else:
            done[key] = _number(key, child) if child.value else None
    return {key: value for key, value in done.items() if key.startswith("x-") or value}


def _number(key: str, node: Node) -> Any:
    if key in _SIZES:
        return node.text
    if isinstance(node.value, float) and node.value.is_integer():
        return int(node.value)
    return node.value


def _generic(node: Node) -> dict[str, Any]:
    done = {key: plain(child) for key, child in node.items.items() if key.startswith("x-")}
    spec = node.at("discrete_resource_spec")
    if spec is not None:
        others = {key: plain(child) for key, child in spec.items.items() if key.startswith("x-")}
        done["discrete_resource_spec"] = {"kind": _text(spec, "kind"), "value": number_at(spec, "value"), **others}
    return done


def _printed_request(item: Node, kept: Mapping[str, Any]) -> dict[str, Any]:
    """Without extensions, as docker compose. What is empty is left out unless it says something: those in `kept`."""
    values = {key: plain(child) for key, child in item.items.items() if not key.startswith("x-")}
    return {key: value for key, value in values.items() if value or kept.get(key) == value}


def _printed_device(item: Node) -> dict[str, Any]:
    values = {key: plain(child) for key, child in item.items.items()}
    return {key: value for key, value in values.items() if key.startswith("x-") or key == "source" or value}
