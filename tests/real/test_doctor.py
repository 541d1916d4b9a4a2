"""The doctor on this machine: what it says is there really is, and looking leaves nothing behind."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path

import pytest
from leftovers import cgroups, mounts

from composer.cli.doctor import doctor
from composer.errors import MachineError
from composer.host import checks
from composer.paths import Paths

pytestmark = pytest.mark.real


def by_name(found: tuple[checks.Check, ...]) -> dict[str, checks.Check]:
    return {check.name: check for check in found}


def test_a_machine_that_runs_the_tests_lacks_nothing_essential(jocker_dirs: Paths) -> None:
    found = checks.all_checks(jocker_dirs, {})
    assert [check for check in found if check.status == "missing"] == []
    assert len(by_name(found)) == len(found)


def test_whatever_is_wrong_comes_with_a_fix(jocker_dirs: Paths) -> None:
    found = checks.all_checks(jocker_dirs, {"JOCKER_RUNTIME": "no-such-runtime"})
    assert all(bool(check.fix) == (check.status != "ok") for check in found)


def test_looking_leaves_nothing_behind(jocker_dirs: Paths) -> None:
    before = mounts()
    checks.all_checks(jocker_dirs, {})
    assert mounts() == before
    assert not list(cgroups(f"jocker-doctor-{os.getpid()}"))
    assert not Path(jocker_dirs.data).exists()


def test_a_missing_runtime_is_essential(jocker_dirs: Paths) -> None:
    found = by_name(checks.all_checks(jocker_dirs, {"JOCKER_RUNTIME": "no-such-runtime"}))
    assert found["runtime"].status == "missing"
    assert "no-such-runtime" in found["runtime"].found


def test_an_overlay_on_a_file_system_that_cannot_carry_one_is_told() -> None:
    """/proc takes no directories: the mount never gets as far as the kernel."""
    assert checks.check_overlay("/proc/1").status == "missing"


def test_json_has_the_documented_shape(jocker_dirs: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    monkeypatch.setattr(sys, "stdout", written)
    doctor("json")
    shown = json.loads(written.getvalue())
    assert shown["ok"] is True
    assert {tuple(check) for check in shown["checks"]} == {("name", "status", "found", "fix")}
    assert {check["status"] for check in shown["checks"]} <= {"ok", "warning"}


def test_missing_essentials_end_with_exit_code_4(jocker_dirs: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOCKER_RUNTIME", "no-such-runtime")
    with pytest.raises(MachineError) as caught:
        doctor("table")
    assert caught.value.exit_code == 4
    assert "runtime" in caught.value.message
