"""What counts as the name of a signal."""

from __future__ import annotations

import pytest

from composer.errors import UsageError
from composer.host.process import signal_number


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("SIGTERM", 15),
        ("TERM", 15),
        ("sigterm", 15),
        (" Term ", 15),
        ("15", 15),
        ("015", 15),
        ("1", 1),
        ("64", 64),
        ("SIGUSR1", 10),
        ("USR2", 12),
        ("WINCH", 28),
        ("CLD", 17),
        ("SIGPOLL", 29),
        ("RTMIN", 34),
        ("SIGRTMIN+3", 37),
        ("rtmin+30", 64),
        ("SIGRTMAX-1", 63),
        ("RTMAX", 64),
    ],
)
def test_a_signal_has_names_and_a_number(name: str, number: int) -> None:
    assert signal_number(name) == number


@pytest.mark.parametrize(
    "name",
    ["", " ", "0", "65", "-1", "+9", "²", "٣", "1.5", "0x0f", "SIG", "SIG15", "SIG TERM", "TERMINATE", "TERM\nKILL"],
)
def test_anything_else_is_refused_with_a_hint(name: str) -> None:
    with pytest.raises(UsageError) as refused:
        signal_number(name)
    assert repr(name) in refused.value.message
    assert refused.value.hint


@pytest.mark.parametrize(
    "name",
    ["TERM+1", "KILL-1", "RTMIN-1", "RTMIN+31", "RTMAX+1", "RTMAX-31", "RTMIN+-1", "RTMIN+", "RTMIN+ 3"],
)
def test_only_what_lies_between_the_real_time_signals_can_be_counted_from_them(name: str) -> None:
    with pytest.raises(UsageError):
        signal_number(name)
