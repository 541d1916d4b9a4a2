"""What may stand at the places of a service that limit it and give it devices: a part of `shapes`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from composer.composefile.kinds import Shape

_TEXT: Final = Shape(scalar="text")
_TEXTS: Final = Shape(items="text")
_PAIRS: Final = Shape(items="text", entries="scalar")
_KEYS: Final = Shape(entries="keys")
_COUNT: Final = Shape(scalar="count")
_WHOLE: Final = Shape(scalar="int")
_ITEMS: Final = Shape(items="*")


def _device_request(key: str) -> dict[str, Shape]:
    return {
        key: _KEYS,
        f"{key}.capabilities": _TEXTS,
        f"{key}.count": Shape(scalar="how many"),
        f"{key}.device_ids": _TEXTS,
        f"{key}.driver": _TEXT,
        f"{key}.options": _PAIRS,
    }


def _of_disks(key: str, value: str, kind: str) -> dict[str, Shape]:
    key = f"blkio_config.{key}"
    return {
        key: _ITEMS,
        f"{key}[]": _KEYS,
        f"{key}[].path": _TEXT,
        f"{key}[].{value}": Shape(scalar=kind),
    }


_CUT: Final = Shape(scalar="cut")
_DEPLOY_LIMITS: Final = "deploy.resources.limits"
_RESERVED: Final = "deploy.resources.reservations"
RESOURCES: Final[Mapping[str, Shape]] = {
    "blkio_config": _KEYS,
    "blkio_config.weight": _WHOLE,
    **_of_disks("weight_device", "weight", "int"),
    **_of_disks("device_read_bps", "rate", "whole size"),
    **_of_disks("device_read_iops", "rate", "whole size"),
    **_of_disks("device_write_bps", "rate", "whole size"),
    **_of_disks("device_write_iops", "rate", "whole size"),
    "cpu_count": _COUNT,
    "cpu_percent": Shape(scalar="percent"),
    "cpu_period": _CUT,
    "cpu_quota": _CUT,
    "cpu_rt_period": _CUT,
    "cpu_rt_runtime": _CUT,
    "cpu_shares": _CUT,
    "cpuset": _TEXT,
    "deploy.resources": _KEYS,
    _DEPLOY_LIMITS: _KEYS,
    f"{_DEPLOY_LIMITS}.cpus": Shape(scalar="number"),
    f"{_DEPLOY_LIMITS}.memory": Shape(scalar="size text"),
    f"{_DEPLOY_LIMITS}.pids": Shape(scalar="limit"),
    _RESERVED: _KEYS,
    f"{_RESERVED}.cpus": Shape(scalar="number"),
    f"{_RESERVED}.memory": Shape(scalar="size text"),
    f"{_RESERVED}.devices": _ITEMS,
    **_device_request(f"{_RESERVED}.devices[]"),
    f"{_RESERVED}.generic_resources": _ITEMS,
    f"{_RESERVED}.generic_resources[]": _KEYS,
    f"{_RESERVED}.generic_resources[].discrete_resource_spec": _KEYS,
    f"{_RESERVED}.generic_resources[].discrete_resource_spec.kind": _TEXT,
    f"{_RESERVED}.generic_resources[].discrete_resource_spec.value": _CUT,
    "device_cgroup_rules": _TEXTS,
    "devices": _ITEMS,
    "devices[]": Shape(scalar="text", entries="keys"),
    "devices[].permissions": _TEXT,
    "devices[].source": _TEXT,
    "devices[].target": _TEXT,
    "gpus": Shape(scalar="text", items="*"),
    **_device_request("gpus[]"),
    "mem_reservation": Shape(scalar="whole size"),
    "mem_swappiness": Shape(scalar="whole size"),
    "memswap_limit": Shape(scalar="size or none"),
    "oom_kill_disable": Shape(scalar="bool"),
    "oom_score_adj": _WHOLE,
    "storage_opt": Shape(entries="*"),
    "storage_opt.*": Shape(scalar="text or number"),
}
