"""What stands before the command, and the options several commands share."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

from composer.errors import UsageError

if TYPE_CHECKING:
    pass

Services = Annotated[list[str] | None, typer.Argument(metavar="[SERVICE...]", help="Services; none means all")]
Timeout = Annotated[float | None, typer.Option("--timeout", "-t", help="Seconds before SIGKILL, for all containers")]
Index = Annotated[int, typer.Option("--index", help="Number of the replica; 0 is the lowest")]
Format = Annotated[str, typer.Option("--format", help="table or json")]


def scales(values: list[str] | None) -> dict[str, int]:
    """`--scale SERVICE=N`, several. Raises `UsageError`."""
    found = {}
    for value in values or ():
        service, equals, number = value.partition("=")
        # Not isdigit(): it takes ² for a digit, int() does not; and nobody runs a billion containers.
        if not service or not equals or not re.fullmatch("[0-9]{1,9}", number):
            raise UsageError(f"--scale {value!r}", hint="write SERVICE=NUMBER")
        found[service] = int(number)
    return found
