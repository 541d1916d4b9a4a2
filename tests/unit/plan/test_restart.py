"""Restarts decided without a clock: how it ended, how often before, the policy."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from composer.model.life import RestartCondition, RestartPolicy
from composer.plan.restart import Again, End, GiveUp, Past, decide, past_from_json

ALWAYS = RestartPolicy("always")


def lives(policy: RestartPolicy, *ends: End) -> list[float | str]:
    """The wait after each end, or why there is none; nothing comes after that."""
    past, waits = Past(), list[float | str]()
    for end in ends:
        found = decide(policy, past, end)
        if isinstance(found, GiveUp):
            return [*waits, found.because]
        waits.append(found.wait)
        past = found.past
    return waits


def test_the_waits_of_docker() -> None:
    crash = End(1, 0.5)
    assert lives(ALWAYS, *[crash] * 12) == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 60, 60]


def test_who_ran_for_ten_seconds_begins_anew() -> None:
    assert lives(ALWAYS, End(1, 1), End(1, 1), End(1, 10), End(1, 1)) == [0.1, 0.2, 0.1, 0.2]


@pytest.mark.parametrize(
    ("condition", "code", "expected"),
    [
        ("no", 1, "its policy is no"),
        ("always", 0, 0.1),
        ("always", None, 0.1),
        ("unless-stopped", 0, 0.1),
        ("on-failure", 0, "it has completed"),
        ("on-failure", 1, 0.1),
        ("on-failure", 137, 0.1),
        ("on-failure", None, 0.1),
    ],
)
def test_conditions(condition: RestartCondition, code: int | None, expected: float | str) -> None:
    assert lives(RestartPolicy(condition), End(code, 1)) == [expected]


@pytest.mark.parametrize("condition", ["always", "unless-stopped", "on-failure"])
def test_a_stop_is_no_crash(condition: RestartCondition) -> None:
    assert lives(RestartPolicy(condition), End(137, 1, by_user=True)) == ["it was stopped"]


def test_so_often_and_not_more_often() -> None:
    crash = End(1, 1)
    assert lives(RestartPolicy("on-failure", 2), crash, crash, crash) == [0.1, 0.2, "it was started again 2 times"]


def test_the_delay_and_the_window_of_deploy() -> None:
    policy = RestartPolicy("on-failure", max_attempts=2, delay=5.0, window=30.0)
    crash, success = End(1, 1), End(1, 31)
    assert lives(policy, crash, success, crash, crash) == [5, 5, 5, "it was started again 2 times"]


@given(
    st.sampled_from(["always", "unless-stopped", "on-failure"]),
    st.integers(0, 5),
    st.lists(st.tuples(st.sampled_from([0, 1, None]), st.floats(0, 100)), max_size=20),
)
def test_whatever_happens(condition: RestartCondition, most: int, ends: list[tuple[int | None, float]]) -> None:
    policy, past = RestartPolicy(condition, most), Past()
    for code, lived in ends:
        found = decide(policy, past, End(code, lived))
        if isinstance(found, GiveUp):
            return
        assert 0.1 <= found.wait <= 60
        assert found.past.restarts == past.restarts + 1
        assert not most or found.past.attempts <= most
        assert past_from_json(found.past._asdict()) == found.past
        past = found.past


@pytest.mark.parametrize("plain", [None, [], {}, {"restarts": "x", "attempts": 1, "wait": 1}])
def test_a_past_that_is_none(plain: object) -> None:
    assert past_from_json(plain) == Past()


def test_again_is_a_value() -> None:
    assert decide(ALWAYS, Past(), End(0, 1)) == Again(0.1, Past(1, 1, 0.1))
