"""Whether a container that has ended is started again, and when. Pure: how it ended, how often before, the policy.

As docker's `restartmanager`: 100 ms after the first end, then twice as long each time up to a minute, and from the
beginning again once it has run for ten seconds. `deploy.restart_policy` has its own `delay`, always the same, and a
`window`: a container that ran that long has been started successfully, and earlier attempts do not count any more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from composer.model.life import RestartPolicy

FIRST_WAIT: Final = 0.1
LONGEST_WAIT: Final = 60.0
RAN_WELL: Final = 10.0
"""Seconds after which an end is a new trouble, not the old one."""


class Past(NamedTuple):
    """What there was since the user last started the container. Seconds."""

    restarts: int = 0
    """All of them."""
    attempts: int = 0
    """Those that count against the policy's maximum."""
    wait: float = 0.0
    """How long the last one was waited for; 0 = none yet."""


class End(NamedTuple):
    """How a life ended. `exit_code` None: nobody knows, as after the shim was killed. `lived` in seconds."""

    exit_code: int | None
    lived: float
    by_user: bool = False
    """Stopped or killed by a command."""


class Again(NamedTuple):
    """It is to be started `wait` seconds after its end; then `past` is its past."""

    wait: float
    past: Past


class GiveUp(NamedTuple):
    """It stays as it is."""

    because: str


def decide(policy: RestartPolicy, past: Past, end: End) -> Again | GiveUp:
    """What becomes of a container that has ended."""
    if end.by_user:
        return GiveUp("it was stopped")
    if policy.condition == "no":
        return GiveUp("its policy is no")
    if policy.condition == "on-failure" and end.exit_code == 0:
        return GiveUp("it has completed")
    attempts = 0 if policy.window and end.lived >= policy.window else past.attempts
    if policy.max_attempts and attempts >= policy.max_attempts:
        return GiveUp(f"it was started again {attempts} times")
    if policy.delay:
        wait = policy.delay
    elif not past.wait or end.lived >= RAN_WELL:
        wait = FIRST_WAIT
    else:
        wait = min(2 * past.wait, LONGEST_WAIT)
    return Again(wait, Past(past.restarts + 1, attempts + 1, wait))


def past_from_json(plain: Any) -> Past:
    """What `Past._asdict` gave; no past if it is not that."""
    if not isinstance(plain, Mapping):
        return Past()
    try:
        return Past(int(plain["restarts"]), int(plain["attempts"]), float(plain["wait"]))
    except (KeyError, TypeError, ValueError):
        return Past()
