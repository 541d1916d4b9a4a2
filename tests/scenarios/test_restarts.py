"""Restart policies with real containers, and with a supervisor that may die."""

from __future__ import annotations

import os
import signal
import socket
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from patience import until
from scenarios.conftest import Stack
from scenarios.supervisors import down, kill_supervisor

from composer.host import process, supervising

pytestmark = pytest.mark.real

HEAD = "    image: demo\n    network_mode: none\n"


def service(name: str, script: str, more: str = "restart: always", head: str = HEAD) -> str:
    return f"  {name}:\n{head}    command: [sh, -c, {script!r}]\n    {more}\n"


def one(stack: Stack, name: str = "web-web-1") -> dict[str, Any]:
    return stack.ps()[name]


def pid_of(stack: Stack, name: str = "web-web-1") -> int:
    note = Path(stack.paths.conmon(one(stack, name)["ID"]), "process")
    return int(note.read_text().split()[0])


def crash(stack: Stack, name: str = "web-web-1") -> None:
    os.kill(pid_of(stack, name), signal.SIGKILL)


def test_what_crashes_comes_back_as_it_was(stack: Stack) -> None:
    stack.write("services:\n" + service("web", "echo born; sleep 1000"))
    stack("up", "-d")
    before, pid = one(stack), pid_of(stack)
    assert "restart" not in before["Status"]
    crash(stack)
    until(lambda: one(stack)["State"] == "running" and pid_of(stack) != pid)
    after = one(stack)
    assert (after["ID"], after["Name"]) == (before["ID"], before["Name"])
    assert after["Status"].endswith(", 1 restart")
    assert stack("logs", "--no-log-prefix").stdout == "born\nborn\n"
    assert "Recreated" not in stack("up", "-d").stderr
    down(stack)


def test_it_keeps_its_address_its_name_and_its_port(stack: Stack) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    head = f"    image: demo\n    ports: ['127.0.0.1:{port}:80']\n"
    page = "mkdir -p /www; echo here > /www/index.html; exec httpd -f -p 80 -h /www"
    stack.write(
        "services:\n" + service("web", page, head=head) + "  other:\n    image: demo\n    command: [sleep, '1000']\n"
    )
    stack("up", "-d")
    fetch = ("exec", "-T", "other", "wget", "-q", "-O", "-", "http://web/")
    until(lambda: stack(*fetch, code=None).stdout == "here\n")
    address = stack("exec", "-T", "other", "nslookup", "web", code=None).stdout
    pid = pid_of(stack)
    crash(stack)
    until(lambda: one(stack)["State"] == "running" and pid_of(stack) != pid)
    until(lambda: stack(*fetch, code=None).stdout == "here\n")
    assert stack("exec", "-T", "other", "nslookup", "web", code=None).stdout == address
    page_seen = urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10).read()
    assert page_seen == b"here\n"
    down(stack)


def test_on_failure_so_many_times(stack: Stack) -> None:
    stack.write(
        "services:\n"
        + service("web", "echo x; exit 3", "restart: 'on-failure:2'")
        + service("fine", "echo x", "restart: on-failure")
    )
    stack("up", "-d")
    until(lambda: not supervising.is_alive(stack.paths, "web"))
    assert one(stack)["Status"].startswith("Exited (3)")
    assert one(stack)["Status"].endswith(", 2 restarts")
    assert stack("logs", "--no-log-prefix", "web").stdout == "x\n" * 3
    assert stack("logs", "--no-log-prefix", "fine").stdout == "x\n"
    assert not stack("ps").stderr
    stack("start", "web")
    until(lambda: stack("logs", "--no-log-prefix", "web").stdout == "x\n" * 6)
    down(stack)


def test_the_policy_of_deploy(stack: Stack) -> None:
    policy = "deploy: {restart_policy: {condition: any, delay: 50ms, max_attempts: 3}}"
    stack.write("services:\n" + service("web", "echo x", policy))
    stack("up", "-d")
    until(lambda: not supervising.is_alive(stack.paths, "web"))
    assert stack("logs", "--no-log-prefix", "web").stdout == "x\n" * 4
    down(stack)


@pytest.mark.parametrize("command", [("stop", "-t", "0"), ("kill",), ("kill", "-s", "TERM"), ("stop", "-t", "5")])
def test_a_stop_is_no_crash(stack: Stack, command: tuple[str, ...]) -> None:
    script = "trap 'exit 5' TERM; while :; do sleep 0.05; done"
    stack.write("services:\n" + service("web", script))
    stack("up", "-d")
    stack(*command)
    until(lambda: not supervising.is_alive(stack.paths, "web"))
    assert one(stack)["State"] == "exited"
    stack("start")
    pid = pid_of(stack)
    crash(stack)
    until(lambda: one(stack)["State"] == "running" and pid_of(stack) != pid)
    down(stack)


def test_another_signal_is_no_stop(stack: Stack) -> None:
    stack.write("services:\n" + service("web", "trap 'exit 5' HUP; while :; do sleep 0.05; done"))
    stack("up", "-d")
    pid = pid_of(stack)
    stack("kill", "-s", "HUP")
    until(lambda: one(stack)["State"] == "running" and pid_of(stack) != pid)
    down(stack)


def test_who_waits_to_come_back_can_be_stopped(stack: Stack) -> None:
    policy = "deploy: {restart_policy: {condition: any, delay: 1h}}"
    stack.write("services:\n" + service("web", "exit 3", policy))
    stack("up", "-d")
    until(lambda: one(stack)["Status"].startswith("Restarting (3)"))
    assert "web-web-1" in stack("ps").stdout
    stack("stop")
    assert one(stack)["Status"].startswith("Exited (3)")
    stack("up", "-d")
    until(lambda: one(stack)["Status"].startswith("Restarting (3)"))
    down(stack)


def test_an_exit_that_nobody_saw(stack: Stack) -> None:
    stack.write("services:\n" + service("web", "sleep 1000") + service("other", "sleep 1000", "init: false"))
    stack("up", "-d")
    pid = pid_of(stack)
    kill_supervisor(stack)
    crash(stack)
    until(lambda: one(stack)["Status"].startswith("Restarting (137)"))
    assert "the supervisor of stack web is not running" in stack("ps").stderr
    stack("restart", "-t", "0", "other")
    until(lambda: one(stack)["State"] == "running" and pid_of(stack) != pid)
    assert one(stack)["Status"].endswith(", 1 restart")
    down(stack)


def test_the_supervisor_dies_again_and_again(stack: Stack) -> None:
    """Wherever it is: nothing is lost, nothing is started twice."""
    stack.write("services:\n" + service("web", "sleep 1000") + service("other", "sleep 0.05; exit 1"))
    stack("up", "-d")
    for _ in range(6):
        pid = pid_of(stack)
        crash(stack)
        found = supervising.process_of(stack.paths, "web")
        if found is not None:
            os.kill(found[0], signal.SIGKILL)
            assert process.wait_gone(*found, 10)
        supervising.ensure(stack.paths, "web")
        until(lambda: one(stack)["State"] == "running" and pid_of(stack) != pid)  # noqa: B023  called in the loop
    shims = process.with_arguments("conmon", "--name", "web-web-1")
    assert len(process.with_arguments("--cid", one(stack)["ID"])) == 1, shims
    down(stack)


def test_down_in_the_middle(stack: Stack) -> None:
    stack.write("services:\n" + "".join(service(f"s{number}", "exit 1") for number in range(4)))
    for _ in range(4):
        stack("up", "-d")
        until(lambda: any("restart" in shown["Status"] for shown in stack.ps().values()))
        down(stack)


def test_a_changed_service_that_crashes_all_the_time(stack: Stack) -> None:
    stack.write("services:\n" + service("web", "exit 1"))
    stack("up", "-d")
    until(lambda: "restart" in one(stack)["Status"])
    stack.write("services:\n" + service("web", "sleep 1000"))
    stack("up", "-d")
    assert one(stack)["State"] == "running"
    assert "restart" not in one(stack)["Status"]
    down(stack)


def test_waiting_for_what_comes_back(stack: Stack) -> None:
    """The command holds the lock of the stack, and what it waits for is started again all the same."""
    twice = "test -e /tmp/x && exit 0; touch /tmp/x; exit 1"
    stack.write(
        "services:\n"
        + service("mig", twice, "restart: on-failure")
        + service("db", "test -e /tmp/x && sleep 1000; touch /tmp/x; exit 1", "restart: always")
        + "    healthcheck: {test: 'test -e /tmp/x', interval: 1m}\n"
        + service(
            "web",
            "sleep 1000",
            "depends_on: {mig: {condition: service_completed_successfully}, db: {condition: service_healthy}}",
        )
    )
    stack("up", "-d")
    assert {name: shown["State"] for name, shown in stack.ps().items()} == {
        "web-db-1": "running",
        "web-mig-1": "exited",
        "web-web-1": "running",
    }
    down(stack)


def test_nobody_waits_for_ever(stack: Stack) -> None:
    policy = "deploy: {restart_policy: {condition: on-failure, delay: 10ms}}"
    stack.write(
        "services:\n"
        + service("mig", "echo alas; exit 1", policy)
        + service("web", "sleep 1000", "depends_on: {mig: {condition: service_completed_successfully}}")
    )
    told = stack("up", "-d", code=1).stderr
    assert 'service "mig" did not complete successfully: it exited with code 1' in told
    assert 'service "mig": container web-mig-1 exited with code 1' in stack("up", "--wait", "mig", code=1).stderr
    down(stack)


def test_a_command_that_cannot_be_started_again(stack: Stack) -> None:
    stack.write("services:\n" + service("web", "sleep 1000"))
    stack("up", "-d")
    stack("exec", "web", "rm", "/bin/sh")
    crash(stack)
    log = Path(stack.paths.supervision("web"), "log")
    until(lambda: log.read_text().count("cannot be started again") >= 2)
    down(stack)
