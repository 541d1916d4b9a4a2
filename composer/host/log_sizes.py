"""Whether a log is due for rotation: all that commands which merely come by must load."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress

from composer.paths import Paths

ROTATE_AT = 32 * 1024 * 1024
"""Bytes of one part of a log. Four parts of this size hold a line of 64 MiB wherever it begins."""


def trim(paths: Paths, container_ids: Iterable[str]) -> None:
    """Rotates the logs that are due. One stat(2) for each that is not."""
    due = []
    for container_id in container_ids:
        with suppress(OSError):
            found = os.stat(paths.log(container_id))
            if found.st_size >= ROTATE_AT or found.st_nlink < 2:  # the latter: conmon has begun a new file
                due.append(container_id)
    if due:
        from composer.host.logs import rotate

        rotate(paths, due)
