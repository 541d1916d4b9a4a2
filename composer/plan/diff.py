"""What differs between the container that is there and the one that should be, field by field.

The old side comes from a record, the new one from images and stack files of others: whatever stands there, the lines
stay lines, and what looks secret stays hidden.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

_SECRET_WORDS = ("pass", "secret", "token", "credential", "private", "auth", "cookie")
_SECRET_ENDS = ("key", "keys", "pwd", "pin")
_TEXT_FIELDS = {"template": "x-jocker.template", "seccomp_profile": "security_opt.seccomp"}
_UNSET: Any = object()
_LONGEST = 60
_BEFORE_CHANGE = 15
"""How much of what two long values share is shown before they part."""

_USERINFO = re.compile(r"(://)[^/\s@\"]+(@)")
_ASSIGNED = re.compile(r"([\w.-]+)(\s*[=:]\s*)([^\s\"',;&]+)")
_FLAG = re.compile(r"--?([\w.-]+)\Z")
_HIDDEN = "(hidden)"


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[str, ...]:
    """A line per difference of two specs as JSON: `environment.MODE: "a" → "b"`. What looks secret is hidden."""
    return tuple(line for name in new for line in _field(name, old, new))


def _field(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    old, new = before.get(name, _UNSET), after[name]
    if old == new:
        return
    if name in _TEXT_FIELDS:
        yield f"{_TEXT_FIELDS[name]}: the text changed"
    elif name == "image_id":
        if before.get("image") == after.get("image"):  # of another image it is another id: that goes without saying
            yield f"image: {_short_id(old)} → {_short_id(new)}"
    elif name == "stop_grace_seconds":
        yield f"stop_grace_period: {_seconds(old)} → {_seconds(new)}"
    elif name in _LISTS:
        yield from _LISTS[name](old, new)
    elif name == "ports":
        yield _change(name, _ports(old), _ports(new))
    elif isinstance(new, Mapping) and (isinstance(old, Mapping) or old is _UNSET):
        there: Mapping[str, Any] = old if isinstance(old, Mapping) else {}
        for key in sorted({*there, *new}):
            if there.get(key, _UNSET) != new.get(key, _UNSET):
                yield _change(f"{name}.{_word(key)}", there.get(key, _UNSET), new.get(key, _UNSET))
    else:
        yield _change(name, old, new)


def _mounts(old: Any, new: Any) -> Iterator[str]:
    before, after = _by_target(old), _by_target(new)
    for target in sorted({*before, *after}):
        if before.get(target) != after.get(target):
            yield f"volumes[{_word(target)}]: {_mount(before.get(target))} → {_mount(after.get(target))}"
    if before == after:
        yield "volumes: in another order"


def _resources(old: Any, new: Any) -> Iterator[str]:
    """By the keys of the stack file: only what is set is recorded."""
    before, after = (found if isinstance(found, Mapping) else {} for found in (old, new))
    for key in sorted({*before, *after}):
        if before.get(key, _UNSET) != after.get(key, _UNSET):
            yield _change(_word(key), before.get(key, _UNSET), after.get(key, _UNSET))


def _hooks(old: Any, new: Any) -> Iterator[str]:
    """Which kinds; their commands and variables may tell too much."""
    before, after = (found if isinstance(found, Mapping) else {} for found in (old, new))
    for kind in sorted({*before, *after}):
        if before.get(kind) != after.get(kind):
            yield f"{_word(kind)}: the hooks changed"


def _networks(old: Any, new: Any) -> Iterator[str]:
    before, after = _by_network(old), _by_network(new)
    for network in sorted({*before, *after}):
        path = f"networks.{_word(network)}"
        if network not in before or network not in after:
            yield f"{path}: {'joined' if network in after else 'left'}"
            continue
        for name in after[network]:
            was = before[network].get(name, _UNSET)
            if was != after[network][name]:
                yield _change(f"{path}.{name}", was, after[network][name])
    if before == after:
        yield "networks: in another order"


def _files(old: Any, new: Any) -> Iterator[str]:
    """Secrets and configs by where they are in the container. Of what they hold only that it changed."""
    before, after = _by_target(old), _by_target(new)
    for target in sorted({*before, *after}):
        was, becomes = before.get(target, {}), after.get(target, {})
        path = f"{_word((becomes or was).get('kind', '?'))}s[{_word(target)}]"
        if not was or not becomes:
            yield f"{path}: {'given' if becomes else 'no longer given'}"
            continue
        if was.get("kind") != becomes.get("kind"):
            yield f"{path}: it was a {_word(was.get('kind', '?'))}"
        elif was.get("digest") != becomes.get("digest"):
            yield f"{path}: the content changed {_HIDDEN}"
        for name in ("uid", "gid"):
            if was.get(name) != becomes.get(name):
                yield f"{path}.{name}: {_value(was.get(name))} → {_value(becomes.get(name))}"
        if was.get("mode") != becomes.get("mode"):
            yield f"{path}.mode: {_mode(was.get('mode'))} → {_mode(becomes.get('mode'))}"


def _mode(mode: Any) -> str:
    return f"{mode:04o}" if isinstance(mode, int) else _value(mode)


def _by_network(ends: Any) -> dict[str, Mapping[str, Any]]:
    found = ends if isinstance(ends, list) else []
    return {str(end["network"]): end for end in found if isinstance(end, Mapping) and "network" in end}


def _ports(ports: Any) -> Any:
    """In the short form of the stack file."""
    return [_port(one) for one in ports] if isinstance(ports, list) else _UNSET


def _port(port: Any) -> str:
    found = port if isinstance(port, Mapping) else {}
    host, published, target, protocol = (
        str(found.get(name, "")) for name in ("host_ip", "published", "target", "protocol")
    )
    host = f"[{host}]:" if ":" in host else f"{host}:" if host else ""
    return f"{host}{published}{':' if published or host else ''}{target}/{protocol}"


def _by_target(mounts: Any) -> dict[str, Mapping[str, Any]]:
    found = mounts if isinstance(mounts, list) else []
    return {str(mount["target"]): mount for mount in found if isinstance(mount, Mapping) and "target" in mount}


def _mount(mount: Mapping[str, Any] | None) -> str:
    """The kind, where it comes from, and whatever else is said of it."""
    if mount is None:
        return "(none)"
    shown = [_word(mount.get("type", "?"))]
    shown += [_word(mount[name]) for name in ("source", "volume", "image") if name in mount]
    for name, value in mount.items():
        if name == "options" and value:
            shown.append(",".join(map(_word, value)) if isinstance(value, list) else _value(value))
        elif value is True and name != "create_host_path":
            shown.append(name.replace("_", "-"))
        elif name == "create_host_path" and value is False:
            shown.append("must-exist")
        elif (name in {"subpath", "selinux"} and value) or (
            name in {"propagation", "recursive"} and value not in ("rprivate", "enabled")
        ):
            shown.append(f"{name}={_word(value)}")
    return " ".join(shown)


def _change(path: str, old: Any, new: Any) -> str:
    if looks_secret(path):
        return f"{path}: changed {_HIDDEN}"
    before, after = _value(_masked(old)), _value(_masked(new))
    if before == after:
        return f"{path}: changed {_HIDDEN}"
    if max(len(before), len(after)) > _LONGEST:
        before, after = _from_where_they_part(before, after)
    return f"{path}: {before} → {after}"


def _masked(value: Any) -> Any:
    """The value without passwords in URLs, `token=…`, and what follows a `--password`."""
    if isinstance(value, str):
        text = _USERINFO.sub(rf"\1{_HIDDEN}\2", value)
        return _ASSIGNED.sub(lambda found: _hidden_if_secret(found[1], found[2], found[3]), text)
    if isinstance(value, list):
        masked: list[Any] = []
        is_secret = False
        for item in value:
            masked.append(_HIDDEN if is_secret else _masked(item))
            flag = _FLAG.match(item) if isinstance(item, str) and not is_secret else None
            is_secret = flag is not None and looks_secret(flag[1])
        return masked
    return value


def _hidden_if_secret(name: str, between: str, value: str) -> str:
    # Of a URL the scheme is no name: `https://…`.
    is_secret = looks_secret(name) and not value.startswith("//")
    return f"{name}{between}{_HIDDEN if is_secret else value}"


def _from_where_they_part(old: str, new: str) -> tuple[str, str]:
    """The stretch of two long values where they differ."""
    shared = next((at for at, (one, other) in enumerate(zip(old, new, strict=False)) if one != other), None)
    start = max(0, (min(len(old), len(new)) if shared is None else shared) - _BEFORE_CHANGE)
    start = start if start > _BEFORE_CHANGE else 0

    def cut(text: str) -> str:
        end = start + _LONGEST
        return ("…" if start else "") + text[start:end] + ("…" if len(text) > end else "")

    return cut(old), cut(new)


def _value(value: Any) -> str:
    if value is _UNSET:
        return "(none)"
    text = json.dumps(value, ensure_ascii=False)
    return text if text.isprintable() else json.dumps(value)


def _word(text: Any) -> str:
    """A name of others within a line: as it is, or quoted where it would not stay one word."""
    word = str(text)
    return word if word and word.isprintable() and not set(word) & set(' "→') else _value(word)


def _seconds(value: Any) -> str:
    return f"{value:g}s" if isinstance(value, (int, float)) else _value(value)


def _short_id(image_id: Any) -> str:
    return str(image_id).removeprefix("sha256:")[:12] if image_id and image_id is not _UNSET else "(none)"


def looks_secret(path: str) -> bool:
    """Whether a field's name says that its value is nobody's business."""
    lower = path.lower()
    words = re.split(r"[^a-z0-9]+", lower)
    return any(word in lower for word in _SECRET_WORDS) or any(
        word.endswith(_SECRET_ENDS[:2]) or word in _SECRET_ENDS for word in words
    )


def summary(lines: tuple[str, ...]) -> str:
    """The first difference, and how many more there are: the reason of a recreation."""
    if not lines:
        return "its configuration changed"
    more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
    return f"{lines[0]}{more}"


_LISTS: Mapping[str, Callable[[Any, Any], Iterator[str]]] = {
    "files": _files,
    "hooks": _hooks,
    "mounts": _mounts,
    "networks": _networks,
    "resources": _resources,
}
"""Fields told item by item."""
