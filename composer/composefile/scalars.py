"""What a plain YAML scalar means: YAML 1.2's core schema with the leftovers of 1.1 that Compose's parser keeps.

Octal `017`, `_` in numbers and dates are such leftovers; `yes`, `on` and `22:22` are strings. Measured against
docker compose 2.40.3; there is a table in the tests.
"""

from __future__ import annotations

from composer.composefile.tree import Date, Scalar

_WORDS: dict[str, Scalar] = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
}
_DIGITS = frozenset("0123456789")
_NUMBER_START = _DIGITS | frozenset("+-.")
_BASES = {"0x": 16, "0o": 8, "0b": 2}
_INT64 = 1 << 63
_UINT64 = 1 << 64


def plain_scalar(text: str) -> Scalar:
    """The value of an unquoted scalar."""
    if not text:
        return None
    if text[0] not in _NUMBER_START:
        return _WORDS.get(text, text)
    if text in _WORDS:
        return _WORDS[text]
    if _is_date(text):
        return Date(text)
    plain = text.replace("_", "")
    whole = _integer(plain)
    if whole is not None:
        return whole
    fractional = _float(plain)
    return text if fractional is None else fractional


def _integer(text: str) -> int | None:
    """`12`, `-3`, `0x1f`, `0b11`, `0o17` and `017` within 64 bits, else None."""
    sign = -1 if text.startswith("-") else 1
    digits = text[1:] if text[:1] in {"+", "-"} else text
    base = _BASES.get(digits[:2].lower(), 0)
    if base:
        digits = digits[2:]
    elif len(digits) > 1 and digits[0] == "0":
        base = 8
    else:
        base = 10
    if not digits.isalnum() or not digits.isascii():
        return None
    try:
        value = sign * int(digits, base)
    except ValueError:
        return None
    return value if -_INT64 <= value < _UINT64 else None


def _float(text: str) -> float | None:
    """`1.5`, `.5`, `1.`, `1e3`, `08`; not `1e400`, which stays a string."""
    bare = text[1:] if text[:1] in {"+", "-"} else text
    mantissa, e, exponent = bare.replace("E", "e").partition("e")
    whole, _, fraction = mantissa.partition(".")
    if e and not (exponent[1:] if exponent[:1] in {"+", "-"} else exponent).isdecimal():
        return None
    if not (whole + fraction).isdecimal() or not text.isascii():
        return None
    value = float(text)
    return None if value in {float("inf"), float("-inf")} else value


def _is_date(text: str) -> bool:
    """`2020-1-2`, or with a time after `T`, `t` or a space, as Go's YAML reads it."""
    if len(text) < 8 or text[4] != "-" or not text[:4].isdecimal():
        return False
    for separator in "Tt ":
        day, found, clock = text.partition(separator)
        if found:
            return _is_day(day) and _is_clock(clock, zone_needed=separator != " ")
    return _is_day(text)


def _is_day(text: str) -> bool:
    parts = text.split("-")
    if len(parts) != 3 or not all(part.isdecimal() and part.isascii() for part in parts):
        return False
    year, month, day = (int(part) for part in parts)
    if len(parts[1]) > 2 or len(parts[2]) > 2 or not 1 <= month <= 12:
        return False
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return 1 <= day <= (31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)[month - 1]


def _is_clock(text: str, *, zone_needed: bool) -> bool:
    if zone_needed:
        if text.endswith("Z"):
            text = text[:-1]
        elif len(text) > 6 and text[-6] in "+-" and text[-3] == ":":
            text = text[:-6]
        else:
            return False
    parts = text.partition(".")[0].split(":")
    fraction = text.partition(".")[2]
    return (
        len(parts) == 3
        and all(part.isdecimal() and len(part) <= 2 for part in parts)
        and int(parts[0]) < 24
        and int(parts[1]) < 60
        and int(parts[2]) < 60
        and (not fraction or fraction.isdecimal())
    )
