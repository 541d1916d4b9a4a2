"""Volumes on disk: `volumes/<name>/{record.json,_data}`. A record is there before its data and goes after it.

Beside them, while an empty volume gets what an image has: `_new` is being copied, `_whole` is all of it, and moves in.
"""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import count

from composer.actual.state import named_volumes
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


def named(paths: Paths, anonymous: Collection[str] = ()) -> dict[str, str]:
    """The volumes that have a name: name to the project each was made for, "" = none. `anonymous` are known to have
    none; their records need not be read.
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
                found[name] = str(record.get("project", ""))
    return found


def create_named(paths: Paths, name: str, *, project: str, key: str, labels: Mapping[str, str]) -> None:
    """Makes an empty volume with a name, unless it is there. Raises `ContainerError`, `OSError`."""
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
                        "created_at": time.time(),
                    }
                    write_json(f"{directory}/record.json", record)
                _refuse_anonymous(name, record)
                _make_data(data)


def prepare(paths: Paths, name: str, fill: Callable[[str], None] | None = None) -> None:
    """Makes a named volume ready to be mounted by a container whose record names it: from here on `remove_named`
    refuses. If the volume is empty, `fill` is given a directory to put into what shall be there: all of it gets there,
    or nothing.

    The volume must be there. Raises what `fill` raises, `ContainerError`, `OSError`.
    """
    from composer.host.trees import remove_tree

    data = path(paths, name)
    directory = os.path.dirname(data)
    new, whole = f"{directory}/_new", f"{directory}/_whole"
    with _locked(directory) as there:
        record = read_json(f"{directory}/record.json") if there else None
        if record is None or not os.path.isdir(data):
            raise ContainerError(f"volume {name} is not there", hint="jocker up makes it")
        _refuse_anonymous(name, record)
        remove_tree(new)
        if fill is not None and not os.path.lexists(whole) and not os.listdir(data):
            try:
                os.mkdir(new, 0o700)
                _copy(data, new)  # owner and mode, which stay as they are if the image has nothing there
                fill(new)
                os.rename(new, whole)
            except BaseException:
                remove_tree(new)
                raise
        if os.path.lexists(whole):
            _move_in(whole, data)


def _move_in(whole: str, data: str) -> None:
    """Moves all of `whole` into the volume, which containers may be using: it stays the same directory, and what they
    have made in it stays theirs. After a crash this goes on where it was.
    """
    from composer.host.trees import remove_tree

    times = os.stat(whole)
    for name in os.listdir(whole):
        if not os.path.lexists(f"{data}/{name}"):
            os.rename(f"{whole}/{name}", f"{data}/{name}")
        elif os.path.isdir(f"{whole}/{name}") and not os.path.islink(f"{whole}/{name}"):
            remove_tree(f"{whole}/{name}")
        else:
            os.unlink(f"{whole}/{name}")
    _copy(whole, data)
    os.utime(data, ns=(times.st_atime_ns, times.st_mtime_ns))
    os.rmdir(whole)


def _copy(source: str, target: str) -> None:
    """Gives one directory what is in another, empty one: here its owner, mode, times and attributes."""
    from composer.host.trees import copy_tree

    source_fd = os.open(source, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        target_fd = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            copy_tree(source_fd, target_fd)
        finally:
            os.close(target_fd)
    finally:
        os.close(source_fd)


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
    from composer.host.trees import remove_tree

    data = path(paths, name)
    directory = os.path.dirname(data)
    remove_tree(data)
    with suppress(FileNotFoundError):
        os.unlink(f"{directory}/record.json")
    remove_tree(directory)


def remove_named(paths: Paths, name: str) -> None:
    """Removes a volume with a name; nothing happens if it is gone. Raises `ContainerError` if the record of a container
    names it, `OSError`.
    """
    with _locked(os.path.dirname(path(paths, name))) as there:
        if not there:
            return
        for record in records.every(paths):
            if name in named_volumes(record.get("spec")):
                user = record.get("name") or record["id"][:12]
                raise ContainerError(
                    f"volume {name} stays: {user} uses it", hint=f"jocker -p {record.get('project')} down ends that"
                )
        remove(paths, name)
