"""Processes asked of the kernel: is it still that one, does it hear this signal, has it ended."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from patience import until

from composer.host import process

pytestmark = pytest.mark.real

Start = Callable[..., int]

# Waits for signals in a thread, ends the main one by exit(2): 60 on x86-64, 93 on arm64 and riscv64.
ENDS_ITS_MAIN_THREAD = """
import ctypes, os, threading, time
threading.Thread(target=lambda: time.sleep(600)).start()
print("ready", flush=True)
ctypes.CDLL(None).syscall(60 if os.uname().machine == "x86_64" else 93, 0)
"""


@pytest.fixture
def started() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts programs and ends them after the test."""
    running: list[subprocess.Popen[bytes]] = []

    def start(*argv: str, executable: str | None = None) -> subprocess.Popen[bytes]:
        running.append(subprocess.Popen(argv, executable=executable, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE))
        return running[-1]

    yield start
    for one in running:
        one.kill()
        one.wait()
        assert one.stdout is not None
        one.stdout.close()


@pytest.fixture
def sleeper(started: Callable[..., subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    return started("/bin/busybox", "sleep", "600")


@pytest.fixture
def python(started: Callable[..., subprocess.Popen[bytes]]) -> Callable[[str], int]:
    """Runs a program that says when it is ready; gives its pid."""

    def start(source: str) -> int:
        one = started(sys.executable, "-S", "-E", "-c", source)
        assert one.stdout is not None
        assert one.stdout.readline() == b"ready\n"
        return one.pid

    return start


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]


def of(pid: int) -> int:
    found = process.start_time(pid)
    assert found is not None
    return found


def test_a_process_is_alive_only_together_with_its_start_time(sleeper: subprocess.Popen[bytes]) -> None:
    begun = of(sleeper.pid)
    assert process.alive(sleeper.pid, begun)
    assert not process.alive(sleeper.pid, begun + 1)
    assert not process.alive(0, begun)
    sleeper.kill()
    sleeper.wait()
    assert not process.alive(sleeper.pid, begun)


def test_a_zombie_is_not_alive(sleeper: subprocess.Popen[bytes]) -> None:
    begun = of(sleeper.pid)
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert state_of(sleeper.pid) == "Z"
    assert process.start_time(sleeper.pid) is None
    assert not process.alive(sleeper.pid, begun)
    assert process.wait_gone(sleeper.pid, begun, None)


def test_a_process_whose_main_thread_has_ended_is_alive(python: Callable[[str], int]) -> None:
    pid = python(ENDS_ITS_MAIN_THREAD)
    until(lambda: state_of(pid) == "Z")
    begun = of(pid)
    assert process.alive(pid, begun)
    assert not process.wait_gone(pid, begun, 0)
    assert process.kill_and_wait(pid)


@pytest.mark.parametrize("name", ["a) Z 1 (b", "((((", ")", "x y)", "R) S 1 2 3"])
def test_any_name_may_stand_in_the_parentheses(
    name: str, started: Callable[..., subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    program = tmp_path / name
    shutil.copy("/bin/busybox", program)
    one = started("sleep", "600", executable=str(program))
    until(lambda: Path(f"/proc/{one.pid}/comm").read_text() == f"{name}\n")
    plain = started("/bin/busybox", "sleep", "600")
    assert of(one.pid) <= of(plain.pid) <= of(one.pid) + 100 * os.sysconf("SC_CLK_TCK")


def test_a_signal_reaches_exactly_that_process(sleeper: subprocess.Popen[bytes]) -> None:
    begun = of(sleeper.pid)
    assert not process.send(sleeper.pid, begun - 1, signal.SIGKILL)
    assert process.alive(sleeper.pid, begun)
    assert process.send(sleeper.pid, begun, signal.SIGTERM)
    assert sleeper.wait() == -signal.SIGTERM
    assert not process.send(sleeper.pid, begun, signal.SIGTERM)


def test_waiting_ends_with_the_process_or_the_time(sleeper: subprocess.Popen[bytes]) -> None:
    begun = of(sleeper.pid)
    assert not process.wait_gone(sleeper.pid, begun, 0.01)
    assert process.wait_gone(sleeper.pid, begun + 1, None)
    sleeper.kill()
    assert process.wait_gone(sleeper.pid, begun, None)
    sleeper.wait()
    assert process.wait_gone(sleeper.pid, begun, None)


def test_killing_waits_for_the_end(sleeper: subprocess.Popen[bytes]) -> None:
    assert process.kill_and_wait(sleeper.pid)
    assert state_of(sleeper.pid) == "Z"
    assert process.kill_and_wait(sleeper.pid)


def test_without_a_handler_a_signal_is_not_heard(sleeper: subprocess.Popen[bytes]) -> None:
    assert not process.handles_signal(sleeper.pid, signal.SIGTERM)
    assert not process.handles_signal(sleeper.pid, signal.SIGRTMIN + 3)


@pytest.mark.parametrize(
    "source",
    [
        "signal.signal(signal.SIGTERM, lambda *_: None)",
        "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})",
        # Only one thread of several looks after signals.
        "threading.Thread(target=lambda: (signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM}), ready(), stay()),"
        " daemon=True).start(); stay()",
    ],
)
def test_a_signal_is_heard_that_is_caught_or_blocked(source: str, python: Callable[[str], int]) -> None:
    pid = python(
        "import signal, threading, time\n"
        "def ready(): print('ready', flush=True)\n"
        "def stay(): time.sleep(600)\n"
        f"{source}\nready()\nstay()\n"
    )
    assert process.handles_signal(pid, signal.SIGTERM)
    assert not process.handles_signal(pid, signal.SIGUSR1)


def test_a_busy_process_without_a_handler_is_not_taken_for_one_that_hears(
    started: Callable[..., subprocess.Popen[bytes]],
) -> None:
    one = started("/bin/busybox", "sh", "-c", "while :; do :; done")
    assert not process.handles_signal(one.pid, signal.SIGTERM)


def test_an_ignored_signal_is_not_heard(python: Callable[[str], int]) -> None:
    pid = python(
        "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('ready', flush=True)\ntime.sleep(600)"
    )
    assert not process.handles_signal(pid, signal.SIGTERM)


def test_an_init_that_waits_for_signals_is_heard_at_every_moment(
    started: Callable[..., subprocess.Popen[bytes]],
) -> None:
    """tini sits in sigtimedwait(2), where what it waits for counts as not blocked, and wakes for every child."""
    init = started("/usr/bin/tini-static", "-s", "--", "/bin/busybox", "sh", "-c", "while true; do (true &); done")
    until(lambda: Path(f"/proc/{init.pid}/task/{init.pid}/children").read_text())
    try:
        assert all(process.handles_signal(init.pid, signal.SIGTERM) for _ in range(500))
    finally:
        for child in Path(f"/proc/{init.pid}/task/{init.pid}/children").read_text().split():
            with suppress(ProcessLookupError):
                os.kill(int(child), signal.SIGKILL)


def test_a_process_that_is_gone_counts_as_one_that_hears(sleeper: subprocess.Popen[bytes]) -> None:
    sleeper.kill()
    sleeper.wait()
    assert process.handles_signal(sleeper.pid, signal.SIGTERM)


def test_the_first_process_of_a_namespace_is_told_from_others(
    sleeper: subprocess.Popen[bytes], started: Callable[..., subprocess.Popen[bytes]]
) -> None:
    assert not process.is_first_of_namespace(sleeper.pid)
    outer = started("unshare", "--pid", "--fork", "--kill-child", "/bin/busybox", "sleep", "600")
    first = until(lambda: Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split())
    assert process.is_first_of_namespace(int(first[0]))


def test_processes_are_found_by_all_of_their_arguments(started: Callable[..., subprocess.Popen[bytes]]) -> None:
    one = started("/bin/busybox", "sh", "-c", "sleep 600 & wait", "mark-a", "mark-b")
    two = started("/bin/busybox", "sh", "-c", "sleep 600 & wait", "mark-a", "mark-c")
    try:
        until(lambda: set(process.with_arguments("mark-a")) == {one.pid, two.pid})
        assert process.with_arguments("mark-a", "mark-b") == (one.pid,)
        assert process.with_arguments("mark-b", "mark-c") == ()
    finally:
        for shell in (one, two):
            (child,) = until(lambda: Path(f"/proc/{shell.pid}/task/{shell.pid}/children").read_text().split())  # noqa: B023
            os.kill(int(child), signal.SIGKILL)
