"""Roots as hostile images leave them: nothing outside is read or written, nothing hangs, good ones come out exactly."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from composer.bundle.context import ProcessUser
from composer.errors import ContainerError
from composer.host import kernel
from composer.host.rootfs import check_rootfs, copy_up, ensure_directory, look_up_user
from composer.host.trees import remove_tree
from composer.host.volumes import create_anonymous, next_name, path, remove
from composer.paths import Paths

pytestmark = pytest.mark.real


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "rootfs"
    (made / "etc").mkdir(parents=True)
    return made


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """What lies on the machine; it must be as it was."""
    made = tmp_path / "outside"
    made.mkdir()
    (made / "passwd").write_text("evil:x:0:0::/:\n")
    (made / "secret").write_text("secret")
    before = sorted((str(one), one.lstat().st_mtime_ns) for one in [made, *made.rglob("*")])
    yield made
    assert sorted((str(one), one.lstat().st_mtime_ns) for one in [made, *made.rglob("*")]) == before


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    made = tmp_path / "volume"
    made.mkdir()
    return made


def test_a_plain_root_passes_also_without_the_directories(root: Path) -> None:
    check_rootfs(str(root))
    for name in ("dev", "proc", "sys"):
        (root / name).mkdir()
    (root / "etc/passwd").write_text("root:x:0:0::/:\n")
    check_rootfs(str(root))
    (root / "etc/passwd").unlink()
    (root / "etc").rmdir()
    check_rootfs(str(root))


@pytest.mark.parametrize("name", ["dev", "proc", "sys"])
@pytest.mark.parametrize("target", ["{outside}", "bin", "nowhere"])
def test_a_link_the_runtime_would_mount_through_is_refused(root: Path, outside: Path, name: str, target: str) -> None:
    (root / "bin").mkdir()
    (root / name).symlink_to(target.format(outside=outside))
    with pytest.raises(ContainerError, match=f"/{name} is a link, not a directory"):
        check_rootfs(str(root))


@pytest.mark.parametrize("target", ["{outside}", "../outside", "bin/../../outside", "hop", "nowhere"])
def test_an_etc_that_leads_out_is_refused(root: Path, outside: Path, target: str) -> None:
    (root / "etc").rmdir()
    (root / "bin").mkdir()
    (root / "hop").symlink_to(outside)
    (root / "etc").symlink_to(target.format(outside=outside))
    with pytest.raises(ContainerError, match="/etc is not a directory within the image"):
        check_rootfs(str(root))
    with pytest.raises(ContainerError, match="user 'evil' is not in the image"):
        look_up_user(str(root), "evil")


def test_an_etc_that_is_a_link_inside_passes(root: Path) -> None:
    (root / "etc").rmdir()
    (root / "usr/etc").mkdir(parents=True)
    (root / "usr/etc/passwd").write_text("app:x:7:8::/home:\n")
    (root / "etc").symlink_to("usr/etc")
    check_rootfs(str(root))
    assert look_up_user(str(root), "app") == ProcessUser(7, 8, (8,), "/home")


def test_users_are_looked_up_in_the_root_only(root: Path, outside: Path) -> None:
    (root / "etc/passwd").symlink_to(outside / "passwd")
    (root / "etc/group").symlink_to("../../../../../../../../.." + str(outside / "passwd"))
    with pytest.raises(ContainerError, match="user 'evil' is not in the image"):
        look_up_user(str(root), "evil")


def odd_files() -> list[tuple[str, Callable[[Path], object]]]:
    def sparse(path: Path) -> None:
        path.touch()
        os.truncate(path, 1 << 40)

    return [
        ("a fifo", os.mkfifo),
        ("a device", lambda path: os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))),
        ("a directory", Path.mkdir),
        ("larger than 1 MiB", sparse),
        ("larger than 1 MiB", lambda path: path.write_bytes(b"x" * (1 << 20) + b"\n")),
        ("Too many levels", lambda path: path.symlink_to(path.name)),
    ]


@pytest.mark.parametrize("name", ["passwd", "group"])
@pytest.mark.parametrize(("message", "make"), odd_files())
def test_a_passwd_that_is_no_plain_file_is_refused_at_once(
    root: Path, name: str, message: str, make: Callable[[Path], object]
) -> None:
    make(root / "etc" / name)
    with pytest.raises(ContainerError, match=message):
        look_up_user(str(root), "1000")
    with pytest.raises(ContainerError, match=message):
        check_rootfs(str(root))


def test_no_descriptor_is_left_open(root: Path, volume: Path) -> None:
    (root / "etc/passwd").write_text("app:x:7:8::/home:\n")
    (root / "v/d").mkdir(parents=True)
    before = os.listdir("/proc/self/fd")
    check_rootfs(str(root))
    look_up_user(str(root), "app")
    ensure_directory(str(root), "/a/b")
    copy_up(str(root), "/v", str(volume))
    assert os.listdir("/proc/self/fd") == before


def test_a_directory_is_made_with_its_parents(root: Path) -> None:
    ensure_directory(str(root), "/a/b/c")
    ensure_directory(str(root), "/a/b/c")
    for made in (root / "a", root / "a/b", root / "a/b/c"):
        found = made.stat()
        assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (0, 0, 0o755)


def test_a_directory_that_is_there_is_left_alone(root: Path) -> None:
    (root / "a").mkdir(mode=0o700)
    os.chown(root / "a", 5, 6)
    ensure_directory(str(root), "/a")
    found = (root / "a").stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (5, 6, 0o700)


def test_a_directory_through_links_stays_inside(root: Path, outside: Path) -> None:
    (root / "w").symlink_to(outside)
    ensure_directory(str(root), "/w/new")
    assert (root / str(outside).lstrip("/") / "new").is_dir()


@pytest.mark.parametrize("given", ["a/b", "../../../a/b", "//a/./b/", "/x/../a/b"])
def test_a_relative_directory_is_taken_from_the_root(root: Path, given: str) -> None:
    ensure_directory(str(root), given)
    assert (root / "a/b").is_dir()
    assert not (root.parent / "a").exists()


def test_a_dangling_relative_link_is_made_real_inside(root: Path) -> None:
    (root / "a").mkdir()
    (root / "a/link").symlink_to("../../../../new/place")
    ensure_directory(str(root), "/a/link/deep")
    assert (root / "new/place/deep").is_dir()
    assert not (root.parent / "new").exists()


def test_what_is_in_the_way_is_named(root: Path) -> None:
    (root / "file").touch()
    (root / "loop").symlink_to("loop")
    for given in ("/file", "/file/sub"):
        with pytest.raises(ContainerError, match="is not a directory in the image"):
            ensure_directory(str(root), given)
    with pytest.raises(ContainerError, match="Too many levels"):
        ensure_directory(str(root), "/loop/x")
    with pytest.raises(ContainerError, match="is not a path"):
        ensure_directory(str(root), "/a\0b")


def listing(directory: Path) -> str:
    """Everything `find` can tell, but for change times, access times and inode numbers; xattrs besides."""
    shown = subprocess.run(
        ["find", ".", "-printf", r"%P %y %m %U %G %s %T@ %l %n\n"],
        cwd=directory,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    attributes = [
        (str(one.relative_to(directory)), name, os.getxattr(one, name))
        for one in sorted(directory.rglob("*"))
        if not one.is_symlink()
        for name in os.listxattr(one, follow_symlinks=False)
    ]
    return "\n".join([*sorted(shown.splitlines()), *map(str, attributes)])


def fill(directory: Path) -> None:
    (directory / "sub").mkdir(mode=0o2770, parents=True)
    (directory / "sub/file").write_text("content")
    os.chown(directory / "sub/file", 1000, 1001)
    os.chmod(directory / "sub/file", 0o6755)
    os.setxattr(directory / "sub/file", "user.note", b"\x00\xff")
    os.setxattr(directory / "sub/file", "security.capability", bytes.fromhex("0100000200040000" + "00" * 12))
    os.link(directory / "sub/file", directory / "hard")
    (directory / "link").symlink_to("/nowhere")
    os.chown(directory / "link", 7, 8, follow_symlinks=False)
    os.mkfifo(directory / "fifo", 0o640)
    os.mknod(directory / "zero", stat.S_IFCHR | 0o600, os.makedev(1, 5))
    with (directory / "sparse").open("wb") as file:
        file.seek(1 << 30)
        file.write(b"end")
    (directory / "empty").mkdir()
    os.chown(directory, 1000, 1001)
    os.chmod(directory, 0o2770)
    for one in [*directory.rglob("*"), directory]:
        os.utime(one, ns=(1_000_000_000, 1_234_567_891), follow_symlinks=False)


def test_a_volume_gets_exactly_what_the_image_has(root: Path, volume: Path) -> None:
    fill(root / "data")
    copy_up(str(root), "/data", str(volume))
    assert listing(volume) == listing(root / "data")
    found = volume.stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (1000, 1001, 0o2770)
    assert (volume / "sparse").stat().st_blocks * 512 < 1 << 20
    assert (volume / "hard").stat().st_ino == (volume / "sub/file").stat().st_ino


def test_a_volume_is_filled_from_an_overlay_without_its_marks(root: Path, volume: Path, tmp_path: Path) -> None:
    lower, upper, work = (tmp_path / name for name in ("lower", "upper", "work"))
    fill(lower / "data")
    for directory in (upper, work):
        directory.mkdir()
    kernel.mount_overlay([str(lower)], str(upper), str(work), str(root))
    try:
        (root / "data/empty").rmdir()
        remove_tree(str(root / "data/sub"))
        (root / "data/sub").mkdir()
        (root / "data/sub/new").write_text("new")
        copy_up(str(root), "/data", str(volume))
        assert sorted(os.listdir(volume)) == ["fifo", "hard", "link", "sparse", "sub", "zero"]
        assert os.listdir(volume / "sub") == ["new"]
        assert os.listxattr(volume / "sub") == []
    finally:
        kernel.umount(str(root))


def test_a_volume_with_content_is_left_alone(root: Path, volume: Path) -> None:
    fill(root / "data")
    (volume / "mine").touch()
    copy_up(str(root), "/data", str(volume))
    assert os.listdir(volume) == ["mine"]


def test_a_volume_where_the_image_has_nothing_stays_as_it_is(root: Path, volume: Path) -> None:
    (root / "dangling").symlink_to("/nowhere")
    copy_up(str(root), "/none/here", str(volume))
    copy_up(str(root), "/dangling", str(volume))
    assert os.listdir(volume) == []


def test_a_volume_on_a_file_of_the_image_is_refused(root: Path, volume: Path) -> None:
    (root / "file").touch()
    with pytest.raises(ContainerError, match="'/file' is not a directory in the image"):
        copy_up(str(root), "/file", str(volume))


def test_a_volume_is_never_filled_from_the_machine(root: Path, outside: Path, volume: Path) -> None:
    (root / "v").symlink_to(outside)
    copy_up(str(root), "/v", str(volume))
    assert os.listdir(volume) == []
    (root / "in").mkdir()
    (root / "in/link").symlink_to(outside / "secret")
    copy_up(str(root), "/in", str(volume))
    assert (volume / "link").is_symlink()


def test_depth_is_no_limit(root: Path, volume: Path) -> None:
    here = os.open(root, os.O_RDONLY)
    for name in ("deep", *(["d"] * 3000)):
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("end", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)
    copy_up(str(root), "/deep", str(volume))
    remove_tree(str(root / "deep"))
    count = subprocess.run(["find", str(volume), "-name", "end"], capture_output=True, text=True, check=True)
    assert count.stdout.count("/d") == 3000
    remove_tree(str(volume))
    assert not volume.exists()


def test_removing_follows_no_link_and_stops_at_a_mount(tmp_path: Path, outside: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "out").symlink_to(outside)
    (tree / "sub/mounted").mkdir()
    kernel.mount(str(outside), str(tree / "sub/mounted"), None, 4096)
    try:
        with pytest.raises(OSError, match="cross-device"):
            remove_tree(str(tree))
    finally:
        kernel.umount(str(tree / "sub/mounted"))
    remove_tree(str(tree))
    assert not tree.exists()
    remove_tree(str(tree))


def test_an_anonymous_volume_lives_and_goes(tmp_path: Path) -> None:
    paths = Paths(str(tmp_path / "data"), str(tmp_path / "run"))
    name = next_name(paths, "c" * 64, "/data")
    create_anonymous(paths, name, project="shop", container_id="c" * 64, target="/data", labels={"a": "b"})
    assert next_name(paths, "c" * 64, "/data") != name, "a volume that is there must not be taken over"
    assert len(name) == 64
    assert int(name, 16) >= 0
    data = Path(path(paths, name))
    assert data.is_dir()
    assert stat.S_IMODE(data.stat().st_mode) == 0o755
    assert '"target":"/data"' in (data.parent / "record.json").read_text()
    (data / "x").touch()
    remove(paths, name)
    remove(paths, name)
    assert os.listdir(paths.volumes) == []


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../x", "a\n"])
def test_what_is_no_name_of_a_volume_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ContainerError, match="is not the name of a volume"):
        remove(Paths(str(tmp_path), str(tmp_path)), name)
