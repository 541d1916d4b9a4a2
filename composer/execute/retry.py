"""Patience: what is transient is tried again, with exponential wait and jitter (tenacity); nothing else ever is."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from composer.errors import JockerError

if TYPE_CHECKING:
    from tenacity import RetryCallState

ATTEMPTS = 5
FIRST_WAIT = 0.1
LONGEST_WAIT = 5.0

T = TypeVar("T")
OnRetry = Callable[[int, int, str], None]
"""Called before each new attempt with its number (from 2), how many there will be at most, and why."""


def with_patience(
    action: Callable[[], T],
    on_retry: OnRetry,
    *,
    attempts: int = ATTEMPTS,
    first_wait: float = FIRST_WAIT,
    longest_wait: float = LONGEST_WAIT,
    is_worth_it: Callable[[JockerError], bool] = lambda error: error.transient,
    pause: Callable[[float], None] = time.sleep,
) -> T:
    """The result of `action`, called up to `attempts` times while its failure `is_worth_it`. Waits are seconds, spent
    in `pause`.

    Raises what the last attempt raised.
    """
    try:
        return action()
    except JockerError as first:
        if attempts < 2 or not is_worth_it(first):
            raise
        failure = first
    # Only a failure pays for the import.
    from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential, wait_random

    def told(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        on_retry(state.attempt_number + 1, attempts, error.message if isinstance(error, JockerError) else str(error))

    pending: list[JockerError] = [failure]

    def attempt() -> T:
        if pending:
            raise pending.pop()  # the attempt already made is the first
        return action()

    # Not `wait_exponential_jitter`: its words differ between the versions of tenacity we allow.
    growing = wait_exponential(multiplier=first_wait) + wait_random(0, first_wait)
    patience = Retrying(
        retry=retry_if_exception(lambda error: isinstance(error, JockerError) and is_worth_it(error)),
        stop=stop_after_attempt(attempts),
        sleep=pause,
        wait=lambda state: min(longest_wait, growing(state)),
        before_sleep=told,
        reraise=True,
    )
    return patience(attempt)
