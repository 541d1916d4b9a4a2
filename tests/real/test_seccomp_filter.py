"""Grouping the rules of a profile must not change the filter: libseccomp makes the same program of both."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from composer.bundle import seccomp
from composer.bundle.defaults import ALL_CAPABILITIES, CAPABILITIES
from composer.host.machine_facts import machine_facts

pytestmark = pytest.mark.real

LIBRARY = "libseccomp.so.2"  # runc needs it

# seccomp.h
OPERATORS = ("", "NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ")
X86_ARCHITECTURES = (0x40000003, 0x4000003E)


class Comparison(ctypes.Structure):
    _fields_ = (
        ("argument", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    )


def action(name: str, errno: int | None) -> ctypes.c_uint32:
    return ctypes.c_uint32(0x7FFF0000 if name == "SCMP_ACT_ALLOW" else 0x00050000 | (1 if errno is None else errno))


def program(entries: Iterable[Mapping[str, Any]], default_errno: int, file: Path) -> bytes:
    """The BPF program libseccomp makes of these rules, added one after the other as runc does."""
    library = ctypes.CDLL(LIBRARY)
    library.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.seccomp_init(action("SCMP_ACT_ERRNO", default_errno)))
    if machine_facts().architecture == "amd64":
        for architecture in X86_ARCHITECTURES:
            assert library.seccomp_arch_add(context, ctypes.c_uint32(architecture)) == 0
    for entry in entries:
        args = entry.get("args") or ()
        comparisons = (Comparison * max(1, len(args)))(
            *(
                Comparison(
                    arg["index"],
                    OPERATORS.index(arg["op"].removeprefix("SCMP_CMP_")),
                    arg["value"],
                    arg.get("valueTwo") or 0,
                )
                for arg in args
            )
        )
        for name in entry["names"]:
            number = library.seccomp_syscall_resolve_name(name.encode())
            if number != -1:  # a name of another architecture or a newer kernel
                verdict = action(entry["action"], entry.get("errnoRet"))
                assert library.seccomp_rule_add_array(context, verdict, number, len(args), comparisons) == 0
    with file.open("wb") as out:
        assert library.seccomp_export_bpf(context, out.fileno()) == 0
    library.seccomp_release(context)
    return file.read_bytes()


@pytest.mark.parametrize(
    "capabilities",
    [CAPABILITIES, (), ("CAP_SYS_ADMIN", "CAP_AUDIT_WRITE", "CAP_SYS_PTRACE"), ALL_CAPABILITIES],
    ids=["docker's", "none", "some", "all"],
)
def test_the_grouped_rules_give_the_same_program(tmp_path: Path, capabilities: tuple[str, ...]) -> None:
    facts = machine_facts()
    profile = facts.seccomp_default
    assert profile is not None
    machine, granted = seccomp.Machine(facts.architecture, facts.kernel), frozenset(capabilities)
    resolved = seccomp.resolve(profile, granted, machine, "the default profile")
    plain = [entry for entry in profile["syscalls"] if seccomp._applies(entry, granted, machine)]
    assert len(resolved["syscalls"]) < len(plain) < sum(len(entry["names"]) for entry in plain)
    default_errno = resolved["defaultErrnoRet"]
    expected = program(plain, default_errno, tmp_path / "plain")
    assert len(expected) > 1000
    assert program(resolved["syscalls"], default_errno, tmp_path / "grouped") == expected
    assert os.path.getsize(tmp_path / "grouped") % 8 == 0
