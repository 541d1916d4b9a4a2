"""Single values: what each kind accepts, and what it becomes. A string stands for any kind, so that `${VAR}` fits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from composer.composefile.tree import Date, Scalar, go_text, shown
from composer.model.values import MAX_INT64, parse_bytes, parse_duration

_MOST = (1 << 31) - 1
_ALL_PERCENT = 100
_YES = frozenset({"true", "y", "yes", "on"})
_NO = frozenset({"false", "n", "no", "off"})


class WrongKind(ValueError):
    """The value does not fit; `hint` says what to write, "" if the message does."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def _text(value: Scalar) -> Scalar:
    if isinstance(value, str):
        return value
    raise _mistyped("a string", value)


def _any_scalar(value: Scalar) -> Scalar:
    if isinstance(value, Date):
        raise _mistyped("a string or a number", value)
    return value


def _text_or_whole(value: Scalar) -> Scalar:
    if isinstance(value, (Date, bool, float)) or value is None:
        raise _mistyped("a string or a whole number", value)
    return go_text(value)


def _text_or_number(value: Scalar) -> Scalar:
    if isinstance(value, (Date, bool)) or value is None:
        raise _mistyped("a string or a number", value)
    return value


def _text_or_bool(value: Scalar) -> Scalar:
    if isinstance(value, (str, bool)):
        return value
    raise _mistyped("a string, true or false", value)


def _bool(value: Scalar) -> Scalar:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in _YES | _NO:
        return value.lower() in _YES
    raise _mistyped("true or false", value, quotes=False)


def _real_bool(value: Scalar) -> Scalar:
    if isinstance(value, bool):
        return value
    raise _mistyped("true or false, not quoted", value, quotes=False)


_MOST_DIGITS = 100
"""Nothing counts so far, and beyond 4300 Python does not either."""


def _whole(value: Scalar) -> Scalar:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str):
        digits = value[1:] if value[:1] in {"+", "-"} else value
        if digits.isascii() and digits.isdecimal() and len(digits) <= _MOST_DIGITS:
            return int(value)
    raise _mistyped("a whole number", value, quotes=False)


def _real_int(value: Scalar) -> Scalar:
    if isinstance(value, str):
        raise _mistyped("a whole number, not quoted", value, quotes=False)
    return _whole(value)


def _option(value: Scalar) -> Scalar:
    if isinstance(value, Date) or value is None:
        raise _mistyped("a string, a number or a boolean", value)
    return value


def _count(value: Scalar) -> Scalar:
    number = _whole(value)
    if not isinstance(number, int) or number < 0:
        raise WrongKind(f"must not be negative: {number}")
    if number > _MOST:
        raise WrongKind(f"must be {_MOST} or less: {number}")
    return number


def _positive(value: Scalar) -> Scalar:
    number = _whole(value)
    if not isinstance(number, int) or number < 1:
        raise WrongKind(f"must be 1 or more: {number}")
    return number


def _limit(value: Scalar) -> Scalar:
    number = _whole(value)
    if not isinstance(number, int) or number < -1:
        raise WrongKind(f"must be -1 (no limit) or more: {number}")
    return number


def _number(value: Scalar) -> Scalar:
    if isinstance(value, str):
        try:
            value = float(value) if "_" not in value and value == value.strip() else value
        except ValueError:
            raise _mistyped("a number", value, quotes=False) from None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if not 0 <= value < float("inf"):
            raise WrongKind(f"must not be negative: {go_text(value)}" if value < 0 else "must be a number")
        return value
    raise _mistyped("a number", value, quotes=False)


def _bytes(value: Scalar) -> Scalar:
    if value is None or isinstance(value, (bool, Date)):
        raise _mistyped("a size", value, quotes=False)
    try:
        return parse_bytes(go_text(value))
    except ValueError as error:
        raise WrongKind(shown(str(error)), "write a number and b, k, m or g, as in 512m") from None


def _duration(value: Scalar) -> Scalar:
    """Nanoseconds. The specification wants a string: `5` is refused, as it is not said whether of seconds."""
    if not isinstance(value, str):
        hint = f'write "{go_text(value)}s"' if isinstance(value, (int, float)) and not isinstance(value, bool) else ""
        raise WrongKind(f"must be a duration, not {_name(value)}", hint)
    try:
        nanoseconds = parse_duration(value)
    except ValueError as error:
        raise WrongKind(shown(str(error)), "write a number and a unit, as in 1m30s") from None
    if nanoseconds < 0:
        raise WrongKind(f"must not be negative: {shown(value)}")
    return nanoseconds


def _seconds(value: Scalar) -> Scalar:
    """A duration, or a bare number of seconds (our own keys)."""
    if isinstance(value, str):
        nanoseconds = _duration(value)
        return nanoseconds / 1e9 if isinstance(nanoseconds, int) else None
    number = _number(value)
    return float(number) if isinstance(number, (int, float)) else None


def _whole_size(value: Scalar) -> Scalar:
    """A size for which the specification wants a whole number or a string."""
    if isinstance(value, float):
        raise _mistyped("a whole number or a size", value, quotes=False)
    return _bytes(value)


def _size_text(value: Scalar) -> Scalar:
    """A size for which the specification wants a string."""
    if not isinstance(value, str):
        raise _mistyped("a size", value)
    return _bytes(value)


def _size_or_none(value: Scalar) -> Scalar:
    """A size, or -1 for no limit."""
    return -1 if value in (-1, "-1") else _bytes(value)


def _cut(value: Scalar) -> Scalar:
    """A whole number; of a fractional one the fraction is dropped, as docker compose does."""
    return int(value) if isinstance(value, float) and abs(value) < MAX_INT64 else _whole(value)


def _percent(value: Scalar) -> Scalar:
    number = _count(value)
    if not isinstance(number, int) or number > _ALL_PERCENT:
        raise WrongKind(f"must be 0 to 100: {number}")
    return number


def _how_many(value: Scalar) -> Scalar:
    """How many devices; -1 is all."""
    return -1 if value == "all" else _whole(value)


def _octal(value: Scalar) -> Scalar:
    """A file mode: YAML reads `0700` as octal already, a string is read so here."""
    if isinstance(value, str) and value and not value.strip("01234567"):
        value = int(value, 8)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 0o7777:
        return value
    raise _mistyped("a file mode in octal, as in 0755", value, quotes=False)


def _file_mode(value: Scalar) -> Scalar:
    """Docker compose's: a string in octal, signs and all; a number is what YAML has made of it."""
    if isinstance(value, str):
        digits = value[1:] if value[:1] in {"+", "-"} else value
        if digits and not digits.strip("01234567"):
            return int(value, 8)
    elif isinstance(value, int) and not isinstance(value, bool):
        return value
    raise _mistyped("a file mode in octal, as in 0440", value, quotes=False)


KINDS: Mapping[str, Callable[[Scalar], Scalar]] = {
    "text": _text,
    "scalar": _any_scalar,
    "text or whole": _text_or_whole,
    "text or number": _text_or_number,
    "text or bool": _text_or_bool,
    "bool": _bool,
    "real bool": _real_bool,
    "int": _whole,
    "real int": _real_int,
    "option": _option,
    "count": _count,
    "positive": _positive,
    "limit": _limit,
    "number": _number,
    "bytes": _bytes,
    "whole size": _whole_size,
    "size text": _size_text,
    "size or none": _size_or_none,
    "cut": _cut,
    "percent": _percent,
    "how many": _how_many,
    "duration": _duration,
    "seconds": _seconds,
    "octal": _octal,
    "file mode": _file_mode,
}
NAMES: Mapping[str, str] = {
    "text": "a string",
    "scalar": "a string or a number",
    "text or whole": "a string or a whole number",
    "text or number": "a string or a number",
    "text or bool": "a string, true or false",
    "bool": "true or false",
    "real bool": "true or false",
    "int": "a whole number",
    "real int": "a whole number",
    "option": "a string, a number or a boolean",
    "count": "a whole number",
    "positive": "a whole number",
    "limit": "a whole number",
    "number": "a number",
    "bytes": "a size",
    "whole size": "a size",
    "size text": "a size",
    "size or none": "a size",
    "cut": "a whole number",
    "percent": "a whole number",
    "how many": "a whole number or all",
    "duration": "a duration",
    "seconds": "a duration",
    "octal": "a file mode",
    "file mode": "a file mode",
}


class Shape(NamedTuple):
    """What one place accepts; "" means "not this form".

    `scalar`, `items`, `entries` name the kind of a single value, of a list's items, of a mapping's values. The kind
    `*` means "by the table, one pattern further down"; `keys` a mapping with the specification's keys only.
    """

    scalar: str = ""
    items: str = ""
    entries: str = ""

    def __str__(self) -> str:
        forms = [NAMES.get(self.scalar, ""), "a list" if self.items else "", "a mapping" if self.entries else ""]
        return " or ".join(form for form in forms if form)


def is_yaml_1_1_bool(value: Scalar) -> bool:
    """`yes`, `on` and their like: booleans to YAML 1.1 only; accepted with a warning."""
    return isinstance(value, str) and value.lower() in (_YES | _NO) - {"true", "false"}


def _name(value: Scalar) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return f"the boolean {go_text(value)}"
    if isinstance(value, Date):
        return f"the date {value.text}"
    if isinstance(value, str):
        return repr(value) if len(value) <= 40 else "this text"
    return f"the number {go_text(value)}"


def _mistyped(wanted: str, value: Scalar, *, quotes: bool = True) -> WrongKind:
    hint = f'put it in quotes: "{go_text(value)}"' if quotes and value is not None else ""
    return WrongKind(f"must be {wanted}, not {_name(value)}", hint)
