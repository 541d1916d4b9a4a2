"""Asks the machine once what is there."""

from __future__ import annotations

from typing import Any

from composer.actual.parse import actual_of
from composer.actual.state import ActualContainer, ActualStack
from composer.host import records
from composer.host.state import snapshot
from composer.paths import Paths


def observe(paths: Paths, project: str) -> ActualStack:
    """One project as it is now."""
    mine = [record for record in records.every(paths) if record.get("project") == project]
    return ActualStack.of(project, (_seen(paths, record) for record in mine))


def observe_all(paths: Paths) -> tuple[ActualStack, ...]:
    """Every project of this store, by name. Records that name none belong to nobody."""
    by_project: dict[str, list[dict[str, Any]]] = {}
    for record in records.every(paths):
        project = record.get("project")
        if isinstance(project, str):
            by_project.setdefault(project, []).append(record)
    return tuple(
        ActualStack.of(project, (_seen(paths, record) for record in found))
        for project, found in sorted(by_project.items())
    )


def _seen(paths: Paths, record: dict[str, Any]) -> ActualContainer:
    return actual_of(record, **snapshot(paths, record)._asdict())
