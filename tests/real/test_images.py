"""Images in and out of the store by the command: what comes back is what went in, whatever happens on the way."""

from __future__ import annotations

import glob
import gzip
import hashlib
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY, Jocker
from hostile import Docker, Layer, Oci, archive, base, packed

from composer.host import kernel
from composer.image.store import Store
from composer.paths import Paths

pytestmark = pytest.mark.real

CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000")


def tree(top: Path | str) -> dict[str, tuple[object, ...]]:
    """All that a directory tree is made of; hard links by the first of their names."""
    found: dict[str, tuple[object, ...]] = {}
    first: dict[int, str] = {}
    for where, directories, files in os.walk(top):
        directories.sort()
        for path in (where, *(f"{where}/{name}" for name in sorted(files))):
            seen = os.lstat(path)
            name = os.path.relpath(path, top)
            content = os.readlink(path) if stat.S_ISLNK(seen.st_mode) else ""
            if stat.S_ISREG(seen.st_mode):
                content = f"{first.setdefault(seen.st_ino, name)} {Path(path).read_bytes()!r}"
            attributes = {
                key: os.getxattr(path, key, follow_symlinks=False) for key in os.listxattr(path, follow_symlinks=False)
            }
            found[name] = (
                oct(seen.st_mode),
                seen.st_uid,
                seen.st_gid,
                seen.st_rdev,
                seen.st_mtime_ns if seen.st_rdev or not stat.S_ISCHR(seen.st_mode) else 0,  # a whiteout has no time
                content,
                tuple(sorted(attributes.items())),
            )
    return found


@pytest.fixture
def rootfs(tmp_path: Path) -> Path:
    """A tree with one of everything that is easily lost."""
    root = tmp_path / "rootfs"
    (root / "dir/sub").mkdir(parents=True)
    (root / "file").write_text("content")
    (root / "large").write_bytes(os.urandom(1 << 20))
    (root / "suid").write_text("s")
    os.chown(root / "suid", 1000, 2000)
    (root / "suid").chmod(0o6755)
    (root / "dir").chmod(0o1777)
    os.chown(root / "dir/sub", 5, 6)
    (root / "dir/sub").chmod(0o2750)
    (root / "able").write_text("able")
    os.setxattr(root / "able", "security.capability", CAPABILITY)
    os.setxattr(root / "file", "user.odd", b"\0\xff=\n")
    os.link(root / "file", root / "dir/hard")
    (root / "link").symlink_to("../../out")
    os.chown(root / "link", 7, 8, follow_symlinks=False)
    os.mkfifo(root / "fifo", 0o622)
    os.mknod(root / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    (root / ("n" * 200)).write_text("")
    Path(os.fsdecode(os.fsencode(root) + b"/\xff\xe9")).write_text("not text")
    (root / "root").mkdir(mode=0)
    for number, path in enumerate(sorted(root.rglob("*"))):
        os.utime(path, ns=(0, 1_500_000_000_123_456_789 + number * 10**10), follow_symlinks=False)
    os.utime(root, ns=(0, 1_400_000_000_000_000_001))
    root.chmod(0o751)
    os.chown(root, 3, 4)
    return root


def layers_of(paths: Paths, name: str) -> list[str]:
    return [Store(paths).layer_dir(chain_id) for chain_id in Store(paths).get(name).chain_ids]


def inspected(jocker: Jocker, name: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = json.loads(jocker("image", "inspect", name).stdout)
    return found[0]


def in_store(paths: Paths) -> set[str]:
    """All files and layers there are, but for locks."""
    return {
        str(path)
        for name in ("blobs/sha256", "layers", "refs", "tmp")
        for path in Path(paths.images, name).glob("*")
        if path.suffix != ".lock"
    }


def test_an_imported_directory_is_kept_exactly(jocker: Jocker, jocker_dirs: Paths, rootfs: Path) -> None:
    jocker("image", "import", str(rootfs), "all:1")
    (layer,) = layers_of(jocker_dirs, "all:1")
    assert tree(layer) == tree(rootfs)


def compressed(kind: str, raw: bytes) -> bytes:
    if kind == "zstd":
        return subprocess.run(["zstd", "-qc"], input=raw, capture_output=True, check=True).stdout
    return gzip.compress(raw, 1) if kind == "gzip" else raw


@pytest.mark.parametrize("kind", ["plain", "gzip", "zstd"])
def test_an_imported_archive_is_kept_exactly(
    jocker: Jocker, jocker_dirs: Paths, rootfs: Path, tmp_path: Path, kind: str
) -> None:
    made = subprocess.run(
        ["tar", "--format=posix", "--xattrs", "--xattrs-include=*", "--numeric-owner", "-C", rootfs, "-c", "."],
        capture_output=True,
        check=True,
    )
    (tmp_path / "archive").write_bytes(compressed(kind, made.stdout))
    jocker("image", "import", str(tmp_path / "archive"), "all:1")
    (layer,) = layers_of(jocker_dirs, "all:1")
    assert tree(layer) == tree(rootfs)
    (blob,) = inspected(jocker, "all:1")["RootFS"]["Layers"]
    assert blob == f"sha256:{hashlib.sha256(made.stdout).hexdigest()}"


def test_what_import_changes_is_in_the_image(jocker: Jocker, rootfs: Path) -> None:
    changes = ['CMD ["sh"]', "ENV A=1", "USER app", "LABEL a=b", "EXPOSE 80", "WORKDIR /srv"]
    arguments = [word for change in changes for word in ("--change", change)]
    jocker("image", "import", str(rootfs), "changed:1", "-m", "by hand", *arguments)
    assert inspected(jocker, "changed:1")["Config"] == {
        "Cmd": ["sh"],
        "Env": ["A=1"],
        "User": "app",
        "Labels": {"a": "b"},
        "ExposedPorts": {"80/tcp": {}},
        "WorkingDir": "/srv",
    }


def test_what_cannot_be_imported_is_told(jocker: Jocker, tmp_path: Path) -> None:
    assert "No such file" in jocker("image", "import", str(tmp_path / "none"), "x:1", code=1).stderr
    assert "is not an image name" in jocker("image", "import", str(tmp_path), "X", code=2).stderr
    assert "cannot be carried out" in jocker("image", "import", str(tmp_path), "x:1", "-c", "RUN x", code=2).stderr
    (tmp_path / "text").write_text("no tar" * 200)
    assert "layer 1: a header" in jocker("image", "import", str(tmp_path / "text"), "x:1", code=1).stderr


def hybrid() -> dict[str, bytes | str]:
    """What `docker save` writes since 25: an OCI layout with a manifest.json that names blobs."""
    plain = [base().raw, Layer().file("f").raw]
    members = Oci(plain, layer_type="application/vnd.oci.image.layer.v1.tar", annotations={}).members()
    manifest = json.loads(next(raw for raw in members.values() if isinstance(raw, bytes) and b'"layers": [' in raw))
    named = [f"blobs/sha256/{one['digest'][7:]}" for one in (manifest["config"], *manifest["layers"])]
    entry = {"Config": named[0], "RepoTags": ["odd:1"], "Layers": named[1:]}
    return {**members, "manifest.json": json.dumps([entry]).encode()}


ARCHIVES: dict[str, Callable[[], dict[str, bytes | str]]] = {
    "docker, old": lambda: Docker([base().raw, Layer().file("f").raw]).members(),
    "docker, new": hybrid,
    "oci": lambda: Oci(*packed(base(), Layer().file("f"))).members(),
}


@pytest.mark.parametrize("kind", ARCHIVES)
@pytest.mark.parametrize("way", ["file", "pipe", "gzip", "zstd"])
def test_an_archive_is_loaded(jocker: Jocker, jocker_dirs: Paths, tmp_path: Path, kind: str, way: str) -> None:
    raw = archive(ARCHIVES[kind]())
    (tmp_path / "archive").write_bytes(compressed(way, raw))
    if way == "pipe":
        script = f"cat {tmp_path}/archive | {sys.executable} -m composer image load"
        environment = {"PYTHONPATH": str(REPOSITORY), "PATH": os.environ["PATH"]}
        environment |= {"JOCKER_DATA_DIR": jocker_dirs.data, "JOCKER_RUN_DIR": jocker_dirs.run}
        done = subprocess.run(["sh", "-c", script], env=environment, capture_output=True, text=True, check=True)
    else:
        done = jocker("image", "load", "-i", str(tmp_path / "archive"))
    assert done.stdout == "Loaded image: odd:1\n"
    low, high = layers_of(jocker_dirs, "odd:1")
    assert sorted(os.listdir(low)) == ["d", "low", "p"]
    assert os.listdir(high) == ["f"]


def odd_image(tmp_path: Path) -> None:
    """An archive of an image with whiteouts, opaque directories and the like in its upper layer."""
    lower = Layer().dir("./").dir("d").file("d/one").file("low").dir("p", 0o700, owner=(5, 6))
    upper = Layer().file(".wh.low").dir("d").file("d/.wh..wh..opq").file("d/three", mode=0o4711, owner=(5, 6))
    upper.hard("h", "d/three").sym("l", "d/three").entry("c", "3", device=(1, 3), mode=0o600).file("p/x")
    upper.file("able", pax={"SCHILY.xattr.security.capability": CAPABILITY, "mtime": b"1500000000.123456789"})
    layers, plain = packed(lower, upper)
    (tmp_path / "odd.tar").write_bytes(
        archive(Oci(layers, plain, changes={"config": {"Healthcheck": {"Test": ["CMD"]}}}).members())
    )


def test_saved_and_loaded_it_is_the_same_image(jocker: Jocker, jocker_dirs: Paths, tmp_path: Path) -> None:
    odd_image(tmp_path)
    jocker("image", "load", "-i", str(tmp_path / "odd.tar"))
    jocker("image", "tag", "odd:1", "registry.example:5000/team/odd:2")
    names = ["odd:1", "registry.example:5000/team/odd:2"]
    before = (
        inspected(jocker, "odd:1"),
        [tree(layer) for layer in layers_of(jocker_dirs, "odd:1")],
        in_store(jocker_dirs),
    )
    assert any(entry[0] == oct(stat.S_IFCHR) and entry[3] == 0 for entry in before[1][1].values())
    jocker("image", "save", "-o", str(tmp_path / "saved.tar"), *names)
    jocker("image", "rm", *names)
    assert in_store(jocker_dirs) == set()
    assert jocker("image", "load", "-i", str(tmp_path / "saved.tar")).stdout.count("Loaded image: ") == 2
    assert inspected(jocker, names[1]) == before[0]
    assert [tree(layer) for layer in layers_of(jocker_dirs, "odd:1")] == before[1]
    assert in_store(jocker_dirs) == before[2]
    jocker("image", "save", "-o", str(tmp_path / "again.tar"), *names)
    assert (tmp_path / "again.tar").read_bytes() == (tmp_path / "saved.tar").read_bytes()


def test_other_tools_read_what_is_saved(jocker: Jocker, demo_image: str, tmp_path: Path) -> None:
    jocker("image", "save", "-o", str(tmp_path / "saved.tar"), demo_image)
    for form in ("docker-archive", "oci-archive"):
        done = subprocess.run(
            ["skopeo", "--insecure-policy", "inspect", f"{form}:{tmp_path}/saved.tar"], capture_output=True, check=True
        )
        assert json.loads(done.stdout)["Layers"]
    with tarfile.open(tmp_path / "saved.tar") as saved:
        assert {"manifest.json", "index.json", "oci-layout"} <= set(saved.getnames())


def test_names_come_and_go_and_the_last_takes_the_image_along(
    jocker: Jocker, jocker_dirs: Paths, demo_image: str
) -> None:
    image_id = inspected(jocker, demo_image)["Id"]
    jocker("image", "tag", demo_image, "other:2")
    jocker("image", "tag", image_id[7:19], "third:3")
    assert inspected(jocker, "third:3")["Id"] == image_id
    rows = [json.loads(line) for line in jocker("image", "ls", "--format", "json", "--no-trunc").stdout.splitlines()]
    assert {(row["Repository"], row["Tag"], row["ID"]) for row in rows} == {
        ("demo", "latest", image_id),
        ("other", "2", image_id),
        ("third", "3", image_id),
    }
    assert jocker("image", "ls", "-q").stdout == f"{image_id[7:19]}\n"
    assert jocker("image", "rm", demo_image).stdout == "Untagged: docker.io/library/demo:latest\n"
    assert "no image demo" in jocker("image", "inspect", demo_image, code=1).stderr
    assert f"Deleted: {image_id}" in jocker("image", "rm", image_id).stdout
    assert in_store(jocker_dirs) == set()
    assert "no image other:2" in jocker("image", "rm", "other:2", code=1).stderr


def test_a_name_that_moves_on_leaves_an_image_for_prune(
    jocker: Jocker, jocker_dirs: Paths, demo_image: str, rootfs: Path
) -> None:
    before = inspected(jocker, demo_image)["Id"]
    jocker("image", "import", str(rootfs), demo_image)
    rows = [json.loads(line) for line in jocker("image", "ls", "--format", "json").stdout.splitlines()]
    assert {(row["Repository"], row["ID"]) for row in rows} >= {("<none>", before[7:19])}
    assert f"Deleted: {before}" in jocker("image", "prune").stdout
    assert inspected(jocker, demo_image)["Id"] != before
    jocker("image", "prune", "--all")
    assert in_store(jocker_dirs) == set()


def test_layers_that_another_image_has_too_stay(jocker: Jocker, jocker_dirs: Paths, tmp_path: Path) -> None:
    for name, layers in {"one": [base(), Layer().file("1")], "two": [base(), Layer().file("2")]}.items():
        (tmp_path / name).write_bytes(archive(Docker([layer.raw for layer in layers], tags=[f"{name}:1"]).members()))
        jocker("image", "load", "-i", str(tmp_path / name))
    assert len(os.listdir(f"{jocker_dirs.images}/layers")) == 3
    jocker("image", "rm", "one:1")
    shared, own = layers_of(jocker_dirs, "two:1")
    assert os.path.isdir(shared)
    assert os.listdir(own) == ["2"]
    assert len(os.listdir(f"{jocker_dirs.images}/layers")) == 2


def test_an_image_in_use_is_only_removed_by_force(
    jocker: Jocker, jocker_dirs: Paths, demo_image: str, tmp_path: Path
) -> None:
    service = {"image": demo_image, "command": ["sleep", "1000"], "network_mode": "none", "init": True}
    (tmp_path / "jocker.yml").write_text(json.dumps({"name": "used", "services": {"s": service}}))
    jocker("up", "-d", cwd=tmp_path)
    assert "is used by used-s-1" in jocker("image", "rm", demo_image, code=1).stderr
    jocker("image", "prune", "--all")
    assert inspected(jocker, demo_image)
    jocker("image", "rm", "--force", demo_image)
    assert jocker("exec", "s", "cat", "/etc/hostname", cwd=tmp_path).stdout  # its files are still there
    jocker("down", cwd=tmp_path)
    jocker("image", "prune")
    assert in_store(jocker_dirs) == set()


@pytest.fixture
def disk(jocker_dirs: Paths) -> Iterator[Callable[[str], None]]:
    """Puts the data directory on a disk of its own, of this size."""

    def mounted(size: str) -> None:
        os.makedirs(jocker_dirs.data)
        kernel.mount("none", jocker_dirs.data, "tmpfs", 0, f"size={size}")

    yield mounted
    kernel.umount(jocker_dirs.data)


def big(tmp_path: Path, layers: int, files: int, size: int) -> Path:
    """An archive whose layers take a while, or much room."""
    made = []
    for number in range(layers):
        layer = Layer()
        for name in range(files):
            layer.file(f"{number}-{name}", "x" * size)
        made.append(layer.raw)
    (tmp_path / "big.tar").write_bytes(archive(Docker(made, tags=["big:1"]).members()))
    return tmp_path / "big.tar"


def started(jocker_dirs: Paths, *arguments: str) -> subprocess.Popen[str]:
    environment = {"PYTHONPATH": str(REPOSITORY), "PATH": os.environ["PATH"]}
    environment |= {"JOCKER_DATA_DIR": jocker_dirs.data, "JOCKER_RUN_DIR": jocker_dirs.run}
    return subprocess.Popen(
        [sys.executable, "-m", "composer", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def until(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not what():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.001)


def test_a_full_disk_is_told_and_the_store_goes_on(
    jocker: Jocker, jocker_dirs: Paths, disk: Callable[[str], None], tmp_path: Path
) -> None:
    disk("24m")
    odd_image(tmp_path)
    jocker("image", "load", "-i", str(tmp_path / "odd.tar"))
    before = in_store(jocker_dirs)
    for arguments in (("load", "-i", str(big(tmp_path, 3, 20, 1 << 19))), ("import", str(tmp_path), "x:1")):
        done = jocker("image", *arguments, code=1)
        assert "no space left" in done.stderr
        assert "jocker image prune" in done.stderr
        assert "bug" not in done.stderr
        assert in_store(jocker_dirs) == before
    assert inspected(jocker, "odd:1")
    jocker("image", "tag", "odd:1", "again:1")
    with open(f"{jocker_dirs.data}/filler", "xb", buffering=0) as filler, pytest.raises(OSError, match="No space"):
        filler.writelines(bytes(4096) for _ in range(1 << 20))
    assert "no space left" in jocker("image", "tag", "odd:1", "full:1", code=1).stderr
    jocker("image", "rm", "again:1")
    jocker("image", "rm", "odd:1")
    assert in_store(jocker_dirs) == set()


def test_killed_half_way_nothing_of_it_is_used_and_the_next_load_works(
    jocker: Jocker, jocker_dirs: Paths, disk: Callable[[str], None], tmp_path: Path
) -> None:
    disk("512m")
    file = big(tmp_path, 2, 4500, 1000)
    load = started(jocker_dirs, "image", "load", "-i", str(file))
    images = Path(jocker_dirs.images)
    until(lambda: len({os.path.dirname(path) for path in glob.glob(f"{images}/tmp/*/*/diff/*")}) == 2)
    os.kill(load.pid, signal.SIGKILL)  # alone: those who unpack for it have to notice themselves
    load.communicate()
    until(lambda: not working(load.pid))
    assert jocker("image", "ls", "-q").stdout == ""
    assert list(images.glob("layers/*")) == []
    assert list(images.glob("tmp/*/*/diff/*")) != []
    jocker("image", "prune")
    assert in_store(jocker_dirs) == set()
    jocker("image", "load", "-i", str(file))
    assert [len(os.listdir(layer)) for layer in layers_of(jocker_dirs, "big:1")] == [4500, 4500]
    assert list(images.glob("tmp/*/*")) == []


def working(session: int) -> list[str]:
    """The processes of a session that are not zombies."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(path.parent.name)
    return found


def test_the_next_load_clears_what_a_killed_one_left(
    jocker: Jocker, jocker_dirs: Paths, disk: Callable[[str], None], tmp_path: Path
) -> None:
    disk("512m")
    file = big(tmp_path, 1, 9000, 1000)
    load = started(jocker_dirs, "image", "load", "-i", str(file))
    images = Path(jocker_dirs.images)
    until(lambda: glob.glob(f"{images}/tmp/*/*/diff/*"))
    os.killpg(load.pid, signal.SIGKILL)
    load.communicate()
    odd_image(tmp_path)
    jocker("image", "load", "-i", str(tmp_path / "odd.tar"))
    assert list(images.glob("tmp/*/*")) == []
    assert len(list(images.glob("layers/*"))) == 2


def test_an_interrupted_load_leaves_nothing(
    jocker: Jocker, jocker_dirs: Paths, disk: Callable[[str], None], tmp_path: Path
) -> None:
    disk("512m")
    load = started(jocker_dirs, "image", "load", "-i", str(big(tmp_path, 2, 4500, 1000)))
    until(lambda: glob.glob(f"{jocker_dirs.images}/tmp/*/*/diff/*"))
    load.send_signal(signal.SIGTERM)
    assert "Traceback" not in load.communicate(timeout=30)[0]
    assert load.returncode == 130
    assert in_store(jocker_dirs) == set()
    assert working(load.pid) == []


def test_of_two_loads_at_once_one_does_the_work(
    jocker: Jocker, jocker_dirs: Paths, disk: Callable[[str], None], tmp_path: Path
) -> None:
    disk("512m")
    file = big(tmp_path, 1, 6000, 1000)
    loads = [started(jocker_dirs, "image", "load", "-i", str(file)) for _ in range(3)]
    made: set[str] = set()
    while any(load.poll() is None for load in loads):
        made |= set(glob.glob(f"{jocker_dirs.images}/tmp/*/*/diff"))
    assert [load.communicate()[0] for load in loads] == ["Loaded image: big:1\n"] * 3
    assert len(made) == 1
    assert [len(os.listdir(layer)) for layer in layers_of(jocker_dirs, "big:1")] == [6000]


def test_an_archive_that_is_none_is_told(jocker: Jocker, jocker_dirs: Paths, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "tar").write_bytes(archive({"a": b"b"}))
    (tmp_path / "cut").write_bytes(archive(ARCHIVES["oci"]())[:6000])
    for name, why in {
        "none": "No such file",
        "": "is not a file",
        "fifo": "is not a file",
        "empty": "it is no image",
        "tar": "it is no image",
        "cut": "breaks off",
    }.items():
        done = jocker("image", "load", "-i", str(tmp_path / name), code=1)
        assert why in done.stderr
        assert "bug" not in done.stderr
    assert in_store(jocker_dirs) == set()


def test_a_store_whose_files_went_missing_says_so_and_heals(jocker: Jocker, jocker_dirs: Paths, tmp_path: Path) -> None:
    odd_image(tmp_path)
    jocker("image", "load", "-i", str(tmp_path / "odd.tar"))
    shutil.rmtree(os.path.dirname(layers_of(jocker_dirs, "odd:1")[0]))
    assert "no image odd:1" in jocker("image", "inspect", "odd:1", code=1).stderr
    jocker("image", "load", "-i", str(tmp_path / "odd.tar"))
    assert len(layers_of(jocker_dirs, "odd:1")) == 2
