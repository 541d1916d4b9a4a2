"""What a service says about its life, to the model's values, and as `config` prints it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, cast

from composer.composefile.life import HOOKS
from composer.composefile.tree import Node
from composer.model.life import (
    Healthcheck,
    Hook,
    Life,
    ModelUse,
    Provider,
    RestartCondition,
    RestartPolicy,
    WatchAction,
    WatchRule,
)

_NANOSECONDS = 1e9
_DEPLOY_CONDITIONS: Final[Mapping[str, RestartCondition]] = {"none": "no", "any": "always", "on-failure": "on-failure"}


def bind_life(service: Node) -> Life:
    """The service's life; whatever it does not say is the default."""
    check, watch, used, provider = (
        service.at(*keys) for keys in (("healthcheck",), ("develop", "watch"), ("models",), ("provider",))
    )
    pre_start, post_start, pre_stop = (_hooks(service.at(key)) for key in HOOKS)
    return Life(
        restart=_restart(service),
        healthcheck=_healthcheck(check) if check else None,
        pre_start=pre_start,
        post_start=post_start,
        pre_stop=pre_stop,
        watch=tuple(_rule(item) for item in (watch.elements if watch else ())),
        models=tuple(_use(key, node) for key, node in (used.items.items() if used else ())),
        provider=_provider(provider) if provider else None,
    )


def is_disabled(healthcheck: Node) -> bool:
    """Does this only switch the image's check off?"""
    disable, test = healthcheck.at("disable"), healthcheck.at("test")
    is_none = test is not None and bool(test.elements) and test.elements[0].text == "NONE"
    return is_none or (disable is not None and disable.value is True)


def _restart(service: Node) -> RestartPolicy:
    policy = service.at("deploy", "restart_policy")
    condition = _DEPLOY_CONDITIONS.get(_text(policy, "condition")) if policy else None
    if policy is not None and condition is not None:
        return RestartPolicy(
            condition=condition,
            max_attempts=_number(policy, "max_attempts") or 0,
            delay=_seconds(policy, "delay") or 0.0,
            window=_seconds(policy, "window") or 0.0,
        )
    word, _, attempts = _text(service, "restart").partition(":")
    return RestartPolicy(cast("RestartCondition", word or "no"), int(attempts or 0))


def _healthcheck(node: Node) -> Healthcheck:
    if is_disabled(node):
        return Healthcheck(disabled=True)
    test = node.at("test")
    return Healthcheck(
        test=tuple(item.text for item in test.elements) if test else (),
        interval=_seconds(node, "interval"),
        timeout=_seconds(node, "timeout"),
        start_period=_seconds(node, "start_period"),
        start_interval=_seconds(node, "start_interval"),
        retries=_number(node, "retries"),
    )


def _hooks(node: Node | None) -> tuple[Hook, ...]:
    return tuple(_hook(item) for item in node.elements) if node else ()


def _hook(node: Node) -> Hook:
    command, variables = node.at("command"), node.at("environment")
    return Hook(
        command=None if command is None or command.value is None else tuple(item.text for item in command.elements),
        user=_text(node, "user"),
        working_dir=_text(node, "working_dir"),
        privileged=_flag(node, "privileged"),
        environment={
            key: None if value.value is None else value.text
            for key, value in (variables.items.items() if variables else ())
        },
        image=_text(node, "image"),
        per_replica=_flag(node, "per_replica"),
    )


def _rule(node: Node) -> WatchRule:
    include, ignore, after = node.at("include"), node.at("ignore"), node.at("exec")
    return WatchRule(
        path=_text(node, "path"),
        action=cast("WatchAction", _text(node, "action")),
        target=_text(node, "target"),
        include=tuple(item.text for item in include.elements) if include else (),
        ignore=tuple(item.text for item in ignore.elements) if ignore else (),
        hook=_hook(after) if after else None,
        initial_sync=_flag(node, "initial_sync"),
    )


def _use(key: str, node: Node) -> ModelUse:
    variable = key.upper().replace("-", "_")
    return ModelUse(key, _text(node, "endpoint_var") or f"{variable}_URL", _text(node, "model_var") or variable)


def _provider(node: Node) -> Provider:
    options = node.at("options")
    return Provider(
        type=_text(node, "type"),
        options=tuple(
            (key, tuple(item.text for item in (value.elements if isinstance(value.value, list) else [value])))
            for key, value in (options.items.items() if options else ())
        ),
    )


def _text(node: Node, key: str) -> str:
    child = node.at(key)
    return child.text if child else ""


def _flag(node: Node, key: str) -> bool:
    child = node.at(key)
    return child is not None and child.value is True


def _number(node: Node, key: str) -> int | None:
    child = node.at(key)
    return child.value if child is not None and isinstance(child.value, int) else None


def _seconds(node: Node, key: str) -> float | None:
    nanoseconds = _number(node, key)
    return None if nanoseconds is None else nanoseconds / _NANOSECONDS
