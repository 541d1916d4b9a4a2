"""The desired stack: services with every default resolved. Containers are made from them by number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from composer.frozen import field, frozen
from composer.model.fileobject import GivenFile, Origin
from composer.model.network import Port, Subnet
from composer.model.service import (
    AnonymousVolume,
    BindMount,
    Dependency,
    ImageMount,
    Mount,
    NamedVolume,
    PullPolicy,
    Retry,
    TmpfsMount,
    Ulimit,
)

if TYPE_CHECKING:
    from composer.model.building import Build
    from composer.model.life import Check, Hooks, RestartPolicy
    from composer.model.resources import Resources, StackLimits

__all__ = [
    "AnonymousVolume",
    "BindMount",
    "ContainerSpec",
    "DesiredContainer",
    "DesiredNetwork",
    "DesiredService",
    "DesiredStack",
    "DesiredVolume",
    "Endpoint",
    "GivenFile",
    "ImageMount",
    "Mount",
    "NamedVolume",
    "Port",
    "TmpfsMount",
    "Ulimit",
]


class Endpoint(NamedTuple):
    """A container on one network, which is meant by its real name. `aliases` are the names it shares with the other
    containers of its service; those of its own (container name, short id) are not told here. The order of a
    container's endpoints is that of their interfaces.
    """

    network: str
    aliases: tuple[str, ...] = ()
    ipv4_address: str = ""
    ipv6_address: str = ""
    link_local_ips: tuple[str, ...] = ()
    mac_address: str = ""
    interface_name: str = ""
    gw_priority: int = 0


@frozen(shown=False)
class ContainerSpec:
    """Everything that shapes one container, in the stack file's words: what the config hash covers, what the record
    keeps, what a difference is told by. Image and service are merged: `entrypoint + command` is argv, `environment`
    is final but for HOSTNAME and HOME, `stop_signal` is `SIGTERM`-like. `hostname` "" means the short id.
    `template` is the *text* of the service's own template, `seccomp_profile` the text of its own profile ("" = none).
    """

    image: str
    image_id: str
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(factory=dict)
    working_dir: str = "/"
    user: str = ""
    group_add: tuple[str, ...] = ()
    hostname: str = ""
    labels: Mapping[str, str] = field(factory=dict)
    annotations: Mapping[str, str] = field(factory=dict)
    mounts: tuple[Mount, ...] = ()
    read_only: bool = False
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    init: bool = False
    stop_signal: str = "SIGTERM"
    stop_grace_seconds: float = 10.0
    tty: bool = False
    stdin_open: bool = False
    domainname: str = ""
    network_mode: str = "none"
    """"" (those below), `none`, `host`, `bridge` (which stands below, too), `service:NAME` or `container:NAME`."""
    networks: tuple[Endpoint, ...] = ()
    ports: tuple[Port, ...] = ()
    expose: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_opt: tuple[str, ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    """Names that only this container knows: the name, and what it is another name for."""
    pid: str = ""
    ipc: str = ""
    uts: str = ""
    cgroup: str = ""
    ulimits: Mapping[str, Ulimit] = field(factory=dict)
    sysctls: Mapping[str, str] = field(factory=dict)
    security_opt: tuple[str, ...] = ()
    seccomp_profile: str = ""
    privileged: bool = False
    mem_limit: int = 0
    cpus: float = 0.0
    pids_limit: int = 0
    shm_size: int = 64 * 1024 * 1024
    extra_hosts: tuple[tuple[str, str], ...] = ()
    template: str = ""
    resources: Resources | None = None
    """Limits besides those above, devices, GPUs; None = none of it."""
    files: tuple[GivenFile, ...] = ()
    """Secrets and configs, by target."""
    volumes_from: tuple[str, ...] = ()
    """Whose mounts it has, too: see `model.service.Service`."""
    logging: Mapping[str, str] = field(factory=dict)
    """What `Log.as_texts` says of its log."""
    runtime: str = ""
    """Name or path of its OCI runtime; "" = that of the command."""
    attach: bool = True
    healthcheck: Check | None = None
    restart: RestartPolicy | None = None
    """None = it is not started again when it has ended."""
    hooks: Hooks | None = None
    """What is run around its start and before its stop; None = nothing."""


@frozen(shown=False)
class DesiredContainer:
    """One container to be made. `labels` has `com.docker.compose.*` too; `layers` are chain ids, lowest first.

    `depends_on` is kept in the record, so that `down` knows the order without a file.
    """

    project: str
    service: str
    number: int
    name: str
    oneoff: bool
    spec: ContainerSpec
    config_hash: str
    labels: Mapping[str, str]
    layers: tuple[str, ...]
    depends_on: Mapping[str, Dependency] = field(factory=dict)
    retry: Retry | None = None
    origins: tuple[Origin, ...] = ()
    """Where the bytes of `spec.files` come from, one for one; no part of the hash, but kept in the record."""
    hook_of: str = ""
    """Of the container of a `pre_start` hook: the id of that which it goes before."""


@frozen(shown=False)
class DesiredService:
    """One service; `image_present` is False while its image is still to be pulled (then `spec` is not final)."""

    name: str
    replicas: int
    spec: ContainerSpec
    config_hash: str
    layers: tuple[str, ...]
    image_present: bool
    pull_policy: PullPolicy
    depends_on: Mapping[str, Dependency] = field(factory=dict)
    container_name: str | None = None
    labels: Mapping[str, str] = field(factory=dict)
    """Labels of every container of the service; number and one-off labels are added per container."""
    retry: Retry | None = None
    origins: tuple[Origin, ...] = ()
    build: Build | None = None
    """How its image is made, with its labels; other services' images are named by reference."""
    image_is_named: bool = True
    """Whether the image has a name of the user's: only then it may be in a registry."""
    platform: str = ""
    """What its image must be for; "" = any."""
    image_platform: str = ""
    """What the image is for that is here."""


@frozen(shown=False)
class DesiredNetwork:
    """One network that services are on, by its real name. `labels` has `com.docker.compose.*` too. Of an `external`
    one nothing else counts: it is taken as it is.
    """

    name: str
    project: str = ""
    key: str = ""
    external: bool = False
    config_hash: str = ""
    labels: Mapping[str, str] = field(factory=dict)
    internal: bool = False
    attachable: bool = False
    enable_ipv4: bool = True
    enable_ipv6: bool = False
    subnets: tuple[Subnet, ...] = ()
    mtu: int = 0
    bridge_name: str = ""
    masquerade: bool = True
    icc: bool = True
    host_binding: str = ""
    address_pool: tuple[str, ...] = ()
    """Where its subnets come from if it names none; not part of the hash."""


@frozen(shown=False)
class DesiredVolume:
    """One named volume that services use, by its real name. `labels` has `com.docker.compose.*` too."""

    name: str
    project: str = ""
    key: str = ""
    external: bool = False
    labels: Mapping[str, str] = field(factory=dict)
    driver_opts: Mapping[str, str] = field(factory=dict)
    config_hash: str = ""
    """Over what the stack file says of it: another one means that the volume there was made as another one."""


@frozen(shown=False)
class DesiredStack:
    """The whole stack. `disabled` are services of inactive profiles, or left out by `up SERVICE`: not orphans.
    `networks` and `volumes` are those of the services, by real name. `limits` are for all its containers together.
    """

    project: str
    services: Mapping[str, DesiredService]
    disabled: frozenset[str] = frozenset()
    networks: Mapping[str, DesiredNetwork] = field(factory=dict)
    volumes: Mapping[str, DesiredVolume] = field(factory=dict)
    limits: StackLimits | None = None
