"""From the JSON of a record to an actual container, and back from a record to what was desired."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from composer.actual.state import ActualContainer, PublishedPort, Status
from composer.desired.hashing import spec_from_json, spec_to_json
from composer.desired.state import DesiredContainer
from composer.errors import ContainerError
from composer.model.fileobject import Origin
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
        **({"origins": [list(origin) for origin in container.origins]} if container.origins else {}),
        **({"hook_of": container.hook_of} if container.hook_of else {}),
    }


def desired_of(record: Mapping[str, Any]) -> DesiredContainer:
    """What a record says was desired: `start` makes the container again from it. Raises `ContainerError`."""
    try:
        return DesiredContainer(
            project=record["project"],
            service=record["service"],
            number=record["number"],
            name=record["name"],
            oneoff=record["oneoff"],
            spec=spec_from_json(record["spec"]),
            config_hash=record["config_hash"],
            labels=_texts(record["labels"]),
            layers=tuple(record["layers"]),
            depends_on=_dependencies(record),
            retry=_retry(record),
            origins=tuple(_origin(one) for one in record.get("origins", ())),
            hook_of=str(record.get("hook_of", "")),
        )
    except (KeyError, TypeError, ValueError) as error:
        name = record.get("name") or str(record.get("id"))[:12]
        raise ContainerError(
            f"the record of container {name} is damaged ({type(error).__name__}: {error})",
            hint="jocker up --force-recreate makes the container anew",
        ) from error


def _dependencies(record: Mapping[str, Any]) -> dict[str, Dependency]:
    """Those that can be read: an order that is not known is no reason to refuse `down`."""
    found = record.get("depends_on")
    return {
        name: Dependency(*fields)
        for name, fields in (found.items() if isinstance(found, Mapping) else ())
        if isinstance(fields, list) and list(map(type, fields)) == [str, bool, bool]
    }


def _retry(record: Mapping[str, Any]) -> Retry | None:
    match record.get("retry"):
        case [int(attempts), int() | float() as wait, int() | float() as max_wait, [*on]]:
            return Retry(attempts, wait, max_wait, tuple(code for code in on if isinstance(code, int)))
    return None


def _origin(found: Any) -> Origin:
    match found:
        case ["secret" | "config" as kind, str(key), "file" | "environment" | "content" as source, str(value)]:
            return Origin(kind, key, source, value)
    raise ValueError(f"{found!r} is not where a secret or config comes from")


def _published(record: Mapping[str, Any]) -> tuple[PublishedPort, ...]:
    """Those entries that can be read."""
    found = record.get("published")
    return tuple(
        PublishedPort(*entry)
        for entry in (found if isinstance(found, list) else ())
        if isinstance(entry, list) and list(map(type, entry)) == [str, str, int, int]
    )


def _texts(value: Any) -> dict[str, str]:
    """The pairs of texts of a mapping; what else is there is left out."""
    if not isinstance(value, Mapping):
        return {}
    return {name: text for name, text in value.items() if isinstance(text, str)}


def actual_of(
    record: Mapping[str, Any],
    *,
    status: Status,
    pid: int,
    exit_code: int | None,
    started_at: float,
    finished_at: float,
    health: str = "",
    restarts: int = 0,
    comes_back: bool = False,
) -> ActualContainer:
    """A record and what was seen of the container, as one value. Never fails: whatever stands in the record, the
    container must be found, or nobody could remove it. One without a service or a number counts as half made.
    """

    def text(name: str) -> str:
        value = record.get(name)
        return value if isinstance(value, str) else ""

    number = record.get("number")
    created_at = record.get("created_at")
    is_whole = text("service") and type(number) is int
    found: Any = record.get("spec")
    spec: Mapping[str, Any] = found if isinstance(found, Mapping) else {}
    grace = spec.get("stop_grace_seconds")
    signal = spec.get("stop_signal")
    return ActualContainer(
        id=text("id"),
        name=text("name") or text("id")[:12],
        project=text("project"),
        service=text("service"),
        number=number if isinstance(number, int) else 0,
        oneoff=record.get("oneoff") is True,
        config_hash=text("config_hash"),
        image=text("image"),
        image_id=text("image_id"),
        created_at=float(created_at) if isinstance(created_at, (int, float)) else 0.0,
        replaces=text("replaces"),
        status=status if is_whole else Status.DEAD,
        pid=pid,
        exit_code=exit_code,
        started_at=started_at,
        finished_at=finished_at,
        health=health,
        restarts=restarts,
        comes_back=comes_back,
        stop_signal=signal if isinstance(signal, str) and signal else "SIGTERM",
        stop_grace_seconds=float(grace) if isinstance(grace, (int, float)) else 10.0,
        spec=spec,
        labels=_texts(record.get("labels")),
        volumes=_texts(record.get("volumes")),
        depends_on=_dependencies(record),
        retry=_retry(record),
        published=_published(record),
        borrowed_from=_texts(record.get("borrowed_from")),
        hook_of=text("hook_of"),
    )
