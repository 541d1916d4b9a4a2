"""Devices by the Container Device Interface: what a vendor's files say a container needs for `vendor.com/class=name`.

Source: the CDI specification, 0.3 to 1.0. The files are the administrator's, in /etc/cdi and /var/run/cdi.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from composer.model.resources import DeviceRequest

_HOOKS = frozenset({"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"})
_KINDS = {"c": "c", "u": "c", "b": "b", "": ""}
_GPU_KINDS = {"": "nvidia.com/gpu", "nvidia": "nvidia.com/gpu", "amd": "amd.com/gpu"}
"""Driver of a request for GPUs to the kind of device that stands for them, as docker 28 has it."""
_ALL = "all"
_MOST_GPUS = 1024
"""More than any machine has: a number is short to write, and each becomes a name."""


class CdiError(ValueError):
    """A file that is not as the specification says, or a device that is not there."""


class Node(NamedTuple):
    """A device node to be made: `path` in the container, `host_path` on the machine. None = as on the machine."""

    path: str
    host_path: str
    type: str = ""
    major: int | None = None
    minor: int | None = None
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    permissions: str = "rwm"


class Edits(NamedTuple):
    """What a container gets: device nodes, environment, mounts and hooks in the OCI runtime-spec's words, groups."""

    nodes: tuple[Node, ...] = ()
    env: tuple[str, ...] = ()
    mounts: tuple[Mapping[str, Any], ...] = ()
    hooks: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    gids: tuple[int, ...] = ()

    def joined(self, other: Edits) -> Edits:
        """Both, without repetitions: two devices of a kind share what stands beside them in their file."""
        return Edits(*(_unique((*mine, *theirs)) for mine, theirs in zip(self, other, strict=True)))

    def hooks_by_name(self) -> dict[str, list[Mapping[str, Any]]]:
        """The hooks as config.json has them."""
        found: dict[str, list[Mapping[str, Any]]] = {}
        for name, hook in self.hooks:
            found.setdefault(name, []).append(hook)
        return found


class Spec(NamedTuple):
    """One file: its kind (`vendor.com/class`), what all its devices get, and each by name."""

    file: str
    kind: str
    edits: Edits
    devices: Mapping[str, Edits]


NO_EDITS = Edits()


def parse_spec(tree: Any, file: str) -> Spec:
    """The values of a file, JSON or YAML, as a spec. Raises `CdiError`."""
    if not isinstance(tree, Mapping) or not isinstance(tree.get("cdiVersion"), str):
        raise CdiError(f"{file}: not a CDI file: it has no cdiVersion")
    kind, devices = tree.get("kind"), tree.get("devices")
    if not isinstance(kind, str) or kind.count("/") != 1:
        raise CdiError(f"{file}: `kind` must be vendor.com/class")
    if not isinstance(devices, Sequence) or isinstance(devices, str):
        raise CdiError(f"{file}: `devices` must be a list")
    found: dict[str, Edits] = {}
    for device in devices:
        name = device.get("name") if isinstance(device, Mapping) else None
        if not isinstance(name, (str, int)) or isinstance(name, bool):
            raise CdiError(f"{file}: a device without a name")
        found[str(name)] = _edits(device.get("containerEdits"), f"{file}: device {name}")
    return Spec(file, kind, _edits(tree.get("containerEdits"), file), found)


def names_of(devices: Sequence[str], requests: Sequence[DeviceRequest]) -> tuple[str, ...]:
    """The full names of what is asked for: `devices` as they stand, requests for GPUs by their numbers.

    Raises `CdiError` for a request that CDI has no word for.
    """
    names = list(devices)
    for request in requests:
        if request.driver == "cdi":
            names += request.device_ids
            continue
        kind = _GPU_KINDS.get(request.driver)
        if kind is None or "gpu" not in request.capabilities:
            told = ", ".join(request.capabilities) or "none"
            driver = f"driver {request.driver!r}" if request.driver else "any driver"
            raise CdiError(f"no device for {driver} with capabilities: {told}")
        if request.device_ids:
            names += (f"{kind}={one}" for one in request.device_ids)
        elif request.amount < 0:
            names.append(f"{kind}={_ALL}")
        elif request.amount > _MOST_GPUS:
            raise CdiError(f"no machine has {request.amount} devices {kind}")
        else:
            names += (f"{kind}={number}" for number in range(request.amount))
    return tuple(dict.fromkeys(names))


def edits_for(names: Sequence[str], specs: Sequence[Spec]) -> Edits:
    """All that a container with these devices gets. A later spec goes before an earlier one. Raises `CdiError`."""
    edits = NO_EDITS
    for name in names:
        kind, _, device = name.partition("=")
        spec = next((spec for spec in reversed(specs) if spec.kind == kind and device in spec.devices), None)
        if spec is None:
            known = [f"{kind}={one}" for spec in specs if spec.kind == kind for one in spec.devices]
            there = f"there are: {', '.join(sorted(known))}" if known else f"no file describes {kind}"
            raise CdiError(f"no CDI device {name}: {there}")
        edits = edits.joined(spec.devices[device]).joined(spec.edits)
    return edits


def _edits(found: Any, where: str) -> Edits:
    if found is None:
        return NO_EDITS
    if not isinstance(found, Mapping):
        raise CdiError(f"{where}: `containerEdits` must be a mapping")
    for key in ("intelRdt", "netDevices"):
        if found.get(key):
            raise CdiError(f"{where}: `{key}` is not supported")
    return Edits(
        nodes=tuple(_node(item, where) for item in _list(found, "deviceNodes", where)),
        env=tuple(_variable(item, where) for item in _list(found, "env", where)),
        mounts=tuple(_mount(item, where) for item in _list(found, "mounts", where)),
        hooks=tuple(_hook(item, where) for item in _list(found, "hooks", where)),
        gids=tuple(_whole(item, "additionalGids", where) for item in _list(found, "additionalGids", where)),
    )


def _list(found: Mapping[str, Any], key: str, where: str) -> Sequence[Any]:
    value = found.get(key)
    if value is None:
        return ()
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise CdiError(f"{where}: `{key}` must be a list")
    return value


def _node(item: Any, where: str) -> Node:
    path = _path(item, "path", where)
    kind = item.get("type") or ""
    permissions = item.get("permissions") or "rwm"
    if not isinstance(kind, str) or kind not in _KINDS:
        raise CdiError(f"{where}: {path}: no such type of device: {kind!r}")
    if not isinstance(permissions, str) or not set("rwm").issuperset(permissions):
        raise CdiError(f"{where}: {path}: permissions must be some of r, w and m")

    def number(key: str) -> int | None:
        value = item.get(key)
        return None if value is None else _whole(value, key, where)

    return Node(
        path=path,
        host_path=_path(item, "hostPath", where) if item.get("hostPath") else path,
        type=_KINDS[kind],
        major=number("major"),
        minor=number("minor"),
        mode=number("fileMode"),
        uid=number("uid"),
        gid=number("gid"),
        permissions=permissions,
    )


def _variable(item: Any, where: str) -> str:
    if not isinstance(item, str) or item.find("=") < 1 or "\0" in item:
        raise CdiError(f"{where}: `env` must be NAME=VALUE")
    return item


def _mount(item: Any, where: str) -> dict[str, Any]:
    options = [*_list(item, "options", where)] if isinstance(item, Mapping) else []
    source, target = _path(item, "hostPath", where), _path(item, "containerPath", where)
    if not all(isinstance(option, str) for option in options):
        raise CdiError(f"{where}: {target}: `options` must be a list of strings")
    kind = item.get("type") or "bind"
    if kind == "bind" and {"bind", "rbind"}.isdisjoint(options):
        options.insert(0, "rbind")
    return {"destination": target, "type": str(kind), "source": source, "options": options}


def _hook(item: Any, where: str) -> tuple[str, dict[str, Any]]:
    name = item.get("hookName") if isinstance(item, Mapping) else None
    if not isinstance(name, str) or name not in _HOOKS:
        raise CdiError(f"{where}: no such hook: {name!r}")
    hook: dict[str, Any] = {"path": _path(item, "path", where)}
    for key in ("args", "env"):
        texts = _list(item, key, where)
        if not all(isinstance(text, str) for text in texts):
            raise CdiError(f"{where}: `{key}` of a hook must be a list of strings")
        if texts:
            hook[key] = [*texts]
    if item.get("timeout") is not None:
        hook["timeout"] = _whole(item["timeout"], "timeout", where)
    return name, hook


def _path(item: Any, key: str, where: str) -> str:
    value = item.get(key) if isinstance(item, Mapping) else None
    if not isinstance(value, str) or not value.startswith("/") or "\0" in value:
        raise CdiError(f"{where}: `{key}` must be an absolute path")
    return value


def _whole(value: Any, key: str, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise CdiError(f"{where}: `{key}` must be a whole number")
    return value


def _unique(items: Sequence[Any]) -> tuple[Any, ...]:
    found: list[Any] = []
    for item in items:
        if item not in found:
            found.append(item)
    return tuple(found)
