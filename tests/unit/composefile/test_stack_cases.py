"""Whole stacks as data: what comes out of a file, or what is wrong with it."""

from __future__ import annotations

from typing import Any

import pytest
from stackcases import complaints_of, load, refusals_of, stack_cases, stripped

CASES = stack_cases()


@pytest.mark.parametrize("case", [case for case in CASES if "complaints" in case], ids=lambda case: case["name"])
def test_what_is_wrong_is_told_with_its_place(case: dict[str, Any]) -> None:
    assert complaints_of(case) == case["complaints"]


@pytest.mark.parametrize("case", [case for case in CASES if "refusals" in case], ids=lambda case: case["name"])
def test_what_is_right_but_cannot_be_run_is_told_with_its_place(case: dict[str, Any]) -> None:
    assert complaints_of(case) == []
    assert refusals_of(case) == case["refusals"]


@pytest.mark.parametrize("case", [case for case in CASES if "complaints" not in case], ids=lambda case: case["name"])
def test_a_stack_is_read_as_compose_reads_it(case: dict[str, Any]) -> None:
    assert complaints_of(case) == []
    project = load(case)
    if "enabled" in case:
        assert list(project.services) == case["enabled"]
    for name in project.services.keys() & case.keys():
        assert stripped(project.canonical["services"][name]) == case[name]
    if "nets" in case:
        assert project.canonical.get("networks", {}) == case["nets"]
    assert project.canonical.get("networks", {}).keys() <= project.networks.keys()
    if "models" in case:
        assert project.canonical.get("models", {}) == case["models"]
    for key, section in (("secs", "secrets"), ("confs", "configs")):
        if key in case:
            assert project.canonical.get(section, {}) == case[key]
    if "vols" in case:
        assert project.canonical.get("volumes", {}) == case["vols"]
    assert project.canonical.get("volumes", {}).keys() == project.volumes.keys()
