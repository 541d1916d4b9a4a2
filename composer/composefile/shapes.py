"""What may stand at each place of a stack file: the tables that `checks` walks by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from composer.composefile.kinds import Shape
from composer.composefile.resourceshapes import RESOURCES

_TEXT = Shape(scalar="text")
_BOOL = Shape(scalar="bool")
_BYTES = Shape(scalar="bytes")
_TEXTS = Shape(items="text")
_TEXT_OR_TEXTS = Shape(scalar="text", items="text")
_PAIRS = Shape(items="text", entries="scalar")
_KEYS = Shape(entries="keys")
_NAMED = Shape(entries="*")
_COUNT = Shape(scalar="count")
_SECONDS = Shape(scalar="seconds")
_WHOLE = Shape(scalar="int")

_RETRY: Final[Mapping[str, Shape]] = {
    "": _KEYS,
    ".template": _TEXT,
    ".retry": _KEYS,
    ".retry.attempts": Shape(scalar="positive"),
    ".retry.wait": _SECONDS,
    ".retry.max_wait": _SECONDS,
    ".retry.on": Shape(scalar="count", items="count"),
}
_REFERENCE: Final[Mapping[str, Shape]] = {
    "": Shape(scalar="text", entries="keys"),
    ".gid": _TEXT,
    ".mode": Shape(scalar="file mode"),
    ".source": _TEXT,
    ".target": _TEXT,
    ".uid": _TEXT,
}
_BUILD: Final[Mapping[str, Shape]] = {
    "": Shape(scalar="text", entries="keys"),
    ".additional_contexts": _PAIRS,
    ".args": _PAIRS,
    ".cache_from": _TEXTS,
    ".cache_to": _TEXTS,
    ".context": _TEXT,
    ".dockerfile": _TEXT,
    ".dockerfile_inline": _TEXT,
    ".entitlements": _TEXTS,
    ".extra_hosts": Shape(items="text", entries="*"),
    ".extra_hosts.*": _TEXT_OR_TEXTS,
    ".isolation": _TEXT,
    ".labels": _PAIRS,
    ".network": _TEXT,
    ".no_cache": _BOOL,
    ".no_cache_filter": _TEXT_OR_TEXTS,
    ".platforms": _TEXTS,
    ".privileged": _BOOL,
    ".provenance": Shape(scalar="text or bool"),
    ".pull": _BOOL,
    ".sbom": Shape(scalar="text or bool"),
    ".secrets": Shape(items="*"),
    ".secrets[]": Shape(scalar="text", entries="keys"),
    ".secrets[].gid": _TEXT,
    ".secrets[].mode": Shape(scalar="octal"),
    ".secrets[].source": _TEXT,
    ".secrets[].target": _TEXT,
    ".secrets[].uid": _TEXT,
    ".shm_size": _BYTES,
    ".ssh": _PAIRS,
    ".tags": _TEXTS,
    ".target": _TEXT,
    ".ulimits": _NAMED,
    ".ulimits.*": Shape(scalar="limit", entries="keys"),
    ".ulimits.*.hard": Shape(scalar="limit"),
    ".ulimits.*.soft": Shape(scalar="limit"),
}
_SERVICE: Final[Mapping[str, Shape]] = {
    "annotations": _PAIRS,
    "attach": _BOOL,
    "cap_add": _TEXTS,
    "cap_drop": _TEXTS,
    "command": _TEXT_OR_TEXTS,
    "container_name": _TEXT,
    "cpus": Shape(scalar="number"),
    "cgroup": _TEXT,
    "cgroup_parent": _TEXT,
    "configs": Shape(items="*"),
    **{f"configs[]{key}": shape for key, shape in _REFERENCE.items()},
    "credential_spec": _KEYS,
    "credential_spec.config": _TEXT,
    "credential_spec.file": _TEXT,
    "credential_spec.registry": _TEXT,
    "depends_on": Shape(items="text", entries="*"),
    "depends_on.*": _KEYS,
    "depends_on.*.condition": _TEXT,
    "depends_on.*.required": Shape(scalar="real bool"),
    "depends_on.*.restart": _BOOL,
    "deploy": _KEYS,
    "deploy.replicas": _COUNT,
    "dns": _TEXT_OR_TEXTS,
    "dns_opt": _TEXTS,
    "dns_search": _TEXT_OR_TEXTS,
    "domainname": _TEXT,
    "entrypoint": _TEXT_OR_TEXTS,
    "env_file": Shape(scalar="text", items="*"),
    "env_file[]": Shape(scalar="text", entries="keys"),
    "env_file[].format": _TEXT,
    "env_file[].path": _TEXT,
    "env_file[].required": _BOOL,
    "environment": _PAIRS,
    "extends": Shape(scalar="text", entries="keys"),
    "extends.file": _TEXT,
    "extends.service": _TEXT,
    "expose": Shape(items="text or whole"),
    "external_links": _TEXTS,
    "extra_hosts": Shape(items="text", entries="*"),
    "extra_hosts.*": _TEXT_OR_TEXTS,
    "group_add": Shape(items="text or whole"),
    "hostname": _TEXT,
    "image": _TEXT,
    "init": _BOOL,
    "ipc": _TEXT,
    "isolation": _TEXT,
    "label_file": _TEXT_OR_TEXTS,
    "labels": _PAIRS,
    "links": _TEXTS,
    "logging": _KEYS,
    "logging.driver": _TEXT,
    "logging.options": Shape(entries="text or number"),
    "mac_address": _TEXT,
    "mem_limit": _BYTES,
    "network_mode": _TEXT,
    "networks": Shape(items="text", entries="*"),
    "networks.*": _KEYS,
    "networks.*.aliases": _TEXTS,
    "networks.*.gw_priority": Shape(scalar="real int"),
    "networks.*.interface_name": _TEXT,
    "networks.*.ipv4_address": _TEXT,
    "networks.*.ipv6_address": _TEXT,
    "networks.*.link_local_ips": _TEXTS,
    "networks.*.mac_address": _TEXT,
    "networks.*.priority": Shape(scalar="real int"),
    "pid": _TEXT,
    "pids_limit": Shape(scalar="limit"),
    "platform": _TEXT,
    "ports": Shape(items="*"),
    "ports[]": Shape(scalar="text or whole", entries="keys"),
    "ports[].app_protocol": _TEXT,
    "ports[].host_ip": _TEXT,
    "ports[].mode": _TEXT,
    "ports[].name": _TEXT,
    "ports[].protocol": _TEXT,
    "ports[].published": Shape(scalar="text or whole"),
    "ports[].target": _WHOLE,
    "privileged": _BOOL,
    "profiles": _TEXTS,
    "pull_policy": _TEXT,
    "pull_refresh_after": _TEXT,
    "read_only": _BOOL,
    "restart": _TEXT,
    "runtime": _TEXT,
    "scale": _COUNT,
    "security_opt": _TEXTS,
    "secrets": Shape(items="*"),
    **{f"secrets[]{key}": shape for key, shape in _REFERENCE.items()},
    "shm_size": _BYTES,
    "stdin_open": _BOOL,
    "stop_grace_period": Shape(scalar="duration"),
    "stop_signal": _TEXT,
    "sysctls": _PAIRS,
    "tmpfs": _TEXT_OR_TEXTS,
    "tty": _BOOL,
    "ulimits": _NAMED,
    "ulimits.*": Shape(scalar="limit", entries="keys"),
    "ulimits.*.hard": Shape(scalar="limit"),
    "ulimits.*.soft": Shape(scalar="limit"),
    "use_api_socket": Shape(scalar="real bool"),
    "user": _TEXT,
    "userns_mode": _TEXT,
    "uts": _TEXT,
    "volumes": Shape(items="*"),
    "volumes[]": Shape(scalar="text", entries="keys"),
    "volumes[].bind": _KEYS,
    "volumes[].bind.create_host_path": _BOOL,
    "volumes[].bind.propagation": _TEXT,
    "volumes[].bind.recursive": _TEXT,
    "volumes[].bind.selinux": _TEXT,
    "volumes[].consistency": _TEXT,
    "volumes[].image": _KEYS,
    "volumes[].image.subpath": _TEXT,
    "volumes[].read_only": _BOOL,
    "volumes[].source": _TEXT,
    "volumes[].target": _TEXT,
    "volumes[].tmpfs": _KEYS,
    "volumes[].tmpfs.mode": Shape(scalar="octal"),
    "volumes[].tmpfs.size": _BYTES,
    "volumes[].type": _TEXT,
    "volumes[].volume": _KEYS,
    "volumes[].volume.labels": _PAIRS,
    "volumes[].volume.nocopy": _BOOL,
    "volumes[].volume.subpath": _TEXT,
    "volumes_from": _TEXTS,
    "working_dir": _TEXT,
}
_FILE_OBJECT: Final[Mapping[str, Shape]] = {
    "": _KEYS,
    ".content": _TEXT,
    ".driver": _TEXT,
    ".driver_opts": Shape(entries="text or number"),
    ".environment": _TEXT,
    ".external": Shape(scalar="bool", entries="keys"),
    ".external.name": _TEXT,
    ".file": _TEXT,
    ".labels": _PAIRS,
    ".name": _TEXT,
    ".template_driver": _TEXT,
}
_DURATION: Final = Shape(scalar="duration")


def _hook(key: str) -> dict[str, Shape]:
    """The shapes of one command of `key` that is run in a container."""
    return {
        key: _KEYS,
        f"{key}.command": _TEXT_OR_TEXTS,
        f"{key}.environment": _PAIRS,
        f"{key}.privileged": _BOOL,
        f"{key}.user": _TEXT,
        f"{key}.working_dir": _TEXT,
    }


def _update(key: str) -> dict[str, Shape]:
    return {
        key: _KEYS,
        f"{key}.delay": _DURATION,
        f"{key}.failure_action": _TEXT,
        f"{key}.max_failure_ratio": Shape(scalar="number"),
        f"{key}.monitor": _DURATION,
        f"{key}.order": _TEXT,
        f"{key}.parallelism": _COUNT,
    }


_HOOKS: Final = Shape(items="*")
_LIFE: Final[Mapping[str, Shape]] = {
    "deploy.endpoint_mode": _TEXT,
    "deploy.labels": _PAIRS,
    "deploy.mode": _TEXT,
    "deploy.placement": _KEYS,
    "deploy.placement.constraints": _TEXTS,
    "deploy.placement.max_replicas_per_node": _COUNT,
    "deploy.placement.preferences": Shape(items="*"),
    "deploy.placement.preferences[]": _KEYS,
    "deploy.placement.preferences[].spread": _TEXT,
    "deploy.restart_policy": _KEYS,
    "deploy.restart_policy.condition": _TEXT,
    "deploy.restart_policy.delay": _DURATION,
    "deploy.restart_policy.max_attempts": _COUNT,
    "deploy.restart_policy.window": _DURATION,
    **_update("deploy.rollback_config"),
    **_update("deploy.update_config"),
    "develop": _KEYS,
    "develop.watch": Shape(items="*"),
    "develop.watch[]": _KEYS,
    "develop.watch[].action": _TEXT,
    **_hook("develop.watch[].exec"),
    "develop.watch[].ignore": _TEXT_OR_TEXTS,
    "develop.watch[].include": _TEXT_OR_TEXTS,
    "develop.watch[].initial_sync": Shape(scalar="real bool"),
    "develop.watch[].path": _TEXT,
    "develop.watch[].target": _TEXT,
    "healthcheck": _KEYS,
    "healthcheck.disable": _BOOL,
    "healthcheck.interval": _DURATION,
    "healthcheck.retries": _COUNT,
    "healthcheck.start_interval": _DURATION,
    "healthcheck.start_period": _DURATION,
    "healthcheck.test": _TEXT_OR_TEXTS,
    "healthcheck.timeout": _DURATION,
    "models": Shape(items="text", entries="*"),
    "models.*": _KEYS,
    "models.*.endpoint_var": _TEXT,
    "models.*.model_var": _TEXT,
    "networks.*.driver_opts": Shape(entries="text or number"),
    "post_start": _HOOKS,
    **_hook("post_start[]"),
    "pre_start": _HOOKS,
    **_hook("pre_start[]"),
    "pre_start[].image": _TEXT,
    "pre_start[].per_replica": _BOOL,
    "pre_stop": _HOOKS,
    **_hook("pre_stop[]"),
    "provider": _KEYS,
    "provider.options": Shape(entries="*"),
    "provider.options.*": Shape(scalar="option", items="option"),
    "provider.type": _TEXT,
}
_MODEL: Final[Mapping[str, Shape]] = {
    "": _KEYS,
    ".context_size": Shape(scalar="real int"),
    ".model": _TEXT,
    ".name": _TEXT,
    ".runtime_flags": _TEXTS,
}
_NETWORK: Final[Mapping[str, Shape]] = {
    "": _KEYS,
    ".attachable": _BOOL,
    ".driver": _TEXT,
    ".driver_opts": Shape(entries="text or number"),
    ".enable_ipv4": _BOOL,
    ".enable_ipv6": _BOOL,
    ".external": Shape(scalar="bool", entries="keys"),
    ".external.name": _TEXT,
    ".internal": _BOOL,
    ".ipam": _KEYS,
    ".ipam.config": Shape(items="*"),
    ".ipam.config[]": _KEYS,
    ".ipam.config[].aux_addresses": Shape(entries="text"),
    ".ipam.config[].gateway": _TEXT,
    ".ipam.config[].ip_range": _TEXT,
    ".ipam.config[].subnet": _TEXT,
    ".ipam.driver": _TEXT,
    ".ipam.options": Shape(entries="text"),
    ".labels": _PAIRS,
    ".name": _TEXT,
}
_VOLUME: Final[Mapping[str, Shape]] = {
    "": _KEYS,
    ".driver": _TEXT,
    ".driver_opts": Shape(entries="text or number"),
    ".external": Shape(scalar="bool", entries="keys"),
    ".external.name": _TEXT,
    ".labels": _PAIRS,
    ".name": _TEXT,
}
SHAPES: Final[Mapping[str, Shape]] = {
    "": _KEYS,
    "configs": _NAMED,
    **{f"configs.*{key}": shape for key, shape in _FILE_OBJECT.items()},
    "include": Shape(items="*"),
    "include[]": Shape(scalar="text", entries="keys"),
    "include[].env_file": _TEXT_OR_TEXTS,
    "include[].path": _TEXT_OR_TEXTS,
    "include[].project_directory": _TEXT,
    "models": _NAMED,
    **{f"models.*{key}": shape for key, shape in _MODEL.items()},
    "name": _TEXT,
    "networks": _NAMED,
    **{f"networks.*{key}": shape for key, shape in _NETWORK.items()},
    "secrets": _NAMED,
    **{f"secrets.*{key}": shape for key, shape in _FILE_OBJECT.items()},
    "version": _TEXT,
    "services": _NAMED,
    "services.*": _KEYS,
    **{f"services.*.{key}": shape for key, shape in {**_SERVICE, **_LIFE, **RESOURCES}.items()},
    **{f"services.*.build{key}": shape for key, shape in _BUILD.items()},
    "volumes": _NAMED,
    **{f"volumes.*{key}": shape for key, shape in _VOLUME.items()},
    **{f"x-jocker{key}": shape for key, shape in _RETRY.items()},
    "x-jocker.address_pool": _TEXT_OR_TEXTS,
    "x-jocker.limits": _KEYS,
    "x-jocker.limits.cpus": Shape(scalar="number"),
    "x-jocker.limits.memory": _BYTES,
    "x-jocker.limits.pids": _COUNT,
    **{f"services.*.x-jocker{key}": shape for key, shape in _RETRY.items()},
}

_HOOK_PLACES: Final = ("post_start[]", "pre_start[]", "pre_stop[]", "develop.watch[].exec")
NULL_HERE: Final = frozenset({
    "services.*.develop",
    "services.*.models.*",
    *(f"services.*.{hook}.command" for hook in _HOOK_PLACES),
    *(f"services.*.{hook}.environment.*" for hook in _HOOK_PLACES),
    "networks.*",
    "services.*.build.args.*",
    "services.*.build.labels.*",
    "services.*.build.ssh.*",
    "services.*.command",
    "services.*.entrypoint",
    "services.*.networks.*",
    "services.*.pid",
    "services.*.deploy",
    "services.*.gpus[].options.*",
    "services.*.deploy.resources.reservations.devices[].options.*",
    "services.*.storage_opt.*",
    "services.*.environment.*",
    "services.*.labels.*",
    "services.*.logging.options.*",
    "services.*.annotations.*",
    "services.*.sysctls.*",
    "volumes.*",
})  # fmt: skip
"""Where null means something; elsewhere it may only stand in an override file, to keep what was there."""


ONCE: Final = frozenset(
    {
        "configs.*.labels",
        "include[].env_file",
        "include[].path",
        "secrets.*.labels",
        "services.*.build.extra_hosts",
        "services.*.build.ssh",
        "services.*.depends_on",
        "services.*.deploy.resources.reservations.devices[].capabilities",
        "services.*.deploy.resources.reservations.devices[].device_ids",
        "services.*.deploy.resources.reservations.devices[].options",
        "services.*.develop.watch[].exec.environment",
        "services.*.develop.watch[].ignore",
        "services.*.develop.watch[].include",
        "services.*.device_cgroup_rules",
        "services.*.external_links",
        "services.*.extra_hosts",
        "services.*.gpus[].capabilities",
        "services.*.gpus[].device_ids",
        "services.*.gpus[].options",
        "services.*.group_add",
        "services.*.models",
        "services.*.networks",
        "services.*.post_start[].environment",
        "services.*.pre_start[].environment",
        "services.*.pre_stop[].environment",
        "services.*.security_opt",
        "services.*.volumes[].volume.labels",
        "services.*.volumes_from",
        "volumes.*.labels",
    }
)
"""Lists in which an item stands once only; in others that are sets, a later one takes the place of an earlier one."""


class Choice(NamedTuple):
    """The words of the specification for one place: those we act on, and those a file may have but nobody runs."""

    what: str
    accepted: tuple[str, ...]
    later: tuple[str, ...] = ()
    later_prefixes: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    """How words begin, besides `accepted`, that we act on."""
    never: str = ""
    """Why those for later are none for us, ever."""

    def is_later(self, word: str) -> bool:
        return word in self.later or word.startswith(self.later_prefixes or ("\0",))


CHOICES: Final[Mapping[str, Choice]] = {
    "services.*.restart": Choice(
        "restart policy", ("no", "always", "unless-stopped", "on-failure", ""), prefixes=("on-failure:",)
    ),
    "services.*.pull_policy": Choice(
        "pull policy",
        ("always", "never", "missing", "if_not_present", "build", "refresh", "daily", "weekly"),
        prefixes=("every_",),
    ),
    "services.*.depends_on.*.condition": Choice(
        "condition", ("service_started", "service_healthy", "service_completed_successfully")
    ),
    "services.*.deploy.mode": Choice("mode", ("replicated", "global", ""), ("replicated-job", "global-job")),
    "services.*.deploy.endpoint_mode": Choice("endpoint mode", ("vip", "dnsrr", "")),
    "services.*.deploy.restart_policy.condition": Choice("condition", ("none", "any", "on-failure", "")),
    "services.*.deploy.rollback_config.failure_action": Choice("action", ("continue", "pause", "")),
    "services.*.deploy.rollback_config.order": Choice("order", ("start-first", "stop-first")),
    "services.*.deploy.update_config.failure_action": Choice("action", ("continue", "pause", "rollback", "")),
    "services.*.deploy.update_config.order": Choice("order", ("start-first", "stop-first")),
    "services.*.develop.watch[].action": Choice("action", ("rebuild", "sync", "restart", "sync+restart", "sync+exec")),
    "services.*.gpus": Choice("value", ("all",)),
    "services.*.cgroup": Choice("cgroup namespace", ("host", "private")),
    "networks.*.ipam.driver": Choice("IPAM driver", ("default", ""), later_prefixes=("",)),
    "services.*.env_file[].format": Choice("format", ("raw", "")),
    "services.*.volumes[].type": Choice(
        "mount type", ("bind", "image", "tmpfs", "volume"), ("npipe", "cluster"), never="of Windows and swarms"
    ),
    "services.*.volumes[].bind.propagation": Choice(
        "propagation", ("private", "rprivate", "shared", "rshared", "slave", "rslave", "")
    ),
    "services.*.volumes[].bind.recursive": Choice("value", ("enabled", "disabled", "writable", "readonly")),
    "services.*.volumes[].bind.selinux": Choice("value", ("z", "Z")),
}
