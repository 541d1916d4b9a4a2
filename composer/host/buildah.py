"""buildah, which makes images: where it works, how it is called, and what is left of builds that were killed.

Every call runs in a mount and a pid namespace of its own and dies with the thread that made it (PR_SET_PDEATHSIG,
`unshare --kill-child`): so a killed build leaves neither mounts nor processes, only files below `Paths.builds`, which
the next one tidies. What lives there besides is the build cache.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple

from composer.bundle.defaults import CAPABILITIES
from composer.errors import LockTimeout
from composer.host import cgroup
from composer.host.files import locked, make_private, read_json, write_plain
from composer.host.proc import Command, require, run, stream
from composer.host.trees import remove_tree
from composer.paths import Paths

ID_LENGTH = 64
_CGROUP = "/.build-"
_SETTINGS = f"""\
[containers]
base_hosts_file = "none"
default_capabilities = [{", ".join(f'"{name}"' for name in CAPABILITIES)}]
default_sysctls = []
"""
"""containers.conf: builds are the same on every machine, whatever that says to podman."""
_REGISTRIES = 'unqualified-search-registries = ["docker.io"]\nshort-name-mode = "disabled"\n'
"""registries.conf: a short name is docker's; no aliases."""


class Workplace(NamedTuple):
    """One build in work. `directory` is on the disk of the store, `run` below the run directory."""

    build_id: str
    directory: str
    run: str
    cgroup: str

    @property
    def runroot(self) -> str:
        return f"{self.run}/root"

    @property
    def runtime_root(self) -> str:
        return f"{self.run}/runtime"


def is_used(paths: Paths) -> bool:
    """Whether anything was ever built."""
    return os.path.isdir(paths.builds)


@contextmanager
def working(paths: Paths, tidy: Callable[[], None]) -> Iterator[Workplace]:
    """A place for one build, and nobody throws the cache away meanwhile. `tidy` is called first if nobody else builds:
    it takes away what killed builds left elsewhere.
    """
    make_private(paths.builds)
    with _alone(paths) as is_alone:
        if is_alone:
            sweep(paths)
            tidy()
    build_id = os.urandom(ID_LENGTH // 2).hex()
    place = Workplace(
        build_id,
        f"{paths.builds}/work/{build_id}",
        f"{paths.build_run}/{build_id}",
        f"{paths.cgroup_root}{_CGROUP}{build_id[:12]}",
    )
    with locked(f"{paths.builds}/lock", shared=True):
        try:
            make_private(place.directory)
            make_private(place.run)
            os.mkdir(f"{place.directory}/tmp", 0o700)
            write_plain(f"{place.directory}/containers.conf", _SETTINGS.encode(), mode=0o600)
            write_plain(f"{place.directory}/registries.conf", _REGISTRIES.encode(), mode=0o600)
            yield place
        finally:
            _clear(paths, place)


@contextmanager
def _alone(paths: Paths) -> Iterator[bool]:
    try:
        with locked(f"{paths.builds}/lock", timeout=0):
            yield True
    except LockTimeout:
        yield False


def _clear(paths: Paths, place: Workplace) -> None:
    _remove_cgroup(paths, place.cgroup)
    for directory in (place.directory, place.run):
        if os.path.isdir(directory):
            remove_tree(directory)
    for parent in (f"{paths.builds}/work", paths.build_run):
        with suppress(OSError):
            os.rmdir(parent)


def _remove_cgroup(paths: Paths, path: str) -> None:
    cgroup.kill(path)
    cgroup.remove(path)
    cgroup.remove_if_empty(paths.cgroup_root)


def sweep(paths: Paths) -> None:
    """Takes away what killed builds left here. Under the exclusive lock."""
    for parent in (f"{paths.builds}/work", paths.build_run):
        with suppress(FileNotFoundError):
            for name in os.listdir(parent):
                if len(name) == ID_LENGTH:
                    _remove_cgroup(paths, f"{paths.cgroup_root}{_CGROUP}{name[:12]}")
                    remove_tree(f"{parent}/{name}")
            os.rmdir(parent)
    if read_json(f"{paths.builds}/storage/overlay-containers/containers.json"):
        runroot = f"{paths.build_run}/sweep"
        make_private(runroot)
        run(Command(argv=_wrapped(paths, runroot, "rm", "--all"), timeout=None, accept=None))
        remove_tree(runroot)
        with suppress(OSError):
            os.rmdir(paths.build_run)


def drop_cache(paths: Paths) -> int:
    """Removes the build cache; bytes freed. Raises `LockTimeout` while something is built."""
    if not is_used(paths):
        return 0
    with locked(f"{paths.builds}/lock", timeout=0, what="jocker image prune (the build cache)"):
        sweep(paths)
        freed = _size(f"{paths.builds}/storage")
        if os.path.isdir(f"{paths.builds}/storage"):
            remove_tree(f"{paths.builds}/storage")
        os.unlink(f"{paths.builds}/lock")
        with suppress(OSError):
            os.rmdir(paths.builds)
    return freed


def _size(directory: str) -> int:
    total = 0
    for where, _, files in os.walk(directory):
        for name in files:
            with suppress(OSError):
                total += os.lstat(f"{where}/{name}").st_blocks * 512
    return total


# calling --------------------------------------------------------------------------------------------------------


def _wrapped(paths: Paths, runroot: str, *arguments: str) -> tuple[str, ...]:
    """`runroot` knows what is mounted, so each build, in its own mount namespace, has one of its own."""
    return (
        *_namespaces(),
        require("buildah"),
        "--root", f"{paths.builds}/storage",
        "--runroot", runroot,
        "--storage-driver", "overlay",
        *arguments,
    )  # fmt: skip


def _namespaces() -> tuple[str, ...]:
    return (
        require("setpriv"), "--pdeathsig", "KILL",
        require("unshare"), "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
    )  # fmt: skip


def _environment(place: Workplace, extra: Mapping[str, str]) -> dict[str, str]:
    return {
        "TMPDIR": f"{place.directory}/tmp",
        "CONTAINERS_CONF": f"{place.directory}/containers.conf",
        "CONTAINERS_REGISTRIES_CONF": f"{place.directory}/registries.conf",
        **extra,
    }


def build(
    paths: Paths,
    place: Workplace,
    arguments: Sequence[str],
    *,
    env: Mapping[str, str],
    on_line: Callable[[str], None],
    is_cancelled: Callable[[], bool],
) -> str:
    """Runs `buildah build` with these arguments and gives the id of the image, `sha256:…`.

    Raises `CommandFailed` with the last lines it said, `Interrupted` once `is_cancelled`, `ToolMissing`.
    """
    file = f"{place.directory}/id"
    argv = _wrapped(paths, place.runroot, "build", "--iidfile", file, *arguments)
    stream(Command(argv=argv, env=_environment(place, env), timeout=None), on_line=on_line, is_cancelled=is_cancelled)
    with open(file) as found:
        return found.read().strip()


def export(paths: Paths, place: Workplace, image_id: str, directory: str) -> None:
    """Writes an image as a `dir:` layout: manifest.json, and each blob by the hex of its digest, layers as plain tar.

    Docker's form of the manifest, or the health check would be lost.
    """
    flags = ("--quiet", "--disable-compression", "--format", "v2s2")
    argv = _wrapped(paths, place.runroot, "push", *flags, image_id, f"dir:{directory}")
    run(Command(argv=argv, env=_environment(place, {}), timeout=None))


def push(paths: Paths, place: Workplace, image_id: str, reference: str, env: Mapping[str, str]) -> None:
    """Sends an image to its registry, with the credentials skopeo and podman use. Raises `CommandFailed`."""
    argv = _wrapped(paths, place.runroot, "push", "--quiet", "--format", "v2s2", image_id, f"docker://{reference}")
    run(Command(argv=argv, env={"TMPDIR": f"{place.directory}/tmp", **env}, timeout=None))


def has(paths: Paths, image_id: str, reference: str) -> bool:
    """Whether buildah has the image by that name already: a look at its own list, 0.1 ms instead of a process."""
    images = read_json(f"{paths.builds}/storage/overlay-images/images.json")
    wanted = image_id.removeprefix("sha256:")
    return isinstance(images, list) and any(
        isinstance(one, dict) and one.get("id") == wanted and reference in (one.get("names") or ()) for one in images
    )


def give(paths: Paths, place: Workplace, directory: str, reference: str) -> None:
    """Gives buildah an image that lies in `directory` as `dir:` layout. Raises `CommandFailed`, `ToolMissing`."""
    storage = f"[overlay@{paths.builds}/storage+{place.runroot}]"
    argv = (
        *_namespaces(),
        require("skopeo"), "--insecure-policy", "copy", "--quiet", "--preserve-digests",
        f"dir:{directory}", f"containers-storage:{storage}{reference}",
    )  # fmt: skip
    run(Command(argv=argv, env=_environment(place, {}), timeout=None))
