"""Namespaces that a container takes from another one, or from the machine: found when it is made."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from composer.bundle.context import Namespaces
from composer.desired.state import ContainerSpec, DesiredContainer
from composer.errors import ContainerError
from composer.host import kernel, net_paths, records
from composer.host.files import make_private, read_text
from composer.host.state import first_process, snapshot
from composer.paths import Paths

_DEPTH = 8
"""How far `service:a`, which itself is `service:b`, … is followed: a file has no circles, records might."""


def find(paths: Paths, project: str, mode: str, where: str) -> Mapping[str, Any]:
    """The record of the container that `service:NAME` or `container:NAME` means: of a service the first by name.

    Raises `ContainerError` if there is none.
    """
    kind, _, name = mode.partition(":")
    found = [
        record
        for record in records.every(paths)
        if record.get("phase") == "created"
        and (
            (record.get("project") == project and record.get("service") == name and not record.get("oneoff"))
            if kind == "service"
            else name in {record.get("name"), record["id"]} or (len(name) >= 12 and record["id"].startswith(name))
        )
    ]
    if not found:
        raise ContainerError(f"{where}: {mode}: there is no such container", hint="it must be made first")
    return min(found, key=lambda record: str(record.get("name")))


def namespaces(paths: Paths, container: DesiredContainer, container_id: str) -> Namespaces:
    """Where the namespaces are that the container does not make for itself. Raises `ContainerError`."""
    spec, where = container.spec, f'service "{container.service}"'
    network = net_paths.container_netns(paths, container_id) if spec.networks else ""
    hostname = ""
    if ":" in spec.network_mode:
        network, hostname = _network_of(paths, container.project, spec.network_mode, where, _DEPTH)
    return Namespaces(
        network=network,
        hostname=hostname,
        pid=_of_process(paths, container.project, spec.pid, "pid", where),
        ipc=_of_process(paths, container.project, spec.ipc, "ipc", where),
        shm=_shm(paths, container, container_id, where),
    )


def _network_of(paths: Paths, project: str, mode: str, where: str, depth: int) -> tuple[str, str]:
    """Path of a network namespace and the hostname that goes with it; the machine's is the path of our own."""
    record = find(paths, project, mode, where)
    theirs = str(record["spec"].get("network_mode", ""))
    if ":" in theirs and depth:
        return _network_of(paths, str(record["project"]), theirs, where, depth - 1)
    hostname = (read_text(f"{paths.container(record['id'])}/hostname") or "").strip()
    if theirs == "host":
        return "/proc/self/ns/net", hostname
    pinned = net_paths.container_netns(paths, record["id"])
    if os.path.exists(pinned):
        return pinned, hostname
    return _process_namespace(paths, record, "net", mode, where), hostname


def _of_process(paths: Paths, project: str, mode: str, kind: str, where: str) -> str:
    if ":" not in mode:
        return ""
    return _process_namespace(paths, find(paths, project, mode, where), kind, mode, where)


def _process_namespace(paths: Paths, record: Mapping[str, Any], kind: str, mode: str, where: str) -> str:
    first = first_process(paths, record["id"])
    if first is None or snapshot(paths, record).pid != first.pid:
        raise ContainerError(
            f"{where}: {mode}: {record.get('name')} does not run, so there is nothing to share",
            hint="start it first, or say `depends_on`",
        )
    return f"/proc/{first.pid}/ns/{kind}"


def _shm(paths: Paths, container: DesiredContainer, container_id: str, where: str) -> str:
    """The directory for /dev/shm where it is shared, with a tmpfs mounted on it if it is this container's."""
    mode = container.spec.ipc
    if mode == "host":
        return "/dev/shm"
    if mode == "shareable":
        path = paths.shm(container_id)
        if not os.path.ismount(path):
            make_private(path)
            kernel.mount("shm", path, "tmpfs", kernel.NOSUID_NODEV_NOEXEC, _shm_options(container.spec))
        return path
    if ":" in mode:
        record = find(paths, container.project, mode, where)
        path = paths.shm(record["id"])
        if not os.path.ismount(path):
            raise ContainerError(
                f"{where}: ipc: {mode}: {record.get('name')} does not share its memory",
                hint="give that service `ipc: shareable`",
            )
        return path
    return ""


def _shm_options(spec: ContainerSpec) -> str:
    return f"mode=1777,size={spec.shm_size}"
