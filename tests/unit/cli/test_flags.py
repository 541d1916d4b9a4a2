"""Options and flags: what they mean, and which cannot stand together."""

from __future__ import annotations

from typing import Any

import pytest
from test_progress import OPTIONS

from composer.cli.flags import policy
from composer.cli.globals import one_of
from composer.cli.options import scales
from composer.errors import UsageError
from composer.frozen import replace
from composer.plan.policy import Policy

SCALES = [
    (None, {}),
    ([], {}),
    (["web=3"], {"web": 3}),
    (["web=0"], {"web": 0}),
    (["web=007"], {"web": 7}),
    (["web=1", "db=2"], {"web": 1, "db": 2}),
    (["web=1", "web=2"], {"web": 2}),
]


@pytest.mark.parametrize(("given", "expected"), SCALES)
def test_scales(given: list[str] | None, expected: dict[str, int]) -> None:
    assert scales(given) == expected


@pytest.mark.parametrize(
    "given",
    [
        *("web", "web=", "=3", "=", "", "web=x", "web=-1", "web=1.5", "web= 3", "web=3 ", "web=²", "web=٣", "web=1=2"),
        "web=10000",
        pytest.param("web=" + "9" * 5000, id="thousands of digits"),
    ],
)
def test_a_scale_is_a_service_and_a_number(given: str) -> None:
    with pytest.raises(UsageError) as caught:
        scales([given])
    assert caught.value.hint.startswith("write SERVICE=NUMBER")


def test_one_of_names_what_there_is() -> None:
    assert one_of("--format", "json", ("table", "json")) == "json"
    with pytest.raises(UsageError, match="--format 'yaml'") as caught:
        one_of("--format", "yaml", ("table", "json"))
    assert caught.value.hint == "one of: table, json"


# Flags → what of the policy is not as without flags.
POLICIES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"services": ["web", "db"]}, {"services": ("web", "db")}),
    ({"force_recreate": True}, {"recreate": "always"}),
    ({"no_recreate": True}, {"recreate": "never", "recreate_dependencies": "never"}),
    ({"always_recreate_deps": True}, {"recreate_dependencies": "always"}),
    ({"renew_volumes": True}, {"recreate": "always", "renew_volumes": True}),
    ({"no_deps": True, "no_start": True}, {"no_deps": True, "no_start": True}),
    ({"remove_orphans": True}, {"remove_orphans": True}),
    ({"ignore_orphans": True}, {"ignore_orphans": True}),
    ({"scale": ["web=2"]}, {"scale": {"web": 2}}),
    ({"pull": "always"}, {"pull": "always"}),
    ({"pull": "if_not_present"}, {"pull": "missing"}),
    ({"timeout": 0.0}, {"timeout": 0.0}),
]


@pytest.mark.parametrize(("flags", "fields"), POLICIES, ids=[str(flags) for flags, _ in POLICIES])
def test_flags_make_this_policy(flags: dict[str, Any], fields: dict[str, Any]) -> None:
    others = {name: value for name, value in flags.items() if name != "services"}
    assert policy(flags.get("services"), **others) == replace(Policy(), **fields)


@pytest.mark.parametrize(
    "flags",
    [
        {"no_recreate": True, "force_recreate": True},
        {"no_recreate": True, "always_recreate_deps": True},
        {"no_recreate": True, "renew_volumes": True},
        {"remove_orphans": True, "ignore_orphans": True},
        {"pull": "sometimes"},
        {"scale": ["web"]},
    ],
    ids=str,
)
def test_flags_that_exclude_each_other(flags: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        policy(None, **flags)


def test_only_a_project_name_means_that_no_file_is_read() -> None:
    assert not OPTIONS.is_name_only
    assert replace(OPTIONS, project_name="shop").is_name_only
    assert not replace(OPTIONS, project_name="shop", files=("x.yml",)).is_name_only
    assert not replace(OPTIONS, project_name="").is_name_only


def test_options_name_the_stack() -> None:
    given = replace(OPTIONS, files=("a.yml",), env_files=("e",), project_name="shop", profiles=("x",))
    request = given.request()
    assert (request.files, request.env_files, request.project_name) == (("a.yml",), ("e",), "shop")
    assert request.profiles == ("x",)


def test_a_view_nobody_knows_is_refused() -> None:
    with pytest.raises(UsageError, match="--progress 'fancy'") as caught:
        replace(OPTIONS, progress="fancy").request()
    assert "plain" in caught.value.hint


def test_directories_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOCKER_DATA_DIR", "/x/data")
    monkeypatch.setenv("JOCKER_RUN_DIR", "/x/run")
    assert OPTIONS.paths == ("/x/data", "/x/run")
