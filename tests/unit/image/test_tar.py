"""The tar reader on archives of other writers and on broken ones."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
from hostile import Layer, sealed

from composer.errors import ImageRefused
from composer.image import tar


def read(raw: bytes) -> list[tar.Entry]:
    """All entries, their data skipped as a caller has to."""
    source = io.BytesIO(raw)
    found = []
    for entry in tar.entries(source):
        found.append(entry)
        source.read(entry.size + tar.padding(entry.size))
    return found


FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}
LONG = "a" * 90 + "/" + "b" * 90


@pytest.mark.parametrize("form", FORMATS)
def test_what_python_writes_is_read_back(form: str) -> None:
    members = {
        "file": (tarfile.REGTYPE, "", b"content"),
        LONG: (tarfile.REGTYPE, "", b"x" * 512),
        "directory/": (tarfile.DIRTYPE, "", b""),
        "link": (tarfile.SYMTYPE, "../t", b""),
        "hard": (tarfile.LNKTYPE, "file", b""),
        "fifo": (tarfile.FIFOTYPE, "", b""),
        "device": (tarfile.CHRTYPE, "", b""),
    }
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=FORMATS[form]) as archive:
        for name, (kind, link, data) in members.items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.size = kind, link, len(data)
            info.mode, info.uid, info.gid, info.mtime = 0o4751, 1000, 2000, 1_600_000_000
            info.devmajor, info.devminor = (5, 7) if name == "device" else (0, 0)
            archive.addfile(info, io.BytesIO(data))
    found = {entry.name.decode(): entry for entry in read(out.getvalue())}
    assert set(found) == set(members)
    for name, (kind, link, data) in members.items():
        entry = found[name]
        assert (bytes([entry.kind]), entry.link.decode(), entry.size) == (kind, link, len(data))
        assert (entry.mode, entry.uid, entry.gid, entry.mtime) == (0o4751, 1000, 2000, 1_600_000_000 * 10**9)
    assert (found["device"].major, found["device"].minor) == (5, 7)


def test_large_numbers_of_gnu_and_pax_are_read() -> None:
    (gnu,) = read(Layer().entry("f", "5", owner=(1 << 40, 2**21), mtime=-5).raw)
    assert (gnu.uid, gnu.gid, gnu.mtime) == (1 << 40, 2**21, -5 * 10**9)
    (pax,) = read(Layer().entry("f", "5", pax={"uid": b"99", "gid": b"3000000", "mtime": b"12.000000001"}).raw)
    assert (pax.uid, pax.gid, pax.mtime) == (99, 3_000_000, 12_000_000_001)


def test_a_name_with_a_slash_at_its_end_is_a_directory() -> None:
    (entry,) = read(Layer().file("old/", "").raw)
    assert entry.kind == tar.DIRECTORY


def test_pax_records_are_for_one_entry_only() -> None:
    first, second = read(Layer().file("a", pax={"path": b"other", "uid": b"5"}).file("b").raw)
    assert (first.name, first.uid, second.name, second.uid) == (b"other", 5, b"b", 0)


def test_records_for_all_set_owner_and_time_and_nothing_else() -> None:
    raw = Layer().pax(b"9 uid=77\n12 path=all\n", "g").file("a").file("b", pax={"uid": b"5"}).raw
    assert [(entry.name, entry.uid) for entry in read(raw)] == [(b"a", 77), (b"b", 5)]


def test_binary_attributes_are_kept() -> None:
    value = bytes(range(256))
    (entry,) = read(Layer().file("a", pax={"SCHILY.xattr.user.x": value, "SCHILY.xattr.user.y=z": b""}).raw)
    assert entry.xattrs == {b"user.x": value, b"user.y": b"z="}


def field(start: int, value: bytes) -> bytes:
    """A file's header with one field put in place."""
    header = bytearray(Layer().file("f", "").raw[:512])
    header[start : start + len(value)] = value
    return sealed(header)


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"x" * 100, "in the middle of a header"),
        (field(100, b"0o644\0\0\0"), "as its mode"),
        (field(100, b"1_0\0\0\0\0\0"), "as its mode"),
        (field(100, b"-644\0\0\0\0"), "as its mode"),
        (field(108, b"999\0\0\0\0\0"), "as its uid"),
        (field(124, b"\xff" * 12), "-1 as its size"),
        (field(124, b"\x80\x00\x00\x00\x7f" + b"\xff" * 7), "as its size"),
        (Layer().entry("x", "x", size=100).raw[:600], "in the middle of an extended header"),
        (Layer().entry("x", "L", size=1 << 21).raw, "extended headers of 2097152 bytes"),
        (Layer().pax(b"7 a=bcdefg").raw, "malformed"),
        (Layer().pax(b"6  a=b\n").raw, "malformed"),
        (Layer().pax(b"5 =b\n\n").raw, "malformed"),
    ],
)
def test_what_is_broken_is_refused(raw: bytes, why: str) -> None:
    with pytest.raises(ImageRefused, match=why):
        read(raw)


def test_a_number_may_be_filled_up_with_blanks() -> None:
    (entry,) = read(field(100, b"   644 \0"))
    assert entry.mode == 0o644


def test_an_end_without_zero_blocks_is_an_end(tmp_path: Path) -> None:
    assert [entry.name for entry in read(Layer().file("a", "").raw[:512])] == [b"a"]
    assert read(b"") == []
