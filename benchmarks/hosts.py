"""Two hosts for a tool, as far as the network goes: one it works on, and another one on the same wire.

Every tool gets an equal pair, so that none meets the rules of another's, and the machine's own network is not touched.
Addresses are of RFC 2544, which is set aside for benchmarks.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

ADDRESS, OTHER = "198.18.0.1", "198.18.0.2"


class Hosts:
    """The pair, as network namespaces pinned to files below a directory, and a veth from one to the other.

    With `own_run` the host has its own /run and /dev/shm, too, and keeps its mounts for itself: for tools that have
    files there wherever else they are told to have them. Ending what runs on the hosts and unmounting what is below the
    directory removes them and all that is in them.
    """

    def __init__(self, home: Path, *, own_run: bool = False) -> None:
        self.host = home / "host"
        self.other = home / "other"
        self.mounts = home / "mounts" if own_run else None

    @property
    def on_host(self) -> tuple[str, ...]:
        """What to put before a command to have it run on the host: a millisecond for every tool's every command."""
        mounts = (f"--mount={self.mounts / 'host'}",) if self.mounts else ()
        return ("nsenter", f"--net={self.host}", *mounts)

    @property
    def on_other(self) -> tuple[str, ...]:
        """The same for the other host."""
        return ("nsenter", f"--net={self.other}")

    def make(self) -> None:
        """Raises `CalledProcessError`; what was made by then is removed as the rest is."""
        for path in (self.host, self.other):
            path.touch()
            _run("unshare", f"--net={path}", "true")
        if self.mounts:
            # A mount namespace can only be pinned where mounts are nobody else's.
            self.mounts.mkdir()
            _run("mount", "--bind", str(self.mounts), str(self.mounts))
            _run("mount", "--make-private", str(self.mounts))
            (self.mounts / "host").touch()
            script = "mount -t tmpfs -o mode=755 tmpfs /run && mount -t tmpfs tmpfs /dev/shm"
            _run("unshare", f"--mount={self.mounts / 'host'}", "sh", "-c", script)
        _ip(self.on_host, f"link add wire type veth peer name wire netns {self.other}")
        for where, address in ((self.on_host, ADDRESS), (self.on_other, OTHER)):
            _ip(where, "link set lo up")
            _ip(where, f"address add {address}/24 dev wire")
            _ip(where, "link set wire up")
        # As an ordinary host: the rest of the world is behind the wire.
        _ip(self.on_host, f"route add default via {OTHER}")


def _ip(where: tuple[str, ...], arguments: str) -> None:
    _run(*where, "ip", *arguments.split())


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL)
