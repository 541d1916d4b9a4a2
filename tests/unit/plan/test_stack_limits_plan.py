"""The step that limits a stack: when, why, and before what."""

from __future__ import annotations

import pytest

from composer.actual.state import ActualStack
from composer.desired.state import DesiredStack
from composer.model.resources import StackLimits
from composer.plan.plan import Draft
from composer.plan.policy import Policy
from composer.plan.reconcile import plan_up
from composer.plan.steps import PullImage, RemoveImage


@pytest.mark.parametrize(
    ("wanted", "found", "told"),
    [
        (None, None, ""),
        (StackLimits(1024), StackLimits(1024), ""),
        (StackLimits(1024), None, "limits.memory: (none) → 1024"),
        (StackLimits(1024, 1.5, 5), StackLimits(1024, 2.0), "limits.cpus: 2 → 1.5 (and 1 more)"),
        (None, StackLimits(pids=5), "limits.pids: 5 → (none)"),
        (None, StackLimits(), "it has none any more"),
    ],
)
def test_limits_are_set_when_they_differ(wanted: StackLimits | None, found: StackLimits | None, told: str) -> None:
    desired = DesiredStack(project="p", services={}, limits=wanted)
    plan = plan_up(desired, ActualStack(project="p", limits=found), Policy())
    assert str(plan) == (f"[] -> #1 LimitStack p: {told}\n" if told else "")


def test_what_is_put_first_is_before_those_that_need_it_only() -> None:
    draft = Draft()
    one = draft.add(PullImage(subject="a", because="x", services=()))
    draft.add(RemoveImage(subject="b", because="x"), after=(one,))
    draft.put_first(RemoveImage(subject="first", because="x"), before=(PullImage,))
    assert str(draft.finish()) == (
        "[] -> #1 RemoveImage first: x\n[1] -> #2 PullImage a: x\n[2] -> #3 RemoveImage b: x\n"
    )
