"""Every command, as a user runs it: what it prints, what it does, what it ends with."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from scenarios.conftest import SLEEP, Stack

pytestmark = pytest.mark.real

TALKER = (
    "    image: demo\n    network_mode: none\n"
    "    command: [sh, -c, \"echo out; echo err >&2; trap 'exit 3' TERM; while :; do sleep 0.05; done\"]\n"
)
WEB = f"services:\n  web:\n{TALKER}  db:\n{SLEEP}  tool:\n    profiles: [tools]\n{SLEEP}"


@pytest.fixture
def web(stack: Stack) -> Stack:
    stack.write(WEB)
    stack("up", "-d")
    stack.wait_for(lambda: stack("logs", "web").stdout.count("\n") == 2, "web has talked")
    return stack


def test_ps_shows_what_runs_as_docker_compose_does(web: Stack) -> None:
    lines = web("ps").stdout.splitlines()
    assert lines[0].split() == ["NAME", "IMAGE", "COMMAND", "SERVICE", "CREATED", "STATUS", "PORTS"]
    assert [line.split()[0] for line in lines[1:]] == ["web-db-1", "web-web-1"]
    assert "Up " in lines[1]
    web("kill", "db")
    assert web("ps", "--services").stdout == "web\n"
    assert web("ps", "--services", "--all").stdout == "db\nweb\n"
    assert web("ps", "-a", "--status", "exited", "-q").stdout.strip() == web.ids()["web-db-1"]
    assert "Exited (137)" in web("ps", "-a", "db").stdout
    one = json.loads(web("ps", "--format", "json").stdout)
    assert (one["Name"], one["Service"], one["State"], one["Project"]) == ("web-web-1", "web", "running", "web")
    web("ps", "--format", "xml", code=2)
    web("ps", "nobody", code=2)
    web("down")


def test_logs_in_all_their_forms(web: Stack) -> None:
    assert web("logs", "web").stdout == "web-1  | out\nweb-1  | err\n"
    assert web("logs", "--no-log-prefix", "web").stdout == "out\nerr\n"
    assert web("logs", "--tail", "1", "--no-log-prefix").stdout == "err\n"
    assert web("logs", "--tail", "0").stdout == ""
    assert web("logs", "--since", "1h", "--no-log-prefix").stdout == "out\nerr\n"
    assert web("logs", "--until", "1h").stdout == ""
    stamped = web("logs", "-t", "--no-log-prefix", "--tail", "1").stdout
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z err\n", stamped)
    assert web("logs", "--index", "1", "--no-log-prefix", "web").stdout == "out\nerr\n"
    assert "has no replica 2" in web("logs", "--index", "2", "web", code=1).stderr
    web("logs", "nobody", code=2)
    web("logs", "--since", "yesterday-ish", code=2)
    web("stop")
    assert web("logs", "--no-log-prefix").stdout == "out\nerr\n"
    web("down")


def test_logs_follow_until_the_containers_end(web: Stack) -> None:
    with web.start("logs", "-f", "--no-log-prefix", "web", stdout=subprocess.PIPE) as following:
        assert following.stdout is not None
        assert following.stdout.readline() == b"out\n"
        web("stop", "web")
        assert following.stdout.read() == b"err\n"
    assert following.returncode == 0
    web("down")


def test_logs_end_the_line_that_a_container_has_not(stack: Stack) -> None:
    stack.write('services: {a: {image: demo, network_mode: none, command: [printf, "a\\nb"]}}')
    stack("up", "-d")
    assert stack("logs", "-f").stdout.splitlines(keepends=True) == ["a-1  | a\n", "a-1  | b\n"]
    assert stack("logs", "--no-log-prefix").stdout == "a\nb\n"
    stack("down")


def test_exec_ends_as_its_command_does(web: Stack) -> None:
    assert web("exec", "-T", "web", "echo", "hi").stdout == "hi\n"
    assert web("exec", "-T", "web", "sh", "-c", "exit 7", code=7)
    assert web("exec", "-T", "web", "sh", "-c", "kill -9 $$", code=137)
    assert web("exec", "-T", "web", "cat", stdin="in and out").stdout == "in and out"
    said = web(
        "exec", "-T", "-u", "app", "-w", "/tmp", "-e", "A=1", "web", "sh", "-c", "id -u; pwd; echo $A; echo $HOME"
    )
    assert said.stdout == "1000\n/tmp\n1\n/home/app\n"
    web("exec", "-T", "web", "no-such-program", code=127)
    web("exec", "-T", "web", "/etc/passwd", code=126)
    web("exec", "-T", "-w", "/nowhere", "web", "true", code=127)
    web("exec", "-T", "-u", "nobody-knows", "web", "true", code=1)
    web("exec", "-T", "--index", "4", "web", "true", code=1)
    web("exec", "-T", "nobody", "true", code=2)
    web("exec", "-d", "web", "sh", "-c", "echo done > /tmp/file")
    web.wait_for(
        lambda: web("exec", "-T", "web", "cat", "/tmp/file", code=None).stdout == "done\n", "the file is there"
    )
    web("stop", "web")
    assert "is not running" in web("exec", "-T", "web", "true", code=1).stderr
    web("down")


def test_run_gives_its_exit_code_and_leaves_nothing_behind(web: Stack) -> None:
    before = web.ids()
    assert web("run", "--rm", "-T", "db", "echo", "hi").stdout == "hi\n"
    web("run", "--rm", "-T", "db", "sh", "-c", "exit 5", code=5)
    web("run", "--rm", "-T", "db", "no-such-program", code=127)
    assert web("run", "--rm", "-T", "db", "cat", stdin="a\nb").stdout == "a\nb"
    said = web(
        *("run", "--rm", "-T", "-u", "app", "-w", "/tmp", "-e", "A=1", "-v", "/etc:/mnt:ro", "--entrypoint", "sh -c"),
        *("db", "id -u; pwd; echo $A; test -e /mnt/debian_version && touch /mnt/x"),
        code=1,
    )
    assert said.stdout == "1000\n/tmp\n1\n"
    assert web("run", "--rm", "-T", "tool", "echo", "of a profile").stdout == "of a profile\n"
    assert web.ids() == before
    web("down")
    web.assert_nothing_left()


def test_run_without_rm_stays_and_is_no_replica(web: Stack) -> None:
    new = web("run", "-d", "--name", "mine", "db", "sleep", "1000").stdout.strip()
    assert web.ids()["mine"] == new
    assert "mine" not in web("ps").stdout
    web("run", "--name", "mine", "db", "true", code=2)
    web("up", "-d")
    assert web.states()["mine"] == "running"
    assert "mine" in web("down").stderr
    assert web.states() == {"mine": "running"}
    web("down", "--remove-orphans")
    web.assert_nothing_left()


def test_stop_start_restart_kill_and_rm(web: Stack) -> None:
    ids = web.ids()
    web("stop", "web")
    assert web.ps()["web-web-1"]["ExitCode"] == 3
    web("start", "web")
    assert set(web.states().values()) == {"running"}
    web("restart", "-t", "1")
    assert web.ids() == ids
    assert set(web.states().values()) == {"running"}
    web("kill", "-s", "TERM", "web")
    web.wait_for(lambda: web.states()["web-web-1"] == "exited", "web has ended")
    web("kill", "-s", "NOSUCH", code=2)
    assert "going to remove" not in web("rm", code=2).stderr  # nobody to ask
    web("rm", "-f")
    assert sorted(web.states()) == ["web-db-1"]
    web("rm", "-f", "-s")
    assert web.states() == {}
    web("down")
    web.assert_nothing_left()


def test_stop_kills_after_the_grace_period(stack: Stack) -> None:
    stack.write(
        "services:\n  web:\n    image: demo\n    network_mode: none\n    stop_grace_period: 100ms\n"
        "    command: [sh, -c, \"trap '' USR1 TERM; trap 'echo no' TERM; echo up; while :; do sleep 0.05; done\"]\n"
    )
    stack("up", "-d")
    stack.wait_for(lambda: "up" in stack("logs").stdout, "the trap is set")
    assert "killed after the grace period" in stack("stop").stderr
    assert stack.ps()["web-web-1"]["ExitCode"] == 137
    stack("down")


def test_render_prints_the_bytes_of_the_bundle(web: Stack) -> None:
    container_id = web.ids()["web-web-1"]
    text = web("render", "web").stdout
    assert text == Path(f"{web.paths.bundle(container_id)}/config.json").read_text()
    assert json.loads(text)["process"]["args"][0] == "sh"
    web("down")
    before = web("render", "web").stdout
    web("up", "-d")
    assert before == Path(f"{web.paths.bundle(web.ids()['web-web-1'])}/config.json").read_text()
    web("render", "nobody", code=2)
    web("down")


def test_a_template_of_the_stack_is_in_the_bundle(stack: Stack) -> None:
    stack.write(
        '{% extends "config.json.j2" %}{% block annotations %}{{ super() }}, "mine": "yes"{% endblock %}', "t.j2"
    )
    stack.write(f"services:\n  web:\n{SLEEP}    annotations: {{a: b}}\n    x-jocker: {{template: ./t.j2}}\n")
    stack("up", "-d")
    assert json.loads(stack("render", "web").stdout)["annotations"]["mine"] == "yes"
    stack.write('{% extends "config.json.j2" %}', "t.j2")
    assert "x-jocker.template" in stack("plan").stdout
    (stack.directory / "t.j2").unlink()
    assert "jocker.yml:7:26  services.web.x-jocker.template: " in stack("plan", code=3).stderr
    stack.write(f"services:\n  web:\n{SLEEP}")
    stack("down")


def test_config_checks_and_prints(web: Stack) -> None:
    assert web("config", "-q").stdout == ""
    assert web("config", "--services").stdout.split() == ["web", "db"]
    assert web("--profile", "tools", "config", "--services").stdout.split() == ["web", "db", "tool"]
    assert web("config", "--images").stdout.split() == ["demo"]
    assert json.loads(web("config", "--format", "json").stdout)["services"]["db"]["command"] == ["sleep", "1000"]
    assert json.loads(web("config", "--format", "json").stdout)["services"]["db"]["entrypoint"] is None
    hashes = dict(line.split() for line in web("config", "--hash", "*").stdout.splitlines())
    assert (
        hashes["web"] == json.loads(web("ps", "--format", "json", "web").stdout)["Labels"].split("config-hash=")[1][:64]
    )
    web("config", "--hash", "web,nobody", code=2)
    web("down")


def test_what_config_prints_is_a_stack_file_again(stack: Stack) -> None:
    values = ["on", "Y", "22:22", "0X1F", "0b1", "1_000", "=", "", "~", "null", "012", "a b", "x: y", "é"]
    words = "".join(f"      V{number}: {json.dumps(value)}\n" for number, value in enumerate(values))
    stack.write(
        f"services:\n  off:\n{SLEEP}    depends_on: [db]\n    environment:\n{words}"
        f"      HERE: ${{PWD}}\n  db:\n{SLEEP}  other:\n{SLEEP}"
    )
    printed = stack("config", "off").stdout
    for version in ("1.1", "1.2"):
        reader = YAML(typ="safe", pure=True)
        reader.version = version
        read = reader.load(printed)["services"]
        assert set(read) == {"off", "db"}
        assert [read["off"]["environment"][f"V{number}"] for number in range(len(values))] == values
        assert read["off"]["environment"]["HERE"] == str(stack.directory)
    stack.write(printed, "again.yml")
    assert stack("-f", "again.yml", "config").stdout == printed


def test_ps_quotes_a_command_as_docker_does(stack: Stack) -> None:
    stack.write("services:\n  web:\n    image: demo\n    network_mode: none\n    command: [sleep, a b, its]\n")
    stack("create")
    assert stack.ps()["web-web-1"]["Command"] == "\"sleep 'a b' its\""
    stack("down")


def test_start_starts_what_a_service_depends_on(stack: Stack) -> None:
    stack.write(f"services:\n  web:\n{SLEEP}    depends_on: [db]\n  db:\n{SLEEP}  other:\n{SLEEP}")
    stack("create")
    stack("start", "web")
    assert stack.states() == {"web-web-1": "running", "web-db-1": "running", "web-other-1": "created"}
    stack("down", "-t", "0")


@pytest.mark.parametrize("line", ["up -d", "create", "plan", "run web true", "render web"])
def test_what_cannot_be_run_is_refused_with_its_place_before_anything_is_made(stack: Stack, line: str) -> None:
    stack.write("services:\n  web:\n    image: none/such:1\n    network_mode: none\n    storage_opt: {size: 1G}\n")
    assert "storage_opt:" in stack("config").stdout
    said = stack(*line.split(), code=3).stderr
    assert "jocker.yml:5:5  services.web.storage_opt: what a container writes lies" in said
    stack.assert_nothing_left()


def test_all_complaints_about_a_file_come_at_once(stack: Stack) -> None:
    stack.write(
        "services:\n  web:\n    image: demo\n    network_mode: none\n    comand: x\n    user: 5\n"
        "    depends_on: [db]\n  db:\n    image: demo\n    network_mode: none\n    depends_on: [web]\n"
    )
    said = stack("up", "-d", code=3).stderr
    assert "jocker.yml:5:5  services.web.comand: unknown key" in said
    assert "did you mean `command`?" in said
    assert "jocker.yml:6:11  services.web.user: must be a string, not the number 5" in said
    assert "a dependency circle: web → db → web" in said
    stack.assert_nothing_left()


def test_wrong_command_lines_end_with_2(stack: Stack) -> None:
    stack.write(WEB)
    assert "did you mean `ps`?" in stack("pss", code=2).stderr
    assert "No such option" in stack("up", "--no-such-flag", code=2).stderr
    stack("up", "-d", "nobody", code=2)
    stack("up", "-d", "--no-recreate", "--force-recreate", code=2)
    stack("-f", "missing.yml", "up", "-d", code=2)
    stack("-p", "Not A Name", "up", "-d", code=2)


def test_help_needs_no_stack(stack: Stack) -> None:
    assert "up " in stack("--help").stdout
    assert "--force-recreate" in stack("up", "--help").stdout
    assert "import" in stack("image").stdout
    assert stack("version", "--short").stdout == stack("--version").stdout.split()[1] + "\n"


def test_a_project_name_alone_is_enough_for_what_exists(web: Stack, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    there = Stack(web.paths, elsewhere, web._jocker)
    assert "web-web-1" in there("-p", "web", "ps").stdout
    there("-p", "web", "stop")
    there("-p", "web", "down")
    web.assert_nothing_left()


def test_interrupted_up_ends_with_130(stack: Stack) -> None:
    stack.write(
        "services:\n  job:\n    image: demo\n    network_mode: none\n    command: [sleep, '1000']\n"
        f"  web:\n{SLEEP}    depends_on: {{job: {{condition: service_completed_successfully}}}}\n"
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        process = stack.start("up", "-d", stderr=subprocess.PIPE)
        stack.wait_for(lambda: stack.states().get("web-job-1") == "running", "the job runs")
        os.kill(process.pid, number)
        said = process.communicate()[1].decode()
        assert process.returncode == 130
        assert "interrupted" in said
        stack("down")
        stack.assert_nothing_left()


def test_progress_as_json_and_quiet(stack: Stack) -> None:
    stack.write(f"services:\n  web:\n{SLEEP}")
    events = [json.loads(line) for line in stack("--progress", "json", "up", "-d").stderr.splitlines()]
    assert {"id": "Container web-web-1", "status": "Started"}.items() <= events[-1].items()
    assert stack("--progress", "quiet", "down").stderr == ""
    stack("--progress", "loud", "up", "-d", code=2)


def test_down_removes_images_on_demand(stack: Stack) -> None:
    stack.write(f"services:\n  web:\n{SLEEP}")
    stack("up", "-d")
    stack("image", "rm", "demo", code=1)
    stack("down", "--rmi", "all")
    assert stack("image", "ls", "-q").stdout == ""
