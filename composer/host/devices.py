"""What this machine has of the devices, disks and limits that a container asks for.

The paths come from a stack file: they are looked at, never opened, and a directory is walked only so far.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

from composer.bundle import resources
from composer.bundle.context import HostDevice, MachineFacts
from composer.bundle.resources import Allowed, Found
from composer.errors import ContainerError, MachineError
from composer.host import cgroup
from composer.host.files import read_text
from composer.model.resources import DISK_KEYS

if TYPE_CHECKING:
    from composer.bundle.cdi import Edits, Node
    from composer.model.resources import Device, Resources

_MOST_ENTRIES = 20_000
"""Below a directory of devices: /dev has some hundreds; a whole file system is not meant."""
_MOST_DEVICES = 4096
_ALL = "rwm"


def find(asked: Resources, where: str, facts: MachineFacts) -> Found:
    """Everything of it. `where` begins each message. Raises `ContainerError` for a device or disk that is not there,
    `MachineError` for a GPU that no file of the machine describes.
    """
    devices = [found for device in asked.devices if not _is_cdi(device) for found in _devices(device, where)]
    edits = _edits(asked, where)
    if edits is not None:
        devices += [_of_edit(node, where) for node in edits.nodes]
    disks = {limit.path: _disk(limit.path, where) for key in DISK_KEYS for limit in getattr(asked, key)}
    return Found(
        able=able(),
        devices=tuple(devices),
        disks=disks,
        cpus=_cpus() if asked.cpuset else frozenset(),
        oom_score_least=_least_score(facts) if asked.oom_score_adj else None,
        edits=edits,
    )


# Devices --------------------------------------------------------------------------------------------------


def _is_cdi(device: Device) -> bool:
    return not device.source.startswith("/")


def _devices(device: Device, where: str) -> list[Allowed]:
    """The device, or all below the directory: of links only the first is followed, as docker does."""
    try:
        source = os.path.realpath(device.source, strict=True) if os.path.islink(device.source) else device.source
        found = os.stat(source)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise ContainerError(f"{where}: devices: {device.source!r}: {why}", hint="see ls -l /dev") from None
    access = device.permissions or _ALL
    if stat.S_ISDIR(found.st_mode):
        listed = [Allowed(one, access) for one in _below(source, device, where)]
        if not listed:
            raise ContainerError(f"{where}: devices: there is no device below {device.source!r}")
        return listed
    node = _node(device.target, found)
    if node is None:
        raise ContainerError(f"{where}: devices: {device.source!r} is not a device", hint="files come in by `volumes`")
    return [Allowed(node, access)]


def _below(source: str, device: Device, where: str) -> Iterator[HostDevice]:
    entries = devices = 0
    for directory, _, names in os.walk(source):
        for name in sorted(names):
            entries += 1
            if entries > _MOST_ENTRIES or devices > _MOST_DEVICES:
                raise ContainerError(
                    f"{where}: devices: there is too much below {device.source!r}", hint="name the devices one by one"
                )
            path = os.path.join(directory, name)
            try:
                found = os.lstat(path)
            except OSError:
                continue  # unplugged just now
            node = _node(device.target + path[len(source) :], found)
            if node is not None:
                devices += 1
                yield node


def _node(path: str, found: os.stat_result) -> HostDevice | None:
    kind = "c" if stat.S_ISCHR(found.st_mode) else "b" if stat.S_ISBLK(found.st_mode) else ""
    if not kind:
        return None
    major, minor = os.major(found.st_rdev), os.minor(found.st_rdev)
    return HostDevice(path, kind, major, minor, stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid)


def _disk(path: str, where: str) -> tuple[int, int]:
    """Its numbers. Of a partition the kernel would only say that there is no such device."""
    try:
        found = os.stat(path)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise ContainerError(f"{where}: blkio_config: {path!r}: {why}", hint="see lsblk -p") from None
    if not stat.S_ISBLK(found.st_mode):
        raise ContainerError(f"{where}: blkio_config: {path!r} is not a disk", hint="see lsblk -p")
    major, minor = os.major(found.st_rdev), os.minor(found.st_rdev)
    if os.path.exists(f"/sys/dev/block/{major}:{minor}/partition"):
        raise ContainerError(f"{where}: blkio_config: {path!r} is a part of a disk", hint="name the whole disk")
    return major, minor


# CDI ------------------------------------------------------------------------------------------------------


def _edits(asked: Resources, where: str) -> Edits | None:
    named = [device.source for device in asked.devices if _is_cdi(device)]
    if not named and not asked.gpus:
        return None
    from composer.bundle import cdi
    from composer.host.cdi import DIRECTORIES, specs

    found, broken = specs()
    try:
        return cdi.edits_for(cdi.names_of(named, asked.gpus), found)
    except cdi.CdiError as error:
        hint = "; ".join(broken) or f"descriptions are in {' and '.join(DIRECTORIES)}: nvidia-ctk cdi generate, say"
        raise MachineError(f"{where}: {error}", hint=hint) from None


def _of_edit(node: Node, where: str) -> Allowed:
    """The device with what the file leaves to the machine filled in."""
    try:
        found = _node(node.path, os.stat(node.host_path))
    except OSError as error:
        if node.major is None or node.minor is None or not node.type:
            raise MachineError(f"{where}: CDI: {node.host_path}: {error.strerror}") from None
        found = HostDevice(node.path, node.type, node.major, node.minor, 0o660, 0, 0)
    if found is None:
        raise MachineError(f"{where}: CDI: {node.host_path} is not a device")
    given = {"type": node.type or None, "major": node.major, "minor": node.minor, "uid": node.uid, "gid": node.gid}
    mode = None if node.mode is None else stat.S_IMODE(node.mode)
    kept = {name: value for name, value in {**given, "mode": mode}.items() if value is not None}
    return Allowed(HostDevice(**{**found._asdict(), **kept}), node.permissions)


# The kernel -----------------------------------------------------------------------------------------------

_ON_V1 = {
    "cpu": (
        (resources.SHARES, "cpu.shares"),
        (resources.QUOTA, "cpu.cfs_quota_us"),
        (resources.RT, "cpu.rt_runtime_us"),
    ),
    "cpuset": ((resources.CPUSET, "cpuset.cpus"),),
    "memory": (
        (resources.RESERVATION, "memory.soft_limit_in_bytes"),
        (resources.SWAPPINESS, "memory.swappiness"),
        (resources.OOM_KILL_DISABLE, "memory.oom_control"),
    ),
    "blkio": (
        (resources.THROTTLE, "blkio.throttle.read_bps_device"),
        # Weights have no file in the root: these stand and fall with them.
        (resources.WEIGHT, "blkio.bfq.io_serviced"),
        (resources.WEIGHT, "blkio.weight"),
        (resources.WEIGHT_DEVICE, "blkio.bfq.io_serviced"),
        (resources.WEIGHT_DEVICE, "blkio.weight_device"),
    ),
}
_ON_V2 = {
    "cpu": (resources.SHARES, resources.QUOTA),
    "cpuset": (resources.CPUSET,),
    "memory": (resources.RESERVATION,),
    "io": (resources.THROTTLE,),
}


@lru_cache(maxsize=1)
def able() -> frozenset[str]:
    """What this kernel can limit, in the words of `bundle.resources`."""
    return frozenset(_abilities(cgroup.hierarchies()))


def _abilities(hierarchies: Iterable[cgroup.Hierarchy]) -> Iterator[str]:
    found = tuple(hierarchies)
    for hierarchy in found:
        for controller in hierarchy.controllers & _ON_V1.keys():
            yield from (ability for ability, file in _ON_V1[controller] if os.path.exists(f"{hierarchy.path}/{file}"))
        if hierarchy.unified:
            controllers = (read_text(f"{hierarchy.path}/cgroup.controllers") or "").split()
            for controller in controllers:
                yield from _ON_V2.get(controller, ())
            if "io" in controllers and _has_weights(hierarchy.path):
                yield from (resources.WEIGHT, resources.WEIGHT_DEVICE)


def _has_weights(root: str) -> bool:
    """The root itself has no such file: any cgroup below tells."""
    return any(
        os.path.exists(f"{entry.path}/{name}")
        for entry in [*os.scandir(root)]
        if entry.is_dir(follow_symlinks=False)
        for name in ("io.weight", "io.bfq.weight")
    )


def _cpus() -> frozenset[int]:
    text = (read_text("/sys/devices/system/cpu/online") or "").strip()
    return resources.cpus_of(text) if text else frozenset()


def _least_score(facts: MachineFacts) -> int | None:
    """Without CAP_SYS_RESOURCE nobody goes below where he stands (proc(5))."""
    if "CAP_SYS_RESOURCE" in facts.capabilities:
        return None
    return int((read_text("/proc/self/oom_score_adj") or "0").strip())
