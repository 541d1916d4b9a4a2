"""The cap of a whole stack: set before anything runs, changed while it runs, gone with the stack."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from scenarios.conftest import Stack

from composer.host import cgroup, stack_limits
from composer.model.resources import StackLimits

pytestmark = pytest.mark.real

MIB = 1 << 20
TWO = (
    "services:\n  a: {image: demo, network_mode: none, command: [sleep, '1000']}\n"
    "  b: {image: demo, network_mode: none, command: [sleep, '1000'], cpus: 0.5, mem_limit: 32m}\n"
)


def limited(limits: str) -> str:
    return f"{TWO}x-jocker: {{limits: {{{limits}}}}}\n"


def knob(stack: Stack, *names: str) -> str:
    """What a file of the stack's cgroup says, of the first of these names that is there."""
    for hierarchy in cgroup.hierarchies():
        for name in names:
            file = Path(f"{hierarchy.path}{stack.paths.stack_cgroup('web')}/{name}")
            if file.exists():
                return file.read_text().strip()
    pytest.fail(f"there is none of {names}")


def memory(stack: Stack) -> str:
    return knob(stack, "memory.max", "memory.limit_in_bytes")


def remove_cgroups(stack: Stack) -> None:
    """As a reboot does, with all that runs."""
    for path in (stack.paths.stack_cgroup("web"), stack.paths.shim_cgroup("web")):
        cgroup.kill(path)
        cgroup.remove(path)


def test_a_stack_has_its_limits_and_loses_them_with_itself(stack: Stack) -> None:
    stack.write(limited("memory: 96m, cpus: 1.5, pids: 50"))
    plan = json.loads(stack("plan", "--format", "json").stdout)
    first, *others = plan["steps"]
    assert (first["action"], first["subject"], first["after"]) == ("LimitStack", "web", [])
    assert first["differences"] == [
        "limits.memory: (none) → 100663296", "limits.cpus: (none) → 1.5", "limits.pids: (none) → 50",
    ]  # fmt: skip
    assert all(1 in step["after"] for step in others if step["action"] == "CreateContainer")
    done = stack("up", "-d")
    assert " Stack web  Limited\n" in done.stderr
    assert memory(stack) == str(96 * MIB)
    assert knob(stack, "pids.max") == "50"
    assert knob(stack, "cpu.max", "cpu.cfs_quota_us") in {"150000", "150000 100000"}
    assert stack("plan").stdout.startswith("nothing to do\n")
    stack("down")
    stack.assert_nothing_left()


def test_changed_limits_are_set_on_what_runs(stack: Stack) -> None:
    stack.write(limited("memory: 96m, cpus: 1"))
    stack("up", "-d")
    before = stack.ids()
    for limits, is_memory in (("memory: 200m, cpus: 1", 200 * MIB), ("memory: 64m, cpus: 0.5", 64 * MIB)):
        stack.write(limited(limits))
        assert stack("plan").stdout.startswith("[] -> #1 LimitStack web: limits.memory: ")
        stack("up", "-d")
        assert memory(stack) == str(is_memory)
    assert knob(stack, "cpu.max", "cpu.cfs_quota_us") in {"50000", "50000 100000"}
    stack.write(TWO)
    told = stack("plan", "--diff").stdout
    assert "limits.memory: 67108864 → (none)" in told
    stack("up", "-d")
    assert memory(stack) == "max" or int(memory(stack)) > 1 << 60
    assert stack.ids() == before
    assert stack("plan").stdout.startswith("nothing to do\n")
    stack("down")
    stack.assert_nothing_left()


def test_what_somebody_else_changed_is_drift(stack: Stack) -> None:
    stack.write(limited("pids: 50"))
    stack("up", "-d")
    for hierarchy in cgroup.hierarchies():
        file = Path(f"{hierarchy.path}{stack.paths.stack_cgroup('web')}/pids.max")
        if file.exists():
            file.write_text("7")
    assert "LimitStack web: limits.pids: 7 → 50\n" in stack("plan").stdout
    stack("up", "-d")
    assert knob(stack, "pids.max") == "50"
    stack("down")


def test_after_a_reboot_the_limits_are_there_before_the_containers(stack: Stack) -> None:
    stack.write(limited("memory: 96m, pids: 50"))
    stack("up", "-d")
    remove_cgroups(stack)
    assert "LimitStack web: limits.memory: (none) → 100663296 (and 1 more)\n" in stack("plan").stdout
    stack("-p", "web", "start", "a")  # knows no file
    assert (memory(stack), knob(stack, "pids.max")) == (str(96 * MIB), "50")
    stack("down")
    stack.assert_nothing_left()


def test_a_one_off_is_in_the_stack(stack: Stack) -> None:
    stack.write(limited("memory: 96m"))
    stack("run", "-d", "a")
    assert memory(stack) == str(96 * MIB)
    stack("down", "--remove-orphans")
    stack.assert_nothing_left()


def test_what_a_crash_left_of_a_record_goes(stack: Stack) -> None:
    stack.write(TWO)
    record = Path(stack.paths.stack_record("web"))
    stack_limits.apply(stack.paths, "web", StackLimits(pids=3))
    remove_cgroups(stack)
    assert record.exists()
    assert "LimitStack web: it has none any more\n" in stack("plan").stdout
    stack("up", "-d")
    assert not record.exists()
    assert knob(stack, "pids.max") == "max"
    stack("down")
    record.parent.mkdir(exist_ok=True)
    record.write_text('{"version": 1, "memory"')  # torn
    stack("down")
    stack.assert_nothing_left()


def test_who_uses_more_than_the_stack_is_to_have_is_told(stack: Stack) -> None:
    script = "dd if=/dev/zero of=/t/x bs=1M count=60; touch /t/done; sleep 1000"
    text = (
        f"services: {{a: {{image: demo, network_mode: none, tmpfs: ['/t:size=80m'], command: [sh, -c, '{script}']}}}}\n"
    )
    stack.write(f"{text}x-jocker: {{limits: {{memory: 200m}}}}\n")
    stack("up", "-d")
    stack.wait_for(lambda: stack("exec", "-T", "a", "ls", "/t/done", code=None).returncode == 0, "the file is there")
    swap = Path("/proc/swaps").read_text().count("\n") > 1
    stack.write(f"{text}x-jocker: {{limits: {{memory: 10m}}}}\n")
    done = stack("up", "-d", code=None)
    assert swap or "x-jocker.limits.memory: the stack's containers use " in done.stderr
    assert swap or done.returncode == 4
    assert stack.states() == {"web-a-1": "running"}
    stack("down")
    stack.assert_nothing_left()


def test_who_dies_of_the_stacks_limit_is_told_so(stack: Stack) -> None:
    stack.write(
        "services: {a: {image: demo, network_mode: none, x-jocker: {retry: {attempts: 2, wait: 0}},"
        " command: [dd, if=/dev/zero, of=/dev/null, bs=300M]}}\nx-jocker: {limits: {memory: 24m}}\n"
    )
    done = stack("up", "-d", code=1)
    assert "ran out of memory (all of the stack may have 24 MiB)" in done.stderr
    stack("down")
    stack.assert_nothing_left()
