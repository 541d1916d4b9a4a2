"""What runtime and conmon are told, and what their answers mean."""

from __future__ import annotations

import json

import pytest

from composer.errors import CommandNotStarted, ContainerError, MachineError
from composer.host import conmon
from composer.host.conmon import Shim, command_line
from composer.host.runtime import Runtime, explained
from composer.paths import Paths

PATHS = Paths("/d", "/r")
RUNTIME = Runtime("/usr/sbin/runc", "/r/runc")


def shim(**changed: bool) -> Shim:
    return Shim(container_id="c0ffee", project="shop", name="shop-web-1", **changed)


def test_conmon_is_told_all_on_its_command_line() -> None:
    assert " ".join(command_line("/usr/bin/conmon", RUNTIME, PATHS, shim())) == (
        "/usr/bin/conmon --api-version 1 --cid c0ffee --cuuid c0ffee --name shop-web-1 --runtime /usr/sbin/runc"
        " --bundle /r/bundles/c0ffee --container-pidfile /r/conmon/c0ffee/pidfile"
        " --conmon-pidfile /r/conmon/c0ffee/conmon.pid --exit-dir /d/containers/c0ffee/exit --full-attach"
        " --log-path k8s-file:/d/containers/c0ffee/log --log-size-max 67108864 --no-sync-log --log-level warning"
        " --runtime-arg --root --runtime-arg /r/runc --runtime-arg --log --runtime-arg /r/conmon/c0ffee/runtime.log"
        " --runtime-arg --log-format --runtime-arg json"
    )


@pytest.mark.parametrize(
    ("changed", "more"),
    [
        ({"tty": True}, ["--terminal"]),
        ({"stdin": True}, ["--stdin", "--leave-stdin-open"]),
        ({"stdin": True, "stdin_once": True}, ["--stdin"]),
        ({"tty": True, "stdin": True}, ["--terminal", "--stdin", "--leave-stdin-open"]),
        ({"stdin_once": True}, []),
    ],
)
def test_terminal_and_input_are_flags_at_the_end(changed: dict[str, bool], more: list[str]) -> None:
    plain = command_line("conmon", RUNTIME, PATHS, shim())
    assert command_line("conmon", RUNTIME, PATHS, shim(**changed)) == (*plain, *more)


def test_the_runtime_works_in_its_own_directory() -> None:
    assert RUNTIME.start("c0ffee").argv == ("/usr/sbin/runc", "--root", "/r/runc", "start", "c0ffee")
    assert RUNTIME.delete("c0ffee", force=True).argv[-3:] == ("delete", "--force", "c0ffee")
    assert RUNTIME.exec_fifo("c0ffee") == "/r/runc/c0ffee/exec.fifo"


@pytest.mark.parametrize(
    ("text", "message", "code"),
    [
        (
            'time="2026-11-23T14:20:39Z" level=error msg="runc create failed: unable to start container process: '
            'exec: \\"nosuch\\": executable file not found in $PATH"',
            'web: "nosuch": executable file not found in $PATH',
            127,
        ),
        (
            "runc create failed: unable to start container process: "
            'exec: "/bin/x": stat /bin/x: no such file or directory',
            'web: "/bin/x": stat /bin/x: no such file or directory',
            127,
        ),
        (
            'exec failed: unable to start container process: exec: "/etc/passwd": permission denied',
            'web: "/etc/passwd": permission denied',
            126,
        ),
        ('exec: "/etc": is a directory', 'web: "/etc": is a directory', 126),
        ("exec /x: exec format error", "web: exec format error", 126),
    ],
)
def test_a_command_that_cannot_be_run_has_a_shells_code(text: str, message: str, code: int) -> None:
    error = explained(text, "web")
    assert isinstance(error, CommandNotStarted)
    assert (error.message, error.exit_status) == (message, code)
    assert error.hint
    assert not error.transient


@pytest.mark.parametrize(
    ("text", "message", "transient"),
    [
        ("", "web: the runtime failed and said nothing", False),
        (" \n\n", "web: the runtime failed and said nothing", False),
        ("first\nlast\n", "web: last", False),
        (
            "runc create failed: unable to start container process: error during container init: "
            'error mounting "/x" to rootfs at "/y": no such file or directory',
            'web: error mounting "/x" to rootfs at "/y": no such file or directory',
            False,
        ),
        ("cannot set a limit: device or resource busy", "web: cannot set a limit: device or resource busy", True),
        ("fork/exec /proc/self/exe: Resource temporarily unavailable", None, True),
    ],
)
def test_other_failures_are_told_in_the_innermost_words(text: str, message: str | None, transient: bool) -> None:
    error = explained(text, "web")
    assert not isinstance(error, CommandNotStarted)
    assert message is None or error.message == message
    assert error.transient == transient


def test_conmons_report_is_a_pid() -> None:
    assert conmon._understood(b'{"data": 4711}\n', "", "web") == 4711


def test_the_runtimes_reason_comes_through_conmon() -> None:
    line = json.dumps({"data": -1, "message": 'runc create failed: exec: "x": permission denied'}).encode()
    with pytest.raises(CommandNotStarted, match='web: "x": permission denied'):
        conmon._understood(line, "", "web")
    with pytest.raises(ContainerError, match="web: its stderr"):
        conmon._understood(b'{"data": -1}', "its stderr", "web")


@pytest.mark.parametrize("line", [b"no json\n", b"{}\n", b'{"data": null}\n', b'{"data": "x"}\n', b"[]\n", b"\xff\n"])
def test_a_report_that_makes_no_sense_is_shown(line: bytes) -> None:
    with pytest.raises(ContainerError, match="web: conmon reported"):
        conmon._understood(line, "", "web")


def test_no_report_means_that_conmon_itself_failed() -> None:
    with pytest.raises(MachineError, match="web: conmon failed: no runtime") as failed:
        conmon._understood(b"", "no runtime\n", "web")
    assert "doctor" in failed.value.hint
    with pytest.raises(MachineError, match="it said nothing"):
        conmon._understood(b"", " ", "web")
