"""Killed at any instant, two at once, again and again: the next command converges and `down` leaves nothing."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time

import pytest
from scenarios.conftest import SLEEP, Stack, kill

pytestmark = pytest.mark.real

FOUR = "services:\n" + "".join(
    f"  s{number}:\n{SLEEP}    volumes: [/data]\n    environment: {{V: '${{V:-0}}'}}\n"
    + (f"    depends_on: [s{number - 1}]\n" if number % 2 else "")
    for number in range(4)
)
CYCLES = int(os.environ.get("JOCKER_TEST_CYCLES", "25"))
"""Of up and down in CI; by hand 500."""


@pytest.mark.parametrize("seed", range(30))
def test_up_killed_at_a_random_moment_converges(stack: Stack, seed: int) -> None:
    """Every third run is killed while it makes changed containers anew, not while it makes the first."""
    stack.write(FOUR)
    changed = {"V": str(seed)}
    if seed % 3 == 0:
        stack("up", "-d")
    moment = random.Random(seed).uniform(0.05, 0.6)
    process = stack.start("up", "-d")
    if seed % 3 == 0:
        kill(process)
        process = subprocess.Popen(["true"], start_new_session=True)
        process.wait()
        running = start_changed(stack, changed)
        time.sleep(moment)
        kill(running)
    else:
        time.sleep(moment)
        kill(process)
    if seed % 2:
        stack("up", "-d", env=changed)
        assert stack.states() == {f"web-s{number}-1": "running" for number in range(4)}
        assert "nothing to do" in stack("plan", env=changed).stdout
    stack("down", "-v", env=changed)
    stack.assert_nothing_left()


def start_changed(stack: Stack, env: dict[str, str]) -> subprocess.Popen[bytes]:
    (stack.directory / ".env").write_text("".join(f"{name}={value}\n" for name, value in env.items()))
    return stack.start("up", "-d")


@pytest.mark.parametrize("seed", range(8))
def test_down_killed_at_a_random_moment_is_finished_by_the_next(stack: Stack, seed: int) -> None:
    stack.write(FOUR)
    stack("up", "-d")
    process = stack.start("down", "-v")
    time.sleep(random.Random(seed).uniform(0.05, 0.25))
    kill(process)
    if seed % 2:
        stack("up", "-d")
        assert stack.states() == {f"web-s{number}-1": "running" for number in range(4)}
    stack("down", "-v")
    stack.assert_nothing_left()


def test_a_killed_conmon_loses_no_more_than_an_exit_code(stack: Stack) -> None:
    stack.write(f"services:\n  web:\n{SLEEP}")
    stack("up", "-d")
    container_id = stack.ids()["web-web-1"]
    with open(f"{stack.paths.conmon(container_id)}/conmon.pid") as file:
        os.kill(int(file.read()), signal.SIGKILL)
    assert stack.states() == {"web-web-1": "running"}
    stack("stop")
    assert stack.states() == {"web-web-1": "exited"}
    stack("up", "-d")
    assert stack.states() == {"web-web-1": "running"}
    stack("down")
    stack.assert_nothing_left()


def test_two_ups_at_once_end_with_one_container_each(stack: Stack) -> None:
    stack.write(f"services:\n  web:\n{SLEEP}    scale: 3\n")
    for _ in range(3):
        several = [stack.start("up", "-d") for _ in range(3)]
        assert [process.wait(60) for process in several] == [0, 0, 0]
        assert stack.states() == {f"web-web-{number}": "running" for number in (1, 2, 3)}
        stack("down")
        stack.assert_nothing_left()


def test_up_and_down_at_once_end_in_one_of_both(stack: Stack) -> None:
    stack.write(f"services:\n  web:\n{SLEEP}    scale: 2\n")
    for _ in range(4):
        several = [stack.start(*words) for words in (("up", "-d"), ("down",), ("up", "-d"), ("down",))]
        assert [process.wait(60) for process in several] == [0, 0, 0, 0]
        assert stack.states() in ({}, {f"web-web-{number}": "running" for number in (1, 2)})
    stack("down")
    stack.assert_nothing_left()


def test_who_waits_too_long_learns_who_holds_the_lock(stack: Stack) -> None:
    stack.write(
        "services:\n  job:\n    image: demo\n    network_mode: none\n    command: [sleep, '1000']\n"
        f"  web:\n{SLEEP}    depends_on: {{job: {{condition: service_completed_successfully}}}}\n"
    )
    process = stack.start("up", "-d")
    stack.wait_for(lambda: stack.states().get("web-job-1") == "running", "the job runs")
    said = stack("--lock-timeout", "0.1", "down", code=1).stderr
    assert f"locked by {process.pid} jocker up (stack web)" in said
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 130
    stack("down")
    stack.assert_nothing_left()


def test_nothing_grows_over_many_cycles(stack: Stack) -> None:
    stack.write(f"services:\n  web:\n{SLEEP}    volumes: [/data]\n")
    for _ in range(CYCLES):
        stack("up", "-d")
        stack("down", "-v")
        stack.assert_nothing_left()


def test_a_hundred_containers(stack: Stack) -> None:
    stack.write(f"services:\n  web:\n{SLEEP}    scale: 100\n")
    stack("up", "-d")
    assert stack.states() == {f"web-web-{number}": "running" for number in range(1, 101)}
    assert "nothing to do" in stack("plan").stdout
    stack("down")
    stack.assert_nothing_left()
