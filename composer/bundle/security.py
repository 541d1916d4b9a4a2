"""Capabilities and security options, by docker's rules."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from composer.bundle import defaults
from composer.bundle import seccomp as profiles
from composer.desired.state import ContainerSpec
from composer.errors import ContainerError

if TYPE_CHECKING:
    from composer.bundle.context import MachineFacts

_DOCKER_APPARMOR = "docker-default"


class SelinuxLabels(NamedTuple):
    """Labels of the process and of what it mounts; "" = none."""

    process: str = ""
    mount: str = ""


def capabilities(spec: ContainerSpec, available: Collection[str], where: str) -> tuple[str, ...]:
    """The container's capabilities, sorted: docker's default set, `ALL` first, then single drops, then single adds.

    `ALL` and `privileged` mean all that jocker itself may hand on (as dockerd does since 23, so that they work in
    restricted machines); a capability asked for by name that is not there is a `ContainerError`.
    """
    if spec.privileged:
        return tuple(sorted(available))
    add = frozenset(_capability(name, "cap_add", where) for name in spec.cap_add)
    drop = frozenset(_capability(name, "cap_drop", where) for name in spec.cap_drop)
    for name in sorted(add - {"ALL"} - set(available)):
        raise ContainerError(
            f"{where}: cap_add: {name} cannot be given: jocker itself does not have it here",
            hint="run jocker where root has it (not in a restricted container or virtual machine)",
        )
    if "ALL" in add:
        granted = set(available) - drop
    elif "ALL" in drop:
        granted = set(add)
    else:
        granted = (set(defaults.CAPABILITIES) - drop) | add
    return tuple(sorted(granted & set(available)))


def no_new_privileges(spec: ContainerSpec) -> bool:
    """Whether `no-new-privileges` is asked for; the last word counts."""
    values = [value for key, value in _options(spec.security_opt) if key == "no-new-privileges"]
    return bool(values) and values[-1] in {"", "1", "t", "T", "TRUE", "true", "True"}


def system_paths_open(spec: ContainerSpec) -> bool:
    """Whether proc and sys are left unmasked and writable."""
    return spec.privileged or ("systempaths", "unconfined") in _options(spec.security_opt)


def apparmor_profile(spec: ContainerSpec, *, enabled: bool, loaded: Collection[str], where: str) -> str:
    """The AppArmor profile, "" for none: the one asked for, else docker's own if the machine has loaded it.

    Raises `ContainerError` for a profile that is not loaded. Without AppArmor the option has no effect (docker).
    """
    if not enabled:
        return ""
    asked = [value for key, value in _options(spec.security_opt) if key == "apparmor"]
    if not asked:
        return "unconfined" if spec.privileged else _DOCKER_APPARMOR if _DOCKER_APPARMOR in loaded else ""
    if asked[-1] != "unconfined" and loaded and asked[-1] not in loaded:
        raise ContainerError(
            f"{where}: security_opt: AppArmor profile {asked[-1]!r} is not loaded",
            hint="load it with apparmor_parser -r",
        )
    return asked[-1]


def selinux_labels(spec: ContainerSpec, *, enabled: bool) -> SelinuxLabels:
    """Labels for `label=type:…`, `label=level:…` and so on. As with docker's defaults, none unless asked for."""
    parts = dict.fromkeys(("user", "role", "type", "level"), "")
    for key, value in _options(spec.security_opt):
        if key == "label":
            name, _, text = value.partition(":")
            if name in parts:
                parts[name] = text
            elif name == "disable":
                return SelinuxLabels()
    if not enabled or spec.privileged or not any(parts.values()):
        return SelinuxLabels()
    user, level = parts["user"] or "system_u", parts["level"] or "s0"
    return SelinuxLabels(
        process=f"{user}:{parts['role'] or 'system_r'}:{parts['type'] or 'container_t'}:{level}",
        mount=f"{user}:object_r:container_file_t:{level}",
    )


def seccomp(spec: ContainerSpec, granted: tuple[str, ...], facts: MachineFacts, where: str) -> profiles.Resolved | None:
    """The filter: the service's own profile, none if unconfined or privileged, else the machine's default one."""
    machine = profiles.Machine(facts.architecture, facts.kernel)
    asked = [value for key, value in _options(spec.security_opt) if key == "seccomp"]
    if asked and asked[-1] == "unconfined":
        return None
    if spec.seccomp_profile and not (asked and asked[-1] == "builtin"):
        return profiles.resolve_text(spec.seccomp_profile, frozenset(granted), machine, where)
    if spec.privileged or facts.seccomp_default is None:
        return None
    return profiles.resolve(facts.seccomp_default, frozenset(granted), machine, "the default seccomp profile")


def _options(security_opt: Iterable[str]) -> Iterator[tuple[str, str]]:
    """`key=value` and the older `key:value` as pairs; a bare word has the value ""."""
    for option in security_opt:
        separator = "=" if "=" in option else ":"
        key, _, value = option.partition(separator)
        yield key, value


def _capability(name: str, key: str, where: str) -> str:
    upper = name.upper()
    if upper == "ALL":
        return upper
    full = upper if upper.startswith("CAP_") else f"CAP_{upper}"
    if full not in defaults.ALL_CAPABILITIES:
        raise ContainerError(f"{where}: {key}: {name!r} is not a capability", hint="see man 7 capabilities")
    return full
