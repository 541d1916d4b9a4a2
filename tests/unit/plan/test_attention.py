"""What ends an `up` in the foreground, and with which code."""

from __future__ import annotations

import pytest

from composer.plan.attention import Attention, Ended

WATCHED = frozenset({"web", "db", "migrate"})


def attention(abort_on: str = "never", exit_code_from: str = "") -> Attention:
    return Attention(
        watched=WATCHED,
        abort_on=abort_on,  # type: ignore[arg-type]
        exit_code_from=exit_code_from,
        awaited=frozenset({"migrate"}),
    )


def ended(service: str, code: int | None) -> Ended:
    return Ended(service, f"{service}-1", code)


@pytest.mark.parametrize(
    ("abort_on", "service", "code", "aborts"),
    [
        ("never", "web", 1, False),
        ("exit", "web", 0, True),
        ("exit", "web", None, True),
        ("exit", "other", 1, False),
        ("exit", "migrate", 0, False),
        ("exit", "migrate", 2, True),
        ("failure", "web", 0, False),
        ("failure", "web", 1, True),
        ("failure", "web", None, True),
    ],
)
def test_what_aborts(abort_on: str, service: str, code: int | None, aborts: bool) -> None:
    assert attention(abort_on).aborts(ended(service, code)) is aborts


@pytest.mark.parametrize(
    ("abort_on", "exit_code_from", "codes", "code"),
    [
        ("never", "", {"web": 3}, 0),
        ("exit", "", {"web": 0, "db": 3}, 0),
        ("exit", "", {"migrate": 0, "db": 3, "web": 4}, 3),
        ("failure", "", {"web": 0, "db": 3}, 3),
        ("failure", "", {"web": 0, "db": 0}, 0),
        ("failure", "", {"web": None}, 255),
        ("exit", "web", {"db": 1, "web": 143}, 143),
        ("exit", "web", {"db": 1}, 255),
        ("failure", "web", {"db": 1, "web": 0}, 0),
    ],
)
def test_the_code(abort_on: str, exit_code_from: str, codes: dict[str, int | None], code: int) -> None:
    endings = [ended(service, one) for service, one in codes.items()]
    assert attention(abort_on, exit_code_from).exit_code(endings) == code
