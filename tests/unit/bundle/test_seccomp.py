"""Docker's seccomp profiles, resolved."""

from __future__ import annotations

import json
from typing import Any

import pytest

from composer.bundle.seccomp import Machine, resolve, resolve_text
from composer.errors import ContainerError

AMD64 = Machine("amd64", (6, 1))


def rules(entries: list[dict[str, Any]], *capabilities: str, machine: Machine = AMD64) -> list[dict[str, Any]]:
    profile = {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": entries}
    found = resolve(profile, frozenset(capabilities), machine, "profile")
    assert json.loads(found.text) == found
    syscalls = found["syscalls"]
    assert isinstance(syscalls, list)
    return syscalls


def allow(*names: str, **more: Any) -> dict[str, Any]:
    return {"names": list(names), "action": "SCMP_ACT_ALLOW", **more}


@pytest.mark.parametrize(
    ("conditions", "capabilities", "machine", "applies"),
    [
        ({}, (), AMD64, True),
        ({"includes": {"caps": ["CAP_A"]}}, (), AMD64, False),
        ({"includes": {"caps": ["CAP_A"]}}, ("CAP_A",), AMD64, True),
        ({"includes": {"caps": ["CAP_A", "CAP_B"]}}, ("CAP_A",), AMD64, False),
        ({"excludes": {"caps": ["CAP_A", "CAP_B"]}}, ("CAP_B",), AMD64, False),
        ({"excludes": {"caps": ["CAP_A"]}}, (), AMD64, True),
        ({"includes": {"arches": ["arm64"]}}, (), AMD64, False),
        ({"includes": {"arches": ["amd64", "x32"]}}, (), AMD64, True),
        ({"excludes": {"arches": ["s390x"]}}, (), Machine("s390x", (6, 1)), False),
        ({"includes": {"minKernel": "4.8"}}, (), AMD64, True),
        ({"includes": {"minKernel": "6.10"}}, (), AMD64, False),
        ({"excludes": {"minKernel": "4.8"}}, (), AMD64, False),
        ({"includes": None, "excludes": None}, (), AMD64, True),
    ],
)
def test_a_rule_applies_as_its_conditions_say(
    conditions: dict[str, Any], capabilities: tuple[str, ...], machine: Machine, applies: bool
) -> None:
    found = rules([allow("read", **conditions)], *capabilities, machine=machine)
    assert found == ([allow("read")] if applies else [])


def test_unconditional_rules_are_put_together() -> None:
    assert rules([allow("b"), allow("a", "c", "a"), {**allow("x"), "action": "SCMP_ACT_ERRNO", "errnoRet": 1}]) == [
        allow("a", "b", "c"),
        {"names": ["x"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1},
    ]


def test_calls_with_several_rules_keep_them_in_order() -> None:
    odd = {"index": 0, "value": 8, "valueTwo": 0, "op": "SCMP_CMP_EQ"}
    found = rules(
        [
            allow("a", "setns"),
            allow("personality", args=[odd]),
            {"names": ["setns"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1},
        ]
    )
    assert found == [
        allow("a"),
        allow("setns"),
        allow("personality", args=[odd]),
        {"names": ["setns"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1},
    ]


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        ("amd64", ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]),
        ("arm64", ["SCMP_ARCH_AARCH64"]),
        ("riscv64", None),
    ],
)
def test_the_machines_architecture_brings_its_younger_siblings(machine: str, expected: list[str] | None) -> None:
    profile = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "archMap": [
            {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]},
            {"architecture": "SCMP_ARCH_AARCH64"},
        ],
    }
    assert resolve(profile, frozenset(), Machine(machine, (6, 1)), "profile").get("architectures") == expected


def test_error_numbers_may_be_written_as_names() -> None:
    profile = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrno": "ENOSYS",
        "syscalls": [{"name": "x", "action": "SCMP_ACT_ERRNO", "errno": "EPERM"}],
    }
    found = resolve(profile, frozenset(), AMD64, "profile")
    assert found["defaultErrnoRet"] == 38
    assert found["syscalls"] == [{"names": ["x"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}]


def test_one_profile_is_resolved_once_per_set_of_capabilities() -> None:
    profile = {"defaultAction": "SCMP_ACT_ALLOW"}
    first = resolve(profile, frozenset({"CAP_A"}), AMD64, "profile")
    assert resolve(profile, frozenset({"CAP_A"}), AMD64, "profile") is first
    assert resolve(profile, frozenset(), AMD64, "profile") is not first


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "not a JSON object"),
        ("nothing", "not JSON"),
        ("{}", "None is not an action"),
        ('{"defaultAction": "ALLOW"}', "'ALLOW' is not an action"),
        ('{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": 5}', "not a seccomp profile"),
        ('{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [5]}', "not a seccomp profile"),
        ('{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{}]}', "a rule without names"),
        ('{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": [1]}]}', "a rule without names"),
        (
            '{"defaultAction": "SCMP_ACT_LOG", "syscalls": [{"name": "x", "args": [{"op": 1}]}]}',
            "1 is not a comparison",
        ),
        (
            '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"name": "x", "includes": {"minKernel": "new"}}]}',
            "not a seccomp profile",
        ),
        (
            '{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86"], "archMap": [{}]}',
            "both `architectures` and `archMap`",
        ),
    ],
)
def test_a_profile_that_makes_no_sense_is_refused(text: str, message: str) -> None:
    with pytest.raises(ContainerError) as caught:
        resolve_text(text, frozenset(), AMD64, "web")
    assert message in str(caught.value)
    assert str(caught.value).startswith("web: seccomp profile: ")
