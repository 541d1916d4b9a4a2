"""Copies of blobs: the same bytes whichever way the file system knows."""

from __future__ import annotations

import errno
import os
import random
import threading
from pathlib import Path
from typing import Any

import pytest

from composer.errors import ImageRefused
from composer.image import blobs
from composer.image.store import LayerSource

OFFSET = 1536
SIZES = (0, 1, 511, 4096, 4097, (1 << 22) - 1, 1 << 22, (1 << 22) + 5, 9_000_000)


def no_such_way(*_: Any) -> bool:
    return False


@pytest.mark.parametrize("by_sending", [False, True], ids=["past the cache", "sent"])
@pytest.mark.parametrize("size", SIZES)
def test_a_stretch_of_a_file_is_copied(
    size: int, by_sending: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = random.Random(size).randbytes(OFFSET + size + 700)
    (tmp_path / "archive").write_bytes(data)
    if by_sending:
        monkeypatch.setattr(blobs, "_write_past_the_cache", no_such_way)
    source = LayerSource(str(tmp_path / "archive"), OFFSET, size)
    blobs._copy(source, size, str(tmp_path / "copy"), threading.Event())
    assert (tmp_path / "copy").read_bytes() == data[OFFSET : OFFSET + size]


@pytest.mark.parametrize("by_sending", [False, True], ids=["past the cache", "sent"])
def test_a_source_that_breaks_off(by_sending: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "archive").write_bytes(bytes(5_000_000))
    if by_sending:
        monkeypatch.setattr(blobs, "_write_past_the_cache", no_such_way)
    source = LayerSource(str(tmp_path / "archive"), 0, 5_000_001)
    with pytest.raises(ImageRefused, match="breaks off"):
        blobs._copy(source, 5_000_001, str(tmp_path / "copy"), threading.Event())


def test_a_file_system_that_refuses_in_the_middle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = random.Random(7).randbytes(5_000_000)
    (tmp_path / "archive").write_bytes(data)
    write = os.write

    def refuses(fd: int, piece: Any) -> int:
        if len(piece) < 1 << 22:
            raise OSError(errno.EINVAL, "Invalid argument")
        return write(fd, piece)

    monkeypatch.setattr(os, "write", refuses)
    blobs._copy(LayerSource(str(tmp_path / "archive")), len(data), str(tmp_path / "copy"), threading.Event())
    assert (tmp_path / "copy").read_bytes() == data


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "archive").write_bytes(b"x")

    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        blobs._copy(LayerSource(str(tmp_path / "archive")), 1, str(tmp_path / "copy"), threading.Event())


def test_another_size_than_the_manifest_says(tmp_path: Path) -> None:
    (tmp_path / "archive").write_bytes(b"123")
    with pytest.raises(ImageRefused, match="has 3 bytes, the manifest says 4"):
        blobs._copy(LayerSource(str(tmp_path / "archive")), 4, str(tmp_path / "copy"), threading.Event())
