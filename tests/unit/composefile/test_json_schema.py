"""The JSON Schema of stack files: it says what the checks say, as far as a schema can."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from stackcases import files_of, stack_cases

from composer.composefile.jsonschema import json_schema
from composer.composefile.tree import Findings, Node, plain
from composer.composefile.yaml import parse_yaml

ROOT = Path(__file__).resolve().parents[3]
VALIDATOR = Draft202012Validator(json_schema())
EXAMPLES = [ROOT / "jocker.yml", *sorted(ROOT.glob("examples/*/jocker.yml"))]
BY_SHAPE = re.compile(r": (unknown key|must be .*, not (null|the number|the boolean|a list|a mapping|a string))")
"""What a schema can tell: keys and types."""


def documents(case: dict[str, Any]) -> list[Node]:
    return [
        document
        for name, text in files_of(case).items()
        if name.endswith(".yml")
        for document in parse_yaml(text, name, Findings())
    ]


def is_tagged(node: Node) -> bool:
    return bool(node.tag) or any(map(is_tagged, [*node.items.values(), *node.elements]))


def is_part(document: Node) -> bool:
    """Does it say what it says only together with other files, or other services?"""
    services = document.at("services")
    return "include" in document.items or any(
        "extends" in one.items for one in (services.items.values() if services else ())
    )


ALONE = [
    (case, found[0])
    for case in stack_cases()
    if len(found := documents(case)) == 1
    and not is_tagged(found[0])
    and isinstance(found[0].value, dict)
    and not is_part(found[0])
]


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(json.loads(json.dumps(json_schema())))


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.parent.name)
def test_an_example_is_valid(file: Path) -> None:
    [document] = parse_yaml(file.read_text(encoding="utf-8"), file.name, Findings())
    assert [error.message for error in VALIDATOR.iter_errors(plain(document))] == []


@pytest.mark.parametrize(
    "case", [pair for pair in ALONE if "complaints" not in pair[0]], ids=lambda pair: pair[0]["name"]
)
def test_what_is_accepted_is_valid(case: tuple[dict[str, Any], Node]) -> None:
    assert [f"{error.json_path}: {error.message}" for error in VALIDATOR.iter_errors(plain(case[1]))] == []


@pytest.mark.parametrize(
    "case",
    [pair for pair in ALONE if any(BY_SHAPE.search(line) for line in pair[0].get("complaints", ()))],
    ids=lambda pair: pair[0]["name"],
)
def test_what_is_refused_for_its_shape_is_not_valid(case: tuple[dict[str, Any], Node]) -> None:
    assert not VALIDATOR.is_valid(plain(case[1]))
