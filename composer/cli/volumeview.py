"""Volumes as docker shows them: lists, filters, JSON. Knows no machine."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from composer.cli.text import table
from composer.errors import UsageError

DRIVER: Final = "local"
ANONYMOUS_LABEL: Final = "com.docker.volume.anonymous"
_KEYS: Final = ("dangling", "driver", "label", "name")
_YES: Final = {"true": True, "1": True, "false": False, "0": False}


class Volume(NamedTuple):
    """One volume: its record, where its data are, and the names of the containers that use it."""

    record: Mapping[str, Any]
    path: str
    users: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return str(self.record["name"])

    @property
    def project(self) -> str:
        """The stack it was made for; an anonymous one is its container's."""
        return "" if self.record.get("anonymous") else str(self.record.get("project", ""))

    @property
    def labels(self) -> dict[str, str]:
        return _texts(self.record.get("labels"))

    @property
    def is_anonymous(self) -> bool:
        return ANONYMOUS_LABEL in self.labels or "created_at" not in self.record  # a wreck has no name, either


def filtered(found: Iterable[Volume], filters: Iterable[str]) -> list[Volume]:
    """Those that fit `KEY=VALUE` filters: one of each key's, all of the labels. Raises `UsageError`."""
    wanted: dict[str, list[str]] = {}
    for text in filters:
        key, equals, value = text.partition("=")
        if key not in _KEYS or not equals:
            raise UsageError(f"--filter {text!r}", hint=f"write KEY=VALUE; keys are {', '.join(_KEYS)}")
        if key == "dangling" and value not in _YES:
            raise UsageError(f"--filter {text!r}", hint="dangling is true or false")
        wanted.setdefault(key, []).append(value)
    return [one for one in found if _fits(one, wanted)]


def _fits(one: Volume, wanted: Mapping[str, list[str]]) -> bool:
    for key, values in wanted.items():
        match key:
            case "name":
                fits = any(_matches(value, one.name) for value in values)
            case "driver":
                fits = DRIVER in values
            case "dangling":
                fits = any(_YES[value] is not bool(one.users) for value in values)
            case _:
                fits = all(has_label(one, value) for value in values)
        if not fits:
            return False
    return True


def _matches(pattern: str, name: str) -> bool:
    """A part of the name, or (as docker has it) a regular expression that is found in it."""
    try:
        return pattern in name or re.search(pattern, name) is not None
    except re.error:
        return False


def has_label(one: Volume, text: str) -> bool:
    """Whether it has the label `NAME` or `NAME=VALUE`."""
    name, equals, value = text.partition("=")
    labels = one.labels
    return name in labels and (not equals or labels[name] == value)


def prunable(one: Volume, filters: Iterable[str], *, everything: bool) -> bool:
    """Whether `prune` may take an unused one: `label=`, `label!=`, `all=`. Raises `UsageError`."""
    for text in filters:
        key, equals, value = text.partition("=")
        if key == "all" and value in _YES:
            everything = everything or _YES[value]
        elif key not in {"label", "label!"} or not equals:
            raise UsageError(f"--filter {text!r}", hint="write label=…, label!=… or all=true")
        elif has_label(one, value) is (key == "label!"):
            return False
    return not one.users and (everything or one.is_anonymous)


def as_table(found: Iterable[Volume]) -> str:
    """DRIVER, VOLUME NAME."""
    return table(("DRIVER", "VOLUME NAME"), [(DRIVER, one.name) for one in found])


def as_names(found: Iterable[Volume]) -> str:
    """A name per line."""
    return "".join(f"{one.name}\n" for one in found)


def as_lines(found: Iterable[Volume]) -> str:
    """A JSON object per line, all values texts."""
    return "".join(
        json.dumps({
            "Availability": "N/A",
            "Driver": DRIVER,
            "Group": "N/A",
            "Labels": ",".join(f"{key}={value}" for key, value in sorted(one.labels.items())),
            "Links": "N/A",
            "Mountpoint": one.path,
            "Name": one.name,
            "Scope": "local",
            "Size": "N/A",
            "Status": "N/A",
        }) + "\n"
        for one in found
    )  # fmt: skip


def inspected(one: Volume) -> dict[str, Any]:
    """All about a volume in docker's words."""
    return {
        "CreatedAt": _moment(one.record.get("created_at")),
        "Driver": DRIVER,
        "Labels": dict(sorted(one.labels.items())) or None,
        "Mountpoint": one.path,
        "Name": one.name,
        "Options": dict(sorted(_texts(one.record.get("driver_opts")).items())) or None,
        "Scope": "local",
    }


def _texts(found: Any) -> dict[str, str]:
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def _moment(seconds: Any) -> str:
    from datetime import UTC, datetime

    try:
        moment = datetime.fromtimestamp(seconds if isinstance(seconds, (int, float)) else 0, UTC)
    except (OverflowError, ValueError, OSError):  # a damaged record
        moment = datetime.fromtimestamp(0, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
