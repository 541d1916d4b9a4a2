"""Whole stacks, used as a user would: a directory with a stack file, and the command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from leftovers import leftovers

from composer.host import net_paths, netns, proc
from composer.paths import Paths

REPOSITORY = Path(__file__).resolve().parent.parent.parent
_SHARED = {"build", "bundles", "conmon", "containers", "dns", "images", "key", "netns", "runc", "stacks", "volumes"}
SLEEP = "    image: demo\n    network_mode: none\n    command: [sleep, '1000']\n"
Jocker = Callable[..., subprocess.CompletedProcess[str]]


class Stack:
    """A stack in a directory of its own, with the demo image in its store.

    `netns`: the pinned network namespace that is the machine's for it; "" = the real one.
    """

    def __init__(self, paths: Paths, directory: Path, jocker: Jocker, netns: str = "") -> None:
        self.paths = paths
        self.directory = directory
        self.netns = netns
        self._jocker = jocker

    def another(self, name: str) -> Stack:
        """A second stack in the same store, on the same machine."""
        directory = self.directory.parent / name
        directory.mkdir()
        return Stack(self.paths, directory, self._jocker, self.netns)

    def write(self, text: str, name: str = "jocker.yml") -> None:
        (self.directory / name).write_text(text)

    def __call__(
        self, *arguments: str, code: int | None = 0, stdin: str = "", env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return self._jocker(*arguments, cwd=self.directory, code=code, stdin=stdin, env=env, netns=self.netns)

    def start(self, *arguments: str, wrapper: tuple[str, ...] = (), **options: Any) -> subprocess.Popen[bytes]:
        """The command in the background, run by `wrapper`."""
        environment = {
            "PATH": proc.PATH,
            "HOME": str(self.directory),
            "PYTHONPATH": str(REPOSITORY),
            "JOCKER_DATA_DIR": self.paths.data,
            "JOCKER_RUN_DIR": self.paths.run,
        }
        quiet: dict[str, Any] = {
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.DEVNULL,
            "stderr": subprocess.DEVNULL,
        }
        return subprocess.Popen(
            [*self._on_machine(), *wrapper, sys.executable, "-m", "composer", *arguments],
            cwd=self.directory,
            env=environment,
            start_new_session=True,
            **{**quiet, **options},
        )

    def _on_machine(self) -> tuple[str, ...]:
        return ("nsenter", f"--net={self.netns}") if self.netns else ()

    def ps(self, *arguments: str) -> dict[str, dict[str, Any]]:
        """All containers by name, as `ps --format json` shows them."""
        lines = self("ps", "-a", "--format", "json", "--no-trunc", *arguments).stdout.splitlines()
        return {one["Name"]: one for one in map(json.loads, lines)}

    def states(self) -> dict[str, str]:
        return {name: one["State"] for name, one in self.ps().items()}

    def ids(self) -> dict[str, str]:
        return {name: one["ID"] for name, one in self.ps().items()}

    def what_is_left(self) -> set[str]:
        """Files besides the images and empty directories that all stacks share; and what the kernel still knows."""
        table = f"table inet {net_paths.host_table(self.paths)}"
        marks = (f"{self.paths.run}/", f"{self.paths.data}/", self.paths.cgroup_root, table)
        found = netns.inside(self.netns, lambda: leftovers(*marks)) if self.netns else leftovers(*marks)
        for top in (self.paths.run, self.paths.data):
            for where, directories, files in os.walk(top):
                if where == top:
                    found |= {f"file {where}/{name}" for name in {*directories, *files} - _SHARED}
                    directories[:] = [name for name in directories if name not in {"build", "images"}]
                    continue
                found |= {f"file {where}/{name}" for name in (*files, *directories)}
        return found

    def assert_nothing_left(self) -> None:
        left = self.what_is_left()
        assert not left, "left behind:\n" + "\n".join(sorted(left))

    def wait_for(self, condition: Callable[[], bool], what: str, seconds: float = 20) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                pytest.fail(f"waited {seconds} s in vain: {what}")
            time.sleep(0.02)

    def snapshot(self) -> Mapping[str, tuple[int, int, int]]:
        """Every file of the data and run directories with its size, times and inode: equal if nothing was written."""
        found = {}
        for top in (self.paths.run, self.paths.data, str(self.directory)):
            for where, directories, files in os.walk(top):
                directories[:] = [name for name in directories if name not in {"rootfs", "diff"}]
                for name in (*files, *directories):
                    stat = os.lstat(f"{where}/{name}")
                    found[f"{where}/{name}"] = (stat.st_size, stat.st_mtime_ns, stat.st_ino)
        return found


def kill(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL to the command and whatever of it runs in its session's process group."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.fixture
def stack(jocker_dirs: Paths, jocker: Jocker, demo_image: str, tmp_path: Path) -> Stack:
    directory = tmp_path / "web"
    directory.mkdir()
    return Stack(jocker_dirs, directory, jocker)
