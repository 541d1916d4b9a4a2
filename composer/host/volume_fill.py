"""What an image has gets into an empty volume: as a whole, or not at all, whenever we are killed.

Beside the data, `_new` is being copied, `_whole` is all of it, and moves in; `_moving` is the one entry on its way into
a file system of another kind, where nothing can be renamed to.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress

from composer.host import trees


def fill_empty(directory: str, fill: Callable[[str], None] | None) -> None:
    """Lets `fill` put what shall be there into a directory, if the volume is empty, and moves that in. What a crash cut
    short is finished first. The volume's lock is held. Raises what `fill` raises, `OSError`.
    """
    data, new, whole = (f"{directory}/{name}" for name in ("_data", "_new", "_whole"))
    trees.remove_tree(new)
    if fill is not None and not os.path.lexists(whole) and not os.listdir(data):
        try:
            os.mkdir(new, 0o700)
            _copy(data, new)  # owner and mode, which stay as they are if the image has nothing there
            before = _attributes(new)
            fill(new)
            if os.listdir(new) or _attributes(new) != before:
                os.rename(new, whole)
            else:
                trees.remove_tree(new)
        except BaseException:
            trees.remove_tree(new)
            raise
    if os.path.lexists(whole):
        move_in(directory)


def _attributes(path: str) -> tuple[object, ...]:
    found = os.stat(path)
    return found.st_uid, found.st_gid, found.st_mode, found.st_mtime_ns


def move_in(directory: str) -> None:
    """Moves all of `_whole` into the volume, which containers may be using: it stays the same directory, and what they
    have made in it stays theirs. After a crash this goes on where it was.
    """
    data, whole, moving = (f"{directory}/{name}" for name in ("_data", "_whole", "_moving"))
    times = os.stat(whole)
    for name in os.listdir(moving) if os.path.isdir(moving) else ():
        _remove(f"{data}/{name}")  # half of it, or all: we were killed in the middle
        _copy_over(directory, name)
    for name in os.listdir(whole):
        if os.path.lexists(f"{data}/{name}"):
            _remove(f"{whole}/{name}")
            continue
        try:
            os.rename(f"{whole}/{name}", f"{data}/{name}")
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            os.makedirs(moving, mode=0o700, exist_ok=True)
            os.rename(f"{whole}/{name}", f"{moving}/{name}")
            _copy_over(directory, name)
    _copy(whole, data)
    os.utime(data, ns=(times.st_atime_ns, times.st_mtime_ns))
    with suppress(FileNotFoundError):
        os.rmdir(moving)
    os.rmdir(whole)


def _copy_over(directory: str, name: str) -> None:
    """Copies one entry of `_moving` to where the data are, and removes it."""
    moving, data = f"{directory}/_moving", f"{directory}/_data"
    source = os.open(moving, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        target = os.open(data, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            trees.copy_entry(source, name, target)
        finally:
            os.close(target)
    finally:
        os.close(source)
    _remove(f"{moving}/{name}")


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        trees.remove_tree(path)
    else:
        with suppress(FileNotFoundError):
            os.unlink(path)


def _copy(source: str, target: str) -> None:
    """Gives one directory what is in another, empty one: here its owner, mode, times and attributes."""
    source_fd = os.open(source, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        target_fd = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            trees.copy_tree(source_fd, target_fd)
        finally:
            os.close(target_fd)
    finally:
        os.close(source_fd)
