"""Files that survive a crash, and locks that die with their holder."""

from __future__ import annotations

import os
import stat
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from patience import until

from composer.errors import ContainerError, LockTimeout
from composer.host import volumes
from composer.host.files import locked, make_private, read_json, read_text, write_atomic, write_json, write_plain
from composer.paths import Paths


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomic(str(path), b"one")
    with open(path, "rb") as old:
        write_atomic(str(path), b"two", mode=0o644, sync=False)
        assert old.read() == b"one"
    assert path.read_bytes() == b"two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert os.listdir(tmp_path) == ["file"]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_atomic(str(path), b"one")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomic(str(path), b"two")
    assert path.read_bytes() == b"one"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("value", [None, 0, "é\u2028\x00", [1, {"a": None}], {"b": 1, "a": 2}])
def test_what_is_written_as_json_is_read_again(value: object, tmp_path: Path) -> None:
    path = str(tmp_path / "file")
    write_json(path, value)
    assert read_json(path) == value


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b'{"a": 1} x'])
def test_what_is_not_json_reads_as_nothing(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    assert read_json(str(path)) is None
    assert read_json(str(path / "below")) is None
    assert read_json(str(tmp_path / "missing")) is None


def test_a_missing_text_is_none_and_a_broken_one_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert read_text(str(path)) is None
    path.write_bytes(b"a\xffb")
    assert read_text(str(path)) == "a\ufffdb"
    assert read_text(str(path / "below")) is None


def test_a_lock_names_its_holder_to_who_waits_in_vain(tmp_path: Path) -> None:
    path = str(tmp_path / "deep/er/lock")
    with locked(path, what="up"):
        with pytest.raises(LockTimeout) as refused, locked(path, timeout=0, what="down"):
            pass
        assert refused.value.message == f"down is locked by {os.getpid()} up"
        assert refused.value.transient
    with locked(path, timeout=0, what="down"):
        assert read_text(path) == f"{os.getpid()} down\n"


def test_shared_locks_keep_only_exclusive_ones_out(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    with locked(path, shared=True, timeout=0), locked(path, shared=True, timeout=0):
        with pytest.raises(LockTimeout), locked(path, timeout=0):
            pass
        assert read_text(path) == ""
    with locked(path, timeout=0), pytest.raises(LockTimeout), locked(path, shared=True, timeout=0):
        pass


def test_who_waited_for_a_lock_that_was_removed_takes_the_new_one(tmp_path: Path) -> None:
    path = str(tmp_path / "stack/lock")
    taken = threading.Event()
    same = []

    def wait() -> None:
        with locked(path, what="second") as fd:
            same.append(os.path.samestat(os.fstat(fd), os.stat(path)))
            taken.set()

    with locked(path, what="first"):
        waiter = threading.Thread(target=wait)
        waiter.start()
        until(lambda: len(_opened(path)) == 2)
        os.unlink(path)
        assert not taken.is_set()
    waiter.join(20)
    assert same == [True]


def _opened(path: str) -> list[str]:
    found = []
    for name in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):
            if os.readlink(f"/proc/self/fd/{name}") == path:
                found.append(name)
    return found


def test_a_failure_gives_the_lock_back(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    with pytest.raises(ZeroDivisionError), locked(path):
        raise ZeroDivisionError
    with locked(path, timeout=0):
        pass


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "-a", "_a", "a\n", "a b", "é", "a\x00"])
def test_what_leads_elsewhere_is_not_the_name_of_a_volume(name: str) -> None:
    with pytest.raises(ContainerError, match="not the name of a volume"):
        volumes.path(Paths("/d", "/r"), name)


@pytest.mark.parametrize("name", ["a", "0", "shop_data", "a.b-c_d", "f" * 64])
def test_a_volume_has_a_place(name: str) -> None:
    assert volumes.path(Paths("/d", "/r"), name) == f"/d/volumes/{name}/_data"


def test_directories_are_made_for_us_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        make_private(str(tmp_path / "a/b/c"))
        make_private(str(tmp_path / "a/b/c"))
    finally:
        os.umask(before)
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a", "a/b", "a/b/c")] == [0o700] * 3


@pytest.mark.parametrize("target", ["file", "nowhere"])
def test_what_is_in_the_way_of_a_directory_is_told(tmp_path: Path, target: str) -> None:
    """A link to a disk that is not mounted, too: no waiting for somebody to make it."""
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(target)
    for path in ("link", "link/below"):
        with pytest.raises(NotADirectoryError, match="link"):
            make_private(str(tmp_path / path))


def test_a_plain_write_has_the_mode_asked_for_and_follows_no_link(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    before = os.umask(0o077)
    try:
        write_plain(str(path), b"long ago", mode=0o644)
        write_plain(str(path), b"now", mode=0o644)
    finally:
        os.umask(before)
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"now", 0o644)
    link = tmp_path / "link"
    link.symlink_to(path)
    with pytest.raises(OSError, match="symbolic links") as refused:
        write_plain(str(link), b"through", mode=0o644)
    assert refused.value.filename == str(link)
    assert path.read_bytes() == b"now"
