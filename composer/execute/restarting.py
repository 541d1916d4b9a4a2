"""What must be known of a container with a restart policy: its past, whether a user has stopped it, who may touch it.

A stop is noted beside the record before the signal is sent; a start by a user removes the note. A restart happens under
the lock of the stack. A command that holds that lock and waits for the container grants a permit instead: else both
would wait for ever.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from composer.actual.state import Status
from composer.desired.life import life_from_json
from composer.errors import LockTimeout
from composer.host import process
from composer.host.files import locked, make_private, read_json, read_text, write_atomic, write_json
from composer.host.state import FirstProcess, Snapshot, first_process, snapshot
from composer.model.life import RestartPolicy
from composer.paths import Paths
from composer.plan.restart import Again, End, GiveUp, Past, decide, past_from_json

_LOOK_EVERY = 0.02
"""Seconds between two looks for a permit."""
PATIENCE = 5
"""Restarts after which nobody waits any more for a container that ends again and again."""


def policy_of(record: Mapping[str, Any]) -> RestartPolicy | None:
    """The restart policy of a container, None if it has none that can be read."""
    spec = record.get("spec")
    try:
        return life_from_json({"restart": spec.get("restart")}).get("restart") if isinstance(spec, dict) else None
    except (TypeError, ValueError):
        return None


def mark_stopped(paths: Paths, record: Mapping[str, Any]) -> None:
    """Notes that a container is to stay down, before it is; nothing is noted of one without a policy."""
    if record["spec"].get("restart"):
        with suppress(FileNotFoundError):
            write_atomic(f"{paths.container(record['id'])}/stopped", b"")


def mark_killed(paths: Paths, record: Mapping[str, Any], number: int) -> None:
    """As `mark_stopped`, if a signal means that: SIGKILL, and the one that stops it."""
    if record["spec"].get("restart") and number in {
        process.signal_number("SIGKILL"),
        process.signal_number(record["spec"]["stop_signal"]),
    }:
        mark_stopped(paths, record)


def is_stopped(paths: Paths, container_id: str) -> bool:
    """Whether a user has stopped it."""
    return os.path.exists(f"{paths.container(container_id)}/stopped")


def begin(paths: Paths, project: str, container_id: str) -> None:
    """A user starts it: it is wanted, and its past is forgotten."""
    for path in (f"{paths.container(container_id)}/stopped", _past(paths, project, container_id)):
        with suppress(FileNotFoundError, NotADirectoryError):
            os.unlink(path)


def _past(paths: Paths, project: str, container_id: str) -> str:
    return f"{paths.supervision(project)}/{container_id}.restarts"


def past(paths: Paths, project: str, container_id: str) -> Past:
    """How often it was started again since a user started it."""
    return past_from_json(read_json(_past(paths, project, container_id)))


def verdict(paths: Paths, record: Mapping[str, Any], seen: Snapshot) -> Again | GiveUp:
    """What becomes of a container that has ended."""
    policy = policy_of(record)
    if policy is None:
        return GiveUp("it has no restart policy")
    container_id = record["id"]
    before = past(paths, record["project"], container_id)
    if not (seen.started_at or before.restarts):
        return GiveUp("it was never started")
    lived = max(0.0, seen.finished_at - seen.started_at) if seen.started_at else 0.0
    return decide(policy, before, End(seen.exit_code, lived, is_stopped(paths, container_id)))


def outlook(paths: Paths, record: Mapping[str, Any]) -> Snapshot | None:
    """The state of a container; None if it has ended and comes back, or comes back this moment. One that ends again and
    again counts as ended.
    """
    if not record["spec"].get("restart"):
        return snapshot(paths, record)
    project, container_id = record["project"], record["id"]
    if _is_coming(paths, project, container_id):
        return None
    before = past(paths, project, container_id)
    seen = snapshot(paths, record)
    if _is_coming(paths, project, container_id) or past(paths, project, container_id) != before:
        return None
    if seen.status is Status.EXITED and before.restarts < PATIENCE:
        return None if isinstance(verdict(paths, record, seen), Again) else seen
    return seen


def _coming(paths: Paths, project: str, container_id: str) -> str:
    return f"{paths.supervision(project)}/{container_id}.coming"


def _is_coming(paths: Paths, project: str, container_id: str) -> bool:
    return _is_of_living(_coming(paths, project, container_id))


@contextmanager
def coming(paths: Paths, project: str, container_id: str, what: Past) -> Iterator[None]:
    """While the block runs the container is on its way back: what it looks like is no end. Its new past is noted."""
    path = _coming(paths, project, container_id)
    _write_me(path)
    try:
        write_json(_past(paths, project, container_id), what._asdict(), sync=False)
        yield
    finally:
        with suppress(FileNotFoundError):
            os.unlink(path)


def _write_me(path: str) -> None:
    me = os.getpid()
    write_atomic(path, f"{me} {process.start_time(me)}\n".encode(), sync=False)


def _is_of_living(path: str) -> bool:
    with suppress(ValueError):
        pid, started = map(int, (read_text(path) or "").split())
        return process.alive(pid, started)
    return False


@contextmanager
def permitted(paths: Paths, record: Mapping[str, Any]) -> Iterator[None]:
    """While the block runs, our holding of the stack's lock is no obstacle to starting this container again. A restart
    that has begun ends first.
    """
    if not record["spec"].get("restart"):
        yield
        return
    path = f"{paths.supervision(record['project'])}/{record['id']}.permit"
    make_private(os.path.dirname(path))
    _write_me(path)
    try:
        yield
    finally:
        with suppress(FileNotFoundError):
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX)
                os.unlink(path)
            finally:
                os.close(fd)


@contextmanager
def may_restart(paths: Paths, project: str, container_id: str, life: FirstProcess) -> Iterator[bool]:
    """Waits until nobody else changes the stack, or whoever does permits it; yields True while that is so. False if
    this life of the container is over and done with by then.
    """
    with ExitStack() as held:
        is_held = False
        while not is_held and _is_due(paths, container_id, life):
            is_held = _hold_permit(f"{paths.supervision(project)}/{container_id}.permit", held)
            if not is_held:
                what = f"the restart of {container_id[:12]}"
                with suppress(LockTimeout):
                    held.enter_context(locked(paths.stack_lock(project), timeout=_LOOK_EVERY, what=what))
                    held.callback(_leave_nothing, paths, project)
                    is_held = True
        yield is_held and _is_due(paths, container_id, life)


def _leave_nothing(paths: Paths, project: str) -> None:
    """If a `down` came before us, the lock file and its directory are ours."""
    if not os.path.isdir(paths.supervision(project)):
        with suppress(OSError):
            os.unlink(paths.stack_lock(project))
            os.rmdir(paths.stack(project))


def _is_due(paths: Paths, container_id: str, life: FirstProcess) -> bool:
    return (
        first_process(paths, container_id) in {life, None}  # None: it could not be started, and is tried again
        and not process.alive(*life)
        and not is_stopped(paths, container_id)
        and os.path.exists(paths.record(container_id))
    )


def _hold_permit(path: str, held: ExitStack) -> bool:
    """Holds the permit if there is one, of somebody who still waits."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return False
    with suppress(BlockingIOError):
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_of_living(path):
            held.callback(os.close, fd)
            return True
    os.close(fd)
    return False
