"""Logs of real containers: all bytes, in bounds, and no line lost when files change."""

from __future__ import annotations

import fcntl
import os
import signal
import struct
import termios
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from lives import Lives, id_of
from patience import until

from composer.host import conmon, logs, state
from composer.host.logs import Follower, last_lines, read_log
from composer.paths import Paths

pytestmark = pytest.mark.real

COUNTS = "i=0; while [ $i -lt {} ]; do echo line $i; i=$((i+1)); done"


@pytest.fixture
def life(jocker_dirs: Paths, busybox_rootfs: Path) -> Iterator[Lives]:
    made = Lives(jocker_dirs, busybox_rootfs)
    yield made
    made.clear()


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> int:
    """Logs are cut small; gives the size."""
    monkeypatch.setattr(logs, "ROTATE_AT", 20_000)
    return logs.ROTATE_AT


def path_of(life: Lives, name: str = "one") -> str:
    return life.paths.log(id_of(name))


def text_of(life: Lives, name: str = "one") -> bytes:
    return b"".join(one.text + (b"\n" if one.is_whole else b"") for one in read_log(path_of(life, name)))


def names_of(life: Lives) -> list[str]:
    return sorted(name for name in os.listdir(life.paths.container(id_of("one"))) if name.startswith("log"))


def size_of(life: Lives) -> int:
    """Bytes on disk, a file of two names once."""
    directory = life.paths.container(id_of("one"))
    return sum(
        {
            os.stat(f"{directory}/{name}").st_ino: os.stat(f"{directory}/{name}").st_size for name in names_of(life)
        }.values()
    )


def ended(life: Lives, name: str = "one") -> int | None:
    return life.lifecycle.wait(id_of(name), 120)


def test_streams_and_times_are_kept(life: Lives) -> None:
    life.sh("one", "echo out; echo err >&2; printf 'no end'")
    assert ended(life) == 0
    lines = list(read_log(path_of(life)))
    assert {(one.stream, one.text, one.is_whole) for one in lines} == {
        ("stdout", b"out", True),
        ("stderr", b"err", True),
        ("stdout", b"no end", False),
    }
    begun = life.snapshot("one")
    assert all(begun.started_at - 1 <= one.time <= begun.finished_at + 1 for one in lines)


def test_every_byte_is_kept(life: Lives) -> None:
    """Zeros, broken UTF-8, characters across the pieces of a long line."""
    life.sh(
        "one", "i=0; while [ $i -lt 200 ]; do cat /bin/busybox | head -c 99; printf '€\\0\\377\\r€'; i=$((i+1)); done"
    )
    assert ended(life) == 0
    chunk = Path("/bin/busybox").read_bytes()[:99] + "€\0".encode() + b"\xff\r" + "€".encode()
    assert text_of(life) == chunk * 200


def test_a_terminal_gives_one_stream_with_its_line_ends(life: Lives) -> None:
    life.sh("one", "tty; echo err >&2", tty=True)
    assert ended(life) == 0
    assert [(one.stream, one.text) for one in read_log(path_of(life))] == [
        ("stdout", b"/dev/pts/0\r"),
        ("stdout", b"err\r"),
    ]


def test_a_line_of_64_mib_is_kept_to_the_last_byte(life: Lives) -> None:
    """More than conmon itself lets a file grow: it starts a new one in the middle, and throws nothing away."""
    size = 64 * 1024 * 1024
    assert size >= conmon.HARD_LOG_CAP
    life.sh("one", f"yes 0123456789abcde | tr '\\n' ' ' | head -c {size}; echo; echo end")
    assert ended(life) == 0
    assert names_of(life) == ["log", "log.0"]
    lengths = [len(one.text) for one in read_log(path_of(life)) if not one.text.strip(b"0123456789abcde ")]
    assert sum(lengths) == size
    shown = last_lines(path_of(life), 2)
    assert shown[-1].text == b"end"
    assert sum(len(one.text) for one in shown) < 1 << 17


def test_a_log_has_its_second_name_from_the_first_line_on(life: Lives) -> None:
    life.create("one", "sleep", "600")
    assert names_of(life) == ["log", "log.0"]
    assert os.path.samefile(path_of(life), f"{path_of(life)}.0")


def test_a_disk_that_is_full_does_not_stop_containers(life: Lives, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "link", full)
    life.sh("one", "echo here")
    assert ended(life) == 0
    assert text_of(life) == b"here\n"
    monkeypatch.undo()
    logs.rotate(life.paths, [id_of("one")])
    assert names_of(life) == ["log", "log.0"]


def test_what_conmon_throws_away_is_kept(life: Lives, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conmon, "HARD_LOG_CAP", 100_000)
    life.sh("one", COUNTS.format(3000))
    assert ended(life) == 0
    assert Path(path_of(life)).stat().st_size < 100_000
    assert text_of(life) == b"".join(b"line %d\n" % number for number in range(3000))


def test_a_rotation_of_small_logs_does_nothing(life: Lives, small: int) -> None:
    life.sh("one", "echo ready; exec sleep 600")
    until(lambda: text_of(life))
    before = os.stat(path_of(life))
    logs.rotate(life.paths, [id_of("one"), id_of("one"), id_of("nobody")])
    assert os.stat(path_of(life)) == before
    assert names_of(life) == ["log", "log.0"]


def test_rotated_logs_lose_nothing_and_stay_in_bounds(life: Lives, small: int) -> None:
    """Followed all the while, with a rotation at every look."""
    count = 5000
    with_pauses = "i=0; while [ $i -lt {} ]; do echo line $i; i=$((i+1)); [ $((i%500)) = 0 ] && sleep 0.05; done"
    life.create("one", "/bin/sh", "-c", with_pauses.format(count))
    follower = Follower()
    try:
        follower.add(path_of(life), from_end=False)
        life.lifecycle.start(id_of("one"), "one")
        seen = []
        biggest = 0
        files = set()
        while True:
            alive = life.snapshot("one").exit_code is None
            seen += follower.new_lines(path_of(life))
            logs.rotate(life.paths, [id_of("one")])
            files.add(os.stat(path_of(life)).st_ino)
            biggest = max(biggest, size_of(life))
            if not alive:
                break
            follower.wait(1.0)
        seen += follower.new_lines(path_of(life))
    finally:
        follower.close()
    assert [one.text for one in seen] == [b"line %d" % number for number in range(count)]
    assert len(files) > 3
    assert names_of(life) == ["log", "log.0", "log.1", "log.2", "log.3"]
    # What is written between two looks comes on top: about 500 lines of 60 bytes.
    assert biggest < 5 * (small + 60_000)
    assert text_of(life).endswith(b"line 4998\nline 4999\n")


def test_who_rotates_at_the_same_time_loses_nothing(life: Lives, small: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "OLDER_PARTS", 1000)
    life.sh("one", COUNTS.format(20000))
    done = threading.Event()

    def again() -> None:
        while not done.is_set():
            logs.rotate(life.paths, [id_of("one")])

    threads = [threading.Thread(target=again) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        assert ended(life) == 0
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert len(names_of(life)) > 2  # how often depends on who gets the processors
    assert text_of(life) == b"".join(b"line %d\n" % number for number in range(20000))


def test_a_rotation_that_conmon_has_not_heard_of_yet_is_not_ordered_twice(life: Lives, small: int) -> None:
    life.sh("one", COUNTS.format(1000) + "; read line < /none; sleep 600")
    until(lambda: b"line 999\n" in text_of(life))
    shim = state.conmon_process(life.paths, id_of("one"))
    assert shim is not None
    os.kill(shim.pid, signal.SIGSTOP)
    try:
        for _ in range(2):
            logs.rotate(life.paths, [id_of("one")])
        assert names_of(life) == ["log", "log.0"]
        control = os.open(f"{life.paths.bundle(id_of('one'))}/ctl", os.O_WRONLY | os.O_NONBLOCK)
        unread = fcntl.ioctl(control, termios.FIONREAD, bytes(4))
        os.close(control)
        assert struct.unpack("i", unread) == (199,)  # one order
    finally:
        os.kill(shim.pid, signal.SIGCONT)
    until(lambda: os.stat(path_of(life)).st_size < small)
    logs.rotate(life.paths, [id_of("one")])
    assert names_of(life) == ["log", "log.0", "log.1"]
    assert text_of(life).count(b"\n") >= 1000


def test_the_log_of_a_container_that_has_ended_is_left_as_it_is(life: Lives, small: int) -> None:
    life.sh("one", COUNTS.format(2000))
    assert ended(life) == 0
    whole = text_of(life)
    logs.rotate(life.paths, [id_of("one")])
    assert names_of(life) == ["log", "log.0"]
    assert text_of(life) == whole
    # Its next life begins with a new file.
    life.again("one", "/bin/sh", "-c", "echo again")
    assert ended(life) == 0
    assert names_of(life) == ["log", "log.0", "log.1"]
    assert text_of(life) == whole + b"again\n"


def test_a_rotation_broken_off_is_finished_by_the_next(life: Lives, small: int) -> None:
    life.sh("one", COUNTS.format(1000) + "; exec sleep 600")
    until(lambda: b"line 999\n" in text_of(life))
    logs.rotate(life.paths, [id_of("one")])
    path = path_of(life)
    whole = text_of(life)
    # As if killed after the first name had moved up, and once more after the second.
    os.rename(f"{path}.1", f"{path}.2")
    assert text_of(life) == whole
    os.unlink(f"{path}.0")
    assert text_of(life) == whole
    logs.rotate(life.paths, [id_of("one")])
    assert names_of(life) == ["log", "log.0", "log.2"]
    assert text_of(life) == whole


def test_a_log_in_bounds_is_only_looked_at(life: Lives, monkeypatch: pytest.MonkeyPatch) -> None:
    life.start("one", "sleep", "600")

    def refuse(*_: object) -> None:
        pytest.fail("it did more than look")

    monkeypatch.setattr(logs, "_rotate", refuse)
    logs.rotate(life.paths, [id_of("one")])
