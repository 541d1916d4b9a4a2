"""The cap of a whole stack: what differs from the one that holds."""

from __future__ import annotations

from composer.actual.state import ActualStack
from composer.desired.state import DesiredStack
from composer.plan.diff import summary
from composer.plan.steps import LimitStack


def limit_stack(desired: DesiredStack, actual: ActualStack) -> LimitStack:
    """The step that makes the wanted limits hold: they differ from those that do."""
    wanted, found = desired.limits, actual.limits
    lines = []
    for name in ("memory", "cpus", "pids"):
        before, after = (getattr(limits, name) if limits else 0 for limits in (found, wanted))
        if before != after:
            lines.append(f"limits.{name}: {_shown(before)} → {_shown(after)}")
    because = summary(tuple(lines)) if lines else "it has none any more"
    return LimitStack(subject=desired.project, because=because, limits=wanted, differences=tuple(lines))


def _shown(limit: float) -> str:
    return f"{limit:.10g}" if limit else "(none)"
