"""Log files as conmon writes them, read, cut and followed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from composer.host.logs import Follower, LogLine, Position, last_lines, parse, read_log

BEGIN = datetime(2026, 11, 23, 14, 20, 0, tzinfo=UTC).timestamp()


def line(second: int, text: str | bytes = "", tag: str = "F", stream: str = "stdout") -> bytes:
    data = text.encode() if isinstance(text, str) else text
    return f"2026-11-23T14:20:{second:02}.000000000+00:00 {stream} {tag} ".encode() + data + b"\n"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def follower() -> Iterator[Follower]:
    made = Follower()
    yield made
    made.close()


def texts(lines: Iterator[LogLine] | list[LogLine]) -> list[bytes]:
    return [one.text for one in lines]


@pytest.mark.parametrize(
    ("raw", "time", "stream", "text", "is_whole"),
    [
        (b"2026-11-23T14:20:00.000000000+00:00 stdout F hello", 0.0, "stdout", b"hello", True),
        (b"2026-11-23T14:20:01.250000000+00:00 stderr P  two  spaces ", 1.25, "stderr", b" two  spaces ", False),
        (b"2026-11-23T15:20:00.000000999+01:00 stdout F ", 0.0, "stdout", b"", True),
        (b"2026-11-23T08:50:00.500000000-05:30 stdout F tty\r", 0.5, "stdout", b"tty\r", True),
        (b"2026-11-23T14:20:00.000000000+00:00 stdout F \x00\xff\xfe a b", 0.0, "stdout", b"\x00\xff\xfe a b", True),
        (b"2026-11-23T14:20:00.000000000+00:00 stdout P \xe2\x82", 0.0, "stdout", b"\xe2\x82", False),
        (b"2026-11-23T14:20:00.000000000+00:00 stdout F stdout F x", 0.0, "stdout", b"stdout F x", True),
    ],
)
def test_a_line_has_a_time_a_stream_and_bytes(
    raw: bytes, time: float, stream: str, text: bytes, is_whole: bool
) -> None:
    found = parse(raw)
    assert found is not None
    assert found.time == pytest.approx(BEGIN + time, abs=1e-5)
    assert found.stamp == raw.partition(b" ")[0].decode()
    assert (found.stream, found.text, found.is_whole) == (stream, text, is_whole)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"2026-11-23T14:20:00.000000000+00:00",
        b"2026-11-23T14:20:00.000000000+00:00 stdout",
        b"2026-11-23T14:20:00.000000000+00:00 stdout F",
        b"2026-11-23T14:20:00.000000000+00:00 stdout X text",
        b"yesterday stdout F text",
        b"\xff\xfe\x00 stdout F text",
        b"\x00" * 4096,
    ],
)
def test_a_torn_line_is_none(raw: bytes) -> None:
    assert parse(raw) is None


def test_no_log_is_an_empty_log(log: Path) -> None:
    assert list(read_log(str(log))) == []
    assert list(read_log(str(log), tail=5)) == []
    assert last_lines(str(log), 5) == []


def test_torn_lines_in_the_middle_are_left_out(log: Path) -> None:
    log.write_bytes(line(1, "a") + b"\x00\x00\x00\n\n" + line(2, "b") + b"2026-11-23T14:2")
    assert texts(read_log(str(log))) == [b"a", b"b"]
    assert texts(read_log(str(log), tail=2)) == [b"a", b"b"]


def test_older_parts_come_first_and_a_file_of_two_names_once(log: Path) -> None:
    for number, name in enumerate(["log.3", "log.2", "log.1", "log"]):
        (log.parent / name).write_bytes(line(number, name))
    os.link(log, f"{log}.0")
    assert texts(read_log(str(log))) == [b"log.3", b"log.2", b"log.1", b"log"]
    assert texts(read_log(str(log), tail=3)) == [b"log.2", b"log.1", b"log"]
    # What conmon has thrown away since, before anybody has moved the numbers.
    log.unlink()
    log.write_bytes(line(9, "new"))
    assert texts(read_log(str(log))) == [b"log.3", b"log.2", b"log.1", b"log", b"new"]


@pytest.mark.parametrize("count", [0, 1, 2, 999, 1000, 1001, 5000])
def test_the_tail_has_as_many_lines_as_asked_for_across_blocks_and_parts(count: int, log: Path) -> None:
    made = [f"{number} {'x' * (number % 300)}".encode() for number in range(1000)]
    (log.parent / "log.1").write_bytes(b"".join(line(1, text) for text in made[:400]))
    log.write_bytes(b"".join(line(2, text) for text in made[400:]))
    assert texts(read_log(str(log), tail=count)) == made[max(0, 1000 - count) :]


def test_pieces_belong_to_the_line_they_end_in(log: Path) -> None:
    log.write_bytes(line(1, "one") + line(2, "a", "P") + line(2, "b", "P") + line(2, "c") + line(3, "three"))
    assert texts(read_log(str(log), tail=1)) == [b"three"]
    assert texts(read_log(str(log), tail=2)) == [b"a", b"b", b"c", b"three"]
    assert texts(read_log(str(log), tail=3)) == [b"one", b"a", b"b", b"c", b"three"]


def test_a_line_that_has_not_ended_yet_is_a_line(log: Path) -> None:
    log.write_bytes(line(1, "one") + line(2, "two") + line(3, "a", "P") + line(4, "b", "P"))
    assert texts(read_log(str(log), tail=1)) == [b"a", b"b"]
    assert texts(read_log(str(log), tail=2)) == [b"two", b"a", b"b"]


def test_a_line_that_never_ended_is_one_before_another_stream(log: Path) -> None:
    log.write_bytes(line(1, "out") + line(2, "no end", "P") + line(2, "err", stream="stderr"))
    assert texts(read_log(str(log), tail=1)) == [b"err"]
    assert texts(read_log(str(log), tail=2)) == [b"no end", b"err"]


def test_pieces_make_up_the_very_bytes(log: Path) -> None:
    whole = "€".encode() * 10000 + bytes(range(256)).replace(b"\n", b"")
    pieces = [whole[start : start + 8191] for start in range(0, len(whole), 8191)]
    assert any(piece[-1:] in {b"\xe2", b"\x82"} for piece in pieces)
    log.write_bytes(b"".join(line(1, piece, "P") for piece in pieces[:-1]) + line(1, pieces[-1]))
    assert b"".join(texts(read_log(str(log)))) == whole
    assert b"".join(texts(read_log(str(log), tail=1))) == whole


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"since": BEGIN + 3}, [3, 4, 5]),
        ({"since": BEGIN + 3.5}, [4, 5]),
        ({"until": BEGIN + 2}, [0, 1, 2]),
        ({"since": BEGIN + 1, "until": BEGIN + 2}, [1, 2]),
        ({"since": BEGIN + 9}, []),
        ({"until": BEGIN - 1}, []),
        ({"since": BEGIN + 1, "tail": 2}, [4, 5]),
        ({"until": BEGIN + 4, "tail": 3}, [3, 4]),
    ],
)
def test_times_cut_on_both_sides(limits: dict[str, float], expected: list[int], log: Path) -> None:
    (log.parent / "log.1").write_bytes(b"".join(line(number, str(number)) for number in range(3)))
    log.write_bytes(b"".join(line(number, str(number)) for number in range(3, 6)))
    assert texts(read_log(str(log), **limits)) == [str(number).encode() for number in expected]  # type: ignore[arg-type]


def test_the_last_lines_of_an_endless_one_are_cut(log: Path) -> None:
    log.write_bytes(line(1, "x" * 8000, "P") * 100 + line(1, "end"))
    shown = last_lines(str(log), 10)
    assert shown[-1].text == b"end"
    assert 1 << 16 <= sum(len(one.text) for one in shown) < (1 << 16) + 8000
    assert texts(last_lines(str(log), 1, most=3)) == [b"end"]


def rotate(log: Path) -> None:
    """As `logs.rotate` and conmon do together."""
    for number in range(3, 0, -1):
        if os.path.exists(f"{log}.{number - 1}"):
            os.rename(f"{log}.{number - 1}", f"{log}.{number}")
    new = log.with_name("log.tmp")
    new.touch()
    if not os.path.exists(f"{log}.1"):
        os.link(log, f"{log}.1")
    os.rename(new, log)
    os.link(log, f"{log}.0")


def write(log: Path, data: bytes) -> None:
    with open(log, "ab") as file:
        file.write(data)


def test_what_is_followed_comes_once_and_in_order(log: Path, follower: Follower) -> None:
    write(log, line(1, "old"))
    follower.add(str(log), from_end=True)
    assert follower.new_lines(str(log)) == []
    write(log, line(2, "a") + line(2, "b")[:-3])
    assert texts(follower.new_lines(str(log))) == [b"a"]
    write(log, line(2, "b")[-3:])
    assert texts(follower.new_lines(str(log))) == [b"b"]


def test_following_from_the_start_has_the_present_file(log: Path, follower: Follower) -> None:
    write(log, line(1, "old"))
    assert follower.add(str(log), from_end=False).offset == 0
    assert texts(follower.new_lines(str(log))) == [b"old"]


@pytest.mark.parametrize("between", [1, 2, 3])
def test_no_line_is_lost_or_doubled_by_rotations_between_two_looks(between: int, log: Path, follower: Follower) -> None:
    write(log, line(0, "0"))
    follower.add(str(log), from_end=True)
    seen = []
    expected = []
    for number in range(1, 20):
        write(log, line(number, f"{number} before"))
        for _ in range(between):
            rotate(log)
            write(log, line(number, f"{number} after"))
            expected.append(f"{number} after".encode())
        expected.insert(-between, f"{number} before".encode())
        seen += texts(follower.new_lines(str(log)))
    assert seen == expected
    assert follower.new_lines(str(log)) == []


def test_history_and_what_follows_it_fit_together(log: Path, follower: Follower) -> None:
    """Lines come, and files change, between the moment following begins and the moment history is read."""
    write(log, line(1, "a"))
    rotate(log)
    write(log, line(2, "b") + line(3, "torn")[:20])
    place = follower.add(str(log), from_end=True)
    write(log, line(3, "torn")[20:] + line(4, "d"))
    rotate(log)
    write(log, line(5, "e"))
    assert texts(read_log(str(log), before=place)) == [b"a", b"b"]
    assert texts(read_log(str(log), before=place, tail=1)) == [b"b"]
    assert texts(follower.new_lines(str(log))) == [b"torn", b"d", b"e"]


def test_history_of_a_log_that_came_later_is_left_to_the_follower(log: Path, follower: Follower) -> None:
    place = follower.add(str(log), from_end=True)
    assert place == Position(0, 0, 0)
    write(log, line(1, "a"))
    rotate(log)
    write(log, line(2, "b"))
    assert list(read_log(str(log), before=place)) == []
    assert texts(follower.new_lines(str(log))) == [b"a", b"b"]


def test_a_log_that_was_removed_ends_quietly(log: Path, follower: Follower) -> None:
    write(log, line(1, "a"))
    follower.add(str(log), from_end=False)
    log.unlink()
    assert texts(follower.new_lines(str(log))) == [b"a"]
    assert follower.new_lines(str(log)) == []


@pytest.mark.parametrize("change", [lambda log: write(log, b"x"), rotate, lambda log: (log.parent / "exit").touch()])
def test_a_change_wakes_who_waits(change: Callable[[Path], None], log: Path, follower: Follower) -> None:
    write(log, line(1, "a"))
    follower.add(str(log), from_end=True)
    follower.watch(str(log.parent))
    change(log)
    assert follower.wait(20)
    assert not follower.wait(0)


def test_a_closed_follower_leaves_nothing_open(log: Path) -> None:
    write(log, line(1, "a"))
    before = os.listdir("/proc/self/fd")
    follower = Follower()
    follower.add(str(log), from_end=True)
    rotate(log)
    follower.new_lines(str(log))
    follower.close()
    list(read_log(str(log)))
    assert len(os.listdir("/proc/self/fd")) == len(before)
