"""Volumes on disk: `volumes/<name>/{record.json,_data}`. A record is there before its data and goes after it."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from contextlib import suppress

from composer.errors import ContainerError
from composer.host.files import write_json
from composer.host.trees import remove_tree
from composer.paths import Paths

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*\Z")

ANONYMOUS_LABEL = "com.docker.volume.anonymous"
"""Docker's own mark of a volume nobody named."""


def create_anonymous(
    paths: Paths, *, project: str, container_id: str, target: str, labels: Mapping[str, str] | None = None
) -> str:
    """Makes an empty volume for one container's `target` and returns its name, 64 random hex digits as docker has them.

    Its directory is root:root 0755 until `rootfs.copy_up` fills it. Raises `OSError`.
    """
    name = os.urandom(32).hex()
    directory = f"{paths.volumes}/{name}"
    os.makedirs(paths.volumes, mode=0o711, exist_ok=True)
    os.mkdir(directory, 0o711)
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
    return name


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
