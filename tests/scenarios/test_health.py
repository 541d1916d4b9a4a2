"""Health checks of real containers, and a supervisor that may die."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from patience import until
from scenarios.conftest import Stack
from scenarios.supervisors import down, kill_supervisor, supervisor

from composer.host import process, supervising

pytestmark = pytest.mark.real

HEAD = "    image: demo\n    network_mode: none\n"
WEB = f"  web:\n{HEAD}    command: [sleep, '1000']\n    depends_on: {{db: {{condition: service_healthy}}}}\n"


def db(test: str, *, script: str = "sleep 1000", more: str = "interval: 200ms, retries: 2, timeout: 5s") -> str:
    return f"services:\n  db:\n{HEAD}    command: [sh, -c, {script!r}]\n    healthcheck: {{test: {test}, {more}}}\n"


def health(stack: Stack, name: str = "web-db-1") -> dict[str, Any]:
    path = Path(stack.paths.supervision("web"), f"{stack.ids()[name]}.health")
    found = json.loads(path.read_text()) if path.exists() else {}
    return found if isinstance(found, dict) else {}


def test_a_dependent_starts_when_it_is_healthy(stack: Stack) -> None:
    script = "until test -e /tmp/seen; do sleep 0.01; done; touch /tmp/ok; sleep 1000"
    stack.write(db("'echo seen; test -e /tmp/ok; x=$$?; touch /tmp/seen; exit $$x'", script=script) + WEB)
    stack("up", "-d")
    assert stack.states() == {"web-db-1": "running", "web-web-1": "running"}
    assert stack.ps()["web-db-1"]["Health"] == "healthy"
    assert "(healthy)" in stack.ps()["web-db-1"]["Status"]
    log = health(stack)["Log"]
    assert log[-1]["ExitCode"] == 0
    assert {one["Output"] for one in log} == {"seen\n"}
    again = stack("up", "-d")
    assert "Started" not in again.stderr
    assert "warning" not in stack("ps").stderr
    down(stack)


def test_one_that_becomes_unhealthy_fails_its_dependents(stack: Stack) -> None:
    stack.write(db("'echo too bad; exit 3'", script="echo I am up; sleep 1000") + WEB)
    told = stack("up", "-d", code=1).stderr
    assert "dependency failed to start: container web-db-1 is unhealthy" in told
    assert "  │ too bad" in told
    assert "  │ I am up" in told
    assert stack.states() == {"web-db-1": "running", "web-web-1": "created"}
    assert "(unhealthy)" in stack.ps()["web-db-1"]["Status"]
    assert health(stack)["FailingStreak"] >= 2
    down(stack)


def test_one_that_exits_fails_its_dependents_at_once(stack: Stack) -> None:
    stack.write(db("'false'", script="sleep 0.2; exit 7", more="interval: 1h") + WEB)
    assert "container web-db-1 exited (7)" in stack("up", "-d", code=1).stderr
    down(stack)


def test_what_is_not_required_is_a_warning(stack: Stack) -> None:
    web = WEB.replace("service_healthy}", "service_healthy, required: false}")
    stack.write(db("'false'", script="exit 7", more="interval: 1h") + web)
    told = stack("up", "-d").stderr
    assert "container web-db-1 exited (7)" in told
    assert stack.states()["web-web-1"] == "running"
    down(stack)


def test_without_a_check_nobody_is_ever_healthy(stack: Stack) -> None:
    stack.write(f"services:\n  db:\n{HEAD}    command: [sleep, '1000']\n{WEB}")
    assert "container web-db-1 has no healthcheck configured" in stack("up", "-d", code=1).stderr
    assert not os.path.exists(stack.paths.supervision("web"))
    down(stack)


def test_the_check_of_the_image(stack: Stack, jocker: Any, busybox_rootfs: Path) -> None:
    jocker("image", "import", str(busybox_rootfs), "checked:latest", "--change", 'HEALTHCHECK CMD ["true"]')
    text = f"services:\n  db:\n{HEAD.replace('demo', 'checked')}    command: [sleep, '1000']\n"
    stack.write(text + WEB)
    stack("up", "-d")
    assert stack.ps()["web-db-1"]["Health"] == "healthy"
    stack.write(text + "    healthcheck: {disable: true}\n")
    stack("up", "-d", "--remove-orphans")
    assert stack.ps()["web-db-1"]["Health"] == ""
    until(lambda: not supervising.is_alive(stack.paths, "web"))
    down(stack)


def test_it_flaps(stack: Stack) -> None:
    stack.write(db("'test -e /tmp/ok'", script="touch /tmp/ok; sleep 1000"))
    stack("up", "--wait")
    assert stack.ps()["web-db-1"]["Health"] == "healthy"
    stack("exec", "db", "rm", "/tmp/ok")
    until(lambda: stack.ps()["web-db-1"]["Health"] == "unhealthy")
    stack("exec", "db", "touch", "/tmp/ok")
    until(lambda: stack.ps()["web-db-1"]["Health"] == "healthy")
    log = Path(stack.paths.supervision("web"), "log").read_text()
    assert [line.split()[-1] for line in log.splitlines()] == ["healthy", "unhealthy", "healthy"]
    down(stack)


def test_a_probe_that_takes_too_long_is_ended_with_all_it_started(stack: Stack) -> None:
    probe = "'echo hangs; sleep 3210 & sleep 3211; true'"
    stack.write(db(probe, more="interval: 100ms, retries: 2, timeout: 300ms"))
    told = stack("up", "--wait", code=1).stderr
    assert "Health check exceeded timeout (300ms): hangs" in told
    assert all(one["ExitCode"] == -1 for one in health(stack)["Log"])
    most = until(lambda: process.with_arguments("sleep", "3211"))
    assert len(most) == 1
    assert len(process.with_arguments("sleep", "3210")) <= 1
    kill_supervisor(stack)
    stack("up", "-d")
    until(lambda: health(stack)["FailingStreak"] >= 3)
    assert len(process.with_arguments("sleep", "3211")) <= 1
    down(stack)
    assert not process.with_arguments("sleep", "3210")


def test_the_output_of_a_probe_is_bounded(stack: Stack) -> None:
    stack.write(db("'yes | head -c 300000'"))
    stack("up", "--wait")
    assert len(health(stack)["Log"][-1]["Output"]) == 4096 + len("...")
    down(stack)


def test_a_command_that_is_not_there(stack: Stack) -> None:
    stack.write(db("[CMD, /no/such]", more="interval: 50ms, retries: 2"))
    assert "no such file" in stack("up", "--wait", code=1).stderr
    down(stack)


def test_a_killed_supervisor_loses_nothing(stack: Stack) -> None:
    stack.write(db("'true'"))
    stack("up", "--wait")
    before = stack.ps()["web-db-1"]
    first = supervisor(stack)[0]
    kill_supervisor(stack)
    shown = stack("ps")
    assert "the supervisor of stack web is not running" in shown.stderr
    assert "(healthy)" in shown.stdout
    seen = health(stack)["Log"][-1]["Start"]
    stack("up", "-d")
    assert supervisor(stack)[0] != first
    assert stack.ps()["web-db-1"]["ID"] == before["ID"]
    assert stack.ps()["web-db-1"]["Health"] == "healthy"
    until(lambda: health(stack)["Log"][-1]["Start"] > seen)
    down(stack)


def test_it_ends_when_there_is_nothing_to_supervise(stack: Stack) -> None:
    stack.write(db("'true'") + f"  plain:\n{HEAD}    command: [sleep, '1000']\n")
    stack("up", "--wait")
    stack("stop", "-t", "0", "db")
    until(lambda: not supervising.is_alive(stack.paths, "web"))
    assert "warning" not in stack("ps").stderr
    stack("start", "db")
    until(lambda: stack.ps()["web-db-1"]["Health"] == "healthy")
    down(stack)


def test_a_new_life_begins_with_a_new_health(stack: Stack) -> None:
    stack.write(db("'test -e /tmp/ok'", script="sleep 1000", more="interval: 1h"))
    stack("up", "-d")
    stack("exec", "db", "touch", "/tmp/ok")
    kill_supervisor(stack)
    stack("up", "-d")
    until(lambda: stack.ps()["web-db-1"]["Health"] == "healthy")
    stack("exec", "db", "rm", "/tmp/ok")
    stack("restart", "-t", "0")
    assert stack.ps()["web-db-1"]["Health"] == "starting"
    down(stack)


def test_many_supervisors_become_one(stack: Stack) -> None:
    stack.write(db("'true'"))
    stack("up", "--wait")
    for _ in range(3):
        kill_supervisor(stack)
        both = [stack.start("up", "-d") for _ in range(3)]
        assert [one.wait() for one in both] == [0, 0, 0]
        until(lambda: supervising.is_alive(stack.paths, "web"))
        until(lambda: process.with_arguments("composer.supervisor.main", stack.paths.run) == (supervisor(stack)[0],))
    down(stack)


def test_waiting_for_goals(stack: Stack) -> None:
    stack.write(
        db("'true'") + f"  once:\n{HEAD}    command: ['true']\n"
        f"  web:\n{HEAD}    command: [sleep, '1000']\n    depends_on: {{once: "
        "{condition: service_completed_successfully}}\n"
    )
    stack("up", "--wait")
    assert stack.states() == {"web-db-1": "running", "web-once-1": "exited", "web-web-1": "running"}
    down(stack)


def test_waiting_in_vain(stack: Stack) -> None:
    stack.write(db("'echo not yet; false'", more="interval: 1h"))
    told = stack("up", "--wait", "--wait-timeout", "0.3", code=1).stderr
    assert 'service "db": web-db-1 is not healthy after 0.3 s (health: starting)' in told
    assert "  │ not yet" in told
    stack.write(f"services:\n  db:\n{HEAD}    command: [sh, -c, 'echo alas; exit 4']\n")
    told = stack("up", "--wait", code=1).stderr
    assert 'service "db": container web-db-1 exited with code 4' in told
    assert "  │ alas" in told
    down(stack)


def test_run_waits_for_what_it_depends_on(stack: Stack) -> None:
    text = db("'echo so; test -e /tmp/ok'", script="sleep 0.3; touch /tmp/ok; sleep 1000") + WEB
    stack.write(text)
    stack("run", "--rm", "web", "true")
    assert stack.ps()["web-db-1"]["Health"] == "healthy"
    stack("down", "-t", "0")
    stack.write(text.replace("touch /tmp/ok", "true"))
    told = stack("run", "--rm", "web", "true", code=1).stderr
    assert "dependency failed to start: container web-db-1 is unhealthy" in told
    assert list(stack.ps()) == ["web-db-1"]
    down(stack)
