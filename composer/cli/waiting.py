"""`up --wait`: until every service has reached its goal, or one cannot any more."""

from __future__ import annotations

import time
from typing import Any

from composer.cli.failure import last_words
from composer.cli.globals import Globals
from composer.errors import Failed
from composer.execute.endings import ending
from composer.execute.restarting import outlook
from composer.host import records, supervising
from composer.host.state import Snapshot, snapshot
from composer.model.service import Project
from composer.paths import Paths
from composer.plan.goals import Goal, Progress, goals, progress
from composer.plan.order import selected
from composer.plan.policy import Policy

_FIRST_PAUSE, _LONGEST_PAUSE = 0.002, 0.05
_SUPERVISED_EVERY = 1.0


def wait_for_goals(options: Globals, project: Project, policy: Policy, seconds: float) -> None:
    """Waits, `seconds` at most. Raises `Failed` that names the services that did not get there and shows what they, and
    their probes, said last.
    """
    paths = options.paths
    graph = {name: service.depends_on for name, service in project.services.items()}
    chosen = selected(graph, policy.services, with_dependencies=not policy.no_deps)
    found = [
        record
        for record in records.every(paths)
        if record.get("project") == project.name and record.get("service") in chosen and not record.get("oneoff")
    ]
    checked = frozenset(str(record["service"]) for record in found if record["spec"].get("healthcheck"))
    wanted = goals(graph, checked)
    deadline, pause, supervised = time.monotonic() + seconds, _FIRST_PAUSE, time.monotonic()
    while True:
        seen = [(record, *_look(paths, record, wanted[record["service"]])) for record in found]
        failed = [one for one in seen if one[2] == "failed"]
        pending = [one for one in seen if one[2] == "pending"]
        if failed or not pending:
            break
        now = time.monotonic()
        if now >= deadline:
            raise _told(paths, [(record, _late(record, wanted, seconds, state)) for record, state, _ in pending])
        if now > supervised + _SUPERVISED_EVERY:
            supervised = now
            if any(record["spec"].get("healthcheck") or record["spec"].get("restart") for record, _, _ in pending):
                supervising.ensure(paths, project.name, options.runtime or "")
        time.sleep(min(pause, max(0.0, deadline - now)))
        pause = min(pause * 2, _LONGEST_PAUSE)
    if failed:
        raise _told(paths, [(record, _why(paths, record, state)) for record, state, _ in failed])


def _look(paths: Paths, record: dict[str, Any], goal: Goal) -> tuple[Snapshot, Progress]:
    seen = outlook(paths, record)
    if seen is None:
        return snapshot(paths, record), "pending"
    lived = time.time() - seen.started_at
    return seen, progress(goal, status=seen.status, health=seen.health, exit_code=seen.exit_code, lived=lived)


def _late(record: dict[str, Any], wanted: dict[str, Goal], seconds: float, state: Snapshot) -> str:
    now = f"health: {state.health}" if state.health else state.status.value
    is_not = {"completed": "has not completed", "healthy": "is not healthy", "running": "is not running"}
    return f"{record['name']} {is_not[wanted[record['service']]]} after {seconds:g} s ({now})"


def _why(paths: Paths, record: dict[str, Any], state: Snapshot) -> str:
    if state.health == "unhealthy":
        return f"container {record['name']} is unhealthy"
    return f"container {record['name']} {ending(paths, record, state.exit_code)}"


def _told(paths: Paths, problems: list[tuple[dict[str, Any], str]]) -> Failed:
    for record, _ in problems:
        last_words(paths, record["name"], record["id"])
    return Failed("\njocker: ".join(f'service "{record["service"]}": {why}' for record, why in problems))
