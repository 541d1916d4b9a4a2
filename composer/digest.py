"""SHA-256 of small texts without loading OpenSSL, which `hashlib` does: 4 ms at every start."""

from __future__ import annotations

try:
    from _sha2 import sha256  # CPython 3.12 and later
except ImportError:
    try:
        from _sha256 import sha256
    except ImportError:
        from hashlib import sha256


def sha256_hex(data: bytes) -> str:
    """64 hex digits."""
    return str(sha256(data).hexdigest())
