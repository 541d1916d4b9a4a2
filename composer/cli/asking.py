"""Asks whoever sits there before something goes."""

from __future__ import annotations

import sys

from composer.cli.text import escape
from composer.errors import UsageError


def agrees(question: str) -> bool:
    """Asks; anything but yes is no."""
    print(f"{escape(question)} [yN] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def confirm(what: str) -> None:
    """Says what would be done and asks; "no" ends the command. Raises `UsageError` if there is nobody to ask."""
    import typer

    if not sys.stdin.isatty():
        raise UsageError(f"{what}, and there is nobody to ask", hint="say --force")
    if not agrees(f"{what}\nare you sure?"):
        raise typer.Exit(0)
