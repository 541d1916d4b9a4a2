"""Generated stack files: jocker and docker compose say the same, or the difference is listed with its reason; and what
they print of a file that both accept is the same text.

`JOCKER_TEST_FUZZ=2000` is the long form: so many files, other ones each time.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from stackcases import ENVIRONMENT, ROOT, complaints_of, load, read_cases
from stackgen import FILES, stacks
from test_compose_parity import compose_binary

from composer.cli.configuring import whole

pytestmark = pytest.mark.real

MANY = int(os.environ.get("JOCKER_TEST_FUZZ", "0"))
DIFFERENCES = read_cases("differences.yml")
COMPATIBILITY = Path(__file__).resolve().parents[2] / "docs" / "compatibility.md"

PRINTED_OTHERWISE = re.compile(
    r'network_mode: ""|command: null|^ *x-mine: "2020-01-01"|count: 0$|(device_ids|capabilities): \[\]|: \d{20,}$',
    re.MULTILINE,
)
"""See the compatibility page: what stands in such a text is printed differently."""


def verdict(files: Mapping[str, str]) -> tuple[str, str]:
    """What docker compose says against the files, "" if nothing, and what it prints of them, paths as ours."""
    with tempfile.TemporaryDirectory(prefix="jk-fuzz-") as home:
        root = f"{home}/stack"
        os.mkdir(root)
        for name, text in files.items():
            (Path(root) / name).write_text(text)
        arguments = [word for name in files if name.endswith(".yml") for word in ("-f", name)]
        done = subprocess.run(
            [compose_binary(), *arguments, "config"],
            cwd=root,
            env={"PATH": "/usr/bin:/bin", "HOME": "/home/me", **ENVIRONMENT},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode != 0:
        return done.stderr.strip() or f"exit code {done.returncode}", ""
    return "", done.stdout.replace(root, ROOT).replace(home, "")


def unexplained(ours: list[str], theirs: str) -> list[str]:
    """What one of both refuses for a reason that is not listed."""
    if ours and theirs:
        return []
    side, said = ("ours", ours) if ours else ("theirs", [theirs] if theirs else [])
    reasons = [re.compile(one[side]) for one in DIFFERENCES if side in one]
    return [line for line in said if not any(reason.search(line) for reason in reasons)]


@settings(
    max_examples=MANY or 40,
    derandomize=not MANY,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
)
@given(stacks())
@example({"f0.yml": "services: {a: {image: x}}", **FILES})
def test_both_accept_or_both_refuse(files: dict[str, str]) -> None:
    ours = complaints_of({"files": files})
    theirs, printed = verdict(files)
    assert unexplained(ours, theirs) == [], f"jocker: {ours or 'accepts'}\ndocker compose: {theirs or 'accepts'}"
    if not ours and not theirs:
        text = whole(load({"files": files}).canonical, "yaml")
        assert text == printed or PRINTED_OTHERWISE.search(text)


@pytest.mark.parametrize("difference", DIFFERENCES, ids=lambda one: one["name"])
def test_a_difference_is_explained(difference: dict[str, str]) -> None:
    assert f"| {difference['name']} |" in COMPATIBILITY.read_text(encoding="utf-8")
