"""A random key of this machine: what is kept of a secret is told from another one by it, and not found by trying.

See docs/decisions/secrets.md.
"""

from __future__ import annotations

import os
from contextlib import suppress

from composer.host.files import make_private, write_atomic
from composer.paths import Paths

_BYTES = 32


def machine_key(paths: Paths, *, make: bool) -> bytes:
    """The key. If there is none yet, `make` writes a new one; without it the answer is good for one command only, and
    nothing is written. Raises `OSError`.
    """
    found = _read(paths.key)
    if found is not None:
        return found
    new = os.urandom(_BYTES)
    return _written(paths, new) if make else new


def _written(paths: Paths, new: bytes) -> bytes:
    """Whoever is first, decides: another command may be at it, too."""
    make_private(paths.data)
    mine = f"{paths.key}.{os.getpid()}"
    write_atomic(mine, new)
    try:
        with suppress(FileExistsError):
            os.link(mine, paths.key)
        found = _read(paths.key)
        if found is None:  # a damaged one: what was told by it is lost, and made anew
            os.rename(mine, paths.key)
            return new
        return found
    finally:
        with suppress(FileNotFoundError):
            os.unlink(mine)


def _read(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            found = file.read(_BYTES + 1)
    except FileNotFoundError:
        return None
    return found if len(found) == _BYTES else None
