"""The short way and the long way of a command line end in the same call; what only typer understands goes to typer."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from composer.cli import config, configuring, doing, down, listing, main, plan, ps, quick, up

SHORT = [
    "up -d",
    "up --detach",
    "up -d web db",
    "up web -d",
    "-f a.yml -f b.yml up -d",
    "--file a.yml --project-name p up -d",
    "plan",
    "plan web",
    "-p shop plan",
    "ps",
    "ps -a",
    "ps -q --all web",
    "-p shop ps --quiet",
    "down",
    "down -v",
    "-f a.yml down --volumes web",
    "config",
    "config -q web",
    "-p shop config --services --images",
]
LONG = [
    "",
    "up",
    "up web",
    "up -dt 3",
    "up -d --scale web=2",
    "--profile x up -d",
    "--version",
    "ps --format json",
    "ps -aq",
    "down --rmi all",
    "plan --diff",
    "config --format json",
    "logs",
    "-f up -d",
    "-f",
    "--file=a.yml ps",
    "up -d -- web",
    "nonsense",
]


class Calls(list[tuple[str, dict[str, Any]]]):
    """What was called with which parameters, defaults filled in."""

    def stand_in_for(self, monkeypatch: pytest.MonkeyPatch, name: str, *places: object) -> None:
        real = getattr(places[0], name)

        def note(*arguments: Any, **named: Any) -> bool:
            bound = inspect.signature(real).bind(*arguments, **named)
            bound.apply_defaults()
            parameters = {
                key: tuple(value) if isinstance(value, list | set) else value for key, value in bound.arguments.items()
            }
            self.append((name, parameters))
            return False

        for place in places:
            monkeypatch.setattr(place, name, note)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    found = Calls()
    found.stand_in_for(monkeypatch, "bring_up", doing, up)
    found.stand_in_for(monkeypatch, "show_plan", doing, plan)
    found.stand_in_for(monkeypatch, "take_down", doing, down)
    found.stand_in_for(monkeypatch, "list_containers", listing, ps)
    found.stand_in_for(monkeypatch, "show_config", configuring, config)
    for name in ("COMPOSE_PROGRESS", "COMPOSE_ANSI", "COMPOSE_PARALLEL_LIMIT", "JOCKER_RUNTIME"):
        monkeypatch.delenv(name, raising=False)
    return found


@pytest.mark.parametrize("line", SHORT)
def test_both_ways_end_in_the_same_call(line: str, calls: Calls) -> None:
    command = quick.recognised(line.split(), {})
    assert command is not None
    command()
    assert main._by_typer(line.split()) == 0
    assert len(calls) == 2
    assert calls[0] == calls[1]


@pytest.mark.parametrize("line", LONG)
def test_everything_else_goes_to_typer(line: str) -> None:
    assert quick.recognised(line.split(), {}) is None


@pytest.mark.parametrize("name", sorted(quick._SETTINGS))
def test_options_from_the_environment_go_to_typer(name: str) -> None:
    assert quick.recognised(["ps"], {name: "1"}) is None


def test_every_variable_that_typer_reads_is_known() -> None:
    read = {name for command in (up.up, plan.plan, ps.ps, down.down, config.config) for name in _variables(command)}
    read |= _variables(__import__("composer.cli.app", fromlist=["_options"])._options)
    assert read <= quick._SETTINGS


def _variables(command: Callable[..., object]) -> set[str]:
    import typing

    found: set[str] = set()
    for hint in typing.get_type_hints(command, include_extras=True).values():
        for extra in getattr(hint, "__metadata__", ()):
            variable = getattr(extra, "envvar", None)
            found |= {variable} if isinstance(variable, str) else set(variable or ())
    return found
