"""What precedes a one-off container: its volumes, its networks, its addresses; nobody else is touched."""

from __future__ import annotations

from typing import Any

import plancases
import pytest

from composer.actual.state import ActualStack
from composer.desired.build import oneoff
from composer.desired.hashing import container_id
from composer.desired.state import DesiredVolume, NamedVolume
from composer.errors import NetworkError
from composer.frozen import replace
from composer.plan.oneoff import plan_oneoff
from composer.plan.plan import Plan
from composer.plan.steps import AssignAddresses

ON_TWO = """
services:
  web: {networks: {front: {aliases: [www]}, back: {}}}
networks: {front: {}, back: {}}
"""
PLAIN = "services: {web: {}}"


def planned(text: str, *, before: str = "", use_aliases: bool = False, **there: Any) -> Plan:
    """The plan for a one-off of `web`, with the stack as it was made from `before` on the machine."""
    wanted = plancases.desired(plancases.project(text))
    made = plancases.desired(plancases.project(before or text))
    actual: ActualStack = plancases.actual(there.pop("containers", {}), wanted, made, **there)
    container = oneoff(wanted, wanted.services["web"], slug="cd" * 32, name=None, use_aliases=use_aliases)
    return plan_oneoff(wanted, actual, container, container_id(container))


def names(plan: Plan) -> dict[str, list[str]]:
    """By network, the names the container gets there, but for its short id."""
    return {
        node.step.subject: [name for name in node.step.members[0].names if not name.isalnum() or name in {"web", "www"}]
        for node in plan.nodes
        if isinstance(node.step, AssignAddresses)
    }


def test_all_that_it_needs_is_made_first() -> None:
    assert str(planned(ON_TWO)) == (
        "[] -> #1 CreateNetwork p_back: it does not exist\n"
        "[1] -> #2 AssignAddresses p_back: a container joins\n"
        "[] -> #3 CreateNetwork p_front: it does not exist\n"
        "[3] -> #4 AssignAddresses p_front: a container joins\n"
    )


def test_named_volumes_are_made_once() -> None:
    wanted = plancases.desired(plancases.project(PLAIN))
    web = wanted.services["web"]
    mounts = (NamedVolume("/data", "p_data"), NamedVolume("/again", "p_data"), NamedVolume("/old", "p_old"))
    volumes = {name: DesiredVolume(name=name) for name in ("p_data", "p_old")}
    stack = replace(wanted, services={"web": replace(web, spec=replace(web.spec, mounts=mounts))}, volumes=volumes)
    container = oneoff(stack, stack.services["web"], slug="cd" * 32, name=None)
    there = ActualStack.of("p", [], volumes={"p_old": "p"})
    assert str(plan_oneoff(stack, there, container, "ef" * 32)) == ("[] -> #1 CreateVolume p_data: it does not exist\n")


def test_what_is_there_is_used() -> None:
    there = {"p_front": {"faults": ["its name server is gone"]}, "p_back": None}
    assert str(planned(ON_TWO, networks=there)) == (
        "[] -> #1 AssignAddresses p_back: a container joins\n"
        "[] -> #2 RepairNetwork p_front: its name server is gone\n"
        "[2] -> #3 AssignAddresses p_front: a container joins\n"
    )


def test_who_has_no_network_needs_none() -> None:
    assert not planned(PLAIN)


def test_it_goes_by_its_own_name_unless_told_otherwise() -> None:
    own = "p-web-run-cdcdcdcdcdcd"
    assert names(planned(ON_TWO)) == {"p_back": [own], "p_front": [own]}
    assert names(planned(ON_TWO, use_aliases=True)) == {"p_back": [own, "web"], "p_front": [own, "web", "www"]}


CHANGED = "services: {web: {networks: [net]}}\nnetworks: {net: {internal: true}}"
BEFORE = "services: {web: {networks: [net]}}\nnetworks: {net: {}}"


def test_a_changed_network_that_nobody_is_on_is_made_anew() -> None:
    plan = planned(CHANGED, before=BEFORE, networks={"p_net": None})
    assert str(plan) == (
        "[] -> #1 RemoveNetwork p_net: internal: false → true\n"
        "[1] -> #2 CreateNetwork p_net: internal: false → true\n"
        "[2] -> #3 AssignAddresses p_net: a container joins\n"
    )
    assert plan.warnings == ()


def test_a_changed_network_that_others_are_on_is_used_as_it_is() -> None:
    plan = planned(CHANGED, before=BEFORE, containers={"web-1": "running"})
    assert str(plan) == "[] -> #1 AssignAddresses p_net: a container joins\n"
    assert plan.warnings == (
        "network p_net is used as it is, while others are on it: `jocker up` makes it anew (internal: false → true)",
    )
    broken = planned(
        CHANGED, before=BEFORE, containers={"web-1": "running"}, networks={"p_net": {"faults": ["no bridge"]}}
    )
    assert str(broken) == (
        "[] -> #1 RepairNetwork p_net: no bridge\n[1] -> #2 AssignAddresses p_net: a container joins\n"
    )


def test_an_external_network_must_be_there() -> None:
    text = "services: {web: {networks: [net]}}\nnetworks: {net: {external: true, name: shared}}"
    with pytest.raises(NetworkError, match="network shared is declared external"):
        planned(text)
    assert str(planned(text, networks={"shared": {"project": "", "key": ""}})) == (
        "[] -> #1 AssignAddresses shared: a container joins\n"
    )
