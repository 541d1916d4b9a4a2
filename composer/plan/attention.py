"""What the end of a container means to an `up` that stays in the foreground. Decisions as docker compose's, but for the
service that others wait for: that it ends with 0 is what it is there for, and ends nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from composer.frozen import frozen
from composer.model.service import Project

UNKNOWN_CODE = 255
"""What we end with where it should be the code of a container, and nobody knows that."""


class Ended(NamedTuple):
    """A container has come to its end. `name` without the project; `code` None: nobody knows."""

    service: str
    name: str
    code: int | None


@frozen
class Attention:
    """Which services an `up` in the foreground is about, and what it makes of their ends.

    `awaited` are the services that others wait for to complete. `exit_code_from` "" = nobody's code is asked for.
    """

    watched: frozenset[str]
    abort_on: Literal["never", "exit", "failure"] = "never"
    exit_code_from: str = ""
    awaited: frozenset[str] = frozenset()

    def aborts(self, ended: Ended) -> bool:
        """Whether this end is the end of all."""
        if ended.service not in self.watched or self.abort_on == "never":
            return False
        return ended.code != 0 or (self.abort_on == "exit" and ended.service not in self.awaited)

    def exit_code(self, endings: Sequence[Ended]) -> int:
        """What to end with after these endings, in their order."""
        if self.exit_code_from:
            deciding = next((one for one in endings if one.service == self.exit_code_from), None)
            return UNKNOWN_CODE if deciding is None or deciding.code is None else deciding.code
        deciding = next(filter(self.aborts, endings), None)
        if deciding is None:
            return 0
        return UNKNOWN_CODE if deciding.code is None else deciding.code


def awaited(project: Project) -> frozenset[str]:
    """The services that some other waits for to complete."""
    return frozenset(
        name
        for service in project.services.values()
        for name, dependency in service.depends_on.items()
        if dependency.condition == "service_completed_successfully"
    )


def attached(
    project: Project,
    selected: Iterable[str],
    *,
    named: Sequence[str],
    attach: Sequence[str],
    no_attach: Sequence[str],
    with_dependencies: bool,
) -> frozenset[str]:
    """Whose output is shown. `selected` are the services that come up: those `named` (none: all) and what they need.
    Who says `attach: false` is shown only if `attach` names it.
    """
    if attach:
        return frozenset(attach) - frozenset(no_attach)
    wanted = selected if with_dependencies or not named else named
    return frozenset(name for name in wanted if project.services[name].attach) - frozenset(no_attach)
