"""Tar headers, read with suspicion: ustar, GNU long names and sparse files, pax records. Bytes in, entries out.

POSIX.1-2017 pax, "ustar Interchange Format"; GNU tar manual, "Basic Tar Format". All bytes: names need not be text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple, Protocol

from composer.errors import ImageRefused

BLOCK = 512
LONGEST_HEADER = 1024 * 1024
"""Bytes of the extended headers (pax records, long names) of one entry: more is an attack."""

REGULAR, HARD_LINK, SYMLINK, CHARACTER, BLOCK_DEVICE, DIRECTORY, FIFO, CONTIGUOUS = b"01234567"
_PAX, _PAX_GLOBAL, _GNU_NAME, _GNU_LINK, _GNU_SPARSE = b"xgLKS"
_KNOWN = frozenset((REGULAR, HARD_LINK, SYMLINK, CHARACTER, BLOCK_DEVICE, DIRECTORY, FIFO, CONTIGUOUS))
_XATTR = b"SCHILY.xattr."
_FOR_ALL = frozenset((b"uid", b"gid", b"mtime"))
_DECIMAL_TIME = re.compile(rb"(-?)([0-9]{1,20})(?:\.([0-9]{0,32}))?\Z")
_LARGEST = 1 << 62


class Source(Protocol):
    """Where the archive comes from."""

    def read(self, size: int) -> bytes:
        """Exactly `size` bytes, fewer only at the end."""
        ...


class Entry(NamedTuple):
    """One entry. `size` is what lies in the archive, `real_size` the file's; they differ for sparse files, whose
    `sparse` lists (offset, length) of the data that is there. `mtime` is in nanoseconds. Numbers are checked for
    range, names are not.
    """

    kind: int
    name: bytes
    link: bytes
    mode: int
    uid: int
    gid: int
    mtime: int
    size: int
    real_size: int
    major: int
    minor: int
    xattrs: Mapping[bytes, bytes]
    sparse: tuple[tuple[int, int], ...] | None


def entries(source: Source) -> Iterator[Entry]:
    """The entries of an archive. After each, the caller must have read `size` bytes of data and the padding to a full
    block from the same source. Raises `ImageRefused`.
    """
    records: dict[bytes, bytes] = {}
    global_records: dict[bytes, bytes] = {}
    extended = 0
    while True:
        header = source.read(BLOCK)
        if not header or not any(header):
            return  # the end: two zero blocks, or (as some writers have it) nothing
        if len(header) < BLOCK:
            raise ImageRefused("the archive ends in the middle of a header")
        _check_sum(header)
        kind = header[156] or REGULAR
        size = _number(header[124:136], "size")
        if kind in {_PAX, _PAX_GLOBAL, _GNU_NAME, _GNU_LINK}:
            extended += size
            content = _extended(source, size, extended)
            if kind == _PAX:
                records.update(_pax_records(content))
            elif kind == _PAX_GLOBAL:
                # One name, size or attribute for all files that follow makes no sense; docker takes nothing at all.
                found = _pax_records(content)
                global_records.update((key, found[key]) for key in _FOR_ALL & found.keys())
            else:
                records[b"path" if kind == _GNU_NAME else b"linkpath"] = content.split(b"\0", 1)[0]
            continue
        yield _entry(header, kind, size, {**global_records, **records} if global_records else records, source)
        records, extended = {}, 0


def padding(size: int) -> int:
    """Bytes between the end of `size` bytes of data and the next header."""
    return -size % BLOCK


def _check_sum(header: bytes) -> None:
    stated = _number(header[148:156], "checksum")
    blanked = header[:148] + b" " * 8 + header[156:]
    # Some old writers summed signed bytes.
    if stated != sum(blanked) and stated != sum(byte - 256 if byte > 127 else byte for byte in blanked):
        raise ImageRefused("a header of the archive is damaged (checksum)")


@lru_cache(maxsize=256)  # one entry has nearly the same numbers as the next
def _number(field: bytes, what: str) -> int:
    if field[0] & 0x80:  # base-256, two's complement (GNU, star)
        value = int.from_bytes(field, "big") & ((1 << (len(field) * 8 - 1)) - 1)
        if field[0] & 0x40:
            value -= 1 << (len(field) * 8 - 1)
    else:
        text = field.split(b"\0", 1)[0].strip()
        if text.translate(None, b"01234567"):  # int() would let signs, underscores and 0o pass
            raise ImageRefused(f"a header of the archive has {field!r} as its {what}")
        value = int(text, 8) if text else 0
    if value > _LARGEST or (value < 0 and what != "mtime"):
        raise ImageRefused(f"a header of the archive has {value} as its {what}")
    return value


def _extended(source: Source, size: int, total: int) -> bytes:
    if total > LONGEST_HEADER:
        raise ImageRefused(f"extended headers of {total} bytes for one entry (the limit is {LONGEST_HEADER})")
    content = source.read(size + padding(size))
    if len(content) < size:
        raise ImageRefused("the archive ends in the middle of an extended header")
    return content[:size]


def _pax_records(content: bytes) -> dict[bytes, bytes]:
    """`length key=value\\n`, the length counting all of the record."""
    found: dict[bytes, bytes] = {}
    at = 0
    while at < len(content):
        space = content.find(b" ", at, at + 20)
        digits = content[at:space] if space > 0 else b""
        end = at + int(digits) if digits.isdigit() else 0
        record = content[space + 1 : end]
        key, equals, value = record[:-1].partition(b"=")
        if end <= at or end > len(content) or not equals or not key or record[-1:] != b"\n":
            raise ImageRefused("a pax header of the archive is malformed")
        if key in {b"path", b"linkpath"} and b"\0" in value:
            raise ImageRefused(f"a pax header has a NUL in its {key.decode()}")
        found[key] = value
        at = end
    return found


def _entry(header: bytes, kind: int, size: int, records: Mapping[bytes, bytes], source: Source) -> Entry:
    name = header[0:100].split(b"\0", 1)[0]
    if header[257:263] == b"ustar\0" and header[345]:
        name = header[345:500].split(b"\0", 1)[0] + b"/" + name
    size = _decimal(records, b"size", size)
    real_size, sparse = size, None
    if kind == _GNU_SPARSE:
        kind = REGULAR
        sparse = _old_gnu_map(header, source)
        real_size = _number(header[483:495], "real size")
    elif b"GNU.sparse.major" in records:
        real_size, sparse, size = _pax_sparse(records, size, source)
    elif b"GNU.sparse.map" in records:
        real_size, sparse = _decimal(records, b"GNU.sparse.size", size), _pax_map(records[b"GNU.sparse.map"])
    elif b"GNU.sparse.size" in records:
        raise ImageRefused("a sparse file of an unknown format")
    name = records.get(b"GNU.sparse.name", records.get(b"path", name))
    if kind not in _KNOWN:
        kind = REGULAR  # POSIX: what one does not know is a regular file
    if kind == REGULAR and name.endswith(b"/"):
        kind = DIRECTORY  # pre-POSIX archives have no other way to say so
    return Entry(
        kind=REGULAR if kind == CONTIGUOUS else kind,
        name=name,
        link=records.get(b"linkpath", header[157:257].split(b"\0", 1)[0]),
        mode=_number(header[100:108], "mode") & 0o7777,
        uid=_decimal(records, b"uid", _number(header[108:116], "uid")),
        gid=_decimal(records, b"gid", _number(header[116:124], "gid")),
        mtime=_time(records, _number(header[136:148], "mtime")),
        size=size,
        real_size=real_size,
        major=_number(header[329:337], "device"),
        minor=_number(header[337:345], "device"),
        xattrs={key[len(_XATTR) :]: value for key, value in records.items() if key.startswith(_XATTR)},
        sparse=sparse,
    )


def _decimal(records: Mapping[bytes, bytes], key: bytes, otherwise: int) -> int:
    text = records.get(key)
    if text is None:
        return otherwise
    if not text.isdigit() or len(text) > 20 or int(text) > _LARGEST:
        raise ImageRefused(f"a pax header has {text[:40]!r} as its {key.decode()}")
    return int(text)


def _time(records: Mapping[bytes, bytes], otherwise: int) -> int:
    text = records.get(b"mtime")
    if text is None:
        return otherwise * 1_000_000_000
    found = _DECIMAL_TIME.match(text)
    if found is None:
        raise ImageRefused(f"a pax header has {text[:40]!r} as its mtime")
    value = int(found[2]) * 1_000_000_000 + int((found[3] or b"")[:9].ljust(9, b"0"))
    return -value if found[1] else value


def _old_gnu_map(header: bytes, source: Source) -> tuple[tuple[int, int], ...]:
    pieces = _map_fields(header[386:482])
    more = header[482]
    while more:
        block = source.read(BLOCK)
        if len(block) < BLOCK or len(pieces) > LONGEST_HEADER // 24:
            raise ImageRefused("a sparse file's map does not end")
        pieces += _map_fields(block[:504])
        more = block[504]
    return tuple(pieces)


def _map_fields(block: bytes) -> list[tuple[int, int]]:
    found = []
    for at in range(0, len(block) - 23, 24):
        if not block[at]:
            break
        found.append((_number(block[at : at + 12], "offset"), _number(block[at + 12 : at + 24], "length")))
    return found


def _pax_sparse(
    records: Mapping[bytes, bytes], size: int, source: Source
) -> tuple[int, tuple[tuple[int, int], ...], int]:
    """GNU sparse format 1.0: the map stands before the data, in decimal lines, filled up to whole blocks."""
    if (records[b"GNU.sparse.major"], records.get(b"GNU.sparse.minor")) != (b"1", b"0"):
        raise ImageRefused("a sparse file of an unknown format")
    blocks: list[bytes] = []
    lines, lines_wanted = 0, 1
    while lines < lines_wanted:
        block = source.read(BLOCK)
        blocks.append(block)
        if len(block) < BLOCK or len(blocks) * BLOCK > min(size, LONGEST_HEADER):
            raise ImageRefused("a sparse file's map does not end")
        if not lines and b"\n" in block:
            lines_wanted = 1 + 2 * _line(b"".join(blocks).split(b"\n", 1)[0])
        lines += block.count(b"\n")
    numbers = [_line(line) for line in b"".join(blocks).split(b"\n")[1:lines_wanted]]
    return _decimal(records, b"GNU.sparse.realsize", size), _pairs(numbers), size - len(blocks) * BLOCK


def _pax_map(text: bytes) -> tuple[tuple[int, int], ...]:
    """GNU sparse format 0.1: the map is a record, `offset,length,…`."""
    numbers = [_line(number) for number in text.split(b",")] if text else []
    if len(numbers) % 2:
        raise ImageRefused("a sparse file's map is malformed")
    return _pairs(numbers)


def _pairs(numbers: list[int]) -> tuple[tuple[int, int], ...]:
    return tuple(zip(numbers[::2], numbers[1::2], strict=True))


def _line(text: bytes) -> int:
    if not text.isdigit() or len(text) > 20:
        raise ImageRefused("a sparse file's map is malformed")
    return int(text)
