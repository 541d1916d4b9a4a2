"""`jocker config` of a stack file whose variables stay as they are written: `--variables`, `--no-interpolate`."""

from __future__ import annotations

import json
from typing import Any

from composer.cli.configuring import Wanted
from composer.cli.globals import Globals
from composer.cli.text import table
from composer.cli.yamltext import natural, yaml_text
from composer.composefile.raw import RawStack
from composer.composefile.read import read_raw
from composer.composefile.shapes import SHAPES
from composer.errors import UsageError
from composer.model.values import format_duration

_NAMED = ("networks", "volumes", "secrets", "configs")


def show_raw(options: Globals, wanted: Wanted) -> str:
    """What is to be printed. Raises `StackFileError`, `UsageError`."""
    stack = read_raw(options.request())
    if stack.warnings:
        from composer.cli.road import warn

        warn(stack.warnings)
    if "--quiet" in wanted.flags:
        return ""
    if "--variables" in wanted.flags:
        return _variables(stack, wanted.output)
    tree = dict(stack.tree)
    services = tree.get("services", {})
    for name in wanted.services:
        if name not in services:
            raise UsageError(f"no such service: {name}", hint=f"there are: {', '.join(services)}")
    if "--services" in wanted.flags:
        return "".join(f"{name}\n" for name in services)
    if wanted.services:
        tree["services"] = {name: one for name, one in services.items() if name in wanted.services}
    tree = _printable(_normal(tree) if "--no-normalize" not in wanted.flags else tree, "")
    if wanted.output == "json":
        return json.dumps(tree, indent=2, ensure_ascii=False) + "\n"
    return yaml_text(tree)


def _variables(stack: RawStack, output: str) -> str:
    """As docker compose: a table, or by name in JSON and YAML, whose keys it spells in two ways."""
    if output == "json":
        named = {
            one.name: {
                "Name": one.name,
                "DefaultValue": one.default,
                "PresenceValue": one.alternate,
                "Required": one.required,
            }
            for one in stack.variables.values()
        }
        return json.dumps(named, indent=4, ensure_ascii=False) + "\n"
    if output == "yaml":
        spelled: dict[str, Any] = {
            one.name: {
                "name": one.name,
                "defaultvalue": one.default,
                "presencevalue": one.alternate,
                "required": one.required,
            }
            for one in stack.variables.values()
        }
        return yaml_text(spelled)
    rows = [(one.name, str(one.required).lower(), one.default, one.alternate) for one in stack.variables.values()]
    return table(("NAME", "REQUIRED", "DEFAULT VALUE", "ALTERNATE VALUE"), rows)


def _normal(tree: dict[str, Any]) -> dict[str, Any]:
    """With the default network, and with the names of networks, volumes, secrets and configs."""
    done = dict(tree)
    services = {}
    for name, one in tree.get("services", {}).items():
        needs_one = isinstance(one, dict) and not one.get("networks") and not {"network_mode", "provider"} & one.keys()
        services[name] = {**one, "networks": {"default": None}} if needs_one else one
    done["services"] = services
    if any(isinstance(one, dict) and "default" in (one.get("networks") or ()) for one in services.values()):
        done["networks"] = {"default": None, **tree.get("networks", {})}
    for section in _NAMED:
        if section in done:
            done[section] = {key: _with_name(str(tree["name"]), key, one) for key, one in done[section].items()}
    return done


def _with_name(project: str, key: str, entry: Any) -> Any:
    if entry is not None and not isinstance(entry, dict):
        return entry
    entries = entry or {}
    return {"name": key if entries.get("external") else f"{project}_{key}", **entries}


def _printable(value: Any, pattern: str) -> Any:
    """Keys sorted, and durations with a unit: the checks have made nanoseconds of them."""
    if isinstance(value, dict):
        done = {}
        for key in sorted(value, key=natural):
            below = f"{pattern}.{key}" if pattern else key
            done[key] = _printable(value[key], below if below in SHAPES else f"{pattern}.*")
        return done
    if isinstance(value, list):
        return [_printable(item, f"{pattern}[]") for item in value]
    shape = SHAPES.get(pattern)
    return format_duration(value) if shape and shape.scalar == "duration" and isinstance(value, int) else value
