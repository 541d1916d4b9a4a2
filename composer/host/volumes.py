"""Volumes on disk: `volumes/<name>/{record.json,_data}`. A record is there before its data and goes after it."""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import count
from typing import Any

from composer.actual.state import used_volumes
from composer.digest import sha256_hex
from composer.errors import ContainerError
from composer.host import records
from composer.host.files import make_private, read_json, write_json
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


def named_records(paths: Paths, anonymous: Collection[str] = ()) -> dict[str, dict[str, Any]]:
    """The records of the volumes that have a name, by name. `anonymous` are known to have none; their records need not
    be read.
    """
    try:
        names = sorted(os.listdir(paths.volumes))
    except FileNotFoundError:
        return {}
    found = {}
    for name in names:
        if name not in anonymous:
            record = read_json(f"{paths.volumes}/{name}/record.json")
            if isinstance(record, dict) and not record.get("anonymous"):
                found[name] = record
    return found


def create_named(
    paths: Paths,
    name: str,
    *,
    project: str,
    key: str,
    labels: Mapping[str, str],
    driver_opts: Mapping[str, str] | None = None,
    config_hash: str = "",
) -> None:
    """Makes an empty volume with a name, unless it is there. What its options mount is mounted when it is used.

    Raises `ContainerError`, `OSError`.
    """
    data = path(paths, name)
    directory = os.path.dirname(data)
    there = False
    while not there:
        make_private(directory)
        with _locked(directory) as there:
            if there:
                record = read_json(f"{directory}/record.json")
                if record is None:
                    record = {
                        "version": 1,
                        "name": name,
                        "project": project,
                        "key": key,
                        "anonymous": False,
                        "labels": dict(labels),
                        **({"driver_opts": dict(driver_opts)} if driver_opts else {}),
                        **({"config_hash": config_hash} if config_hash else {}),
                        "created_at": time.time(),
                    }
                    write_json(f"{directory}/record.json", record)
                _refuse_anonymous(name, record)
                _make_data(data)


def prepare(paths: Paths, name: str, fill: Callable[[str], None] | None = None, *, container_id: str = "") -> None:
    """Makes a named volume ready to be mounted by a container whose record names it: from here on `remove_named`
    refuses. What its options say is mounted. If the volume is empty, `fill` is given a directory to put into what shall
    be there: all of it gets there, or nothing.

    The volume must be there. Raises what `fill` raises, `ContainerError`, `OSError`.
    """
    data = path(paths, name)
    directory = os.path.dirname(data)
    with _locked(directory) as there:
        record = read_json(f"{directory}/record.json") if there else None
        if not isinstance(record, dict) or not os.path.isdir(data):
            raise ContainerError(f"volume {name} is not there", hint="jocker up makes it")
        _refuse_anonymous(name, record)
        if options := options_of(record):
            from composer.host import volume_mounts

            volume_mounts.use(paths, name, options, container_id)
        if fill is not None or any(map(os.path.lexists, (f"{directory}/_new", f"{directory}/_whole"))):
            from composer.host.volume_fill import fill_empty

            fill_empty(directory, fill)


def reuse(paths: Paths, name: str, *, container_id: str) -> None:
    """Makes a volume ready that a container has from another one: as `prepare`, but nothing is put into it."""
    data = path(paths, name)
    with _locked(os.path.dirname(data)) as there:
        record = read(paths, name) if there else None
        if record is None or not os.path.isdir(data):
            raise ContainerError(f"volume {name} is not there any more", hint="make the container anew that it is of")
        if options := options_of(record):
            from composer.host import volume_mounts

            volume_mounts.use(paths, name, options, container_id)


def is_anonymous(paths: Paths, name: str) -> bool:
    """Whether it was made for a container, and has no name of its own."""
    return bool((read(paths, name) or {}).get("anonymous"))


def options_of(record: Mapping[str, Any]) -> dict[str, str]:
    """The `driver_opts` of a volume's record."""
    found = record.get("driver_opts")
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def release(paths: Paths, record: Mapping[str, Any]) -> None:
    """The container of this record runs no more: what only it had mounted of its volumes is unmounted."""
    container_id = record["id"]
    if os.path.isdir(paths.parts(container_id)):
        from composer.host import volume_parts

        volume_parts.unmount_all(paths, container_id)
    for name in used_volumes(record):
        directory = f"{paths.volumes}/{name}"
        if os.path.lexists(f"{directory}/users/{container_id}"):
            from composer.host import volume_mounts

            with _locked(directory) as there:
                if there:
                    volume_mounts.release(paths, name, container_id)


def users_of(paths: Paths, name: str) -> dict[str, str]:
    """The containers whose records name the volume, anonymous ones of their own too: names by id."""
    return {
        record["id"]: str(record.get("name") or record["id"][:12])
        for record in records.every(paths)
        if name in used_volumes(record)
    }


def every(paths: Paths) -> Iterator[dict[str, Any]]:
    """The records of all volumes, by name. Of one whose record is lost there is the name."""
    with suppress(FileNotFoundError):
        for name in sorted(os.listdir(paths.volumes)):
            record = read(paths, name)
            if record is not None:
                yield record


def read(paths: Paths, name: str) -> dict[str, Any] | None:
    """The record of one volume, None if there is no such volume."""
    directory = f"{paths.volumes}/{name}"
    if not _NAME.match(name) or not os.path.isdir(directory):
        return None
    record = read_json(f"{directory}/record.json")
    return {**(record if isinstance(record, dict) else {}), "name": name}


@contextmanager
def _locked(directory: str) -> Iterator[bool]:
    """Holds the lock of a volume while the block runs: the directory itself, so that nothing of it is left behind.
    Yields whether the volume is there.
    """
    while True:
        try:
            fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            yield False
            return
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            if _is_at(directory, fd):
                yield True
                return
        finally:
            os.close(fd)


def _is_at(directory: str, fd: int) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(fd), os.stat(directory))
    return False  # removed while we waited


def _refuse_anonymous(name: str, record: object) -> None:
    if isinstance(record, dict) and record.get("anonymous"):
        raise ContainerError(
            f"volume {name} is the anonymous one of container {str(record.get('container_id'))[:12]}",
            hint="it is nobody else's: take another name",
        )


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
    with _locked(os.path.dirname(path(paths, name))) as there:
        if there:
            _remove(paths, name)


def _remove(paths: Paths, name: str) -> None:
    from composer.host import volume_mounts
    from composer.host.trees import remove_tree

    data = path(paths, name)
    directory = os.path.dirname(data)
    volume_mounts.unmount(paths, name)  # whatever the record says: what is mounted there is somebody else's
    remove_tree(data)
    with suppress(FileNotFoundError):
        os.unlink(f"{directory}/record.json")
    remove_tree(directory)


def remove_unused(paths: Paths, name: str, leaving: str = "") -> bool:
    """Removes a volume unless the record of a container other than `leaving` names it; whether it is gone then.
    Containers that are being removed use nothing. Raises `OSError`.
    """
    with _locked(os.path.dirname(path(paths, name))) as there:
        if there:
            for record in records.every(paths):
                is_going = record["id"] == leaving or record.get("phase") == "removing"
                if not is_going and name in used_volumes(record):
                    return False
            _remove(paths, name)
    return True


def remove_named(paths: Paths, name: str) -> None:
    """Removes a volume with a name; nothing happens if it is gone. Raises `ContainerError` if the record of a container
    names it, `OSError`.
    """
    with _locked(os.path.dirname(path(paths, name))) as there:
        if not there:
            return
        for record in records.every(paths):
            if name in used_volumes(record):
                user = record.get("name") or record["id"][:12]
                raise ContainerError(
                    f"volume {name} stays: {user} uses it", hint=f"jocker -p {record.get('project')} down ends that"
                )
        _remove(paths, name)
