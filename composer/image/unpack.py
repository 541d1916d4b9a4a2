"""Unpacks one layer into a directory, trusting nothing in it.

Every parent is opened with openat2(RESOLVE_IN_ROOT); everything else happens relative to that descriptor and never
follows the last component. What is in the way is replaced, not written through. Whiteouts become overlayfs' own.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

from composer.errors import ImageError, ImageRefused
from composer.frozen import frozen
from composer.host.kernel import open_in_root
from composer.host.trees import remove_tree_at
from composer.image import tar
from composer.image.decompress import LayerStream

_WHITEOUT, _OPAQUE, _RESERVED = b".wh.", b".wh..wh..opq", b".wh..wh."
_OVERLAY_XATTRS = (b"trusted.overlay.", b"user.overlay.")
_MAY_FAIL = {errno.ENOTSUP, errno.EPERM, errno.ENODATA, errno.EINVAL, errno.ERANGE, errno.E2BIG, errno.ENOSPC}
_ROOT = b"."
_CHUNK = 1 << 20
_OPEN_PARENTS = 128
_LARGEST_TIME = (1 << 33) * 1_000_000_000
_LARGEST_ID = (1 << 32) - 2
_DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Limits(NamedTuple):
    """What one layer may cost: bytes of content (sparse files count with their full size), and entries."""

    content: int = 256 << 30
    entries: int = 5_000_000


@frozen
class LayerDigests:
    """What was unpacked: digests `sha256:…` of the blob and its plain form, how much, and the directories that were
    made without an entry of their own (they take after the layers below: see `fix_implicit_parents`).
    """

    blob_digest: str
    diff_id: str
    entries: int
    content: int
    implicit_parents: tuple[bytes, ...] = ()


def unpack_layer(
    blob_path: str, target: str, *, limits: Limits | None = None, offset: int = 0, size: int | None = None
) -> LayerDigests:
    """Unpacks the layer in a file (`size` bytes of it from `offset`) into the empty directory `target`.

    Raises `ImageRefused` for what is malformed or hostile, `ImageError` for a full disk; `target` is rubbish then.
    """
    with open(blob_path, "rb", buffering=0) as file:
        source = file if size is None else _Window(file.fileno(), offset, size)
        root = os.open(target, _DIRECTORY_FLAGS)
        try:
            return _Unpacker(root, limits or Limits()).run(LayerStream(source, (limits or Limits()).content * 2))  # type: ignore[arg-type]
        except OSError as error:
            raise _explained("it", error) from error
        finally:
            os.close(root)


def _explained(what: str, error: OSError) -> ImageError:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return ImageError(f"{what} cannot be unpacked: no space left on the device", hint="jocker image prune")
    return ImageRefused(f"{what} cannot be unpacked: {error.strerror}")


class _Window:
    """A stretch of a file, read by offset."""

    def __init__(self, fd: int, offset: int, size: int) -> None:
        self._fd, self._at, self._end = fd, offset, offset + size

    def read(self, size: int) -> bytes:
        piece = os.pread(self._fd, min(size, self._end - self._at), self._at)
        self._at += len(piece)
        return piece


class _Unpacker:
    def __init__(self, root: int, limits: Limits) -> None:
        self.root = root
        self.limits = limits
        self.parents: OrderedDict[bytes, int] = OrderedDict()
        self.times: list[tuple[bytes, int]] = []
        self.implicit: dict[bytes, None] = {_ROOT: None}
        self.removed: set[bytes] = set()
        self.entries = 0
        self.content = 0

    def run(self, stream: LayerStream) -> LayerDigests:
        try:
            for entry in tar.entries(stream):
                self.entries += 1
                self.content += entry.real_size if entry.kind == tar.REGULAR else 0
                if self.entries > self.limits.entries:
                    raise ImageRefused(f"it has more than {self.limits.entries} entries")
                if self.content > self.limits.content:
                    raise ImageRefused(f"it unpacks to more than {self.limits.content} bytes at {shown(entry.name)}")
                try:
                    self._place(entry, stream)
                except OSError as error:
                    raise _explained(shown(entry.name), error) from error
            for path, mtime in reversed(self.times):
                with suppress(OSError):
                    fd = open_in_root(self.root, path, _DIRECTORY_FLAGS)
                    try:
                        os.utime(fd, ns=(_ns(mtime), _ns(mtime)))
                    finally:
                        os.close(fd)
        finally:
            self._forget_parents()
        blob_digest, diff_id = stream.finish()
        return LayerDigests(
            blob_digest=blob_digest,
            diff_id=diff_id,
            entries=self.entries,
            content=self.content,
            implicit_parents=tuple(self.implicit),
        )

    def _place(self, entry: tar.Entry, stream: LayerStream) -> None:
        parts = _parts(entry.name)
        if not parts:
            if entry.kind == tar.DIRECTORY:
                self._dress(self.root, entry)
                self.times.append((_ROOT, entry.mtime))
                self.implicit.pop(_ROOT, None)
            _discard(stream, entry.size + tar.padding(entry.size), entry.name)
            return
        if _RESERVED in entry.name and any(part.startswith(_RESERVED) and part != _OPAQUE for part in parts):
            _discard(
                stream, entry.size + tar.padding(entry.size), entry.name
            )  # aufs' own bookkeeping, in images of old
            return
        name = parts[-1]
        directory = b"/".join(parts[:-1])
        if name.startswith(_WHITEOUT):
            self._white_out(directory, name, entry)
            _discard(stream, entry.size + tar.padding(entry.size), entry.name)
            return
        parent = self._parent(directory)
        path = b"/".join(parts)
        if entry.kind == tar.REGULAR:
            self._file(parent, name, entry, stream)
        else:
            self._special(parent, name, path, entry)
            _discard(stream, entry.size + tar.padding(entry.size), entry.name)
        if path in self.implicit:
            del self.implicit[path]

    def _special(self, parent: int, name: bytes, path: bytes, entry: tar.Entry) -> None:
        if entry.kind == tar.DIRECTORY:
            self._directory(parent, name, path, entry)
        elif entry.kind == tar.SYMLINK:
            if not entry.link or b"\0" in entry.link:
                raise ImageRefused(f"{shown(entry.name)}: a symbolic link to nothing")
            self._clear(parent, name)
            os.symlink(entry.link, name, dir_fd=parent)
            os.chown(name, *_owner(entry), dir_fd=parent, follow_symlinks=False)
            os.utime(name, ns=(_ns(entry.mtime), _ns(entry.mtime)), dir_fd=parent, follow_symlinks=False)
        elif entry.kind == tar.HARD_LINK:
            self._hard_link(parent, name, entry)
        else:
            self._node(parent, name, entry)

    def _file(self, parent: int, name: bytes, entry: tar.Entry, stream: LayerStream) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            fd = os.open(name, flags, 0o600, dir_fd=parent)
        except FileExistsError:
            self._clear(parent, name)
            fd = os.open(name, flags, 0o600, dir_fd=parent)
        try:
            if entry.sparse is None:
                _pour(fd, entry.size, stream, entry.name)
            else:
                _pour_sparse(fd, entry, stream)
            _finish_padding(entry, stream)
            self._dress(fd, entry)
            os.utime(fd, ns=(_ns(entry.mtime), _ns(entry.mtime)))
        finally:
            os.close(fd)

    def _directory(self, parent: int, name: bytes, path: bytes, entry: tar.Entry) -> None:
        hidden = path in self.removed
        try:
            os.mkdir(name, 0o700, dir_fd=parent)
        except FileExistsError:
            found = os.stat(name, dir_fd=parent, follow_symlinks=False)
            if not stat.S_ISDIR(found.st_mode):
                hidden = hidden or _is_whiteout(found)
                self._clear(parent, name)
                os.mkdir(name, 0o700, dir_fd=parent)
        fd = os.open(name, _DIRECTORY_FLAGS, dir_fd=parent)
        try:
            self._dress(fd, entry)
            if hidden:
                _make_opaque(fd)
        finally:
            os.close(fd)
        self.times.append((path, entry.mtime))

    def _hard_link(self, parent: int, name: bytes, entry: tar.Entry) -> None:
        target = _parts(entry.link)
        if not target:
            raise ImageRefused(f"{shown(entry.name)}: a hard link to nothing")
        if target == _parts(entry.name):
            return  # to itself: it is there, or the link is broken anyway
        try:
            source = open_in_root(self.root, b"/".join(target[:-1]))
        except OSError:
            raise ImageRefused(f"{shown(entry.name)}: a hard link to {shown(entry.link)}, which is not there") from None
        try:
            found = os.stat(target[-1], dir_fd=source, follow_symlinks=False)
            if stat.S_ISDIR(found.st_mode):
                raise ImageRefused(f"{shown(entry.name)}: a hard link to the directory {shown(entry.link)}")
            self._clear(parent, name)
            os.link(target[-1], name, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            raise ImageRefused(f"{shown(entry.name)}: a hard link to {shown(entry.link)}, which is not there") from None
        finally:
            os.close(source)

    def _node(self, parent: int, name: bytes, entry: tar.Entry) -> None:
        kinds = {tar.CHARACTER: stat.S_IFCHR, tar.BLOCK_DEVICE: stat.S_IFBLK, tar.FIFO: stat.S_IFIFO}
        kind = kinds[entry.kind]
        if kind == stat.S_IFCHR and (entry.major, entry.minor) == (0, 0):
            raise ImageRefused(f"{shown(entry.name)}: a device 0/0, which overlayfs takes for a whiteout")
        if entry.major > 0xFFF or entry.minor > 0xFFFFF:
            raise ImageRefused(f"{shown(entry.name)}: there is no device {entry.major}/{entry.minor}")
        self._clear(parent, name)
        os.mknod(name, kind | 0o600, os.makedev(entry.major, entry.minor), dir_fd=parent)
        os.chown(name, *_owner(entry), dir_fd=parent, follow_symlinks=False)
        fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        try:
            os.chmod(f"/proc/self/fd/{fd}", entry.mode)
            self._xattrs(f"/proc/self/fd/{fd}", entry)
        finally:
            os.close(fd)
        os.utime(name, ns=(_ns(entry.mtime), _ns(entry.mtime)), dir_fd=parent, follow_symlinks=False)

    def _dress(self, fd: int, entry: tar.Entry) -> None:
        """Owner, then mode (chown takes setuid away), then extended attributes."""
        os.fchown(fd, *_owner(entry))
        os.fchmod(fd, entry.mode)
        if entry.xattrs:
            self._xattrs(fd, entry)

    def _xattrs(self, where: int | str, entry: tar.Entry) -> None:
        for key, value in entry.xattrs.items():
            if key.startswith(_OVERLAY_XATTRS):
                continue  # these would speak to overlayfs about the layers below
            if b"\0" in key:
                raise ImageRefused(f"{shown(entry.name)}: an attribute with NUL in its name")
            try:
                os.setxattr(where, key, value)
            except OSError as error:
                if key == b"security.capability" or error.errno not in _MAY_FAIL:
                    raise ImageRefused(
                        f"{shown(entry.name)}: attribute {shown(key)} cannot be set: {error.strerror}"
                    ) from None

    def _white_out(self, directory: bytes, name: bytes, entry: tar.Entry) -> None:
        hidden = name[len(_WHITEOUT) :]
        if name == _OPAQUE:
            _make_opaque(self._parent(directory))
            return
        if hidden in {b"", b".", b".."} or b"\0" in hidden:
            raise ImageRefused(f"{shown(entry.name)}: not a whiteout of anything")
        self.removed.add(directory + b"/" + hidden if directory else hidden)
        parent = self._parent(directory)
        try:
            os.mknod(hidden, stat.S_IFCHR, 0, dir_fd=parent)
        except FileExistsError:
            # It hides what is below, not what this layer brings; a directory would let through what is below.
            with suppress(NotADirectoryError), _opened(hidden, parent) as fd:
                _make_opaque(fd)

    def _parent(self, directory: bytes) -> int:
        """A descriptor of the directory, made if it is not there; the most recent ones stay open."""
        known = self.parents.get(directory)
        if known is not None:
            self.parents.move_to_end(directory)
            return known
        try:
            fd = open_in_root(self.root, directory, _DIRECTORY_FLAGS & ~os.O_NOFOLLOW)
        except (FileNotFoundError, NotADirectoryError):
            fd = self._make_parents(directory)
        except OSError as error:
            raise ImageRefused(f"{shown(directory)} cannot be a directory: {error.strerror}") from None
        self.parents[directory] = fd
        if len(self.parents) > _OPEN_PARENTS:
            os.close(self.parents.popitem(last=False)[1])
        return fd

    def _make_parents(self, directory: bytes) -> int:
        """Walks down from the root, making what is missing; a link is followed inside the root only."""
        fd = os.dup(self.root)
        walked = b""
        for part in directory.split(b"/") if directory else ():
            walked = walked + b"/" + part if walked else part
            try:
                following = open_in_root(self.root, walked, _DIRECTORY_FLAGS & ~os.O_NOFOLLOW)
            except FileNotFoundError:
                following = self._make_parent(fd, part, walked)
            except NotADirectoryError:
                if _is_whiteout(os.stat(part, dir_fd=fd, follow_symlinks=False)):
                    self.removed.add(walked)
                self._clear(fd, part)  # a file or a whiteout: a directory takes its place
                following = self._make_parent(fd, part, walked)
            except OSError as error:
                os.close(fd)
                raise ImageRefused(f"{shown(walked)} cannot be a directory: {error.strerror}") from None
            os.close(fd)
            fd = following
        return fd

    def _make_parent(self, parent: int, name: bytes, path: bytes) -> int:
        try:
            os.mkdir(name, 0o755, dir_fd=parent)
        except FileExistsError:
            os.close(parent)
            raise ImageRefused(f"{shown(path)} is a link to nothing and cannot be a directory") from None
        fd = os.open(name, _DIRECTORY_FLAGS, dir_fd=parent)
        os.fchmod(fd, 0o755)
        if path in self.removed:
            _make_opaque(fd)
        self.implicit[path] = None
        return fd

    def _clear(self, parent: int, name: bytes) -> None:
        """Takes away what is in the way, with everything below it."""
        try:
            os.unlink(name, dir_fd=parent)
        except FileNotFoundError:
            return
        except IsADirectoryError:
            remove_tree_at(parent, name)
        self._forget_parents(but=parent)  # they may have been found through it

    def _forget_parents(self, but: int = -1) -> None:
        for fd in self.parents.values():
            if fd != but:
                os.close(fd)
        kept = [(directory, fd) for directory, fd in self.parents.items() if fd == but]
        self.parents = OrderedDict(kept)


def _pour(fd: int, size: int, stream: LayerStream, name: bytes) -> None:
    left = size
    while left:
        piece = stream.some(min(left, _CHUNK))
        if not piece:
            raise ImageRefused(f"the archive ends in the middle of {shown(name)}")
        _write(fd, piece)
        left -= len(piece)


def _write(fd: int, piece: bytes) -> None:
    written = os.write(fd, piece)
    while written < len(piece):
        written += os.write(fd, piece[written:])


def _pour_sparse(fd: int, entry: tar.Entry, stream: LayerStream) -> None:
    left = entry.size
    reached = 0
    for offset, length in entry.sparse or ():
        if offset < reached or offset + length > entry.real_size or length > left:
            raise ImageRefused(f"{shown(entry.name)}: the map of a sparse file does not fit it")
        os.lseek(fd, offset, os.SEEK_SET)
        _pour(fd, length, stream, entry.name)
        reached, left = offset + length, left - length
    if left:
        _discard(stream, left, entry.name)
    os.ftruncate(fd, entry.real_size)


def _discard(stream: LayerStream, size: int, name: bytes) -> None:
    left = size
    while left:
        piece = stream.some(min(left, _CHUNK))
        if not piece:
            raise ImageRefused(f"the archive ends in the middle of {shown(name)}")
        left -= len(piece)


def _finish_padding(entry: tar.Entry, stream: LayerStream) -> None:
    if tar.padding(entry.size):
        stream.read(tar.padding(entry.size))


def _parts(name: bytes) -> list[bytes]:
    parts = [part for part in name.split(b"/") if part not in {b"", b"."}]
    if b".." in parts:
        raise ImageRefused(f"{shown(name)}: a name with .. in it")
    if b"\0" in name:
        raise ImageRefused(f"{shown(name)}: a name with NUL in it")
    return parts


def _owner(entry: tar.Entry) -> tuple[int, int]:
    if entry.uid > _LARGEST_ID or entry.gid > _LARGEST_ID:
        raise ImageRefused(f"{shown(entry.name)}: there is no owner {entry.uid}:{entry.gid}")
    return entry.uid, entry.gid


def _ns(time: int) -> int:
    return max(-_LARGEST_TIME, min(_LARGEST_TIME, time))


@contextmanager
def _opened(name: bytes, parent: int | None) -> Iterator[int]:
    fd = os.open(name, _DIRECTORY_FLAGS, dir_fd=parent)
    try:
        yield fd
    finally:
        os.close(fd)


def _is_whiteout(found: os.stat_result) -> bool:
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0


def _make_opaque(directory: int) -> None:
    os.setxattr(directory, b"trusted.overlay.opaque", b"y")


def shown(name: bytes) -> str:
    """A name as it may be printed: no terminal sequences, no line breaks, not too long."""
    text = repr(name[:200].decode(errors="backslashreplace"))
    return text if len(name) <= 200 else text + "…"


def fix_implicit_parents(target: str, lowers: tuple[str, ...], implicit: tuple[bytes, ...]) -> None:
    """Directories that were made without an entry take owner, mode and attributes of the nearest layer below
    that has them. `lowers`: nearest first.
    """
    for path in implicit:
        for lower in lowers:
            try:
                with _opened(os.fsencode(lower), None) as root:
                    below = open_in_root(root, path, _DIRECTORY_FLAGS)
            except FileNotFoundError:
                continue
            except OSError:
                break  # a file, a link, a whiteout: nothing of what is further below shows
            try:
                with suppress(OSError):
                    _take_after(target, path, below)
            finally:
                os.close(below)
            break


def _take_after(target: str, path: bytes, below: int) -> None:
    with _opened(os.fsencode(target), None) as root:
        mine = open_in_root(root, path, _DIRECTORY_FLAGS)
    try:
        found = os.fstat(below)
        os.fchown(mine, found.st_uid, found.st_gid)
        os.fchmod(mine, stat.S_IMODE(found.st_mode))
        for key in os.listxattr(below):
            if not key.encode().startswith(_OVERLAY_XATTRS):
                with suppress(OSError):
                    os.setxattr(mine, key, os.getxattr(below, key))
        os.utime(mine, ns=(found.st_atime_ns, found.st_mtime_ns))
    finally:
        os.close(mine)
