"""A plan: numbered steps, what each must wait for, and what the user should know. It prints itself."""

from __future__ import annotations

from composer.frozen import frozen
from composer.plan.steps import AnyStep


@frozen(kw_only=False)
class Node:
    """A step with its number (from 1) and the numbers of the steps that must be done before."""

    number: int
    step: AnyStep
    after: tuple[int, ...] = ()

    def __str__(self) -> str:
        after = ",".join(map(str, self.after))
        return f"[{after}] -> #{self.number} {type(self.step).__name__} {self.step.subject}: {self.step.because}"


@frozen
class Plan:
    """What would be done. `unchanged` are the containers left alone, by name; `warnings` are for stderr. `stale` are
    volumes that stay although the stack file now says something else of them.
    """

    nodes: tuple[Node, ...] = ()
    unchanged: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    stale: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "".join(f"{node}\n" for node in self.nodes)

    def __bool__(self) -> bool:
        return bool(self.nodes)


class Draft:
    """A plan being written. Lives only inside one planning function."""

    def __init__(self) -> None:
        self._nodes: list[Node] = []

    def add(self, step: AnyStep, *, after: tuple[int, ...] = ()) -> int:
        """Appends a step and returns its number."""
        number = len(self._nodes) + 1
        self._nodes.append(Node(number, step, tuple(sorted(set(after)))))
        return number

    def put_first(self, step: AnyStep, *, before: tuple[type, ...]) -> None:
        """Puts a step before all others; those of the kinds named wait for it."""
        moved = [
            Node(
                node.number + 1,
                node.step,
                (*((1,) if isinstance(node.step, before) else ()), *(number + 1 for number in node.after)),
            )
            for node in self._nodes
        ]
        self._nodes = [Node(1, step), *moved]

    def finish(
        self, *, unchanged: tuple[str, ...] = (), warnings: tuple[str, ...] = (), stale: tuple[str, ...] = ()
    ) -> Plan:
        return Plan(nodes=tuple(self._nodes), unchanged=unchanged, warnings=warnings, stale=stale)
