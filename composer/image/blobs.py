"""The layers' blobs on their way into the store, where `save` and `push` need them as they came."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import struct
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from composer.errors import ImageRefused
from composer.image.layout import Manifest

if TYPE_CHECKING:
    from composer.image.store import LayerSource, Store

_FICLONERANGE = 0x4020940D
_CANNOT = frozenset({errno.EXDEV, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS, errno.ENOTTY})
_STEP = 1 << 22
_ALIGNED = 4096


class Blobs:
    """Copies blobs while the block runs, in a thread: it is the kernel that works. `keep` takes them into the store."""

    def __init__(self, store: Store, manifest: Manifest, sources: Sequence[LayerSource], temporary: str) -> None:
        self._blob_path = store.blob_path
        self._temporary = temporary
        self._layers: dict[str, tuple[int, LayerSource, int]] = {}
        for number, (layer, source) in enumerate(zip(manifest.layers, sources, strict=True)):
            target = store.blob_path(layer.digest)
            if source.path != target and not os.path.exists(target):
                self._layers.setdefault(layer.digest, (number, source, layer.size))
        self._failed: Exception | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._copy_all, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._stopped.set()
        self._thread.join()

    def _copy_all(self) -> None:
        try:
            for digest, (_, source, size) in self._layers.items():
                _copy(source, size, self._path(digest), self._stopped)
        except Exception as error:  # noqa: BLE001  raised by `keep`
            self._failed = error

    def _path(self, digest: str) -> str:
        return f"{self._temporary}/{digest}.blob"

    def keep(self, verified: set[int]) -> None:
        """Moves the copies into the store. `verified` are the numbers of layers whose digests have been taken already.

        Raises `ImageRefused`, `OSError`.
        """
        if self._failed is not None:
            raise self._failed
        for digest, (number, _, _) in self._layers.items():
            if number not in verified:
                _verify_file(self._path(digest), digest)
            os.rename(self._path(digest), self._blob_path(digest))


def _copy(source: LayerSource, size: int, target: str, stopped: threading.Event) -> None:
    with open(source.path, "rb", buffering=0) as reader:
        available = os.fstat(reader.fileno()).st_size if source.size is None else source.size
        if available != size:
            raise ImageRefused(f"a layer has {available} bytes, the manifest says {size}")
        with open(target, "xb", buffering=0) as writer:
            if _share(reader.fileno(), writer.fileno(), source.offset, size):
                return
        if not _write_past_the_cache(reader.fileno(), target, source.offset, size, stopped):
            with open(target, "wb", buffering=0) as writer:
                _send(reader.fileno(), writer.fileno(), source.offset, size, stopped)


def _share(reader: int, writer: int, at: int, size: int) -> bool:
    """Lets both files have the same blocks; False where the file system cannot."""
    if not size:
        return False  # to the kernel it would mean: up to the end
    try:
        fcntl.ioctl(writer, _FICLONERANGE, struct.pack("qQQQ", reader, at, size, 0))
    except OSError as error:
        if error.errno not in _CANNOT:
            raise
        return False
    return True


def _write_past_the_cache(reader: int, target: str, at: int, size: int, stopped: threading.Event) -> bool:
    """Nobody reads the copy soon: memory for it, and for the disk to be waited for at the end, are better spent on the
    files of the layers. False where the file system has no such writing.
    """
    try:
        writer = os.open(target, os.O_WRONLY | os.O_TRUNC | os.O_DIRECT | os.O_CLOEXEC)
    except OSError as error:
        if error.errno not in _CANNOT:
            raise
        return False
    end = at + size
    try:
        with mmap.mmap(-1, _STEP) as memory, memoryview(memory) as buffer:
            while at < end and not stopped.is_set():
                with buffer[: min(_STEP, end - at)] as wanted:
                    got = _fill(reader, wanted, at)
                with buffer[: -(-got // _ALIGNED) * _ALIGNED] as whole:
                    if os.write(writer, whole) < got:
                        return False
                at += got
        os.ftruncate(writer, size)
    except OSError as error:
        if error.errno not in _CANNOT:
            raise
        return False
    finally:
        os.close(writer)
    return True


def _fill(reader: int, buffer: memoryview, at: int) -> int:
    got = 0
    while got < len(buffer):
        with buffer[got:] as rest:
            piece = os.preadv(reader, [rest], at + got)
        if not piece:
            raise ImageRefused("a layer breaks off")
        got += piece
    return got


def _send(reader: int, writer: int, at: int, size: int, stopped: threading.Event) -> None:
    end = at + size
    while at < end and not stopped.is_set():
        copied = os.sendfile(writer, reader, at, min(end - at, _STEP))
        if not copied:
            raise ImageRefused("a layer breaks off")
        at += copied


def _verify_file(path: str, digest: str) -> None:
    import hashlib

    with open(path, "rb") as file:
        found = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    if found != digest:
        raise ImageRefused(f"a layer is {found}, the manifest says {digest}")
