"""The one door to other programs: a call is a value, run without a shell."""

from __future__ import annotations

import os
from collections.abc import Mapping

from composer.errors import CommandFailed, ToolMissing
from composer.frozen import field, frozen

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

PACKAGES = {
    "runc": "runc",
    "conmon": "conmon",
    "skopeo": "skopeo",
    "nft": "nftables",
    "dnsmasq": "dnsmasq-base",
    "crun": "crun",
}


@frozen
class Command:
    """One call of one program.

    `env` is added to a minimal environment (PATH, HOME, LANG=C.UTF-8), never to ours. `timeout` in seconds,
    `None` waits for ever. `accept` are the return codes that count as success; `None` accepts all.
    """

    argv: tuple[str, ...]
    stdin: str = ""
    env: Mapping[str, str] = field(factory=dict)
    timeout: float | None = 30.0
    accept: frozenset[int] | None = frozenset({0})


@frozen
class Done:
    """How a program ended. `returncode` is negative for a signal."""

    returncode: int
    stdout: str
    stderr: str


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment every program gets: small, the same everywhere, plus `extra`."""
    return {"PATH": PATH, "HOME": os.environ.get("HOME", "/root"), "LANG": "C.UTF-8", **(extra or {})}


def run(command: Command) -> Done:
    """Runs a program to its end and returns what it said.

    Raises `ToolMissing` if it is not installed, `CommandFailed` for a code not accepted or a time-out
    (transient then). The child's output goes through pipes: do not use this for anything that leaves a
    process behind with our stdout (`runc run -d` hangs for ever).
    """
    import subprocess

    try:
        done = subprocess.run(
            command.argv,
            input=command.stdin.encode() if command.stdin else None,
            stdin=None if command.stdin else subprocess.DEVNULL,
            capture_output=True,
            env=environment(command.env),
            timeout=command.timeout,
            cwd="/",
            check=False,
        )
    except FileNotFoundError:
        raise ToolMissing(command.argv[0], package=PACKAGES.get(command.argv[0], "")) from None
    except subprocess.TimeoutExpired:
        raise CommandFailed(command.argv, -9, f"no answer within {command.timeout:g} s", transient=True) from None
    result = Done(
        returncode=done.returncode,
        stdout=done.stdout.decode(errors="replace"),
        stderr=done.stderr.decode(errors="replace"),
    )
    if command.accept is not None and result.returncode not in command.accept:
        raise CommandFailed(command.argv, result.returncode, result.stderr)
    return result


def find(tool: str) -> str | None:
    """Absolute path of a program on our PATH, or None."""
    if "/" in tool:
        return tool if os.access(tool, os.X_OK) else None
    for directory in PATH.split(":"):
        candidate = f"{directory}/{tool}"
        if os.access(candidate, os.X_OK) and os.path.isfile(candidate):
            return candidate
    return None


def require(tool: str) -> str:
    """Absolute path of a program; raises `ToolMissing`."""
    found = find(tool)
    if found is None:
        raise ToolMissing(tool, package=PACKAGES.get(tool, ""))
    return found
