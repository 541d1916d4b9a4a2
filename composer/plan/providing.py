"""Which providers are asked, and in what order."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from composer.frozen import replace
from composer.model.life import Provided
from composer.model.service import Dependency
from composer.plan.order import dependents, ordered
from composer.plan.plan import Draft, Node, Plan
from composer.plan.steps import ReleaseProvider, RunProvider


def plan_providers(
    providers: Mapping[str, Provided],
    graph: Mapping[str, Mapping[str, Dependency]],
    chosen: Collection[str],
    *,
    project: str,
    directory: str,
    environment: Mapping[str, str],
) -> Plan:
    """Asks those of the `chosen` that are provided, each after those it depends on. `directory` is where they run."""
    draft = Draft()
    numbers: dict[str, tuple[int, ...]] = {}
    for name in ordered(graph):
        before = tuple(number for other in graph[name] for number in numbers.get(other, ()))
        numbers[name] = before
        if name in providers and name in chosen:
            step = RunProvider(
                subject=name,
                because="a provider is asked each time",
                project=project,
                provider=providers[name].provider,
                directory=directory,
                environment=environment,
            )
            numbers[name] = (draft.add(step, after=before),)
    return draft.finish()


def plan_release(
    names: Collection[str],
    graph: Mapping[str, Mapping[str, Dependency]],
    *,
    project: str,
    environment: Mapping[str, str],
) -> Plan:
    """Has these taken down, each after those that depend on it."""
    draft = Draft()
    full: dict[str, Mapping[str, Dependency]] = {**{name: {} for name in names}, **graph}
    users = dependents(full)
    numbers: dict[str, tuple[int, ...]] = {}
    for name in reversed(ordered(full)):
        before = tuple(number for user in users[name] for number in numbers.get(user, ()))
        numbers[name] = before
        if name in names:
            step = ReleaseProvider(subject=name, because="down", project=project, environment=environment)
            numbers[name] = (draft.add(step, after=before),)
    return draft.finish()


def joined(first: Plan, then: Plan) -> Plan:
    """One plan of two: nothing of the second begins before the first is done."""
    offset, before = len(first.nodes), tuple(node.number for node in first.nodes)
    moved = tuple(
        Node(node.number + offset, node.step, tuple(number + offset for number in node.after) or before)
        for node in then.nodes
    )
    return replace(then, nodes=(*first.nodes, *moved), warnings=(*first.warnings, *then.warnings))
