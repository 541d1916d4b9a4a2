"""Layers and image archives as attackers, or odd but honest tools, would write them: made header by header.

The cases are in `hostile_cases`. Every attack aims at one directory, `{out}` in texts; what it must not touch.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

UP = "../" * 30
TIME = 1_600_000_000


def octal(number: int, width: int) -> bytes:
    """A number as a header holds it: octal, or base-256 where that does not fit."""
    if 0 <= number < 8 ** (width - 1):
        return f"{number:0{width - 1}o}\0".encode()
    return (b"\xff" if number < 0 else b"\x80") + (number % (1 << 8 * (width - 1))).to_bytes(width - 1, "big")


def sealed(header: bytearray) -> bytes:
    """The header with its checksum."""
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


def padded(data: bytes) -> bytes:
    """Filled up to a whole block."""
    return data + bytes(-len(data) % 512)


def record(key: str, value: bytes) -> bytes:
    """One record of a pax header, with the length that counts itself."""
    body = b" " + key.encode() + b"=" + value + b"\n"
    length = len(body) + 1
    while len(str(length)) + len(body) != length:
        length += 1
    return str(length).encode() + body


class Layer:
    """A tar archive in the making; every method adds to it and returns it."""

    def __init__(self) -> None:
        self._blocks: list[bytes] = []
        self.end = bytes(1024)

    @property
    def raw(self) -> bytes:
        return b"".join(self._blocks) + self.end

    def blocks(self, data: bytes) -> Layer:
        self._blocks.append(data)
        return self

    def entry(
        self,
        name: str | bytes,
        kind: str,
        data: bytes = b"",
        *,
        link: str | bytes = b"",
        mode: int = 0o644,
        owner: tuple[int, int] = (0, 0),
        device: tuple[int, int] = (0, 0),
        size: int | None = None,
        mtime: int = TIME,
        pax: Mapping[str, bytes] | None = None,
    ) -> Layer:
        records = dict(pax or {})
        name = name.encode() if isinstance(name, str) else name
        link = link.encode() if isinstance(link, str) else link
        if len(name) > 100:
            records.setdefault("path", name)
        if len(link) > 100:
            records.setdefault("linkpath", link)
        if records:
            self.pax(b"".join(record(key, value) for key, value in records.items()))
        header = bytearray(512)
        header[0:100] = name[:100].ljust(100, b"\0")
        header[100:108], header[108:116], header[116:124] = octal(mode, 8), octal(owner[0], 8), octal(owner[1], 8)
        header[124:136], header[136:148] = octal(len(data) if size is None else size, 12), octal(mtime, 12)
        header[156:157] = kind.encode()
        header[157:257] = link[:100].ljust(100, b"\0")
        header[257:265] = b"ustar\x0000"
        header[329:337], header[337:345] = octal(device[0], 8), octal(device[1], 8)
        return self.blocks(sealed(header) + padded(data))

    def pax(self, records: bytes, kind: str = "x") -> Layer:
        header = bytearray(512)
        header[0:3], header[124:136], header[156:157] = b"pax", octal(len(records), 12), kind.encode()
        return self.blocks(sealed(header) + padded(records))

    def file(self, name: str | bytes, text: str = "x", **more: Any) -> Layer:
        return self.entry(name, "0", text.encode(), **more)

    def dir(self, name: str | bytes, mode: int = 0o755, **more: Any) -> Layer:
        return self.entry(name, "5", mode=mode, **more)

    def sym(self, name: str, target: str, **more: Any) -> Layer:
        return self.entry(name, "2", link=target, mode=0o777, **more)

    def hard(self, name: str, target: str, **more: Any) -> Layer:
        return self.entry(name, "1", link=target, **more)

    def long(self, kind: str, text: bytes) -> Layer:
        """GNU's long name (L) or long link (K) for the entry that follows."""
        return self.entry("././@LongLink", kind, text + b"\0")

    def sparse(self, name: str, size: int, pieces: Sequence[tuple[int, bytes]]) -> Layer:
        """GNU sparse format 1.0."""
        numbers = "".join(f"{offset}\n{len(data)}\n" for offset, data in pieces)
        data = padded(f"{len(pieces)}\n{numbers}".encode()) + b"".join(data for _, data in pieces)
        records = {"major": "1", "minor": "0", "name": name, "realsize": str(size)}
        return self.entry("x", "0", data, pax={f"GNU.sparse.{key}": value.encode() for key, value in records.items()})


def old_sparse(name: str, size: int, offset: int, data: bytes) -> bytes:
    """A sparse file as GNU tar wrote it before pax."""
    header = bytearray(512)
    header[0:100], header[100:108] = name.encode().ljust(100, b"\0"), octal(0o644, 8)
    header[124:136], header[156:157], header[257:265] = octal(len(data), 12), b"S", b"ustar  \0"
    header[386:398], header[398:410] = octal(offset, 12), octal(len(data), 12)
    header[483:495] = octal(size, 12)
    return sealed(header) + padded(data)


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def config(layers: Sequence[bytes], **changes: Any) -> bytes:
    """An image config for these uncompressed layers."""
    rootfs = {"type": "layers", "diff_ids": [sha256(layer) for layer in layers]}
    return json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs, **changes}).encode()


def archive(members: Mapping[str, bytes | str]) -> bytes:
    """A tar of these members; a text is where a symbolic link points."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            if isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                tar.addfile(info)
            else:
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


@dataclass
class Docker:
    """A docker-archive; each field may be spoilt before `members`."""

    layers: list[bytes]
    tags: list[str] = field(default_factory=lambda: ["odd:1"])
    changes: dict[str, Any] = field(default_factory=dict)
    config: bytes | None = None
    names: list[str] | None = None
    extra: dict[str, bytes | str] = field(default_factory=dict)

    def members(self) -> dict[str, bytes | str]:
        raw = config(self.layers, **self.changes) if self.config is None else self.config
        named = {f"{number}/layer.tar": layer for number, layer in enumerate(self.layers)}
        names = list(named) if self.names is None else self.names
        manifest = [{"Config": "config.json", "RepoTags": self.tags, "Layers": names}]
        return {**named, "config.json": raw, "manifest.json": json.dumps(manifest).encode(), **self.extra}


_OCI = "application/vnd.oci.image."


@dataclass
class Oci:
    """An oci-archive of layers as they are in it; `plain` are their uncompressed forms where these differ."""

    layers: list[bytes]
    plain: list[bytes] | None = None
    layer_type: str = _OCI + "layer.v1.tar+gzip"
    spoil_layer: dict[str, Any] = field(default_factory=dict)
    spoil_manifest: dict[str, Any] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    nested: int = 0
    annotations: dict[str, str] = field(default_factory=lambda: {"io.containerd.image.name": "docker.io/library/odd:1"})
    changes: dict[str, Any] = field(default_factory=dict)

    def members(self) -> dict[str, bytes | str]:
        raw = config(self.layers if self.plain is None else self.plain, **self.changes)
        layers = [{"mediaType": self.layer_type, "digest": sha256(one), "size": len(one)} for one in self.layers]
        layers[-1].update(self.spoil_layer)
        top = {"mediaType": _OCI + "config.v1+json", "digest": sha256(raw), "size": len(raw)}
        kind = _OCI + "manifest.v1+json"
        document = json.dumps(
            {"schemaVersion": 2, "mediaType": kind, "config": top, "layers": layers, **self.spoil_manifest}
        ).encode()
        blobs = {sha256(blob): blob for blob in (*self.layers, raw, document)}
        for _ in range(self.nested):
            document = self._index(kind, document)
            kind = _OCI + "index.v1+json"
            blobs[sha256(document)] = document
        blobs |= self.blobs
        index = self._index(kind, document)
        named = {f"blobs/sha256/{digest.removeprefix('sha256:')}": blob for digest, blob in blobs.items()}
        return {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}', "index.json": index, **named}

    def _index(self, kind: str, document: bytes) -> bytes:
        entry = {"mediaType": kind, "digest": sha256(document), "size": len(document), "annotations": self.annotations}
        return json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode()


def packed(*layers: Layer) -> tuple[list[bytes], list[bytes]]:
    """The layers compressed, and as they are."""
    plain = [layer.raw for layer in layers]
    return [gzip.compress(one, 1, mtime=0) for one in plain], plain


@dataclass(frozen=True)
class Case:
    """A name and what must come of it: `refused` is what the error says; else `tree` is what is in the merged root,
    each path as `described` in the tests, None for what must not be there. Texts may hold `{out}`.
    """

    name: str
    make: Callable[[str], Any]
    tree: Mapping[str | bytes, str | None] = field(default_factory=dict)
    refused: str = ""


def base() -> Layer:
    """What lies below in most cases."""
    return Layer().dir("d").file("d/one", "1").file("d/two", "2").file("low", "low").dir("p", 0o700, owner=(5, 6))
