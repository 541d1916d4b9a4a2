"""The rules by which two documents become one, for every key of the specification that has a rule of its own."""

from __future__ import annotations

from typing import Any

import pytest
from stackcases import read_cases

from composer.composefile.merge import merged_onto
from composer.composefile.tree import Findings, Node, plain
from composer.composefile.yaml import parse_yaml


def document(text: str, name: str, findings: Findings) -> Node:
    [found] = parse_yaml(text, name, findings)
    return found


@pytest.mark.parametrize("case", read_cases("merge_rules.yml"), ids=lambda case: case["name"])
def test_two_documents_in_long_form_are_one(case: dict[str, Any]) -> None:
    findings = Findings()
    whole: Node | None = None
    for number, service in enumerate(case["services"]):
        text = f"services:\n  a: {service}\n"
        whole = merged_onto(whole, document(text, f"{number}.yml", findings), findings)
    assert whole is not None
    assert [complaint.message for complaint in findings.complaints] == case.get("complaints", [])
    if "a" in case:
        assert plain(whole)["services"]["a"] == case["a"]
