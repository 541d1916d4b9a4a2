"""Containers, facts and rendering for the tests of bundles."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from composer.bundle import defaults
from composer.bundle.context import MachineFacts, ProcessUser
from composer.bundle.render import render_config
from composer.desired.state import (
    AnonymousVolume,
    BindMount,
    ContainerSpec,
    DesiredContainer,
    TmpfsMount,
    Ulimit,
)

CONTAINER_ID = "0123456789ab" + "0" * 52
ROOTFS = "/run/jocker/bundles/x/rootfs"
CGROUP = f"/jocker/shop/{CONTAINER_ID}"
ALL = frozenset(defaults.ALL_CAPABILITIES)

# A profile small enough to read, with every kind of condition the real ones have.
PROFILE: dict[str, Any] = {
    "defaultAction": "SCMP_ACT_ERRNO",
    "defaultErrnoRet": 38,
    "archMap": [
        {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]},
        {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]},
    ],
    "syscalls": [
        {"names": ["read", "write"], "action": "SCMP_ACT_ALLOW"},
        {"names": ["chroot"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_CHROOT"]}},
        {
            "names": ["chroot"],
            "action": "SCMP_ACT_ERRNO",
            "errnoRet": 1,
            "excludes": {"caps": ["CAP_SYS_CHROOT"]},
        },
    ],
}

_MOUNTS = {"bind": BindMount, "tmpfs": TmpfsMount, "volume": AnonymousVolume}


def facts(**changed: Any) -> MachineFacts:
    """A plain machine: amd64, cgroup v1, all capabilities, no AppArmor."""
    changed = {key: frozenset(value) if isinstance(value, list) else value for key, value in changed.items()}
    plain: dict[str, Any] = {
        "architecture": "amd64",
        "cgroup_v2": False,
        "apparmor": False,
        "seccomp_default": PROFILE,
        "init_path": "/usr/bin/tini-static",
        "capabilities": ALL,
        "kernel": (6, 1),
    }
    return MachineFacts(**{**plain, **changed})


def spec(**fields: Any) -> ContainerSpec:
    """A spec from the plain values a case file can hold; mounts are `{bind: {…}}`, `{tmpfs: {…}}`, `{volume: {…}}`."""
    values: dict[str, Any] = {"image": "busybox", "image_id": "sha256:" + "1" * 64, "command": ("sleep", "9")}
    for key, value in fields.items():
        if key == "mounts":
            value = tuple(_mount(mount) for mount in value)
        elif key == "ulimits":
            value = {name: Ulimit(*limits) for name, limits in value.items()}
        elif key == "extra_hosts":
            value = tuple(tuple(pair) for pair in value)
        elif isinstance(value, list):
            value = tuple(value)
        values[key] = value
    return ContainerSpec(**values)


def container(**fields: Any) -> DesiredContainer:
    return DesiredContainer(
        project="shop",
        service="web",
        number=1,
        name="shop-web-1",
        oneoff=False,
        spec=spec(**fields),
        config_hash="c0ffee",
        labels={"com.docker.compose.project": "shop"},
        layers=(),
    )


def render_text(desired: DesiredContainer, **changed: Any) -> str:
    plain: dict[str, Any] = {
        "container_id": CONTAINER_ID,
        "rootfs": ROOTFS,
        "cgroup_path": CGROUP,
        "user": ProcessUser(),
        "facts": facts(),
        "files": {},
        "volumes": {},
    }
    return render_config(desired, **{**plain, **changed})


def render(desired: DesiredContainer, **changed: Any) -> dict[str, Any]:
    config = json.loads(render_text(desired, **changed))
    assert isinstance(config, dict)
    return config


def mount_at(config: Mapping[str, Any], destination: str) -> dict[str, Any] | None:
    """The last mount there: the one the container sees."""
    found = [mount for mount in config["mounts"] if mount["destination"] == destination]
    return found[-1] if found else None


def _mount(written: Mapping[str, Mapping[str, Any]]) -> BindMount | TmpfsMount | AnonymousVolume:
    ((kind, values),) = written.items()
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    return _MOUNTS[kind](**values)  # type: ignore[no-any-return]
