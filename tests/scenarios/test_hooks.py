"""Hooks: what is run in containers after their start and before their stop, and what comes of failures."""

from __future__ import annotations

import json
import signal

import pytest
from patience import until
from scenarios.conftest import Stack
from scenarios.telling import WAITS, says, tidy, told

pytestmark = pytest.mark.real
__all__ = ["tidy"]


def service(name: str, hooks: dict[str, object], script: str = WAITS, **more: object) -> str:
    """A service whose containers share a directory with the test."""
    value = {
        "image": "demo",
        "network_mode": "none",
        "command": ["sh", "-c", script.replace("$", "$$")],
        "volumes": ["./shared:/shared"],
        **hooks,
        **more,
    }
    return f"  {name}: {json.dumps(value)}\n"


def test_hooks_run_in_order_around_starts_and_stops(tidy: Stack) -> None:
    """By up, restart, stop, start and down; without a file, too; not by kill."""
    hooks = {"post_start": [says("up1"), says("up2")], "pre_stop": [says("stop1"), says("stop2")]}
    tidy.write("services:\n" + service("web", hooks))
    up, stop = ["up1", "up2"], ["stop1", "stop2"]
    tidy("up", "-d")
    assert told(tidy) == up
    tidy("up", "-d")
    assert told(tidy) == up
    tidy("restart")
    assert told(tidy) == [*up, *stop, *up]
    tidy("stop")
    tidy("start")
    assert told(tidy) == [*up, *stop, *up, *stop, *up]
    tidy("kill")
    assert len(told(tidy)) == 10
    tidy("start")
    tidy("rm", "-s", "-f")
    tidy("up", "-d")
    assert told(tidy)[10:] == [*up, *stop, *up]
    (tidy.directory / "jocker.yml").rename(tidy.directory / "away")
    tidy("-p", "web", "down")
    (tidy.directory / "away").rename(tidy.directory / "jocker.yml")
    assert told(tidy)[16:] == stop


def test_hooks_of_what_goes_when_a_service_gets_smaller_or_is_replaced(tidy: Stack) -> None:
    """As with docker compose: a container that is replaced gets none."""
    tidy.write("services:\n" + service("web", {"pre_stop": [says("stop")]}))
    tidy("up", "-d", "--scale", "web=2")
    tidy("up", "-d", "--scale", "web=1")
    assert told(tidy) == ["stop"]
    tidy("up", "-d", "--force-recreate")
    assert told(tidy) == ["stop"]
    tidy("down")
    assert told(tidy) == ["stop"] * 2


def test_what_a_hook_may_say_of_itself(tidy: Stack) -> None:
    hook = {
        "command": ["sh", "-c", "echo $(id -u) $(pwd) $A ${B-none} $C >> /shared/told; grep CapEff /proc/self/status"],
        "user": "1000:1000",
        "working_dir": "/tmp",
        "environment": {"A": "hook", "B": None, "C": "c"},
        "privileged": True,
    }
    text = "services:\n" + service("web", {"post_start": [hook]}, environment={"A": "service", "B": "service"}).replace(
        "$", "$$"
    ).replace("$$$$", "$$")
    tidy.write(text)
    (tidy.directory / "shared").chmod(0o777)
    tidy("up", "-d")
    assert told(tidy) == ["1000", "/tmp", "hook", "none", "c"]


def test_a_failing_post_start_fails_the_command_and_says_why(tidy: Stack) -> None:
    """The container runs on, what depends on it is not started."""
    bad = {"command": ["sh", "-c", "echo no database; echo at all >&2; exit 9"]}
    tidy.write(
        "services:\n"
        + service("db", {"post_start": [says("one"), bad, says("never")]})
        + service("web", {}, depends_on=["db"])
    )
    done = tidy("up", "-d", code=1)
    assert "post_start hook 2 of web-db-1 (sh -c " in done.stderr
    assert "ended with code 9" in done.stderr
    assert "  │ no database\n  │ at all\n" in done.stderr
    assert told(tidy) == ["one"]
    assert tidy.states() == {"web-db-1": "running", "web-web-1": "created"}
    missing = {"command": ["nothing-of-that-name"]}
    tidy.write("services:\n" + service("db", {"post_start": [missing]}))
    assert "nothing-of-that-name" in tidy("up", "-d", code=1).stderr


def test_a_failing_pre_stop_is_told_and_stops_nobody(tidy: Stack) -> None:
    bad = {"command": ["sh", "-c", "echo cannot drain; exit 4"]}
    tidy.write("services:\n" + service("web", {"pre_stop": [bad, says("never")]}))
    tidy("up", "-d")
    said = tidy("stop").stderr
    assert "pre_stop hook 1 of web-web-1" in said
    assert "ended with code 4: cannot drain" in said
    assert tidy.states() == {"web-web-1": "exited"}
    assert told(tidy) == []


def test_a_hook_that_says_much_or_leaves_something_running(tidy: Stack) -> None:
    loud = {"command": ["sh", "-c", "yes | head -c 3000000; sleep 1000 >/dev/null 2>&1 & exit 0"]}
    tidy.write("services:\n" + service("web", {"post_start": [loud, says("after")]}))
    tidy("up", "-d")
    assert told(tidy) == ["after"]


def test_a_hook_that_hangs_can_be_interrupted(tidy: Stack) -> None:
    hangs = {"command": ["sh", "-c", "echo in >> /shared/told; exec sleep 1000"]}
    tidy.write("services:\n" + service("web", {"post_start": [hangs]}))
    process = tidy.start("up", "-d")
    until(lambda: told(tidy))
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130


def test_run_has_no_hooks(tidy: Stack) -> None:
    tidy.write("services:\n" + service("web", {"post_start": [says("up")], "pre_stop": [says("stop")]}))
    tidy("run", "--rm", "-T", "web", "true")
    assert told(tidy) == []


def test_a_changed_hook_makes_its_container_anew(tidy: Stack) -> None:
    """As with docker compose."""
    tidy.write("services:\n" + service("web", {"post_start": [says("one")]}))
    tidy("up", "-d")
    before = tidy.ids()
    tidy.write("services:\n" + service("web", {"post_start": [says("two")]}))
    assert "post_start: the hooks changed" in tidy("plan").stdout
    tidy("up", "-d")
    assert told(tidy) == ["one", "two"]
    assert tidy.ids() != before


def test_ctrl_c_of_an_up_in_the_foreground_runs_them(tidy: Stack) -> None:
    tidy.write("services:\n" + service("web", {"post_start": [says("up")], "pre_stop": [says("stop")]}))
    process = tidy.start("up")
    until(lambda: told(tidy) == ["up"])
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    assert told(tidy) == ["up", "stop"]
    assert tidy.states() == {"web-web-1": "exited"}
