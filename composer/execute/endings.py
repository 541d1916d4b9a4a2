"""How a container came to its end, in words."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from typing import Any

from composer.host import cgroup
from composer.paths import Paths

_BY_SIGNAL = 128


def ending(paths: Paths, record: Mapping[str, Any], code: int | None) -> str:
    """`exited with code 3`, `was ended by SIGTERM (code 143)`, `ran out of memory (its mem_limit is 64 MiB)`."""
    if cgroup.out_of_memory_kills(f"{paths.stack_cgroup(record['project'])}/{record['id']}"):
        limit = record["spec"].get("mem_limit")
        return f"ran out of memory{f' (its mem_limit is {limit >> 20} MiB)' if limit else _of_stack(paths, record)}"
    if code is None:
        return "ended, and nobody knows how"
    if code > _BY_SIGNAL and code - _BY_SIGNAL in set(signal.Signals):
        return f"was ended by {signal.Signals(code - _BY_SIGNAL).name} (code {code})"
    return f"exited with code {code}"


def _of_stack(paths: Paths, record: Mapping[str, Any]) -> str:
    """Who has no limit of his own may have met that of the stack."""
    if not os.path.exists(paths.stack_record(record["project"])):
        return ""
    from composer.host import stack_limits

    limits = stack_limits.read(paths, record["project"])
    return f" (all of the stack may have {limits.memory >> 20} MiB)" if limits and limits.memory else ""
