"""Containers that tell what they do in a file that the test reads: `shared/told` of the stack, /shared/told in them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from scenarios.conftest import Stack

WAITS = "trap 'exit 0' TERM; while :; do sleep 0.02; done"


def says(text: str, **more: object) -> dict[str, object]:
    """A hook that tells `text`."""
    return {"command": ["sh", "-c", f"echo {text} >> /shared/told"], **more}


def told(stack: Stack) -> list[str]:
    """What was told, in order."""
    path = stack.directory / "shared" / "told"
    return path.read_text().split() if path.exists() else []


@pytest.fixture
def tidy(stack: Stack) -> Iterator[Stack]:
    """A stack with the shared directory, of which nothing is left at the end."""
    (stack.directory / "shared").mkdir()
    yield stack
    stack("down", "-t", "0", "-v", "--remove-orphans")
    stack.assert_nothing_left()
