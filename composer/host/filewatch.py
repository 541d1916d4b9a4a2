"""Files of the machine watched, their changes in batches: watchfiles (inotify) listens, we wait for a quiet moment."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterator
from queue import Empty, SimpleQueue
from threading import Thread

from composer.errors import JockerError, MachineError

QUIET = 0.5
"""Seconds without a change after which what has changed is worked on, as docker compose has it."""
_LONGEST = 5.0
"""Seconds after which it is worked on even if changes do not cease."""
_LISTEN_MS = 50


class Watch:
    """The changes of some files and directories (with all below) from now on. Only those `wanted` count."""

    def __init__(self, paths: Collection[str], wanted: Callable[[str], bool]) -> None:
        self._wanted = wanted
        self._queue: SimpleQueue[frozenset[str] | JockerError] = SimpleQueue()
        trees, flat = places(paths)
        for group, is_deep in ((trees, True), (flat, False)):
            if group:
                self._listen(group, is_deep=is_deep)

    def _listen(self, group: Collection[str], *, is_deep: bool) -> None:
        """Raises `MachineError` if that many cannot be watched."""
        from watchfiles._rust_notify import RustNotify

        try:
            notify = RustNotify(sorted(group), False, False, 0, is_deep, True)
        except OSError as error:
            raise MachineError(
                f"the files cannot be watched: {error}", hint="sysctl fs.inotify.max_user_watches=524288"
            ) from None

        def listen() -> None:
            while True:
                found = notify.watch(_LISTEN_MS, _LISTEN_MS, 0, None)
                if not isinstance(found, set):
                    self._queue.put(JockerError(f"watching the files has ended: {found}"))
                    return
                changed = frozenset(path for _, path in found if self._wanted(path))
                if changed:
                    self._queue.put(changed)

        Thread(target=listen, name="watch", daemon=True).start()

    def batches(self) -> Iterator[frozenset[str]]:
        """Sets of absolute paths, each when nothing has changed for a moment. Raises `JockerError` at the end."""
        while True:
            changed = set(_taken(self._queue.get()))
            deadline = time.monotonic() + _LONGEST
            while (left := deadline - time.monotonic()) > 0:
                try:
                    changed |= _taken(self._queue.get(timeout=min(QUIET, left)))
                except Empty:
                    break
            yield frozenset(changed)


def _taken(found: frozenset[str] | JockerError) -> frozenset[str]:
    if isinstance(found, JockerError):
        raise found
    return found


def places(paths: Collection[str]) -> tuple[frozenset[str], frozenset[str]]:
    """The directories to listen to with all below, and those to listen to alone: of a file its directory, as editors
    put another file in its place; of what is not there yet the nearest directory above it that is.

    Raises `MachineError` where that is the root of the machine.
    """
    trees, flat = set(), set()
    for path in paths:
        if os.path.isdir(path):
            trees.add(path)
            continue
        if os.path.lexists(path):
            flat.add(os.path.dirname(path))
            continue
        above = os.path.dirname(path)
        while not os.path.isdir(above):
            above = os.path.dirname(above)
        trees.add(above)
    if "/" in trees:
        raise MachineError("the root of the machine cannot be watched", hint="name a directory below it")
    tops = {one for one in trees if not any(one.startswith(f"{other}/") for other in trees)}
    return frozenset(tops), frozenset(flat)
