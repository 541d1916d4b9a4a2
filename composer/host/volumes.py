"""Volumes on disk: `volumes/<name>/{record.json,_data}`. A record is there before its data and goes after it."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from itertools import count

from composer.digest import sha256_hex
from composer.errors import ContainerError
from composer.host.files import make_private, write_json
from composer.host.trees import remove_tree
from composer.paths import Paths

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*\Z")

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
    os.mkdir(f"{directory}/_data", 0o755)
    os.chmod(f"{directory}/_data", 0o755)  # noqa: S103  as docker's; mkdir's mode went through the umask


def path(paths: Paths, name: str) -> str:
    """The directory with a volume's data. Raises `ContainerError` for what cannot be a volume's name."""
    if not _NAME.match(name):
        raise ContainerError(f"{name!r} is not the name of a volume")
    return f"{paths.volumes}/{name}/_data"


def remove(paths: Paths, name: str) -> None:
    """Removes a volume, data first; nothing happens if it is gone. Raises `OSError` (a mount in it: EXDEV)."""
    data = path(paths, name)
    directory = os.path.dirname(data)
    remove_tree(data)
    with suppress(FileNotFoundError):
        os.unlink(f"{directory}/record.json")
    remove_tree(directory)
