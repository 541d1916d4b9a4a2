"""Asks whoever sits there before something goes."""

from __future__ import annotations

import sys

from composer.cli.text import escape
from composer.errors import UsageError


def confirm(what: str) -> None:
    """Says what would be done and asks; "no" ends the command. Raises `UsageError` if there is nobody to ask."""
    import typer

    if not sys.stdin.isatty():
        raise UsageError(f"{what}, and there is nobody to ask", hint="say --force")
    print(f"{escape(what)}\nare you sure? [yN] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise typer.Exit(0)
