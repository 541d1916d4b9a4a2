"""The life of one container, on the real runtime: it outlives its maker, its end is known, a crash leaves nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import lives
import pytest
from leftovers import leftovers
from lives import PROJECT, Lives, id_of
from patience import until

from composer.actual.state import Status
from composer.errors import CommandNotStarted, ContainerError, UsageError
from composer.host import cgroup, process, records, state
from composer.host.lifecycle import StopOutcome
from composer.paths import Paths

pytestmark = pytest.mark.real

HANDLES = "trap 'exit 3' TERM; echo ready; while true; do sleep 0.01; done"
IGNORES = "trap 'echo heard' TERM; echo ready; while true; do sleep 0.01; done"


@pytest.fixture
def life(jocker_dirs: Paths, busybox_rootfs: Path) -> Iterator[Lives]:
    made = Lives(jocker_dirs, busybox_rootfs)
    yield made
    made.clear()


def is_ready(life: Lives, name: str) -> bool:
    return b" ready\n" in life.log(name)


def left_of(life: Lives, name: str) -> set[str]:
    """What the machine has of a container. Other stores may have one with the same id."""
    store = leftovers(f"{life.paths.cgroup_root}/", f"{life.paths.run}/")
    return {line for line in store if id_of(name) in line}


def conmon_of(life: Lives, name: str) -> state.FirstProcess:
    found = state.conmon_process(life.paths, id_of(name))
    assert found is not None
    return found


def test_a_container_is_made_started_ends_and_is_removed(life: Lives) -> None:
    container_id = life.create("one", "/bin/sh", "-c", "echo out; echo err >&2; exit 7")
    made = life.snapshot("one")
    assert (made.status, made.exit_code, made.started_at) == (Status.CREATED, None, 0.0)
    assert process.start_time(made.pid) is not None
    assert life.lifecycle.is_created(container_id)
    life.lifecycle.start(container_id, "one")
    assert life.lifecycle.wait(container_id, 20) == 7
    assert not life.lifecycle.is_created(container_id)
    ended = life.snapshot("one")
    assert (ended.status, ended.pid, ended.exit_code) == (Status.EXITED, 0, 7)
    assert 0 < ended.started_at <= ended.finished_at <= time.time()
    assert {line.split(b" ", 1)[1] for line in life.log("one").splitlines()} == {b"stdout F out", b"stderr F err"}
    life.lifecycle.remove(container_id, PROJECT)
    assert not os.path.exists(life.paths.container(container_id))
    assert left_of(life, "one") == set()


def test_a_running_container_is_seen_running(life: Lives) -> None:
    container_id = life.start("one", "sleep", "600")
    seen = life.snapshot("one")
    assert (seen.status, seen.exit_code, seen.finished_at) == (Status.RUNNING, None, 0.0)
    assert abs(seen.started_at - time.time()) < 60
    with pytest.raises(TimeoutError):
        life.lifecycle.wait(container_id, 0)


@pytest.mark.parametrize("number", range(5))
def test_the_program_runs_when_start_returns(number: int, life: Lives) -> None:
    """Until then signals go to the runtime, which loses them."""
    life.start("one", "sleep", "600")
    seen = Path(f"/proc/{life.snapshot('one').pid}/cmdline").read_bytes()
    assert seen in {b"", b"sleep\x00600\x00"}  # empty in the middle of execve(2), when the old handlers are gone


def test_a_container_outlives_its_maker_and_its_end_is_known_to_who_comes_later(
    life: Lives, jocker_dirs: Paths
) -> None:
    script = (
        "import sys; from lives import Lives; from composer.paths import Paths\n"
        "Lives(Paths(*sys.argv[1:3]), sys.argv[3]).sh('one', 'until [ -e /go ]; do sleep 0.01; done; exit 9')\n"
        "import os, signal; os.killpg(0, signal.SIGKILL)\n"
    )
    made = subprocess.run(
        [sys.executable, "-c", script, *jocker_dirs, life.layer],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": ":".join(sys.path)},
        start_new_session=True,
        timeout=60,
        check=False,
    )
    assert made.returncode == -signal.SIGKILL
    assert life.snapshot("one").status is Status.RUNNING
    shim = conmon_of(life, "one")
    assert shim.pid in cgroup.processes(jocker_dirs.shim_cgroup(PROJECT))
    Path(jocker_dirs.rootfs(id_of("one")), "go").touch()
    # Nobody of us watches while it ends.
    assert until(lambda: life.snapshot("one").exit_code) == 9
    assert life.lifecycle.wait(id_of("one")) == 9


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("exit 0", 0),
        ("exit 255", 255),
        ("sh -c 'kill -9 $$'; exit $?", 137),
        ("nosuch", 127),
        ("kill -9 $$; exit 5", 5),
    ],
)
def test_exit_codes_are_those_of_the_process(script: str, code: int, life: Lives) -> None:
    """The last one: a PID 1 cannot kill itself."""
    assert life.lifecycle.wait(life.sh("one", script), 20) == code


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGUSR1, signal.SIGTERM])
def test_death_by_a_signal_is_known_by_its_number(number: signal.Signals, life: Lives) -> None:
    """Under an init the program has the signal's usual end, and init tells it on as shells do."""
    container_id = life.start("one", "/bin/sh", "-c", "echo ready; sleep 600", init=number != signal.SIGKILL)
    until(lambda: is_ready(life, "one"))
    assert life.lifecycle.kill(container_id, number)
    assert life.lifecycle.wait(container_id, 20) == 128 + number
    assert not life.lifecycle.kill(container_id, number)


def test_a_lost_exit_code_is_unknown_and_never_made_up(life: Lives) -> None:
    container_id = life.start("one", "sleep", "600")
    shim = conmon_of(life, "one")
    assert process.kill_and_wait(shim.pid)
    assert life.snapshot("one").status is Status.RUNNING
    assert life.stop("one") is StopOutcome.DEAF
    assert life.lifecycle.wait(container_id) is None
    ended = life.snapshot("one")
    assert (ended.status, ended.exit_code) == (Status.EXITED, None)


def test_an_end_nobody_waited_for_is_told_as_soon_as_conmon_has_written_it(life: Lives) -> None:
    """The process is gone, conmon is held up: who looks now waits for the code."""
    container_id = life.start("one", "sleep", "600")
    shim = conmon_of(life, "one")
    os.kill(shim.pid, signal.SIGSTOP)
    pid = life.snapshot("one").pid
    assert process.kill_and_wait(pid)
    looker = subprocess.Popen(["/bin/sh", "-c", f"sleep 0.2; kill -CONT {shim.pid}"])
    assert life.snapshot("one").exit_code == 137
    looker.wait()
    assert life.lifecycle.wait(container_id) == 137


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ("nosuch", 127, "nosuch"),
        ("/bin/nosuch", 127, "/bin/nosuch"),
        ("/etc/passwd", 126, "permission denied"),
        ("/etc", 126, "/etc"),
    ],
)
def test_a_command_that_cannot_be_run_is_told_before_the_start(command: str, code: int, said: str, life: Lives) -> None:
    with pytest.raises(CommandNotStarted, match=said) as refused:
        life.create("one", command, "argument")
    assert refused.value.exit_status == code
    assert refused.value.message.startswith("one: ")
    assert "runc" not in refused.value.message
    assert refused.value.hint
    # Only what the record's owner takes back is left.
    assert {line for line in left_of(life, "one") if not line.startswith("mount ")} == set()


def test_a_root_that_cannot_be_used_is_an_error_of_that_container(life: Lives) -> None:
    with pytest.raises(ContainerError, match="one: ") as refused:
        life.create("one", "sleep", "1", mounts=[{"bind": {"target": "/x", "source": "/nonexistent-source"}}])
    assert "/nonexistent-source" in refused.value.message


def test_a_created_container_can_be_removed_without_a_start(life: Lives) -> None:
    container_id = life.create("one", "sleep", "600")
    life.lifecycle.remove(container_id, PROJECT)
    assert left_of(life, "one") == set()
    assert records.read(life.paths, container_id) is None


def test_a_created_container_is_stopped_at_once(life: Lives) -> None:
    container_id = life.create("one", "sleep", "600")
    assert life.stop("one") is StopOutcome.STOPPED
    assert life.lifecycle.wait(container_id) == 137
    assert life.snapshot("one").status is Status.EXITED


def test_a_container_has_several_lives_and_one_log(life: Lives) -> None:
    life.sh("one", "echo first; exit 5")
    assert life.lifecycle.wait(id_of("one"), 20) == 5
    container_id = life.again("one", "/bin/sh", "-c", "echo second; echo ready; exec sleep 600")
    until(lambda: is_ready(life, "one"))
    seen = life.snapshot("one")
    assert (seen.status, seen.exit_code) == (Status.RUNNING, None)
    assert [line.rpartition(b" ")[2] for line in life.log("one").splitlines()] == [b"first", b"second", b"ready"]
    life.stop("one")
    assert life.lifecycle.wait(container_id) == 137


def test_a_start_that_was_killed_on_the_way_counts_when_the_program_runs(life: Lives) -> None:
    """The runtime's fifo goes after the program has been let go: a kill between the two leaves both."""
    container_id = life.sh("one", HANDLES)
    until(lambda: is_ready(life, "one"))
    os.mkfifo(life.runtime.exec_fifo(container_id))
    assert life.snapshot("one").status is Status.RUNNING
    assert not life.lifecycle.is_created(container_id)
    assert life.stop("one") is StopOutcome.STOPPED
    assert life.snapshot("one").exit_code == 3
    life.lifecycle.remove(container_id, PROJECT)
    assert left_of(life, "one") == set()


def test_a_stop_lets_the_process_end_by_itself(life: Lives) -> None:
    container_id = life.sh("one", HANDLES)
    until(lambda: is_ready(life, "one"))
    assert life.stop("one") is StopOutcome.STOPPED
    assert life.lifecycle.wait(container_id, 0) == 3
    assert life.stop("one") is StopOutcome.NOT_RUNNING


def test_a_stop_kills_after_the_grace_period(life: Lives) -> None:
    container_id = life.sh("one", IGNORES)
    until(lambda: is_ready(life, "one"))
    assert life.stop("one", grace=0.3) is StopOutcome.KILLED
    assert life.lifecycle.wait(container_id, 0) == 137
    assert b" heard\n" in life.log("one")


def test_a_stop_does_not_wait_for_a_first_process_that_is_deaf(life: Lives) -> None:
    container_id = life.start("one", "sleep", "600")
    assert life.stop("one", grace=60) is StopOutcome.DEAF
    assert life.lifecycle.wait(container_id, 0) == 137


def test_a_stop_reaches_the_program_below_an_init(life: Lives) -> None:
    container_id = life.start("one", "sleep", "600", init=True)
    until(lambda: len(cgroup.processes(life.cgroup("one"))) == 2)
    assert life.stop("one", grace=float("inf")) is StopOutcome.STOPPED
    assert life.lifecycle.wait(container_id, 0) == 143


def test_another_signal_can_stop(life: Lives) -> None:
    container_id = life.sh("one", "trap 'exit 4' USR1; echo ready; while true; do sleep 0.01; done")
    until(lambda: is_ready(life, "one"))
    assert life.stop("one", "SIGUSR1") is StopOutcome.STOPPED
    assert life.lifecycle.wait(container_id, 0) == 4
    life.start("two", "sleep", "600")
    assert life.stop("two", "SIGKILL") is StopOutcome.STOPPED
    with pytest.raises(UsageError):
        life.start("three", "sleep", "600") and life.stop("three", "SIGNOSUCH")


@pytest.mark.parametrize(
    ("script", "outcome", "code"), [(HANDLES, StopOutcome.STOPPED, 3), ("echo ready; sleep 600", StopOutcome.DEAF, 137)]
)
def test_a_paused_container_is_stopped_like_any_other(
    script: str, outcome: StopOutcome, code: int, life: Lives
) -> None:
    container_id = life.sh("one", script)
    until(lambda: is_ready(life, "one"))
    cgroup.freeze(life.cgroup("one"), frozen=True)
    until(lambda: life.snapshot("one").status is Status.PAUSED)
    assert life.stop("one") is outcome
    assert life.lifecycle.wait(container_id, 0) == code


def test_a_paused_container_can_be_killed_and_removed(life: Lives) -> None:
    for name in ("one", "two"):
        life.start(name, "sleep", "600")
        cgroup.freeze(life.cgroup(name), frozen=True)
        until(lambda: life.snapshot(name).status is Status.PAUSED)  # noqa: B023
    assert life.lifecycle.kill(id_of("one"), signal.SIGKILL, cgroup_path=life.cgroup("one"))
    assert life.lifecycle.wait(id_of("one"), 20) == 137
    life.lifecycle.remove(id_of("two"), PROJECT)
    assert left_of(life, "two") == set()


def test_a_container_that_forks_goes_with_all_its_processes(life: Lives) -> None:
    container_id = life.sh("one", "for i in 1 2 3 4 5; do sleep 600 & done; echo ready; wait")
    until(lambda: is_ready(life, "one"))
    assert len(cgroup.processes(life.cgroup("one"))) == 6
    life.lifecycle.remove(container_id, PROJECT)
    assert left_of(life, "one") == set()


@pytest.mark.parametrize("death", lives.DEATHS)
def test_what_a_killed_maker_leaves_is_removed(death: str, life: Lives, busybox_rootfs: Path) -> None:
    lives.make_and_die(life.paths, busybox_rootfs, death)
    life.lifecycle.remove(id_of("half"), PROJECT)
    assert left_of(life, "half") == set()
    assert leftovers(life.paths.run) == set()
    for directory in (life.paths.containers, life.paths.bundles, f"{life.paths.run}/conmon", life.paths.runc):
        assert not os.path.isdir(directory) or os.listdir(directory) == []


@pytest.mark.parametrize("death", lives.DEATHS)
def test_what_a_killed_maker_leaves_can_be_made_whole(death: str, life: Lives, busybox_rootfs: Path) -> None:
    lives.make_and_die(life.paths, busybox_rootfs, death)
    life.again("half", "/bin/sh", "-c", "exit 6")
    assert life.lifecycle.wait(id_of("half"), 20) == 6


def test_a_half_made_container_counts_as_dead_until_it_is_whole(life: Lives, busybox_rootfs: Path) -> None:
    lives.make_and_die(life.paths, busybox_rootfs, "with a container nobody noted")
    assert life.snapshot("half").status is Status.DEAD


def test_runtime_objects_without_a_record_are_removed(life: Lives) -> None:
    container_id = life.start("one", "sleep", "600")
    os.unlink(life.paths.record(container_id))
    os.unlink(f"{life.paths.conmon(container_id)}/process")
    life.lifecycle.remove(container_id, PROJECT)
    assert left_of(life, "one") == set()
    assert not os.path.exists(life.paths.container(container_id))


def test_removing_twice_does_nothing_the_second_time(life: Lives) -> None:
    container_id = life.start("one", "sleep", "600")
    life.lifecycle.remove(container_id, PROJECT)
    life.lifecycle.remove(container_id, PROJECT)
    life.lifecycle.remove(id_of("never"), PROJECT)


@pytest.mark.parametrize("text", ["", "{", json.dumps({"id": "x"})])
def test_a_torn_state_of_the_runtime_does_not_hinder_removal(text: str, life: Lives) -> None:
    container_id = life.start("one", "sleep", "600")
    Path(life.runtime.state_dir(container_id), "state.json").write_text(text)
    life.lifecycle.remove(container_id, PROJECT)
    assert left_of(life, "one") == set()
    assert not os.path.exists(life.runtime.state_dir(container_id))


def test_after_a_reboot_a_container_is_exited_and_can_be_removed(life: Lives) -> None:
    """A reboot takes processes, mounts and the run directory, and leaves the data."""
    container_id = life.start("one", "sleep", "600")
    data = Path(life.paths.container(container_id))
    kept = {name: (data / name).read_bytes() for name in ("record.json", "log", "started")}
    life.lifecycle.remove(container_id, PROJECT)
    life.lifecycle.remove_stack(PROJECT)
    data.mkdir(parents=True)
    for name, content in kept.items():
        (data / name).write_bytes(content)
    seen = life.snapshot("one")
    assert (seen.status, seen.pid, seen.exit_code) == (Status.EXITED, 0, None)
    assert life.stop("one") is StopOutcome.NOT_RUNNING
    assert not life.lifecycle.kill(container_id, signal.SIGTERM)
    assert life.lifecycle.wait(container_id) is None


def test_a_process_with_the_pid_of_an_old_one_is_left_alone(life: Lives) -> None:
    container_id = life.start("one", "sleep", "600")
    life.stop("one")
    mine = process.start_time(os.getpid())
    assert mine is not None
    note = Path(life.paths.conmon(container_id), "process")
    note.write_text(f"{os.getpid()} {mine - 1}\n")
    Path(life.paths.conmon(container_id), "conmon.pid").write_text(f"{os.getpid()}\n")
    assert life.snapshot("one").status is Status.EXITED
    assert not life.lifecycle.kill(container_id, signal.SIGKILL)
    assert life.stop("one") is StopOutcome.NOT_RUNNING
    life.lifecycle.remove(container_id, PROJECT)


def test_a_store_with_the_same_ids_is_left_alone(life: Lives, busybox_rootfs: Path) -> None:
    """Ids follow from the stack, so two stores with the same stack have the same."""
    life.start("one", "sleep", "600")
    other = Lives(Paths(f"{life.paths.data}/other", f"{life.paths.run}/other"), busybox_rootfs)
    other.create("one", "sleep", "600")
    os.unlink(f"{other.paths.conmon(id_of('one'))}/process")
    other.clear()
    assert life.snapshot("one").status is Status.RUNNING
    assert process.alive(*conmon_of(life, "one"))


def test_a_root_in_use_by_others_does_not_hinder_removal(life: Lives) -> None:
    container_id = life.start("one", "sleep", "600")
    with open(f"{life.paths.rootfs(container_id)}/etc/passwd") as used:
        life.lifecycle.remove(container_id, PROJECT)
        assert used.read()
    assert left_of(life, "one") == set()


def test_what_a_stack_leaves_is_removed_with_its_last_container(life: Lives) -> None:
    container_id = life.start("one", "sleep", "600")
    life.lifecycle.remove(container_id, PROJECT)
    life.lifecycle.remove_stack(PROJECT)
    assert leftovers(life.paths.cgroup_root) == set()
    assert [files for _, _, files in os.walk(life.paths.run) if files] == []
    life.lifecycle.remove_stack(PROJECT)


def test_conmon_keeps_nothing_of_our_environment(life: Lives, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_OURS", "1")
    life.start("one", "sleep", "600")
    shim = conmon_of(life, "one")
    names = {entry.partition(b"=")[0] for entry in Path(f"/proc/{shim.pid}/environ").read_bytes().split(b"\0")}
    assert names <= {b"PATH", b"HOME", b"LANG", b"_OCI_SYNCPIPE", b"_OCI_STARTPIPE", b""}
    assert os.readlink(f"/proc/{shim.pid}/cwd") == "/"
