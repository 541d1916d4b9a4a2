"""buildah, which makes images: where it works, how it is called, and what is left of builds that were killed.

Every call runs in a mount and a pid namespace of its own and dies with the thread that made it (PR_SET_PDEATHSIG,
`unshare --kill-child`): so a killed build leaves neither mounts nor processes, only files below `Paths.builds`, which
the next one tidies. What lives there besides is the build cache.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple

from composer.bundle.defaults import CAPABILITIES
from composer.errors import LockTimeout
from composer.host import cgroup
from composer.host.files import locked, make_private, read_json, write_plain
from composer.host.proc import Command, require, run, stream
from composer.host.trees import disk_size, remove_tree
from composer.paths import Paths

ID_LENGTH = 64
_BIG = "/var/tmp"
_CGROUP = "/.build-"
_REGISTRIES = 'unqualified-search-registries = ["docker.io"]\nshort-name-mode = "disabled"\n'
"""registries.conf: a short name is docker's; no aliases."""


def _settings(run: str) -> str:
    """containers.conf: builds are the same on every machine, whatever that says to podman."""
    capabilities = ", ".join(f'"{name}"' for name in CAPABILITIES)
    return (
        f'[containers]\nbase_hosts_file = "none"\ndefault_capabilities = [{capabilities}]\ndefault_sysctls = []\n'
        f'[engine]\ntmp_dir = "{run}/libpod"\n[network]\nnetwork_config_dir = "{run}/networks"\n'
    )


class Workplace(NamedTuple):
    """One build in work. `directory` is on the disk of the store, `run` below the run directory."""

    build_id: str
    directory: str
    run: str
    cgroup: str

    @property
    def runtime_root(self) -> str:
        return f"{self.run}/runtime"


@contextmanager
def working(paths: Paths, others: Callable[[], None]) -> Iterator[Workplace]:
    """A place for one build, and nobody throws the cache away meanwhile. First what killed builds left is tidied."""
    make_private(paths.builds)
    tidy(paths, others)
    build_id = os.urandom(ID_LENGTH // 2).hex()
    place = Workplace(
        build_id,
        f"{paths.builds}/work/{build_id}",
        f"{paths.build_run}/{build_id}",
        f"{paths.cgroup_root}{_CGROUP}{build_id[:12]}",
    )
    with locked(f"{paths.builds}/lock", shared=True):
        try:
            cgroup.make(place.cgroup, for_processes=False)
            make_private(place.directory)
            make_private(place.run)
            write_plain(f"{place.directory}/containers.conf", _settings(place.run).encode(), mode=0o600)
            write_plain(f"{place.directory}/registries.conf", _REGISTRIES.encode(), mode=0o600)
            yield place
        finally:
            _clear(paths, place)


def tidy(paths: Paths, others: Callable[[], None]) -> None:
    """Takes away what killed builds left, if nobody builds now; `others` does so elsewhere than here."""
    with _alone(paths) as is_alone:
        if is_alone:
            sweep(paths)
            others()


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
    """Takes away what killed builds left here; not the cache of `RUN --mount=type=cache`. Under the exclusive lock."""
    with suppress(FileNotFoundError):
        for name in os.listdir(f"{paths.builds}/tmp"):
            if not name.startswith("buildah-cache"):
                _remove(f"{paths.builds}/tmp/{name}")
    for parent in (f"{paths.builds}/work", paths.build_run):
        with suppress(FileNotFoundError):
            for name in os.listdir(parent):
                if len(name) == ID_LENGTH:
                    _remove_cgroup(paths, f"{paths.cgroup_root}{_CGROUP}{name[:12]}")
                    remove_tree(f"{parent}/{name}")
            os.rmdir(parent)
    if read_json(f"{paths.builds}/storage/overlay-containers/containers.json"):
        directory = f"{paths.build_run}/sweep"
        env = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "TMPDIR": f"{paths.builds}/tmp"}
        run(Command(argv=_buildah(paths, directory, "rm", "--all"), env=env, timeout=None, accept=None))
        remove_tree(directory)
        with suppress(OSError):
            os.rmdir(paths.build_run)


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        remove_tree(path)
    else:
        os.unlink(path)


def drop_cache(paths: Paths) -> int:
    """Removes the build cache; bytes freed. Raises `LockTimeout` while something is built."""
    if not os.path.isdir(paths.builds):
        return 0
    with locked(f"{paths.builds}/lock", timeout=0, what="jocker image prune (the build cache)"):
        sweep(paths)
        freed = disk_size(paths.builds)
        for name in ("storage", "tmp"):
            if os.path.isdir(f"{paths.builds}/{name}"):
                remove_tree(f"{paths.builds}/{name}")
        os.unlink(f"{paths.builds}/lock")
        with suppress(OSError):
            os.rmdir(paths.builds)
    return freed


# calling --------------------------------------------------------------------------------------------------------


def _buildah(paths: Paths, run: str, *arguments: str, also: tuple[str, ...] = ()) -> tuple[str, ...]:
    """A command line; `also` are directories it may write to besides its own. `run` knows what is mounted, so each
    build, in its own mount namespace, has one of its own.
    """
    return _confined(
        paths,
        run,
        require("buildah"),
        "--root", f"{paths.builds}/storage",
        "--runroot", f"{run}/root",
        "--storage-driver", "overlay",
        *arguments,
        also=also,
    )  # fmt: skip


def _confined(paths: Paths, run: str, *program: str, also: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The program in namespaces of its own, where it can write below the directories of builds alone."""
    for directory in (f"{paths.builds}/storage", f"{paths.builds}/tmp", run):
        make_private(directory)
    # What is needed below /var/tmp would be hidden by another directory mounted there.
    is_in_use = any(_BIG in word for word in (paths.builds, run, *also, *program))
    return (
        require("setpriv"), "--pdeathsig", "KILL",
        require("unshare"), "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
        sys.executable, "-P", "-m", "composer.host.build_view",
        _BIG if is_in_use else f"{paths.builds}/tmp", paths.builds, run, *also, "/proc", "--",
        *program,
    )  # fmt: skip


def _environment(paths: Paths, place: Workplace, extra: Mapping[str, str]) -> dict[str, str]:
    return {
        **extra,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "TMPDIR": f"{paths.builds}/tmp",
        "CONTAINERS_CONF": f"{place.directory}/containers.conf",
        "CONTAINERS_REGISTRIES_CONF": f"{place.directory}/registries.conf",
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
    # The runtime makes its cgroup there, and fills in what the parents lack.
    cgroups = tuple(f"{one.path}{paths.cgroup_root}" for one in cgroup.hierarchies())
    argv = _buildah(paths, place.run, "build", "--iidfile", file, *arguments, also=cgroups)
    stream(
        Command(argv=argv, env=_environment(paths, place, env), timeout=None),
        on_line=on_line,
        is_cancelled=is_cancelled,
    )
    with open(file) as found:
        return found.read().strip()


def export(paths: Paths, place: Workplace, image_id: str, directory: str) -> None:
    """Writes an image as a `dir:` layout: manifest.json, and each blob by the hex of its digest, layers as plain tar.

    Docker's form of the manifest, or the health check would be lost.
    """
    flags = ("--quiet", "--disable-compression", "--format", "v2s2")
    argv = _buildah(paths, place.run, "push", *flags, image_id, f"dir:{directory}", also=(directory,))
    run(Command(argv=argv, env=_environment(paths, place, {}), timeout=None))


def push(paths: Paths, place: Workplace, image_id: str, reference: str, env: Mapping[str, str]) -> None:
    """Sends an image to its registry, with the credentials skopeo and podman use. Raises `CommandFailed`."""
    argv = _buildah(paths, place.run, "push", "--quiet", "--format", "v2s2", image_id, f"docker://{reference}")
    own = _environment(paths, place, env)
    given = env.get("CONTAINERS_REGISTRIES_CONF")
    del own["CONTAINERS_REGISTRIES_CONF"]  # the user's registries, not ours
    run(Command(argv=argv, env=own | ({"CONTAINERS_REGISTRIES_CONF": given} if given else {}), timeout=None))


def has(paths: Paths, image_id: str, reference: str) -> bool:
    """Whether buildah has the image by that name already: a look at its own list, 0.1 ms instead of a process."""
    images = read_json(f"{paths.builds}/storage/overlay-images/images.json")
    wanted = image_id.removeprefix("sha256:")
    return isinstance(images, list) and any(
        isinstance(one, dict) and one.get("id") == wanted and reference in (one.get("names") or ()) for one in images
    )


def give(paths: Paths, place: Workplace, directory: str, reference: str) -> None:
    """Gives buildah an image that lies in `directory` as `dir:` layout. Raises `CommandFailed`, `ToolMissing`."""
    storage = f"[overlay@{paths.builds}/storage+{place.run}/root]"
    argv = _confined(
        paths, place.run,
        require("skopeo"), "--insecure-policy", "copy", "--quiet", "--preserve-digests",
        f"dir:{directory}", f"containers-storage:{storage}{reference}",
    )  # fmt: skip
    run(Command(argv=argv, env=_environment(paths, place, {}), timeout=None))
