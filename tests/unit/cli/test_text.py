"""Text for people: nothing a terminal would obey, columns that align, times and sizes as docker words them."""

from __future__ import annotations

import io

import pytest

from composer.cli.logs import stamp
from composer.cli.text import ago, escape, is_terminal, one_line, size, table, wants_colour
from composer.host.logs import parse

ESCAPED = [
    ("plain", "plain"),
    ("", ""),
    ("é → ü 漢字 🐳", "é → ü 漢字 🐳"),
    ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
    ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
    ("\x9b31m", r"\x9b31m"),
    ("a\rb", r"a\rb"),
    ("a\bb\x7f", r"a\x08b\x7f"),
    ("a\0b", r"a\x00b"),
    ("\u202ecod.exe", r"\u202ecod.exe"),
    ("a\u200bb\ufeff", r"a\u200bb\ufeff"),
    ("\u2028line", r"\u2028line"),
    ("a\u00a0b", r"a\xa0b"),
    ("\udcff", r"\udcff"),
    ("\U000e0041", r"\U000e0041"),
]


@pytest.mark.parametrize(("text", "shown"), ESCAPED, ids=[shown for _, shown in ESCAPED])
def test_what_a_terminal_would_obey_is_written_out(text: str, shown: str) -> None:
    assert escape(text) == shown
    assert one_line(text) == shown


def test_lines_and_tabs_are_kept_where_text_may_have_lines() -> None:
    assert escape("a\n\tb\x1b") == "a\n\tb\\x1b"
    assert one_line("a\n\tb\x1b") == r"a\n\tb\x1b"


def test_everything_that_comes_out_can_be_printed() -> None:
    for code in range(0x3000):
        assert one_line(chr(code)).isprintable()
        assert one_line(chr(code)).encode()


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert table(("NAME", "STATE"), [("web", "Up"), ("database", "Exited (1)")]) == (
        "NAME       STATE\nweb        Up\ndatabase   Exited (1)\n"
    )


def test_a_table_of_nothing_is_its_headers() -> None:
    assert table(("NAME", "STATE"), []) == "NAME   STATE\n"


def test_lines_of_a_table_do_not_end_in_blanks() -> None:
    assert table(("A", "B"), [("long", "")]) == "A      B\nlong\n"


def test_a_cell_can_neither_forge_a_row_nor_move_the_others() -> None:
    shown = table(("A", "B"), [("x\nforged   row", "1"), ("\x1b[2J", "2")])
    assert shown == "A                 B\nx\\nforged   row   1\n\\x1b[2J           2\n"


MINUTE, HOUR, DAY = 60, 3600, 86400
AGO = [
    (-5, "Less than a second"),
    (0, "Less than a second"),
    (0.9, "Less than a second"),
    (1, "1 second"),
    (2, "2 seconds"),
    (59.9, "59 seconds"),
    (MINUTE, "About a minute"),
    (119, "About a minute"),
    (2 * MINUTE, "2 minutes"),
    (59 * MINUTE + 59, "59 minutes"),
    (HOUR, "About an hour"),
    (HOUR + 29 * MINUTE, "About an hour"),
    (HOUR + 30 * MINUTE, "2 hours"),
    (23 * HOUR, "23 hours"),
    (24 * HOUR, "24 hours"),
    (47 * HOUR, "47 hours"),
    (2 * DAY, "2 days"),
    (13 * DAY, "13 days"),
    (14 * DAY, "2 weeks"),
    (59 * DAY, "8 weeks"),
    (60 * DAY, "2 months"),
    (729 * DAY, "24 months"),
    (730 * DAY, "2 years"),
    (4000 * DAY, "10 years"),
]


@pytest.mark.parametrize(("seconds", "shown"), AGO)
def test_how_long_ago(seconds: float, shown: str) -> None:
    assert ago(1e9 - seconds, 1e9) == shown


def test_now_is_the_default() -> None:
    assert ago(4e9) == "Less than a second"


SIZES = [
    (0, "0B"),
    (1, "1B"),
    (999, "999B"),
    (1000, "1kB"),
    (1530, "1.53kB"),
    (1534, "1.53kB"),
    (10_500, "10.5kB"),
    (999_499, "999kB"),
    (999_600, "1MB"),
    (1_530_000, "1.53MB"),
    (123_456_789, "123MB"),
    (1_000_000_000, "1GB"),
    (2.5e12, "2.5TB"),
    (5e15, "5000TB"),
]


@pytest.mark.parametrize(("count", "shown"), SIZES)
def test_sizes(count: float, shown: str) -> None:
    assert size(count) == shown


class Terminal(io.StringIO):
    """A stream somebody looks at."""

    def isatty(self) -> bool:
        return True


def test_nobody_looks_at_a_file_or_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    assert is_terminal(Terminal())
    assert not is_terminal(io.StringIO())
    assert not is_terminal(None)
    for value, looks in (("1", False), ("true", False), ("TRUE", False), ("0", True), ("", True)):
        monkeypatch.setenv("CI", value)
        assert is_terminal(Terminal()) is looks


def test_colour_is_for_terminals_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert wants_colour(stream=Terminal())
    assert not wants_colour(stream=io.StringIO())
    assert not wants_colour(ansi="never", stream=Terminal())
    assert wants_colour(ansi="always", stream=io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not wants_colour(stream=Terminal())
    assert wants_colour(ansi="always", stream=Terminal())


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"2026-11-23T14:20:00.000000001+00:00 stdout F x", "2026-11-23T14:20:00.000000001Z"),
        (b"2026-11-24T00:20:59.999999999+01:30 stdout F x", "2026-11-23T22:50:59.999999999Z"),
        (b"2026-12-31T23:59:59.500000000-00:30 stdout F x", "2027-01-01T00:29:59.500000000Z"),
    ],
)
def test_lines_are_stamped_in_universal_time(raw: bytes, expected: str) -> None:
    line = parse(raw)
    assert line is not None
    assert stamp(line) == expected
