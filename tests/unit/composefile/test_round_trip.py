"""What `config` prints is a stack file again, and means the same."""

from __future__ import annotations

from typing import Any

import pytest
from stackcases import files_of, load, stack_cases

from composer.cli.configuring import whole

NOT_THE_SAME = {
    "an empty target is the default": "the default is written out",
    "a link to what may be missing": "what is linked is disabled, so it is not printed",
    "long forms": "an empty `protocol` becomes tcp",
}
CASES = [case for case in stack_cases() if "complaints" not in case and case["name"] not in NOT_THE_SAME]


@pytest.mark.parametrize("output", ["yaml", "json"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_what_is_printed_prints_itself(case: dict[str, Any], output: str) -> None:
    first = whole(load(case).canonical, output)
    others = {name: text for name, text in files_of(case).items() if not name.endswith(".yml")}
    again = {**case, "stack": first, "files": others}
    assert whole(load(again).canonical, output) == first
