"""The one door to other programs: a call is a value, run without a shell."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import IO

from composer.errors import CommandFailed, Interrupted, ToolMissing
from composer.frozen import field, frozen

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

PACKAGES = {
    "runc": "runc",
    "conmon": "conmon",
    "skopeo": "skopeo",
    "nft": "nftables",
    "dnsmasq": "dnsmasq-base",
    "crun": "crun",
    "buildah": "buildah",
    "setpriv": "util-linux",
    "unshare": "util-linux",
}
_LAST_LINES = 40
_LONGEST_LINE = 65536
_LOOK_EVERY = 0.2
"""Seconds between two looks whether the user has had enough."""


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


def stream(
    command: Command, *, on_line: Callable[[str], None], is_cancelled: Callable[[], bool] = lambda: False
) -> None:
    """Runs a program to its end and tells each line it says as it comes, errors among the rest.

    In a session of its own: Ctrl-C is for us, and once `is_cancelled` it is killed and `Interrupted` raised. Raises as
    `run`; the `CommandFailed` has the last lines.
    """
    import subprocess
    from collections import deque

    last: deque[str] = deque(maxlen=_LAST_LINES)
    try:
        process = subprocess.Popen(
            command.argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment(command.env),
            cwd="/",
            start_new_session=True,
        )
    except FileNotFoundError:
        raise ToolMissing(command.argv[0], package=PACKAGES.get(command.argv[0], "")) from None
    with process:
        try:
            for text in lines(process.stdout, is_cancelled) if process.stdout else ():
                last.append(text)
                on_line(text)
            code = process.wait()
        except BaseException:
            process.kill()
            raise
    if command.accept is not None and code not in command.accept:
        raise CommandFailed(command.argv, code, "\n".join(last))


def lines(out: IO[bytes], is_cancelled: Callable[[], bool]) -> Iterator[str]:
    """What a program says, line by line; those beyond reason long in pieces. Raises `Interrupted` once cancelled."""
    import select

    rest = b""
    while not is_cancelled():
        if not select.select([out], [], [], _LOOK_EVERY)[0]:
            continue
        chunk = os.read(out.fileno(), _LONGEST_LINE)
        if not chunk:
            if rest:
                yield rest.decode(errors="replace").rstrip("\r")
            return
        *whole, rest = (rest + chunk).split(b"\n")
        if len(rest) > _LONGEST_LINE:
            whole, rest = [*whole, rest], b""
        for line in whole:
            yield line.decode(errors="replace").rstrip("\r")
    raise Interrupted("interrupted")


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
