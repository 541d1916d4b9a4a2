"""Docker's rules for `user:` and `group_add:` on files of the image."""

from __future__ import annotations

import pytest

from composer.bundle.context import ProcessUser
from composer.bundle.users import find_user
from composer.errors import ContainerError

PASSWD = b"""root:x:0:0:root:/root:/bin/sh
app:x:1000:1000::/home/app:/bin/sh
nohome:x:1001:5
"""
GROUP = b"""root:x:0:
staff:x:50:app,other
extra:x:2000:app
own:x:1000:
big:x:4294967294:
"""


@pytest.mark.parametrize(
    ("spec_user", "expected"),
    [
        ("", ProcessUser(0, 0, (0,), "/root")),
        ("root", ProcessUser(0, 0, (0,), "/root")),
        ("app", ProcessUser(1000, 1000, (1000, 50, 2000), "/home/app")),
        ("1000", ProcessUser(1000, 1000, (1000, 50, 2000), "/home/app")),
        ("1234", ProcessUser(1234, 0, (0,), "/")),
        ("app:extra", ProcessUser(1000, 2000, (2000,), "/home/app")),
        ("1000:1000", ProcessUser(1000, 1000, (1000,), "/home/app")),
        ("1234:99", ProcessUser(1234, 99, (99,), "/")),
        (":extra", ProcessUser(0, 2000, (2000,), "/root")),
        ("app:", ProcessUser(1000, 1000, (1000, 50, 2000), "/home/app")),
        ("nohome", ProcessUser(1001, 5, (5,), "/")),
        ("2147483647:2147483647", ProcessUser(2147483647, 2147483647, (2147483647,), "/")),
    ],
)
def test_a_user_is_looked_up_as_docker_does(spec_user: str, expected: ProcessUser) -> None:
    assert find_user(PASSWD, GROUP, spec_user) == expected


def test_added_groups_come_last_and_once() -> None:
    found = find_user(PASSWD, GROUP, "app", ("7", "staff", "2000", "own"))
    assert found.additional_gids == (1000, 50, 2000, 7)


def test_without_files_numbers_still_work() -> None:
    assert find_user(b"", b"", "") == ProcessUser(0, 0, (0,), "/")
    assert find_user(b"", b"", "5:6", ("7",)) == ProcessUser(5, 6, (6, 7), "/")


@pytest.mark.parametrize(
    ("spec_user", "group_add", "message"),
    [
        ("nobody", (), "user 'nobody' is not in the image's /etc/passwd"),
        ("app:nobody", (), "group 'nobody' is not in the image's /etc/group"),
        ("app", ("nobody",), "group 'nobody' is not in the image's /etc/group"),
        ("2147483648", (), "user 2147483648 is out of range"),
        ("1:2147483648", (), "group 2147483648 is out of range"),
        ("-1", (), "user '-1' is not in the image's /etc/passwd"),
        ("²", (), "user '²' is not in the image's /etc/passwd"),
        ("9" * 5000, (), "is not in the image's /etc/passwd"),
        ("a\x1b[2Jb", (), r"'a\\x1b\[2Jb'"),
    ],
)
def test_what_is_not_there_is_an_error(spec_user: str, group_add: tuple[str, ...], message: str) -> None:
    with pytest.raises(ContainerError, match=message):
        find_user(PASSWD, GROUP, spec_user, group_add)


def test_lines_that_make_no_sense_are_not_there() -> None:
    passwd = (
        b"#c\n+\nroot:x:0:0:root:/root:/bin/sh\r\nbad\nbig:x:99999999999:1::/:\nminus:x:-5:0::/:\n"
        b"app:x::0::/:\napp:x:nought:0::/:\napp:x:0x0:0::/:\n:x:7:7::/:\napp:x:0\x00:0::/:\n"
        b"app:x:1000:1000::/home/app:/bin/sh\r\napp:x:0:0::/:\n"
    )
    group = b"root:x:0:\nextra:x:2000:app,other\nwrong:x:many:app\napp:x:1000:\n:::\n"
    assert find_user(passwd, group, "app") == ProcessUser(1000, 1000, (1000, 2000), "/home/app")


def test_a_line_of_a_megabyte_does_no_harm() -> None:
    passwd = b"x" * 1_000_000 + b"\n" + PASSWD
    group = b"many:x:9:" + b",".join([b"u"] * 300_000) + b"\n" + GROUP
    assert find_user(passwd, group, "app").uid == 1000


def test_names_that_are_not_utf8_do_no_harm() -> None:
    assert find_user(b"\xff\xfe:x:5:5::/\xff:\n" + PASSWD, GROUP, "app").uid == 1000
