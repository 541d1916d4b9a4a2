"""A plan as text for people and as JSON for programs."""

from __future__ import annotations

import json
from typing import Any

from composer.cli.text import one_line
from composer.plan.plan import Plan


def text(found: Plan, *, with_differences: bool) -> str:
    """The plan for people: a line per step, what stays as it is at the end."""
    lines = []
    for node in found.nodes:
        lines.append(one_line(str(node)))
        if with_differences:
            lines += [f"      {one_line(line)}" for line in getattr(node.step, "differences", ())]
    if not found.nodes:
        lines.append("nothing to do")
    if found.unchanged:
        lines.append(f"unchanged: {', '.join(map(one_line, found.unchanged))}")
    return "\n".join(lines) + "\n"


def as_json(found: Plan) -> str:
    """{"changes": bool, "steps": [{number, after, action, subject, because, differences?}], "unchanged": [...]}."""
    steps: list[dict[str, Any]] = []
    for node in found.nodes:
        step: dict[str, Any] = {
            "number": node.number,
            "after": list(node.after),
            "action": type(node.step).__name__,
            "subject": node.step.subject,
            "because": node.step.because,
        }
        differences = getattr(node.step, "differences", ())
        if differences:
            step["differences"] = list(differences)
        steps.append(step)
    value = {"changes": bool(found), "steps": steps, "unchanged": list(found.unchanged)}
    return json.dumps(value, indent=2, ensure_ascii=False)
