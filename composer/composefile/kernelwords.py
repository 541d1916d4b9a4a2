"""Words that only the kernel reads: sysctls, limits, options of a tmpfs. What it would not take is refused here.

Docker compose hands these on as they are, and the engine's runtime fails on them when the container is half made.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from composer.composefile.checks import did_you_mean
from composer.composefile.tree import Findings, Node, Path, shown
from composer.model.kernelwords import LIMITS, sysctl_namespace

_SHARED: Final = {"network": "network_mode", "ipc": "ipc", "uts": "uts"}
"""The key that says whose namespace of a kind a service has."""
_NUMBER: Final = "(0x[0-9a-f]+|[0-9]+)"
_AMOUNT: Final = (f"{_NUMBER}[kmgtpe]?", "a number, as in 10k")
_ID: Final = (_NUMBER, "a number")
_TMPFS: Final[Mapping[str, tuple[str, str]]] = {
    "size": (f"{_NUMBER}[kmgtpe]?|[0-9]+%", "a size, as in 64m or 10%"),
    "nr_inodes": _AMOUNT,
    "nr_blocks": _AMOUNT,
    "mode": ("[0-7]{1,5}", "an octal mode, as in 1777"),
    "uid": _ID,
    "gid": _ID,
}
"""A pattern of what tmpfs takes for an option (tmpfs(5)), whatever the case, and how to say it."""


def refuse_kernel_words(service: Node, path: Path, findings: Findings) -> None:
    """Refuses what the kernel would not take from this service."""
    sysctls, ulimits, tmpfs = (service.at(key) for key in ("sysctls", "ulimits", "tmpfs"))
    for name, value in sysctls.items.items() if sysctls else ():
        _check_sysctl(service, name, value, (*path, "sysctls", name), findings)
    for name, value in ulimits.items.items() if ulimits else ():
        _check_limit(name, value, (*path, "ulimits", name), findings)
    for index, item in enumerate(tmpfs.elements if tmpfs else ()):
        _check_tmpfs(item, (*path, "tmpfs", index), findings)


def _check_sysctl(service: Node, name: str, value: Node, path: Path, findings: Findings) -> None:
    mark, kind = value.key or value.mark, sysctl_namespace(name)
    if kind is None:
        findings.refuse("is not a setting of a container: it would change the whole machine", mark, path)
        return
    key = _SHARED[kind]
    mode = service.at(key)
    if mode is not None and mode.text == "host":
        findings.refuse(f"with `{key}: host` it would change the whole machine", mark, path)


def _check_limit(name: str, value: Node, path: Path, findings: Findings) -> None:
    if name not in LIMITS:
        hint = did_you_mean(name, sorted(LIMITS)) or f"there are {', '.join(sorted(LIMITS))}"
        findings.refuse(f"unknown limit {shown(name)!r}", value.key or value.mark, path, hint)
        return
    soft, hard = value.at("soft"), value.at("hard")
    if soft is None or hard is None:
        return
    low, high = (float("inf") if int(one.text) < 0 else int(one.text) for one in (soft, hard))
    if low > high:
        findings.refuse(f"{soft.text} is above the hard limit, {hard.text}", soft.mark, (*path, "soft"))


def _check_tmpfs(item: Node, path: Path, findings: Findings) -> None:
    for option in item.text.partition(":")[2].split(","):
        name, equals, value = option.partition("=")
        pattern, what = _TMPFS.get(name, (".*", ""))
        if equals and not re.fullmatch(pattern, value, re.IGNORECASE):
            findings.refuse(f"`{name}` must be {what}, not {shown(value)!r}", item.mark, path)
