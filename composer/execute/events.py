"""What the executor tells while it works. One stream; a terminal, a log and JSON Lines are three views of it."""

from __future__ import annotations

from typing import Literal, NamedTuple

from composer.plan.steps import AnyStep

EventKind = Literal["started", "progress", "retrying", "done", "failed", "skipped"]


class Event(NamedTuple):
    """One thing that happened to one step of the plan.

    `detail`: progress text (`45.2/130 MB`), what failed, or why it was skipped. `attempt`/`attempts` for
    "retrying". `seconds` the step took, for "done" and "failed".
    """

    kind: EventKind
    number: int
    step: AnyStep
    detail: str = ""
    attempt: int = 0
    attempts: int = 0
    seconds: float = 0.0
