"""Layers as streams: the compression is told by the bytes, both digests come out right however it is read."""

from __future__ import annotations

import gzip
import hashlib
import io

import pytest

from composer.errors import ImageRefused
from composer.image.decompress import LayerStream

PLAIN = b"".join(hashlib.sha256(str(number).encode()).digest() for number in range(80_000))  # 2.5 MB, more than a chunk


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


FORMS = {
    "plain": (PLAIN, PLAIN),
    "empty": (b"", b""),
    "one byte": (b"x", b"x"),
    "gzip": (gzip.compress(PLAIN, 1), PLAIN),
    "gzip of nothing": (gzip.compress(b""), b""),
    "gzip of zeros": (gzip.compress(bytes(30_000_000), 9), bytes(30_000_000)),
    "two members": (gzip.compress(PLAIN[:700]) + gzip.compress(PLAIN[700:], 1), PLAIN),
    "empty members": (gzip.compress(b"") * 3000 + gzip.compress(PLAIN, 1) + gzip.compress(b""), PLAIN),
    "padding at the end": (gzip.compress(PLAIN, 1) + bytes(3 << 20), PLAIN),
}


@pytest.mark.parametrize("form", FORMS)
def test_content_and_digests_are_right(form: str) -> None:
    raw, plain = FORMS[form]
    stream = LayerStream(io.BytesIO(raw), 1 << 30)
    assert stream.read(len(plain) + 1) == plain
    assert stream.finish() == (sha256(raw), sha256(plain))


@pytest.mark.parametrize("form", FORMS)
def test_digests_do_not_depend_on_what_was_read(form: str) -> None:
    raw, plain = FORMS[form]
    assert LayerStream(io.BytesIO(raw), 1 << 30).finish() == (sha256(raw), sha256(plain))
    stream = LayerStream(io.BytesIO(raw), 1 << 30)
    assert stream.read(3) == plain[:3]
    assert stream.some(10) == plain[3:13]
    assert stream.finish() == (sha256(raw), sha256(plain))


def test_pieces_follow_one_another_without_a_gap() -> None:
    stream = LayerStream(io.BytesIO(gzip.compress(PLAIN, 1)), 1 << 30)
    got = b""
    while len(got) < len(PLAIN):
        got += stream.read(1000) + stream.some(70_000)
    assert got == PLAIN
    assert (stream.read(1), stream.some(1)) == (b"", b"")


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (gzip.compress(PLAIN)[:-1], "breaks off"),
        (gzip.compress(PLAIN)[:1000], "breaks off"),
        (b"\x1f\x8b", "breaks off"),
        (gzip.compress(PLAIN) + b"more", "damaged"),
        (gzip.compress(PLAIN) + bytes(9) + b"more", "damaged"),
        (gzip.compress(PLAIN)[:-8] + b"checksum", "damaged"),
        (gzip.compress(PLAIN) + gzip.compress(PLAIN)[:-1], "breaks off"),
    ],
)
def test_damaged_gzip_is_refused(raw: bytes, why: str) -> None:
    with pytest.raises(ImageRefused, match=why):
        LayerStream(io.BytesIO(raw), 1 << 30).finish()


def test_a_bomb_is_refused_before_it_is_large() -> None:
    stream = LayerStream(io.BytesIO(gzip.compress(bytes(50_000_000))), 10_000_000)
    with pytest.raises(ImageRefused, match="more than 10000000 bytes"):
        stream.finish()
