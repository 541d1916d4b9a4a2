"""Patterns of .dockerignore: which paths below a directory they mean.

Rules: the reference of `docker build` (".dockerignore file"): `*`, `?`, `[…]` within one name, `**` for any number of
directories, `!` for exceptions, the last pattern that matches decides. Who means a directory means all in it.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import NamedTuple


class _Pattern(NamedTuple):
    expression: re.Pattern[str]
    is_exception: bool


class Patterns:
    """A list of patterns, in order."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._texts = tuple(texts)

    @cached_property
    def _compiled(self) -> tuple[_Pattern, ...]:
        return tuple(_compiled(self._texts))

    def match(self, path: str) -> bool:
        """Whether they mean `path`: relative to what they are relative to, without `.` and `..`."""
        parts = path.split("/")
        above = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
        matched = False
        for pattern in self._compiled:
            if pattern.is_exception == matched and any(pattern.expression.fullmatch(one) for one in above):
                matched = not pattern.is_exception
        return matched


def lines_of(text: str) -> tuple[str, ...]:
    """The patterns of a .dockerignore, without comments and empty lines."""
    lines = (line.strip() for line in text.removeprefix("\ufeff").splitlines() if not line.startswith("#"))
    return tuple(line for line in lines if line)


def _compiled(texts: Iterable[str]) -> Iterator[_Pattern]:
    for text in texts:
        stripped = text.strip()
        is_exception = stripped.startswith("!")
        name = stripped.removeprefix("!").strip()
        if name:
            name = posixpath.normpath(name).lstrip("/")
        if name == ".":
            name = "**"
        if name:
            yield _Pattern(re.compile(_expression(name), re.DOTALL), is_exception)


def _expression(pattern: str) -> str:
    """A pattern as a regular expression that has to match the whole path.

    Of everything between two wildcards the first place that fits is as good as any, so it is kept (atomic groups):
    no pattern takes longer than the path is long times its own length. `**` within a name is the odd exception.
    """
    runs: list[list[str]] = [[]]
    is_odd = False
    for name in pattern.split("/"):
        if name == "**":
            runs += [[]] if runs[-1] or len(runs) == 1 else []
        else:
            is_odd = is_odd or "**" in name
            runs[-1].append(_name(name))
    keep = "(?:" if is_odd else "(?>"
    first, *middle = ["/".join(run) for run in runs]
    if not middle:
        return first
    last = middle.pop()
    found = f"{first}/" if first else ""
    found += "".join(f"{keep}(?:[^/]*/)*?{run}/)" for run in middle)
    return found + (f"(?:[^/]*/)*{last}" if last else ".*")


def _name(text: str) -> str:
    """One name of a pattern as a regular expression."""
    pieces, at = [""], 0
    while at < len(text):
        character = text[at]
        at += 1
        if character == "*":
            if text[at : at + 1] == "*":
                pieces[-1] += ".*"
                at += len(text[at:]) - len(text[at:].lstrip("*"))
            else:
                pieces.append("")
        elif character == "?":
            pieces[-1] += "[^/]"
        elif character == "\\" and at < len(text):
            pieces[-1] += re.escape(text[at])
            at += 1
        elif character == "[" and (end := _end_of_class(text, at)):
            pieces[-1] += _class(text[at:end])
            at = end + 1
        else:
            pieces[-1] += re.escape(character)
    first, *rest = pieces
    if not rest:
        return first
    last = rest.pop()
    return first + "".join(f"(?>[^/]*?{piece})" for piece in rest) + f"[^/]*{last}"


def _end_of_class(pattern: str, start: int) -> int:
    """Where the `]` of a class stands whose `[` stands before `start`; 0 if there is none: then it is a plain `[`."""
    at = start + pattern[start : start + 1].count("^")
    return pattern.find("]", at + 1) if at < len(pattern) and pattern.find("]", at + 1) > 0 else 0


def _class(text: str) -> str:
    """What stands between brackets: characters and ranges, `^` first for all others."""
    negated, text = text.startswith("^"), text.removeprefix("^")
    members, at = "", 0
    while at < len(text):
        low, high = text[at], text[at + 2 : at + 3]
        if text[at + 1 : at + 2] == "-" and high:
            if low <= high:
                members += f"{re.escape(low)}-{re.escape(high)}"
            at += 3
        else:
            members += re.escape(low)
            at += 1
    if not members:
        return "[^/]" if negated else "(?!)"
    return f"(?!/)[{'^' if negated else ''}{members}]"
