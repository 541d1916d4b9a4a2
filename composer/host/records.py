"""The record of a container: what jocker itself must remember, one JSON file each.

Written before anything else of the container exists and removed after everything else is gone, so whatever a crash
leaves can be found from it. A record that cannot be read counts as a half-made container, never as none.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from composer.host import process
from composer.host.files import read_json, write_json
from composer.host.trees import remove_tree
from composer.paths import Paths

VERSION = 1
_NEW = ".new-"
"""Starts the name of a directory that waits for its first record: then come the maker's pid and its start time."""


def write(paths: Paths, record: Mapping[str, Any]) -> None:
    """Writes a record atomically, on disk when this returns. The container's directory comes with its first record."""
    directory = paths.container(record["id"])
    if os.path.isdir(directory):
        write_json(paths.record(record["id"]), dict(record))
        return
    os.makedirs(paths.containers, mode=0o711, exist_ok=True)
    me = os.getpid()
    new = f"{paths.containers}/{_NEW}{me}-{process.start_time(me)}-{record['id']}"
    os.mkdir(new, mode=0o711)
    write_json(f"{new}/record.json", dict(record))
    os.rename(new, directory)


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
        if container_id.startswith(_NEW):
            continue
        record = read(paths, container_id)
        if record is not None:
            yield record


def sweep(paths: Paths) -> None:
    """Removes what a crash in the middle of `write` left: directories whose maker is gone."""
    with suppress(FileNotFoundError):
        for name in os.listdir(paths.containers):
            if name.startswith(_NEW):
                pid, started = map(int, name.removeprefix(_NEW).split("-")[:2])
                if not process.alive(pid, started):
                    remove_tree(f"{paths.containers}/{name}")
