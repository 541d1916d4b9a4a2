"""Limits of a container in OCI's words, by docker's rules; what the kernel cannot do is an error, or told and left out
where docker does so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from composer.bundle import defaults
from composer.bundle.mounts import target
from composer.desired.state import ContainerSpec
from composer.errors import ContainerError, MachineError

if TYPE_CHECKING:
    from composer.bundle.cdi import Edits
    from composer.bundle.context import HostDevice
    from composer.model.resources import DiskLimit, Resources

RT, SWAPPINESS, OOM_KILL_DISABLE, SHARES, QUOTA, CPUSET = "rt", "swappiness", "oom", "shares", "quota", "cpuset"
WEIGHT, WEIGHT_DEVICE, THROTTLE, RESERVATION = "weight", "weight device", "throttle", "reservation"
EVERYTHING = frozenset({
    RT, SWAPPINESS, OOM_KILL_DISABLE, SHARES, QUOTA, CPUSET, WEIGHT, WEIGHT_DEVICE, THROTTLE, RESERVATION,
})  # fmt: skip
"""What a kernel may be able to limit."""
_THROTTLES = {
    "device_read_bps": "throttleReadBpsDevice",
    "device_read_iops": "throttleReadIOPSDevice",
    "device_write_bps": "throttleWriteBpsDevice",
    "device_write_iops": "throttleWriteIOPSDevice",
}


class Allowed(NamedTuple):
    """A device of the container, and what it may do with it: some of r, w, m."""

    device: HostDevice
    access: str


class Found(NamedTuple):
    """What the machine has of what one container asks for: gathered by `host.devices` for each container that asks.

    `able`: what the kernel can limit. `disks`: paths to (major, minor). `cpus`: those there are. `oom_score_least`:
    the lowest score we may give, None = any.
    """

    able: frozenset[str] = EVERYTHING
    devices: tuple[Allowed, ...] = ()
    disks: Mapping[str, tuple[int, int]] = {}
    cpus: frozenset[int] = frozenset()
    oom_score_least: int | None = None
    edits: Edits | None = None


NOTHING_FOUND = Found()


def limits(spec: ContainerSpec, found: Found, where: str, *, swap_limit: bool) -> dict[str, Any]:
    """Members of `linux.resources` that are set, besides the rules for devices. Memory and swap together are twice the
    memory, as docker has it. Raises `ContainerError`, `MachineError` for what this machine cannot do.
    """
    asked = spec.resources
    members = {
        "memory": _memory(spec, asked, found, swap_limit=swap_limit),
        "cpu": _cpu(spec, asked, found, where),
        "pids": {"limit": spec.pids_limit} if spec.pids_limit > 0 else {},
        "blockIO": _disks(asked, found) if asked else {},
    }
    return {name: member for name, member in members.items() if member}


def _memory(spec: ContainerSpec, asked: Resources | None, found: Found, *, swap_limit: bool) -> dict[str, Any]:
    memory: dict[str, Any] = {}
    swap = asked.memswap_limit if asked else 0
    if spec.mem_limit > 0:
        memory["limit"] = spec.mem_limit
        if swap_limit and swap >= 0:
            memory["swap"] = swap or 2 * spec.mem_limit
    if asked is None:
        return memory
    if asked.mem_reservation and RESERVATION in found.able:
        memory["reservation"] = asked.mem_reservation
    if asked.mem_swappiness and SWAPPINESS in found.able:
        memory["swappiness"] = asked.mem_swappiness
    if asked.oom_kill_disable and OOM_KILL_DISABLE in found.able:
        memory["disableOOMKiller"] = True
    return memory


def _cpu(spec: ContainerSpec, asked: Resources | None, found: Found, where: str) -> dict[str, Any]:
    cpu: dict[str, Any] = {}
    if spec.cpus > 0:
        cpu = {"quota": round(spec.cpus * defaults.CPU_PERIOD), "period": defaults.CPU_PERIOD}
    if asked is None:
        return cpu
    if asked.cpu_shares and SHARES in found.able:
        cpu["shares"] = asked.cpu_shares
    if QUOTA in found.able:
        cpu |= {"period": asked.cpu_period} if asked.cpu_period else {}
        cpu |= {"quota": asked.cpu_quota} if asked.cpu_quota else {}
    if asked.cpuset and CPUSET in found.able:
        missing = cpus_of(asked.cpuset) - found.cpus if found.cpus else frozenset()
        if missing:
            raise ContainerError(
                f"{where}: cpuset: this machine has no CPU {min(missing)}", hint=f"there are: {_spans(found.cpus)}"
            )
        cpu["cpus"] = asked.cpuset
    if asked.cpu_rt_period or asked.cpu_rt_runtime:
        if RT not in found.able:
            raise MachineError(
                f"{where}: cpu_rt_runtime and cpu_rt_period need real-time groups, which this kernel does not have",
                hint="cgroup v1 on a kernel with CONFIG_RT_GROUP_SCHED, or leave them out",
            )
        cpu |= {"realtimePeriod": asked.cpu_rt_period} if asked.cpu_rt_period else {}
        cpu |= {"realtimeRuntime": asked.cpu_rt_runtime} if asked.cpu_rt_runtime else {}
    return cpu


def _disks(asked: Resources, found: Found) -> dict[str, Any]:
    block: dict[str, Any] = {}
    if asked.blkio_weight and WEIGHT in found.able:
        block["weight"] = asked.blkio_weight
    if asked.weight_device and WEIGHT_DEVICE in found.able:
        block["weightDevice"] = [_disk(one, "weight", found) for one in asked.weight_device]
    for key, member in _THROTTLES.items():
        if (listed := getattr(asked, key)) and THROTTLE in found.able:
            block[member] = [_disk(one, "rate", found) for one in listed]
    return block


def _disk(limit: DiskLimit, member: str, found: Found) -> dict[str, int]:
    major, minor = found.disks[limit.path]
    return {"major": major, "minor": minor, member: limit.amount}


def cpus_of(text: str) -> frozenset[int]:
    """`0-3,5` as numbers; the text was checked. Of a span without end only what any machine may have."""
    spans = (part.partition("-") for part in text.split(",") if part)
    return frozenset(cpu for first, _, last in spans for cpu in range(int(first), int(last or first) + 1))


def _spans(cpus: frozenset[int]) -> str:
    return ", ".join(map(str, sorted(cpus)))


def left_out(spec: ContainerSpec, found: Found, *, swap_limit: bool) -> Iterator[str]:
    """What the kernel cannot do and docker leaves out with a warning, in words."""
    asked = spec.resources
    if asked is None:
        return
    wanted: tuple[tuple[object, str, str], ...] = (
        (asked.mem_swappiness, SWAPPINESS, "mem_swappiness"),
        (asked.oom_kill_disable, OOM_KILL_DISABLE, "oom_kill_disable"),
        (asked.mem_reservation, RESERVATION, "mem_reservation"),
        (asked.cpu_shares, SHARES, "cpu_shares"),
        (asked.cpu_period or asked.cpu_quota, QUOTA, "cpu_quota"),
        (asked.cpuset, CPUSET, "cpuset"),
        (asked.blkio_weight, WEIGHT, "blkio_config.weight"),
        (asked.weight_device, WEIGHT_DEVICE, "blkio_config.weight_device"),
        *((getattr(asked, key), THROTTLE, f"blkio_config.{key}") for key in _THROTTLES),
    )
    for value, ability, name in wanted:
        if value and ability not in found.able:
            yield name
    if asked.memswap_limit > 0 and not swap_limit:
        yield "memswap_limit"


def device_rules(spec: ContainerSpec, found: Found) -> tuple[dict[str, Any], ...]:
    """Docker's own, one for each device of the container, and the service's `device_cgroup_rules`."""
    if spec.privileged:
        return defaults.PRIVILEGED_DEVICE_RULES
    if spec.resources is None:
        return defaults.DEVICE_RULES
    mine = (
        {"allow": True, "type": one.device.type, "major": one.device.major, "minor": one.device.minor,
         "access": one.access}
        for one in found.devices
    )  # fmt: skip
    return (
        *defaults.DEVICE_RULES,
        *mine,
        *(rule for text in spec.resources.device_cgroup_rules for rule in _rules(text)),
    )


def _rules(text: str) -> Iterator[dict[str, Any]]:
    """`c 1:3 mr`; `*` is any number, which OCI says by leaving it out. `a` is both kinds: as one rule the kernel would
    take it for every device there is, whatever its numbers.
    """
    kind, numbers, access = text.split(" ")
    major, _, minor = numbers.partition(":")
    for one in ("b", "c") if kind == "a" else (kind,):
        rule: dict[str, Any] = {"allow": True, "type": one, "access": access}
        for name, number in (("major", major), ("minor", minor)):
            if number != "*":
                rule[name] = int(number)
        yield rule


def devices(spec: ContainerSpec, found: Found, machine: tuple[HostDevice, ...], where: str) -> tuple[HostDevice, ...]:
    """The nodes to be made: what is asked for, and of a privileged container the `machine`'s, too.

    Raises `ContainerError` for a path that cannot be one.
    """
    asked = {path: one.device._replace(path=path) for one in found.devices if (path := target(one.device.path, where))}
    if not spec.privileged:
        return tuple(asked.values())
    return (*(one for one in machine if one.path not in asked), *asked.values())


def oom_score(spec: ContainerSpec, found: Found, where: str) -> int:
    """The score of the process, 0 = as it is. Raises `ContainerError` for one we may not give."""
    asked = spec.resources.oom_score_adj if spec.resources else 0
    least = found.oom_score_least
    if asked and least is not None and asked < least:
        raise ContainerError(
            f"{where}: oom_score_adj: {asked} is below what this machine lets us set, {least}",
            hint=f"ask for {least} or more, or run jocker where it has CAP_SYS_RESOURCE",
        )
    return asked
