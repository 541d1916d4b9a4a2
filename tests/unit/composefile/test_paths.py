"""Our table of keys has every path of the specification, and each path has a test, or is refused."""

from __future__ import annotations

from collections.abc import Iterator

import officialpaths
from stackcases import files_of, stack_cases

from composer.composefile.shapes import SHAPES
from composer.composefile.support import Support, note_on, support_table
from composer.composefile.tree import Findings, Node
from composer.composefile.yaml import parse_yaml

OURS = {
    "services.*.build.no_cache_filter": "in compose-go, not in the schema yet",
    "services.*.pre_start": "in the specification's text, not in its schema yet",
}
"""Keys besides those of the schema, and besides `x-jocker`."""
TABLE = {key: support for key, support, _ in support_table()}


def used() -> set[str]:
    """The patterns of every key that some case has."""
    found: set[str] = set()
    for case in stack_cases():
        for name, text in files_of(case).items():
            if name.endswith((".yml", ".yaml")):
                for document in parse_yaml(text, name, Findings()):
                    found.update(patterns(document, ""))
    return found


def patterns(node: Node, pattern: str) -> Iterator[str]:
    for key, child in node.items.items():
        below = f"{pattern}.{key}" if pattern else key
        if below not in TABLE and below not in SHAPES:
            below = f"{pattern}.*"
        yield below
        yield from patterns(child, below)
    for item in node.elements:
        yield from patterns(item, f"{pattern}[]")


def test_the_table_has_every_path_of_the_specification() -> None:
    table = {key for key in TABLE if "x-jocker" not in key}
    extra = {key for key in table if any(key == ours or key.startswith((f"{ours}.", f"{ours}[]")) for ours in OURS)}
    for official in filter(None, (officialpaths.committed(), officialpaths.official())):
        assert table - extra == official


def test_every_path_has_a_test_or_is_refused() -> None:
    tested = used()
    refused = {
        key
        for key, support in TABLE.items()
        if support is Support.LATER or (support is Support.REFUSED and note_on(key))
    }
    below = {key for key in TABLE if any(key.startswith((f"{path}.", f"{path}[]")) for path in refused)}
    assert sorted(TABLE.keys() - tested - refused - below) == []
