"""Every key of the Compose Specification, and what jocker does with it: the list `jocker config --support` prints.

A key is supported, accepted without effect on one machine, or refused: a file may have it, and `jocker config` prints
it, but what makes containers says no, with its place. What is not in these tables is unknown: an error in the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final


class Support(Enum):
    """What happens when a stack file uses a key."""

    SUPPORTED = "supported"
    NO_EFFECT = "accepted, no effect on one machine"
    REFUSED = "refused"
    """For good; the note says why."""
    LATER = "refused for now"


Key = tuple[str, Support, str]
"""One line of the table: `services.*.volumes[].bind.selinux`, what we do, and why if it needs saying."""

_FILE_REFERENCE = "gid mode source target uid"
_LIMITS = """
    blkio_config cpu_period cpu_quota cpu_rt_period cpu_rt_runtime cpu_shares cpuset device_cgroup_rules devices gpus
    mem_reservation mem_swappiness memswap_limit oom_kill_disable oom_score_adj """
_RATES = "path rate"
_DEVICE_REQUEST = "capabilities count device_ids driver options"
_RESERVED = "services.*.deploy.resources.reservations"
# `*` stands for a name the user chose, `[]` for an item of a list
_SUPPORTED: Final[Mapping[str, str]] = {
    "": "configs include name networks secrets services volumes x-jocker",
    "configs.*": "content environment external file",
    "configs.*.external": "name",
    "include[]": "env_file path project_directory",
    "networks.*": "driver driver_opts enable_ipv4 enable_ipv6 external internal ipam labels name",
    "networks.*.external": "name",
    "networks.*.ipam": "config driver",
    "networks.*.ipam.config[]": "aux_addresses gateway ip_range subnet",
    "secrets.*": "environment external file",
    "secrets.*.external": "name",
    "services.*": _LIMITS
    + """
        annotations attach build cap_add cap_drop cgroup command configs container_name cpus depends_on deploy
        develop dns dns_opt dns_search domainname entrypoint env_file environment expose extends
        external_links extra_hosts group_add healthcheck hostname image init ipc isolation label_file labels
        links logging mac_address mem_limit network_mode networks pid pids_limit platform ports post_start
        pre_start pre_stop privileged profiles provider pull_policy read_only restart runtime scale secrets
        security_opt shm_size stdin_open stop_grace_period stop_signal sysctls tmpfs tty ulimits user
        userns_mode uts volumes volumes_from working_dir x-jocker""",
    "services.*.build": """
        additional_contexts args context dockerfile dockerfile_inline extra_hosts labels network no_cache
        no_cache_filter platforms privileged pull secrets shm_size ssh tags target ulimits""",
    "services.*.build.secrets[]": "source target",
    "services.*.build.ulimits.*": "hard soft",
    "services.*.blkio_config": (
        "device_read_bps device_read_iops device_write_bps device_write_iops weight weight_device"
    ),
    "services.*.blkio_config.device_read_bps[]": _RATES,
    "services.*.blkio_config.device_read_iops[]": _RATES,
    "services.*.blkio_config.device_write_bps[]": _RATES,
    "services.*.blkio_config.device_write_iops[]": _RATES,
    "services.*.blkio_config.weight_device[]": "path weight",
    "services.*.depends_on.*": "condition required restart",
    "services.*.configs[]": _FILE_REFERENCE,
    "services.*.develop": "watch",
    "services.*.develop.watch[]": "action exec ignore include initial_sync path target",
    "services.*.develop.watch[].exec": "command environment privileged user working_dir",
    "services.*.deploy": "mode replicas resources restart_policy",
    "services.*.deploy.resources": "limits reservations",
    "services.*.deploy.resources.limits": "cpus memory pids",
    _RESERVED: "devices memory",
    f"{_RESERVED}.devices[]": _DEVICE_REQUEST,
    "services.*.devices[]": "permissions source target",
    "services.*.gpus[]": _DEVICE_REQUEST,
    "services.*.deploy.restart_policy": "condition delay max_attempts window",
    "services.*.logging": "driver options",
    "services.*.env_file[]": "format path required",
    "services.*.extends": "file service",
    "services.*.healthcheck": "disable interval retries start_interval start_period test timeout",
    "services.*.post_start[]": "command environment privileged user working_dir",
    "services.*.pre_start[]": "command environment image per_replica privileged user working_dir",
    "services.*.pre_stop[]": "command environment privileged user working_dir",
    "services.*.networks.*": """
        aliases gw_priority interface_name ipv4_address ipv6_address link_local_ips mac_address priority""",
    "services.*.ports[]": "host_ip protocol published target",
    "services.*.provider": "options type",
    "services.*.secrets[]": _FILE_REFERENCE,
    "services.*.ulimits.*": "hard soft",
    "services.*.volumes[]": "bind image read_only source target tmpfs type volume",
    "services.*.volumes[].bind": "create_host_path propagation recursive selinux",
    "services.*.volumes[].image": "subpath",
    "services.*.volumes[].tmpfs": "mode size",
    "services.*.volumes[].volume": "labels nocopy subpath",
    "services.*.x-jocker": "retry template",
    "services.*.x-jocker.retry": "attempts max_wait on wait",
    "volumes.*": "driver driver_opts external labels name",
    "volumes.*.external": "name",
    "x-jocker": "address_pool limits retry template",
    "x-jocker.limits": "cpus memory pids",
    "x-jocker.retry": "attempts max_wait on wait",
}
_UPDATE = "delay failure_action max_failure_ratio monitor order parallelism"
_NO_EFFECT: Final[Mapping[str, str]] = {
    "": "version",
    "configs.*": "labels name",
    "secrets.*": "labels name",
    "networks.*": "attachable",
    "networks.*.ipam": "options",
    "services.*": "cpu_count cpu_percent develop pull_refresh_after",
    "services.*.deploy": "endpoint_mode labels placement rollback_config update_config",
    "services.*.deploy.placement": "constraints max_replicas_per_node preferences",
    "services.*.deploy.placement.preferences[]": "spread",
    _RESERVED: "cpus generic_resources",
    f"{_RESERVED}.generic_resources[]": "discrete_resource_spec",
    f"{_RESERVED}.generic_resources[].discrete_resource_spec": "kind value",
    "services.*.deploy.rollback_config": _UPDATE,
    "services.*.deploy.update_config": _UPDATE,
    "services.*.build": "cache_from cache_to entitlements isolation provenance sbom",
    "services.*.build.secrets[]": "gid mode uid",
    "services.*.ports[]": "app_protocol mode name",
    "services.*.volumes[]": "consistency",
}
_LATER: Final[Mapping[str, str]] = {}
_REFUSED: Final[Mapping[str, str]] = {
    "": "models",
    "models.*": "context_size model name runtime_flags",
    "services.*": "cgroup_parent credential_spec models storage_opt use_api_socket",
    "services.*.models.*": "endpoint_var model_var",
    "services.*.networks.*": "driver_opts",
    "configs.*": "template_driver",
    "secrets.*": "driver driver_opts template_driver",
    "services.*.credential_spec": "config file registry",
}
_TABLES = (
    (Support.SUPPORTED, _SUPPORTED),
    (Support.NO_EFFECT, _NO_EFFECT),
    (Support.REFUSED, _REFUSED),
    (Support.LATER, _LATER),
)
_PLUGIN = "a plugin of a swarm, and there is none"
_NOTES: Final[Mapping[str, str]] = {
    **{f"{section}.*.external": "false: there is no swarm to keep it" for section in ("configs", "secrets")},
    **{f"{section}.*.external.name": "obsolete in the specification; a warning" for section in ("configs", "secrets")},
    **{f"{section}.*.labels": "a file has none" for section in ("configs", "secrets")},
    **{f"{section}.*.name": "a name in a swarm, and there is none" for section in ("configs", "secrets")},
    **{f"{section}.*.template_driver": _PLUGIN for section in ("configs", "secrets")},
    "secrets.*.driver": _PLUGIN,
    "secrets.*.driver_opts": _PLUGIN,
    "version": "obsolete in the specification; a warning",
    "models": "no model runner here",
    "networks.*.attachable": "every network of the machine is",
    "networks.*.driver": "bridge",
    "networks.*.driver_opts": "mtu, bridge name, icc, masquerading, host binding",
    "networks.*.external.name": "obsolete in the specification; a warning",
    "networks.*.ipam.driver": "default",
    "networks.*.ipam.options": "docker compose drops them, too",
    "services.*.build": "by buildah",
    "services.*.build.additional_contexts": "directories, docker-image:// and service:; nothing is fetched",
    "services.*.build.cache_from": "the cache of this machine is used",
    "services.*.build.cache_to": "the cache stays on this machine",
    "services.*.build.context": "a directory; nothing is fetched",
    "services.*.build.entitlements": "permits for BuildKit: `network: host` and `privileged` need none here",
    "services.*.build.isolation": "for Windows",
    "services.*.build.network": "default, none, host",
    "services.*.build.no_cache_filter": "then no stage comes from the cache",
    "services.*.build.platforms": "one image is built: for `platform`, else this machine's, else the first",
    "services.*.build.provenance": "no attestations are made",
    "services.*.build.sbom": "no attestations are made",
    "services.*.build.secrets[].gid": "BuildKit does not heed it; say it in RUN --mount",
    "services.*.build.secrets[].mode": "BuildKit does not heed it; say it in RUN --mount",
    "services.*.build.secrets[].uid": "BuildKit does not heed it; say it in RUN --mount",
    "services.*.ports[].mode": "for clusters",
    "services.*.ports[].name": "documentation",
    "services.*.ports[].app_protocol": "documentation",
    "services.*.ports[].protocol": "tcp and udp",
    "services.*.deploy.endpoint_mode": "a name has the addresses of all replicas: dnsrr",
    "services.*.deploy.labels": "of the service, not of its containers",
    "services.*.deploy.mode": "replicated, and global: one container",
    "services.*.deploy.placement": "there is one machine",
    "services.*.deploy.rollback_config": "nothing is rolled back",
    "services.*.deploy.update_config": "all replicas are replaced at once",
    "services.*.cpu_count": "for Windows: docker on Linux ignores it, too",
    "services.*.cpu_percent": "for Windows: docker on Linux ignores it, too",
    _RESERVED: "memory and devices",
    f"{_RESERVED}.cpus": "a hint to whoever places containers on machines",
    f"{_RESERVED}.generic_resources": "a hint to whoever places containers on machines",
    "services.*.gpus": "through CDI",
    f"{_RESERVED}.devices": "through CDI",
    "services.*.mem_swappiness": "cgroup v1",
    "services.*.oom_kill_disable": "cgroup v1",
    "services.*.cpu_rt_period": "cgroup v1, where the kernel has RT_GROUP_SCHED",
    "services.*.cpu_rt_runtime": "cgroup v1, where the kernel has RT_GROUP_SCHED",
    "services.*.storage_opt": (
        "what a container writes lies beside the others' on one file system: jocker sets no quotas there"
    ),
    "services.*.develop": "for `jocker watch` and `jocker up --watch`",
    "services.*.healthcheck.disable": "also the test NONE",
    "services.*.models": "no model runner here",
    "services.*.provider": "a docker plugin or a program, by docker compose's protocol",
    "services.*.networks.*.driver_opts": "a container's end on a network has no options here",
    "services.*.uts": "host",
    "services.*.volumes[].type": "bind, image, tmpfs, volume",
    "services.*.volumes[].volume.labels": "of an anonymous volume",
    "services.*.cgroup_parent": "a stack has a cgroup of its own, by which it is limited and ended",
    "services.*.credential_spec": "for Windows",
    "services.*.isolation": "default; the others are kinds of Windows",
    "services.*.logging.driver": "k8s-file, json-file, local, journald, passthrough, none",
    "services.*.logging.options": "max-size and max-file; tag for journald",
    "services.*.platform": "linux, any architecture; one for each name of an image",
    "services.*.pull_refresh_after": "docker compose does not know it",
    "services.*.runtime": "runc, crun, youki, or the path of one",
    "services.*.use_api_socket": "there is no engine whose socket it could be",
    "services.*.userns_mode": "host",
    "services.*.volumes[].consistency": "a hint to Docker Desktop",
    "services.*.volumes[].bind.selinux": "of directories of the machine, where SELinux is on",
    "services.*.x-jocker": "ours: template and retry",
    "volumes.*.driver": "local",
    "volumes.*.driver_opts": "type, device and o, as mount(8) has them",
    "volumes.*.external.name": "obsolete in the specification; a warning",
    "x-jocker": "ours: defaults for every service, and where networks get their addresses",
}

NO_EXTENSIONS: Final = frozenset({"services.*.env_file[]", "services.*.x-jocker", "services.*.x-jocker.retry"}) | {
    "include[]",
    "services.*.blkio_config",
    *(f"services.*.blkio_config.device_{way}_{unit}[]" for way in ("read", "write") for unit in ("bps", "iops")),
    "services.*.blkio_config.weight_device[]",
    "services.*.extends",
    "x-jocker",
    "x-jocker.limits",
    "x-jocker.retry",
}
"""Mappings in which even `x-…` is unknown."""


_FOUND: Final[dict[str, dict[str, Support]]] = {}


def keys_of(parent: str) -> Mapping[str, Support]:
    """The keys of the specification below the pattern `parent` ("" is the top level), and what we do with each."""
    found = _FOUND.get(parent)
    if found is None:
        found = _FOUND[parent] = {}
        for support, table in reversed(_TABLES):
            found.update(dict.fromkeys(table.get(parent, "").split(), support))
    return found


def why_refused(pattern: str) -> str:
    """What to say about a key that is refused: the note, or that it is not supported yet."""
    return _NOTES.get(pattern, "") or "not supported yet"


def note_on(pattern: str) -> str:
    """What is said about a key, or ""."""
    return _NOTES.get(pattern, "")


def _note_above(path: str, support: Support) -> str:
    """Why the key above is treated so: the reason for all that is below it."""
    if support is Support.SUPPORTED:
        return ""
    above = path.rpartition(".")[0].removesuffix("[]").removesuffix(".*")
    while above:
        if note := _NOTES.get(above):
            return note
        above = above.rpartition(".")[0].removesuffix("[]").removesuffix(".*")
    return "not supported yet" if support is Support.LATER else ""


def support_table() -> tuple[Key, ...]:
    """Every key with its full pattern, sorted."""
    parents = sorted({parent for _, table in _TABLES for parent in table})
    rows: list[Key] = []
    for parent in parents:
        for key, support in keys_of(parent).items():
            path = f"{parent}.{key}" if parent else key
            rows.append((path, support, _NOTES.get(path, "") or _note_above(path, support)))
    return tuple(sorted(rows, key=lambda row: row[0]))
