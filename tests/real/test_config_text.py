"""`config` prints the same text as docker compose, line by line."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from stackcases import ENVIRONMENT, files_of, load, stack_cases
from test_compose_parity import compose_binary

from composer.cli.configuring import whole

pytestmark = pytest.mark.real

DIFFERENT = {
    "what only jocker knows": "an extension to compose: it prints durations as they are written",
    "keys are not interpolated, list items are": "compose doubles the dollars of keys, which nobody halves again",
    "keys of labels are not interpolated": "the same",
    "limits of the stack": "ours, an extension to compose: it prints sizes as they are written",
    "a stack with too little memory": "the same",
    "what no program can be given": "compose prints `ssh` so that it cannot read it again",
    "our pool of addresses": "ours, an extension to compose",
    "an optional dependency on a disabled service": "compose prints the dependency, and does not read that again",
}
CASES = [case for case in stack_cases() if not {"complaints", "compose", "with_services"} & case.keys()]


@pytest.mark.parametrize(
    "case", [case for case in CASES if case["name"] not in DIFFERENT], ids=lambda case: case["name"]
)
def test_the_text_is_that_of_compose(tmp_path: Path, case: dict[str, Any]) -> None:
    root = tmp_path / "stack"
    root.mkdir()
    files = files_of(case)
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(text.encode())
    arguments = [word for name in files if name.endswith(".yml") for word in ("-f", name)]
    arguments += [word for profile in case.get("profiles", ()) for word in ("--profile", profile)]
    arguments += ["-p", case["project"]] if "project" in case else []
    done = subprocess.run(
        [compose_binary(), *arguments, "config"],
        cwd=root,
        env={"PATH": "/usr/bin:/bin", "HOME": "/home/me", **ENVIRONMENT, **case.get("environment", {})},
        capture_output=True,
        text=True,
        check=True,
    )
    theirs = done.stdout.replace(str(root), "/stack").replace(str(tmp_path), "")
    assert whole(load(case).canonical, "yaml") == theirs
