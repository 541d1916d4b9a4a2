"""Cgroups on the kind of machine this is, and on cgroup v2 alone, whatever this machine is."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from patience import until

from composer.host import cgroup, process

pytestmark = pytest.mark.real

REPOSITORY = Path(__file__).resolve().parents[2]


Spawn = Callable[[str, str], subprocess.Popen[bytes]]


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    """Runs a script of the shell in a cgroup; the shell waits until it is there."""
    running: list[subprocess.Popen[bytes]] = []

    def start(path: str, script: str) -> subprocess.Popen[bytes]:
        one = subprocess.Popen(
            ["/bin/busybox", "sh", "-c", f"read line; {script}"], stdin=subprocess.PIPE, start_new_session=True
        )
        running.append(one)
        assert one.stdin is not None
        cgroup.put(cgroup.make(path, for_processes=True), one.pid)
        one.stdin.write(b"go\n")
        one.stdin.close()
        return one

    yield start
    for one in running:
        one.wait(20)


@pytest.fixture
def place(spawn: Spawn) -> Iterator[str]:
    """The path of a cgroup that is not there; removed with all in it afterwards."""
    path = f"/jktest-{secrets.token_hex(6)}"
    yield path
    for hierarchy in cgroup.hierarchies():
        for directory, _, _ in os.walk(hierarchy.path + path):
            cgroup.thaw(directory.removeprefix(hierarchy.path))
    cgroup.kill(path)
    assert cgroup.remove(path)


def where(path: str) -> list[str]:
    return [one.path + path for one in cgroup.hierarchies() if os.path.isdir(one.path + path)]


def test_the_hierarchies_are_those_that_are_mounted() -> None:
    found = cgroup.hierarchies()
    assert found
    for one in found:
        assert os.path.exists(f"{one.path}/cgroup.procs")
        assert one.unified == os.path.exists(f"{one.path}/cgroup.controllers")
        assert one.unified == (not one.controllers)
    assert len({one.path for one in found}) == len(found)
    v2 = os.path.exists(f"{cgroup.ROOT}/cgroup.controllers")
    assert (cgroup.mode() == "v2") == v2


def test_a_cgroup_is_made_everywhere_and_removed_with_its_children(place: str) -> None:
    made = cgroup.make(f"{place}/stack", for_processes=False)
    assert made == cgroup.make(f"{place}/stack", for_processes=False)
    assert sorted(made) == sorted(where(f"{place}/stack"))
    assert len(made) == len(cgroup.hierarchies())
    cgroup.make(f"{place}/stack/a", for_processes=True)
    assert cgroup.remove(place)
    assert where(place) == []
    assert cgroup.remove(place)


def test_a_cgroup_for_processes_takes_them(place: str, spawn: Spawn) -> None:
    one = spawn(f"{place}/a", "sleep 600")
    assert one.pid in cgroup.processes(place)
    assert one.pid in cgroup.processes(f"{place}/a")
    assert cgroup.processes(f"{place}/b") == frozenset()
    listed = Path(f"/proc/{one.pid}/cgroup").read_text()
    for hierarchy in cgroup.hierarchies():
        assert (f":{place}/a" in listed) or hierarchy.controllers == {"cpuset"}


def test_a_cgroup_in_use_is_not_removed(place: str, spawn: Spawn) -> None:
    one = spawn(f"{place}/a", "sleep 600")
    cgroup.make(f"{place}/b", for_processes=True)
    cgroup.remove_if_empty(place)
    assert where(f"{place}/b")
    assert not cgroup.remove(place)
    assert not where(f"{place}/b")
    assert where(f"{place}/a")
    one.kill()
    one.wait()
    assert cgroup.remove(place)


def test_only_an_empty_cgroup_goes_by_itself(place: str) -> None:
    cgroup.make(place, for_processes=False)
    cgroup.remove_if_empty(place)
    assert where(place) == []
    cgroup.remove_if_empty(place)


def test_killing_reaches_all_below_however_fast_they_fork(place: str, spawn: Spawn) -> None:
    spawn(f"{place}/a", "sleep 600 & sleep 600 & sleep 600")
    spawn(f"{place}/b", "while true; do (sleep 600 & sleep 0.01); done")
    until(lambda: len(cgroup.processes(place)) > 10)
    cgroup.kill(place)
    assert not any(state_is_running(pid) for pid in cgroup.processes(place))


def state_is_running(pid: int) -> bool:
    return process.start_time(pid) is not None


def test_a_frozen_cgroup_is_killed_too(place: str, spawn: Spawn) -> None:
    one = spawn(f"{place}/a", "sleep 600")
    cgroup.freeze(f"{place}/a", frozen=True)
    until(lambda: cgroup.is_frozen(f"{place}/a"))
    cgroup.kill(place)
    assert one.wait(20) == -signal.SIGKILL


def test_killing_what_is_not_there_does_nothing(place: str) -> None:
    cgroup.kill(place)


def test_freezing_holds_and_thawing_lets_go(place: str, spawn: Spawn) -> None:
    spawn(f"{place}/a", "sleep 600")
    assert not cgroup.is_frozen(place)
    cgroup.freeze(place, frozen=True)
    until(lambda: cgroup.is_frozen(place))
    until(lambda: cgroup.is_frozen(f"{place}/a"))  # with its parent
    cgroup.thaw(place)
    until(lambda: not cgroup.is_frozen(f"{place}/a"))


def test_a_cgroup_that_is_not_there_is_not_frozen_and_cannot_be(place: str) -> None:
    assert not cgroup.is_frozen(place)
    cgroup.thaw(place)
    with pytest.raises(OSError, match="No such file"):
        cgroup.freeze(place, frozen=True)


def test_a_kill_for_want_of_memory_is_counted(place: str, spawn: Spawn) -> None:
    assert cgroup.out_of_memory_kills(place) == 0
    cgroup.make(place, for_processes=False)
    limits = [f"{path}/{name}" for path in where(place) for name in ("memory.max", "memory.limit_in_bytes")]
    (limit,) = [name for name in limits if os.path.exists(name)]
    assert cgroup.out_of_memory_kills(place) == 0
    Path(limit).write_text("16M")
    swap = Path(limit).with_name("memory.swap.max")
    if swap.exists():
        swap.write_text("0")
    one = spawn(f"{place}/a", f"exec {sys.executable} -S -E -c 'b\"x\" * (256 << 20)'")
    assert one.wait(60) == -signal.SIGKILL
    assert max(cgroup.out_of_memory_kills(place), cgroup.out_of_memory_kills(f"{place}/a")) == 1


ON_V2 = """
import sys, subprocess
from composer.host import cgroup, process
path = sys.argv[1]
assert cgroup.mode() == "v2", cgroup.hierarchies()
made = cgroup.make(path, for_processes=False)
one = subprocess.Popen(["/bin/busybox", "sleep", "600"])
cgroup.put(cgroup.make(path + "/a", for_processes=True), one.pid)
assert cgroup.processes(path) == {one.pid}
assert not cgroup.is_frozen(path + "/a")
cgroup.freeze(path, frozen=True)
while not cgroup.is_frozen(path + "/a"): pass
cgroup.kill(path)
assert one.wait(20) == -9
assert cgroup.out_of_memory_kills(path) == 0
cgroup.thaw(path)
assert not cgroup.is_frozen(path)
assert cgroup.remove(path)
print("done", made)
"""


def test_all_of_it_works_on_v2_alone(place: str) -> None:
    """In a mount namespace that has nothing but the unified hierarchy, as on newer machines."""
    done = subprocess.run(
        [
            "unshare", "--mount", "--propagation", "private", "/bin/sh", "-ec",
            'umount -R /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup; exec "$@"', "sh",
            sys.executable, "-c", ON_V2, place,
        ],
        env={"PYTHONPATH": str(REPOSITORY), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"done ('/sys/fs/cgroup{place}',)\n"
