"""Commands in running containers, and lines to their first process: bytes, codes, signals, terminals."""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import suppress
from fcntl import ioctl
from pathlib import Path
from typing import Any

import pytest
from lives import Lives, id_of
from patience import until

from composer.bundle.context import ProcessUser
from composer.errors import ContainerError
from composer.host import cgroup, process, state
from composer.host.attach import Attachment
from composer.host.execing import Request, execute_in
from composer.host.logs import read_log
from composer.host.runtime import CommandNotStarted
from composer.paths import Paths

pytestmark = pytest.mark.real

APP = ProcessUser(uid=1000, gid=1000, additional_gids=(1000, 2000), home="/home/app")


@pytest.fixture
def life(jocker_dirs: Paths, busybox_rootfs: Path) -> Iterator[Lives]:
    made = Lives(jocker_dirs, busybox_rootfs)
    yield made
    made.clear()


Run = Callable[..., int]


@pytest.fixture
def run(life: Lives) -> Run:
    """Runs a script in the container `one`; gives its code. Its output is ours: see capfd."""

    def run_script(*command: str, detach: bool = False, **fields: Any) -> int:
        argv = command if len(command) > 1 else ("/bin/sh", "-c", *command)
        request = Request(argv=argv, **{"env": {}, **fields})
        return execute_in(life.paths, life.runtime, id_of("one"), "one", request, detach=detach)

    return run_script


@pytest.fixture
def sleeper(life: Lives) -> str:
    return life.start("one", "sleep", "600", environment={"A": "container", "B": "container"}, working_dir="/tmp")


# exec ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [0, 1, 7, 126, 127, 255])
def test_the_code_of_a_command_is_told(code: int, sleeper: str, run: Run) -> None:
    assert run(f"exit {code}") == code


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1])
def test_death_by_a_signal_is_told_as_shells_do(number: int, sleeper: str, run: Run) -> None:
    assert run(f"kill -{int(number)} $$") == 128 + number


def test_a_command_has_our_input_and_outputs(sleeper: str, run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    read, write = os.pipe()
    ours = os.dup(0)
    os.write(write, b"typed\n")
    os.close(write)
    os.dup2(read, 0)
    try:
        assert run("cat; echo err >&2") == 0
    finally:
        os.dup2(ours, 0)
        os.close(ours)
        os.close(read)
    assert capfd.readouterr() == ("typed\n", "err\n")


def test_a_command_sees_what_the_container_sees(sleeper: str, run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("pwd; id; echo $A $B; cat /proc/1/cmdline; grep CapEff /proc/self/status") == 0
    out = capfd.readouterr().out.splitlines()
    assert out[:3] == ["/tmp", "uid=0(root) gid=0(root) groups=0(root)", "container container"]
    assert out[3].startswith("sleep\x00600\x00")
    assert out[3].endswith("CapEff:\t00000000a80425fb")


def test_a_command_can_have_its_own(sleeper: str, run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    script = "pwd; id; echo $A $B $C $HOME; touch /root/x 2>/dev/null || echo refused"
    assert run(script, env={"A": "own", "C": "x y"}, working_dir="/var", user=APP) == 0
    assert capfd.readouterr().out.splitlines() == [
        "/var",
        "uid=1000(app) gid=1000(app) groups=1000(app),2000(extra)",
        "own container x y /home/app",
        "refused",
    ]


def test_a_home_that_was_asked_for_stays(sleeper: str, run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("echo $HOME", env={"HOME": "/asked"}, user=APP) == 0
    assert capfd.readouterr().out == "/asked\n"


@pytest.mark.parametrize(
    ("command", "code"), [("nosuch", 127), ("/bin/nosuch", 127), ("/etc/passwd", 126), ("/etc", 126)]
)
def test_a_command_that_cannot_be_run_is_told_once_and_with_its_code(
    command: str, code: int, sleeper: str, run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(command, "argument") == code
    (said,) = capfd.readouterr().err.splitlines()
    assert command in said
    with pytest.raises(CommandNotStarted) as refused:
        run(command, "argument", detach=True)
    assert refused.value.exit_status == code
    assert command in refused.value.message
    assert refused.value.message.startswith("one: ")
    assert capfd.readouterr() == ("", "")


def test_a_directory_that_is_not_there_is_an_error(sleeper: str, run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("true", working_dir="/nowhere") == 127
    assert "/nowhere" in capfd.readouterr().err


def test_a_privileged_command_has_all_there_is_and_hands_nothing_on(
    sleeper: str, run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run("grep ^Cap /proc/self/status", privileged=True) == 0
    shown = dict(line.split(":\t") for line in capfd.readouterr().out.splitlines())
    ours = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapBnd"))
    assert shown["CapEff"] == shown["CapPrm"] == shown["CapBnd"] == ours.split("\t")[1]
    assert shown["CapInh"] == shown["CapAmb"] == "0" * 16


def test_a_detached_command_runs_on(sleeper: str, run: Run, life: Lives, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("until [ -e /tmp/go ]; do sleep 0.01; done; echo quiet; touch /tmp/done", detach=True) == 0
    root = Path(life.paths.rootfs(sleeper))
    assert len(cgroup.processes(life.cgroup("one"))) > 1
    (root / "tmp/go").touch()
    until((root / "tmp/done").exists)
    assert capfd.readouterr() == ("", "")


def test_a_command_in_a_container_that_does_not_run_is_an_error(
    sleeper: str, run: Run, life: Lives, capfd: pytest.CaptureFixture[str]
) -> None:
    life.stop("one")
    assert run("true") == 1
    assert "stopped" in capfd.readouterr().err
    with pytest.raises(ContainerError, match="stopped") as refused:
        run("true", detach=True)
    assert not isinstance(refused.value, CommandNotStarted)
    life.lifecycle.remove(sleeper, "shop")
    with pytest.raises(ContainerError, match="gone"):
        run("true")


def test_commands_leave_nothing(sleeper: str, run: Run, life: Lives) -> None:
    def there() -> list[str]:
        return sorted(name for place in (life.paths.run, life.paths.bundle(sleeper)) for name in os.listdir(place))

    before = there()
    run("true")
    run("nosuch", "x")
    assert there() == before
    until(lambda: len(cgroup.processes(life.cgroup("one"))) == 1)


EXEC_ON_A_TERMINAL = """
import sys
from lives import Lives, id_of
from composer.host.execing import Request, execute_in
from composer.paths import Paths
life = Lives(Paths(*sys.argv[1:3]), sys.argv[3])
request = Request(argv=("/bin/sh", "-c", sys.argv[4]), env={}, tty=True)
sys.exit(execute_in(life.paths, life.runtime, id_of("one"), "one", request, detach=False))
"""


# A session of its own with the terminal as its own, then the program.
ON_ITS_TERMINAL = (
    "import fcntl, os, sys, termios\nos.setsid()\nfcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
    "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])\n"
)


class Terminal:
    """A program of ours on a terminal."""

    def __init__(self, *argv: str, rows: int, columns: int) -> None:
        self._master, slave = os.openpty()
        self.resize(rows, columns)
        self.process = subprocess.Popen(
            [sys.executable, "-c", ON_ITS_TERMINAL, *argv],
            stdin=slave, stdout=slave, stderr=slave,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": ":".join(sys.path), "TERM": "dumb"},
        )  # fmt: skip
        os.close(slave)
        os.set_blocking(self._master, False)
        self.said = b""

    def resize(self, rows: int, columns: int) -> None:
        ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, data: bytes) -> None:
        os.write(self._master, data)

    def shows(self, text: bytes) -> None:
        until(lambda: text in self._read())

    def _read(self) -> bytes:
        with suppress(OSError):  # nothing now, or nobody is there any more
            self.said += os.read(self._master, 65536)
        return self.said

    def end(self) -> int:
        code = self.process.wait(60)
        self._read()
        os.close(self._master)
        return code


@pytest.fixture
def on_terminal() -> Iterator[Callable[..., Terminal]]:
    """Starts programs on terminals of their own."""
    made: list[Terminal] = []

    def start(*argv: str) -> Terminal:
        made.append(Terminal(*argv, rows=30, columns=100))
        return made[-1]

    yield start
    for one in made:
        one.process.kill()
        one.process.wait()


def test_a_command_on_a_terminal(sleeper: str, life: Lives, on_terminal: Callable[..., Terminal]) -> None:
    script = "tty; echo $TERM; stty size; read x; echo got $x; stty size; exit 7"
    terminal = on_terminal("-c", EXEC_ON_A_TERMINAL, *life.paths, life.layer, script)
    terminal.shows(b"30 100")
    terminal.resize(50, 132)
    os.kill(terminal.process.pid, signal.SIGWINCH)
    terminal.type(b"typed\n")
    terminal.shows(b"got typed")
    assert terminal.end() == 7
    lines = terminal.said.split(b"\r\n")
    assert lines[:3] == [b"/dev/pts/0", b"xterm", b"30 100"]


# attach --------------------------------------------------------------------------------------------------


class Line:
    """An attachment whose streams end in files, pumped in a process of its own."""

    SCRIPT = (
        "import sys\nfrom composer.host.attach import Attachment\nfrom composer.paths import Paths\n"
        "line = Attachment(Paths(*sys.argv[1:3]), sys.argv[3])\n"
        "print('ready', file=sys.stderr, flush=True)\n"
        "line.pump(stdin=0 if sys.argv[4] == 'stdin' else None)\nline.close()\n"
    )

    def __init__(self, life: Lives, *, stdin: int | None = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", self.SCRIPT, *life.paths, id_of("one"), "none" if stdin is None else "stdin"],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": ":".join(sys.path)},
            stdin=subprocess.DEVNULL if stdin is None else stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self.process.stderr is not None
        assert self.process.stderr.readline() == b"ready\n"

    def ends(self) -> tuple[bytes, bytes]:
        out, err = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, err
        return out, err


def test_what_a_container_says_comes_to_who_was_there_before_its_start(life: Lives) -> None:
    container_id = life.create("one", "/bin/sh", "-c", "echo out; echo err >&2; printf end")
    first, second = Line(life), Line(life)
    life.lifecycle.start(container_id, "one")
    assert first.ends() == (b"out\nend", b"err\n")
    assert second.ends() == (b"out\nend", b"err\n")


def test_who_leaves_does_not_disturb_the_container(life: Lives) -> None:
    container_id = life.create("one", "/bin/sh", "-c", "until [ -e /go ]; do sleep 0.01; done; yes | head -n 100000")
    line = Line(life)
    life.lifecycle.start(container_id, "one")
    line.process.kill()
    line.process.communicate()
    Path(life.paths.rootfs(container_id), "go").touch()
    assert life.lifecycle.wait(container_id, 60) == 0
    assert sum(1 for _ in read_log(life.paths.log(container_id))) == 100000


def test_input_reaches_the_container_and_its_end_too(life: Lives) -> None:
    container_id = life.create("one", "cat", stdin=True, stdin_once=True)
    read, write = os.pipe()
    line = Line(life, stdin=read)
    os.close(read)
    life.lifecycle.start(container_id, "one")
    os.write(write, b"first\n")
    until(lambda: b"first" in life.log("one"))
    os.write(write, b"second\n")
    os.close(write)
    assert line.ends() == (b"first\nsecond\n", b"")
    assert life.lifecycle.wait(container_id, 60) == 0


def test_input_that_stays_open_outlives_who_attached(life: Lives) -> None:
    container_id = life.start("one", "cat", stdin=True)
    for text in (b"one\n", b"two\n"):
        line = Attachment(life.paths, container_id)
        line._socket.send(text)
        until(lambda: text.strip() in life.log("one"))  # noqa: B023
        line._socket.shutdown(socket.SHUT_WR)
        line.close()
    assert life.snapshot("one").exit_code is None
    assert process.alive(*state.first_process(life.paths, container_id) or (0, 0))


def test_without_stdin_a_container_reads_nothing(life: Lives) -> None:
    container_id = life.start("one", "cat")
    assert life.lifecycle.wait(container_id, 60) == 0
    assert life.log("one") == b""


def test_much_goes_through_in_both_directions_at_once(life: Lives, tmp_path: Path) -> None:
    """`cat` stops reading while nobody takes what it writes."""
    sent = os.urandom(1 << 20) * 8
    (tmp_path / "sent").write_bytes(sent)
    container_id = life.create("one", "cat", stdin=True, stdin_once=True)
    with open(tmp_path / "sent", "rb") as given:
        line = Line(life, stdin=given.fileno())
    life.lifecycle.start(container_id, "one")
    assert line.ends() == (sent, b"")


def test_input_nobody_reads_does_not_hold_up_the_end_nor_lose_the_output(life: Lives, tmp_path: Path) -> None:
    (tmp_path / "sent").write_bytes(bytes(8 << 20))
    container_id = life.create("one", "/bin/sh", "-c", "yes | head -c 300000", stdin=True, stdin_once=True)
    with open(tmp_path / "sent", "rb") as given:
        line = Line(life, stdin=given.fileno())
    life.lifecycle.start(container_id, "one")
    assert line.ends() == (b"y\n" * 150000, b"")


def test_there_must_be_something_to_attach_to(life: Lives) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(ContainerError, match="cannot attach to container 6f6e65000000"):
        Attachment(life.paths, id_of("one"))
    container_id = life.sh("one", "exit 0")
    life.lifecycle.wait(container_id, 60)
    with pytest.raises(ContainerError, match="cannot attach"):
        Attachment(life.paths, container_id)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_terminal_has_the_size_it_was_given_last(life: Lives) -> None:
    """Also when conmon is busy and finds several sizes at once."""
    script = 'read x; stty size; until [ "$(stty size)" = "59 132" ]; do sleep 0.01; done'
    container_id = life.create("one", "/bin/sh", "-c", script, tty=True, stdin=True)
    line = Attachment(life.paths, container_id)
    line.resize(30, 100)
    life.lifecycle.start(container_id, "one")
    line._socket.send(b"\n")
    until(lambda: b"30 100" in life.log("one"))
    shim = state.conmon_process(life.paths, container_id)
    assert shim is not None
    os.kill(shim.pid, signal.SIGSTOP)
    for rows in range(40, 60):
        line.resize(rows, 132)
    os.kill(shim.pid, signal.SIGCONT)
    assert life.lifecycle.wait(container_id, 20) == 0
    line.close()


ON_A_TERMINAL = """
import sys
from lives import Lives, id_of
from composer.host.attach import Attachment, raw_terminal
from composer.host.logs import window_size
from composer.paths import Paths
life = Lives(Paths(*sys.argv[1:3]), sys.argv[3])
container_id = life.create("one", "/bin/sh", "-c", sys.argv[4], tty=True, stdin=True)
line = Attachment(life.paths, container_id)
line.resize(*window_size(0))
life.lifecycle.start(container_id, "one")
with raw_terminal(0, line):
    line.pump(stdin=0)
line.close()
code = life.lifecycle.wait(container_id)
print("restored", code)
sys.exit(code)
"""


def test_a_container_on_our_terminal(life: Lives, on_terminal: Callable[..., Terminal]) -> None:
    """Keys go through as they are, Ctrl-C is the container's, sizes follow, and our terminal is as before."""
    script = (
        "stty size; trap 'echo interrupted' INT; until read x; do :; done; echo got $x; "
        'until [ "$(stty size)" = "50 132" ]; do sleep 0.01; done; echo resized; exit 9'
    )
    terminal = on_terminal("-c", ON_A_TERMINAL, *life.paths, life.layer, script)
    terminal.shows(b"30 100")
    terminal.type(b"\x03")
    terminal.shows(b"interrupted")
    terminal.type(b"typed\r")
    terminal.shows(b"got typed")
    terminal.resize(50, 132)
    os.kill(terminal.process.pid, signal.SIGWINCH)
    terminal.shows(b"resized")
    terminal.shows(b"restored 9\r\n")
    assert terminal.end() == 9
