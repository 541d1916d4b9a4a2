"""What a command in a running container gets from the container, and what the request changes."""

from __future__ import annotations

from typing import Any

import pytest

from composer.bundle.context import ProcessUser
from composer.host.execing import Request, process_description

CONFIG: dict[str, Any] = {
    "process": {
        "terminal": True,
        "user": {"uid": 5, "gid": 6, "additionalGids": [6]},
        "args": ["server"],
        "env": ["PATH=/bin", "HOME=/srv", "EMPTY=", "A=b=c"],
        "cwd": "/srv",
        "capabilities": {"bounding": ["CAP_KILL"], "effective": [], "permitted": []},
        "noNewPrivileges": True,
        "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1, "soft": 1}],
    }
}
APP = ProcessUser(uid=1000, gid=1001, additional_gids=(1001, 7), home="/home/app")


def changed(**fields: Any) -> dict[str, Any]:
    request = Request(**{"argv": ("sh",), "env": {}, **fields})
    described = process_description(CONFIG, request, ("CAP_ALL",))
    return {key: value for key, value in described.items() if value != CONFIG["process"].get(key)}


def env(**fields: Any) -> dict[str, str]:
    entries = process_description(CONFIG, Request(**{"argv": ("sh",), "env": {}, **fields}), ())["env"]
    names = [entry.partition("=")[0] for entry in entries]
    assert len(names) == len(set(names))
    return dict(entry.split("=", 1) for entry in entries)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, {"args": ["sh"], "terminal": False}),
        ({"argv": ("ls", "-l x")}, {"args": ["ls", "-l x"], "terminal": False}),
        ({"working_dir": "/tmp"}, {"args": ["sh"], "terminal": False, "cwd": "/tmp"}),
        (
            {"privileged": True},
            {
                "args": ["sh"],
                "terminal": False,
                "capabilities": {"bounding": ["CAP_ALL"], "effective": ["CAP_ALL"], "permitted": ["CAP_ALL"]},
            },
        ),
    ],
)
def test_only_what_is_asked_for_changes(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    assert changed(**fields) == expected


def test_another_user_has_its_own_groups_and_home() -> None:
    found = changed(user=APP)
    assert found["user"] == {"uid": 1000, "gid": 1001, "additionalGids": [1001, 7]}
    assert "HOME=/home/app" in found["env"]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, {"PATH": "/bin", "HOME": "/srv", "EMPTY": "", "A": "b=c"}),
        ({"env": {"A": "", "NEW": "x=y"}}, {"PATH": "/bin", "HOME": "/srv", "EMPTY": "", "A": "", "NEW": "x=y"}),
        ({"user": APP}, {"PATH": "/bin", "HOME": "/home/app", "EMPTY": "", "A": "b=c"}),
        ({"user": APP, "env": {"HOME": "/"}}, {"PATH": "/bin", "HOME": "/", "EMPTY": "", "A": "b=c"}),
        ({"tty": True}, {"PATH": "/bin", "HOME": "/srv", "EMPTY": "", "A": "b=c", "TERM": "xterm"}),
        (
            {"tty": True, "env": {"TERM": "vt100"}},
            {"PATH": "/bin", "HOME": "/srv", "EMPTY": "", "A": "b=c", "TERM": "vt100"},
        ),
    ],
)
def test_the_environment_is_the_containers_with_changes(fields: dict[str, Any], expected: dict[str, str]) -> None:
    assert env(**fields) == expected


def test_the_containers_own_description_stays_as_it_is() -> None:
    before = repr(CONFIG)
    process_description(
        CONFIG, Request(argv=("sh",), env={"A": "1"}, user=APP, tty=True, privileged=True), ("CAP_ALL",)
    )
    assert repr(CONFIG) == before
