"""Images of attackers and of odd tools, through the real unpacker: what comes out, and that nothing outside changes."""

from __future__ import annotations

import gzip
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hostile import TIME, Case, Docker, Layer, Oci, archive, base, octal, padded
from hostile_cases import ARCHIVES, LAYERS

from composer.errors import ImageRefused
from composer.host import kernel
from composer.image.archive import load
from composer.image.config import ImageConfig
from composer.image.store import Store
from composer.image.unpack import Limits, unpack_layer
from composer.paths import Paths

pytestmark = pytest.mark.real


@pytest.fixture
def outside(jocker_dirs: Paths) -> Iterator[str]:
    """A directory beside the store that every attack aims at; it must stay as it is, and nothing come up beside it."""
    base = Path(jocker_dirs.data).parent
    aim = base / "outside"
    aim.mkdir()
    (aim / "file").write_bytes(Layer().file("secret").raw)
    (aim / "file").chmod(0o640)
    before = state(base)
    yield str(aim)
    assert state(base) == before


def state(top: Path) -> dict[str, tuple[int, ...]]:
    """All that can be changed below a directory, but for the store."""
    found: dict[str, tuple[int, ...]] = {}
    for where, directories, files in os.walk(top):
        if where == str(top):
            directories[:] = [name for name in directories if name not in {"d", "r", "merged", "upper", "work"}]
        for path in (where, *(f"{where}/{name}" for name in files)):
            seen = os.lstat(path)
            found[path] = (seen.st_mode, seen.st_uid, seen.st_gid, seen.st_nlink, seen.st_mtime_ns, seen.st_ctime_ns)
    del found[str(top)]
    return found


def described(path: bytes) -> str | None:
    """Kind, mode, owner if not root, content or what else makes it what it is; None if it is not there."""
    try:
        found = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    mode = f"{stat.S_IMODE(found.st_mode):o}"
    owner = f" {found.st_uid}:{found.st_gid}" if found.st_uid or found.st_gid else ""
    if stat.S_ISLNK(found.st_mode):
        return f"link {os.readlink(path).decode()}"
    if stat.S_ISDIR(found.st_mode):
        return f"dir {mode}{owner}"
    if stat.S_ISFIFO(found.st_mode):
        return f"fifo {mode}{owner}"
    if not stat.S_ISREG(found.st_mode):
        kind = "block" if stat.S_ISBLK(found.st_mode) else "char"
        return f"{kind} {mode} {os.major(found.st_rdev)}:{os.minor(found.st_rdev)}{owner}"
    links = f" links {found.st_nlink}" if found.st_nlink > 1 else ""
    names = sorted(name for name in os.listxattr(path) if name != "security.selinux")
    attributes = "".join(f" {name}={os.getxattr(path, name).hex()}" for name in names)
    return f"file {mode} {content(path, found)}{links}{owner}{attributes}"


def content(path: bytes, found: os.stat_result) -> str:
    if found.st_size < 100:
        return Path(os.fsdecode(path)).read_text()
    hole = ", a hole" if found.st_blocks * 512 < found.st_size // 4 else ""
    data = Path(os.fsdecode(path)).read_bytes()
    at = f" DATA at {data.find(b'DATA')}" if b"DATA" in data else ""
    return f"{found.st_size} bytes{at}{hole}"


def check(case: Case, members: Mapping[str, bytes | str], paths: Paths, outside: str) -> None:
    """Loads the archive; it is refused and leaves nothing, or its root is as the case has it."""
    file = Path(paths.data).parent / "d/archive.tar"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(archive(members))
    store = Store(paths)
    if case.refused:
        with pytest.raises(
            ImageRefused, match=case.refused.format(out=outside) if "{out}" in case.refused else case.refused
        ) as error:
            load(store, str(file), architecture="amd64")
        assert "\x1b" not in error.value.message
        assert rest(paths) == set()
        return
    (loaded,) = load(store, str(file), architecture="amd64")
    assert store.find(loaded.config.image_id) is not None
    wanted = {where(key, outside): text and text.format(out=outside) for key, text in case.tree.items()}
    with_root = merged(paths, store, loaded.config)
    try:
        assert {key: described(os.path.join(os.fsencode(with_root), key)) for key in wanted} == wanted
    finally:
        kernel.umount(with_root)


def where(path: str | bytes, outside: str) -> bytes:
    return path if isinstance(path, bytes) else os.fsencode(path.format(out=outside).lstrip("/"))


def rest(paths: Paths) -> set[str]:
    """What the store holds, but for its locks."""
    return {
        str(path)
        for name in ("blobs/sha256", "layers", "refs", "tmp")
        for path in Path(paths.images, name).glob("*")
        if path.suffix != ".lock"
    }


def merged(paths: Paths, store: Store, image: ImageConfig) -> str:
    top = Path(paths.data).parent
    for name in ("upper", "work", "merged"):
        (top / name).mkdir()
    layers = [store.layer_dir(chain_id) for chain_id in reversed(image.chain_ids)]
    found = os.stat(layers[0])
    os.chown(top / "upper", found.st_uid, found.st_gid)
    (top / "upper").chmod(stat.S_IMODE(found.st_mode))
    kernel.mount_overlay(layers, str(top / "upper"), str(top / "work"), str(top / "merged"))
    return str(top / "merged")


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_comes_out_as_it_should_or_not_at_all(name: str, jocker_dirs: Paths, outside: str) -> None:
    case = LAYERS[name]
    layers = [layer.raw if isinstance(layer, Layer) else layer for layer in case.make(outside)]
    check(case, Docker(layers).members(), jocker_dirs, outside)


@pytest.mark.parametrize("name", ARCHIVES)
def test_an_archive_is_what_it_says_or_is_refused(name: str, jocker_dirs: Paths, outside: str) -> None:
    case = ARCHIVES[name]
    made: Docker | Oci = case.make(outside)
    check(case, made.members(), jocker_dirs, outside)


def unpacked(tmp_path: Path, raw: bytes, **limits: int) -> Path:
    (tmp_path / "layer").write_bytes(raw)
    (tmp_path / "root").mkdir()
    unpack_layer(str(tmp_path / "layer"), str(tmp_path / "root"), limits=Limits(**limits))
    return tmp_path / "root"


def test_a_bomb_is_refused_at_the_limit(tmp_path: Path) -> None:
    bomb = Layer().file("f").raw[:-1024] + Layer().entry("zeros", "0", size=1 << 25).raw[:512] + bytes(1 << 25)
    with pytest.raises(ImageRefused, match="it unpacks to more than 16777216 bytes at 'zeros'"):
        unpacked(tmp_path, gzip.compress(bomb), content=1 << 24)
    assert os.listdir(tmp_path / "root") == ["f"]


def test_a_bomb_behind_the_end_of_the_archive_is_refused_too(tmp_path: Path) -> None:
    with pytest.raises(ImageRefused, match="it unpacks to more than"):
        unpacked(tmp_path, gzip.compress(Layer().file("f").raw + bytes(1 << 25)), content=1 << 20)


def test_too_many_entries_are_refused(tmp_path: Path) -> None:
    layer = Layer()
    for number in range(11):
        layer.file(str(number))
    with pytest.raises(ImageRefused, match="more than 10 entries"):
        unpacked(tmp_path, layer.raw, entries=10)


@pytest.mark.parametrize(
    ("mtime", "pax", "nanoseconds"),
    [
        (0, None, 0),
        (TIME, None, TIME * 10**9),
        (-86400, None, -86400 * 10**9),
        (TIME, b"1700000000.123456789", 1_700_000_000_123_456_789),
        (TIME, b"1700000000.5", 1_700_000_000_500_000_000),
        (TIME, b"-86400.25", -86_400_250_000_000),
        (TIME, b"99999999999999999999", 8_589_934_592_000_000_000),
    ],
)
def test_times_are_kept_to_the_nanosecond(tmp_path: Path, mtime: int, pax: bytes | None, nanoseconds: int) -> None:
    records = {"mtime": pax} if pax else {}
    root = unpacked(tmp_path, Layer().dir("d", mtime=mtime, pax=records).file("d/f", mtime=mtime, pax=records).raw)
    assert (root / "d/f").stat().st_mtime_ns == nanoseconds
    assert (root / "d").stat().st_mtime_ns == nanoseconds


def test_many_whiteouts_and_replacements_take_linear_time(tmp_path: Path) -> None:
    """With a scan of all that was made for each of them this would take hours."""
    layer = Layer()
    for number in range(20_000):
        layer.file(f"d/f{number}", "").file(f"d/.wh.g{number}", "")
    for _ in range(2_000):
        layer.dir("k").file("k/x", "").file("k", "")
    root = unpacked(tmp_path, layer.raw)
    assert len(os.listdir(root / "d")) == 40_000


def test_a_file_that_a_signed_checksum_guards_is_read(tmp_path: Path) -> None:
    header = bytearray(Layer().file(b"\xe9").raw[:512])
    header[148:156] = b" " * 8
    header[148:156] = octal(sum(byte - 256 if byte > 127 else byte for byte in header), 8)
    root = unpacked(tmp_path, bytes(header) + padded(b"x"))
    assert os.listdir(os.fsencode(root)) == [b"\xe9"]


def test_what_was_refused_does_not_spoil_the_store(jocker_dirs: Paths, outside: str) -> None:
    for name in ("hard link: missing", "stream: cut in a body"):
        layers = [layer.raw if isinstance(layer, Layer) else layer for layer in LAYERS[name].make(outside)]
        check(LAYERS[name], Docker(layers).members(), jocker_dirs, outside)
    check(ARCHIVES["docker: good"], Docker([base().raw, Layer().file("f").raw]).members(), jocker_dirs, outside)
