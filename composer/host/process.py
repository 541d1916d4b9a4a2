"""Processes: is it still that one, does it listen to this signal, wait for its end. By the kernel, not by a program."""

from __future__ import annotations

import os
import re
import select
import signal
import time
from contextlib import suppress
from typing import NamedTuple

from composer.errors import UsageError

# rt_sigtimedwait on x86-64; arm64, riscv64, loongarch64; s390x, i386, arm; ppc64le; with 64-bit times on 32 bits.
_SIGTIMEDWAIT = frozenset({"128", "137", "177", "176", "421"})

_LONGEST_POLL = 2_000_000.0
"""Seconds, some three weeks: poll(2) counts milliseconds in 31 bits. Who wants longer, waits for ever."""

_SIGNAL_NAME = re.compile(
    r"(?:SIG)?(?:(?P<plain>[A-Z]+[0-9]?)|RTMIN\+(?P<above>[0-9]{1,2})|RTMAX-(?P<below>[0-9]{1,2}))\Z"
)


def start_time(pid: int) -> int | None:
    """When the process began, in clock ticks since boot (proc(5), stat field 22), or None if there is none.

    A zombie counts as none: it runs no more, unless threads outlive its main one. A pid is trusted only together with
    this number.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            stat = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat[stat.rindex(b")") + 2 :].split()  # the name in parentheses may hold anything, parentheses too
    if fields[0] in {b"Z", b"X"} and int(fields[17]) <= 1:
        return None
    return int(fields[19])


def alive(pid: int, started: int) -> bool:
    """Whether `pid` is still the process that began at `started`."""
    return pid > 0 and start_time(pid) == started


def send(pid: int, started: int, signal_number: int) -> bool:
    """Signals exactly that process, never a later one with its pid. False if it is gone."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        if start_time(pid) != started:
            return False
        signal.pidfd_send_signal(fd, signal_number)
    except ProcessLookupError:
        return False
    finally:
        os.close(fd)
    return True


def wait_gone(pid: int, started: int, timeout: float | None) -> bool:
    """Waits until that process has ended; False if it has not within `timeout` seconds (None: for ever)."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        if start_time(pid) != started:
            return True
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        return bool(poll.poll(None if timeout is None or timeout > _LONGEST_POLL else int(timeout * 1000)))
    finally:
        os.close(fd)


def is_first_of_namespace(pid: int) -> bool:
    """Whether it is PID 1 of its pid namespace: the kernel drops signals it has no handler for."""
    with suppress(FileNotFoundError, ProcessLookupError), open(f"/proc/{pid}/status") as file:
        for line in file:
            if line.startswith("NSpid:"):
                return line.split()[-1] == "1"
    return False


def handles_signal(pid: int, signal_number: int) -> bool:
    """Whether any thread of the process catches, blocks or waits for the signal (proc(5), status SigCgt and SigBlk).

    Says True when in doubt (the process is going away, hides its calls, or does not hold still).
    """
    bit = 1 << (signal_number - 1)
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except (FileNotFoundError, ProcessLookupError):
        return True
    return any(_listens(f"/proc/{pid}/task/{thread}", bit) for thread in threads)


def _listens(thread: str, bit: int) -> bool:
    """While a thread sits in sigtimedwait(2), as tini does, what it waits for is missing in SigBlk: so the system call
    itself counts. One that was woken in it and has no CPU yet shows neither. So silence is believed of a thread that
    slept in another call all the time we looked, or that twice did run and not sleep between two looks.
    """
    convincing = 0
    try:
        for _ in range(50):
            before = _look_at(thread)
            call = _system_call(thread)
            if before.heard & bit or call in _SIGTIMEDWAIT:
                return True
            if call == "running":
                time.sleep(0.005)  # the kernel adds up CPU time by ticks
            after = _look_at(thread)
            if after.heard & bit:
                return True
            if before.sleeps == after.sleeps:
                if call != "running":
                    return False
                convincing += after.ran > before.ran
                if convincing == 2:
                    return False
    except OSError:
        return True  # it has ended, or this kernel does not tell
    return True


class _Look(NamedTuple):
    """`heard`: signals caught or blocked, one bit each; `sleeps`: how often it went to sleep; `ran`: ns on a CPU."""

    heard: int
    sleeps: int
    ran: int


def _look_at(thread: str) -> _Look:
    heard = sleeps = 0
    with open(f"{thread}/status") as file:
        for line in file:
            if line.startswith(("SigCgt:", "SigBlk:")):
                heard |= int(line[7:], 16)
            elif line.startswith("voluntary_ctxt_switches:"):
                sleeps = int(line[24:])
    with open(f"{thread}/schedstat") as file:
        return _Look(heard, sleeps, int(file.read().split()[0]))


def _system_call(thread: str) -> str:
    """The number of the system call a thread sleeps in, or `running` (proc(5) `syscall`)."""
    with open(f"{thread}/syscall") as file:
        return file.read().partition(" ")[0].strip()


def signal_number(name: str) -> int:
    """The number of `SIGTERM`, `TERM`, `15`, `SIGRTMIN+3`. Raises `UsageError`."""
    text = name.strip().upper()
    if text.isascii() and text.isdecimal():
        number = int(text)
    elif found := _SIGNAL_NAME.match(text):
        number = _named(found)
    else:
        number = 0
    if not 0 < number <= signal.SIGRTMAX:
        raise UsageError(f"{name!r} is not a signal", hint="write SIGTERM, TERM, 15 or SIGRTMIN+3")
    return number


def _named(found: re.Match[str]) -> int:
    if found["above"]:
        return signal.SIGRTMIN + int(found["above"])
    if found["below"]:
        number = signal.SIGRTMAX - int(found["below"])
        return number if number >= signal.SIGRTMIN else 0
    return int(signal.Signals.__members__.get(f"SIG{found['plain']}", 0))


def with_arguments(*arguments: str) -> tuple[int, ...]:
    """The pids of all processes that have each of `arguments` among their arguments (a walk over /proc)."""
    wanted = {os.fsencode(argument) for argument in arguments}
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != os.getpid():
            with suppress(OSError), open(f"/proc/{entry}/cmdline", "rb") as file:
                if wanted <= set(file.read().split(b"\0")):
                    found.append(int(entry))
    return tuple(found)


def kill_and_wait(pid: int, timeout: float = 10.0) -> bool:
    """SIGKILL, then waits for the end. False if it is still there after `timeout` seconds."""
    started = start_time(pid)
    if started is None or not send(pid, started, signal.SIGKILL):
        return True
    return wait_gone(pid, started, timeout)


def has_number(number: int, kind: str) -> bool:
    """Whether a user or group ("uid", "gid") of this number exists in our user namespace."""
    with open(f"/proc/self/{kind}_map") as file:
        spans = [tuple(map(int, line.split())) for line in file]
    return any(first <= number < first + count for first, _, count in spans)
