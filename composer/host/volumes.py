"""Volumes on disk: `volumes/<name>/{record.json,_data}`. A record is there before its data and goes after it."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import count

from composer.digest import sha256_hex
from composer.errors import ContainerError
from composer.host.files import locked, make_private, read_json, write_json
from composer.paths import Paths

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*\Z")
_ANONYMOUS = re.compile(r"[0-9a-f]{64}\Z")

ANONYMOUS_LABEL = "com.docker.volume.anonymous"
"""Docker's own mark of a volume nobody named."""


def next_name(paths: Paths, container_id: str, target: str) -> str:
    """The name the next anonymous volume of a container's `target` gets: 64 hex digits as docker has them.

    It follows from container and target, so that a bundle can be shown before it is made, and from what is there:
    a volume that an earlier life left behind is never taken over.
    """
    for life in count():
        name = sha256_hex(f"{container_id}\0{target}\0{life}".encode(errors="surrogatepass"))
        if not os.path.lexists(f"{paths.volumes}/{name}"):
            return name
    raise AssertionError("count() does not end")


def named(paths: Paths) -> dict[str, str]:
    """The volumes that have a name: name to the project each was made for, "" = none."""
    try:
        names = sorted(os.listdir(paths.volumes))
    except FileNotFoundError:
        return {}
    found = {}
    for name in names:
        if not _ANONYMOUS.match(name):
            record = read_json(f"{paths.volumes}/{name}/record.json")
            if isinstance(record, dict) and not record.get("anonymous"):
                found[name] = str(record.get("project", ""))
    return found


def create_named(paths: Paths, name: str, *, project: str, key: str, labels: Mapping[str, str]) -> None:
    """Makes an empty volume with a name, unless it is there. Raises `ContainerError`, `OSError`."""
    data = path(paths, name)
    directory = os.path.dirname(data)
    make_private(directory)
    if read_json(f"{directory}/record.json") is None:
        write_json(
            f"{directory}/record.json",
            {
                "version": 1,
                "name": name,
                "project": project,
                "key": key,
                "anonymous": False,
                "labels": dict(labels),
                "created_at": time.time(),
            },
        )
    _make_data(data)


def fill_once(paths: Paths, name: str, fill: Callable[[str], None]) -> None:
    """Fills a named volume that is empty by `fill`, which is given a directory. All of it is there, or nothing.

    The volume must be there. Raises what `fill` raises, `ContainerError`, `OSError`.
    """
    data = path(paths, name)
    directory = os.path.dirname(data)
    if not os.path.isdir(data):
        raise ContainerError(f"volume {name} is not there", hint="jocker up makes it")
    if os.listdir(data):
        return
    from composer.host.trees import remove_tree

    with locked(f"{directory}/lock", what=f"jocker (volume {name})"):
        if not os.listdir(data):
            new = f"{directory}/_new"
            remove_tree(new)
            _make_data(new)
            fill(new)
            os.rename(new, data)


def _make_data(data: str) -> None:
    with suppress(FileExistsError):
        os.mkdir(data, 0o755)
        os.chmod(data, 0o755)  # noqa: S103  as docker's; mkdir's mode went through the umask


def create_anonymous(
    paths: Paths, name: str, *, project: str, container_id: str, target: str, labels: Mapping[str, str] | None = None
) -> None:
    """Makes an empty volume `name` (see `next_name`) for one container's `target`.

    Its directory is root:root 0755 until `rootfs.copy_up` fills it. Raises `OSError`.
    """
    directory = f"{paths.volumes}/{name}"
    make_private(paths.volumes)
    os.mkdir(directory, 0o700)
    write_json(
        f"{directory}/record.json",
        {
            "version": 1,
            "name": name,
            "project": project,
            "container_id": container_id,
            "target": target,
            "anonymous": True,
            "labels": {ANONYMOUS_LABEL: "", **(labels or {})},
            "created_at": time.time(),
        },
    )
    _make_data(f"{directory}/_data")


def path(paths: Paths, name: str) -> str:
    """The directory with a volume's data. Raises `ContainerError` for what cannot be a volume's name."""
    if not _NAME.match(name):
        raise ContainerError(f"{name!r} is not the name of a volume")
    return f"{paths.volumes}/{name}/_data"


def remove(paths: Paths, name: str) -> None:
    """Removes a volume, data first; nothing happens if it is gone. Raises `OSError` (a mount in it: EXDEV)."""
    from composer.host.trees import remove_tree

    data = path(paths, name)
    directory = os.path.dirname(data)
    remove_tree(data)
    with suppress(FileNotFoundError):
        os.unlink(f"{directory}/record.json")
    remove_tree(directory)
