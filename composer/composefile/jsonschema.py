"""A JSON Schema (draft 2020-12) of stack files, made from the tables that the checks walk by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from composer.composefile.shapes import CHOICES, NULL_HERE, ONCE, SHAPES, Choice
from composer.composefile.support import NO_EXTENSIONS, Support, keys_of, note_on

_VARIABLE: Final = r"\$"
"""A text with a dollar may become anything."""
_NAME: Final = r"^[A-Za-z0-9._-]+$"
_BOOL: Final = r"^([Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee]|[Yy]|[Yy][Ee][Ss]|[Nn]|[Nn][Oo]|[Oo][Nn]|[Oo][Ff][Ff])$"
_WHOLE: Final = r"^[+-]?[0-9]+$"
_NUMBER: Final = r"^[0-9+-.]"
_DURATION: Final = r"^[+-]?(0|([0-9.]+(ns|us|µs|μs|ms|s|m|h|d|w))+)$"
_NAMED: Final = frozenset({"services", "networks", "volumes"})


def _or_variable(pattern: str) -> str:
    return f"{pattern}|{_VARIABLE}"


def _text_or(number: str, pattern: str, **limits: int) -> dict[str, Any]:
    return {"type": [number, "string"], "pattern": _or_variable(pattern), **limits}


_KINDS: Final[Mapping[str, dict[str, Any]]] = {
    "text": {"type": "string"},
    "scalar": {"type": ["string", "number", "boolean", "null"]},
    "option": {"type": ["string", "number", "boolean"]},
    "text or whole": {"type": ["string", "integer"]},
    "text or number": {"type": ["string", "number"]},
    "text or bool": {"type": ["string", "boolean"]},
    "bool": {"type": ["boolean", "string"], "pattern": _or_variable(_BOOL)},
    "real bool": {"type": "boolean"},
    "real int": {"type": "integer"},
    "int": _text_or("integer", _WHOLE),
    "count": _text_or("integer", _WHOLE, minimum=0),
    "positive": _text_or("integer", _WHOLE, minimum=1),
    "limit": _text_or("integer", _WHOLE, minimum=-1),
    "number": _text_or("number", _NUMBER, minimum=0),
    "bytes": _text_or("number", r"^[0-9.]", minimum=0),
    "whole size": _text_or("integer", r"^[0-9.]", minimum=0),
    "size text": {"type": "string", "pattern": _or_variable(r"^[0-9.]")},
    "size or none": _text_or("number", r"^(-1$|[0-9.])", minimum=-1),
    "cut": _text_or("number", _WHOLE),
    "percent": _text_or("integer", _WHOLE, minimum=0, maximum=100),
    "how many": _text_or("integer", _or_variable(rf"^all$|{_WHOLE}")),
    "duration": {"type": "string", "pattern": _or_variable(_DURATION)},
    "seconds": _text_or("number", _DURATION, minimum=0),
    "octal": _text_or("integer", r"^[0-7]+$", minimum=0),
    "file mode": _text_or("integer", r"^[-+]?[0-7]+$"),
}


def json_schema() -> dict[str, Any]:
    """The whole schema, as plain values."""
    whole = _place("")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "jocker.yml",
        "description": "A stack file of the Compose Specification, with what jocker adds as x-jocker",
        **whole,
    }


def _place(pattern: str) -> dict[str, Any]:
    """What may stand at one place."""
    shape = SHAPES.get(pattern)
    if shape is None:
        return {}
    forms: list[dict[str, Any]] = []
    if shape.scalar:
        forms.append(_scalar(shape.scalar, CHOICES.get(pattern)))
    if shape.items:
        items = _place(f"{pattern}[]") if shape.items == "*" else _kind(shape.items)
        forms.append({"type": "array", "items": items, **({"uniqueItems": True} if pattern in ONCE else {})})
    if shape.entries:
        forms.append(_mapping(pattern, shape.entries))
    if pattern in NULL_HERE:
        forms.append({"type": "null"})
    return forms[0] if len(forms) == 1 else {"anyOf": forms}


def _mapping(pattern: str, kind: str) -> dict[str, Any]:
    if kind != "keys":
        below = _place(f"{pattern}.*") if kind == "*" else _kind(kind)
        if kind != "*" and f"{pattern}.*" in NULL_HERE and "null" not in below["type"]:
            below = {"anyOf": [below, {"type": "null"}]}
        names = {"propertyNames": {"pattern": _NAME}} if pattern in _NAMED else {}
        return {"type": "object", "additionalProperties": below, **names}
    properties = {}
    for key, support in sorted(keys_of(pattern).items()):
        path = f"{pattern}.{key}" if pattern else key
        properties[key] = {**_told(path, support), **_place(path)}
    extensions: dict[str, Any] = {} if pattern in NO_EXTENSIONS else {"patternProperties": {"^x-": {}}}
    return {"type": "object", "properties": properties, **extensions, "additionalProperties": False}


def _told(path: str, support: Support) -> dict[str, Any]:
    """What an editor shows beside a key: how far it is supported, and what is said about it."""
    note = note_on(path)
    state = "" if support is Support.SUPPORTED else support.value
    text = ": ".join(filter(None, (state, note)))
    return {"description": text} if text else {}


def _kind(kind: str) -> dict[str, Any]:
    return dict(_KINDS[kind])


def _scalar(kind: str, choice: Choice | None) -> dict[str, Any]:
    if choice is None:
        return _kind(kind)
    words = [*choice.accepted, *choice.later]
    patterns = [f"^{prefix}" for prefix in (*choice.prefixes, *choice.later_prefixes)]
    return {"type": "string", "anyOf": [{"enum": words}, {"pattern": "|".join([*patterns, _VARIABLE])}]}
