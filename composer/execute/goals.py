"""What a container is to become before others go on: healthy."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from composer.actual.state import Status
from composer.errors import Interrupted
from composer.host import supervising
from composer.host.state import snapshot
from composer.paths import Paths

_FIRST_PAUSE, _LONGEST_PAUSE = 0.001, 0.01
_WITH_PATIENCE = 0.1
"""After ten seconds there is no hurry."""
_SUPERVISED_EVERY = 1.0


def wait_healthy(paths: Paths, record: Mapping[str, Any], runtime: str, is_cancelled: Callable[[], bool]) -> str:
    """Waits until a container is healthy. Returns why it never will be, in docker compose's words, or "". Sees to it
    that somebody probes. Raises `Interrupted`.
    """
    name = record["name"]
    if not record["spec"].get("healthcheck"):
        return f"container {name} has no healthcheck configured"
    pause, began, supervised = _FIRST_PAUSE, time.monotonic(), 0.0
    while not is_cancelled():
        seen = snapshot(paths, record)
        if seen.health == "healthy":
            return ""
        if seen.health == "unhealthy":
            return f"container {name} is unhealthy"
        if seen.status in {Status.EXITED, Status.DEAD}:
            return f"container {name} exited ({255 if seen.exit_code is None else seen.exit_code})"
        now = time.monotonic()
        if now >= supervised + _SUPERVISED_EVERY:
            supervised = now
            if not supervising.is_alive(paths, record["project"]):
                supervising.ensure(paths, record["project"], runtime)
        time.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE if now < began + 10 else _WITH_PATIENCE)
    raise Interrupted(f"interrupted while waiting for {name} to be healthy")
