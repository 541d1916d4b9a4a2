"""What the operating system's refusals mean to a user, and how to mend them."""

from __future__ import annotations

import errno
import os

from composer.errors import JockerError, MachineError

_ENOUGH_FILES = 1024

_HINTS = {
    errno.ENOSPC: "make room there: jocker image prune",
    errno.EDQUOT: "make room there: jocker image prune",
    errno.EROFS: "mount it writable, or name other directories by JOCKER_DATA_DIR and JOCKER_RUN_DIR",
    errno.EMFILE: f"allow more open files: ulimit -n {_ENOUGH_FILES}",
    errno.ENFILE: "the machine has too many open files: sysctl fs.file-max",
    errno.ENOMEM: "the machine, or a limit set for this command, has no more memory",
    errno.EAGAIN: "allow more processes: ulimit -u",
    errno.EIO: "the disk is failing: see dmesg",
}
_OF_THE_MACHINE = frozenset({errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.ENOSYS})


def told(error: OSError, what: str = "") -> JockerError:
    """A refusal in words. `what` is what it happened to, where the error names no file."""
    said = error.strerror or str(error)
    named = _shown(error.filename) if error.filename is not None else ""
    subject = f"{what}: " if what else ""
    message = f"{subject}{said}" + (f" ({named})" if named and what else "")
    if named and not what:
        message = f"{named}: {said}"
    if error.errno in {errno.EACCES, errno.EPERM} and os.geteuid() != 0:
        return MachineError(message, hint="jocker needs root: sudo jocker …")
    kind = MachineError if error.errno in _OF_THE_MACHINE else JockerError
    return kind(message, hint=_HINTS.get(error.errno or 0, ""))


def _shown(filename: object) -> str:
    return os.fsdecode(filename) if isinstance(filename, (bytes, str)) else f"descriptor {filename}"
