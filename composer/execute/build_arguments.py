"""A build as arguments of `buildah build`. Pure: what is said here is not yet done."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from composer.errors import ImageError
from composer.model.building import Build

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_OF_TOOLS = re.compile(
    r"(?!.*(TOKEN|PASSWORD|SECRET|KEY)\Z)"  # nobody's setting, and least of all to be seen
    r"((LD|XDG|CONTAINERS?|STORAGE|BUILDAH|SSL|DBUS|NOTIFY|LISTEN|GIT|GNUPG|SYSTEMD|LC|MALLOC|SSH|GLIBC|JOCKER|OPENSSL|OTEL|"
    r"YOUKI|KRB5)_.*|_.*|.*_PROXY|.*PATH|GO[A-Z]+|PYTHON[A-Z]+|REGISTRY_AUTH_FILE|RES_OPTIONS|DOCKER_(CONFIG|HOST)|"
    r"HOME|TMPDIR|TMP|TEMP|PWD|USER|SHELL|TERM|LANG|TZ|HOSTALIASES|LOCALDOMAIN|DEBUG)",
    re.IGNORECASE,
)
"""Variables that buildah, what it calls, or the C library may take for settings of their own."""


class Given(NamedTuple):
    """What a build is given beside what the stack file says. Paths are absolute; `network` is buildah's word for one;
    `platform` is "" for this machine's, `memory` in bytes, 0 for no limit.
    """

    dockerfile: str
    ignore_file: str
    network: str
    dns: tuple[str, ...] = ()
    gateway: str = ""
    runtime: str = "runc"
    runtime_root: str = ""
    cgroup: str = ""
    platform: str = ""
    memory: int = 0
    has_apparmor: bool = False


class Call(NamedTuple):
    """Arguments, and the variables that go with them: nothing secret stands in a command line, which all can read."""

    arguments: tuple[str, ...]
    env: Mapping[str, str]


def call(build: Build, given: Given) -> Call:
    """The call for one build. Raises `ImageError` for what buildah has no words for."""
    env: dict[str, str] = {}
    words = [
        "--format", "docker",  # OCI has no place for a health check
        "--layers",
        "--force-rm",
        "--pull=never",
        "--identity-label=false",
        "--http-proxy=false",
        "--isolation", "oci",
        "--runtime", given.runtime,
        "--runtime-flag", f"root={given.runtime_root}",
        "--cgroup-parent", given.cgroup,
        "--cgroupns", "private",
        "--file", given.dockerfile,
        "--ignorefile", given.ignore_file,
        "--network", given.network,
    ]  # fmt: skip
    words += [f"--dns={server}" for server in given.dns]
    words += [f"--platform={given.platform}"] if given.platform else []
    words += [f"--memory={given.memory}"] if given.memory else []
    words += ["--no-cache"] if build.no_cache else []
    words += [f"--shm-size={build.shm_size}"] if build.shm_size else []
    if build.privileged:
        words += ["--cap-add=all", "--security-opt=seccomp=unconfined"]
        words += ["--security-opt=apparmor=unconfined"] if given.has_apparmor else []
    words += [f"--ulimit={name}={soft}:{hard}" for name, (soft, hard) in sorted(build.ulimits.items())]
    words += [f"--label={name}={value}" for name, value in sorted(build.labels.items())]
    words += [f"--add-host={host}:{_address(host, address, given)}" for host, address in build.extra_hosts]
    for name, value in build.args.items():
        is_safe = _PLAIN.match(name) and not _OF_TOOLS.fullmatch(name)
        words.append(f"--build-arg={name}" if is_safe else f"--build-arg={name}={value}")
        if is_safe:
            env[name] = value
    for name, value in build.contexts.items():
        words.append(f"--build-context={name}={value}")
    for number, secret in enumerate(build.secrets):
        if "," in secret.id or "," in secret.file:
            raise ImageError(f"the build secret {secret.id!r}: a comma can stand neither in its name nor in its path")
        variable = f"JOCKER_SECRET_{number}"
        words.append(f"--secret=id={secret.id}," + (f"src={secret.file}" if secret.file else f"env={variable}"))
        if not secret.file:
            env[variable] = secret.value
    words += [f"--ssh={name}={path}" if path else f"--ssh={name}" for name, path in build.ssh.items()]
    return Call((*words, build.context), env)


def _address(host: str, address: str, given: Given) -> str:
    if address != "host-gateway":
        return address
    if not given.gateway:
        raise ImageError(f"extra_hosts: {host}: host-gateway: a build without a network has no way to the machine")
    return given.gateway
