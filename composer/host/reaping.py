"""What PID 1 of a container owes: children it never had are given to it when their parents end, and wait to be reaped.

Python's own children must not be reaped behind its back, so the work is done in a child, and we only reap.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress

_FORWARDED = frozenset({
    *(signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH),
})  # fmt: skip
_FROM_A_PROCESS = 0
"""`si_code` of signals that a process has sent (sigaction(2)): SI_USER and below. Those of a terminal are above, and
reach the child, too.
"""


def become_a_child() -> None:
    """Returns in a child of ours. We stay: we reap, pass signals on, and end as the child does.

    To be called before there are threads.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {*_FORWARDED, signal.SIGCHLD})
    child = os.fork()
    if child:
        os._exit(_stay(child))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {*_FORWARDED, signal.SIGCHLD})


def _stay(child: int) -> int:
    while True:
        found = signal.sigwaitinfo({*_FORWARDED, signal.SIGCHLD})
        if found.si_signo != signal.SIGCHLD:
            if found.si_code <= _FROM_A_PROCESS:
                with suppress(ProcessLookupError):
                    os.kill(child, found.si_signo)
            continue
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == child:
                    return _code(status)
                if not pid:
                    break


def _code(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code
