"""What this machine is, as far as bundles depend on it: asked once per process."""

from __future__ import annotations

import json
import os
import re
import resource
import stat
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Literal

from composer.bundle.context import HostDevice, MachineFacts
from composer.bundle.defaults import ALL_CAPABILITIES
from composer.errors import MachineError
from composer.host.files import read_text

# Go's names of what uname(2) says: they stand in image configs and seccomp profiles.
_ARCHITECTURES = {
    "aarch64": "arm64",
    "armv6l": "arm",
    "armv7l": "arm",
    "i386": "386",
    "i686": "386",
    "loongarch64": "loong64",
    "ppc64le": "ppc64le",
    "riscv64": "riscv64",
    "s390x": "s390x",
    "x86_64": "amd64",
}

SECCOMP_PROFILES = ("/etc/containers/seccomp.json", "/usr/share/containers/seccomp.json")
"""Where containers-common keeps docker's default profile: the administrator's, then the package's."""

INIT_PROGRAMS = (
    "/usr/libexec/docker/docker-init",
    "/usr/bin/docker-init",
    "/usr/bin/tini-static",
    "/usr/bin/catatonit",
    "/usr/libexec/podman/catatonit",
    "/usr/lib/podman/catatonit",
    "/usr/libexec/catatonit/catatonit",
    "/usr/bin/tini",
    "/sbin/tini",
)
"""Init programs known to take `-- COMMAND…`; the first static one is used: a container has no libraries for it."""

_RLIMITS = {name: getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")}

_CAP_SYS_RESOURCE = 1 << ALL_CAPABILITIES.index("CAP_SYS_RESOURCE")

# Directories of /dev that every container has its own of, as dockerd leaves them out.
_OWN_DEVICES = frozenset({"pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev", "console"})

_PT_INTERP = 3


@lru_cache(maxsize=1)
def machine_facts() -> MachineFacts:
    """The facts of this machine, gathered on the first call (about 2 ms).

    Raises `MachineError` if the administrator's seccomp profile is not JSON: going on without would be unsafe.
    """
    status = read_text("/proc/self/status") or ""
    cgroup_v2 = os.path.exists("/sys/fs/cgroup/cgroup.controllers")
    apparmor = (read_text("/sys/module/apparmor/parameters/enabled") or "").startswith("Y")
    return MachineFacts(
        architecture=architecture(os.uname().machine),
        cgroup_v2=cgroup_v2,
        apparmor=apparmor,
        apparmor_profiles=_apparmor_profiles() if apparmor else frozenset(),
        selinux=os.path.exists("/sys/fs/selinux/enforce"),
        seccomp_default=seccomp_default(),
        init_path=find_init(INIT_PROGRAMS),
        capabilities=_capabilities(status),
        kernel=kernel_version(os.uname().release),
        hard_limits=_hard_limits(status),
        swap_limit=_swap_limit(cgroup_v2=cgroup_v2),
        hostname=os.uname().nodename,
        devices=tuple(_devices("/dev")),
    )


def architecture(machine: str) -> str:
    """Go's name for what uname(2) calls the machine."""
    return _ARCHITECTURES.get(machine, machine)


def kernel_version(release: str) -> tuple[int, int]:
    """`6.1.0-18-amd64` to (6, 1); what makes no sense to (0, 0)."""
    found = re.match(r"(\d+)\.(\d+)", release)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def seccomp_default(places: tuple[str, ...] = SECCOMP_PROFILES) -> Mapping[str, Any] | None:
    """Docker's default seccomp profile as installed, parsed, or None. Raises `MachineError` if it is not JSON."""
    for place in places:
        text = read_text(place)
        if text is None:
            continue
        try:
            profile = json.loads(text)
        except ValueError as error:
            raise MachineError(f"{place}: not JSON: {error}", hint="reinstall it, or remove it") from None
        if not isinstance(profile, dict):
            raise MachineError(f"{place}: not a seccomp profile", hint="reinstall it, or remove it")
        return profile
    return None


def find_init(candidates: tuple[str, ...]) -> str | None:
    """The first of `candidates` that is an executable file which needs no libraries."""
    return next((path for path in candidates if os.access(path, os.X_OK) and is_static(path)), None)


def is_static(path: str) -> bool:
    """Whether an ELF file names no interpreter (elf(5)): only then does it run in a container as it is."""
    try:
        with open(path, "rb") as file:
            head = file.read(64)
            if len(head) < 64 or head[:4] != b"\x7fELF":
                return False
            order: Literal["little", "big"] = "little" if head[5] == 1 else "big"
            wide = head[4] == 2
            offset, size, count = (
                (head[32:40], head[54:56], head[56:58]) if wide else (head[28:32], head[42:44], head[44:46])
            )
            file.seek(int.from_bytes(offset, order))
            each = int.from_bytes(size, order)
            table = file.read(each * int.from_bytes(count, order))
    except OSError:
        return False
    kinds = (table[start : start + 4] for start in range(0, len(table), each or 1))
    return bool(each) and all(int.from_bytes(kind, order) != _PT_INTERP for kind in kinds)


def _capabilities(status: str) -> frozenset[str]:
    """What may be handed on: runc raises them from our own permitted set, within our bounding set."""
    mask = _capability_mask(status, "CapBnd") & _capability_mask(status, "CapPrm")
    return frozenset(name for number, name in enumerate(ALL_CAPABILITIES) if mask >> number & 1)


def _capability_mask(status: str, field: str) -> int:
    found = re.search(rf"^{field}:\s*([0-9a-f]+)$", status, re.MULTILINE)
    return int(found[1], 16) if found else 0


def _hard_limits(status: str) -> dict[str, int]:
    """The highest hard limits we may set: our own without CAP_SYS_RESOURCE; open files never above fs.nr_open."""
    limits = {}
    if not _capability_mask(status, "CapEff") & _CAP_SYS_RESOURCE:
        for name, number in _RLIMITS.items():
            hard = resource.getrlimit(number)[1]
            if hard != resource.RLIM_INFINITY:
                limits[name] = hard
    nr_open = int((read_text("/proc/sys/fs/nr_open") or "1048576").strip())
    limits["RLIMIT_NOFILE"] = min(nr_open, limits.get("RLIMIT_NOFILE", nr_open))
    return limits


def _swap_limit(*, cgroup_v2: bool) -> bool:
    """Whether the kernel accounts for swap; setting the limit fails otherwise."""
    if not cgroup_v2:
        return os.path.exists("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes")
    own = (read_text("/proc/self/cgroup") or "").rpartition("::")[2].strip()
    if os.path.exists(f"/sys/fs/cgroup{own}/memory.swap.max"):
        return True
    # The root cgroup has no such file: any other one tells.
    return any(
        os.path.exists(f"{entry.path}/memory.swap.max") for entry in os.scandir("/sys/fs/cgroup") if entry.is_dir()
    )


def _apparmor_profiles() -> frozenset[str]:
    """Names of the loaded AppArmor profiles; a line is `name (mode)`."""
    lines = (read_text("/sys/kernel/security/apparmor/profiles") or "").splitlines()
    return frozenset(line.rpartition(" (")[0] for line in lines)


def _devices(directory: str) -> Iterator[HostDevice]:
    """Every device node below `directory`, in order of name; links are not followed."""
    try:
        entries = sorted(os.scandir(directory), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if entry.name in _OWN_DEVICES:
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _devices(entry.path)
            continue
        try:
            found = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue  # unplugged just now
        kind = "c" if stat.S_ISCHR(found.st_mode) else "b" if stat.S_ISBLK(found.st_mode) else ""
        if kind:
            major, minor = os.major(found.st_rdev), os.minor(found.st_rdev)
            mode = stat.S_IMODE(found.st_mode)
            yield HostDevice(entry.path, kind, major, minor, mode, found.st_uid, found.st_gid)
