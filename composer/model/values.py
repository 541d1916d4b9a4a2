"""Sizes and durations as stack files write them. Pure text to numbers and back; raises ValueError with a reason."""

from __future__ import annotations

_SIZE_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}
_NANOSECONDS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,  # micro sign
    "μs": 1_000,  # Greek mu: Go accepts both
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60 * 1_000_000_000,
    "h": 3600 * 1_000_000_000,
    "d": 24 * 3600 * 1_000_000_000,
    "w": 7 * 24 * 3600 * 1_000_000_000,
}
_NUMERIC = frozenset("0123456789.")
MAX_INT64 = (1 << 63) - 1


def parse_bytes(text: str) -> int:
    """`64m`, `1.5GiB`, `512` as bytes: units of 1024, any case, `b` or `ib` after the letter, one space allowed.

    Raises ValueError for anything else and for negative sizes (docker's go-units `RAMInBytes`).
    """
    cut = len(text)
    while cut and text[cut - 1] not in _NUMERIC:
        cut -= 1
    number, unit = text[:cut], text[cut:]
    unit = unit.removeprefix(" ").lower()
    letter = unit[:1]
    if unit not in {letter, f"{letter}b", f"{letter}ib"} or unit in {"bb", "bib"} or letter not in _SIZE_UNITS:
        raise ValueError(f"{text!r} is not a size")
    try:
        size = float(number) * _SIZE_UNITS[letter]
    except ValueError:
        raise ValueError(f"{text!r} is not a size") from None
    if "_" in number or number != number.strip() or not 0 <= size <= MAX_INT64:
        raise ValueError(f"{text!r} is not a size")
    return int(size)


def parse_duration(text: str) -> int:
    """`1m30s`, `1.5h`, `500ms`, `2w` as nanoseconds. Every number needs a unit, but a lone `0`.

    Raises ValueError for anything else, and for what does not fit 64 bits.
    """
    rest = text.removeprefix("-").removeprefix("+")
    if rest == "0":
        return 0
    if not rest or len(text) - len(rest) > 1:
        raise ValueError(f"{text!r} is not a duration")
    total = 0.0
    whole = 0
    while rest:
        digits = len(rest) - len(rest.lstrip("0123456789."))
        number, rest = rest[:digits], rest[digits:]
        letters = next((at for at, char in enumerate(rest) if char in _NUMERIC), len(rest))
        unit, rest = rest[:letters], rest[letters:]
        scale = _NANOSECONDS.get(unit)
        if not unit and number:
            raise ValueError(f"the duration {text!r} lacks a unit")
        if scale is None or number.count(".") > 1 or not number.strip("."):
            raise ValueError(f"{text!r} is not a duration")
        if "." in number:
            total += float(number) * scale
        else:
            whole += int(number) * scale
    nanoseconds = whole + round(total)
    if nanoseconds > MAX_INT64:
        raise ValueError(f"the duration {text!r} is too long")
    return -nanoseconds if text.startswith("-") else nanoseconds


def format_duration(nanoseconds: int) -> str:
    """Nanoseconds as Go prints a duration: `1m30s`, `1h0m0s`, `1.5s`, `250ms`, `0s`."""
    if nanoseconds < 0:
        return "-" + format_duration(-nanoseconds)
    if nanoseconds < 1_000_000_000:
        for unit in ("ms", "µs"):
            if nanoseconds >= _NANOSECONDS[unit]:
                return f"{_fraction(nanoseconds, _NANOSECONDS[unit])}{unit}"
        return f"{nanoseconds}ns" if nanoseconds else "0s"
    minutes, rest = divmod(nanoseconds, _NANOSECONDS["m"])
    hours, minutes = divmod(minutes, 60)
    seconds = f"{_fraction(rest, _NANOSECONDS['s'])}s"
    if hours:
        return f"{hours}h{minutes}m{seconds}"
    return f"{minutes}m{seconds}" if minutes else seconds


def _fraction(amount: int, scale: int) -> str:
    whole, rest = divmod(amount, scale)
    digits = str(rest).zfill(len(str(scale)) - 1).rstrip("0")
    return f"{whole}.{digits}" if digits else str(whole)
