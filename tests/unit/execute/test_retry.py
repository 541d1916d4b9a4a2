"""Patience as numbers: how often, how long, and for what."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from composer.errors import CommandFailed, ContainerError, JockerError
from composer.execute.retry import with_patience


class Flaky:
    """Fails so many times, then gives its number of calls."""

    def __init__(self, failures: int, error: Callable[[int], Exception]) -> None:
        self.calls = 0
        self._failures, self._error = failures, error

    def __call__(self) -> int:
        self.calls += 1
        if self.calls <= self._failures:
            raise self._error(self.calls)
        return self.calls


def busy(call: int) -> JockerError:
    return JockerError(f"busy {call}", transient=True)


def silent(*_: object) -> None:
    """Nobody listens, nobody sleeps."""


def test_what_works_at_once_is_called_once() -> None:
    assert with_patience(Flaky(0, busy), silent, pause=silent) == 1


@pytest.mark.parametrize(("failures", "attempts"), [(1, 2), (4, 5), (1, 5), (9, 10)])
def test_so_many_attempts_bear_one_failure_less(failures: int, attempts: int) -> None:
    assert with_patience(Flaky(failures, busy), silent, attempts=attempts, pause=silent) == failures + 1


@pytest.mark.parametrize("attempts", [0, 1, 2, 5])
def test_one_failure_more_is_raised_as_the_last_one(attempts: int) -> None:
    action = Flaky(99, busy)
    with pytest.raises(JockerError, match=f"busy {max(1, attempts)}$"):
        with_patience(action, silent, attempts=attempts, pause=silent)
    assert action.calls == max(1, attempts)


@pytest.mark.parametrize(
    "error", [lambda _: ContainerError("no"), lambda _: OSError(5, "no"), lambda _: ValueError("no")]
)
def test_only_what_is_worth_it_is_tried_again(error: Callable[[int], Exception]) -> None:
    action = Flaky(1, error)
    with pytest.raises((ContainerError, OSError, ValueError)):
        with_patience(action, silent, pause=silent)
    assert action.calls == 1


def test_an_error_of_another_kind_in_between_ends_it() -> None:
    action = Flaky(3, lambda call: busy(call) if call < 3 else OSError(5, "broken"))
    with pytest.raises(OSError, match="broken"):
        with_patience(action, silent, pause=silent)
    assert action.calls == 3


def test_the_caller_may_say_what_is_worth_it() -> None:
    action = Flaky(1, lambda _: CommandFailed(("x",), 1, "no"))
    assert with_patience(action, silent, is_worth_it=lambda error: isinstance(error, CommandFailed), pause=silent) == 2


def test_waits_double_from_the_first_to_the_longest() -> None:
    waits: list[float] = []
    with pytest.raises(JockerError):
        with_patience(Flaky(99, busy), silent, attempts=8, first_wait=1.0, longest_wait=10.0, pause=waits.append)
    assert len(waits) == 7
    for waited, least in zip(waits, (1, 2, 4, 8), strict=False):
        assert least <= waited <= min(10.0, least + 1.0)
    assert waits[4:] == [10.0, 10.0, 10.0]


def test_each_new_attempt_is_announced_with_the_failure_before() -> None:
    heard: list[tuple[int, int, str]] = []
    with_patience(Flaky(2, busy), lambda *what: heard.append(what), attempts=4, pause=silent)
    assert heard == [(2, 4, "busy 1"), (3, 4, "busy 2")]
