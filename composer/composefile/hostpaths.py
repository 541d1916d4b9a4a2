"""Paths of the host as a stack file writes them."""

from __future__ import annotations

from posixpath import isabs, join, normpath, relpath
from typing import NamedTuple


class Base(NamedTuple):
    """What paths start from: the project directory and the user's home, absolute."""

    directory: str
    home: str


def absolute(text: str, base: Base) -> str:
    """A host path, `~` expanded, relative ones from the project directory."""
    if text == "~" or text.startswith("~/"):
        text = base.home + text[1:]
    return clean(text if isabs(text) else join(base.directory, text))


def clean(path: str) -> str:
    """Without `.`, `..`, doubled and trailing slashes; absolute stays absolute."""
    path = normpath(path)
    return path[1:] if path.startswith("//") else path


def display_path(path: str, cwd: str) -> str:
    """The path as the user would write it: relative if it is below the current directory."""
    return relpath(path, cwd) if cwd and path.startswith(cwd.rstrip("/") + "/") else path
