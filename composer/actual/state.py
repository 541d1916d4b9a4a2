"""The actual stack: one snapshot of what the records, the kernel and runc say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from composer.frozen import field, frozen
from composer.model.service import Dependency, Retry
from composer.model.wiring import Wiring

if TYPE_CHECKING:
    from composer.model.resources import StackLimits


class Status(StrEnum):
    """The state of a container, in docker's words."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    EXITED = "exited"
    DEAD = "dead"
    """Half made or half removed: only removing it makes sense."""

    @property
    def is_alive(self) -> bool:
        """It has a process that was started."""
        return self in {Status.RUNNING, Status.PAUSED}

    @property
    def can_signal(self) -> bool:
        return self in {Status.CREATED, Status.RUNNING, Status.PAUSED}


class PublishedPort(NamedTuple):
    """A port of the machine that a container got, as its record has it. `host_ip` is "" for all addresses."""

    protocol: str
    host_ip: str
    published: int
    target: int


@frozen(shown=False)
class ActualContainer:
    """One container as found. Times are seconds since the epoch, 0 = not yet; `exit_code` only when exited
    (None: unknown, as after a reboot). `spec` is the recorded `ContainerSpec` as JSON values. `volumes` maps
    target to anonymous volume name. `replaces` is the id of the container this one was made to replace, or "".
    `published` are the ports it has while it runs.
    """

    id: str
    name: str
    project: str
    service: str
    number: int
    oneoff: bool
    status: Status
    config_hash: str
    image: str
    image_id: str
    pid: int = 0
    exit_code: int | None = None
    created_at: float = 0.0
    started_at: float = 0.0
    finished_at: float = 0.0
    replaces: str = ""
    stop_signal: str = "SIGTERM"
    stop_grace_seconds: float = 10.0
    spec: Mapping[str, Any] = field(factory=dict)
    labels: Mapping[str, str] = field(factory=dict)
    volumes: Mapping[str, str] = field(factory=dict)
    depends_on: Mapping[str, Dependency] = field(factory=dict)
    retry: Retry | None = None
    published: tuple[PublishedPort, ...] = ()
    borrowed_from: Mapping[str, str] = field(factory=dict)
    """Of `volumes_from`: each entry, and the id of the container that it meant when this one was made."""
    hook_of: str = ""
    """Of the container of a `pre_start` hook (a one-off): the id of that which it goes before."""
    health: str = ""
    """`starting`, `healthy` or `unhealthy` while one runs that has a health check, else ""."""
    restarts: int = 0
    """How often its policy has started it again since a user did."""
    comes_back: bool = False
    """It has ended, and by its policy is to be started again."""

    @property
    def is_supervised(self) -> bool:
        """Somebody has to be awake for it now: it has a health check or a restart policy."""
        has_any = bool(self.spec.get("healthcheck") or self.spec.get("restart"))
        return has_any and (self.status.is_alive or self.comes_back)


def named_volumes(spec: Any) -> frozenset[str]:
    """The named volumes a container uses, from its `ContainerSpec` as JSON values; whatever else that may be."""
    mounts = spec.get("mounts") if isinstance(spec, Mapping) else None
    found = mounts if isinstance(mounts, list) else []
    return frozenset(str(mount["volume"]) for mount in found if isinstance(mount, dict) and "volume" in mount)


def used_volumes(record: Mapping[str, Any]) -> frozenset[str]:
    """All volumes that a container's record names: by name, anonymous ones of its own, those it has from others."""
    own = record.get("volumes")
    names = frozenset(map(str, own.values())) if isinstance(own, Mapping) else frozenset[str]()
    return names | named_volumes(record.get("spec")) | named_volumes({"mounts": record.get("borrowed")})


@frozen(shown=False)
class ActualNetwork:
    """One network as found. `faults` say in words what is missing of it; none: it works."""

    wiring: Wiring
    faults: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.wiring.name


@frozen(shown=False)
class ActualStack:
    """One project as found, containers sorted by service, number, age. `networks` by real name: the project's own, and
    those others have made that it uses or asks for.
    """

    project: str
    containers: tuple[ActualContainer, ...] = ()
    networks: Mapping[str, ActualNetwork] = field(factory=dict)
    volumes: Mapping[str, str] = field(factory=dict)
    """Named volumes of the store: name to the project they were made for ("" = none)."""
    limits: StackLimits | None = None
    """What its containers may use together; None = it was given no limits."""
    others: Mapping[str, str] = field(factory=dict)
    """The containers of other stacks: name to project."""
    volume_hashes: Mapping[str, str] = field(factory=dict)
    """What those volumes were made by: name to the hash of what the stack file said; older ones have none."""
    volume_users: Mapping[str, tuple[str, ...]] = field(factory=dict)
    """The containers of other stacks that use named volumes, by name of the volume; each by its own name."""

    @classmethod
    def of(
        cls,
        project: str,
        containers: Iterable[ActualContainer],
        networks: Iterable[ActualNetwork] = (),
        volumes: Mapping[str, str] | None = None,
        volume_users: Mapping[str, Iterable[str]] | None = None,
    ) -> ActualStack:
        """The stack of these, given in any order: plans do not depend on how a directory is listed."""
        in_order = sorted(containers, key=lambda one: (one.service, one.oneoff, one.number, one.created_at, one.id))
        by_name = {one.name: one for one in sorted(networks, key=lambda one: one.name)}
        return cls(
            project=project,
            containers=tuple(in_order),
            networks=by_name,
            volumes=dict(volumes or {}),
            volume_users={name: tuple(sorted(users)) for name, users in (volume_users or {}).items()},
        )

    def networks_of(self, one: ActualContainer) -> tuple[ActualNetwork, ...]:
        """Those on which the container has a lease."""
        return tuple(network for network in self.networks.values() if one.id in network.wiring.leases)
