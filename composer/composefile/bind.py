"""The merged, checked tree to the model's values. Nothing can be wrong any more: the passes before saw to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, cast

from composer.composefile.consistency import replicas_of
from composer.composefile.netbind import (
    bind_ends,
    bind_exposed,
    bind_links,
    bind_mode,
    bind_ports,
    bind_servers,
    canonical_ends,
    canonical_networks,
    canonical_ports,
)
from composer.composefile.tree import Node, Path, place_of, plain
from composer.model.fileobject import FileReference
from composer.model.network import Network
from composer.model.process import Log
from composer.model.service import (
    AnonymousVolume,
    BindMount,
    Condition,
    Dependency,
    ImageMount,
    Mount,
    NamedVolume,
    PullPolicy,
    Retry,
    Service,
    TmpfsMount,
    Ulimit,
)
from composer.model.values import format_duration

if TYPE_CHECKING:
    from composer.model.life import Life
    from composer.model.resources import Resources

_RETRY_ATTEMPTS = 3
_PLAIN_POLICIES = frozenset({"always", "never", "missing", "build"})
_NANOSECONDS = 1e9
_KEPT_EMPTY = frozenset({
    "attach", "blkio_config", "command", "credential_spec", "deploy", "develop", "entrypoint", "healthcheck", "init",
    "logging", "network_mode", "provider", "scale", "stop_grace_period",
})  # fmt: skip
LIFE = frozenset({"healthcheck", "develop", "models", "provider", "pre_start", "post_start", "pre_stop"})
"""Keys that few services have, and whose modules only these pay for."""
RESOURCES = frozenset({
    "blkio_config", "cpu_period", "cpu_quota", "cpu_rt_period", "cpu_rt_runtime", "cpu_shares", "cpuset",
    "device_cgroup_rules", "devices", "gpus", "mem_reservation", "mem_swappiness", "memswap_limit",
    "oom_kill_disable", "oom_score_adj",
})  # fmt: skip
"""The same, for limits and devices; also `deploy.resources`."""


def bind_service(
    name: str, service: Node, defaults: Node | None, template: str | None, networks: Mapping[str, Network]
) -> Service:
    """One service of the model. `defaults` is the stack's `x-jocker`, `template` the text of the template.

    `networks` are the project's.
    """
    path: Path = ("services", name)
    text = _Reader(service)
    grace = service.at("stop_grace_period")
    memory, cpus, pids, resources = _resources(service)
    return Service(
        name=name,
        place=place_of(service.key or service.mark, path),
        image=text("image") or "",
        command=_words(service.at("command")),
        entrypoint=_words(service.at("entrypoint")),
        environment={key: node.text if node.value is not None else None for key, node in text.entries("environment")},
        working_dir=text("working_dir"),
        user=text("user"),
        group_add=text.all("group_add"),
        hostname=text("hostname"),
        container_name=text("container_name"),
        labels={key: node.text for key, node in text.entries("labels")},
        annotations={key: node.text for key, node in text.entries("annotations")},
        depends_on={key: _dependency(node) for key, node in text.entries("depends_on")},
        mounts=_mounts(service),
        volumes_from=_volumes_from(service),
        files=_files(service),
        read_only=text.flag("read_only"),
        cap_add=_capabilities(text.all("cap_add")),
        cap_drop=_capabilities(text.all("cap_drop")),
        init=text.flag("init"),
        stop_signal=text("stop_signal"),
        stop_grace_seconds=10.0 if grace is None else float(cast("int", grace.value)) / _NANOSECONDS,
        tty=text.flag("tty"),
        stdin_open=text.flag("stdin_open"),
        network_mode=bind_mode(service),
        networks=bind_ends(service, networks),
        ports=bind_ports(service),
        expose=bind_exposed(service),
        dns=bind_servers(service),
        dns_search=text.all("dns_search"),
        dns_opt=text.all("dns_opt"),
        domainname=text("domainname") or "",
        links=bind_links(service, "links"),
        external_links=bind_links(service, "external_links"),
        pid=text("pid") or "",
        ipc=text("ipc") or "",
        uts=text("uts") or "",
        cgroup=text("cgroup") or "",
        ulimits={key: _ulimit(node) for key, node in text.entries("ulimits")},
        sysctls={key: node.text for key, node in text.entries("sysctls")},
        security_opt=text.all("security_opt"),
        privileged=text.flag("privileged"),
        mem_limit=memory,
        cpus=cpus,
        pids_limit=pids,
        shm_size=text.number("shm_size"),
        resources=resources,
        extra_hosts=tuple(_host(item) for item in text.all("extra_hosts")),
        profiles=text.all("profiles"),
        replicas=replicas_of(service),
        pull_policy=cast("PullPolicy", policy if (policy := text("pull_policy")) in _PLAIN_POLICIES else "missing"),
        refresh_after=_refresh_after(service),
        template=template,
        attach=attach.value is not False if (attach := service.at("attach")) else True,
        runtime=text("runtime") or "",
        platform=text("platform") or "",
        log=_log(service),
        retry=_retry(service, defaults),
        life=_life(service),
    )


class _Reader:
    """Reads attributes of one service by name, in the form asked for."""

    def __init__(self, service: Node) -> None:
        self.service = service

    def __call__(self, key: str) -> str | None:
        """The text, or None if it is absent or empty."""
        node = self.service.at(key)
        return node.text or None if node is not None else None

    def flag(self, key: str) -> bool:
        node = self.service.at(key)
        return node is not None and node.value is True

    def number(self, key: str) -> int:
        node = self.service.at(key)
        return node.value if node is not None and isinstance(node.value, int) else 0

    def all(self, key: str) -> tuple[str, ...]:
        node = self.service.at(key)
        return tuple(item.text for item in node.elements) if node is not None else ()

    def entries(self, key: str) -> list[tuple[str, Node]]:
        node = self.service.at(key)
        return list(node.items.items()) if node is not None else []


def _log(service: Node) -> Log | None:
    if "logging" not in service.items:
        return None
    from composer.composefile.process import bind_log

    return bind_log(service)


def _refresh_after(service: Node) -> float | None:
    policy = service.at("pull_policy")
    if policy is None or policy.text in _PLAIN_POLICIES:
        return None
    from composer.composefile.process import bind_refresh

    return bind_refresh(service)


def _capabilities(words: tuple[str, ...]) -> tuple[str, ...]:
    """As the kernel names them, so that `net_admin` and `CAP_NET_ADMIN` make no difference."""
    if not words:
        return ()
    from composer.composefile.security import capability_name

    return tuple(dict.fromkeys(capability_name(word) for word in words))


def _words(node: Node | None) -> tuple[str, ...] | None:
    if node is None or node.value is None:
        return None
    return tuple(item.text for item in node.elements)


def _dependency(node: Node) -> Dependency:
    condition, restart, required = node.at("condition"), node.at("restart"), node.at("required")
    return Dependency(
        condition=cast("Condition", condition.text if condition else "service_started"),
        restart=restart is not None and restart.value is True,
        required=required is None or required.value is not False,
    )


def _ulimit(node: Node) -> Ulimit:
    if isinstance(node.value, int):
        return Ulimit(node.value, node.value)
    soft, hard = node.at("soft"), node.at("hard")
    return Ulimit(cast("int", soft.value if soft else 0), cast("int", hard.value if hard else 0))


def _host(line: str) -> tuple[str, str]:
    host, _, address = line.partition("=")
    return host, address


def _mounts(service: Node) -> tuple[Mount, ...]:
    volumes, tmpfs = service.at("volumes"), service.at("tmpfs")
    mounts = [_mount(item) for item in (volumes.elements if volumes else ())]
    for item in tmpfs.elements if tmpfs else ():
        target, _, options = item.text.partition(":")
        mounts.append(TmpfsMount(target, tuple(filter(None, options.split(",")))))
    return tuple(mounts)


def _volumes_from(service: Node) -> tuple[str, ...]:
    if "volumes_from" not in service.items:
        return ()
    from composer.composefile.volumesfrom import bind_volumes_from

    return bind_volumes_from(service)


def _files(service: Node) -> tuple[FileReference, ...]:
    if "secrets" not in service.items and "configs" not in service.items:
        return ()
    from composer.composefile.fileobjects import bind_references

    return bind_references(service)


def _mount(item: Node) -> Mount:
    text = _Reader(item)
    kind, target, read_only = text("type"), text("target") or "", text.flag("read_only")
    if kind == "tmpfs":
        size, mode = item.at("tmpfs", "size"), item.at("tmpfs", "mode")
        options = [f"size={size.value}"] if size and size.value else []
        options += [f"mode={mode.value:o}"] if mode and isinstance(mode.value, int) else []
        return TmpfsMount(target, tuple(options), read_only)
    if kind == "volume":
        option, subpath = item.at("volume", "nocopy"), item.at("volume", "subpath")
        nocopy, source = option is not None and option.value is True, text("source")
        if source:
            return NamedVolume(target, source, read_only, nocopy, subpath.text if subpath else "")
        labels = item.at("volume", "labels")
        pairs = ((key, value.text) for key, value in labels.items.items()) if labels else ()
        return AnonymousVolume(target, read_only, nocopy, tuple(sorted(pairs)))
    if kind == "image":
        subpath = item.at("image", "subpath")
        return ImageMount(target, _reference(text("source") or ""), subpath.text if subpath else "")
    bind = item.at("bind")
    options_of = _Reader(bind or item)
    return BindMount(
        target,
        text("source") or "",
        read_only,
        # docker compose 2.40: a long form with `bind:` but without this key does not make the directory
        create_host_path=bind is None or options_of.flag("create_host_path"),
        propagation=(options_of("propagation") if bind else None) or "rprivate",
        recursive=cast(
            "Literal['enabled', 'disabled', 'writable', 'readonly']",
            (options_of("recursive") if bind else None) or "enabled",
        ),
        selinux=(options_of("selinux") if bind else None) or "",
    )


def _reference(image: str) -> str:
    """Normalised; what is none is refused elsewhere, with its place."""
    from composer.errors import UsageError
    from composer.image.reference import normalise

    try:
        return normalise(image)
    except UsageError:
        return image


def _retry(service: Node, defaults: Node | None) -> Retry | None:
    """The service's `retry`, field by field over the stack's."""
    own = service.at("x-jocker", "retry")
    shared = defaults.at("retry") if defaults else None
    if own is None and shared is None:
        return None
    fields = {**(shared.items if shared else {}), **(own.items if own else {})}
    on = fields.get("on")
    codes = (on.elements or ([on] if isinstance(on.value, int) else [])) if on else []
    return Retry(
        attempts=cast("int", fields["attempts"].value) if "attempts" in fields else _RETRY_ATTEMPTS,
        wait=cast("float", fields["wait"].value) if "wait" in fields else Retry().wait,
        max_wait=cast("float", fields["max_wait"].value) if "max_wait" in fields else Retry().max_wait,
        on=tuple(cast("int", code.value) for code in codes),
    )


def _resources(service: Node) -> tuple[int, float, int, Resources | None]:
    """Memory, CPUs, processes; and what few stacks say of limits and devices."""
    if RESOURCES.isdisjoint(service.items) and service.at("deploy", "resources") is None:
        cpus = service.at("cpus")
        text = _Reader(service)
        return (
            text.number("mem_limit"),
            float(cast("float", cpus.value)) if cpus else 0.0,
            text.number("pids_limit"),
            None,
        )
    from composer.composefile.resourcebind import bind_resources, limits_of

    return *limits_of(service), bind_resources(service)


def _life(service: Node) -> Life | None:
    """What few stacks say: restarts, checks, hooks and the like."""
    restart, policy = service.at("restart"), service.at("deploy", "restart_policy")
    if LIFE.isdisjoint(service.items) and policy is None and (restart is None or restart.text in {"", "no"}):
        return None
    from composer.composefile.lifebind import bind_life

    return bind_life(service)


def canonical_project(name: str, tree: Node, services: Mapping[str, Node], *, normal: bool = True) -> dict[str, Any]:
    """What `config` prints, as plain values: `name`, enabled services, networks and volumes of theirs, `x-…`.

    Nothing empty. `normal` False leaves names out that nobody wrote.
    """
    whole: dict[str, Any] = {
        "name": name,
        "services": {key: _canonical_service(service, services) for key, service in sorted(services.items())},
    }
    defined = tree.at("networks")
    if networks := canonical_networks(name, defined.items if defined else {}, services):
        whole["networks"] = networks
    defined = tree.at("volumes")
    if defined is not None and defined.items:
        from composer.composefile.volumes import canonical_volumes

        if volumes := canonical_volumes(name, defined.items, services):
            whole["volumes"] = volumes
    defined = tree.at("models")
    if defined is not None and defined.items:
        from composer.composefile.lifeprint import top_models

        if models := top_models(defined.items, services):
            whole["models"] = models
    if tree.at("secrets") or tree.at("configs"):
        from composer.composefile.fileobjects import canonical_file_objects

        whole.update(canonical_file_objects(name, services, tree))
    if not normal:
        for section in ("networks", "volumes", "secrets", "configs"):
            for key, entry in whole.get(section, {}).items():
                if tree.at(section, key, "name") is None:
                    del entry["name"]
    whole.update({key: plain(node) for key, node in tree.items.items() if key.startswith("x-")})
    return whole


def _canonical_service(service: Node, services: Mapping[str, Node]) -> dict[str, Any]:
    done: dict[str, Any] = {}
    for key, node in sorted(service.items.items()):
        if key.startswith("x-"):
            done[key] = plain(node)
            continue
        if key == "depends_on":  # what is optional and not enabled: nobody would find it in the output
            node = node.with_value({other: entry for other, entry in node.items.items() if other in services})
        value = _canonical_value(key, node)
        if value is not None and (key in _KEPT_EMPTY or value):
            done[key] = value
    return done


def _canonical_value(key: str, node: Node) -> Any:
    if key in LIFE or key == "deploy":
        from composer.composefile.lifeprint import printed

        return None if node.value is None else printed(key, node, _printed_resources)
    if key == "build":
        from composer.composefile.building import canonical_build

        return canonical_build(node, plain)
    if key in RESOURCES or key in {"mem_limit", "shm_size", "storage_opt"}:
        from composer.composefile import resourcebind

        return resourcebind.printed(key, node)
    return _canonical_attribute(key, node)


def _canonical_attribute(key: str, node: Node) -> Any:
    match key:
        case "cpus":
            return int(number) if (number := cast("float", node.value)) == int(number) else number
        case "stop_grace_period":
            return format_duration(cast("int", node.value))
        case "extra_hosts":
            return sorted(item.text for item in node.elements)
        case "depends_on":
            return {other: _canonical_dependency(entry) for other, entry in sorted(node.items.items())}
        case "networks":
            return canonical_ends(node)
        case "ports":
            return canonical_ports(node)
        case "volumes":
            return [_canonical_mount(item) for item in node.elements]
        case "configs" | "logging" | "pull_refresh_after" | "secrets":
            return _canonical_rarely(key, node)
        case "environment":
            return {variable: plain(value) for variable, value in sorted(node.items.items())}
        case _:
            return plain(node)


def _canonical_rarely(key: str, node: Node) -> Any:
    """What few services have."""
    if key == "pull_refresh_after":
        return None  # as docker compose
    if key == "logging":
        from composer.composefile.process import canonical_logging

        return canonical_logging(node)
    from composer.composefile.fileobjects import canonical_references

    return canonical_references(node)


def _printed_resources(node: Node) -> Any:
    from composer.composefile import resourcebind

    return resourcebind.printed("resources", node)


def _canonical_dependency(entry: Node) -> dict[str, Any]:
    dependency = _dependency(entry)
    done: dict[str, Any] = {"condition": dependency.condition, "required": dependency.required}
    if dependency.restart:
        done["restart"] = True
    return done


def _canonical_mount(item: Node) -> dict[str, Any]:
    done = _without_empty(plain(item))
    for kind in ("bind", "image", "tmpfs", "volume"):
        if kind in done:
            done[kind] = _without_empty(done[kind])
    if "size" in done.get("tmpfs", {}):
        done["tmpfs"]["size"] = str(done["tmpfs"]["size"])
    return done


def _without_empty(entries: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entries.items() if value or isinstance(value, dict)}
