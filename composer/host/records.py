"""The record of a container: what jocker itself must remember, one JSON file each.

Written before anything else of the container exists and removed after everything else is gone, so whatever a crash
leaves can be found from it. A record that cannot be read counts as a half-made container, never as none.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from composer.host import process
from composer.host.files import json_bytes, make_private, read_json, write_json
from composer.paths import Paths

VERSION = 1
_IN_HAND = ".in-hand-"
"""Starts the name of a directory on its way in or out: then come the pid at it and the start time of that."""


def write(paths: Paths, record: Mapping[str, Any], *, sync: bool = True) -> None:
    """Writes a record atomically, with `sync` on disk when this returns. The first one makes the directory."""
    directory = paths.container(record["id"])
    if os.path.isdir(directory):
        write_json(paths.record(record["id"]), dict(record), sync=sync)
        return
    make_private(paths.containers)
    new = _in_hand(paths, record["id"])
    os.mkdir(new, 0o700)
    write_json(f"{new}/record.json", dict(record))
    os.rename(new, directory)


def mark_removing(paths: Paths, record: Mapping[str, Any]) -> None:
    """Says in a record that its container is being removed. Not forced to the disk: when the power fails, what it says
    is true anyway. On a full disk, which this is to make room on, it is written over, in the blocks that it has.
    """
    marked = {**record, "phase": "removing"}
    try:
        write(paths, marked, sync=False)
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        with suppress(OSError), open(paths.record(record["id"]), "r+b", buffering=0) as file:
            file.write(json_bytes(marked))
            file.truncate()


def remove(paths: Paths, container_id: str) -> None:
    """Removes a container's directory with all in it, the record first: nothing of the container is elsewhere now."""
    from composer.host.trees import remove_tree

    gone = _in_hand(paths, container_id)
    with suppress(FileNotFoundError):
        os.rename(paths.container(container_id), gone)
        remove_tree(gone)


def _in_hand(paths: Paths, container_id: str) -> str:
    me = os.getpid()
    return f"{paths.containers}/{_IN_HAND}{me}-{process.start_time(me)}-{container_id}"


def read(paths: Paths, container_id: str) -> dict[str, Any] | None:
    """The record, or None if there is none that can be read."""
    record = read_json(paths.record(container_id))
    return record if isinstance(record, dict) and record.get("id") == container_id else None


def images_of(record: Mapping[str, Any]) -> frozenset[str]:
    """The ids of the images that a container needs: its own, and those it has mounted."""
    return frozenset({str(record.get("image_id", "")), *(str(one.get("image_id", "")) for one in _mounts(record))})


def layers_of(record: Mapping[str, Any]) -> frozenset[str]:
    """The chain ids of all layers that a container needs."""
    own = record.get("layers")
    found = [own if isinstance(own, list) else [], *(one.get("layers", ()) for one in _mounts(record))]
    return frozenset(str(chain) for chains in found if isinstance(chains, list) for chain in chains)


def networks_of(record: Mapping[str, Any]) -> tuple[str, ...]:
    """The networks that a container is on, by name."""
    found = (record.get("spec") or {}).get("networks")
    return tuple(str(end.get("network")) for end in found if isinstance(end, dict)) if isinstance(found, list) else ()


def _mounts(record: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What has images of its own, maybe: mounts, and hooks that go before the start."""
    spec = record.get("spec")
    hooks = spec.get("hooks") if isinstance(spec, dict) else None
    listed = [
        spec.get("mounts") if isinstance(spec, dict) else None,
        hooks.get("pre_start") if isinstance(hooks, dict) else None,
        record.get("borrowed"),
    ]
    return [one for mounts in listed if isinstance(mounts, list) for one in mounts if isinstance(one, dict)]


def every(paths: Paths) -> Iterator[dict[str, Any]]:
    """All readable records, in no order."""
    try:
        ids = os.listdir(paths.containers)
    except FileNotFoundError:
        return
    for container_id in ids:
        if container_id.startswith(_IN_HAND):
            continue
        record = read(paths, container_id)
        if record is not None:
            yield record


def is_swept(paths: Paths) -> bool:
    """Whether `sweep` has nothing to look at."""
    with suppress(FileNotFoundError):
        return not any(name.startswith(_IN_HAND) for name in os.listdir(paths.containers))
    return True


def sweep(paths: Paths) -> None:
    """Finishes what crashes in the middle of `write` and `remove` left: directories whose process is gone."""
    from composer.host.trees import remove_tree

    with suppress(FileNotFoundError):
        for name in os.listdir(paths.containers):
            if name.startswith(_IN_HAND):
                pid, started = map(int, name.removeprefix(_IN_HAND).split("-")[:2])
                if not process.alive(pid, started):
                    remove_tree(f"{paths.containers}/{name}")
