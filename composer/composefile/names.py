"""The project's name: given, written in the file, or the directory's (docker compose's rules)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from posixpath import basename

from composer.composefile.interpolate import BadTemplate, expand
from composer.composefile.tree import Findings, Node, shown
from composer.errors import UsageError

_FIRST = frozenset("abcdefghijklmnopqrstuvwxyz0123456789")
_ALLOWED = _FIRST | frozenset("_-")
_HINT = "lower-case letters, digits, dashes and underscores; a letter or digit first"


def check_project_name(name: str, origin: str) -> str:
    """The name, if it may be one; `origin` says where it comes from. Raises `UsageError`."""
    if name and name[0] in _FIRST and _ALLOWED.issuperset(name):
        return name
    raise UsageError(
        f"{origin}: {shown(name)!r} cannot be a project's name",
        hint=_HINT,
    )


def normalise(text: str) -> str:
    """The text with everything dropped that a project's name cannot have; may be empty."""
    return "".join(char for char in text.lower() if char in _ALLOWED).lstrip("_-")


def name_from_file(documents: Iterable[Node], environment: Mapping[str, str], findings: Findings) -> str | None:
    """The top-level `name:` of the last document that has one, interpolated and normalised; None without one."""
    name: str | None = None
    for document in documents:
        node = document.at("name")
        if node is None or not isinstance(node.value, str):
            continue
        try:
            written = expand(node.value, environment.get)
        except BadTemplate:  # complained about when the document is interpolated
            continue
        if (written or node.value) and not normalise(written):
            findings.complain(f"{shown(written)!r} cannot be a project's name", node.mark, ("name",), _HINT)
        name = normalise(written) or name
    return name


def name_of_directory(directory: str) -> str:
    """The directory's own name, normalised. Raises `UsageError` if nothing is left of it."""
    name = normalise(basename(directory.rstrip("/")))
    if name:
        return name
    raise UsageError("the project has no name", hint="write `name:` into the stack file, or give -p NAME")


def name_without_yaml(text: str) -> tuple[bool, str | None]:
    """The `name:` of a file by looking at its first lines only: (is the answer sure, the name as written or None).

    Sure means that YAML could not say anything else. Parsing costs 20 ms, and `ps` needs no more than the name.
    """
    found: str | None = None
    if "name" not in text and "<<" not in text and "\\" not in text:
        return True, None
    for line in text.splitlines():
        statement = line.split(" #")[0].rstrip()
        if not statement or statement.startswith("#"):
            continue
        key, colon, value = statement.partition(": ")
        if not colon or not key.isidentifier() or not _ALLOWED.issuperset(value) or not value:
            break
        if key == "name":
            found = value
            break
    if found is None or found.isdecimal() or found in {"null", "true", "false"} or "\n---" in text:
        return False, None
    return True, found
