"""The records of networks, one JSON file each, and the lock that all changes of networks are made under.

A record is written before the kernel hears of the network and removed after it has forgotten it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from composer.frozen import replace
from composer.host import process
from composer.host.files import locked, make_private, read_json, write_json
from composer.model.wiring import Lease, Wiring, from_json, to_json
from composer.paths import Paths

_LOCK_TIMEOUT = 60.0
_ours = threading.Lock()
"""Threads of this process wait here, where the one that leaves wakes the next."""


@contextmanager
def changing(paths: Paths) -> Iterator[None]:
    """Nobody else changes networks, addresses or rules of this store meanwhile. Held for milliseconds. The lock's file
    goes when there are no networks.
    """
    with _ours, locked(paths.networks_lock, timeout=_LOCK_TIMEOUT, what="jocker (networks)"):
        try:
            yield
        finally:
            if not os.path.isdir(paths.networks):
                with suppress(FileNotFoundError):
                    os.unlink(paths.networks_lock)


def read(paths: Paths, name: str) -> Wiring | None:
    """The record, or None if there is none that can be read."""
    found = read_json(paths.network(name))
    if isinstance(found, dict) and found.get("name") == name:
        with suppress(KeyError, TypeError, ValueError):
            return from_json(found)
    return None


def write(paths: Paths, wiring: Wiring, *, sync: bool = False) -> None:
    """Writes a record atomically, with `sync` on disk when this returns."""
    make_private(paths.networks)
    write_json(paths.network(wiring.name), to_json(wiring), sync=sync)


def remove(paths: Paths, name: str) -> None:
    """Removes a record; the directory goes with the last one."""
    with suppress(FileNotFoundError):
        os.unlink(paths.network(name))
    with suppress(OSError):
        os.rmdir(paths.networks)


def is_swept(paths: Paths) -> bool:
    """Whether `sweep` has nothing to look at."""
    return not os.path.isdir(paths.networks) or any(name.endswith(".json") for name in os.listdir(paths.networks))


def sweep(paths: Paths) -> None:
    """Removes what a crash in the middle of `write` left. Under the lock nobody else is writing."""
    with changing(paths), suppress(FileNotFoundError):
        names = os.listdir(paths.networks)
        for name in names:
            if not name.endswith(".json"):
                os.unlink(f"{paths.networks}/{name}")
        if not any(name.endswith(".json") for name in names):
            os.rmdir(paths.networks)


def every(paths: Paths) -> Iterator[Wiring]:
    """All readable records, by name."""
    try:
        names = sorted(os.listdir(paths.networks))
    except FileNotFoundError:
        return
    for file in names:
        if file.endswith(".json"):
            wiring = read(paths, file.removesuffix(".json"))
            if wiring is not None:
                yield wiring


def without_strays(paths: Paths, wiring: Wiring) -> Wiring:
    """The wiring without leases of containers that are gone: whoever took them was killed, or lost the record."""
    stays = {one: lease for one, lease in wiring.leases.items() if not is_stray(paths, one, lease)}
    return wiring if len(stays) == len(wiring.leases) else replace(wiring, leases=stays)


def is_stray(paths: Paths, container_id: str, lease: Lease) -> bool:
    """Whether the container of a lease is not there, and nobody is about to make it."""
    if os.path.exists(paths.record(container_id)):
        return False
    pid, _, started = lease.claimed_by.partition("-")
    return not (pid.isdigit() and started.isdigit() and process.alive(int(pid), int(started)))


def me() -> str:
    """This process, for `Lease.claimed_by`."""
    return f"{os.getpid()}-{process.start_time(os.getpid())}"
