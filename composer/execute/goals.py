"""What a container is to become before others go on: healthy, or completed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from composer.actual.state import Status
from composer.errors import Interrupted
from composer.execute import restarting
from composer.host import supervising
from composer.host.lifecycle import Lifecycle
from composer.paths import Paths

_FIRST_PAUSE, _LONGEST_PAUSE = 0.001, 0.01
_WITH_PATIENCE = 0.1
"""After ten seconds there is no hurry."""
_LOOK_UP_EVERY = 0.2
"""Seconds between two looks whether the user has had enough of waiting."""
_SUPERVISED_EVERY = 1.0


def wait_healthy(paths: Paths, record: Mapping[str, Any], runtime: str, is_cancelled: Callable[[], bool]) -> str:
    """Waits until a container is healthy. Returns why it never will be, in docker compose's words, or "". Sees to it
    that somebody probes. Raises `Interrupted`.
    """
    name = record["name"]
    if not record["spec"].get("healthcheck"):
        return f"container {name} has no healthcheck configured"
    with restarting.permitted(paths, record):
        for _ in _looks(paths, record, runtime, is_cancelled):
            seen = restarting.outlook(paths, record)
            if seen is None:
                continue
            if seen.health == "healthy":
                return ""
            if seen.health == "unhealthy":
                return f"container {name} is unhealthy"
            if seen.status in {Status.EXITED, Status.DEAD}:
                return f"container {name} exited ({255 if seen.exit_code is None else seen.exit_code})"
    raise Interrupted(f"interrupted while waiting for {name} to be healthy")


def wait_ended(
    paths: Paths, record: Mapping[str, Any], lifecycle: Lifecycle, runtime: str, is_cancelled: Callable[[], bool]
) -> int | None:
    """Waits until a container has ended for good, whatever its restart policy says of a 0; gives its exit code. Raises
    `Interrupted`.
    """
    restarts = bool(record["spec"].get("restart"))
    with restarting.permitted(paths, record):
        while not is_cancelled():
            with suppress(TimeoutError):
                code = lifecycle.wait(record["id"], _LOOK_UP_EVERY)
                if not restarts or code == 0:
                    return code
                break
        for _ in _looks(paths, record, runtime, is_cancelled) if restarts else ():
            seen = restarting.outlook(paths, record)
            if seen is not None and seen.status in {Status.EXITED, Status.DEAD}:
                return seen.exit_code
    raise Interrupted("interrupted while waiting for a container to end")


def _looks(paths: Paths, record: Mapping[str, Any], runtime: str, is_cancelled: Callable[[], bool]) -> Iterator[None]:
    """Time to look, again and again, with less and less hurry; and somebody supervises meanwhile."""
    pause, began, supervised = _FIRST_PAUSE, time.monotonic(), 0.0
    while not is_cancelled():
        yield
        now = time.monotonic()
        if now >= supervised + _SUPERVISED_EVERY:
            supervised = now
            if not supervising.is_alive(paths, record["project"]):
                supervising.ensure(paths, record["project"], runtime)
        time.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE if now < began + 10 else _WITH_PATIENCE)
