"""Health checks, hooks, watched files, models, providers and `deploy` as `config` prints them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from composer.composefile.tree import Node, plain
from composer.model.values import format_duration

_UPDATE_KEPT: Final = frozenset({"parallelism"})
_RESTART_KEPT: Final = frozenset({"delay", "max_attempts", "window"})
_CHECK_KEPT: Final = frozenset({"interval", "retries", "start_interval", "start_period", "timeout"})
_DURATIONS: Final = frozenset({"delay", "interval", "monitor", "start_interval", "start_period", "timeout", "window"})


def printed(key: str, node: Node, resources: Callable[[Node], Any]) -> Any:
    """The value of one of these keys of a service; how `deploy.resources` are printed is told by the caller."""
    match key:
        case "deploy":
            return _deploy(node, resources)
        case "develop":
            return _develop(node)
        case "healthcheck":
            return _entries(node, _CHECK_KEPT)
        case "models":
            return {name: None if use.value is None else _entries(use) for name, use in sorted(node.items.items())}
        case "provider":
            return _provider(node)
        case _:
            return [_hook(item) for item in node.elements]


def top_models(defined: Mapping[str, Node], services: Mapping[str, Node]) -> dict[str, Any]:
    """The top-level models that these services use."""
    used = {key for service in services.values() if (node := service.at("models")) for key in node.items}
    return {key: _entries(node) for key, node in sorted(defined.items()) if key in used}


def _develop(node: Node) -> dict[str, Any]:
    done = _entries(node, skip="watch")
    watch = node.at("watch")
    if watch is not None and watch.elements:
        done["watch"] = [_rule(item) for item in watch.elements]
    return done


def _provider(node: Node) -> dict[str, Any]:
    done = _entries(node, skip="options")  # each a list of strings
    options = node.at("options")
    if options is not None:
        listed = {
            key: [item.text for item in (value.elements if isinstance(value.value, list) else [value])]
            for key, value in sorted(options.items.items())
        }
        if kept := {key: values for key, values in listed.items() if values}:
            done["options"] = kept
    return done


def _deploy(node: Node, resources: Callable[[Node], Any]) -> dict[str, Any]:
    """All of `deploy`; how its `resources` are printed is not our business."""
    done: dict[str, Any] = {}
    for key, child in node.items.items():
        value: Any
        if key in {"update_config", "rollback_config"}:
            value = _entries(child, _UPDATE_KEPT)
        elif key == "restart_policy":
            value = _entries(child, _RESTART_KEPT)
        elif key == "placement":
            value = _placement(child) or None
        elif key == "resources":
            value = resources(child) or None
        elif key == "labels":
            value = {label: item.text for label, item in sorted(child.items.items())} or None
        elif key == "replicas":
            value = child.value
        else:
            value = _value(key, child) or None
        if value is not None:
            done[key] = value
    return done


def _placement(node: Node) -> dict[str, Any]:
    done = _entries(node, skip="preferences")
    preferences = node.at("preferences")
    if preferences is not None and preferences.elements:
        done["preferences"] = [_entries(item) for item in preferences.elements]
    return done


def _hook(node: Node) -> dict[str, Any]:
    done = _entries(node, skip="command environment")
    command, environment = node.at("command"), node.at("environment")
    if command is not None:
        done["command"] = None if command.value is None else [item.text for item in command.elements]
    if environment is not None and environment.items:
        done["environment"] = {
            key: None if value.value is None else value.text for key, value in sorted(environment.items.items())
        }
    return done


def _rule(node: Node) -> dict[str, Any]:
    done = _entries(node, skip="exec")
    after = node.at("exec")
    if after is not None and after.value is not None:
        done["exec"] = _hook(after)
    return done


def _entries(node: Node, kept: frozenset[str] = frozenset(), skip: str = "") -> dict[str, Any]:
    """What is not empty, or in `kept`, besides the keys in `skip`."""
    done: dict[str, Any] = {}
    for key, child in node.items.items():
        if key in skip.split():
            continue
        value = _value(key, child, kept)
        if key.startswith("x-") or (value is not None and (value or key in kept)):
            done[key] = value
    return done


def _value(key: str, node: Node, kept: frozenset[str] = frozenset()) -> Any:
    if key.startswith("x-") or isinstance(node.value, (dict, list)):
        return plain(node)
    if key in _DURATIONS and node.value is not None:
        return format_duration(cast("int", node.value)) if node.value or key in kept else None
    if isinstance(node.value, float) and node.value.is_integer():
        return int(node.value)
    return plain(node)
