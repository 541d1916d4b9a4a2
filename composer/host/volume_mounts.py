"""What volumes with options have mounted where their data are: from the first container that uses one to the last.

`volumes/<name>/users/<container id>` says who uses it, and which process was making that container ready. Written
before the mount and removed before the unmount: what a crash leaves is either used, or seen not to be.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from contextlib import suppress

from composer.errors import ContainerError
from composer.host import kernel, process, records
from composer.host.files import make_private, read_text, write_atomic
from composer.host.state import first_process
from composer.model.localvolume import REC, REMOTE, LocalMount, hidden, local_mount
from composer.paths import Paths

_PSEUDO = frozenset({"tmpfs", "ramfs"})


def is_mounted(path: str) -> bool:
    """Whether something is mounted on a directory: also what is of the same file system as the directory above."""
    try:
        above = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        how = kernel.RESOLVE_BENEATH | kernel.RESOLVE_NO_XDEV
        os.close(kernel.open_in_root(above, os.fsencode(os.path.basename(path)), resolve=how))
    except OSError as error:
        return error.errno == errno.EXDEV
    finally:
        os.close(above)
    return False


def use(paths: Paths, name: str, options: Mapping[str, str], container_id: str) -> None:
    """Notes that a container uses the volume, and mounts it unless it is. The volume's lock is held.

    Raises `ContainerError` in the words of mount(2).
    """
    try:
        wanted = local_mount(options)
    except ValueError as error:
        raise ContainerError(f"volume {name}: driver_opts: {error}") from None
    if wanted is None:
        return
    me = os.getpid()
    make_private(f"{paths.volumes}/{name}/users")
    write_atomic(_mark(paths, name, container_id), f"{me} {process.start_time(me)}\n".encode(), sync=False)
    data = f"{paths.volumes}/{name}/_data"
    if is_mounted(data):
        return
    try:
        _mount(wanted, data)
    except OSError as error:
        raise _explained(name, wanted, error) from error


def _mount(wanted: LocalMount, data: str) -> None:
    if not wanted.is_bind:
        kernel.mount(wanted.device, data, wanted.kind, wanted.flags, wanted.data or None)
        return
    source = os.open(wanted.device, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        tree = kernel.clone_tree(source, recursive=bool(wanted.flags & REC))
        try:
            kernel.set_attributes(tree, kernel.attributes_of(wanted.flags), recursive=bool(wanted.flags & REC))
            kernel.attach(tree, data)
        finally:
            os.close(tree)
    finally:
        os.close(source)


def _explained(name: str, wanted: LocalMount, error: OSError) -> ContainerError:
    what = f"{wanted.device} ({wanted.kind or 'bind'}{f', {hidden(wanted.data)}' if wanted.data else ''})"
    hint = ""
    match error.errno:
        case errno.ENOENT | errno.ENOTDIR if wanted.kind not in REMOTE | _PSEUDO:
            hint = "the device must be there: nobody makes it"
        case errno.ENODEV:
            hint = f"the kernel has no {wanted.kind}: modprobe {wanted.kind}"
        case errno.EINVAL if wanted.kind in REMOTE:
            hint = "the server's address is an option of its own: o: addr=192.0.2.1 (a number, no name)"
        case errno.EINVAL:
            hint = "an option that the file system does not know? dmesg may say which"
        case errno.ECONNREFUSED | errno.EHOSTUNREACH | errno.ENETUNREACH | errno.ETIMEDOUT:
            hint = "the server does not answer"
    return ContainerError(f"volume {name}: cannot mount {what}: {os.strerror(error.errno or 0)}", hint=hint)


def has_used(paths: Paths, name: str, container_id: str) -> bool:
    """Whether the container is noted as a user of what is mounted there."""
    return os.path.lexists(_mark(paths, name, container_id))


def release(paths: Paths, name: str, container_id: str) -> None:
    """The container uses the volume no more; with the last who does it is unmounted. The volume's lock is held."""
    with suppress(FileNotFoundError):
        os.unlink(_mark(paths, name, container_id))
    if not _users(paths, name):
        unmount(paths, name)


def unmount(paths: Paths, name: str) -> None:
    """Unmounts what is there, and forgets who used it. One that is busy goes with its last user."""
    data = f"{paths.volumes}/{name}/_data"
    while is_mounted(data):
        kernel.umount(data, kernel.MNT_DETACH)
    with suppress(FileNotFoundError):
        os.rmdir(f"{paths.volumes}/{name}/users")


def _users(paths: Paths, name: str) -> list[str]:
    """Containers noted that run, or that a command still at work has made ready; the notes of others are removed."""
    found = []
    with suppress(FileNotFoundError):
        for container_id in os.listdir(f"{paths.volumes}/{name}/users"):
            if _counts(paths, name, container_id):
                found.append(container_id)
            else:
                with suppress(FileNotFoundError):
                    os.unlink(_mark(paths, name, container_id))
    return found


def _counts(paths: Paths, name: str, container_id: str) -> bool:
    record = records.read(paths, container_id)
    if record is None or record.get("phase") == "removing":
        return False
    first = first_process(paths, container_id)
    if first is not None and process.alive(*first):
        return True
    pid, _, started = (read_text(_mark(paths, name, container_id)) or "").strip().partition(" ")
    return pid.isdecimal() and started.isdecimal() and process.alive(int(pid), int(started))


def _mark(paths: Paths, name: str, container_id: str) -> str:
    return f"{paths.volumes}/{name}/users/{container_id}"
