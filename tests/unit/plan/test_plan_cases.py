"""Every case under `tests/cases/plan`: a stack file, what is there, what was asked; the plan's text comes out."""

from __future__ import annotations

import random
from typing import Any

import pytest
from plancases import Situation, plan_cases

from composer.actual.state import ActualContainer, ActualStack
from composer.errors import JockerError
from composer.frozen import replace
from composer.plan.plan import Plan
from composer.plan.steps import CreateContainer, RemoveContainer

CASES = plan_cases()
PLANNED = [case for case in CASES if "error" not in case]


def ids(case: dict[str, Any]) -> str:
    return str(case["name"])


@pytest.mark.parametrize("case", PLANNED, ids=ids)
def test_this_is_planned(case: dict[str, Any]) -> None:
    plan = Situation(case).plan()
    assert str(plan) == case.get("plan", "")
    assert list(plan.unchanged) == case.get("unchanged", [])
    assert list(plan.warnings) == case.get("warnings", [])
    for subject, expected in case.get("differences", {}).items():
        assert [list(step.differences) for step in created(plan) if step.subject == subject] == [expected]
    for number, fields in case.get("steps", {}).items():
        step = plan.nodes[number - 1].step
        assert {name: plain(getattr(step, name)) for name in fields} == fields


@pytest.mark.parametrize("case", [case for case in CASES if "error" in case], ids=ids)
def test_this_is_refused(case: dict[str, Any]) -> None:
    with pytest.raises(JockerError) as caught:
        Situation(case).plan()
    assert f"{caught.value.exit_code}: {caught.value.message}" == case["error"]


@pytest.mark.parametrize("case", PLANNED, ids=ids)
def test_the_order_in_which_containers_are_found_does_not_matter(case: dict[str, Any]) -> None:
    situation = Situation(case)
    expected = situation.plan()
    chance = random.Random(7)
    containers = list(situation.actual.containers)
    for _ in range(5):
        chance.shuffle(containers)
        found = replace(situation.actual, containers=ActualStack.of("p", containers).containers)
        assert situation.plan(found) == expected


@pytest.mark.parametrize("case", PLANNED, ids=ids)
def test_steps_wait_only_for_earlier_ones(case: dict[str, Any]) -> None:
    plan = Situation(case).plan()
    assert [node.number for node in plan.nodes] == list(range(1, len(plan.nodes) + 1))
    for node in plan.nodes:
        assert all(0 < number < node.number for number in node.after)
        assert node.step.because


@pytest.mark.parametrize("case", PLANNED, ids=ids)
def test_what_is_made_never_has_the_id_of_what_is_there_unless_that_goes_first(case: dict[str, Any]) -> None:
    situation = Situation(case)
    plan = situation.plan()
    taken = {one.id for one in situation.actual.containers}
    made = [step.container_id for step in created(plan)]
    assert len(made) == len(set(made))
    gone = {node.step.container_id: node.number for node in plan.nodes if isinstance(node.step, RemoveContainer)}
    for node in plan.nodes:
        if isinstance(node.step, CreateContainer) and node.step.container_id in taken:
            assert gone[node.step.container_id] in node.after


def created(plan: Plan) -> list[CreateContainer]:
    return [node.step for node in plan.nodes if isinstance(node.step, CreateContainer)]


def plain(value: Any) -> Any:
    return [plain(item) for item in value] if isinstance(value, tuple) else value


def test_a_second_up_finds_nothing_to_do() -> None:
    """What the plan of the first `up` would make is what the second one finds."""
    case = {
        "stack": """
            services:
              web: {environment: {A: "1"}, volumes: [/data, {type: tmpfs, target: /t}], depends_on: [db], scale: 2}
              db: {image: db, labels: {x: y}, ulimits: {nofile: 10}, extra_hosts: {a: 10.0.0.1}}
        """,
        "images": {"db": {"volumes": ["/var/db"], "env": ["PATH=/bin"], "labels": {"k": "v"}}},
    }
    first = Situation(case).plan()
    there = {step.subject.removeprefix("p-"): "running" for step in created(first)}
    assert len(there) == 3
    second = Situation({**case, "actual": there}).plan()
    assert str(second) == ""
    assert not second
    assert second.unchanged == ("p-db-1", "p-web-1", "p-web-2")


def test_the_ids_of_a_plan_follow_from_the_situation_alone() -> None:
    """A plan made again after a crash finds the half of it that was done."""
    case = {"stack": "services: {web: {scale: 2}}"}
    first, again = (created(Situation(case).plan()) for _ in range(2))
    assert [step.container_id for step in first] == [step.container_id for step in again]
    assert len({step.container_id for step in first}) == 2


def test_a_container_name_that_moves_to_another_service_makes_another_container() -> None:
    before = Situation({"stack": "services: {old: {container_name: it}}"}).plan()
    after = Situation({"stack": "services: {new: {container_name: it}}"}).plan()
    assert created(before)[0].container_id != created(after)[0].container_id


def test_actual_containers_are_sorted_by_service_kind_number_and_age() -> None:
    situation = Situation(
        {
            "stack": "services: {web: {}, db: {}}",
            "actual": {
                "web-10": "running",
                "web-2": "running",
                "web-run": {"status": "running", "oneoff": True},
                "db-1": "running",
            },
        }
    )
    found: tuple[ActualContainer, ...] = situation.actual.containers
    assert [one.name for one in found] == ["p-db-1", "p-web-2", "p-web-10", "p-web-run-run"]
