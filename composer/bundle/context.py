"""A desired container as the variables the templates see: docker's rules, resolved to plain values."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from composer.bundle import defaults, mounts, resources, security
from composer.desired.state import ContainerSpec, DesiredContainer
from composer.errors import ContainerError, MachineError
from composer.frozen import field, frozen, replace


@frozen(kw_only=False)
class ProcessUser:
    """Who the process runs as, looked up in the image. `additional_gids` has the primary group too, as docker's."""

    uid: int = 0
    gid: int = 0
    additional_gids: tuple[int, ...] = (0,)
    home: str = "/"


class HostDevice(NamedTuple):
    """One device node of the machine, for privileged containers. `mode` is the permission bits alone."""

    path: str
    type: str
    major: int
    minor: int
    mode: int
    uid: int
    gid: int


class Namespaces(NamedTuple):
    """Where namespaces are that a container does not make for itself: paths, "" = it makes its own.

    `shm` is the directory of the machine that is its /dev/shm, `hostname` that of whose network it shares.
    """

    network: str = ""
    pid: str = ""
    ipc: str = ""
    shm: str = ""
    hostname: str = ""


OWN_NAMESPACES = Namespaces()


@frozen
class MachineFacts:
    """What a bundle depends on besides the container: gathered once by `host.machine_facts`.

    `architecture` is Go's name (`amd64`). `capabilities` are those we may hand on (our bounding set).
    `seccomp_default` is docker's default profile as installed, None if there is none; `init_path` a static
    init program. `hard_limits` holds, by `RLIMIT_*` name, the highest hard limit we may set; a missing name
    means any. `swap_limit`: the kernel can limit swap. `apparmor_profiles` are the loaded ones.
    """

    architecture: str
    cgroup_v2: bool
    apparmor: bool
    seccomp_default: Mapping[str, Any] | None
    init_path: str | None
    capabilities: frozenset[str]
    kernel: tuple[int, int]
    apparmor_profiles: frozenset[str] = frozenset()
    selinux: bool = False
    hard_limits: Mapping[str, int] = field(factory=dict)
    swap_limit: bool = True
    hostname: str = "localhost"
    devices: tuple[HostDevice, ...] = ()


def build_context(
    container: DesiredContainer,
    *,
    container_id: str,
    rootfs: str,
    cgroup_path: str,
    user: ProcessUser,
    facts: MachineFacts,
    files: Mapping[str, str],
    volumes: Mapping[str, str],
    namespaces: Namespaces,
    given_files: Sequence[str] = (),
    console_size: tuple[int, int] | None = None,
    found: resources.Found = resources.NOTHING_FOUND,
) -> dict[str, Any]:
    """The variables of `config.json.j2`; `docs/templates.md` lists them for people.

    Raises `ContainerError` for what no template could mend: no command, a limit this machine does not allow, a mount
    over proc. Raises `MachineError` if there is no init program.
    """
    spec = container.spec
    where = f'service "{container.service}"'
    hostname = namespaces.hostname or container_hostname(spec, container_id, facts.hostname)
    granted = security.capabilities(spec, facts.capabilities, where)
    return {
        "oci_version": defaults.OCI_VERSION,
        "container": {
            "id": container_id,
            "short_id": container_id[:12],
            "name": container.name,
            "project": container.project,
            "service": container.service,
            "number": container.number,
            "labels": container.labels,
        },
        "spec": spec,
        "machine": facts,
        "hostname": hostname if spec.uts != "host" else "",
        "root": {"path": rootfs, "readonly": spec.read_only},
        "process": {
            "args": _args(spec, facts, where),
            "env": (*_environment(spec, hostname, user), *(found.edits.env if found.edits else ())),
            "cwd": posixpath.normpath(f"/{spec.working_dir.lstrip('/')}"),
            "terminal": spec.tty,
            "console_size": console_size and {"height": console_size[0], "width": console_size[1]},
            "user": _with_groups(user, found),
            # As execve(2) would have it: who is not root starts with none, but may gain up to the bounding set.
            "capabilities": {
                "bounding": granted,
                "effective": granted if user.uid == 0 else (),
                "permitted": granted if user.uid == 0 else (),
            },
            "rlimits": _rlimits(spec, facts, where),
            "oom_score_adj": resources.oom_score(spec, found, where),
            "no_new_privileges": security.no_new_privileges(spec),
            "apparmor_profile": security.apparmor_profile(
                spec, enabled=facts.apparmor, loaded=facts.apparmor_profiles, where=where
            ),
            "selinux_label": security.selinux_labels(spec, enabled=facts.selinux).process,
        },
        "mounts": (
            *mounts.all_mounts(
                spec,
                kernel=facts.kernel,
                init=facts.init_path,
                files=files,
                given_files=given_files,
                volumes=volumes,
                shm=namespaces.shm,
                where=where,
            ),
            *(mounts.with_devices(spec, found.edits.mounts, where) if found.edits else ()),
        ),
        "hooks": found.edits.hooks_by_name() if found.edits else {},
        "annotations": {
            "io.jocker.project": container.project,
            "io.jocker.service": container.service,
            "io.jocker.name": container.name,
            "io.jocker.image": spec.image,
            **spec.annotations,
        },
        "linux": {
            "namespaces": _namespaces(spec, namespaces, cgroup_v2=facts.cgroup_v2),
            "devices": resources.devices(spec, found, facts.devices, where),
            "device_rules": resources.device_rules(spec, found),
            "resources": resources.limits(spec, found, where, swap_limit=facts.swap_limit),
            "cgroups_path": cgroup_path,
            "sysctl": _sysctls(spec),
            "seccomp": security.seccomp(spec, granted, facts, where),
            "masked_paths": () if security.system_paths_open(spec) else defaults.MASKED_PATHS,
            "readonly_paths": () if security.system_paths_open(spec) else defaults.READONLY_PATHS,
            "mount_label": security.selinux_labels(spec, enabled=facts.selinux).mount,
            "rootfs_propagation": mounts.rootfs_propagation(spec),
        },
    }


def _with_groups(user: ProcessUser, found: resources.Found) -> ProcessUser:
    """The user, in the groups that devices want."""
    if found.edits is None or not found.edits.gids:
        return user
    return replace(user, additional_gids=tuple(dict.fromkeys((*user.additional_gids, *found.edits.gids))))


def container_hostname(spec: ContainerSpec, container_id: str, machine: str) -> str:
    """The name the container has: its own, the machine's where it shares that, else the short id (docker)."""
    shares_machine = "host" in {spec.network_mode, spec.uts}
    return spec.hostname or (machine if shares_machine else container_id[:12])


def _sysctls(spec: ContainerSpec) -> dict[str, str]:
    """Docker's two for a network namespace of its own, the domain name of a uts namespace of its own, the service's."""
    has_own_network = spec.network_mode != "host" and ":" not in spec.network_mode
    domain = {"kernel.domainname": spec.domainname} if spec.domainname and spec.uts != "host" else {}
    return {**(defaults.NETWORK_SYSCTLS if has_own_network else {}), **domain, **spec.sysctls}


def _args(spec: ContainerSpec, facts: MachineFacts, where: str) -> tuple[str, ...]:
    args = (*spec.entrypoint, *spec.command)
    if not args:
        raise ContainerError(
            f"{where}: there is no command: neither the image nor the service has one", hint="add `command:`"
        )
    if not spec.init:
        return args
    if facts.init_path is None:
        raise MachineError(f"{where}: `init: true` needs an init program", hint="apt-get install tini")
    return (defaults.INIT_TARGET, "--", *args)


def _environment(spec: ContainerSpec, hostname: str, user: ProcessUser) -> tuple[str, ...]:
    """Docker's order: PATH, HOSTNAME, TERM, then image and service over them. HOME is what runc would look up itself,
    by a plain path in the image; written here, it is the one our careful look-up found."""
    environment = {"PATH": defaults.PATH, "HOSTNAME": hostname}
    if spec.tty:
        environment["TERM"] = "xterm"
    environment.update(spec.environment)
    environment.setdefault("HOME", user.home)
    return tuple(f"{name}={value}" for name, value in environment.items())


def _rlimits(spec: ContainerSpec, facts: MachineFacts, where: str) -> tuple[dict[str, Any], ...]:
    limits = []
    for name, limit in sorted(spec.ulimits.items()):
        kind = f"RLIMIT_{name.upper()}"
        soft, hard = (defaults.UNLIMITED if value < 0 else value for value in limit)
        highest = facts.hard_limits.get(kind)
        if highest is not None and hard > highest:
            wanted = "unlimited" if hard == defaults.UNLIMITED else str(hard)
            raise ContainerError(
                f"{where}: ulimits.{name}: {wanted} is above what this machine lets us set, {highest}",
                hint=f"ask for at most {highest}, or run jocker with a higher limit (`ulimit -H`)",
            )
        limits.append({"type": kind, "hard": hard, "soft": soft})
    return tuple(limits)


def _namespaces(spec: ContainerSpec, given: Namespaces, *, cgroup_v2: bool) -> tuple[dict[str, str], ...]:
    """Docker's: the cgroup namespace is private on cgroup v2 and the machine's on v1, unless the service says.

    A kind that is the machine's is left out.
    """
    has_cgroup = spec.cgroup == "private" or (cgroup_v2 and spec.cgroup != "host")
    modes = {"network": spec.network_mode, "uts": spec.uts, "pid": spec.pid, "ipc": spec.ipc}
    kinds = ["mount", *(kind for kind, mode in modes.items() if mode != "host"), *(["cgroup"] if has_cgroup else [])]
    paths = {"network": given.network, "pid": given.pid, "ipc": given.ipc}
    return tuple({"type": kind, **({"path": path} if (path := paths.get(kind)) else {})} for kind in kinds)
