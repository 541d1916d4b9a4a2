"""Machines and callers that lack what everybody takes for granted: one clear line, a code that is documented."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from patience import until
from scenarios.conftest import SLEEP, Stack

from composer.host import kernel

pytestmark = pytest.mark.real

WEB = f"name: web\nservices:\n  web:\n{SLEEP}    environment: {{V: '${{V:-}}'}}\n"

# What a shell is told (`jocker` stands for the command), what it ends with, and what is said on the way.
SHELL = [
    ("mkdir gone; cd gone; rmdir ../gone; jocker ps", 2, "the current directory has been removed"),
    ("jocker ps <&- >&- 2>&-", 0, ""),
    ("jocker up -d <&- >&- 2>&-; jocker exec -T web true <&-", 0, ""),
    ("jocker run -T --rm web echo hi <&-", 0, "hi"),
    ("jocker ps >/dev/full", 1, "the output cannot be written: No space left on device"),
    ("jocker config | true; echo ${PIPESTATUS[0]}", 0, ""),
    ("jocker --progress plain up -d 2>/dev/full && jocker ps -q | wc -l", 0, "1"),
    ("jocker --progress json up -d 2>&1 | true; jocker ps -q | wc -l", 0, "1"),
    ("ulimit -n 8; jocker up -d", 4, "ulimit -n 1024"),
    ("JOCKER_DATA_DIR=d jocker ps", 2, "JOCKER_DATA_DIR is 'd', not an absolute path"),
    ("JOCKER_RUN_DIR=../r jocker up -d", 2, "JOCKER_RUN_DIR is '../r', not an absolute path"),
    ("touch f; JOCKER_RUN_DIR=$PWD/f jocker up -d", 1, "Not a directory"),
    ("touch f; JOCKER_DATA_DIR=$PWD/f jocker image import . x", 1, "Not a directory"),
    ("V=$'\\xff' jocker up -d", 1, "text that is not UTF-8, beginning with 'V'"),
    ("V=$'\\xff' jocker config", 0, "V: "),
    ("jocker run --rm -T -u $'\\xff' web true", 1, "jocker: "),
    ("JOCKER_RUN_DIR=/tmp/$(printf 'r%.0s' {1..300}) jocker up -d", 1, "File name too long"),
    ("LC_ALL=en_US.ISO-8859-1 PYTHONUTF8=0 jocker config --format json -f x", 2, "jocker"),
    ("jocker logs --tail ²", 2, "--tail '²'"),
    ("jocker stop -t nan", 2, "seconds, 0 or more"),
    ("jocker stop -t -1", 2, "seconds, 0 or more"),
    ("jocker --lock-timeout -0.5 stop", 2, "seconds, 0 or more"),
    ("jocker up -d --scale web=10000", 2, "at most 9999"),
    ("jocker config -o nowhere/x", 2, "nowhere/x: no such file or directory"),
    ("jocker image save -o . demo", 2, "not a file"),
    ("jocker image save -o '' demo", 2, "not a file"),
    ("jocker image save -o nowhere/x demo", 1, "No such file or directory"),
    ("jocker image save -o >(tar t) demo; wait $!", 0, "index.json"),
]


@pytest.mark.parametrize(("line", "code", "said"), SHELL, ids=[line for line, _, _ in SHELL])
def test_what_is_wrong_is_said_in_a_line(stack: Stack, line: str, code: int, said: str) -> None:
    stack.write(WEB)
    command = f"jocker() {{ '{sys.executable}' -m composer \"$@\"; }}\n"
    done = subprocess.run(
        ["bash", "-c", command + line],
        cwd=stack.directory,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
        check=False,
    )
    text = (done.stdout + done.stderr).decode(errors="replace")
    stack("down", "-t", "0")
    assert done.returncode == code, text
    assert said in text
    assert "Traceback" not in text
    assert "bug in jocker" not in text


def test_a_device_is_written_to_and_not_replaced(stack: Stack, tmp_path: Path) -> None:
    null = tmp_path / "null"
    os.mknod(null, 0o20666, os.makedev(1, 3))
    stack("image", "save", "-o", str(null), "demo")
    assert null.is_char_device()
    (tmp_path / "link").symlink_to("archive")
    stack("image", "save", "-o", str(tmp_path / "link"), "demo")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "archive").stat().st_size > 1000


def test_other_users_are_told_that_root_is_needed(stack: Stack) -> None:
    stack.write(WEB)

    def become_nobody() -> None:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)

    for command in (["ps"], ["up", "-d"], ["image", "ls"], ["image", "prune"]):
        done = subprocess.run(
            [sys.executable, "-m", "composer", "-p", "web", "--project-directory", "/", "-f", "-", *command],
            cwd="/",
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            input=WEB,
            text=True,
            capture_output=True,
            preexec_fn=become_nobody,
            check=False,
        )
        assert done.returncode == 4, done.stderr
        assert "jocker needs root" in done.stderr


def test_down_makes_room_on_a_full_disk(stack: Stack) -> None:
    """Its containers' own data may be what fills it."""
    stack.write(
        "name: web\nservices:\n  web:\n    image: demo\n    network_mode: none\n    init: true\n"
        '    command: [sh, -c, "dd if=/dev/zero of=/x bs=1M count=64 2>/dev/null; echo full; exec sleep 1000"]\n'
    )
    containers = Path(stack.paths.containers)
    containers.mkdir(parents=True, exist_ok=True)
    kernel.mount("tmpfs", str(containers), "tmpfs", 0, "size=4m")
    try:
        stack("up", "-d")
        until(lambda: os.statvfs(containers).f_bavail == 0)
        assert "o space left" in stack("up", "-d", "--scale", "web=2", code=1).stderr
        stack("down", "-t", "0")
        assert list(containers.iterdir()) == []
    finally:
        kernel.umount(str(containers), kernel.MNT_DETACH)
    stack.assert_nothing_left()


@pytest.mark.parametrize("command", ["up -d", "image import . x", "image prune", "down", "create"])
def test_a_disk_that_cannot_be_written(stack: Stack, command: str) -> None:
    stack.write(WEB)
    stack("create")
    kernel.mount(stack.paths.data, stack.paths.data, None, 4096)  # MS_BIND
    try:
        kernel.mount(stack.paths.data, stack.paths.data, None, 4096 | 32 | 1)  # with MS_REMOUNT and MS_RDONLY
        done = stack(*command.split(), *(["--force-recreate"] if command in {"up -d", "create"} else []), code=None)
        assert done.returncode in {1, 4}
        assert "Read-only file system" in done.stderr
        assert "bug in jocker" not in done.stderr
    finally:
        kernel.umount(stack.paths.data, kernel.MNT_DETACH)
    stack("down")
    stack.assert_nothing_left()
