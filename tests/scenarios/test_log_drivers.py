"""Where the output of a container goes: log drivers, their limits, and what `jocker logs` says of each."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from scenarios.conftest import Stack

from composer.host.conmon import JOURNAL

pytestmark = pytest.mark.real


def write(stack: Stack, logging: str, script: str = "echo said; sleep 1000") -> None:
    stack.write(
        f"services:\n  web:\n    image: demo\n    network_mode: none\n"
        f'    command: [sh, -c, "{script}"]\n    logging: {logging}\n'
    )


def log_files(stack: Stack) -> dict[str, int]:
    """The parts of the log by name, with their sizes."""
    [container_id] = stack.ids().values()
    directory = Path(stack.paths.container(container_id))
    return {path.name: path.stat().st_size for path in directory.iterdir() if path.name.startswith("log")}


@pytest.mark.parametrize("logging", ["{}", "{driver: json-file}", "{driver: k8s-file}", "{driver: local}"])
def test_drivers_that_are_files_are_one_to_jocker(stack: Stack, logging: str) -> None:
    write(stack, logging)
    stack("up", "-d")
    assert stack("logs").stdout == "web-1  | said\n"
    assert "nothing to do" in stack("plan").stdout
    stack("down", "-t", "0")
    stack.assert_nothing_left()


def test_none_keeps_nothing_and_says_so(stack: Stack) -> None:
    write(stack, "{driver: none}")
    stack("up", "-d")
    done = stack("logs")
    assert done.stdout == ""
    assert done.stderr == "jocker: web-web-1: its output is kept nowhere (logging: driver: none)\n"
    assert log_files(stack) == {}
    assert stack("exec", "web", "echo", "works").stdout == "works\n"
    assert stack("run", "--rm", "-T", "web", "echo", "seen").stdout == "seen\n"
    stack("restart", "-t", "0")
    write(stack, "{driver: json-file}")
    assert 'logging.driver: "none" → (none)' in stack("plan", "--diff").stdout
    stack("up", "-d")
    assert stack("logs").stdout == "web-1  | said\n"
    stack("down", "-t", "0")


def fill(stack: Stack, lines: int, done: str) -> None:
    """Waits until the container has said all."""
    stack.wait_for(lambda: stack("logs", "-n", "1").stdout.strip().endswith(done), f"{lines} lines")


@pytest.mark.parametrize(
    ("options", "files"),
    [
        ("{max-size: 100k}", {"log", "log.0", "log.limits"}),
        ("{max-size: 100k, max-file: '3'}", {"log", "log.0", "log.1", "log.2", "log.limits"}),
        ("{max-size: '-1'}", {"log", "log.0", "log.limits"}),
    ],
)
def test_what_is_over_the_limit_goes(stack: Stack, options: str, files: set[str]) -> None:
    """conmon begins a new file at the limit; whoever comes by keeps as many older ones as were asked for."""
    script = "for i in 1 2 3 4 5 6 7 8 9 10; do seq 1 3000; sleep 0.2; done; echo end; sleep 1000"
    write(stack, f"{{options: {options}}}", script)
    stack("up", "-d")
    fill(stack, 30000, "end")
    found = log_files(stack)
    assert set(found) <= files
    lines = stack("logs").stdout.splitlines()
    assert lines[-1] == "web-1  | end"
    if "-1" in options:
        assert len(lines) == 30001
        assert found["log"] > 1_000_000
    else:
        assert len(lines) < 20000
        assert max(found.values()) <= 102_400
    stack("down", "-t", "0")
    stack.assert_nothing_left()


def test_passthrough_goes_where_the_command_writes(stack: Stack, tmp_path: Path) -> None:
    write(stack, "{driver: passthrough}", "echo out; echo err >&2; sleep 1000")
    with (tmp_path / "out").open("w+") as out, (tmp_path / "err").open("w+") as err:
        process = stack.start("up", "-d", stdout=out, stderr=err)
        assert process.wait() == 0
    stack.wait_for(lambda: (tmp_path / "out").read_text() == "out\n", "its output comes")
    stack.wait_for(lambda: "err\n" in (tmp_path / "err").read_text(), "its errors come")
    assert "went where that of the command went that made it" in stack("logs").stderr
    stack("down", "-t", "0")
    stack.assert_nothing_left()


def test_a_command_of_a_service_that_passes_its_output_on_is_attached_to(stack: Stack) -> None:
    write(stack, "{driver: passthrough}")
    done = stack("run", "--rm", "-T", "web", "sh", "-c", "cat; echo err >&2; exit 3", stdin="in", code=3)
    assert (done.stdout, done.stderr) == ("in", "err\n")
    stack.assert_nothing_left()


def test_journald_is_asked_for_where_it_is(stack: Stack) -> None:
    write(stack, "{driver: journald, options: {tag: mine}}")
    if os.path.exists(JOURNAL):
        stack("up", "-d")
        [container_id] = stack.ids().values()
        assert f"journalctl CONTAINER_ID_FULL={container_id}" in stack("logs").stderr
        query = ["journalctl", f"CONTAINER_ID_FULL={container_id}", "-o", "cat"]
        stack.wait_for(lambda: "said" in subprocess.check_output(query, text=True), "the journal has it")
    else:
        said = stack("up", "-d", code=4).stderr
        assert "web-web-1: logging: there is no journald here" in said
    stack("down", "-t", "0")
    stack.assert_nothing_left()


def test_who_is_not_to_be_attached_to_is_shown_by_name_only(stack: Stack) -> None:
    service = "    image: demo\n    network_mode: none\n    command: [sh, -c, 'echo said; sleep 1000']\n"
    stack.write(f"services:\n  web:\n{service}  quiet:\n{service}    attach: false\n")
    stack("up", "-d")
    assert stack("logs").stdout == "web-1  | said\n"
    assert stack("logs", "quiet").stdout == "quiet-1  | said\n"
    stack("down", "-t", "0")
