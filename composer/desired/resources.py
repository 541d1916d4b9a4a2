"""Limits and devices of a container as JSON, and back: only what is set is written, so that new kinds of limits leave
the hashes of what does not use them alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from composer.model.resources import DISK_KEYS, Device, DeviceRequest, DiskLimit, Resources

_NOTHING = Resources()
_LISTS = frozenset({"device_cgroup_rules", "devices", "gpus", *DISK_KEYS})


def resources_to_json(resources: Resources) -> dict[str, Any]:
    """What is set, as plain JSON values."""
    values = resources._asdict()
    return {name: _plain(value) for name, value in values.items() if value != getattr(_NOTHING, name)}


def _plain(value: Any) -> Any:
    if hasattr(value, "_asdict"):
        return {key: _plain(item) for key, item in value._asdict().items()}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def resources_from_json(plain: Mapping[str, Any]) -> Resources:
    """Raises `KeyError`, `TypeError` or `ValueError` for what is not one; a limit of a later version is left out."""
    read: dict[str, Callable[[Any], Any]] = {
        "device_cgroup_rules": _text,
        "devices": lambda item: _checked(Device(**item), str, str, str),
        "gpus": _request,
        **dict.fromkeys(DISK_KEYS, lambda item: _checked(DiskLimit(**item), str, int)),
    }
    fields: dict[str, Any] = {}
    for name in Resources._fields:
        if name not in plain:
            continue
        value = plain[name]
        if name in _LISTS:
            value = tuple(read[name](item) for item in value)
        elif type(value) is not type(getattr(_NOTHING, name)):
            raise TypeError(f"resources.{name}: {value!r} is of another kind")
        fields[name] = value
    return Resources(**fields)


def _checked(value: Any, *kinds: type) -> Any:
    if tuple(map(type, value)) != kinds:
        raise TypeError(f"{value!r} is of another kind")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a text")
    return value


def _request(plain: Mapping[str, Any]) -> DeviceRequest:
    lists = {name: tuple(map(_text, plain[name])) for name in ("device_ids", "capabilities")}
    options = tuple((_text(key), _text(value)) for key, value in plain["options"])
    request: DeviceRequest = _checked(
        DeviceRequest(**{**plain, **lists, "options": options}), str, int, tuple, tuple, tuple
    )
    return request
