"""Processes: is it still that one, does it listen to this signal, wait for its end. By the kernel, not by a program."""

from __future__ import annotations

import os
import select
import signal
from contextlib import suppress

from composer.errors import UsageError

# rt_sigtimedwait on x86-64; arm64, riscv64, loongarch64; s390x, i386, arm; ppc64le; with 64-bit times on 32 bits.
_SIGTIMEDWAIT = frozenset({"128", "137", "177", "176", "421"})


def start_time(pid: int) -> int | None:
    """When the process began, in clock ticks since boot (proc(5), stat field 22), or None if there is none.

    A zombie counts as none: it runs no more. A pid is trusted only together with this number.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            stat = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat[stat.rindex(b")") + 2 :].split()  # the name in parentheses may hold anything, parentheses too
    if fields[0] in {b"Z", b"X"}:
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
        return bool(poll.poll(None if timeout is None else max(0, int(timeout * 1000))))
    finally:
        os.close(fd)


def handles_signal(pid: int, signal_number: int) -> bool:
    """Whether any thread of the process catches, blocks or waits for the signal (proc(5), status SigCgt and SigBlk).

    A PID 1 of a namespace that does none of these never notices it: the kernel drops signals without a handler for
    it. While a thread sits in sigtimedwait(2), as tini does, what it waits for is missing in SigBlk: so the system
    call itself counts. Says True when in doubt (the process is going away, or hides its calls).
    """
    bit = 1 << (signal_number - 1)
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except (FileNotFoundError, ProcessLookupError):
        return True
    for thread in threads:
        with suppress(FileNotFoundError, ProcessLookupError), open(f"/proc/{pid}/task/{thread}/status") as file:
            for line in file:
                if line.startswith(("SigCgt:", "SigBlk:")) and int(line[7:], 16) & bit:
                    return True
        if _may_wait_for_signals(f"/proc/{pid}/task/{thread}/syscall"):
            return True
    return False


def _may_wait_for_signals(path: str) -> bool:
    """Whether the thread is in sigtimedwait(2), by proc(5) `syscall`: `NUMBER ARGUMENTS…`, or `running`."""
    try:
        with open(path) as file:
            call = file.read().split(maxsplit=1)
    except OSError:
        return True
    return not call or call[0] in _SIGTIMEDWAIT


def signal_number(name: str) -> int:
    """The number of `SIGTERM`, `TERM`, `15`, `SIGRTMIN+3`. Raises `UsageError`."""
    text = name.strip().upper()
    if text.isdigit() and 0 < int(text) <= signal.SIGRTMAX:
        return int(text)
    base, sign, offset = text.removeprefix("SIG").partition("+")
    if not sign:
        base, sign, offset = base.partition("-")
    try:
        number = int(signal.Signals[f"SIG{base}"])
        if sign:
            number += int(offset) if "+" in text else -int(offset)
    except (KeyError, ValueError):
        number = 0
    if not 0 < number <= signal.SIGRTMAX:
        raise UsageError(f"{name!r} is not a signal", hint="write SIGTERM, TERM, 15 or SIGRTMIN+3")
    return number


def with_argument(argument: str) -> tuple[int, ...]:
    """The pids of all processes that have `argument` as one of their arguments (a walk over /proc)."""
    wanted = argument.encode()
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != os.getpid():
            with suppress(OSError), open(f"/proc/{entry}/cmdline", "rb") as file:
                if wanted in file.read().split(b"\0"):
                    found.append(int(entry))
    return tuple(found)


def kill_and_wait(pid: int, timeout: float = 10.0) -> bool:
    """SIGKILL, then waits for the end. False if it is still there after `timeout` seconds."""
    started = start_time(pid)
    if started is None or not send(pid, started, signal.SIGKILL):
        return True
    return wait_gone(pid, started, timeout)
