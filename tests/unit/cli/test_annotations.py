"""Errors for programs: JSON Lines, and GitHub's annotations."""

from __future__ import annotations

import json

import pytest

from composer.cli.annotations import github_lines, json_lines, wants_json
from composer.errors import Complaint, Place, StackFileError, UsageError

FILE = StackFileError((
    Complaint(
        "unknown key: 50%, a:b",
        Place("inc/c.yaml", 3, 5, "services.a.comand", "    comand: x", 6),
        "did you mean `command`?",
        ("included from jocker.yml:1:11",),
    ),
    Complaint("is empty", Place("stdin", 0, 0, "")),
))  # fmt: skip


def test_a_complaint_as_json_says_where_and_how_it_came_there() -> None:
    first, second = map(json.loads, json_lines(FILE))
    assert first == {
        "error": True,
        "message": "unknown key: 50%, a:b",
        "hint": "did you mean `command`?",
        "file": "inc/c.yaml",
        "line": 3,
        "column": 5,
        "path": "services.a.comand",
        "chain": ["included from jocker.yml:1:11"],
        "code": 3,
    }
    assert second == {"error": True, "message": "is empty", "file": "stdin", "code": 3}


def test_any_error_as_json_says_what_and_how_to_mend_it() -> None:
    assert [json.loads(line) for line in json_lines(UsageError("no such service: x", hint="there are: a"))] == [
        {"error": True, "message": "no such service: x", "hint": "there are: a", "code": 2}
    ]


@pytest.mark.parametrize(
    ("arguments", "progress", "wanted"),
    [
        (["config"], "", False),
        (["config", "--format", "json"], "", True),
        (["config", "--format=json"], "", True),
        (["config", "--format", "yaml"], "", False),
        (["--progress", "json", "up", "-d"], "", True),
        (["--progress=json", "up", "-d"], "", True),
        (["up", "-d"], "json", True),
        (["--progress", "plain", "up", "-d"], "json", False),
        (["exec", "web", "docker", "ps", "--format", "json"], "", False),
        (["run", "web", "x", "--format", "json"], "", False),
        (["-p", "run", "ps", "--format", "json"], "", True),
        (["--progress", "json", "run", "web"], "", True),
    ],
)
def test_who_asks_for_json_gets_json(arguments: list[str], progress: str, wanted: bool) -> None:
    assert wants_json(arguments, {"COMPOSE_PROGRESS": progress}) is wanted


def test_github_gets_an_annotation_per_complaint() -> None:
    assert github_lines(FILE, {"GITHUB_WORKSPACE": "/w/repo"}, "/w/repo/sub") == [
        "::error title=jocker%3A services.a.comand,file=sub/inc/c.yaml,line=3,col=5,endColumn=11::"
        "unknown key: 50%25, a:b%0Adid you mean `command`?%0Aincluded from jocker.yml:1:11",
        "::error title=jocker::is empty",
    ]


def test_github_gets_paths_as_they_are_outside_the_repository() -> None:
    [line, _] = github_lines(FILE, {"GITHUB_WORKSPACE": "/elsewhere"}, "/w")
    assert ",file=inc/c.yaml," in line


def test_names_cannot_forge_another_command() -> None:
    error = StackFileError((Complaint("a\n::error::b", Place("x,line=1::y\r\n.yml", 1, 1, "a::b,c")),))
    [line] = github_lines(error, {}, "/w")
    assert line == (
        "::error title=jocker%3A a%3A%3Ab%2Cc,file=x%2Cline=1%3A%3Ay%0D%0A.yml,line=1,col=1,endColumn=2::a%0A::error::b"
    )


def test_github_gets_other_errors_without_a_place() -> None:
    assert github_lines(UsageError("no\nsuch", hint="h"), {}, "/") == ["::error title=jocker::no%0Asuch%0Ah"]
