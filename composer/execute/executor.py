"""Walks a plan in parallel along its DAG. Decides nothing: a failed step stops what depends on it, and only that."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from composer.errors import Interrupted, JockerError
from composer.execute.events import Event
from composer.frozen import frozen
from composer.plan.plan import Node, Plan

if TYPE_CHECKING:
    from concurrent.futures import Future

    from composer.execute.perform import Host

OnEvent = Callable[[Event], None]
OnInterrupt = Callable[[int], None]

_LOOK_EVERY = 1.0
"""Seconds after which we look who has ended even if nobody woke us: Ctrl-C may have struck before the bell was hung."""


@frozen
class Outcome:
    """How a plan went. `failed` pairs each failed node with its error, in the order of failing."""

    done: tuple[Node, ...] = ()
    failed: tuple[tuple[Node, JockerError], ...] = ()
    skipped: tuple[Node, ...] = ()
    interrupted: bool = False


class _Progress:
    def __init__(self) -> None:
        self.done: list[Node] = []
        self.failed: list[tuple[Node, JockerError]] = []
        self.skipped: list[Node] = []


def default_workers() -> int:
    """Making containers is bound by the processor: more than two per core gains nothing (measured)."""
    return max(2, 2 * len(os.sched_getaffinity(0)))


def execute(
    plan: Plan,
    host: Host,
    *,
    on_event: OnEvent,
    on_interrupt: OnInterrupt = lambda _: None,
    workers: int = 0,
    pause: Callable[[float], None] = time.sleep,
) -> Outcome:
    """Performs the plan on `host`; `workers` steps at once at most (0: what suits the machine).

    `on_event` is called from this thread and from workers, one call at a time. Ctrl-C stops handing out steps, calls
    `on_interrupt` with the number of those that run, lets them end, and gives an outcome with `interrupted`; a second
    Ctrl-C raises `KeyboardInterrupt` at once. `pause` spends the seconds between two attempts of a step.
    """
    if not plan.nodes:
        return Outcome()
    from concurrent.futures import ThreadPoolExecutor
    from queue import Empty, SimpleQueue

    tell = _one_at_a_time(on_event)
    waiting = {node.number: node for node in plan.nodes}
    finished: set[int] = set()
    lost: dict[int, int] = {}
    progress = _Progress()
    running: dict[Future[JockerError | None], Node] = {}
    # Not `futures.wait`: Ctrl-C in the midst of it leaves a lock that the worker waits for. What is taken from this
    # queue only wakes; who has ended is asked anew, so nothing is lost wherever Ctrl-C strikes.
    woken: SimpleQueue[object] = SimpleQueue()
    interrupted = is_left = False
    pool = ThreadPoolExecutor(workers or default_workers(), thread_name_prefix="step")
    try:
        while True:
            try:
                if not interrupted:
                    _skip(waiting, lost, progress, tell)
                    for node in [node for node in waiting.values() if finished.issuperset(node.after)]:
                        future = pool.submit(_perform, node, host, tell, pause)
                        running[future] = node
                        del waiting[node.number]
                        future.add_done_callback(woken.put)
                if not running:
                    break
                with suppress(Empty):
                    woken.get(timeout=_LOOK_EVERY)
                for future in [one for one in running if one.done()]:
                    _note_end(running[future], future.result(), finished, lost, progress)
                    del running[future]
            except KeyboardInterrupt:
                if interrupted:
                    is_left = True
                    raise
                interrupted = True
                host.interrupt()
                on_interrupt(len(running))
    finally:
        # After a mistake of ours (any other exception) the steps that run may end, too.
        pool.shutdown(wait=not is_left, cancel_futures=True)
    progress.skipped.extend(waiting.values())
    return Outcome(
        done=tuple(progress.done),
        failed=tuple(progress.failed),
        skipped=tuple(progress.skipped),
        interrupted=interrupted,
    )


def _note_end(
    node: Node, error: JockerError | None, finished: set[int], lost: dict[int, int], progress: _Progress
) -> None:
    if error is None:
        finished.add(node.number)
        progress.done.append(node)
    else:
        lost[node.number] = node.number
        progress.failed.append((node, error))


def _skip(waiting: dict[int, Node], lost: dict[int, int], progress: _Progress, tell: OnEvent) -> None:
    """Takes out what waits for something that will never be done; `lost` maps each to the failure it goes back to."""
    for node in list(waiting.values()):
        cause = next((lost[number] for number in node.after if number in lost), None)
        if cause is not None:
            del waiting[node.number]
            lost[node.number] = cause
            progress.skipped.append(node)
            tell(Event("skipped", node.number, node.step, detail=f"needs step #{cause}, which failed"))


def _perform(node: Node, host: Host, tell: OnEvent, pause: Callable[[float], None]) -> JockerError | None:
    from composer.execute.perform import perform
    from composer.execute.retry import with_patience

    began = time.monotonic()
    tell(Event("started", node.number, node.step))

    def retrying(attempt: int, attempts: int, why: str) -> None:
        tell(Event("retrying", node.number, node.step, detail=why, attempt=attempt, attempts=attempts))

    def progressing(detail: str) -> None:
        tell(Event("progress", node.number, node.step, detail=detail))

    try:
        detail = with_patience(lambda: perform(node.step, host, progressing, retrying), retrying, pause=pause)
    except JockerError as error:
        tell(Event("failed", node.number, node.step, detail=error.message, seconds=time.monotonic() - began))
        return error
    except OSError as error:
        wrapped = JockerError(f"{node.step.subject}: {error.strerror or error} ({error.filename or 'no file named'})")
        tell(Event("failed", node.number, node.step, detail=wrapped.message, seconds=time.monotonic() - began))
        return wrapped
    tell(Event("done", node.number, node.step, detail=detail, seconds=time.monotonic() - began))
    return None


def _one_at_a_time(on_event: OnEvent) -> OnEvent:
    lock = threading.Lock()

    def tell(event: Event) -> None:
        with lock:
            on_event(event)

    return tell


def raise_if_interrupted(outcome: Outcome) -> None:
    """Raises `Interrupted` for an outcome that was."""
    if outcome.interrupted:
        raise Interrupted("interrupted: what was begun is done, the rest is not")
