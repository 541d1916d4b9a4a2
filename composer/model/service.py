"""A service as the stack file means it: typed, defaults of the specification filled in, paths absolute."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from composer.errors import Place
from composer.frozen import field, frozen

Condition = Literal["service_started", "service_healthy", "service_completed_successfully"]
PullPolicy = Literal["always", "never", "missing"]


class Dependency(NamedTuple):
    """One entry of `depends_on`."""

    condition: Condition = "service_started"
    restart: bool = False
    required: bool = True


class Ulimit(NamedTuple):
    """Soft and hard limit; -1 is unlimited."""

    soft: int
    hard: int


class Retry(NamedTuple):
    """`x-jocker: {retry: …}`: try again when a container dies at once. Seconds. `on`: exit codes; empty = any but 0."""

    attempts: int = 1
    wait: float = 1.0
    max_wait: float = 30.0
    on: tuple[int, ...] = ()


class BindMount(NamedTuple):
    """A host path in the container. `source` is absolute."""

    target: str
    source: str
    read_only: bool = False
    create_host_path: bool = True
    propagation: str = "rprivate"
    recursive: Literal["enabled", "disabled", "writable", "readonly"] = "enabled"


class TmpfsMount(NamedTuple):
    """A tmpfs. `options` are mount options besides docker's noexec, nosuid, nodev (`size=…`, `mode=…`, `exec`)."""

    target: str
    options: tuple[str, ...] = ()
    read_only: bool = False


class AnonymousVolume(NamedTuple):
    """`/path` without a source: a volume without a name, seeded from the image."""

    target: str
    read_only: bool = False
    nocopy: bool = False


Mount = BindMount | TmpfsMount | AnonymousVolume


@frozen(shown=False)
class Service:
    """One service. `None` in command, entrypoint, user, working_dir, stop_signal means "as the image says".

    `environment` is what `env_file` and `environment` give together, in order; a `None` value means the
    variable is removed even if the image sets it (Compose: a bare key that resolves to nothing).
    `template` is the text of the bundle template. `cpus` are CPUs, memory and shm sizes bytes, grace seconds.
    0 means "not set" for limits.
    """

    name: str
    place: Place
    image: str
    command: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    environment: Mapping[str, str | None] = field(factory=dict)
    working_dir: str | None = None
    user: str | None = None
    group_add: tuple[str, ...] = ()
    hostname: str | None = None
    container_name: str | None = None
    labels: Mapping[str, str] = field(factory=dict)
    annotations: Mapping[str, str] = field(factory=dict)
    depends_on: Mapping[str, Dependency] = field(factory=dict)
    mounts: tuple[Mount, ...] = ()
    read_only: bool = False
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    init: bool = False
    stop_signal: str | None = None
    stop_grace_seconds: float = 10.0
    tty: bool = False
    stdin_open: bool = False
    network_mode: Literal["none", "host"] = "none"
    ulimits: Mapping[str, Ulimit] = field(factory=dict)
    sysctls: Mapping[str, str] = field(factory=dict)
    security_opt: tuple[str, ...] = ()
    privileged: bool = False
    mem_limit: int = 0
    cpus: float = 0.0
    pids_limit: int = 0
    shm_size: int = 0
    extra_hosts: tuple[tuple[str, str], ...] = ()
    profiles: tuple[str, ...] = ()
    replicas: int = 1
    pull_policy: PullPolicy = "missing"
    template: str | None = None
    retry: Retry | None = None


@frozen(shown=False)
class Project:
    """A whole stack, resolved.

    `services` are the enabled ones in file order; `disabled` those whose profiles are not active (they are
    not orphans). `files` are the stack files read, absolute. `environment` is what interpolation saw.
    `warnings` are for stderr, once. `seccomp` holds the text of each `security_opt: seccomp=FILE`, by path.
    """

    name: str
    working_dir: str
    files: tuple[str, ...]
    services: Mapping[str, Service]
    disabled: Mapping[str, Service] = field(factory=dict)
    environment: Mapping[str, str] = field(factory=dict)
    warnings: tuple[str, ...] = ()
    seccomp_profiles: Mapping[str, str] = field(factory=dict)
    canonical: Mapping[str, Any] = field(factory=dict)
    """The canonical tree as plain values: what `jocker config` prints."""
