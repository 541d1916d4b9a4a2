"""What a container has mounted of the machine, of volumes and of images: made, filled, mounted when it is made."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from composer.desired.hashing import mount_from_json, mount_to_json
from composer.desired.state import (
    AnonymousVolume,
    BindMount,
    DesiredContainer,
    ImageMount,
    Mount,
    NamedVolume,
    TmpfsMount,
)
from composer.errors import ContainerError
from composer.frozen import replace
from composer.host import records, volumes
from composer.image.store import Store
from composer.paths import Paths


def make_bind_sources(container: DesiredContainer) -> None:
    """Makes the directories of the machine that are missing. Raises `ContainerError` for one that must be there."""
    for mount in container.spec.mounts:
        if not isinstance(mount, BindMount):
            continue
        if not os.path.lexists(mount.source):
            if not mount.create_host_path:
                raise ContainerError(
                    f'service "{container.service}": bind source {mount.source} does not exist',
                    hint="make it, or say `bind: {create_host_path: true}`",
                )
            os.makedirs(mount.source, exist_ok=True)
        if mount.selinux:
            from composer.host import relabel

            relabel.relabel(mount.source)


def borrowed(paths: Paths, container: DesiredContainer) -> tuple[list[Mount], dict[str, str]]:
    """What `volumes_from` means now: the mounts of other containers, later ones over earlier ones, and which container
    each entry has come to. A tmpfs stays with its container. Raises `ContainerError` for one that is not there.
    """
    found: dict[str, Mount] = {}
    sources = {}
    for entry in container.spec.volumes_from:
        mode = entry.removesuffix(":ro")
        record = _source(paths, container, mode)
        sources[entry] = str(record["id"])
        for mount in _mounts_of(record):
            if entry.endswith(":ro") and isinstance(mount, (BindMount, NamedVolume)):
                mount = mount._replace(read_only=True)
            found[mount.target] = mount
    return list(found.values()), sources


def _source(paths: Paths, container: DesiredContainer, mode: str) -> Mapping[str, Any]:
    """The record of the container meant. Of one that is being replaced, and its successor, it is the successor."""
    from composer.execute import sharing

    where = f'service "{container.service}": volumes_from'
    record = sharing.find(paths, container.project, mode, where)
    for other in records.every(paths):
        if other.get("replaces") == record["id"] and other.get("phase") == "created":
            return other
    return record


def _mounts_of(record: Mapping[str, Any]) -> Iterable[Mount]:
    for plain in (*record.get("borrowed", ()), *record["spec"].get("mounts", ())):
        mount = mount_from_json(plain)
        if isinstance(mount, AnonymousVolume):
            name = record["volumes"].get(mount.target)
            if name is None:
                continue  # it has given way to one of another container
            yield NamedVolume(mount.target, name, mount.read_only, nocopy=True)
        elif isinstance(mount, NamedVolume):
            yield mount._replace(nocopy=True)
        elif not isinstance(mount, TmpfsMount):
            yield mount


def with_borrowed(container: DesiredContainer, found: Iterable[Mount]) -> DesiredContainer:
    """The container with what it has from others: its own mounts count more, those of its image less."""
    given = {mount.target: mount for mount in found}
    if not given:
        return container
    own = [mount for mount in container.spec.mounts if not (_gives_way(mount) and mount.target in given)]
    taken = {mount.target for mount in own}
    mounts = (*own, *(mount for target, mount in given.items() if target not in taken))
    return replace(container, spec=replace(container.spec, mounts=mounts))


def _gives_way(mount: Mount) -> bool:
    return isinstance(mount, AnonymousVolume) and mount.of_image


def complete(paths: Paths, container: DesiredContainer, record: dict[str, Any]) -> DesiredContainer:
    """The container with what it has from others, which is settled when it is made: the record says so before any of it
    is used.
    """
    if not container.spec.volumes_from:
        return container
    if "borrowed" not in record:
        found, sources = borrowed(paths, container)
        record["borrowed"] = [mount_to_json(mount) for mount in found]
        record["borrowed_from"] = sources
        records.write(paths, record)
    return with_borrowed(container, map(mount_from_json, record["borrowed"]))


def make_volumes(paths: Paths, store: Store, container: DesiredContainer, record: dict[str, Any], root: str) -> None:
    """Makes anonymous volumes, makes named ones ready, fills both from the `root` of the image, mounts parts of volumes
    and images. The record is written again where it gets to name more.
    """
    lent = {mount.get("target"): mount.get("volume") for mount in record.get("borrowed", ())}
    for mount in container.spec.mounts:
        if isinstance(mount, NamedVolume):
            if lent.get(mount.target) == mount.volume:
                volumes.reuse(paths, mount.volume, container_id=record["id"])
            else:
                _prepare(paths, mount, record, root)
        elif isinstance(mount, AnonymousVolume) and mount.target not in record["volumes"]:
            _make_anonymous(paths, container, mount, record, root)
    _mount_parts(paths, store, container, record["id"])


def _prepare(paths: Paths, mount: NamedVolume, record: Mapping[str, Any], root: str) -> None:
    from composer.host import rootfs

    # Of a part, docker fills the whole volume, too; but what is at the target then is not what belongs there.
    fill = None if mount.nocopy or mount.subpath else partial(rootfs.copy_up, root, mount.target)
    volumes.prepare(paths, mount.volume, fill, container_id=record["id"])


def _make_anonymous(
    paths: Paths, container: DesiredContainer, mount: AnonymousVolume, record: dict[str, Any], root: str
) -> None:
    # The record names the volume before it is there: a crash cannot leave one that nobody knows.
    name = volumes.next_name(paths, record["id"], mount.target)
    record["volumes"][mount.target] = name
    records.write(paths, record)
    volumes.create_anonymous(
        paths,
        name,
        project=container.project,
        container_id=record["id"],
        target=mount.target,
        labels=dict(mount.labels),
    )
    if not mount.nocopy:
        from composer.host import rootfs

        rootfs.copy_up(root, mount.target, volumes.path(paths, name))


def _mount_parts(paths: Paths, store: Store, container: DesiredContainer, container_id: str) -> None:
    for mount in container.spec.mounts:
        if isinstance(mount, NamedVolume) and mount.subpath:
            from composer.host import volume_parts

            volume_parts.mount_part(
                paths,
                container_id,
                mount.target,
                data=volumes.path(paths, mount.volume),
                subpath=mount.subpath,
                what=f"volume {mount.volume}",
            )
        elif isinstance(mount, ImageMount):
            from composer.host import volume_parts

            if not mount.layers:
                raise ContainerError(f"image {mount.image} is not here", hint=f"jocker image pull {mount.image}")
            volume_parts.mount_image(
                paths,
                container_id,
                mount.target,
                layers=[store.layer_dir(chain) for chain in mount.layers],
                subpath=mount.subpath,
                what=f"image {mount.image}",
            )


def sources(
    paths: Paths, container: DesiredContainer, container_id: str, anonymous: Mapping[str, str]
) -> dict[str, str]:
    """Where on the machine is what the container has mounted of volumes and images, by target. `anonymous` are the
    names of its anonymous volumes.
    """
    found = {target: volumes.path(paths, name) for target, name in anonymous.items()}
    for mount in container.spec.mounts:
        if isinstance(mount, ImageMount) or (isinstance(mount, NamedVolume) and mount.subpath):
            from composer.host import volume_parts

            found[mount.target] = volume_parts.point(paths, container_id, mount.target)
        elif isinstance(mount, NamedVolume):
            found[mount.target] = volumes.path(paths, mount.volume)
    return found


def lent_anonymous(paths: Paths, record: Mapping[str, Any]) -> list[str]:
    """The anonymous volumes of other containers that this one has: with the last who does they may go."""
    names = (mount.get("volume") for mount in record.get("borrowed", ()) if isinstance(mount, dict))
    return [name for name in names if isinstance(name, str) and volumes.is_anonymous(paths, name)]
