"""What services are to become under `up --wait`."""

from __future__ import annotations

import pytest

from composer.actual.state import Status
from composer.model.service import Dependency
from composer.plan.goals import Goal, Progress, goals, progress


def test_every_service_has_a_goal() -> None:
    waits = {"mig": Dependency("service_completed_successfully"), "db": Dependency("service_healthy")}
    graph: dict[str, dict[str, Dependency]] = {"web": waits, "mig": {}, "db": {}}
    assert goals(graph, frozenset({"db"})) == {"web": "running", "mig": "completed", "db": "healthy"}


@pytest.mark.parametrize(
    ("goal", "status", "health", "code", "lived", "expected"),
    [
        ("running", Status.RUNNING, "", None, 9.0, "reached"),
        ("running", Status.RUNNING, "", None, 0.0, "pending"),
        ("running", Status.CREATED, "", None, 9.0, "pending"),
        ("running", Status.EXITED, "", 0, 0.0, "reached"),
        ("running", Status.EXITED, "", 3, 9.0, "failed"),
        ("running", Status.EXITED, "", None, 9.0, "failed"),
        ("healthy", Status.RUNNING, "starting", None, 9.0, "pending"),
        ("healthy", Status.RUNNING, "healthy", None, 0.0, "reached"),
        ("healthy", Status.RUNNING, "unhealthy", None, 9.0, "failed"),
        ("healthy", Status.EXITED, "", 0, 9.0, "failed"),
        ("completed", Status.RUNNING, "", None, 9.0, "pending"),
        ("completed", Status.EXITED, "", 0, 9.0, "reached"),
        ("completed", Status.EXITED, "", 1, 9.0, "failed"),
        ("completed", Status.DEAD, "", None, 9.0, "failed"),
    ],
)
def test_how_far_it_is(
    goal: Goal, status: Status, health: str, code: int | None, lived: float, expected: Progress
) -> None:
    assert progress(goal, status=status, health=health, exit_code=code, lived=lived) == expected
