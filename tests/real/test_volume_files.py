"""Named volumes on disk: what an image has gets into an empty one as a whole, and what is used is not removed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from composer.errors import ContainerError
from composer.host import kernel, records, volume_fill, volumes
from composer.paths import Paths

pytestmark = pytest.mark.real

ANONYMOUS = "ab" * 32


@pytest.fixture
def store(tmp_path: Path) -> Paths:
    paths = Paths(f"{tmp_path}/d", f"{tmp_path}/r")
    volumes.create_named(paths, "v", project="p", key="v", labels={})
    return paths


def fill(directory: str) -> None:
    (Path(directory) / "a").mkdir()
    (Path(directory) / "b").write_text("image")
    os.chown(directory, 7, 8)
    os.utime(directory, (1, 2))


def crash(*_: object) -> None:
    raise KeyboardInterrupt


def fail(_: str) -> None:
    pytest.fail("it was filled twice")


def tree(paths: Paths) -> list[str]:
    return sorted(os.listdir(f"{paths.volumes}/v"))


def test_an_empty_volume_is_filled_where_it_is(store: Paths) -> None:
    data = Path(volumes.path(store, "v"))
    before = data.stat().st_ino
    volumes.prepare(store, "v", fill)
    found = data.stat()
    assert (found.st_ino, found.st_uid, found.st_gid, found.st_mtime) == (before, 7, 8, 2)
    assert sorted(os.listdir(data)) == ["a", "b"]
    volumes.prepare(store, "v", fail)
    assert tree(store) == ["_data", "record.json"]


def test_an_image_with_nothing_there_changes_nothing(store: Paths) -> None:
    data = Path(volumes.path(store, "v"))
    os.chown(data, 5, 6)
    before = data.stat()
    volumes.prepare(store, "v", lambda _: None)
    after = data.stat()
    assert (after.st_uid, after.st_gid, after.st_mode, after.st_mtime) == (5, 6, before.st_mode, before.st_mtime)


def test_a_fill_that_fails_leaves_the_volume_empty(store: Paths) -> None:
    def half(directory: str) -> None:
        (Path(directory) / "half").write_text("")
        crash()

    with pytest.raises(KeyboardInterrupt):
        volumes.prepare(store, "v", half)
    assert tree(store) == ["_data", "record.json"]
    assert not os.listdir(volumes.path(store, "v"))


@pytest.mark.parametrize("second", [fail, None])
def test_a_fill_cut_short_goes_on_and_takes_nothing_away(
    store: Paths, monkeypatch: pytest.MonkeyPatch, second: Callable[[str], None] | None
) -> None:
    data = Path(volumes.path(store, "v"))
    with monkeypatch.context() as patch:
        patch.setattr(volume_fill, "move_in", crash)
        with pytest.raises(KeyboardInterrupt):
            volumes.prepare(store, "v", fill)
    (data / "b").write_text("container")  # by who has had it all along
    volumes.prepare(store, "v", second)
    assert sorted(os.listdir(data)) == ["a", "b"]
    assert (data / "b").read_text() == "container"
    assert data.stat().st_uid == 7
    assert tree(store) == ["_data", "record.json"]


def test_a_fill_into_another_file_system_cut_short_is_begun_again(
    store: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = Path(volumes.path(store, "v"))
    kernel.mount("tmpfs", str(data), "tmpfs", 0)
    try:
        (data.parent / "_whole" / "a" / "deep").mkdir(parents=True)
        (data.parent / "_whole" / "a" / "deep" / "file").write_text("image")
        with monkeypatch.context() as patch:

            def half(_: int, name: str, target: int) -> None:
                os.mkdir(name, dir_fd=target)
                crash()

            patch.setattr(volume_fill.trees, "copy_entry", half)
            with pytest.raises(KeyboardInterrupt):
                volumes.prepare(store, "v")
        assert sorted(os.listdir(data)) == ["a"]
        volumes.prepare(store, "v")
        assert (data / "a" / "deep" / "file").read_text() == "image"
        assert tree(store) == ["_data", "record.json"]
    finally:
        kernel.umount(str(data), kernel.MNT_DETACH)


def test_a_volume_that_got_a_user_after_the_plan_stays(store: Paths) -> None:
    mounts = [{"type": "volume", "target": "/t", "volume": "v"}]
    records.write(store, {"id": "c1", "name": "q-web-1", "project": "q", "spec": {"mounts": mounts}})
    with pytest.raises(ContainerError, match="volume v stays: q-web-1 uses it"):
        volumes.remove_named(store, "v")
    assert tree(store) == ["_data", "record.json"]
    records.remove(store, "c1")
    volumes.remove_named(store, "v")
    volumes.remove_named(store, "v")
    assert not os.listdir(store.volumes)
    with pytest.raises(ContainerError, match="volume v is not there"):
        volumes.prepare(store, "v")
    assert not os.listdir(store.volumes)


def test_what_a_volume_is_follows_from_its_record(store: Paths) -> None:
    volumes.create_named(store, "cd" * 32, project="p", key="w", labels={})
    volumes.create_anonymous(store, ANONYMOUS, project="p", container_id="c1", target="/t")
    assert {name: one["project"] for name, one in volumes.named_records(store).items()} == {"v": "p", "cd" * 32: "p"}
    with pytest.raises(ContainerError, match="is the anonymous one of container c1"):
        volumes.create_named(store, ANONYMOUS, project="q", key="x", labels={})
    with pytest.raises(ContainerError, match="is the anonymous one of container c1"):
        volumes.prepare(store, ANONYMOUS)


def test_what_is_mounted_in_a_volume_whose_record_is_lost_stays(store: Paths, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "file").write_text("mine")
    kernel.bind(str(mine), volumes.path(store, "v"))
    Path(f"{store.volumes}/v/record.json").write_text("")
    volumes.remove_named(store, "v")
    assert (mine / "file").read_text() == "mine"
    assert not os.path.exists(f"{store.volumes}/v")
