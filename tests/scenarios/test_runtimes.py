"""`runtime:` of a service: its container is made, started, entered by it, whatever the command would take."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from scenarios.conftest import SLEEP, Stack

pytestmark = pytest.mark.real


def spy(directory: Path) -> Path:
    """A runc that writes down what it is asked to do."""
    program = directory / "runc-spy"
    runc = shutil.which("runc")
    program.write_text(f'#!/bin/sh\necho "$@" >> {directory}/calls\nexec {runc} "$@"\n')
    program.chmod(0o755)
    return program


def test_the_whole_life_of_a_container_uses_its_runtime(stack: Stack) -> None:
    program = spy(stack.directory)
    stack.write(f"services:\n  web:\n{SLEEP}    runtime: {program}\n  other:\n{SLEEP}")
    stack("up", "-d")
    assert stack.states() == {"web-web-1": "running", "web-other-1": "running"}
    stack("exec", "web", "true")
    calls = (stack.directory / "calls").read_text()
    web, other = stack.ids()["web-web-1"], stack.ids()["web-other-1"]
    for word in ("create", "start", "exec"):
        assert any(f" {word} " in line and web in line for line in calls.splitlines())
    assert other not in calls
    before = len(calls)
    stack("restart", "-t", "0")
    assert "create" in (stack.directory / "calls").read_text()[before:]
    stack("down", "-t", "0")
    stack.assert_nothing_left()


@pytest.mark.parametrize("name", ["runc", "io.containerd.runc.v2", "/usr/sbin/runc"])
def test_a_runtime_by_any_of_its_names(stack: Stack, name: str) -> None:
    stack.write(f"services:\n  web:\n{SLEEP}    runtime: {name}\n")
    stack("up", "-d")
    assert stack.states() == {"web-web-1": "running"}
    stack("down", "-t", "0")
    stack.assert_nothing_left()


def test_a_runtime_that_is_not_installed(stack: Stack) -> None:
    stack.write(f"services:\n  web:\n{SLEEP}    runtime: /nowhere/runc\n")
    assert "there is no runtime /nowhere/runc" in stack("up", "-d", code=4).stderr
    stack("down")
    stack.assert_nothing_left()


def test_a_container_can_be_removed_when_its_runtime_is_gone(stack: Stack) -> None:
    program = spy(stack.directory)
    stack.write(f"services:\n  web:\n{SLEEP}    runtime: {program}\n")
    stack("up", "-d")
    program.unlink()
    stack("stop", "-t", "0")
    assert f"there is no runtime {program}" in stack("start", code=4).stderr
    stack("down", "-t", "0")
    stack.assert_nothing_left()
