"""A plan for people and for programs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from plancases import Situation, plan_cases

from composer.cli.planned import as_json, text
from composer.plan.plan import Node, Plan
from composer.plan.steps import StartContainer

CHANGED: dict[str, Any] = {
    "before": "services: {web: {user: a, environment: {A: x}}, db: {}}",
    "stack": "services: {web: {user: b, environment: {A: y}}, db: {}}",
    "actual": {"web-1": "running", "db-1": "running"},
}


def test_the_text_is_the_plan_and_what_stays() -> None:
    assert text(Situation(CHANGED).plan(), with_differences=False) == (
        '[] -> #1 CreateContainer p-web-1: environment.A: "x" → "y" (and 1 more)\n'
        '[1] -> #2 StopContainer p-web-1: environment.A: "x" → "y" (and 1 more)\n'
        '[2] -> #3 RemoveContainer p-web-1: environment.A: "x" → "y" (and 1 more)\n'
        "[3] -> #4 StartContainer p-web-1: it is new\n"
        "unchanged: p-db-1\n"
    )


def test_with_differences_every_field_has_a_line() -> None:
    lines = text(Situation(CHANGED).plan(), with_differences=True).splitlines()
    assert lines[1:3] == ['      environment.A: "x" → "y"', '      user: "a" → "b"']
    assert len(lines) == 7


def test_nothing_to_do_is_said() -> None:
    assert text(Plan(), with_differences=True) == "nothing to do\n"
    assert text(Plan(unchanged=("a", "b")), with_differences=False) == "nothing to do\nunchanged: a, b\n"


def test_the_shape_of_the_json() -> None:
    assert json.loads(as_json(Situation(CHANGED).plan())) == {
        "changes": True,
        "steps": [
            {
                "number": 1,
                "after": [],
                "action": "CreateContainer",
                "subject": "p-web-1",
                "because": 'environment.A: "x" → "y" (and 1 more)',
                "differences": ['environment.A: "x" → "y"', 'user: "a" → "b"'],
            },
            {
                "number": 2,
                "after": [1],
                "action": "StopContainer",
                "subject": "p-web-1",
                "because": 'environment.A: "x" → "y" (and 1 more)',
            },
            {
                "number": 3,
                "after": [2],
                "action": "RemoveContainer",
                "subject": "p-web-1",
                "because": 'environment.A: "x" → "y" (and 1 more)',
            },
            {"number": 4, "after": [3], "action": "StartContainer", "subject": "p-web-1", "because": "it is new"},
        ],
        "unchanged": ["p-db-1"],
    }
    assert json.loads(as_json(Plan())) == {"changes": False, "steps": [], "unchanged": []}


@pytest.mark.parametrize("case", [case for case in plan_cases() if "error" not in case], ids=lambda case: case["name"])
def test_json_and_text_tell_the_same(case: dict[str, Any]) -> None:
    plan = Situation(case).plan()
    value = json.loads(as_json(plan))
    lines = []
    for step in value["steps"]:
        after = ",".join(map(str, step["after"]))
        lines.append(f"[{after}] -> #{step['number']} {step['action']} {step['subject']}: {step['because']}")
    assert lines == str(plan).splitlines()
    assert value["changes"] is bool(lines)


def test_a_name_from_elsewhere_cannot_forge_a_step() -> None:
    step = StartContainer(subject="x\n[] -> #2 StopContainer db: y\x1b[2J", because="a\nb", container_id="", service="")
    shown = text(Plan(nodes=(Node(1, step),), unchanged=("u\nv",)), with_differences=False)
    assert shown == ("[] -> #1 StartContainer x\\n[] -> #2 StopContainer db: y\\x1b[2J: a\\nb\nunchanged: u\\nv\n")
