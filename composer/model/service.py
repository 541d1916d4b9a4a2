"""A service as the stack file means it: typed, defaults of the specification filled in, paths absolute."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from composer.errors import Complaint, Place
from composer.frozen import field, frozen
from composer.model.fileobject import FileObject, FileReference, Kind
from composer.model.network import Attachment, Network, Port
from composer.model.process import Log

if TYPE_CHECKING:
    from composer.model.building import Build
    from composer.model.life import Life, Provided
    from composer.model.resources import Resources, StackLimits

Condition = Literal["service_started", "service_healthy", "service_completed_successfully"]
PullPolicy = Literal["always", "never", "missing", "build"]


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
    selinux: str = ""
    """z, Z or "": relabelled for all containers, or for this one."""


class TmpfsMount(NamedTuple):
    """A tmpfs. `options` are mount options besides docker's noexec, nosuid, nodev (`size=…`, `mode=…`, `exec`)."""

    target: str
    options: tuple[str, ...] = ()
    read_only: bool = False


class AnonymousVolume(NamedTuple):
    """`/path` without a source: a volume without a name, seeded from the image. `of_image`: only the image asks for
    it, so that it gives way to what comes from other containers.
    """

    target: str
    read_only: bool = False
    nocopy: bool = False
    labels: tuple[tuple[str, str], ...] = ()
    of_image: bool = False


class NamedVolume(NamedTuple):
    """A volume with a name: in the stack file's words its key in the model, its real name once it is desired."""

    target: str
    volume: str
    read_only: bool = False
    nocopy: bool = False
    subpath: str = ""
    """What of it is mounted, "" = all: a relative path that stays within."""


class ImageMount(NamedTuple):
    """The files of an image (a normalised reference), read-only. Once it is desired, `image_id` and `layers` (chain
    ids, lowest first) say which files these are; they are empty while the image is not here.
    """

    target: str
    image: str
    subpath: str = ""
    image_id: str = ""
    layers: tuple[str, ...] = ()


Mount = BindMount | TmpfsMount | AnonymousVolume | NamedVolume | ImageMount


@frozen(shown=False)
class Volume:
    """One top-level volume that an enabled service uses. `name` is the real one (`<project>_<key>`)."""

    key: str
    name: str
    place: Place
    external: bool = False
    labels: Mapping[str, str] = field(factory=dict)
    driver_opts: Mapping[str, str] = field(factory=dict)
    """Of the local driver: see `model.localvolume`."""


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
    volumes_from: tuple[str, ...] = ()
    """`service:NAME`, `container:NAME`, with `:ro` where what they have mounted must not be written to."""
    files: tuple[FileReference, ...] = ()
    """Its secrets and configs, those that no mount of its own hides, by target."""
    read_only: bool = False
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    init: bool = False
    stop_signal: str | None = None
    stop_grace_seconds: float = 10.0
    tty: bool = False
    stdin_open: bool = False
    network_mode: str = ""
    """"" (the networks below), `none`, `host`, `bridge`, `service:NAME` or `container:NAME`."""
    networks: tuple[Attachment, ...] = ()
    """In the order of attachment: highest `priority` first, then by key. Empty if `network_mode` says otherwise."""
    ports: tuple[Port, ...] = ()
    expose: tuple[str, ...] = ()
    """`80/tcp`, `8000-8010/udp`: told, not acted on."""
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_opt: tuple[str, ...] = ()
    domainname: str = ""
    links: tuple[tuple[str, str], ...] = ()
    """Service and the name it has for us."""
    external_links: tuple[tuple[str, str], ...] = ()
    """Container of another stack, and the name it has for us."""
    pid: str = ""
    """"" (its own), `host`, `service:NAME` or `container:NAME`."""
    ipc: str = ""
    """"" or `private`, `shareable`, `host`, `none`, `service:NAME` or `container:NAME`."""
    uts: str = ""
    """"" or `host`."""
    cgroup: str = ""
    """"" (as the machine has it), `host` or `private`."""
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
    build: Build | None = None
    """How the image is made; its name is `image`, which is `<project>-<service>` if the file gives none."""
    image_is_named: bool = True
    """Whether the file gives the image a name: only then it may be in a registry."""
    pull_policy: PullPolicy = "missing"
    refresh_after: float | None = None
    """Seconds after which an image that is here is pulled again; None = never."""
    attach: bool = True
    """Whether its output is shown where nobody names it."""
    runtime: str = ""
    """As written; "" = the one of the command."""
    platform: str = ""
    log: Log | None = None
    template: str | None = None
    retry: Retry | None = None
    resources: Resources | None = None
    """Limits besides those above, devices, GPUs; None = none of it."""
    life: Life | None = None
    """Restart policy, health check, hooks and the like; None = none of it."""


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
    providers: Mapping[str, Provided] = field(factory=dict)
    """Services that somebody else provides, once they are apart from the others (`desired.providing`)."""
    networks: Mapping[str, Network] = field(factory=dict)
    """By key, those that enabled services use."""
    volumes: Mapping[str, Volume] = field(factory=dict)
    """By key, those that enabled services use."""
    file_objects: Mapping[tuple[Kind, str], FileObject] = field(factory=dict)
    """Secrets and configs by kind and key, those that enabled services use."""
    address_pool: tuple[str, ...] = ()
    """`x-jocker: {address_pool: …}`: CIDRs that networks without a subnet of their own get theirs from."""
    limits: StackLimits | None = None
    """`x-jocker: {limits: …}`: what all containers may use together; None = whatever is there."""
    environment: Mapping[str, str] = field(factory=dict)
    warnings: tuple[str, ...] = ()
    refusals: tuple[Complaint, ...] = ()
    """What the file says rightly but jocker cannot do: whoever makes containers of the project must refuse."""
    seccomp_profiles: Mapping[str, str] = field(factory=dict)
    canonical: Mapping[str, Any] = field(factory=dict)
    """The canonical tree as plain values: what `jocker config` prints."""
