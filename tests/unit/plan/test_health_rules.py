"""Health decided by a clock that is turned by hand."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from composer.model.life import Check
from composer.plan.health import (
    Health,
    Probe,
    after,
    begin,
    bounded,
    duration,
    from_json,
    timed_out,
    to_json,
)

CHECK = Check(("CMD", "x"), interval=5.0, timeout=1.0, retries=3)
START = 1000.0


class Clock:
    """Probes a container whenever that is due; each takes no time."""

    def __init__(self, check: Check, started: float = START) -> None:
        self.check = check
        self.health = begin(started, started)
        self.probed: list[float] = []

    def probe(self, code: int) -> Health:
        now = self.health.due
        self.probed.append(now - START)
        self.health = after(self.health, Probe(now, now, code), self.check, now)
        return self.health

    def until(self, state: str, code: int) -> float:
        """Seconds after the start at which the state is this, if every probe ends with `code`."""
        while self.health.state != state:
            self.probe(code)
            assert len(self.probed) < 1000
        return self.probed[-1]


def test_the_first_probe_is_at_once_and_the_next_ones_soon() -> None:
    clock = Clock(CHECK)
    for _ in range(6):
        clock.probe(1)
    assert clock.probed == pytest.approx([0, 0.01, 0.03, 0.07, 0.15, 0.31])


def test_what_is_ready_after_a_moment_is_healthy_after_a_moment() -> None:
    clock = Clock(CHECK)
    while clock.health.state != "healthy":
        clock.probe(0 if clock.health.due >= START + 0.05 else 1)
    assert clock.probed[-1] < 0.1
    assert clock.health.due == pytest.approx(START + clock.probed[-1] + 5)


def test_nothing_is_unhealthy_sooner_than_with_docker() -> None:
    assert Clock(CHECK).until("unhealthy", 1) == pytest.approx(15.0)
    assert Clock(CHECK._replace(retries=1)).until("unhealthy", 1) == pytest.approx(5.0)


def test_failures_in_the_grace_period_do_not_count() -> None:
    check = CHECK._replace(start_period=60.0, start_interval=2.0)
    clock = Clock(check)
    seconds = clock.until("unhealthy", 1)
    assert seconds >= 60 + 2 * 5
    early = [one for one in clock.probed if 10 < one < 60]
    assert max(later - one for one, later in pairwise(early)) <= 2.0 + 1e-6


def test_a_success_in_the_grace_period_ends_it() -> None:
    clock = Clock(CHECK._replace(start_period=600.0))
    assert clock.probe(0).state == "healthy"
    assert clock.until("unhealthy", 1) == pytest.approx(15.0)


def test_a_success_makes_what_was_unhealthy_healthy() -> None:
    clock = Clock(CHECK)
    clock.until("unhealthy", 1)
    assert clock.probe(1).streak == 4
    assert clock.probe(0)[2:4] == ("healthy", 0)


def test_a_failure_between_successes_is_only_counted() -> None:
    clock = Clock(CHECK)
    clock.probe(0)
    assert [(clock.probe(code).state, clock.health.streak) for code in (1, 1, 0, 1)] == [
        ("healthy", 1),
        ("healthy", 2),
        ("healthy", 0),
        ("healthy", 1),
    ]


def test_five_probes_are_remembered() -> None:
    clock = Clock(CHECK)
    for code in range(1, 9):
        clock.probe(code)
    assert [one.exit_code for one in clock.health.log] == [4, 5, 6, 7, 8]


@given(
    st.lists(st.integers(0, 2), max_size=60),
    st.sampled_from([0.0, 3.0, 20.0]),
    st.sampled_from([0.005, 1.0, 30.0]),
    st.integers(1, 4),
)
def test_whatever_happens(codes: list[int], start_period: float, interval: float, retries: int) -> None:
    """Probes are never due in the past, nor later than docker would look; unhealthy means that enough failed."""
    check = Check(("CMD", "x"), interval=interval, start_period=start_period, start_interval=2.0, retries=retries)
    clock = Clock(check)
    for code in codes:
        now = clock.health.due
        health = clock.probe(code)
        assert now < health.due <= now + max(interval, 2.0)
        assert (health.state == "healthy") == (0 in codes[: len(clock.probed)] and health.streak < retries)
        assert (health.state == "unhealthy") == (health.streak >= retries)
        assert from_json(to_json(health)) == health
    if clock.health.state == "unhealthy" and 0 not in codes:
        assert clock.probed[-1] >= interval * retries - 1e-6


@pytest.mark.parametrize("plain", [{}, {"Status": "odd"}, {**to_json(begin(1.0, 1.0)), "Log": [1]}])
def test_a_state_file_that_is_none(plain: dict[str, object]) -> None:
    assert from_json(plain) is None


def test_words_of_docker() -> None:
    assert timed_out(CHECK, 1.0, 2.0, "half").output == "Health check exceeded timeout (1s): half"
    assert timed_out(CHECK._replace(timeout=0.5), 1.0, 2.0, "").output == "Health check exceeded timeout (500ms)"
    assert [duration(one) for one in (90.0, 60.0, 3600.0, 1.5)] == ["1m30s", "1m0s", "1h0m0s", "1.5s"]
    assert bounded(b"x" * 4096) == "x" * 4096
    assert bounded(b"x" * 4097) == "x" * 4096 + "..."
