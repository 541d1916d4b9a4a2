"""A layer blob as a stream: both digests are taken on the way, the compression is told by its magic."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import BinaryIO

from composer.errors import ImageRefused, MachineError
from composer.host.proc import find

_CHUNK = 1 << 20
_SLICE = 1 << 14
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


class LayerStream:
    """Reads a layer: `read` gives the uncompressed bytes; `finish` the digests of both forms."""

    def __init__(self, file: BinaryIO, limit: int) -> None:
        self._file = file
        self._limit = limit
        self._compressed = hashlib.sha256()
        self._plain = self._compressed  # until it is known that they differ
        self._total = 0
        self._pieces = self._decompressed()
        self._buffer = b""
        self._at = 0

    def read(self, size: int) -> bytes:
        """Exactly `size` bytes, fewer only at the end. Raises `ImageRefused`."""
        end = self._at + size
        if end <= len(self._buffer):
            piece = self._buffer[self._at : end]
            self._at = end
            return piece
        parts = [self._buffer[self._at :]]
        got = len(parts[0])
        self._buffer, self._at = b"", 0
        while got < size:
            piece = next(self._pieces, b"")
            if not piece:
                break
            parts.append(piece)
            got += len(piece)
        joined = b"".join(parts)
        self._buffer, self._at = joined, min(size, len(joined))
        return joined[:size]

    def some(self, most: int) -> bytes:
        """Up to `most` bytes, without joining pieces; empty at the end. Raises `ImageRefused`."""
        if self._at >= len(self._buffer):
            self._buffer, self._at = next(self._pieces, b""), 0
        piece = self._buffer[self._at : self._at + most]
        self._at += len(piece)
        return piece

    def finish(self) -> tuple[str, str]:
        """Reads to the end; the digests `sha256:…` of the blob and of what it unpacks to."""
        self._buffer = b""
        for _ in self._pieces:
            pass
        return f"sha256:{self._compressed.hexdigest()}", f"sha256:{self._plain.hexdigest()}"

    def _raw(self) -> Iterator[bytes]:
        while chunk := self._file.read(_CHUNK):
            self._compressed.update(chunk)
            yield chunk

    def _decompressed(self) -> Iterator[bytes]:
        raw = self._raw()
        first = next(raw, b"")
        if first[:2] == _GZIP:
            plain = _gunzip(first, raw)
        elif first[:4] == _ZSTD:
            plain = _unzstd(first, raw)
        else:
            yield from _chain(first, raw)  # as large as the file, and hashed already
            return
        self._plain = hashlib.sha256()
        for piece in plain:
            self._total += len(piece)
            if self._total > self._limit:
                raise ImageRefused(f"it unpacks to more than {self._limit} bytes")
            self._plain.update(piece)
            yield piece


def _chain(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    if first:
        yield first
    yield from rest


def _gunzip(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    """All members of a gzip file (RFC 1952); one that breaks off is an error."""
    member = zlib.decompressobj(31)
    step = _CHUNK
    for chunk in _chain(first, rest):
        at = 0
        while at < len(chunk):
            if member.eof:
                if not chunk[at] and not chunk[at:].strip(b"\0"):
                    break  # padding after the last member
                member = zlib.decompressobj(31)
                step = _SLICE  # what follows a member is copied, and there may be one in every 20 bytes
            given = chunk[at : at + step]
            try:
                piece = member.decompress(given, 4 * _CHUNK)
            except zlib.error as error:
                raise ImageRefused(f"the gzip data is damaged: {error}") from None
            at += len(given) - len(member.unconsumed_tail or member.unused_data)
            step = min(step * 2, _CHUNK)
            if piece:
                yield piece
    if not member.eof:
        raise ImageRefused("the gzip data breaks off")


def _unzstd(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    """By the `zstd` program: Python 3.11 has no zstd of its own."""
    import subprocess
    import threading

    zstd = find("zstd")
    if zstd is None:
        raise MachineError("it is compressed with zstd", hint="apt-get install zstd")
    process = subprocess.Popen((zstd, "-dcq"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    if process.stdin is None or process.stdout is None:
        raise AssertionError("pipes were asked for")
    into, out = process.stdin, process.stdout

    def feed() -> None:
        with suppress(BrokenPipeError), into:  # closed whatever happens: zstd would wait for more
            for chunk in _chain(first, rest):
                into.write(chunk)

    feeder = threading.Thread(target=feed, daemon=True)
    feeder.start()
    try:
        while piece := out.read(_CHUNK):
            yield piece
        feeder.join()
        if process.wait() != 0:
            raise ImageRefused("the zstd data is damaged")
    finally:
        process.kill()
        process.wait()
        out.close()
