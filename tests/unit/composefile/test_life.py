"""What a service says about its life, as values."""

from __future__ import annotations

from typing import Any

import pytest
from stackcases import complaints_of, load

from composer.model.life import Healthcheck, Hook, Life, ModelUse, Provider, RestartPolicy, WatchRule


def life_of(body: str, top: str = "") -> Life | None:
    case: dict[str, Any] = {"stack": f"services:\n  a: {{image: x, network_mode: none, {body}}}\n{top}"}
    assert complaints_of(case) == []
    return load(case).services["a"].life


@pytest.mark.parametrize("body", ["tty: true", "restart: 'no'", "restart: ''", "deploy: {replicas: 2}"])
def test_a_plain_service_has_none(body: str) -> None:
    assert life_of(body) is None


@pytest.mark.parametrize(
    ("body", "policy"),
    [
        ("restart: always", RestartPolicy("always")),
        ("restart: unless-stopped", RestartPolicy("unless-stopped")),
        ("restart: on-failure", RestartPolicy("on-failure")),
        ("restart: 'on-failure:3'", RestartPolicy("on-failure", 3)),
        ("restart: always, deploy: {restart_policy: {condition: none}}", RestartPolicy("no")),
        (
            "deploy: {restart_policy: {condition: on-failure, max_attempts: 2, delay: 500ms, window: 1m}}",
            RestartPolicy("on-failure", 2, 0.5, 60.0),
        ),
        ("deploy: {restart_policy: {condition: any}}", RestartPolicy("always")),
        ("restart: always, deploy: {restart_policy: {delay: 5s}}", RestartPolicy("always")),
    ],
)
def test_a_restart_policy(body: str, policy: RestartPolicy) -> None:
    life = life_of(body)
    assert life is not None
    assert life.restart == policy


@pytest.mark.parametrize(
    ("body", "check"),
    [
        ("{}", Healthcheck()),
        ("{disable: true, test: a}", Healthcheck(disabled=True)),
        ("{test: [NONE]}", Healthcheck(disabled=True)),
        ("{test: NONE}", Healthcheck(test=("CMD-SHELL", "NONE"))),
        (
            "{test: [CMD, a], interval: 1m, timeout: 500ms, retries: 0, start_period: 0s, start_interval: 2s}",
            Healthcheck(test=("CMD", "a"), interval=60, timeout=0.5, retries=0, start_period=0, start_interval=2),
        ),
    ],
)
def test_a_health_check(body: str, check: Healthcheck) -> None:
    life = life_of(f"healthcheck: {body}")
    assert life is not None
    assert life.healthcheck == check


def test_hooks() -> None:
    life = life_of(
        "pre_start: [{image: y, per_replica: true}], post_start: [{command: a b, environment: [A=1, B]}], "
        "pre_stop: [{command: [], user: root, working_dir: /, privileged: true}]"
    )
    assert life is not None
    assert life.pre_start == (Hook(image="y", per_replica=True),)
    assert life.post_start == (Hook(command=("a", "b"), environment={"A": "1", "B": None}),)
    assert life.pre_stop == (Hook(command=(), user="root", working_dir="/", privileged=True),)


def test_watched_files() -> None:
    life = life_of(
        "develop: {watch: [{path: src, action: sync+exec, target: /t, ignore: a, include: [b], initial_sync: true, "
        "exec: {command: c}}]}"
    )
    assert life is not None
    [rule] = life.watch
    assert rule == WatchRule("/stack/src", "sync+exec", "/t", ("b",), ("a",), Hook(command=("c",)), initial_sync=True)


def test_a_provider() -> None:
    life = life_of("provider: {type: p, options: {a: 1, b: [x, true], c: []}}")
    assert life is not None
    assert life.provider == Provider("p", (("a", ("1",)), ("b", ("x", "true")), ("c", ())))


def test_models_and_the_variables_that_name_them() -> None:
    life = life_of(
        "models: {my-llm: null, m: {endpoint_var: E}, n: {model_var: V}}",
        "models: {my-llm: {model: a}, m: {model: b}, n: {model: c}}",
    )
    assert life is not None
    assert life.models == (
        ModelUse("my-llm", "MY_LLM_URL", "MY_LLM"),
        ModelUse("m", "E", "M"),
        ModelUse("n", "N_URL", "V"),
    )
