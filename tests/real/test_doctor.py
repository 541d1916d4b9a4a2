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
from composer.host import checks, network_checks, nfnetlink, proc
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
    checks.all_checks(jocker_dirs, {})
    below = os.path.dirname(jocker_dirs.data)
    assert not [target for target in mounts() if target.startswith(f"{below}/")]
    assert not list(cgroups(f"jocker-doctor-{os.getpid()}"))
    assert not Path(jocker_dirs.data).exists()
    assert not {"br0", "up0", "up1"} & set(os.listdir("/sys/class/net"))
    assert not nfnetlink.has_table("jocker_doctor")


def test_a_network_can_really_be_made_here() -> None:
    assert network_checks.check_networking().status == "ok"


def test_what_the_kernel_refuses_is_told_with_a_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network_checks, "_RULES", "table inet jocker_doctor { chain c { no such rule } }")
    found = network_checks.check_networking()
    assert found.status == "missing"
    assert found.found.startswith("no network can be made: ")
    assert "modprobe" in found.fix


@pytest.mark.parametrize(("pool", "status"), [("10.9.0.0/16", "ok"), ("9.0.0.0/8", "ok"), ("x", "missing"), ("", "ok")])
def test_the_address_pool_is_looked_at(jocker_dirs: Paths, pool: str, status: str) -> None:
    assert network_checks.check_address_pool(jocker_dirs, {"JOCKER_ADDRESS_POOL": pool}).status == status


@pytest.mark.parametrize("tool", ["nft", "dnsmasq"])
def test_what_networks_are_made_with_is_essential(
    tool: str, jocker_dirs: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = proc.find
    monkeypatch.setattr(proc, "find", lambda name: None if name == tool else real(name))
    found = by_name(checks.all_checks(jocker_dirs, {}))[tool]
    assert (found.status, found.fix) == ("missing", f"apt-get install {proc.PACKAGES[tool]}")
    assert "no network can be made" in found.found


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
