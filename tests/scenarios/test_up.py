"""`up` and `down` on whole stacks: what is made, kept, made anew and taken away."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
from scenarios.conftest import SLEEP, Stack

pytestmark = pytest.mark.real

TWO = f"services:\n  db:\n{SLEEP}  web:\n{SLEEP}    depends_on: [db]\n    environment: {{MODE: '${{MODE:-dev}}'}}\n"


def test_a_second_up_does_nothing(stack: Stack) -> None:
    stack.write(TWO)
    first = stack("up", "-d")
    assert "Container web-web-1  Started" in first.stderr
    ids = stack.ids()
    before = stack.snapshot()
    second = stack("up", "-d")
    assert second.stderr == " Container web-db-1  Running\n Container web-web-1  Running\n"
    assert stack.ids() == ids
    after = stack.snapshot()
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert {name for name in changed if not name.startswith(f"{stack.paths.run}/stacks")} == set()
    stack("down")
    stack.assert_nothing_left()


def test_plan_writes_nothing(stack: Stack) -> None:
    stack.write(TWO)
    for prepare in ((), ("create",), ("up", "-d"), ("kill", "db")):
        if prepare:
            stack(*prepare)
        if prepare[:1] == ("kill",):
            stack.wait_for(lambda: stack.states()["web-db-1"] == "exited", "db has ended")
        before = stack.snapshot()
        stack("plan", "--diff", env={"MODE": "other"})
        stack("plan", "--format", "json", "--force-recreate", "--remove-orphans")
        stack("up", "--dry-run")
        assert stack.snapshot() == before
    stack("down")


def test_plan_tells_by_its_exit_code(stack: Stack) -> None:
    stack.write(TWO)
    stack("plan", "--detailed-exitcode", code=10)
    stack("up", "-d")
    stack("plan", "--detailed-exitcode", code=0)
    found = json.loads(stack("plan", "--format", "json", env={"MODE": "prod"}).stdout)
    assert found["changes"] is True
    assert found["steps"][0]["differences"] == ['environment.MODE: "dev" → "prod"']
    stack("down")


def test_only_what_changed_is_made_anew(stack: Stack) -> None:
    stack.write(TWO)
    stack("up", "-d")
    before = stack.ids()
    stack("up", "-d", env={"MODE": "prod"})
    after = stack.ids()
    assert before["web-db-1"] == after["web-db-1"]
    assert before["web-web-1"] != after["web-web-1"]
    assert stack("exec", "-T", "web", "sh", "-c", "echo $MODE").stdout == "prod\n"
    stack("down")
    stack.assert_nothing_left()


def test_an_anonymous_volume_goes_over_to_the_new_container(stack: Stack) -> None:
    text = f"services:\n  web:\n{SLEEP}    volumes: [/keep]\n    environment: {{A: '${{A:-1}}'}}\n"
    stack.write(text)
    stack("up", "-d")
    stack("exec", "-T", "web", "sh", "-c", "echo mine > /keep/file")
    stack("up", "-d", env={"A": "2"})
    assert stack("exec", "-T", "web", "cat", "/keep/file").stdout == "mine\n"
    stack("up", "-d", "-V", env={"A": "2"})
    stack("exec", "-T", "web", "cat", "/keep/file", code=1)
    stack("down", "-v")
    left = os.listdir(stack.paths.volumes)  # as with docker compose, -V lets the old volume lie
    assert len(left) == 1
    assert Path(f"{stack.paths.volumes}/{left[0]}/_data/file").read_text() == "mine\n"


def test_what_is_killed_behind_our_back_is_started_again(stack: Stack) -> None:
    stack.write(TWO)
    stack("up", "-d")
    ids = stack.ids()
    pid = int(Path(f"{stack.paths.conmon(ids['web-db-1'])}/process").read_text().split()[0])
    os.kill(pid, signal.SIGKILL)
    stack.wait_for(lambda: stack.states()["web-db-1"] == "exited", "db has ended")
    assert stack.ps()["web-db-1"]["ExitCode"] == 137
    said = stack("up", "-d").stderr
    assert "Container web-db-1  Started" in said
    assert stack.ids() == ids
    assert set(stack.states().values()) == {"running"}
    stack("down")


def test_replicas_come_and_go(stack: Stack) -> None:
    stack.write(f"services:\n  web:\n{SLEEP}    scale: 2\n")
    stack("up", "-d")
    first = stack.ids()
    assert sorted(first) == ["web-web-1", "web-web-2"]
    stack("up", "-d", "--scale", "web=4")
    assert sorted(stack.ids()) == [f"web-web-{n}" for n in (1, 2, 3, 4)]
    stack("up", "-d", "--scale", "web=1")
    assert stack.ids() == {"web-web-1": first["web-web-1"]}
    stack("down")
    stack.assert_nothing_left()


def test_orphans_are_told_and_removed_on_demand(stack: Stack) -> None:
    stack.write(TWO)
    stack("up", "-d")
    stack.write(f"services:\n  db:\n{SLEEP}")
    assert "web-web-1" in stack("up", "-d").stderr
    assert "web-web-1" in stack.states()
    stack("up", "-d", "--remove-orphans")
    assert sorted(stack.states()) == ["web-db-1"]
    stack("down")
    stack.assert_nothing_left()


def test_a_failure_stops_what_depends_on_it_and_not_the_rest(stack: Stack) -> None:
    stack.write(
        "services:\n"
        "  job:\n    image: demo\n    network_mode: none\n    command: [sh, -c, 'echo it broke; exit 3']\n"
        f"  web:\n{SLEEP}    depends_on: {{job: {{condition: service_completed_successfully}}}}\n"
        f"  other:\n{SLEEP}"
        "  wrong:\n    image: demo\n    network_mode: none\n    command: [no-such-program]\n"
    )
    said = stack("up", "-d", code=1).stderr
    assert "it exited with code 3" in said
    assert "  │ it broke" in said
    assert '"no-such-program": executable file not found in $PATH' in said
    states = stack.states()
    assert states == {"web-job-1": "exited", "web-other-1": "running", "web-web-1": "created"}
    stack("down")
    stack.assert_nothing_left()


def test_a_container_that_dies_at_once_is_tried_again_where_the_file_asks(stack: Stack) -> None:
    stack.write(
        "services:\n  web:\n    image: demo\n    network_mode: none\n    volumes: [./state:/state]\n"
        "    command: [sh, -c, 'test -e /state/2 && exec sleep 1000; test -e /state/1 && touch /state/2;"
        " touch /state/1; exit 5']\n"
        "    x-jocker: {retry: {attempts: 5, wait: 10ms, on: [5]}}\n"
    )
    said = stack("up", "-d").stderr
    assert "attempt 2/5" in said
    assert "attempt 3/5" in said
    assert stack.states() == {"web-web-1": "running"}
    stack("down")


def test_another_exit_code_is_not_tried_again(stack: Stack) -> None:
    stack.write(
        "services:\n  web:\n    image: demo\n    network_mode: none\n    command: [sh, -c, 'exit 6']\n"
        "    x-jocker: {retry: {attempts: 5, wait: 10ms, on: [5]}}\n"
    )
    said = stack("up", "-d", code=1).stderr
    assert "attempt" not in said
    assert "exited with code 6, at once" in said
    stack("down")


def test_want_of_memory_is_named(stack: Stack) -> None:
    stack.write(
        "services:\n  web:\n    image: demo\n    network_mode: none\n    mem_limit: 20m\n"
        "    command: [sh, -c, 'x=a; while :; do x=$$x$$x; done']\n"
        f"  after:\n{SLEEP}    depends_on: {{web: {{condition: service_completed_successfully}}}}\n"
    )
    assert "ran out of memory (its mem_limit is 20 MiB)" in stack("up", "-d", code=1).stderr
    stack("down")


def test_services_start_after_and_stop_before_what_they_depend_on(stack: Stack) -> None:
    stack.write(
        f"services:\n  c:\n{SLEEP}    depends_on: [b]\n  b:\n{SLEEP}    depends_on: [a]\n  a:\n{SLEEP}    init: true\n"
    )
    started = [line for line in stack("up", "-d").stderr.splitlines() if "Started" in line]
    assert [line.split()[1] for line in started] == ["web-a-1", "web-b-1", "web-c-1"]
    stopped = [line for line in stack("down").stderr.splitlines() if "Stopped" in line]
    assert [line.split()[1] for line in stopped] == ["web-c-1", "web-b-1", "web-a-1"]
    assert "killed at once" not in stopped[2]  # an init waits for signals
    assert "killed at once" in stopped[0]
    stack.assert_nothing_left()


def test_no_start_and_create_leave_containers_ready(stack: Stack) -> None:
    stack.write(TWO)
    stack("up", "--no-start")
    assert set(stack.states().values()) == {"created"}
    ids = stack.ids()
    stack("up", "-d")
    assert stack.ids() == ids
    assert set(stack.states().values()) == {"running"}
    stack("down")
    stack("create")
    assert set(stack.states().values()) == {"created"}
    stack("start")
    assert set(stack.states().values()) == {"running"}
    stack("down")
    stack.assert_nothing_left()


def test_services_named_bring_what_they_depend_on(stack: Stack) -> None:
    stack.write(TWO + f"  other:\n{SLEEP}")
    stack("up", "-d", "web")
    assert sorted(stack.states()) == ["web-db-1", "web-web-1"]
    stack("down")
    stack("up", "-d", "--no-deps", "web")
    assert sorted(stack.states()) == ["web-web-1"]
    stack("down")


def test_a_missing_image_that_must_not_be_pulled(stack: Stack) -> None:
    stack.write(
        "services:\n  web:\n    image: nowhere:1\n    network_mode: none\n    command: [sh]\n    pull_policy: never\n"
    )
    said = stack("up", "-d", code=1).stderr
    assert "nowhere:1" in said
    stack.assert_nothing_left()


def test_down_without_anything_warns(stack: Stack) -> None:
    stack.write(TWO)
    assert "nothing to remove" in stack("down").stderr


def test_a_job_that_fails_when_run_again_fails_up(stack: Stack) -> None:
    stack.write(
        "services:\n  job:\n    image: demo\n    network_mode: none\n    volumes: ['.:/x']\n"
        "    command: [sh, -c, 'test ! -e /x/fail']\n"
        f"  web:\n{SLEEP}    depends_on: {{job: {{condition: service_completed_successfully}}}}\n"
    )
    stack("up", "-d")
    (stack.directory / "fail").touch()
    assert 'service "job" did not complete successfully' in stack("up", "-d", code=1).stderr
    assert stack.states()["web-web-1"] == "running"
    stack("down", "-t", "0")
