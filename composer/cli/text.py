"""Text for people: escaped, aligned, coloured where somebody looks."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Sequence
from typing import TextIO

from composer.errors import UsageError

_KEPT = {"\n", "\t"}


def escape(text: str) -> str:
    """`text` without what a terminal would obey: control characters become `\\x1b`-like escapes."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or character in _KEPT else repr(character)[1:-1] for character in text
    )


def one_line(text: str) -> str:
    """`escape`, and no new line either: for lists in which a line means something."""
    return escape(text).replace("\n", "\\n").replace("\t", "\\t")


def table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns, three blanks apart, as docker prints them."""
    lines = [tuple(headers), *(tuple(map(one_line, row)) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headers))]
    return "".join(
        "   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() + "\n"
        for line in lines
    )


def write_to(target: str, text: str) -> None:
    """The text into a file of the user's. Raises `UsageError` if that cannot be."""
    try:
        with open(target, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise UsageError(f"{target}: {(error.strerror or str(error)).lower()}", hint="name another file") from None


def status_stream() -> TextIO:
    """Where progress is shown: stderr, stdout if COMPOSE_STATUS_STDOUT says so."""
    wanted = os.environ.get("COMPOSE_STATUS_STDOUT", "").lower() in {"1", "t", "true"}
    return sys.stdout if wanted else sys.stderr


def is_terminal(stream: object) -> bool:
    """Whether somebody looks: a terminal, and not in CI."""
    isatty = getattr(stream, "isatty", None)
    return bool(isatty and isatty()) and os.environ.get("CI", "").lower() not in {"1", "true"}


def wants_colour(*, ansi: str = "auto", stream: object = None) -> bool:
    """`--ansi`, NO_COLOR, a terminal."""
    if ansi in {"always", "never"}:
        return ansi == "always"
    return not os.environ.get("NO_COLOR") and is_terminal(stream or sys.stdout)


def ago(moment: float, now: float | None = None) -> str:
    """`5 minutes`, as docker words it. `moment` in seconds since the epoch."""
    seconds = max(0, int((time.time() if now is None else now) - moment))
    if seconds < 60:
        return {0: "Less than a second", 1: "1 second"}.get(seconds, f"{seconds} seconds")
    if seconds < 3600:
        return "About a minute" if seconds < 120 else f"{seconds // 60} minutes"
    hours = (seconds + 1800) // 3600  # hours are rounded, everything else is cut
    if hours < 48:
        return "About an hour" if hours == 1 else f"{hours} hours"
    days = hours // 24
    for limit, unit, name in ((14, 1, "days"), (60, 7, "weeks"), (730, 30, "months")):
        if days < limit:
            return f"{days // unit} {name}"
    return f"{days // 365} years"


def size(count: float) -> str:
    """`1.53MB`, decimal, as docker shows sizes of images."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:  # what three digits would round to 1000 is one of the next unit
            return f"{count:.3g}{unit}"
        count /= 1000
    return f"{count:.3g}TB" if count < 999.5 else f"{count:.0f}TB"
