"""The flags of an `up` that stays in the foreground."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from composer.errors import UsageError
from composer.frozen import frozen

Attach = Annotated[list[str] | None, typer.Option("--attach", help="Show the output of this service; several")]
NoAttach = Annotated[
    list[str] | None, typer.Option("--no-attach", help="Do not show the output of this service; several")
]
AttachDependencies = Annotated[bool, typer.Option("--attach-dependencies", help="Show the output of dependencies, too")]
NoColor = Annotated[bool, typer.Option("--no-color", help="No colours")]
NoLogPrefix = Annotated[bool, typer.Option("--no-log-prefix", help="No names before the lines")]
Timestamps = Annotated[bool, typer.Option("--timestamps", help="Show when each line came")]
AbortOnExit = Annotated[
    bool, typer.Option("--abort-on-container-exit", help="When one container ends, stop all; end with its code")
]
AbortOnFailure = Annotated[
    bool, typer.Option("--abort-on-container-failure", help="When one container fails, stop all; end with its code")
]
ExitCodeFrom = Annotated[
    str | None, typer.Option("--exit-code-from", help="As --abort-on-container-exit, with this service's code")
]


@frozen
class Wanted:
    """What the command line says about an `up` in the foreground."""

    attach: tuple[str, ...] = ()
    no_attach: tuple[str, ...] = ()
    attach_dependencies: bool = False
    colour: bool = True
    prefix: bool = True
    timestamps: bool = False
    abort_on_exit: bool = False
    abort_on_failure: bool = False
    exit_code_from: str = ""

    def check(self) -> None:
        """Raises `UsageError` for what excludes each other."""
        if self.abort_on_exit and self.abort_on_failure:
            raise UsageError("--abort-on-container-exit and --abort-on-container-failure exclude each other")
        if self.attach and self.attach_dependencies:
            raise UsageError("--attach and --attach-dependencies exclude each other")

    def needs_foreground(self) -> str:
        """The first option that means nothing to an `up` that leaves, or ""."""
        given = {
            "--abort-on-container-exit": self.abort_on_exit,
            "--abort-on-container-failure": self.abort_on_failure,
            "--exit-code-from": self.exit_code_from,
            "--attach": self.attach,
            "--attach-dependencies": self.attach_dependencies,
        }
        return next((name for name, value in given.items() if value), "")


def flags(
    attach: Sequence[str] | None,
    no_attach: Sequence[str] | None,
    *,
    attach_dependencies: bool,
    no_color: bool,
    no_log_prefix: bool,
    timestamps: bool,
    abort_on_exit: bool,
    abort_on_failure: bool,
    exit_code_from: str | None,
) -> Wanted:
    """The flags as a value. Raises `UsageError` for flags that exclude each other."""
    wanted = Wanted(
        attach=tuple(attach or ()),
        no_attach=tuple(no_attach or ()),
        attach_dependencies=attach_dependencies,
        colour=not no_color,
        prefix=not no_log_prefix,
        timestamps=timestamps,
        abort_on_exit=abort_on_exit,
        abort_on_failure=abort_on_failure,
        exit_code_from=exit_code_from or "",
    )
    wanted.check()
    return wanted
