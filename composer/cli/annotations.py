"""Errors for programs: JSON Lines for whoever asked for JSON, and GitHub's annotations of the lines that are wrong."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from composer.errors import Complaint, JockerError, StackFileError

_PASSED_ON = frozenset({"run", "exec", "--"})
"""What follows these may be the options of another program."""


def wants_json(arguments: Sequence[str], environ: Mapping[str, str]) -> bool:
    """Does the command line (or COMPOSE_PROGRESS) ask for JSON?"""
    asked = environ.get("COMPOSE_PROGRESS", "")
    last = ""
    for argument in arguments:
        if argument in _PASSED_ON and last not in {"-f", "--file", "-p", "--project-name"}:
            break
        option, equals, value = argument.partition("=")
        if equals and option in {"--format", "--progress"}:
            asked = value if option == "--progress" or value == "json" else asked
        elif last == "--progress" or (last == "--format" and argument == "json"):
            asked = argument
        last = argument
    return asked == "json"


def json_lines(error: JockerError) -> list[str]:
    """One object per complaint: `error` (true), `message`, `code`; `hint`, `file`, `line`, `column`, `path` and `chain`
    where there are such.
    """
    if isinstance(error, StackFileError):
        return [_json(_told(complaint), error.exit_code) for complaint in error.complaints]
    entries: dict[str, Any] = {"message": error.message, "hint": error.hint}
    if error.place is not None:
        entries = _told(Complaint(error.message, error.place, error.hint))
    return [_json(entries, error.exit_code)]


def _told(complaint: Complaint) -> dict[str, Any]:
    place = complaint.place
    return {
        "message": complaint.message,
        "hint": complaint.hint,
        "file": place.file,
        "line": place.line,
        "column": place.column,
        "path": place.path,
        "chain": list(complaint.chain),
    }


def _json(entries: Mapping[str, Any], code: int) -> str:
    known = {key: value for key, value in entries.items() if value or key == "message"}
    return json.dumps({"error": True, **known, "code": code}, ensure_ascii=False)


def github_lines(error: JockerError, environ: Mapping[str, str], cwd: str) -> list[str]:
    """`::error` commands of GitHub's runner, one per complaint; paths are relative to the checked-out repository."""
    if not isinstance(error, StackFileError):
        return [f"::error title=jocker::{_data(_text(error.message, error.hint))}"]
    lines = []
    for message, place, hint, chain in error.complaints:
        properties = {"title": f"jocker: {place.path}" if place.path else "jocker"}
        if place.line:
            where = os.path.normpath(os.path.join(cwd, place.file))
            root = environ.get("GITHUB_WORKSPACE", "").rstrip("/")
            properties["file"] = os.path.relpath(where, root) if root and where.startswith(f"{root}/") else place.file
            properties["line"] = str(place.line)
            properties["col"] = str(place.column)
            properties["endColumn"] = str(place.column + max(1, place.width))
        written = ",".join(f"{key}={_property(value)}" for key, value in properties.items())
        lines.append(f"::error {written}::{_data(_text(message, hint, *chain))}")
    return lines


def _text(*lines: str) -> str:
    return "\n".join(filter(None, lines))


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
