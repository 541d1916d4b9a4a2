"""Dependency order over every small graph, and who comes along when services are named."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations, permutations

import pytest

from composer.errors import UsageError
from composer.model.service import Dependency
from composer.plan.order import dependents, ordered, selected

NAMES = "abcd"
PAIRS = list(combinations(NAMES, 2))
ACYCLIC = [[pair for bit, pair in enumerate(PAIRS) if mask >> bit & 1] for mask in range(1 << len(PAIRS))]


def graph(edges: Mapping[str, str]) -> dict[str, dict[str, Dependency]]:
    """`{"web": "db cache"}` as a graph; who is only depended on stands at the end."""
    names = dict.fromkeys([*edges, *(name for needed in edges.values() for name in needed.split())])
    return {name: {needed: Dependency() for needed in edges.get(name, "").split()} for name in names}


def test_each_service_comes_after_what_it_depends_on_in_every_graph_of_four() -> None:
    for edges in ACYCLIC:
        for names in permutations(NAMES):
            needs = {name: {low: Dependency() for low, high in edges if high == name} for name in names}
            order = ordered(needs)
            assert sorted(order) == sorted(NAMES)
            assert all(order.index(low) < order.index(high) for low, high in edges), (edges, names, order)


def test_a_dependency_shared_by_two_levels_comes_before_both() -> None:
    assert ordered(graph({"web": "api db", "api": "db", "db": ""})) == ("db", "api", "web")


def test_services_that_need_nobody_keep_the_order_of_the_file() -> None:
    assert ordered(graph({"z": "", "a": "", "m": ""})) == ("z", "a", "m")


def test_a_circle_in_old_records_is_cut_and_loses_nobody() -> None:
    assert ordered(graph({"a": "b", "b": "c", "c": "a"})) == ("c", "b", "a")
    assert ordered(graph({"a": "a"})) == ("a",)


def test_a_dependency_that_is_not_there_is_passed_over() -> None:
    assert ordered({"web": {"gone": Dependency()}}) == ("web",)
    assert dependents({"web": {"gone": Dependency()}}) == {"web": ()}


def test_a_thousand_links_do_not_exhaust_the_stack() -> None:
    chain = {f"s{number}": {f"s{number + 1}": Dependency()} for number in range(3000)} | {"s3000": {}}
    assert ordered(chain)[0] == "s3000"


CHAIN = graph({"web": "api", "api": "db", "db": "", "other": ""})


@pytest.mark.parametrize(
    ("named", "with_dependencies", "expected"),
    [
        ((), True, "web api db other"),
        ((), False, "web api db other"),
        (("api",), True, "api db"),
        (("api",), False, "api"),
        (("web", "other"), True, "web api db other"),
        (("db", "db"), True, "db"),
    ],
)
def test_named_services_bring_what_they_depend_on(
    named: tuple[str, ...], with_dependencies: bool, expected: str
) -> None:
    assert selected(CHAIN, named, with_dependencies=with_dependencies) == set(expected.split())


def test_an_unknown_service_is_told_with_those_there_are() -> None:
    with pytest.raises(UsageError, match="no such service: nope, no2") as caught:
        selected(CHAIN, ("nope", "web", "no2"), with_dependencies=True)
    assert caught.value.hint == "there are: web, api, db, other"


def test_dependents_are_the_graph_turned_round() -> None:
    assert dependents(graph({"web": "db", "api": "db"})) == {"web": (), "api": (), "db": ("web", "api")}
