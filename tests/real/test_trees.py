"""Whole trees looked through: as deep as a hostile program makes them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from composer.host import kernel
from composer.host.relabel import relabel
from composer.host.trees import disk_size, entries, remove_tree

pytestmark = pytest.mark.real
DEEP = 2500


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Path]:
    top = tmp_path / "top"
    top.mkdir()
    where = os.open(top, os.O_RDONLY)
    for _ in range(DEEP):
        os.mkdir("d", dir_fd=where)
        below = os.open("d", os.O_RDONLY, dir_fd=where)
        os.close(where)
        where = below
    os.close(where)
    yield top
    remove_tree(str(top))


def test_depth_costs_nothing(deep: Path, tmp_path: Path) -> None:
    assert len(list(entries(str(deep)))) == DEEP
    assert disk_size(str(deep)) == DEEP * os.lstat(deep / "d").st_blocks * 512
    (tmp_path / "switch").touch()
    relabel(str(deep), enforce=str(tmp_path / "switch"))
    assert os.getxattr(deep / "d", "security.selinux")


def test_links_are_counted_once_and_what_is_mounted_not_at_all(tmp_path: Path) -> None:
    top, other = tmp_path / "top", tmp_path / "other"
    for directory in (top / "a", top / "b", other):
        directory.mkdir(parents=True)
    (top / "a" / "one").write_bytes(b"x" * 100_000)
    os.link(top / "a" / "one", top / "b" / "two")
    before = disk_size(str(top))
    assert 100_000 < before < 200_000
    (other / "more").write_bytes(b"x" * 100_000)
    (top / "mounted").mkdir()
    kernel.bind(str(other), str(top / "mounted"))
    try:
        assert disk_size(str(top)) == before
        assert "more" in [name for _, name, _ in entries(str(top), with_mounts=True)]
    finally:
        kernel.umount(str(top / "mounted"))
    assert disk_size(f"{top}/nothing") == 0
