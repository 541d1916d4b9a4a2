"""Services that somebody else provides (`provider`): no containers, but variables for those who depend on them.

Rules: docker compose's documentation of its extension protocol.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from composer.errors import Complaint, StackFileError
from composer.frozen import replace
from composer.model.life import Provided
from composer.model.service import Dependency, Project, Service


class Variables(NamedTuple):
    """What a provider has told: `prefixed` get the service's name before their own, `raw` are as they are."""

    prefixed: Mapping[str, str] = {}
    raw: Mapping[str, str] = {}


def split(project: Project) -> Project:
    """The project with provided services apart. Whoever depends on one depends on what that depends on instead.

    Raises `StackFileError` for what such a service cannot have.
    """
    given = {name: one for name, one in project.services.items() if one.life is not None and one.life.provider}
    if not given:
        return project
    _check_sharing(project, given)
    graph = {name: one.depends_on for name, one in project.services.items()}
    providers = {
        name: Provided(one.life.provider, tuple(one.depends_on))
        for name, one in given.items()
        if one.life is not None and one.life.provider is not None
    }
    users = {
        name: {provider for provider in one.depends_on if provider in given}
        for name, one in project.services.items()
        if name not in given
    }
    services = {
        name: replace(one, depends_on=_spliced(name, graph, frozenset(given))) if users[name] else one
        for name, one in project.services.items()
        if name not in given
    }
    for name, found in users.items():
        for provider in found:
            providers[provider] = providers[provider]._replace(users=(*providers[provider].users, name))
    return replace(project, services=services, providers=providers)


def _check_sharing(project: Project, given: Mapping[str, Service]) -> None:
    """Raises `StackFileError` for services that would share what only a container has."""
    complaints = []
    for name, one in project.services.items():
        shared = [f"service:{provider}" for provider in given]
        if name not in given and not {one.network_mode, one.pid, one.ipc}.isdisjoint(shared):
            message = f'service "{name}" shares a namespace with a service that has a provider, and so no container'
            complaints.append(Complaint(message, one.place, "use the variables that the provider sets"))
    if complaints:
        raise StackFileError(tuple(complaints))


def _spliced(name: str, graph: Mapping[str, Mapping[str, Dependency]], given: frozenset[str]) -> dict[str, Dependency]:
    found: dict[str, Dependency] = {}
    seen: set[str] = set()
    pending = list(graph[name].items())
    while pending:
        other, dependency = pending.pop(0)
        if other not in given:
            found.setdefault(other, dependency)
        elif other not in seen:
            seen.add(other)
            pending += graph[other].items()
    return found


def full_graph(project: Project) -> dict[str, Mapping[str, Dependency]]:
    """What depends on what, provided services among the others."""
    graph: dict[str, Mapping[str, Dependency]] = {
        name: dict.fromkeys(one.depends_on, Dependency()) for name, one in project.providers.items()
    }
    for name, service in project.services.items():
        used = [provider for provider, one in project.providers.items() if name in one.users]
        graph[name] = {**service.depends_on, **dict.fromkeys(used, Dependency())}
    return graph


def with_variables(project: Project, told: Mapping[str, Variables]) -> tuple[Project, tuple[str, ...]]:
    """The project with what providers have told in the environments of those who depend on them; and warnings about
    variables that the file has otherwise.
    """
    environments = {name: dict(one.environment) for name, one in project.services.items()}
    warnings = []
    for provider, one in project.providers.items():
        variables = told.get(provider, Variables())
        for name in one.users:
            environment = environments[name]
            environment.update({f"{provider.upper()}_{key}": value for key, value in variables.prefixed.items()})
            for key, value in variables.raw.items():
                if key in environment and environment[key] != value:
                    warnings.append(f"provider {provider} overrides the variable {key} of service {name}")
                environment[key] = value
    services = {
        name: replace(one, environment=environments[name]) if environments[name] != one.environment else one
        for name, one in project.services.items()
    }
    return replace(project, services=services), tuple(warnings)
