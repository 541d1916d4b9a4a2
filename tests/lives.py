"""Containers driven by the lifecycle alone: no stack file, no store, no plan. And makers that die on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import bundles

from composer.bundle.render import render_config
from composer.host import conmon, lifecycle, overlay, records, rootfs, state
from composer.host.conmon import Shim
from composer.host.lifecycle import Lifecycle, StopOutcome
from composer.host.machine_facts import machine_facts
from composer.host.runtime import Runtime
from composer.host.state import Snapshot
from composer.paths import Paths

PROJECT = "shop"


def id_of(name: str) -> str:
    return name.encode().hex().ljust(64, "0")


class Lives:
    """Containers of one store, by short names, all on one layer."""

    def __init__(self, paths: Paths, layer: Path | str) -> None:
        self.paths = paths
        self.layer = str(layer)
        self.runtime = Runtime.chosen(paths)
        self.lifecycle = Lifecycle(paths, self.runtime)

    def cgroup(self, name: str) -> str:
        return f"{self.paths.stack_cgroup(PROJECT)}/{id_of(name)}"

    def create(
        self, name: str, *command: str, tty: bool = False, stdin: bool = False, stdin_once: bool = False, **fields: Any
    ) -> str:
        """Makes a container that runs `command`; gives its id."""
        container_id = id_of(name)
        record = {"version": 1, "id": container_id, "name": name, "project": PROJECT}
        records.write(self.paths, {**record, "phase": "creating"})
        self._make(container_id, name, command, tty=tty, stdin=stdin, stdin_once=stdin_once, **fields)
        records.write(self.paths, {**record, "phase": "created"})
        return container_id

    def _make(
        self,
        container_id: str,
        name: str,
        command: Sequence[str],
        *,
        tty: bool,
        stdin: bool,
        stdin_once: bool,
        **fields: Any,
    ) -> None:
        desired = bundles.container(command=command, tty=tty, **fields)
        root = self.lifecycle.mount_rootfs(container_id, [self.layer])
        config = render_config(
            desired,
            container_id=container_id,
            rootfs=root,
            cgroup_path=self.cgroup(name),
            user=rootfs.look_up_user(root, desired.spec.user, desired.spec.group_add),
            facts=machine_facts(),
            files={},
            volumes={},
        )
        shim = Shim(container_id=container_id, project=PROJECT, name=name, tty=tty, stdin=stdin, stdin_once=stdin_once)
        self.lifecycle.create(shim, config)

    def start(self, name: str, *command: str, **fields: Any) -> str:
        """Makes a container and starts it; gives its id."""
        container_id = self.create(name, *command, **fields)
        self.lifecycle.start(container_id, name)
        return container_id

    def sh(self, name: str, script: str, **fields: Any) -> str:
        return self.start(name, "/bin/sh", "-c", script, **fields)

    def again(self, name: str, *command: str) -> str:
        """Another life of a container that has ended."""
        container_id = id_of(name)
        self.lifecycle.delete_runtime(container_id, PROJECT)
        self._make(container_id, name, command, tty=False, stdin=False, stdin_once=False)
        self.lifecycle.start(container_id, name)
        return container_id

    def stop(self, name: str, signal_name: str = "SIGTERM", grace: float = 20.0) -> StopOutcome:
        return self.lifecycle.stop(
            id_of(name), signal_name=signal_name, grace_seconds=grace, cgroup_path=self.cgroup(name)
        )

    def snapshot(self, name: str) -> Snapshot:
        record = records.read(self.paths, id_of(name))
        assert record is not None
        return state.snapshot(self.paths, record)

    def log(self, name: str) -> bytes:
        return Path(self.paths.log(id_of(name))).read_bytes()

    def clear(self) -> None:
        """Removes all containers with a record, then the stack."""
        for record in list(records.every(self.paths)):
            self.lifecycle.remove(record["id"], PROJECT)
        self.lifecycle.remove_stack(PROJECT)


def _die(*_: object, **__: object) -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def _after(done: Callable[..., object]) -> Callable[..., None]:
    def do_and_die(*arguments: Any, **named: Any) -> None:
        done(*arguments, **named)
        _die()

    return do_and_die


_DEATHS: dict[str, Callable[[], None]] = {
    "with a record": lambda: setattr(overlay, "mount", _die),
    "with a root": lambda: setattr(overlay, "mount", _after(overlay.mount)),
    "with a bundle": lambda: setattr(conmon, "create", _die),
    "with conmon waiting for its cgroup": lambda: setattr(conmon.cgroup, "put", _die),
    "with conmon waiting for its start": lambda: setattr(conmon.cgroup, "put", _after(conmon.cgroup.put)),
    "with conmon at work": lambda: setattr(subprocess.Popen, "wait", _die),
    "with a container nobody noted": lambda: setattr(conmon, "create", _after(conmon.create)),
    "with a container": lambda: setattr(Lifecycle, "start", _die),
    "with a container just started": lambda: setattr(lifecycle, "_let_go", _after(lifecycle._let_go)),
}

DEATHS = tuple(_DEATHS)


def make_and_die(paths: Paths, layer: Path, death: str) -> None:
    """A process of its own starts the container `half` and is killed in the middle."""
    done = subprocess.run(
        [sys.executable, __file__, *paths, str(layer), death],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


if __name__ == "__main__":
    _DEATHS[sys.argv[4]]()
    Lives(Paths(*sys.argv[1:3]), sys.argv[3]).start("half", "sleep", "600")
