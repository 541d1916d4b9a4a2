"""Values of how a process is run: its runtime, and where what it says goes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

RUNTIMES: Final = ("runc", "crun", "youki")
"""Command lines alike, tried or known to work."""
_DOCKERS: Final = {
    "io.containerd.runc.v2": "runc",
    "io.containerd.runc.v1": "runc",
    "io.containerd.runtime.v1.linux": "runc",
}
"""Docker's names for shims of containerd."""

FILE_DRIVERS: Final = ("k8s-file", "json-file", "local", "")
"""All of them are one file format here, whose lines `jocker logs` reads. "" is the machine's default."""
LOG_DRIVERS: Final = ("k8s-file", "json-file", "local", "journald", "passthrough", "none")
OTHER_LOG_DRIVERS: Final = frozenset({
    "awslogs", "etwlogs", "fluentd", "gcplogs", "gelf", "logentries", "splunk", "syslog",
})  # fmt: skip
"""Docker's own that send what is said elsewhere."""


def runtime_name(text: str) -> str | None:
    """A program's name or absolute path for what docker calls a runtime; None for what is none we know."""
    name = _DOCKERS.get(text, text)
    is_path = name.startswith("/") and "\0" not in name and name.rpartition("/")[2].startswith(RUNTIMES)
    return name if name in RUNTIMES or is_path else None


class Log(NamedTuple):
    """Where what a container says goes: `file` (ours), `journald`, `passthrough` (where jocker's own output goes) or
    `none`. `max_size` in bytes of one file, -1 = no limit, 0 = as jocker has it; then `max_files` does not count.
    """

    driver: str = "file"
    max_size: int = 0
    max_files: int = 1
    tag: str = ""

    @classmethod
    def of(cls, driver: str) -> Log:
        """The driver with its own defaults (docker's)."""
        if driver == "local":
            return cls("file", 20 << 20, 5)
        return cls("file" if driver in FILE_DRIVERS else driver)

    def as_texts(self) -> dict[str, str]:
        """What is not as by default, as a record has it and differences are told by."""
        fields = zip(self._fields, self, Log(), strict=True)
        return {_NAMES.get(name, name): str(value) for name, value, default in fields if value != default}

    @classmethod
    def from_texts(cls, texts: Mapping[str, str]) -> Log:
        """Back from `as_texts`. Raises `ValueError`."""
        return cls(
            texts.get("driver", "file"),
            int(texts.get("max-size", "0")),
            int(texts.get("max-file", "1")),
            texts.get("tag", ""),
        )


DEFAULT_LOG: Final = Log()
_NAMES: Final = {"max_size": "max-size", "max_files": "max-file"}
