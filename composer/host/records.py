"""The record of a container: what jocker itself must remember, one JSON file each.

Written before anything else of the container exists and removed after everything else is gone, so whatever a crash
leaves can be found from it. A record that cannot be read counts as a half-made container, never as none.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from composer.host.files import read_json, write_json
from composer.paths import Paths

VERSION = 1


def write(paths: Paths, record: Mapping[str, Any]) -> None:
    """Writes a record atomically, on disk when this returns. Makes the container's directory."""
    container_id = record["id"]
    os.makedirs(paths.container(container_id), mode=0o711, exist_ok=True)
    write_json(paths.record(container_id), dict(record))


def read(paths: Paths, container_id: str) -> dict[str, Any] | None:
    """The record, or None if there is none that can be read."""
    record = read_json(paths.record(container_id))
    return record if isinstance(record, dict) and record.get("id") == container_id else None


def every(paths: Paths) -> Iterator[dict[str, Any]]:
    """All readable records, in no order."""
    try:
        ids = os.listdir(paths.containers)
    except FileNotFoundError:
        return
    for container_id in ids:
        record = read(paths, container_id)
        if record is not None:
            yield record


def unreadable(paths: Paths) -> tuple[str, ...]:
    """The ids of container directories without a usable record: left by a crash before the record was written."""
    with suppress(FileNotFoundError):
        return tuple(name for name in sorted(os.listdir(paths.containers)) if read(paths, name) is None)
    return ()
