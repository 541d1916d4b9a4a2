"""The picture at the top of errors.py is true."""

from __future__ import annotations

import re

import pytest

from composer import errors


def family(kind: type[errors.JockerError]) -> set[type[errors.JockerError]]:
    return {kind}.union(*(family(child) for child in kind.__subclasses__()))


DRAWN = {
    match["name"]: (len(match["bars"]), int(match["code"]))
    for match in re.finditer(
        r"^(?P<bars>[│├└─ ]*)(?P<name>[A-Z]\w+) +exit (?P<code>\d+)", errors.__doc__ or "", re.MULTILINE
    )
}
KINDS = {kind.__name__: kind for kind in family(errors.JockerError) if kind.__module__ == errors.__name__}


def test_the_tree_holds_every_error_and_no_other() -> None:
    assert set(DRAWN) == set(KINDS)


@pytest.mark.parametrize("name", sorted(KINDS))
def test_an_error_ends_with_the_code_that_is_drawn(name: str) -> None:
    assert KINDS[name].exit_code == DRAWN[name][1]


@pytest.mark.parametrize("name", sorted(set(KINDS) - {"JockerError"}))
def test_an_error_hangs_where_it_is_drawn(name: str) -> None:
    above = [other for other in list(DRAWN)[: list(DRAWN).index(name)] if DRAWN[other][0] < DRAWN[name][0]]
    assert KINDS[name].__bases__ == (KINDS[above[-1]],)


def test_all_errors_live_in_one_module() -> None:
    assert {kind.__module__ for kind in family(errors.JockerError)} == {errors.__name__}


def test_the_codes_are_the_promised_ones() -> None:
    assert {kind.exit_code for kind in KINDS.values()} == {1, 2, 3, 4, 130}
