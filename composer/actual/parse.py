"""From the JSON of a record to an actual container, and back from a record to what was desired."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from composer.actual.state import ActualContainer, Status
from composer.desired.hashing import spec_from_json, spec_to_json
from composer.desired.state import DesiredContainer
from composer.model.service import Dependency, Retry

RECORD_VERSION = 1


def record_of(
    container: DesiredContainer, *, container_id: str, replaces: str, volumes: Mapping[str, str], created_at: float
) -> dict[str, Any]:
    """The record of a container about to be made (phase "creating"). `created_at` in seconds since the epoch."""
    return {
        "version": RECORD_VERSION,
        "phase": "creating",
        "id": container_id,
        "name": container.name,
        "project": container.project,
        "service": container.service,
        "number": container.number,
        "oneoff": container.oneoff,
        "created_at": created_at,
        "replaces": replaces,
        "image": container.spec.image,
        "image_id": container.spec.image_id,
        "layers": list(container.layers),
        "config_hash": container.config_hash,
        "spec": spec_to_json(container.spec),
        "labels": dict(container.labels),
        "volumes": dict(volumes),
        "depends_on": {name: list(dependency) for name, dependency in container.depends_on.items()},
        "retry": list(container.retry) if container.retry else None,
    }


def desired_of(record: Mapping[str, Any]) -> DesiredContainer:
    """What a record says was desired: `start` makes the container again from it."""
    return DesiredContainer(
        project=record["project"],
        service=record["service"],
        number=record["number"],
        name=record["name"],
        oneoff=record["oneoff"],
        spec=spec_from_json(record["spec"]),
        config_hash=record["config_hash"],
        labels=record["labels"],
        layers=tuple(record["layers"]),
        depends_on=_dependencies(record),
        retry=_retry(record),
    )


def _dependencies(record: Mapping[str, Any]) -> dict[str, Dependency]:
    return {name: Dependency(*fields) for name, fields in (record.get("depends_on") or {}).items()}


def _retry(record: Mapping[str, Any]) -> Retry | None:
    fields = record.get("retry")
    return Retry(fields[0], fields[1], fields[2], tuple(fields[3])) if fields else None


def actual_of(
    record: Mapping[str, Any], *, status: Status, pid: int, exit_code: int | None, started_at: float, finished_at: float
) -> ActualContainer:
    """A record and what was seen of the container, as one value."""
    spec = record.get("spec") or {}
    return ActualContainer(
        id=record["id"],
        name=record["name"],
        project=record["project"],
        service=record["service"],
        number=record["number"],
        oneoff=record["oneoff"],
        status=status,
        config_hash=record["config_hash"],
        image=record["image"],
        image_id=record["image_id"],
        pid=pid,
        exit_code=exit_code,
        created_at=record["created_at"],
        started_at=started_at,
        finished_at=finished_at,
        replaces=record["replaces"],
        stop_signal=spec.get("stop_signal", "SIGTERM"),
        stop_grace_seconds=spec.get("stop_grace_seconds", 10.0),
        spec=spec,
        labels=record["labels"],
        volumes=record["volumes"],
        depends_on=_dependencies(record),
        retry=_retry(record),
    )
