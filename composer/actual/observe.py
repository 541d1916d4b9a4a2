"""Asks the machine once what is there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from composer.actual.parse import actual_of
from composer.actual.state import ActualContainer, ActualStack
from composer.host import records
from composer.host.state import snapshot
from composer.paths import Paths


def observe(paths: Paths, project: str) -> ActualStack:
    """One project as it is now."""
    mine = (record for record in records.every(paths) if record.get("project") == project)
    return ActualStack(project=project, containers=_sorted(paths, mine))


def observe_all(paths: Paths) -> tuple[ActualStack, ...]:
    """Every project of this store, by name."""
    by_project: dict[str, list[dict[str, Any]]] = {}
    for record in records.every(paths):
        by_project.setdefault(record["project"], []).append(record)
    return tuple(
        ActualStack(project=project, containers=_sorted(paths, found)) for project, found in sorted(by_project.items())
    )


def _sorted(paths: Paths, found: Iterable[dict[str, Any]]) -> tuple[ActualContainer, ...]:
    containers = []
    for record in found:
        seen = snapshot(paths, record)
        containers.append(actual_of(record, **seen._asdict()))
    return tuple(sorted(containers, key=lambda one: (one.service, one.oneoff, one.number, one.created_at, one.id)))
