"""Secrets and configs: read from where they come from, and put into memory where a container finds them.

Their bytes are in no file of a disk: every container that is given some has a tmpfs of its own for them, which is not
swapped out where the kernel can leave it alone, and which goes with the container.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Mapping, Sequence

from composer.digest import keyed_hex
from composer.errors import Complaint, ContainerError, StackFileError
from composer.host.machine_key import machine_key
from composer.model.fileobject import GivenFile, Kind, Origin, Secret
from composer.model.service import Project
from composer.paths import Paths

MOST = 16 << 20
"""Bytes of one secret or config: all of it is in memory, once per container."""
_PAGE = 4096
_VOLUME_HINT = "give it as a volume: volumes: [./data:/data:ro]"


class _Unreadable(Exception):
    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


class Contents:
    """What secrets and configs hold: each is read once, when it is first asked for, so that what is told by a digest is
    what a container gets. `make_key` is for commands that write.
    """

    def __init__(self, paths: Paths, project: Project | None = None, *, make_key: bool = False) -> None:
        self._paths, self._project, self._make_key = paths, project, make_key
        self._known: dict[Origin, Secret] = {}

    def digests(self, services: Collection[str]) -> dict[tuple[Kind, str], str]:
        """A digest for each secret and config that the `services` of the project are given.

        Raises `StackFileError` with a complaint about each that cannot be read.
        """
        project = self._project
        if project is None:
            return {}
        used = {(file.kind, file.key) for name in services for file in project.services[name].files}
        if not used:
            return {}
        key = machine_key(self._paths, make=self._make_key)
        found: dict[tuple[Kind, str], str] = {}
        complaints: list[Complaint] = []
        for kind, name in sorted(used):
            one = project.file_objects[kind, name]
            try:
                secret = self._read(one.origin)
            except _Unreadable as error:
                complaints.append(Complaint(error.message, one.place, error.hint))
            else:
                # What it is called is part of it: that two secrets are the same is nobody's business either.
                label = f"{kind}\0{project.name}\0{name}\0".encode()
                found[kind, name] = keyed_hex(key, label + secret.reveal())
        if complaints:
            raise StackFileError(tuple(complaints))
        return found

    def of(self, origin: Origin) -> Secret:
        """What it holds. Raises `ContainerError`."""
        try:
            return self._read(origin)
        except _Unreadable as error:
            raise ContainerError(f"{origin}: {error.message}", hint=error.hint) from None

    def _read(self, origin: Origin) -> Secret:
        if origin not in self._known:
            self._known[origin] = self._read_anew(origin)
        return self._known[origin]

    def _read_anew(self, origin: Origin) -> Secret:
        if origin.source == "file":
            return Secret(_file(origin.value))
        if origin.source == "environment":
            environment: Mapping[str, str] = self._project.environment if self._project else os.environ
            value = environment.get(origin.value)
            if value is None:
                raise _Unreadable(f"the variable {origin.value!r} is not set", "set it in the environment or in .env")
            return Secret(_bounded(value.encode(errors="surrogateescape")))
        one = self._project.file_objects.get((origin.kind, origin.key)) if self._project else None
        if one is None or one.content is None:
            raise _Unreadable(
                "its content stands in the stack file, which was not read or does not have it any more",
                "run the command where the stack file is, or jocker up",
            )
        return Secret(_bounded(one.content.reveal()))


def _file(path: str) -> bytes:
    """A plain file's bytes. It is looked at before it is opened: a fifo would keep us waiting, a device might act."""
    try:
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode):
            raise _Unreadable(*_not_a_file(path, found.st_mode))
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        with open(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):  # exchanged in the meantime
                raise _Unreadable(*_not_a_file(path, os.fstat(fd).st_mode))
            return _bounded(file.read(MOST + 1))
    except FileNotFoundError:
        raise _Unreadable(f"the file {path} does not exist", "make it, or say where it is: file: …") from None
    except (OSError, ValueError) as error:
        raise _Unreadable(f"the file {path} cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _not_a_file(path: str, mode: int) -> tuple[str, str]:
    if stat.S_ISDIR(mode):
        return f"{path} is a directory, not a file", _VOLUME_HINT
    kind = "a fifo" if stat.S_ISFIFO(mode) else "a socket" if stat.S_ISSOCK(mode) else "a device"
    return f"{path} is {kind}, not a file", "what a program says can come by a variable: environment: NAME"


def _bounded(data: bytes) -> bytes:
    if len(data) > MOST:
        raise _Unreadable(f"it has more than {MOST >> 20} MiB, and all of it would be in memory", _VOLUME_HINT)
    return data


def paths_of(paths: Paths, container_id: str, files: Sequence[GivenFile]) -> tuple[str, ...]:
    """Where the files of a container are on the machine, one for one."""
    directory = paths.given_files(container_id)
    return tuple(f"{directory}/{number}" for number in range(len(files)))


def provide(
    paths: Paths, container_id: str, files: Sequence[GivenFile], origins: Sequence[Origin], contents: Contents
) -> None:
    """Puts the files of a container into its tmpfs; if that is there it is whole, and stays as it is.

    Raises `ContainerError`, also for a source that is gone; `OSError`.
    """
    directory = paths.given_files(container_id)
    if not files or os.path.ismount(directory):
        return
    from composer.host import kernel
    from composer.host.files import make_private

    held = [contents.of(origin).reveal() for origin in origins]
    if len(held) != len(files):
        raise ContainerError(
            "the record does not say where its secrets and configs come from",
            hint="jocker up --force-recreate makes the container anew",
        )
    size = sum(-(-len(data) // _PAGE) for data in held) + 1
    tmpfs = kernel.open_tmpfs({"size": str(size * _PAGE), "nr_inodes": str(len(files) + 2), "mode": "0700"})
    try:
        for number, (file, data) in enumerate(zip(files, held, strict=True)):
            _write(tmpfs, str(number), file, data)
        make_private(directory)
        kernel.attach(tmpfs, directory)
    finally:
        os.close(tmpfs)


def _write(tmpfs: int, name: str, file: GivenFile, data: bytes) -> None:
    fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=tmpfs)
    with open(fd, "wb", buffering=0) as target:
        view = memoryview(data)
        while view:
            view = view[target.write(view) :]
        os.fchown(fd, file.uid, file.gid)
        os.fchmod(fd, file.mode)
