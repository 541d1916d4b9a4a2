"""Volumes as docker shows them, whatever their records have become."""

from __future__ import annotations

from typing import Any

import pytest

from composer.cli.volumeview import Volume, inspected


@pytest.mark.parametrize(
    ("moment", "shown"),
    [
        (1e9, "2001-09-09T01:46:40Z"),
        *((damaged, "1970-01-01T00:00:00Z") for damaged in (None, "x", 1e300, 1e15, float("nan"), float("inf"))),
    ],
)
def test_a_moment_that_none_can_be_is_no_crash(moment: Any, shown: str) -> None:
    assert inspected(Volume({"name": "v", "created_at": moment}, "/v"))["CreatedAt"] == shown
