"""Services that somebody else provides: apart from the others, and in their environments."""

from __future__ import annotations

from composer.desired.providing import Variables, full_graph, split, with_variables
from composer.errors import Place
from composer.model.life import Life, Provider
from composer.model.service import Dependency, Project, Service
from composer.plan.order import ordered
from composer.plan.plan import Plan
from composer.plan.providing import joined, plan_providers, plan_release


def service(name: str, *depends_on: str, provider: str = "", **more: str) -> Service:
    return Service(
        name=name,
        place=Place("jocker.yml", 1, 1, f"services.{name}"),
        image="" if provider else "x",
        depends_on={other: Dependency() for other in depends_on},
        life=Life(provider=Provider(provider)) if provider else None,
        environment=more,
    )


def project(*services: Service) -> Project:
    return split(
        Project(name="p", working_dir="/p", files=(), services={one.name: one for one in services}, environment={})
    )


STACK = project(
    service("app", "queue", "db", TOKEN="mine"),
    service("db", "network", "base", provider="cloud"),
    service("network", provider="cloud"),
    service("queue"),
    service("base"),
)


def release(found: Project) -> Plan:
    return plan_release(found.providers, full_graph(found), project="p", environment={})


def test_a_stack_without_providers_stays_as_it_is() -> None:
    found = project(service("app", "db"), service("db"))
    assert split(found) is found


def test_dependencies_go_on_through_what_is_provided() -> None:
    assert list(STACK.services) == ["app", "queue", "base"]
    assert list(STACK.services["app"].depends_on) == ["queue", "base"]
    assert STACK.providers["db"].users == ("app",)
    assert STACK.providers["network"].users == ()
    assert ordered(full_graph(STACK)).index("network") < ordered(full_graph(STACK)).index("db")


def test_only_direct_dependents_get_variables() -> None:
    told = {"db": Variables({"URL": "u"}, {"TOKEN": "theirs", "NEW": "n"}), "gone": Variables({"X": "x"})}
    found, warnings = with_variables(STACK, told)
    assert found.services["app"].environment == {"TOKEN": "theirs", "DB_URL": "u", "NEW": "n"}
    assert found.services["base"] is STACK.services["base"]
    assert warnings == ("provider db overrides the variable TOKEN of service app",)


def test_who_is_depended_on_is_asked_first_and_released_last() -> None:
    found = plan_providers(
        STACK.providers, full_graph(STACK), ["db", "network"], project="p", directory="/", environment={}
    )
    assert [(node.step.subject, node.after) for node in found.nodes] == [("network", ()), ("db", (1,))]
    assert [(node.step.subject, node.after) for node in release(STACK).nodes] == [("db", ()), ("network", (1,))]


def test_of_two_plans_the_second_waits_for_the_first() -> None:
    both = joined(release(STACK), release(STACK))
    assert [(node.number, node.after) for node in both.nodes] == [(1, ()), (2, (1,)), (3, (1, 2)), (4, (3,))]
