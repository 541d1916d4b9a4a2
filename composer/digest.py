"""SHA-256 of small texts without loading OpenSSL, which `hashlib` does: 4 ms at every start."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_CPYTHONS_OWN = ("_sha2", "_sha256", "hashlib")
"""From 3.12 on, until 3.11, and where a build has neither."""


def _sha256() -> Any:
    for name in _CPYTHONS_OWN:
        try:
            return import_module(name).sha256
        except ImportError:
            continue
    raise ImportError("no SHA-256")


_make = _sha256()


def keyed_hex(key: bytes, data: bytes) -> str:
    """64 hex digits that nobody can find `data` from by trying, who has not the key: HMAC-SHA-256 (RFC 2104). The key
    has 64 bytes at most.
    """
    inner = bytes(byte ^ 0x36 for byte in key.ljust(64, b"\0"))
    outer = bytes(byte ^ 0x5C for byte in key.ljust(64, b"\0"))
    return str(_make(outer + _make(inner + data).digest()).hexdigest())


def sha256_hex(data: bytes) -> str:
    """64 hex digits."""
    return str(_make(data).hexdigest())
