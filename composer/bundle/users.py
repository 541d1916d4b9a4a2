"""Who a container's process is: docker's rules over the image's passwd and group files. Pure: bytes in, ids out.

Rules as tried on dockerd 20.10: a number is looked up too (its primary group, groups and home come from the file),
a name must be there, a group given with the user stands alone, the primary group is always among the groups.
Lines that make no sense are not there: no field is guessed (docker reads a broken uid as 0).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from composer.bundle.context import ProcessUser
from composer.errors import ContainerError

_MAX_GIVEN_ID = 2**31 - 1  # docker's limit for numbers in `user:` and `group_add:`
_MAX_FILE_ID = 2**32 - 2  # the kernel's: -1 means "leave it"


class _User(NamedTuple):
    name: str
    uid: int
    gid: int
    home: str


class _Group(NamedTuple):
    name: str
    gid: int
    members: tuple[str, ...]


def find_user(passwd: bytes, group: bytes, spec_user: str, group_add: tuple[str, ...] = ()) -> ProcessUser:
    """`spec_user` is `user[:group]` as in `user:`, each a name or a number, "" means root.

    Raises `ContainerError` for a name that is not in the files, or a number out of range.
    """
    wanted, _, wanted_group = spec_user.partition(":")
    wanted_group = wanted_group.partition(":")[0]
    groups = list(_groups(group))
    found = next((user for user in _users(passwd) if _is_user(user, wanted)), None)
    if found is None:
        if wanted and not _is_number(wanted):
            raise ContainerError(
                f"user {wanted!r} is not in the image's /etc/passwd", hint="use a name it has, or a number"
            )
        found = _User("", _number(wanted, "user") if wanted else 0, 0, "/")
    if wanted_group:
        gid = _group_id(groups, wanted_group)
        additional: tuple[int, ...] = ()
    else:
        gid = found.gid
        additional = tuple(entry.gid for entry in groups if found.name and found.name in entry.members)
    added = tuple(_group_id(groups, name) for name in group_add)
    return ProcessUser(found.uid, gid, tuple(dict.fromkeys((gid, *additional, *added))), found.home or "/")


def _is_user(user: _User, wanted: str) -> bool:
    if not wanted:
        return user.uid == 0
    return user.uid == int(wanted) if _is_number(wanted) else user.name == wanted


def _group_id(groups: list[_Group], wanted: str) -> int:
    for group in groups:
        if group.name == wanted or (_is_number(wanted) and group.gid == int(wanted)):
            return group.gid
    if _is_number(wanted):
        return _number(wanted, "group")
    raise ContainerError(f"group {wanted!r} is not in the image's /etc/group", hint="use a name it has, or a number")


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 20


def _number(text: str, what: str) -> int:
    number = int(text)
    if number > _MAX_GIVEN_ID:
        raise ContainerError(f"{what} {text} is out of range: at most {_MAX_GIVEN_ID}")
    return number


def _users(passwd: bytes) -> Iterator[_User]:
    for fields in _lines(passwd):
        if len(fields) >= 4:
            uid, gid = _file_id(fields[2]), _file_id(fields[3])
            if fields[0] and uid is not None and gid is not None:
                yield _User(fields[0], uid, gid, fields[5] if len(fields) > 5 else "/")


def _groups(group: bytes) -> Iterator[_Group]:
    for fields in _lines(group):
        if len(fields) >= 3:
            gid = _file_id(fields[2])
            if fields[0] and gid is not None:
                yield _Group(fields[0], gid, tuple(fields[3].split(",")) if len(fields) > 3 else ())


def _lines(content: bytes) -> Iterator[list[str]]:
    for raw in content.split(b"\n"):
        line = raw.strip()
        if line and not line.startswith(b"#") and b"\0" not in line:
            yield line.decode("utf-8", "replace").split(":")


def _file_id(text: str) -> int | None:
    return int(text) if _is_number(text) and int(text) <= _MAX_FILE_ID else None
