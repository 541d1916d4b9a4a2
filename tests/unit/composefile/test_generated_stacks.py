"""Generated stack files: what is wrong is told as such, and what is right is printed as a file that prints itself."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, given, settings
from stackcases import complaints_of, load
from stackgen import FILES, stacks

from composer.cli.configuring import whole

MANY = int(os.environ.get("JOCKER_TEST_FUZZ", "0"))


@settings(
    max_examples=MANY or 60,
    derandomize=not MANY,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(stacks())
def test_a_stack_is_refused_in_words_or_prints_itself(files: dict[str, str]) -> None:
    if complaints_of({"files": files}):
        return
    printed = whole(load({"files": files}).canonical, "yaml")
    again = {"files": {"f.yml": printed, **FILES}}
    assert complaints_of(again) == []
    assert whole(load(again).canonical, "yaml") == printed
