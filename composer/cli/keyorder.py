"""The order in which `config` prints keys: docker compose's, so that the output of both can be compared as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from composer.cli.yamltext import natural

_HOOK: Final = "command user privileged working_dir environment image per_replica"
_UPDATE: Final = "parallelism delay failure_action monitor max_failure_ratio order"
_FILE_REFERENCE: Final = "source target uid gid mode"
_DEVICES: Final = "capabilities driver count device_ids options"
_RESOURCE: Final = "cpus memory pids devices generic_resources"
_FILE_OBJECT: Final = "name file environment content external labels driver driver_opts template_driver"
_ULIMIT: Final = "soft hard"
_ORDERS: Final[Mapping[str, str]] = {
    "": "name services networks volumes secrets configs models",
    "services.*": """
        profiles annotations attach build develop blkio_config cap_add cap_drop cgroup_parent cgroup cpu_count
        cpu_percent cpu_period cpu_quota cpu_rt_period cpu_rt_runtime cpus cpuset cpu_shares command configs
        container_name credential_spec depends_on deploy device_cgroup_rules devices dns dns_opt dns_search domainname
        entrypoint provider environment env_file expose extends external_links extra_hosts group_add gpus hostname
        healthcheck image init ipc isolation labels label_file links logging mem_limit mem_reservation memswap_limit
        mem_swappiness mac_address models network_mode networks oom_kill_disable oom_score_adj pid pids_limit platform
        ports privileged pull_policy read_only restart runtime scale secrets security_opt shm_size stdin_open
        stop_grace_period stop_signal storage_opt sysctls tmpfs tty ulimits use_api_socket user userns_mode uts volumes
        volumes_from working_dir pre_start post_start pre_stop""",
    "services.*.blkio_config": (
        "weight weight_device device_read_bps device_read_iops device_write_bps device_write_iops"
    ),
    "services.*.build": """
        context dockerfile dockerfile_inline entitlements args provenance sbom ssh labels cache_from cache_to no_cache
        no_cache_filter additional_contexts pull extra_hosts isolation network target secrets shm_size tags ulimits
        platforms privileged""",
    "services.*.build.secrets[]": _FILE_REFERENCE,
    "services.*.build.ulimits.*": _ULIMIT,
    "services.*.configs[]": _FILE_REFERENCE,
    "services.*.depends_on.*": "condition restart required",
    "services.*.deploy": """
        mode replicas labels update_config rollback_config resources restart_policy placement endpoint_mode""",
    "services.*.deploy.placement": "constraints preferences max_replicas_per_node",
    "services.*.deploy.resources": "limits reservations",
    "services.*.deploy.resources.limits": _RESOURCE,
    "services.*.deploy.resources.reservations": _RESOURCE,
    "services.*.deploy.resources.reservations.devices[]": _DEVICES,
    "services.*.deploy.restart_policy": "condition delay max_attempts window",
    "services.*.deploy.rollback_config": _UPDATE,
    "services.*.deploy.update_config": _UPDATE,
    "services.*.develop": "watch",
    "services.*.develop.watch[]": "path action target exec include ignore initial_sync",
    "services.*.develop.watch[].exec": _HOOK,
    "services.*.devices[]": "source target permissions",
    "services.*.env_file[]": "path required format",
    "services.*.gpus[]": _DEVICES,
    "services.*.healthcheck": "test timeout interval retries start_period start_interval disable",
    "services.*.logging": "driver options",
    "services.*.networks.*": """
        aliases driver_opts gw_priority interface_name ipv4_address ipv6_address link_local_ips mac_address priority""",
    "services.*.ports[]": "name mode host_ip target published protocol app_protocol",
    "services.*.post_start[]": _HOOK,
    "services.*.pre_start[]": _HOOK,
    "services.*.pre_stop[]": _HOOK,
    "services.*.provider": "type options",
    "services.*.secrets[]": _FILE_REFERENCE,
    "services.*.ulimits.*": _ULIMIT,
    "services.*.volumes[]": "type source target read_only consistency bind volume tmpfs image",
    "services.*.volumes[].bind": "selinux propagation create_host_path recursive",
    "services.*.volumes[].tmpfs": "size mode",
    "services.*.volumes[].volume": "labels nocopy subpath",
    "networks.*": "name driver driver_opts ipam external internal attachable labels enable_ipv4 enable_ipv6",
    "networks.*.ipam": "driver config",
    "networks.*.ipam.config[]": "subnet gateway ip_range aux_addresses",
    "volumes.*": "name driver driver_opts external labels",
    "secrets.*": _FILE_OBJECT,
    "configs.*": _FILE_OBJECT,
    "models.*": "name model context_size runtime_flags",
}
_RANKS: Final = {pattern: {key: rank for rank, key in enumerate(order.split())} for pattern, order in _ORDERS.items()}
_LAST: Final = 1000


def in_order(value: Any, pattern: str = "") -> Any:
    """The canonical tree with its keys in order: those of the specification first, then others by name."""
    if isinstance(value, dict):
        ranks = _RANKS.get(pattern, {})
        keys = list(value)
        if len(keys) > 1:
            keys.sort(key=lambda key: (ranks[key],) if key in ranks else (_LAST, *natural(key)))
        return {key: in_order(value[key], _below(pattern, key, ranks)) for key in keys}
    if isinstance(value, (list, tuple)):
        below = f"{pattern}[]"
        return [in_order(item, below) if isinstance(item, (dict, list)) else item for item in value]
    return value


def _below(pattern: str, key: str, ranks: Mapping[str, int]) -> str:
    if key in ranks:
        return f"{pattern}.{key}" if pattern else key
    return f"{pattern}.*" if not key.startswith("x-") else "x-"
