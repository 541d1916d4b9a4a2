"""Docker's seccomp profiles (rules with conditions) resolved to the plain rules of an OCI config.

The profile format is moby's `profiles/seccomp`, which containers-common installs as `seccomp.json`. Rules that
depend on capabilities, architecture or kernel are decided here, once per combination and process.

What the filter costs is the runtime's work in libseccomp: with docker's three x86 architectures about 16 ms of
`runc create` (one alone: 5 ms). Grouping rules, leaving out unknown names and every order of names were measured
and change nothing, so the rules stay what docker makes of them; grouping merely makes a shorter text.
"""

from __future__ import annotations

import errno
import json
import textwrap
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from composer.errors import ContainerError

# Go's architecture names, as the profiles' conditions use them, and libseccomp's.
_NATIVE = {
    "386": "SCMP_ARCH_X86",
    "amd64": "SCMP_ARCH_X86_64",
    "arm": "SCMP_ARCH_ARM",
    "arm64": "SCMP_ARCH_AARCH64",
    "loong64": "SCMP_ARCH_LOONGARCH64",
    "mips64le": "SCMP_ARCH_MIPSEL64",
    "ppc64le": "SCMP_ARCH_PPC64LE",
    "riscv64": "SCMP_ARCH_RISCV64",
    "s390x": "SCMP_ARCH_S390X",
}

_ACTIONS = frozenset(
    f"SCMP_ACT_{name}"
    for name in ("ALLOW", "ERRNO", "KILL", "KILL_PROCESS", "KILL_THREAD", "LOG", "NOTIFY", "TRACE", "TRAP")
)

_OPERATORS = frozenset(f"SCMP_CMP_{name}" for name in ("NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"))

_WIDTH = 110
_INDENT = " " * 4  # it stands in "linux"


class Machine(NamedTuple):
    """What rules may depend on besides capabilities."""

    architecture: str
    kernel: tuple[int, int]


class Resolved(dict[str, Any]):
    """The value of `linux.seccomp`, with its JSON `text` made once: it is most of a config.json."""

    text: str = ""


class _Rule(NamedTuple):
    action: str
    errno: int | None
    args: tuple[tuple[int, int, int, str], ...]
    names: tuple[str, ...]


_resolved: dict[tuple[int, frozenset[str], Machine], tuple[Mapping[str, Any], Resolved]] = {}


def resolve(profile: Mapping[str, Any], capabilities: frozenset[str], machine: Machine, where: str) -> Resolved:
    """The filter a container with these capabilities (bounding set) gets from `profile` on `machine`.

    `where` names the profile in errors. Raises `ContainerError` for a profile that makes no sense. The result
    is shared: do not change it.
    """
    key = (id(profile), capabilities, machine)
    known = _resolved.get(key)
    if known is None:
        # The profile is kept beside its result, so that its id stays its own.
        known = _resolved[key] = (profile, _resolve(profile, capabilities, machine, where))
    return known[1]


@lru_cache(maxsize=32)
def resolve_text(text: str, capabilities: frozenset[str], machine: Machine, where: str) -> Resolved:
    """As `resolve`, for the text of a service's own profile."""
    where = f"{where}: seccomp profile"
    try:
        profile = json.loads(text)
    except ValueError as error:
        raise ContainerError(f"{where}: not JSON: {error}") from None
    if not isinstance(profile, dict):
        raise ContainerError(f"{where}: not a JSON object")
    return _resolve(profile, capabilities, machine, where)


def _resolve(profile: Mapping[str, Any], capabilities: frozenset[str], machine: Machine, where: str) -> Resolved:
    try:
        rules = [
            _rule(entry, where) for entry in profile.get("syscalls") or () if _applies(entry, capabilities, machine)
        ]
        resolved = Resolved(defaultAction=_action(profile.get("defaultAction"), where))
        default_errno = _errno(profile, "defaultErrnoRet", "defaultErrno")
        if default_errno is not None:
            resolved["defaultErrnoRet"] = default_errno
        architectures = _architectures(profile, machine, where)
        if architectures:
            resolved["architectures"] = architectures
        if profile.get("flags"):
            resolved["flags"] = list(profile["flags"])
        if profile.get("listenerPath"):
            resolved["listenerPath"] = str(profile["listenerPath"])
        resolved["syscalls"] = [_entry(rule) for rule in _grouped(rules)]
    except (TypeError, AttributeError, KeyError, ValueError) as error:
        raise ContainerError(f"{where}: not a seccomp profile: {error}") from None
    resolved.text = _text(resolved)
    return resolved


def _applies(entry: Mapping[str, Any], capabilities: frozenset[str], machine: Machine) -> bool:
    """Moby's rule: any exclusion that matches excludes; every inclusion must match."""
    excludes, includes = entry.get("excludes") or {}, entry.get("includes") or {}
    if machine.architecture in (excludes.get("arches") or ()):
        return False
    if not capabilities.isdisjoint(excludes.get("caps") or ()):
        return False
    if excludes.get("minKernel") and machine.kernel >= _kernel(excludes["minKernel"]):
        return False
    if includes.get("arches") and machine.architecture not in includes["arches"]:
        return False
    if not capabilities.issuperset(includes.get("caps") or ()):
        return False
    return not includes.get("minKernel") or machine.kernel >= _kernel(includes["minKernel"])


def _kernel(text: str) -> tuple[int, int]:
    major, minor = text.split(".")[:2]
    return int(major), int(minor)


def _rule(entry: Mapping[str, Any], where: str) -> _Rule:
    names = [*(entry.get("names") or ()), *([entry["name"]] if entry.get("name") else [])]
    if not names or not all(isinstance(name, str) for name in names):
        raise ContainerError(f"{where}: a rule without names of system calls")
    args = []
    for arg in entry.get("args") or ():
        if arg["op"] not in _OPERATORS:
            raise ContainerError(f"{where}: {arg['op']!r} is not a comparison")
        args.append((int(arg["index"]), int(arg["value"]), int(arg.get("valueTwo") or 0), str(arg["op"])))
    return _Rule(_action(entry.get("action"), where), _errno(entry, "errnoRet", "errno"), tuple(args), tuple(names))


def _action(action: object, where: str) -> str:
    if not isinstance(action, str) or action not in _ACTIONS:
        raise ContainerError(f"{where}: {action!r} is not an action")
    return action


def _errno(entry: Mapping[str, Any], number: str, name: str) -> int | None:
    """The error number of an entry; containers-common writes the number and its name, older profiles only one."""
    if entry.get(number) is not None:
        return int(entry[number])
    value = getattr(errno, str(entry.get(name) or ""), None)
    return value if isinstance(value, int) else None


def _architectures(profile: Mapping[str, Any], machine: Machine, where: str) -> list[str]:
    if profile.get("architectures"):
        if profile.get("archMap"):
            raise ContainerError(f"{where}: has both `architectures` and `archMap`")
        return [str(architecture) for architecture in profile["architectures"]]
    native = _NATIVE.get(machine.architecture)
    for entry in profile.get("archMap") or ():
        if entry["architecture"] == native:
            return [entry["architecture"], *(entry.get("subArchitectures") or ())]
    return []


def _grouped(rules: list[_Rule]) -> Iterator[_Rule]:
    """The same rules with fewer entries: calls that occur in one unconditional rule only are put together.

    A call with several rules keeps them as they are, in their order: libseccomp's result depends on it.
    """
    seen: dict[str, int] = {}
    for rule in rules:
        for name in set(rule.names):
            seen[name] = seen.get(name, 0) + 1
    groups: dict[tuple[str, int | None], set[str]] = {}
    rest: list[_Rule] = []
    for rule in rules:
        simple = {name for name in rule.names if seen[name] == 1} if not rule.args else set()
        if simple:
            groups.setdefault((rule.action, rule.errno), set()).update(simple)
        others = tuple(dict.fromkeys(name for name in rule.names if name not in simple))
        if others:
            rest.append(rule._replace(names=others))
    for (action, number), names in groups.items():
        yield _Rule(action, number, (), tuple(sorted(names)))
    yield from rest


def _entry(rule: _Rule) -> dict[str, Any]:
    entry: dict[str, Any] = {"names": list(rule.names), "action": rule.action}
    if rule.errno is not None:
        entry["errnoRet"] = rule.errno
    if rule.args:
        entry["args"] = [
            {"index": index, "value": value, "valueTwo": second, "op": operator}
            for index, value, second, operator in rule.args
        ]
    return entry


def _text(resolved: Mapping[str, Any]) -> str:
    """JSON as people can read it: one member a line, the long lists of names wrapped."""
    members = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in resolved.items() if key != "syscalls"]
    entries = []
    for entry in resolved["syscalls"]:
        names = textwrap.wrap(
            ", ".join(map(json.dumps, entry["names"])), _WIDTH, break_long_words=False, break_on_hyphens=False
        )
        rest = json.dumps({key: value for key, value in entry.items() if key != "names"})[1:]
        if len(names) == 1:
            entries.append(f'    {{"names": [{names[0]}], {rest}')
        else:
            listed = "\n".join(f"      {line}" for line in names)
            entries.append(f'    {{"names": [\n{listed}\n    ], {rest}')
    members.append('"syscalls": [\n' + ",\n".join(entries) + "\n  ]")
    text = "{\n" + ",\n".join(f"  {member}" for member in members) + "\n}"
    return text.replace("\n", f"\n{_INDENT}")
