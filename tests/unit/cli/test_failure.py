"""What is said when steps failed: the last output, what is up, what is not, and the causes last."""

from __future__ import annotations

from pathlib import Path

import pytest

from composer.cli.failure import told
from composer.errors import ContainerError, JockerError, MachineError, ToolMissing
from composer.execute.executor import Outcome
from composer.paths import Paths
from composer.plan.plan import Node
from composer.plan.steps import PullImage, StartContainer, StopContainer

STAMP = "2024-01-02T03:04:05.123456789+00:00"


def start(number: int, name: str) -> Node:
    return Node(number, StartContainer(subject=name, because="", container_id=f"id-{name}", service="s"))


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(f"{tmp_path}/d", f"{tmp_path}/r")


def log(paths: Paths, name: str, *lines: bytes) -> None:
    path = Path(paths.log(f"id-{name}"))
    path.parent.mkdir(parents=True)
    path.write_bytes(b"".join(f"{STAMP} stderr F ".encode() + text + b"\n" for text in lines))


def test_the_cause_comes_last_after_the_last_output(paths: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    log(paths, "web", *(f"line {number}".encode() for number in range(30)))
    outcome = Outcome(
        done=(start(1, "db"),),
        failed=((start(2, "web"), ContainerError("web exited with code 3 at once", hint="look at it")),),
        skipped=(start(3, "top"),),
    )
    error = told(paths, outcome)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "the last output of web:"
    assert lines[1:11] == [f"  │ line {number}" for number in range(20, 30)]
    assert lines[11:] == ["started: db", "not done: top"]
    assert error.message == "web exited with code 3 at once\n  look at it"
    assert error.exit_code == 1


@pytest.mark.parametrize(
    ("errors", "code"),
    [
        ((ToolMissing("runc"), ToolMissing("runc")), 4),
        ((ToolMissing("runc"), MachineError("no init")), 4),
        ((ToolMissing("runc"), ContainerError("x")), 1),
        ((ContainerError("x"), ContainerError("y")), 1),
    ],
)
def test_what_the_machine_lacks_has_its_own_code(paths: Paths, errors: tuple[JockerError, ...], code: int) -> None:
    outcome = Outcome(failed=tuple((start(number, "a"), error) for number, error in enumerate(errors)))
    assert told(paths, outcome).exit_code == code


def test_every_cause_is_told_with_its_own_hint(paths: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    outcome = Outcome(
        failed=(
            (start(1, "a"), ContainerError("one", hint="do this")),
            (start(2, "b"), ContainerError("two")),
            (start(3, "c"), ContainerError("three", hint="do that")),
        )
    )
    assert told(paths, outcome).message == "one\n  do this\njocker: two\njocker: three\n  do that"
    assert capsys.readouterr().err == ""


def test_output_of_containers_is_not_obeyed(paths: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    log(paths, "web", b"\x1b[2Jgone\r", b"\xff\xfe", b"plain  ")
    told(paths, Outcome(failed=((start(1, "web"), ContainerError("no \x1b[1m")),)))
    assert capsys.readouterr().err.splitlines()[1:] == ["  │ \\x1b[2Jgone", "  │ ��", "  │ plain"]


def test_the_message_is_not_obeyed_either(paths: Paths) -> None:
    assert told(paths, Outcome(failed=((start(1, "web"), ContainerError("no \x1b[1m")),))).message == "no \\x1b[1m"


def test_output_is_shown_only_of_containers_that_should_run(paths: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    log(paths, "web", b"bye")
    stop = StopContainer(subject="web", because="", container_id="id-web", signal="SIGTERM", grace_seconds=1)
    pull = PullImage(subject="app", because="", services=())
    outcome = Outcome(failed=((Node(1, stop), ContainerError("x")), (Node(2, pull), ContainerError("y"))))
    told(paths, outcome)
    assert capsys.readouterr().err == ""


def test_names_are_sorted_and_told_once(paths: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    stop = StopContainer(subject="z", because="", container_id="z", signal="SIGTERM", grace_seconds=1)
    outcome = Outcome(
        done=(start(1, "b"), start(2, "a"), Node(3, stop)),
        failed=((start(4, "x"), ContainerError("no")),),
        skipped=(start(5, "d"), start(6, "c"), start(7, "c")),
    )
    told(paths, outcome)
    assert capsys.readouterr().err.splitlines() == ["started: a, b", "not done: c, d"]
