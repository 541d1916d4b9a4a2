"""The mounts of a container: docker's default ones, the service's, and the files we give it, in an order that works."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, assert_never

from composer.bundle import defaults
from composer.desired.state import AnonymousVolume, BindMount, ContainerSpec, ImageMount, NamedVolume, TmpfsMount
from composer.desired.state import Mount as Requested
from composer.errors import ContainerError

Mount = dict[str, Any]

_RECURSIVE_READ_ONLY_KERNEL = (5, 12)  # mount_setattr(2)

# The default mounts that docker leaves writable in a container with a read-only root.
_ALWAYS_WRITABLE = frozenset({"/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"})
_PRIVILEGED_WRITABLE = frozenset({"/sys", "/sys/fs/cgroup"})

_TMPFS_DEFAULTS = ("noexec", "nosuid", "nodev")
_TMPFS_OPPOSITES = {
    **{name: f"no{name}" for name in ("exec", "suid", "dev", "atime", "diratime")},
    **{f"no{name}": name for name in ("exec", "suid", "dev", "atime", "diratime")},
    "rw": "ro",
    "ro": "rw",
}
_TMPFS_FLAGS = frozenset({*_TMPFS_OPPOSITES, "sync", "async", "dirsync", "relatime", "norelatime", "strictatime"})
_TMPFS_KEYS = frozenset({"size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol", "huge"})


def all_mounts(
    spec: ContainerSpec,
    *,
    kernel: tuple[int, int],
    init: str | None,
    files: Mapping[str, str],
    given_files: Sequence[str] = (),
    volumes: Mapping[str, str],
    shm: str,
    where: str,
) -> tuple[Mount, ...]:
    """Every mount, outer ones first. `files` (container path to host file) give way to mounts of the service, and to
    secrets and configs: `given_files` are where these are on the host, one for one. `shm` is the directory to bind on
    /dev/shm, "" if the container gets one of its own.

    Raises `ContainerError` for a target that cannot be one, or an anonymous volume without a directory.
    """
    own = {
        target(mount.target, where): _own_mount(mount, kernel=kernel, volumes=volumes, where=where)
        for mount in spec.mounts
    }
    given = {path: _bind(path, source, read_only=spec.read_only) for path, source in files.items()}
    for file, source in zip(spec.files, given_files, strict=True):
        path = target(file.target, where)
        given[path] = _mount(path, "bind", source, ["bind", "ro", "nosuid", "nodev", "rprivate"])
    given = {path: mount for path, mount in given.items() if path not in own}
    if spec.init and init is not None:
        given[defaults.INIT_TARGET] = {
            "destination": defaults.INIT_TARGET, "type": "bind", "source": init, "options": ["bind", "ro"],
        }  # fmt: skip
    return (*_default_mounts(spec, own, shm), *_by_depth([*own.values(), *given.values()]))


def with_devices(spec: ContainerSpec, given: Iterable[Mapping[str, Any]], where: str) -> list[Mount]:
    """The mounts that devices bring with them, outer ones first; what the service mounts itself stays as it is."""
    own = {target(mount.target, where) for mount in spec.mounts}
    wanted = [{**mount, "destination": target(str(mount["destination"]), where)} for mount in given]
    return _by_depth(mount for mount in wanted if mount["destination"] not in own)


def target(path: str, where: str) -> str:
    """The normal form of a mount target. Raises `ContainerError` for `/`, proc, and what is not absolute."""
    normal = "/" + posixpath.normpath(path).lstrip("/")
    if not path.startswith("/"):
        raise ContainerError(f"{where}: mount target {path!r} is not absolute")
    if normal == "/":
        raise ContainerError(f"{where}: nothing can be mounted on `/`", hint="that is the image's place")
    if (normal == "/proc" or normal.startswith("/proc/")) and normal not in defaults.PROC_MOUNTS_ALLOWED:
        raise ContainerError(
            f"{where}: nothing can be mounted on {normal!r}: it belongs to the container's own processes"
        )
    return normal


def rootfs_propagation(spec: ContainerSpec) -> str:
    """What the root mount must be so that shared and slave mounts work, "" if nothing asks for it (dockerd's rule)."""
    asked = {mount.propagation.removeprefix("r") for mount in spec.mounts if isinstance(mount, BindMount)}
    return "shared" if "shared" in asked else "rslave" if "slave" in asked else ""


def tmpfs_options(given: Iterable[str], where: str) -> list[str]:
    """Docker's noexec, nosuid, nodev, and `given` over them: a later option replaces its opposite or its twin."""
    options = dict.fromkeys(_TMPFS_DEFAULTS)
    for option in given:
        key, has_value, _ = option.partition("=")
        if key not in (_TMPFS_KEYS if has_value else _TMPFS_FLAGS | {"defaults"}):
            raise ContainerError(f"{where}: {option!r} is not an option of tmpfs")
        if key == "defaults":
            continue
        options.pop(_TMPFS_OPPOSITES.get(key, ""), None)
        for twin in [known for known in options if known.partition("=")[0] == key]:
            del options[twin]
        options[option] = None
    return list(options)


def _default_mounts(spec: ContainerSpec, own: Mapping[str, Mount], shm: str) -> list[Mount]:
    read_only_system = [] if spec.privileged else ["ro"]
    writable = _ALWAYS_WRITABLE | _PRIVILEGED_WRITABLE if spec.privileged else _ALWAYS_WRITABLE
    shm_size = f"size={spec.shm_size or defaults.SHM_SIZE}"
    table: list[Mount] = [
        _mount("/proc", "proc", "proc", ["nosuid", "noexec", "nodev"]),
        _mount("/dev", "tmpfs", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
        _mount(
            "/dev/pts", "devpts", "devpts", ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]
        ),
        _mount("/sys", "sysfs", "sysfs", ["nosuid", "noexec", "nodev", *read_only_system]),
        _mount("/sys/fs/cgroup", "cgroup", "cgroup", [*read_only_system, "nosuid", "noexec", "nodev"]),
        _mount("/dev/mqueue", "mqueue", "mqueue", ["nosuid", "noexec", "nodev"]),
    ]
    if shm:
        table.append(_bind("/dev/shm", shm, read_only=False))
    elif spec.ipc != "none":
        table.append(_mount("/dev/shm", "tmpfs", "shm", ["nosuid", "noexec", "nodev", "mode=1777", shm_size]))
    if spec.read_only:
        for mount in table:
            if mount["destination"] not in writable and "ro" not in mount["options"]:
                mount["options"].append("ro")
    # A service that mounts its own /dev wants all of it: docker then leaves out what we would mount below it.
    return [
        mount
        for mount in table
        if mount["destination"] not in own and not ("/dev" in own and mount["destination"].startswith("/dev/"))
    ]


def _own_mount(mount: Requested, *, kernel: tuple[int, int], volumes: Mapping[str, str], where: str) -> Mount:
    path = target(mount.target, where)
    match mount:
        case BindMount():
            options = [*_bind_options(mount, kernel, where), mount.propagation]
            return _mount(path, "bind", mount.source, options)
        case TmpfsMount():
            read_only = ["ro"] if mount.read_only else []
            return _mount(path, "tmpfs", "tmpfs", [*tmpfs_options((*mount.options, *read_only), where), "rprivate"])
        case AnonymousVolume() | NamedVolume() | ImageMount():
            source = volumes.get(mount.target) or volumes.get(path)
            if source is None:
                raise ContainerError(f"{where}: the volume for {path!r} has no directory")
            return _bind(path, source, read_only=isinstance(mount, ImageMount) or mount.read_only)
        case _:
            assert_never(mount)


def _bind_options(mount: BindMount, kernel: tuple[int, int], where: str) -> list[str]:
    """Since docker 25 a read-only bind is so in its submounts too, if the kernel can; `writable` asks for less."""
    bind = "bind" if mount.recursive == "disabled" else "rbind"
    if not mount.read_only:
        return [bind]
    able = kernel >= _RECURSIVE_READ_ONLY_KERNEL
    if mount.recursive == "readonly":
        if not able:
            raise ContainerError(f"{where}: {mount.target}: `recursive: readonly` needs Linux 5.12 or newer")
        if mount.propagation != "rprivate":
            raise ContainerError(f"{where}: {mount.target}: `recursive: readonly` needs `propagation: rprivate`")
    wants_all = mount.recursive == "readonly" or (mount.recursive == "enabled" and mount.propagation == "rprivate")
    return [bind, "rro" if able and wants_all else "ro"]


def _bind(path: str, source: str, *, read_only: bool) -> Mount:
    return _mount(path, "bind", source, ["rbind", *(["ro"] if read_only else []), "rprivate"])


def _mount(destination: str, kind: str, source: str, options: list[str]) -> Mount:
    return {"destination": destination, "type": kind, "source": source, "options": options}


def _by_depth(mounts: Iterable[Mount]) -> list[Mount]:
    """Outer targets first, so that a mount never hides one made before; equal depths keep their order."""
    return sorted(mounts, key=lambda mount: str(mount["destination"]).count("/"))
