"""What a service may use of the machine: limits besides memory, CPUs and processes; devices; GPUs.

Loaded only for services that say any of it.
"""

from __future__ import annotations

from typing import NamedTuple


class Device(NamedTuple):
    """A device of the machine in the container; a directory stands for all devices below it. If `source` is the full
    name of a CDI device, `target` is the same. `permissions`: some of r, w, m; "" is all.
    """

    source: str
    target: str
    permissions: str = "rwm"


class DeviceRequest(NamedTuple):
    """Devices somebody else picks: GPUs. `amount` -1 = all; 0 with `device_ids` = these."""

    driver: str = ""
    amount: int = 0
    device_ids: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    options: tuple[tuple[str, str], ...] = ()


class DiskLimit(NamedTuple):
    """A weight, or bytes or operations a second, for one disk, by the path of its device node."""

    path: str
    amount: int


class Resources(NamedTuple):
    """0, "" and () mean "not set". Bytes; microseconds. `memswap_limit` -1 is no limit."""

    cpu_shares: int = 0
    cpu_period: int = 0
    cpu_quota: int = 0
    cpu_rt_period: int = 0
    cpu_rt_runtime: int = 0
    cpuset: str = ""
    mem_reservation: int = 0
    mem_swappiness: int = 0
    memswap_limit: int = 0
    oom_kill_disable: bool = False
    oom_score_adj: int = 0
    blkio_weight: int = 0
    weight_device: tuple[DiskLimit, ...] = ()
    device_read_bps: tuple[DiskLimit, ...] = ()
    device_read_iops: tuple[DiskLimit, ...] = ()
    device_write_bps: tuple[DiskLimit, ...] = ()
    device_write_iops: tuple[DiskLimit, ...] = ()
    device_cgroup_rules: tuple[str, ...] = ()
    devices: tuple[Device, ...] = ()
    gpus: tuple[DeviceRequest, ...] = ()
    """Of `deploy.resources.reservations.devices` and `gpus`, in this order."""


DISK_KEYS = ("weight_device", "device_read_bps", "device_read_iops", "device_write_bps", "device_write_iops")


class StackLimits(NamedTuple):
    """`x-jocker: {limits: …}`: what all containers of a stack may use together. Bytes, CPUs, processes; 0 = any."""

    memory: int = 0
    cpus: float = 0.0
    pids: int = 0
