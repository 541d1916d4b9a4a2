"""The config hash, the spec as JSON and back, and the ids that follow from them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from composer.desired.state import ContainerSpec, DesiredContainer, Endpoint
from composer.digest import sha256_hex
from composer.frozen import fields_of, replace
from composer.model.fileobject import GivenFile
from composer.model.network import Port
from composer.model.service import AnonymousVolume, BindMount, ImageMount, Mount, NamedVolume, TmpfsMount, Ulimit

HASH_VERSION = 1
"""Part of every hash: raised when the meaning of a field changes, so that a new jocker recreates only then."""

_LATER = frozenset({
    *("domainname", "networks", "ports", "expose", "dns", "dns_search", "dns_opt", "links"),
    *("pid", "ipc", "uts", "cgroup", "files", "logging", "runtime", "attach", "resources", "volumes_from"),
    *("healthcheck", "restart", "hooks"),
})  # fmt: skip
"""Fields that earlier versions did not have: they count when they say something else than by default, so that what does
not use them keeps its hash."""

_MOUNT_KINDS: Mapping[str, type[Mount]] = {
    "bind": BindMount,
    "tmpfs": TmpfsMount,
    "volume": AnonymousVolume,
    "named": NamedVolume,
    "image": ImageMount,
}
_LATER_OF_MOUNTS = frozenset({"selinux", "subpath", "labels", "of_image"})
"""Fields of mounts, as `_LATER`: what does not use them is written as before."""
_KIND_NAMES = {kind: name for name, kind in _MOUNT_KINDS.items()}
_TUPLES = (
    *("entrypoint", "command", "group_add", "cap_add", "cap_drop", "security_opt"),
    *("expose", "dns", "dns_search", "dns_opt", "volumes_from"),
)
_LIFE = ("healthcheck", "restart")
_PAIRS = ("extra_hosts", "links")
_MAPPINGS = ("environment", "labels", "annotations", "sysctls", "logging")
_SAMPLE = ContainerSpec(image="", image_id="")
"""The types of the fields, by example."""
_DEFAULTS = {name: getattr(_SAMPLE, name) for name in _LATER}


def spec_to_json(spec: ContainerSpec) -> dict[str, Any]:
    """The spec as plain JSON values, every field of it."""
    plain: dict[str, Any] = {}
    for name in fields_of(ContainerSpec):
        value = getattr(spec, name)
        if name == "mounts":
            value = [mount_to_json(mount) for mount in value]
        elif name in {"networks", "ports", "files"}:
            value = [one._asdict() for one in value]
        elif name == "resources" and value is not None:
            from composer.desired.resources import resources_to_json

            value = resources_to_json(value)
        elif name in _LIFE and value is not None:
            value = value._asdict()
        elif name == "hooks" and value is not None:
            from composer.desired.hooks import hooks_to_json

            value = hooks_to_json(value)
        plain[name] = _plain(value)
    return plain


def completed(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The spec of a record with what earlier versions did not write: it means what it means by default."""
    return {**{name: _plain(value) for name, value in _DEFAULTS.items()}, **spec}


def mount_to_json(mount: Mount) -> dict[str, Any]:
    """A mount as plain JSON values, its kind beside its fields."""
    fields = {name: value for name, value in mount._asdict().items() if name not in _LATER_OF_MOUNTS or value}
    return {"type": _KIND_NAMES[type(mount)], **{name: _plain(value) for name, value in fields.items()}}


def _plain(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return value


def spec_from_json(plain: Mapping[str, Any]) -> ContainerSpec:
    """The spec a record holds. Raises `KeyError`, `TypeError` or `ValueError` for what is not one."""
    fields = dict(plain)
    for name in _TUPLES:
        fields[name] = tuple(_texts(fields.get(name, [])))
    fields["mounts"] = tuple(mount_from_json(mount) for mount in _list(fields.get("mounts", [])))
    fields["ulimits"] = {name: Ulimit(*limits) for name, limits in dict(fields.get("ulimits", {})).items()}
    for name in _PAIRS:
        fields[name] = tuple((one, other) for one, other in _list(fields.get(name, [])))
    fields["networks"] = tuple(_endpoint(one) for one in _list(fields.get("networks", [])))
    fields["ports"] = tuple(Port(**one) for one in _list(fields.get("ports", [])))
    fields["files"] = tuple(_given(one) for one in _list(fields.get("files", [])))
    for name in _MAPPINGS:
        fields[name] = dict(fields.get(name, {}))
        _texts([*fields[name].values()])
    resources, hooks = fields.pop("resources", None), fields.pop("hooks", None)
    life = {name: found for name in _LIFE if (found := fields.pop(name, None)) is not None}
    spec = ContainerSpec(**fields)
    for name in fields_of(ContainerSpec):
        value, wanted = getattr(spec, name), type(getattr(_SAMPLE, name))
        if type(value) is not wanted and not (wanted is float and type(value) is int):
            raise TypeError(f"{name}: {value!r} is not {wanted.__name__}")
    if life:
        from composer.desired.life import life_from_json

        spec = replace(spec, **life_from_json(life))
    if resources is not None:
        from composer.desired.resources import resources_from_json

        spec = replace(spec, resources=resources_from_json(dict(resources)))
    if hooks is not None:
        from composer.desired.hooks import hooks_from_json

        spec = replace(spec, hooks=hooks_from_json(dict(hooks)))
    return spec


def _endpoint(plain: Mapping[str, Any]) -> Endpoint:
    lists = {name: tuple(_texts(plain[name])) for name in ("aliases", "link_local_ips")}
    return Endpoint(**{**plain, **lists})


def _given(plain: Mapping[str, Any]) -> GivenFile:
    file = GivenFile(**plain)
    if list(map(type, file)) != [str, str, int, int, int, str]:
        raise TypeError(f"{plain!r} is not a secret or config")
    return file


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is not a list")
    return value


def _texts(value: Any) -> list[str]:
    if not all(isinstance(item, str) for item in _list(value)):
        raise TypeError(f"{value!r} is not a list of texts")
    return list(value)


def mount_from_json(plain: Mapping[str, Any]) -> Mount:
    """The mount that `mount_to_json` wrote. Raises `KeyError` or `TypeError` for what is none."""
    fields = dict(plain)
    kind = _MOUNT_KINDS[fields.pop("type")]
    for name in ("options", "layers"):
        if name in fields:
            fields[name] = tuple(_texts(fields[name]))
    if "labels" in fields:
        fields["labels"] = tuple((name, value) for name, value in map(_texts, _list(fields["labels"])))
    return kind(**fields)


def config_hash(spec: ContainerSpec) -> str:
    """64 hex digits over what the container would really be; key order, comments and paths of files do not count."""
    plain = spec_to_json(spec)
    counted = {
        name: value for name, value in plain.items() if name not in _LATER or getattr(spec, name) != _DEFAULTS[name]
    }
    text = json.dumps([HASH_VERSION, counted], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return sha256_hex(text.encode(errors="surrogatepass"))


def volume_hash(labels: Mapping[str, str], driver_opts: Mapping[str, str]) -> str:
    """64 hex digits over what a stack file says of a volume."""
    said = [HASH_VERSION, dict(labels), dict(driver_opts)]
    text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return sha256_hex(text.encode(errors="surrogatepass"))


def container_id(container: DesiredContainer, replaces: str = "") -> str:
    """64 hex digits that follow from what the container is and which container it replaces ("" = none).

    The service is part of it: a `container_name` may move from one service to another.
    """
    parts = (container.project, container.service, container.name, container.config_hash, replaces)
    return sha256_hex("\0".join(parts).encode(errors="surrogatepass"))
