from __future__ import annotations

import pytest

from composer.model.values import format_duration, parse_bytes, parse_duration

SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("1", 1),
        ("1b", 1),
        ("1k", 1024),
        ("1K", 1024),
        ("1kb", 1024),
        ("1KiB", 1024),
        ("1 k", 1024),
        ("64m", 64 << 20),
        ("1.5g", 1610612736),
        ("1t", 1 << 40),
        ("1p", 1 << 50),
        (".5k", 512),
        ("1024.9", 1024),
        ("1e3", 1000),
    ],
)
def test_a_size_is_read(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "k", "-1", "1x", "1kk", "1bb", "1ib", "1  k", "1,5m", " 1", "1_0", "0x1", "9e9p"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size"):
        parse_bytes(text)


@pytest.mark.parametrize(
    ("text", "nanoseconds", "printed"),
    [
        ("0", 0, "0s"),
        ("5s", 5 * SECOND, "5s"),
        ("90s", 90 * SECOND, "1m30s"),
        ("1h", 3600 * SECOND, "1h0m0s"),
        ("1.5s", 1_500_000_000, "1.5s"),
        (".5s", 500_000_000, "500ms"),
        ("1d", 86400 * SECOND, "24h0m0s"),
        ("1w2d3h4m5s6ms7us8ns", 788645006007008, "219h4m5.006007008s"),
        ("1µs", 1000, "1µs"),
        ("1500us", 1_500_000, "1.5ms"),
        ("7ns", 7, "7ns"),
        ("-5s", -5 * SECOND, "-5s"),
    ],
)
def test_a_duration_is_read_and_printed(text: str, nanoseconds: int, printed: str) -> None:
    assert parse_duration(text) == nanoseconds
    assert format_duration(nanoseconds) == printed


@pytest.mark.parametrize("text", ["", "5", "s", "5x", "1m 30s", "1.5.5s", "1H", "--5s", ".s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


def test_a_duration_beyond_64_bits_is_refused() -> None:
    with pytest.raises(ValueError, match="too long"):
        parse_duration("9999999999h")
