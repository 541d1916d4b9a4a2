"""Providers on the road of `up`, `plan`, `run` and `down`. Loaded only for stacks that have some."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from composer.cli import road
from composer.cli.globals import Globals
from composer.desired.providing import Variables, full_graph, with_variables
from composer.errors import StackFileError
from composer.frozen import replace
from composer.host import providing
from composer.model.service import Project
from composer.paths import Paths
from composer.plan.order import selected
from composer.plan.plan import Plan
from composer.plan.policy import Policy
from composer.plan.providing import plan_providers, plan_release


def plan_of(project: Project, policy: Policy) -> Plan:
    """What is asked of providers for these services. Raises `UsageError`, `StackFileError` (what jocker cannot do)."""
    if project.refusals:
        raise StackFileError(project.refusals)
    graph = full_graph(project)
    return plan_providers(
        project.providers,
        graph,
        selected(graph, policy.services, with_dependencies=not policy.no_deps),
        project=project.name,
        directory=project.working_dir,
        environment=project.environment,
    )


def settled(paths: Paths, project: Project, policy: Policy) -> tuple[Project, Policy]:
    """The project as it is for containers: with what providers have told last, and without them."""
    told = {name: record.variables for name, record in providing.read(paths, project.name).items()}
    graph = full_graph(project)
    named = [name for name in policy.services if name in project.services]
    for name in policy.services:
        if name in project.providers:
            # Whoever names a provider means what that depends on, too; nobody has to know of it any more.
            closure = selected(graph, (name,), with_dependencies=not policy.no_deps)
            named += [other for other in project.services if other in closure]
    done, warnings = with_variables(project, _of_same(project, told))
    done = replace(done, providers={}, warnings=(*done.warnings, *warnings))
    if policy.services and not named:
        done = replace(done, services={}, disabled={**done.disabled, **done.services})
    return done, replace(policy, services=tuple(dict.fromkeys(named)))


def _of_same(project: Project, told: Mapping[str, Variables]) -> dict[str, Variables]:
    return {name: variables for name, variables in told.items() if name in project.providers}


def provide(options: Globals, project: Project, policy: Policy) -> tuple[Project, Policy]:
    """Asks the providers of these services, under the stack's lock; gives what is left to do for containers. Raises
    `Failed`.
    """
    road.apply(options, plan_of(project, policy))
    done, wanted = settled(options.paths, project, policy)
    road.warn(done.warnings[len(project.warnings) :])
    return done, wanted


def for_run(options: Globals, project: Project, service: str, *, no_deps: bool) -> Project:
    """The project for a one-off container of a service; what it depends on is provided before, unless `no_deps`."""
    policy = Policy(services=(service,), no_deps=no_deps)
    with road.stack_lock(options, project.name, "run"):
        return provide(options, project, policy)[0]


def to_release(paths: Paths, name: str, services: Collection[str]) -> frozenset[str]:
    """The providers that `down` is about: those that were asked for something, of the `services` named (none: all)."""
    known = providing.read(paths, name)
    return frozenset(one for one in known if not services or one in services)


def release_plan(name: str, project: Project | None, names: Collection[str], environ: Mapping[str, str]) -> Plan:
    """Has these providers take down what they have made."""
    graph = full_graph(project) if project else {}
    environment = project.environment if project else environ
    return plan_release(names, graph, project=name, environment=environment)
