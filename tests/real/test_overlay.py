"""Overlays, mounted by the kernel: layers in their order, odd names, and nothing left behind."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from composer.errors import ContainerError, MachineError
from composer.host import kernel, overlay
from composer.host.trees import remove_tree
from composer.paths import Paths

pytestmark = pytest.mark.real

ID = "c0ffee" + "0" * 58

Layers = Callable[..., list[str]]


@pytest.fixture
def layers(jocker_dirs: Paths) -> Layers:
    """Makes layers from dicts of names and contents, lowest first; gives their directories."""

    def make(*contents: dict[str, str], base: str = "") -> list[str]:
        made = []
        for number, files in enumerate(contents):
            layer = Path(base or jocker_dirs.data) / f"layer{number}"
            for name, text in files.items():
                (layer / name).parent.mkdir(parents=True, exist_ok=True)
                (layer / name).write_text(text)
            made.append(str(layer))
        return made

    return make


def mounts_below(directory: str) -> list[str]:
    return [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if f" {directory}/" in line]


def test_higher_layers_cover_lower_ones_and_writes_go_to_neither(jocker_dirs: Paths, layers: Layers) -> None:
    below = layers({"a": "1", "b": "1", "c": "1"}, {"b": "2", "c": "2"}, {"c": "3"})
    root = Path(overlay.mount(jocker_dirs, ID, below))
    try:
        assert str(root) == jocker_dirs.rootfs(ID)
        assert [(root / name).read_text() for name in "abc"] == ["1", "2", "3"]
        assert stat.S_IMODE(root.stat().st_mode) == 0o755
        (root / "a").write_text("mine")
        (root / "b").unlink()
        assert [Path(below[0], name).read_text() for name in "abc"] == ["1", "1", "1"]
        assert Path(jocker_dirs.container(ID), "upper", "a").read_text() == "mine"
    finally:
        overlay.unmount(jocker_dirs, ID)


def test_what_was_written_is_there_again_after_an_unmount(jocker_dirs: Paths, layers: Layers) -> None:
    below = layers({"a": "1"})
    for written in ("one", "two"):
        root = Path(overlay.mount(jocker_dirs, ID, below))
        (root / written).write_text(written)
        overlay.unmount(jocker_dirs, ID)
        assert list(root.iterdir()) == []
    root = Path(overlay.mount(jocker_dirs, ID, below))
    try:
        assert sorted(one.name for one in root.iterdir()) == ["a", "one", "two"]
    finally:
        overlay.unmount(jocker_dirs, ID)


def test_mounting_twice_is_mounting_once(jocker_dirs: Paths, layers: Layers) -> None:
    below = layers({"a": "1"})
    assert overlay.mount(jocker_dirs, ID, below) == overlay.mount(jocker_dirs, ID, below)
    assert len(mounts_below(jocker_dirs.run)) == 1
    overlay.unmount(jocker_dirs, ID)
    assert mounts_below(jocker_dirs.run) == []


def test_unmounting_what_is_not_mounted_does_nothing(jocker_dirs: Paths) -> None:
    overlay.unmount(jocker_dirs, ID)
    os.makedirs(jocker_dirs.rootfs(ID))
    overlay.unmount(jocker_dirs, ID)
    overlay.unmount(jocker_dirs, ID)


def test_a_root_in_use_goes_with_its_last_user(jocker_dirs: Paths, layers: Layers) -> None:
    root = overlay.mount(jocker_dirs, ID, layers({"a": "1"}))
    with open(f"{root}/a") as used:
        overlay.unmount(jocker_dirs, ID)
        assert mounts_below(jocker_dirs.run) == []
        assert used.read() == "1"
    remove_tree(jocker_dirs.bundle(ID))


def test_an_image_may_have_more_layers_than_a_page_of_options_names(jocker_dirs: Paths, layers: Layers) -> None:
    below = layers(*({"top": str(number), f"n{number}": ""} for number in range(overlay.MOST_LAYERS)))
    root = Path(overlay.mount(jocker_dirs, ID, below))
    try:
        assert (root / "top").read_text() == str(overlay.MOST_LAYERS - 1)
        assert len(list(root.iterdir())) == overlay.MOST_LAYERS + 1
    finally:
        overlay.unmount(jocker_dirs, ID)
    with pytest.raises(ContainerError, match="501 layers"):
        overlay.mount(jocker_dirs, ID, [*below, below[0]])
    with pytest.raises(ContainerError, match="0 layers"):
        overlay.mount(jocker_dirs, ID, [])


@pytest.mark.parametrize(
    "name", ["a,b", "a:b", "a b", "a\\b", "a\\:b", "a\nb", "é=ü", "'\"", "x" * 230, "lowerdir=,upperdir=/"]
)
def test_the_store_may_lie_below_any_name(name: str, jocker_dirs: Paths, layers: Layers) -> None:
    base = f"{jocker_dirs.data}/{name}"
    paths = Paths(f"{base}/d", f"{base}/r")
    root = Path(overlay.mount(paths, ID, layers({"a": "1"}, {"b": "2"}, base=f"{base}/layers")))
    try:
        (root / "c").write_text("3")
        assert sorted(one.name for one in root.iterdir()) == ["a", "b", "c"]
        assert os.listdir(f"{paths.container(ID)}/upper") == ["c"]
    finally:
        overlay.unmount(paths, ID)
    assert list(root.iterdir()) == []


def test_a_missing_layer_is_named(jocker_dirs: Paths, layers: Layers) -> None:
    with pytest.raises(ContainerError, match=r"No such file.*nowhere"):
        overlay.mount(jocker_dirs, ID, [*layers({"a": "1"}), f"{jocker_dirs.data}/nowhere"])
    assert mounts_below(jocker_dirs.run) == []


def test_a_store_on_an_overlay_is_refused_with_a_hint(jocker_dirs: Paths, layers: Layers) -> None:
    below = layers({"a": "1"})
    root = overlay.mount(jocker_dirs, ID, below)
    inner = Paths(f"{root}/d", f"{jocker_dirs.run}/r")
    try:
        with pytest.raises(MachineError) as refused:
            overlay.mount(inner, ID, below)
        assert f"{root}/d must be on ext4" in refused.value.hint
    finally:
        overlay.unmount(jocker_dirs, ID)


def test_an_image_is_looked_at_and_left_as_it_is(jocker_dirs: Paths, layers: Layers) -> None:
    below = layers({"a": "1"}, {"b": "2"})
    with overlay.looked_at(jocker_dirs, below) as root:
        assert sorted(os.listdir(root)) == ["a", "b"]
        with pytest.raises(OSError, match="Read-only file system"):
            Path(root, "c").write_text("3")
        assert mounts_below(jocker_dirs.run) == []  # killed now, it would leave nothing
    assert not os.path.exists(root)
    assert not os.path.exists(jocker_dirs.run)
    with overlay.looked_at(jocker_dirs, below[:1]) as root:
        assert os.listdir(root) == ["a"]


def test_a_failure_while_an_image_is_looked_at_is_not_one_of_mounting(jocker_dirs: Paths, layers: Layers) -> None:
    with pytest.raises(FileNotFoundError), overlay.looked_at(jocker_dirs, layers({"a": "1"})) as root:
        Path(root, "nothing").read_text()
    with (
        pytest.raises(ContainerError, match="nowhere"),
        overlay.looked_at(jocker_dirs, [f"{jocker_dirs.data}/nowhere", *layers({"a": "1"})]),
    ):
        pass
    assert not os.path.exists(jocker_dirs.run)


def test_an_overlay_leaks_no_descriptors(jocker_dirs: Paths, layers: Layers) -> None:
    below = layers({"a": "1"}, base=f"{jocker_dirs.data}/{'x' * 230}")
    before = len(os.listdir("/proc/self/fd"))
    for looked_at in (below, [*below, *layers({"b": "2"})]):
        with overlay.looked_at(jocker_dirs, looked_at):
            pass
        assert len(os.listdir("/proc/self/fd")) == before
    os.makedirs(jocker_dirs.run)
    with pytest.raises(OSError, match="nowhere"):
        kernel.mount_overlay([*below, "/nowhere"], f"{jocker_dirs.run}/u", f"{jocker_dirs.run}/w", jocker_dirs.run)
    assert len(os.listdir("/proc/self/fd")) == before
