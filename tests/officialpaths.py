"""Every property path of the Compose Specification: the committed list, and how to make it from the official schema."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from typing import Any

LIST = Path(__file__).parent / "cases" / "composefile" / "paths.txt"


def committed() -> set[str]:
    """The paths as `services.*.ports[].target`."""
    return set(LIST.read_text(encoding="utf-8").split())


def official() -> set[str] | None:
    """The same from the schema that `JOCKER_TEST_COMPOSE_SCHEMA` names; None if it names none."""
    file = os.environ.get("JOCKER_TEST_COMPOSE_SCHEMA")
    if not file:
        return None
    schema = json.loads(Path(file).read_text(encoding="utf-8"))
    return set(_paths(schema, schema, ""))


def _paths(node: dict[str, Any], root: dict[str, Any], pattern: str) -> Iterator[str]:
    reference = node.get("$ref", "")
    if reference.startswith("#/"):
        yield from _paths(reduce(lambda at, part: at[part], reference[2:].split("/"), root), root, pattern)
    for branch in (*node.get("oneOf", ()), *node.get("anyOf", ()), *node.get("allOf", ())):
        yield from _paths(branch, root, pattern)
    for key, child in node.get("properties", {}).items():
        path = f"{pattern}.{key}" if pattern else key
        yield path
        yield from _paths(child, root, path)
    for expression, child in node.get("patternProperties", {}).items():
        if expression != "^x-":
            yield from _paths(child, root, f"{pattern}.*")
    items = node.get("items")
    if isinstance(items, dict):
        yield from _paths(items, root, f"{pattern}[]")
