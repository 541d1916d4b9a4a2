"""Changes of the firewall, in nft's own language: by libnftables within this process, else by the program `nft`.

A text is one transaction. It is carried out in the network namespace of the calling thread.
"""

from __future__ import annotations

import ctypes
import time
from collections import deque
from contextlib import suppress
from typing import Any

from composer.errors import CommandFailed

_NAMES = ("libnftables.so.1", "libnftables.so")
_library: list[Any] = []
"""Loaded with the first change, at 2 ms: most commands make none. [None] if there is none on this machine."""

_GRACE = 0.1
_used: deque[tuple[float, Any]] = deque()
"""Contexts that have deleted something, and when. To close their sockets at once would be to wait, 12 ms, until no
packet can see what was deleted: they are closed with a later change, or by the end of this process."""


def apply(script: str) -> None:
    """Carries out a text of nft commands, all of it or nothing. Raises `CommandFailed` with nft's own words."""
    library = _load()
    if library is None:
        _apply_by_program(script)
        return
    with suppress(IndexError):  # of an empty list, also if another thread was faster
        while time.monotonic() - _used[0][0] > _GRACE:
            library.nft_ctx_free(_used.popleft()[1])
    # A context speaks to the namespace it was made in: it is never kept.
    context = library.nft_ctx_new(0)
    if not context:
        _apply_by_program(script)
        return
    try:
        library.nft_ctx_buffer_error(context)
        library.nft_ctx_buffer_output(context)
        if library.nft_run_cmd_from_buffer(context, script.encode()):
            said: bytes = library.nft_ctx_get_error_buffer(context) or b""
            raise CommandFailed(("nft", "-f", "-"), 1, _first_error(said.decode(errors="replace")))
    finally:
        if "delete" in script:
            _used.append((time.monotonic(), context))
        else:
            library.nft_ctx_free(context)


def try_apply(script: str) -> bool:
    """As `apply`; False if it was refused."""
    with suppress(CommandFailed):
        apply(script)
        return True
    return False


def _apply_by_program(script: str) -> None:
    from composer.host.proc import Command, run

    try:
        run(Command(argv=("nft", "-f", "-"), stdin=script))
    except CommandFailed as error:
        raise CommandFailed(error.argv, error.returncode, _first_error(error.stderr)) from None


def _first_error(said: str) -> str:
    """nft shows the place of an error on lines of its own: the line that says what is wrong is what helps."""
    lines = [line for line in said.splitlines() if "Error:" in line]
    return lines[0] if lines else said


def _load() -> Any:
    if not _library:
        _library.append(_open())
    return _library[0]


def _open() -> Any:
    for name in _NAMES:
        with suppress(OSError):
            library = ctypes.CDLL(name)
            library.nft_ctx_new.restype = ctypes.c_void_p
            library.nft_ctx_new.argtypes = (ctypes.c_uint32,)
            library.nft_ctx_get_error_buffer.restype = ctypes.c_char_p
            for function in ("nft_ctx_buffer_error", "nft_ctx_buffer_output", "nft_ctx_get_error_buffer"):
                getattr(library, function).argtypes = (ctypes.c_void_p,)
            library.nft_ctx_free.argtypes = (ctypes.c_void_p,)
            library.nft_run_cmd_from_buffer.argtypes = (ctypes.c_void_p, ctypes.c_char_p)
            return library
    return None
