"""What every service of a stack is to become, and whether it has: running, healthy, or completed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from composer.actual.state import Status
from composer.model.service import Dependency

Goal = Literal["running", "healthy", "completed"]
Progress = Literal["reached", "pending", "failed"]

LIVES_FOR = 0.25
"""Seconds a container without a health check must have lived to count as running: many end at once."""


def goals(graph: Mapping[str, Mapping[str, Dependency]], checked: frozenset[str]) -> dict[str, Goal]:
    """The goal of each service. `checked` are those with a health check; whoever's success others wait for is to
    complete.
    """
    awaited = {
        name
        for needs in graph.values()
        for name, dependency in needs.items()
        if dependency.condition == "service_completed_successfully"
    }
    return {name: "completed" if name in awaited else "healthy" if name in checked else "running" for name in graph}


def progress(goal: Goal, *, status: Status, health: str, exit_code: int | None, lived: float) -> Progress:
    """How far a container is. `lived`: seconds since its start. One that has exited with 0 was there for that, unless
    it was to be healthy.
    """
    if status is Status.EXITED:
        return "reached" if exit_code == 0 and goal != "healthy" else "failed"
    if status is Status.DEAD or health == "unhealthy":
        return "failed"
    if goal == "running":
        return "reached" if status.is_alive and lived >= LIVES_FOR else "pending"
    return "reached" if goal == "healthy" and health == "healthy" else "pending"
