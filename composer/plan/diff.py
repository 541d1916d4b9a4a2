"""What differs between the container that is there and the one that should be, field by field."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

_SECRET_WORDS = ("passw", "secret", "token", "credential", "apikey", "api_key", "private", "auth")
_TEXT_FIELDS = {"template": "x-jocker.template", "seccomp_profile": "security_opt.seccomp"}
_UNSET: Any = object()
_LONGEST = 60


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[str, ...]:
    """A line per difference of two specs as JSON: `environment.MODE: "a" → "b"`. What looks secret is hidden."""
    return tuple(line for name in new for line in _field(name, old.get(name, _UNSET), new[name]))


def _field(name: str, old: Any, new: Any) -> Iterator[str]:
    if old == new:
        return
    if name in _TEXT_FIELDS:
        yield f"{_TEXT_FIELDS[name]}: the text changed"
    elif name == "image_id":
        yield f"image: {_short_id(old)} → {_short_id(new)}"
    elif name == "mounts":
        yield from _mounts(old if old is not _UNSET else [], new)
    elif isinstance(new, Mapping) and (isinstance(old, Mapping) or old is _UNSET):
        before = old if isinstance(old, Mapping) else {}
        for key in sorted({*before, *new}):
            if before.get(key, _UNSET) != new.get(key, _UNSET):
                yield _change(f"{name}.{key}", before.get(key, _UNSET), new.get(key, _UNSET))
    else:
        yield _change(name, old, new)


def _mounts(old: list[Mapping[str, Any]], new: list[Mapping[str, Any]]) -> Iterator[str]:
    before = {mount["target"]: mount for mount in old}
    after = {mount["target"]: mount for mount in new}
    for target in sorted({*before, *after}):
        if before.get(target) != after.get(target):
            yield f"volumes[{target}]: {_mount(before.get(target))} → {_mount(after.get(target))}"
    if before == after:
        yield "volumes: in another order"


def _mount(mount: Mapping[str, Any] | None) -> str:
    if mount is None:
        return "(none)"
    shown: str = mount["type"] + (f" {mount['source']}" if "source" in mount else "")
    if mount.get("options"):
        shown += f" {','.join(mount['options'])}"
    return shown + (" read-only" if mount.get("read_only") else "")


def _change(path: str, old: Any, new: Any) -> str:
    if looks_secret(path):
        return f"{path}: changed (hidden)"
    return f"{path}: {_value(old)} → {_value(new)}"


def _value(value: Any) -> str:
    if value is _UNSET:
        return "(none)"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _short_id(image_id: Any) -> str:
    return str(image_id).removeprefix("sha256:")[:12] if image_id and image_id is not _UNSET else "(none)"


def looks_secret(path: str) -> bool:
    """Whether a field's name says that its value is nobody's business."""
    lower = path.lower()
    return any(word in lower for word in _SECRET_WORDS) or lower.endswith(("_key", "_pwd", ".key"))


def summary(lines: tuple[str, ...]) -> str:
    """The first difference, and how many more there are: the reason of a recreation."""
    if not lines:
        return "its configuration changed"
    more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
    return f"{lines[0]}{more}"
