"""The options of the `local` volume driver: what is to be mounted where a volume's data are, in the words of mount(8).

Source: docker's local driver (`type`, `device`, `o`) and mount(2). A volume without options is a plain directory.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

_KEYS: Final = frozenset({"type", "device", "o"})
_MOST_DATA: Final = 4000
"""The kernel takes a page of options, less what it adds itself."""
_RDONLY, _NOSUID, _NODEV, _NOEXEC, _SYNC, _MAND, _DIRSYNC = 1, 2, 4, 8, 16, 64, 128
_NOATIME, _NODIRATIME, _RELATIME, _STRICTATIME = 1 << 10, 1 << 11, 1 << 21, 1 << 24
BIND: Final = 1 << 12
REC: Final = 1 << 14
_SET: Final[Mapping[str, int]] = {
    "ro": _RDONLY, "nosuid": _NOSUID, "nodev": _NODEV, "noexec": _NOEXEC, "sync": _SYNC, "mand": _MAND,
    "dirsync": _DIRSYNC, "noatime": _NOATIME, "nodiratime": _NODIRATIME, "relatime": _RELATIME,
    "strictatime": _STRICTATIME, "bind": BIND, "rbind": BIND | REC, "defaults": 0,
}  # fmt: skip
_CLEAR: Final[Mapping[str, int]] = {
    "rw": _RDONLY, "suid": _NOSUID, "dev": _NODEV, "exec": _NOEXEC, "async": _SYNC, "nomand": _MAND,
    "atime": _NOATIME, "diratime": _NODIRATIME, "norelatime": _RELATIME, "nostrictatime": _STRICTATIME,
}  # fmt: skip
_PROPAGATIONS: Final = frozenset({
    "private", "rprivate", "shared", "rshared", "slave", "rslave", "unbindable", "runbindable",
})  # fmt: skip
_SECRET: Final = ("password", "pass", "password2", "credentials", "secret")
REMOTE: Final = frozenset({"nfs", "nfs4", "cifs", "smb3", "ceph", "9p"})
"""Kinds whose device is no path of this machine."""


class LocalMount(NamedTuple):
    """One mount(2): kind of file system ("" for a bind), device, flags, and what goes to the file system itself."""

    kind: str
    device: str
    flags: int
    data: str

    @property
    def is_bind(self) -> bool:
        return bool(self.flags & BIND)


def local_mount(options: Mapping[str, str]) -> LocalMount | None:
    """What the options ask for, None if there are none. Raises `ValueError` in words for a user."""
    if not options:
        return None
    for key, value in options.items():
        if key == "size":
            raise ValueError("`size` would be a quota, which jocker does not set; a tmpfs has one by o: size=…")
        if key not in _KEYS:
            raise ValueError(f"{key!r} is no option of the local driver: it has type, device and o")
        if not value.isprintable():
            raise ValueError(f"{key}: {value!r} has characters that cannot be in a mount")
    kind, device = options.get("type", ""), options.get("device", "")
    for key in ("type", "device"):
        if not options.get(key):
            raise ValueError(f"`{key}` is missing: the local driver takes type, device and o together")
    flags, data = _parsed(options.get("o", ""))
    if len(data) > _MOST_DATA:
        raise ValueError(f"o: {len(data)} characters are more than the kernel takes ({_MOST_DATA})")
    if flags & BIND:
        if data:
            raise ValueError(f"o: a bind has no options of a file system: {hidden(data)}")
        kind = ""
        if not device.startswith("/"):
            raise ValueError(f"device: {device!r} is not an absolute path")
    return LocalMount(kind, device, flags, data)


def _parsed(text: str) -> tuple[int, str]:
    flags, data = 0, []
    for option in filter(None, text.split(",")):
        if option in _SET:
            flags |= _SET[option]
        elif option in _CLEAR:
            flags &= ~_CLEAR[option]
        elif option == "remount":
            raise ValueError("o: remount: there is nothing yet to mount again")
        elif option not in _PROPAGATIONS:  # containers get their own, whatever the volume has
            data.append(option)
    return flags, ",".join(data)


def hidden(options: str) -> str:
    """Mount options without their passwords, to be shown."""
    return ",".join(
        f"{name}=…" if equals and name.lower() in _SECRET else f"{name}{equals}{value}"
        for name, equals, value in (option.partition("=") for option in options.split(","))
    )
