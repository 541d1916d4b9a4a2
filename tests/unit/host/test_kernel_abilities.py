"""What a kernel can limit, and the limits of stacks, on trees of files that look like those of cgroup v2 and v1."""

from __future__ import annotations

from pathlib import Path

import pytest

from composer.bundle import resources
from composer.errors import MachineError
from composer.host import cgroup, devices, stack_limits
from composer.model.resources import StackLimits
from composer.paths import Paths

MIB = 1 << 20


def v2(root: Path, controllers: str, **files: str) -> tuple[cgroup.Hierarchy, ...]:
    """A tree of cgroup v2; `files` are those of /jocker/p."""
    stack = root / "jocker/p"
    stack.mkdir(parents=True)
    for directory in (root, root / "jocker", stack):
        (directory / "cgroup.controllers").write_text(controllers)
        (directory / "cgroup.subtree_control").write_text(controllers)
    for name, text in files.items():
        (stack / name.replace("_", ".", 1)).write_text(text)
    return (cgroup.Hierarchy(str(root), frozenset(), unified=True),)


def test_v2_can_what_its_controllers_can(tmp_path: Path) -> None:
    tree = v2(tmp_path, "cpuset cpu io memory pids")
    able = set(devices._abilities(tree))
    assert able == {
        resources.CPUSET, resources.SHARES, resources.QUOTA, resources.THROTTLE, resources.RESERVATION,
    }  # fmt: skip
    (tmp_path / "jocker/io.bfq.weight").write_text("")
    assert resources.WEIGHT in set(devices._abilities(tree))


def test_v1_can_what_has_a_file(tmp_path: Path) -> None:
    files = {"cpu": ("cpu.shares",), "memory": ("memory.swappiness",), "blkio": ("blkio.bfq.io_serviced",)}
    tree = []
    for controller, names in files.items():
        (tmp_path / controller).mkdir()
        for name in names:
            (tmp_path / controller / name).write_text("")
        tree.append(cgroup.Hierarchy(str(tmp_path / controller), frozenset({controller}), unified=False))
    assert set(devices._abilities(tree)) == {
        resources.SHARES, resources.SWAPPINESS, resources.WEIGHT, resources.WEIGHT_DEVICE,
    }  # fmt: skip


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(str(tmp_path / "data"), "/run/jocker")


FILES = {
    "memory_max": "max\n", "memory_swap.max": "max\n", "memory_high": "max\n", "memory_current": "1048576\n",
    "cpu_max": "max 100000\n", "pids_max": "max\n",
}  # fmt: skip


def test_limits_on_v2(tmp_path: Path, paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = v2(tmp_path / "cg", "cpu memory pids", **FILES)
    monkeypatch.setattr(cgroup, "hierarchies", lambda: tree)
    stack = tmp_path / "cg/jocker/p"
    assert stack_limits.read(paths, "p") is None
    wanted = StackLimits(64 * MIB, 1.5, 50)
    stack_limits.apply(paths, "p", wanted)
    found = {name: (stack / name).read_text() for name in ("memory.max", "memory.swap.max", "cpu.max", "pids.max")}
    assert found == {
        "memory.max": str(64 * MIB), "memory.swap.max": str(64 * MIB), "cpu.max": "150000 100000", "pids.max": "50",
    }  # fmt: skip
    assert stack_limits.read(paths, "p") == wanted
    (stack / "cpu.max").write_text("50000 100000\n")
    assert stack_limits.read(paths, "p") == wanted._replace(cpus=0.5)
    stack_limits.apply(paths, "p", None)
    assert (stack / "memory.max").read_text() == "max"
    assert (stack / "cpu.max").read_text() == "max 100000"
    assert stack_limits.read(paths, "p") is None


def test_v2_takes_no_memory_that_is_in_use(tmp_path: Path, paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = v2(tmp_path / "cg", "cpu memory pids", **{**FILES, "memory_current": str(90 * MIB)})
    monkeypatch.setattr(cgroup, "hierarchies", lambda: tree)
    with pytest.raises(MachineError, match="the stack's containers use 90 MiB, more than 64 MiB"):
        stack_limits.apply(paths, "p", StackLimits(memory=64 * MIB))
    stack = tmp_path / "cg/jocker/p"
    assert (stack / "memory.max").read_text() == "max\n"
    assert (stack / "memory.high").read_text() == "max"


def test_a_limit_without_its_controller_is_told(tmp_path: Path, paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = v2(tmp_path / "cg", "cpu", cpu_max="max 100000\n")
    monkeypatch.setattr(cgroup, "hierarchies", lambda: tree)
    stack_limits.apply(paths, "p", StackLimits(cpus=1.0))
    with pytest.raises(MachineError, match="has no memory controller of cgroups"):
        stack_limits.apply(paths, "p", StackLimits(memory=64 * MIB))
