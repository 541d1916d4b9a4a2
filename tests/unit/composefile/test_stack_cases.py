"""Whole stacks as data: what comes out of a file, or what is wrong with it."""

from __future__ import annotations

from typing import Any

import pytest
from stackcases import complaints_of, load, stack_cases

CASES = stack_cases()


@pytest.mark.parametrize("case", [case for case in CASES if "complaints" in case], ids=lambda case: case["name"])
def test_what_is_wrong_is_told_with_its_place(case: dict[str, Any]) -> None:
    assert complaints_of(case) == case["complaints"]


@pytest.mark.parametrize("case", [case for case in CASES if "complaints" not in case], ids=lambda case: case["name"])
def test_a_stack_is_read_as_compose_reads_it(case: dict[str, Any]) -> None:
    assert complaints_of(case) == []
    project = load(case)
    if "enabled" in case:
        assert list(project.services) == case["enabled"]
    for name in project.services.keys() & case.keys():
        shown = dict(project.canonical["services"][name])
        assert {shown.pop("image"), shown.pop("network_mode")} <= {"x", "y", "z", "none", "host"}
        assert shown == case[name]
