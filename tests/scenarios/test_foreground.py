"""`jocker up` without `-d`: what containers say, how they end, who may end it, and with which code."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import termios
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from patience import until
from scenarios.conftest import Stack

pytestmark = pytest.mark.real

IMAGE = "    image: demo\n    network_mode: none\n"
PATIENT = "trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.02; done"
DEAF = "trap '' TERM; echo ready; while :; do sleep 0.02; done"


def service(name: str, script: str, *more: str) -> str:
    lines = "".join(f"    {line}\n" for line in more)
    return f"  {name}:\n{IMAGE}    command: [sh, -c, {json.dumps(script)}]\n{lines}"


def stack_of(*services: str) -> str:
    return "services:\n" + "".join(services)


@pytest.fixture
def tidy(stack: Stack) -> Iterator[Stack]:
    yield stack
    stack("down", "-t", "0", "--remove-orphans")
    stack.assert_nothing_left()


class Attached:
    """An `up` in the foreground, in the background."""

    def __init__(self, stack: Stack, path: Path, *arguments: str, **options: Any) -> None:
        self.out, self.err = path / "out", path / "err"
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = stack.start(*arguments, stdout=out, stderr=err, **options)

    def said(self) -> str:
        return self.out.read_text()

    def complained(self) -> str:
        return self.err.read_text()

    def wait_for(self, text: str) -> None:
        until(lambda: text in self.said() + self.complained() or self.process.poll() is not None)
        assert text in self.said() + self.complained(), (self.said(), self.complained())

    def send(self, number: int) -> None:
        os.kill(self.process.pid, number)


@pytest.fixture
def attach(tidy: Stack, tmp_path: Path) -> Iterator[Callable[..., Attached]]:
    begun: list[Attached] = []

    def begin(*arguments: str, **options: Any) -> Attached:
        path = tmp_path / f"attached-{len(begun)}"
        path.mkdir()
        begun.append(Attached(tidy, path, "up", *arguments, **options))
        return begun[-1]

    yield begin
    for one in begun:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()


def test_it_shows_what_containers_say_and_how_they_end(tidy: Stack) -> None:
    """Streams are kept apart, names are padded, the last line needs no end, and the code is 0 whatever they return."""
    tidy.write(stack_of(service("a", "echo one; echo two >&2; printf last"), service("longer", "echo three; exit 3")))
    done = tidy("up", code=0)
    lines = done.stdout.splitlines()
    assert lines[0] == "Attaching to a-1, longer-1"
    assert sorted(lines[1:]) == sorted(
        [
            "a-1       | one",
            "a-1       | last",
            "a-1 exited with code 0",
            "longer-1  | three",
            "longer-1 exited with code 3",
        ]
    )
    assert "a-1       | two\n" in done.stderr
    assert lines.index("longer-1  | three") < lines.index("longer-1 exited with code 3")
    assert lines.index("a-1       | last") < lines.index("a-1 exited with code 0")


def test_no_line_is_lost_or_torn(tidy: Stack) -> None:
    """Thousands of lines from the very start, and one that comes in pieces cut through a character."""
    script = "seq 1 5000; printf 'caf\\303'; sleep 0.2; printf '\\251 noir\\n'; seq 5001 10000"
    tidy.write(stack_of(service("web", script)))
    lines = tidy("up", "--no-log-prefix").stdout.splitlines()
    expected = [*map(str, range(1, 5001)), "café noir", *map(str, range(5001, 10001))]
    assert lines == ["Attaching to web-1", *expected, "web-1 exited with code 0"]


def test_a_second_up_shows_only_what_is_new(tidy: Stack) -> None:
    tidy.write(stack_of(service("web", "echo once")))
    for _ in range(2):
        assert tidy("up").stdout.count("web-1  | once\n") == 1


def test_what_is_shown_can_be_chosen(tidy: Stack) -> None:
    tidy.write(
        stack_of(
            service("db", "echo data; sleep 0.3"),
            service("quiet", "echo psst; sleep 0.3", "attach: false"),
            service("web", "echo page; sleep 0.3", "depends_on: [db]"),
        )
    )

    def shown(*arguments: str) -> set[str]:
        said = tidy("up", "--no-log-prefix", *arguments)
        return {word for word in ("data", "psst", "page") if word in said.stdout.splitlines()}

    assert shown() == {"data", "page"}
    assert shown("--no-attach", "db") == {"page"}
    assert shown("--attach", "quiet") == {"psst"}
    assert shown("web") == {"page"}
    assert shown("--attach-dependencies", "web") == {"data", "page"}
    stamped = tidy("up", "--no-log-prefix", "--timestamps", "web").stdout.splitlines()[1]
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z page", stamped)
    assert "\x1b[" not in tidy("up", "web").stdout
    assert "\x1b[36mweb-1  | \x1b[0mpage" in tidy("--ansi", "always", "up", "web").stdout
    assert "\x1b[" not in tidy("--ansi", "always", "up", "--no-color", "web").stdout


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--abort-on-container-exit",), 0),
        (("--abort-on-container-failure",), 4),
        (("--exit-code-from", "slow"), 7),
        (("--exit-code-from", "fast"), 0),
        (("--abort-on-container-failure", "--exit-code-from", "slow"), 7),
    ],
)
def test_the_end_of_one_may_be_the_end_of_all(tidy: Stack, arguments: tuple[str, ...], code: int) -> None:
    """The first end or the first failure stops the others, and says what we end with."""
    tidy.write(
        stack_of(
            service("fast", "sleep 1; exit 0", "depends_on: [slow, failing]"),
            service("failing", "sleep 2; exit 4"),
            service("slow", PATIENT),
        )
    )
    done = tidy("up", *arguments, code=code)
    assert "Aborting on container exit..." in done.stderr
    assert "slow-1 exited with code 7" in done.stdout
    assert set(tidy.states().values()) == {"exited"}


def test_who_others_wait_for_may_end_well_and_ends_nothing(tidy: Stack) -> None:
    tidy.write(
        stack_of(
            service("migrate", "echo migrated"),
            service("web", "sleep 0.2; exit 5", "depends_on: {migrate: {condition: service_completed_successfully}}"),
        )
    )
    assert "migrate-1 exited with code 0" in tidy("up", "--abort-on-container-exit", code=5).stdout


def test_who_fails_while_others_come_up_ends_it(tidy: Stack) -> None:
    """Nobody waits for what will never be, and the code is that of the container."""
    tidy.write(
        stack_of(
            service("migrate", "sleep 1000"),
            service("bad", "exit 6"),
            service("web", "exit 0", "depends_on: {migrate: {condition: service_completed_successfully}}"),
        )
    )
    tidy("up", "--abort-on-container-failure", "-t", "0", code=6)
    assert "running" not in tidy.states().values()


def test_what_up_replaces_does_not_count_as_ended(tidy: Stack) -> None:
    tidy.write(stack_of(service("web", PATIENT)))
    tidy("up", "-d")
    tidy.write(stack_of(service("web", "echo anew; exit 2")))
    done = tidy("up", "--abort-on-container-exit", code=2)
    assert "code 7" not in done.stdout
    assert "web-1  | anew\n" in done.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_stops_in_order(tidy: Stack, attach: Callable[..., Attached], number: int) -> None:
    """With 130, and with the last words of all."""
    tidy.write(stack_of(service("db", PATIENT), service("web", PATIENT, "depends_on: [db]")))
    one = attach()
    one.wait_for("db-1   | ready")
    one.wait_for("web-1  | ready")
    one.send(number)
    assert one.process.wait(30) == 130
    assert "Gracefully stopping... (press Ctrl+C again to force)" in one.complained()
    ends = {f"{name} exited with code 7" for name in ("web-1", "db-1")}
    assert ends | {"web-1  | bye", "db-1   | bye"} <= set(one.said().splitlines())
    logged = [line.split() for line in tidy("logs", "--timestamps").stdout.splitlines() if line.endswith("bye")]
    said_at = {words[0]: words[2] for words in logged}
    assert said_at["web-1"] < said_at["db-1"]
    assert set(tidy.states().values()) == {"exited"}


def test_only_what_was_named_is_stopped(tidy: Stack, attach: Callable[..., Attached]) -> None:
    tidy.write(stack_of(service("db", PATIENT), service("web", PATIENT, "depends_on: [db]")))
    one = attach("web")
    one.wait_for("web-1  | ready")
    one.send(signal.SIGINT)
    assert one.process.wait(30) == 130
    assert tidy.states() == {"web-db-1": "running", "web-web-1": "exited"}


def test_the_second_signal_kills_and_the_third_leaves(tidy: Stack, attach: Callable[..., Attached]) -> None:
    tidy.write(stack_of(service("web", DEAF, "stop_grace_period: 1h")))
    one = attach()
    one.wait_for("web-1  | ready")
    one.send(signal.SIGINT)
    one.wait_for("Gracefully stopping")
    one.send(signal.SIGINT)
    assert one.process.wait(30) == 130
    assert "web-1 exited with code 137" in one.said()
    one = attach()
    one.wait_for("web-1  | ready")
    os.kill(one.process.pid, signal.SIGSTOP)  # all three are there before it sees the first
    for number in (signal.SIGINT, signal.SIGTERM):
        one.send(number)
    os.kill(one.process.pid, signal.SIGCONT)
    one.wait_for("Gracefully stopping")
    one.send(signal.SIGINT)
    assert one.process.wait(30) == 130


def test_a_signal_while_things_come_up_stops_what_has(tidy: Stack, attach: Callable[..., Attached]) -> None:
    tidy.write(
        stack_of(
            service("migrate", PATIENT),
            service("web", "exit 0", "depends_on: {migrate: {condition: service_completed_successfully}}"),
        )
    )
    one = attach()
    one.wait_for("migrate-1  | ready")
    one.send(signal.SIGINT)
    assert one.process.wait(30) == 130
    assert tidy.states() == {"web-migrate-1": "exited", "web-web-1": "created"}


def test_it_ends_when_somebody_else_stops_or_removes_the_stack(tidy: Stack, attach: Callable[..., Attached]) -> None:
    tidy.write(stack_of(service("web", PATIENT)))
    for command in (("stop",), ("down",)):
        one = attach()
        one.wait_for("web-1  | ready")
        tidy(*command)
        assert one.process.wait(30) == 0
        assert "web-1 " in one.said()


def test_a_reader_that_leaves_stops_nothing(tidy: Stack) -> None:
    tidy.write(stack_of(service("web", "seq 1 20000; sleep 0.1; exit 3")))
    process = tidy.start("up", "--exit-code-from", "web", stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(30) == 3


def test_without_any_stream(tidy: Stack) -> None:
    """As a unit or a cron job may have it."""
    tidy.write(stack_of(service("web", "echo hello; exit 3")))
    closed = 'exec <&- >&- 2>&-; exec "$@"'
    process = tidy.start("up", "--exit-code-from", "web", wrapper=("sh", "-c", closed, "sh"))
    assert process.wait(30) == 3


def test_as_the_first_process_of_a_container(tidy: Stack) -> None:
    """Orphans are reaped, signals reach it, and the code is its own."""
    tidy.write(stack_of(service("short", "exit 0"), service("web", PATIENT)))
    process = tidy.start("up", wrapper=("unshare", "--pid", "--fork", "--kill-child", "--mount-proc"))
    first = until(lambda: children(process.pid))[0]
    until(lambda: tidy_log(tidy).count("ready"))
    until(lambda: sum("short" in line for line in ended(tidy)))
    until(lambda: not [child for child in children(first) if state(child) == "Z"])
    os.kill(first, signal.SIGTERM)
    assert process.wait(30) == 130


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return ""


def tidy_log(stack: Stack) -> str:
    return "".join(path.read_text() for path in Path(stack.paths.containers).glob("*/log"))


def ended(stack: Stack) -> list[str]:
    """The records of containers that have ended."""
    found = Path(stack.paths.containers).glob("*/exit/*")
    return [(path.parent.parent / "record.json").read_text() for path in found]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--abort-on-container-exit", "--abort-on-container-failure"),
        ("-d", "--abort-on-container-exit"),
        ("-d", "--exit-code-from", "web"),
        ("--no-start", "--attach", "web"),
        ("--attach", "web", "--attach-dependencies"),
        ("--attach", "nobody"),
        ("--exit-code-from", "nobody"),
    ],
)
def test_what_makes_no_sense_is_refused(tidy: Stack, arguments: tuple[str, ...]) -> None:
    tidy.write(stack_of(service("web", "exit 0")))
    tidy("up", *arguments, code=2)
    assert not tidy.ps()


def test_who_is_started_again_has_not_ended(tidy: Stack) -> None:
    """Each end is told; only after the last of them it is over."""
    tidy.write(stack_of(service("web", "echo try; exit 1", "restart: on-failure:2")))
    lines = tidy("up", code=0).stdout.splitlines()
    assert lines.count("web-1  | try") == 3
    assert lines[-1] == "web-1 exited with code 1"
    assert set(tidy.states().values()) == {"exited"}


def test_an_abort_ends_who_would_be_started_again_too(tidy: Stack) -> None:
    """docker compose 2.40 waits for ever there."""
    tidy.write(stack_of(service("web", "sleep 0.3; exit 5", "restart: always"), service("db", PATIENT)))
    tidy("up", "--abort-on-container-exit", code=5)
    assert set(tidy.states().values()) == {"exited"}


def test_a_signal_ends_who_would_be_started_again_too(tidy: Stack, attach: Callable[..., Attached]) -> None:
    tidy.write(stack_of(service("web", "echo try; exit 1", "restart: always")))
    one = attach()
    one.wait_for("web-1 exited with code 1")
    one.send(signal.SIGINT)
    assert one.process.wait(30) == 130
    assert set(tidy.states().values()) == {"exited"}


def test_a_key_detaches(tidy: Stack) -> None:
    """Then containers run on, and the terminal is as it was."""
    tidy.write(stack_of(service("web", PATIENT)))
    ours, theirs = os.openpty()
    before = termios.tcgetattr(theirs)
    process = tidy.start("up", stdin=theirs, stdout=theirs, stderr=theirs, wrapper=("setsid", "--ctty", "--wait"))
    said = b""
    while b"press d to detach" not in said or b"ready" not in said:
        said += os.read(ours, 4096)
    os.write(ours, b"xd")
    assert process.wait(30) == 0
    assert termios.tcgetattr(theirs) == before
    os.close(ours)
    os.close(theirs)
    assert tidy.states() == {"web-web-1": "running"}
