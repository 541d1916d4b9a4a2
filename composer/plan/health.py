"""What a probe says about a container's health. Pure: health so far, what the probe found, the clock, the check.

As docker's `daemon/health.go`, but for when it looks: docker waits an interval before the first probe, we look at once
and then after 10, 20, 40 … ms until the container was healthy for the first time. Such early failures do not count: a
container never becomes unhealthy sooner than it would with docker.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple

from composer.model.life import Check

State = Literal["starting", "healthy", "unhealthy"]

FIRST_WAIT: Final = 0.01
LOG_LENGTH: Final = 5
LONGEST_OUTPUT: Final = 4096
"""Bytes of a probe's output that are kept."""


class Probe(NamedTuple):
    """One that has ended. Times are seconds since the epoch; exit code -1: it was ended, or never ran."""

    start: float
    end: float
    exit_code: int
    output: str = ""


class Health(NamedTuple):
    """Health of one life of a container, which began at `started`. Times are seconds since the epoch."""

    started: float
    due: float
    """When the next probe is to start."""
    state: State = "starting"
    streak: int = 0
    """How many failures that count there were in a row."""
    log: tuple[Probe, ...] = ()
    """The last probes, the newest at the end."""
    counted: float = 0.0
    """When the last probe that counted was started; before the first, when the container was."""
    wait: float = FIRST_WAIT
    """What the next quick look waits for."""


def begin(started: float, now: float) -> Health:
    """The health of a container that was started, and that nobody has looked at yet."""
    return Health(started=started, due=now, counted=started)


def after(health: Health, probe: Probe, check: Check, now: float) -> Health:
    """The health after one more probe."""
    log = (*health.log, probe)[-LOG_LENGTH:]
    if probe.exit_code == 0:
        return health._replace(
            state="healthy", streak=0, log=log, counted=probe.start, due=now + check.interval, wait=check.interval
        )
    if health.state != "starting":
        # From here on every probe is one of docker's own rhythm.
        return _counted(health, probe, check)._replace(log=log, due=now + check.interval)
    in_grace = probe.start - health.started < check.start_period
    rhythm = check.start_interval if in_grace else check.interval
    if not in_grace and probe.start >= health.counted + check.interval:
        health = _counted(health, probe, check)
    wait = min(health.wait, rhythm)
    due = now + wait
    if not in_grace and health.counted + check.interval > now:
        due = min(due, health.counted + check.interval)  # the next that counts
    if health.state == "unhealthy":
        due = now + check.interval
    return health._replace(log=log, due=due, wait=wait * 2)


def _counted(health: Health, probe: Probe, check: Check) -> Health:
    streak = health.streak + 1
    return health._replace(
        streak=streak, counted=probe.start, state="unhealthy" if streak >= check.retries else health.state
    )


def timed_out(check: Check, start: float, end: float, output: str) -> Probe:
    """The probe that was ended because it took too long, in docker's words."""
    text = f"Health check exceeded timeout ({duration(check.timeout)})"
    return Probe(start, end, -1, f"{text}: {output}" if output else text)


def bounded(output: bytes) -> str:
    """The output of a probe as it is kept, as docker cuts it."""
    text = output[:LONGEST_OUTPUT].decode(errors="replace")
    return text + "..." if len(output) > LONGEST_OUTPUT else text


def duration(seconds: float) -> str:
    """`1m30s`, `500ms`, as Go writes it."""
    if 0 < seconds < 1:
        return f"{seconds * 1000:g}ms"
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "") + f"{rest:g}s"


def to_json(health: Health) -> dict[str, Any]:
    """As the state file has it: docker's keys for what docker has, the rest as it is."""
    log = [{"Start": one.start, "End": one.end, "ExitCode": one.exit_code, "Output": one.output} for one in health.log]
    own = {name: getattr(health, name) for name in ("started", "due", "counted", "wait")}
    return {"Status": health.state, "FailingStreak": health.streak, "Log": log, **own}


def from_json(plain: Mapping[str, Any]) -> Health | None:
    """What `to_json` wrote; None if it is not that."""
    try:
        state = plain["Status"]
        if state not in {"starting", "healthy", "unhealthy"}:
            return None
        return Health(
            state=state,
            streak=int(plain["FailingStreak"]),
            log=tuple(
                Probe(float(one["Start"]), float(one["End"]), int(one["ExitCode"]), str(one["Output"]))
                for one in plain["Log"]
            ),
            **{name: float(plain[name]) for name in ("started", "due", "counted", "wait")},
        )
    except (KeyError, TypeError, ValueError):
        return None
