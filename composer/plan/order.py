"""Dependency order, and who comes along when services are named."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from composer.errors import UsageError
from composer.model.service import Dependency

Graph = Mapping[str, Mapping[str, Dependency]]
"""Service name to what it depends on."""


def ordered(graph: Graph) -> tuple[str, ...]:
    """All services, each after what it depends on; otherwise as they stand. A circle (already refused for a file,
    possible in records of several lives) is cut where it is met.
    """
    done: dict[str, None] = {}
    entered: set[str] = set()
    for root in graph:
        pending = [(root, False)]
        while pending:
            name, is_left = pending.pop()
            if is_left:
                done[name] = None
            elif name not in entered:
                # Entered when met, not when first heard of: who waits on the stack as a sibling may be needed sooner.
                entered.add(name)
                pending.append((name, True))
                pending.extend((found, False) for found in reversed(tuple(graph[name])) if found in graph)
    return tuple(done)


def selected(graph: Graph, named: Iterable[str], *, with_dependencies: bool) -> frozenset[str]:
    """The services a command is about: those named (none: all), and what they depend on. Raises `UsageError`."""
    names = tuple(named)
    unknown = [name for name in names if name not in graph]
    if unknown:
        raise UsageError(f"no such service: {', '.join(unknown)}", hint=f"there are: {', '.join(graph) or 'none'}")
    if not names:
        return frozenset(graph)
    found: set[str] = set()
    pending = list(names)
    while pending:
        name = pending.pop()
        if name in graph and name not in found:
            found.add(name)
            if with_dependencies:
                pending.extend(graph[name])
    return frozenset(found)


def dependents(graph: Graph) -> dict[str, tuple[str, ...]]:
    """Service name to those that depend on it."""
    found: dict[str, list[str]] = {name: [] for name in graph}
    for name, dependencies in graph.items():
        for dependency in dependencies:
            if dependency in found:
                found[dependency].append(name)
    return {name: tuple(names) for name, names in found.items()}
