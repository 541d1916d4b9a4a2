"""Where everything lies: the only module that knows the directories of jocker (design: "On disk")."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

from composer.digest import sha256_hex
from composer.errors import UsageError

DATA_DIR = "/var/lib/jocker"
RUN_DIR = "/run/jocker"


class Paths(NamedTuple):
    """The two roots: `data` survives a reboot, `run` does not. All members are absolute path strings."""

    data: str
    run: str

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], euid: int) -> Paths:
        """`JOCKER_DATA_DIR` and `JOCKER_RUN_DIR`, else the system's places, else (not root) the XDG ones.

        Raises `UsageError` for one that is not absolute.
        """
        if euid == 0:
            data, run = DATA_DIR, RUN_DIR
        else:
            home = environ.get("HOME") or "/"
            data = (environ.get("XDG_DATA_HOME") or f"{home}/.local/share") + "/jocker"
            run = (environ.get("XDG_RUNTIME_DIR") or f"/run/user/{euid}") + "/jocker"
        return cls(
            _absolute("JOCKER_DATA_DIR", environ.get("JOCKER_DATA_DIR") or data),
            _absolute("JOCKER_RUN_DIR", environ.get("JOCKER_RUN_DIR") or run),
        )

    @property
    def key(self) -> str:
        """This machine's key: see `host.machine_key`."""
        return f"{self.data}/key"

    # images -------------------------------------------------------------------------------------------
    @property
    def images(self) -> str:
        return f"{self.data}/images"

    @property
    def builds(self) -> str:
        """What the builder keeps: its storage, which is the build cache, and what is in work."""
        return f"{self.data}/build"

    @property
    def build_run(self) -> str:
        return f"{self.run}/build"

    # containers ---------------------------------------------------------------------------------------
    @property
    def containers(self) -> str:
        return f"{self.data}/containers"

    def container(self, container_id: str) -> str:
        return f"{self.containers}/{container_id}"

    def record(self, container_id: str) -> str:
        return f"{self.containers}/{container_id}/record.json"

    def log(self, container_id: str) -> str:
        return f"{self.containers}/{container_id}/log"

    def exit_dir(self, container_id: str) -> str:
        """conmon writes `<exit dir>/<container id>` with the exit status as decimal text."""
        return f"{self.containers}/{container_id}/exit"

    @property
    def volumes(self) -> str:
        return f"{self.data}/volumes"

    # networks -----------------------------------------------------------------------------------------
    @property
    def networks(self) -> str:
        return f"{self.data}/networks"

    def network(self, name: str) -> str:
        return f"{self.data}/networks/{name}.json"

    @property
    def networks_lock(self) -> str:
        return f"{self.run}/networks.lock"

    # runtime ------------------------------------------------------------------------------------------
    @property
    def runc(self) -> str:
        return f"{self.run}/runc"

    @property
    def bundles(self) -> str:
        return f"{self.run}/bundles"

    def bundle(self, container_id: str) -> str:
        return f"{self.run}/bundles/{container_id}"

    def rootfs(self, container_id: str) -> str:
        return f"{self.run}/bundles/{container_id}/rootfs"

    def shm(self, container_id: str) -> str:
        """The /dev/shm of a container that lets others share it."""
        return f"{self.run}/bundles/{container_id}/shm"

    def parts(self, container_id: str) -> str:
        """Where parts of volumes, and images, are mounted for a container."""
        return f"{self.run}/bundles/{container_id}/parts"

    def given_files(self, container_id: str) -> str:
        """The tmpfs with a container's secrets and configs."""
        return f"{self.run}/bundles/{container_id}/given"

    def conmon(self, container_id: str) -> str:
        """Directory with conmon's pidfile, control fifo, attach socket, and our `process` file."""
        return f"{self.run}/conmon/{container_id}"

    def stack(self, project: str) -> str:
        return f"{self.run}/stacks/{project}"

    def stack_record(self, project: str) -> str:
        """What must be known of a stack itself: the limits it was given. Most have none, and no such file."""
        return f"{self.data}/stacks/{project}.json"

    def providers(self, project: str) -> str:
        """The records of what the providers of a stack were asked for."""
        return f"{self.data}/providers/{project}"

    def stack_lock(self, project: str) -> str:
        return f"{self.run}/stacks/{project}/lock"

    def supervision(self, project: str) -> str:
        """Directory of what supervises a stack: who it is, its log, the health of its containers."""
        return f"{self.run}/stacks/{project}/supervision"

    @property
    def cgroup_root(self) -> str:
        """`/jocker`, or `/jocker-<hash>` for another run directory: two stores never share a cgroup."""
        if self.run == RUN_DIR:
            return "/jocker"
        return f"/jocker-{sha256_hex(os.fsencode(self.run))[:8]}"

    def stack_cgroup(self, project: str) -> str:
        return f"{self.cgroup_root}/{project}"

    def shim_cgroup(self, project: str) -> str:
        """conmon lives here, beside the stack and not inside: killing the stack must not kill the shims."""
        return f"{self.cgroup_root}/{project}.sup"


def _absolute(variable: str, path: str) -> str:
    """A relative one would mean other containers in every directory. Raises `UsageError`."""
    if not path.startswith("/"):
        raise UsageError(f"{variable} is {path!r}, not an absolute path", hint=f"write /…/{path.lstrip('./')}")
    return os.path.normpath(path)


def templates_dir() -> str:
    """The templates: in the wheel beside the package, in a checkout one level up."""
    here = os.path.dirname(os.path.abspath(__file__))
    packaged = f"{here}/_templates"
    return packaged if os.path.isdir(packaged) else f"{os.path.dirname(here)}/templates"
