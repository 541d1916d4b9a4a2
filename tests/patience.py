"""Waiting for what must come: a look again and again, and a failure when it does not."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import pytest

T = TypeVar("T")


def until(look: Callable[[], T], seconds: float = 20.0) -> T:
    """What `look` gives as soon as that is true; the test fails if it never is."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > deadline:
            pytest.fail(f"in vain for {seconds:g} s: {getattr(look, '__qualname__', look)}")
        time.sleep(0.005)
    return found
