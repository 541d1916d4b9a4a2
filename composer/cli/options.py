"""What stands before the command, and the options several commands share."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from composer.errors import UsageError


def seconds(option: typer.CallbackParam, value: float | None) -> float | None:
    """A number of seconds, `inf` too. Raises `UsageError` for what is none: docker takes -1 for ever, others for 0."""
    if value is not None and not value >= 0:
        raise UsageError(f"{option.opts[0]} {value:g}", hint="seconds, 0 or more")
    return value


Services = Annotated[list[str] | None, typer.Argument(metavar="[SERVICE...]", help="Services; none means all")]
Timeout = Annotated[
    float | None, typer.Option("--timeout", "-t", help="Seconds before SIGKILL, for all containers", callback=seconds)
]
Index = Annotated[int, typer.Option("--index", help="Number of the replica; 0 is the lowest")]


def scales(values: list[str] | None) -> dict[str, int]:
    """`--scale SERVICE=N`, several. Raises `UsageError`."""
    found = {}
    for value in values or ():
        service, equals, number = value.partition("=")
        # Not isdigit(): it takes ² for a digit, int() does not; and nobody runs ten thousand containers.
        if not service or not equals or not re.fullmatch("[0-9]{1,4}", number):
            raise UsageError(f"--scale {value!r}", hint="write SERVICE=NUMBER, at most 9999")
        found[service] = int(number)
    return found
