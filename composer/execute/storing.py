"""What a container has mounted of the machine and of volumes: made, filled, mounted when the container is made."""

from __future__ import annotations

import os
from functools import partial
from typing import Any

from composer.desired.state import AnonymousVolume, BindMount, DesiredContainer, NamedVolume
from composer.errors import ContainerError
from composer.host import records, volumes
from composer.paths import Paths


def make_bind_sources(container: DesiredContainer) -> None:
    """Makes the directories of the machine that are missing. Raises `ContainerError` for one that must be there."""
    for mount in container.spec.mounts:
        if isinstance(mount, BindMount) and not os.path.lexists(mount.source):
            if not mount.create_host_path:
                raise ContainerError(
                    f'service "{container.service}": bind source {mount.source} does not exist',
                    hint="make it, or say `bind: {create_host_path: true}`",
                )
            os.makedirs(mount.source, exist_ok=True)


def make_volumes(paths: Paths, container: DesiredContainer, record: dict[str, Any], root: str) -> None:
    """Makes anonymous volumes, makes named ones ready, fills both from the `root` of the image. The record is written
    again where it gets to name more.
    """
    for mount in container.spec.mounts:
        if isinstance(mount, NamedVolume):
            from composer.host import rootfs

            fill = None if mount.nocopy else partial(rootfs.copy_up, root, mount.target)
            volumes.prepare(paths, mount.volume, fill, container_id=record["id"])
        if not isinstance(mount, AnonymousVolume) or mount.target in record["volumes"]:
            continue
        # The record names the volume before it is there: a crash cannot leave one that nobody knows.
        name = volumes.next_name(paths, record["id"], mount.target)
        record["volumes"][mount.target] = name
        records.write(paths, record)
        volumes.create_anonymous(paths, name, project=container.project, container_id=record["id"], target=mount.target)
        if not mount.nocopy:
            from composer.host import rootfs

            rootfs.copy_up(root, mount.target, volumes.path(paths, name))
