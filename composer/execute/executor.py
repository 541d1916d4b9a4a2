"""Walks a plan in parallel along its DAG. Decides nothing: a failed step stops what depends on it, and only that."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING

from composer.errors import Interrupted, JockerError
from composer.execute.events import Event
from composer.frozen import frozen
from composer.plan.plan import Node, Plan

if TYPE_CHECKING:
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
    `on_interrupt` in turn with that, with the number of those that run, lets them end, and gives an outcome with
    `interrupted`; a second Ctrl-C raises `KeyboardInterrupt` at once. `pause` spends the seconds between two
    attempts of a step.
    """
    if not plan.nodes:
        return Outcome()
    telling = threading.Lock()

    def tell(event: Event) -> None:
        with telling:
            on_event(event)

    waiting = {node.number: node for node in plan.nodes}
    finished: set[int] = set()
    lost: dict[int, int] = {}
    progress = _Progress()
    crew = _Crew(min(workers or default_workers(), len(plan.nodes)), lambda node: _perform(node, host, tell, pause))
    interrupted = is_left = False
    try:
        while True:
            try:
                if interrupted:
                    waiting.update({node.number: node for node in crew.take_back()})
                else:
                    _skip(waiting, lost, progress, tell)
                    for node in [node for node in waiting.values() if finished.issuperset(node.after)]:
                        crew.hand(node)
                        waiting.pop(node.number, None)
                if not crew.busy:
                    break
                for node, error in crew.ended():
                    _note_end(node, error, finished, lost, progress)
            except KeyboardInterrupt:
                if interrupted:
                    is_left = True
                    raise
                interrupted = is_left = True
                host.interrupt()
                with telling:
                    on_interrupt(len(crew.busy))
                is_left = False
    finally:
        # After a mistake of ours (any other exception) the steps that run may end, too.
        crew.take_back()
        crew.dismiss(wait=not is_left)
    known = finished | lost.keys()  # Ctrl-C may have struck between handing a step out and noting it
    progress.skipped.extend(node for node in waiting.values() if node.number not in known)
    return Outcome(
        done=tuple(progress.done),
        failed=tuple(progress.failed),
        skipped=tuple(progress.skipped),
        interrupted=interrupted,
    )


class _Crew:
    """Threads that perform nodes. Ctrl-C may strike anywhere in the methods, which run in the main thread: nothing is
    lost by it, because what is taken from `_woken` only wakes and who has ended stands in `_results`.

    Not `concurrent.futures`: that loads `logging`, 6 ms, and its `wait` leaves a lock behind when Ctrl-C strikes.
    """

    def __init__(self, size: int, perform: Callable[[Node], JockerError | None]) -> None:
        self._perform = perform
        self._tasks: SimpleQueue[Node | None] = SimpleQueue()
        self._woken: SimpleQueue[None] = SimpleQueue()
        self._results: dict[int, JockerError | BaseException | None] = {}
        self.busy: dict[int, Node] = {}
        """What was handed out and has not been seen to end."""
        self._threads = [Thread(target=self._work, name=f"step-{number}", daemon=True) for number in range(size)]
        for thread in self._threads:
            thread.start()

    def _work(self) -> None:
        while (node := self._tasks.get()) is not None:
            try:
                self._results[node.number] = self._perform(node)
            except BaseException as mistake:  # noqa: BLE001  raised again in the main thread
                self._results[node.number] = mistake
            self._woken.put(None)

    def hand(self, node: Node) -> None:
        if node.number not in self.busy:
            self.busy[node.number] = node
            self._tasks.put(node)

    def take_back(self) -> list[Node]:
        """What was handed out and not begun."""
        taken = []
        with suppress(Empty):
            while True:
                node = self._tasks.get_nowait()
                if node is not None:
                    taken.append(node)
                    self.busy.pop(node.number, None)
        return taken

    def ended(self) -> Iterator[tuple[Node, JockerError | None]]:
        """Waits until something has ended, or a while. Raises what a node raised that is no failure of a step."""
        with suppress(Empty):
            self._woken.get(timeout=_LOOK_EVERY)
        for number in [number for number in self.busy if number in self._results]:
            result = self._results[number]
            if isinstance(result, BaseException) and not isinstance(result, JockerError):
                raise result
            yield self.busy[number], result
            del self.busy[number]

    def dismiss(self, *, wait: bool) -> None:
        for _ in self._threads:
            self._tasks.put(None)
        for thread in self._threads if wait else ():
            thread.join()


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
        from composer.host.refusals import told

        wrapped = told(error, node.step.subject)
        tell(Event("failed", node.number, node.step, detail=wrapped.message, seconds=time.monotonic() - began))
        return wrapped
    tell(Event("done", node.number, node.step, detail=detail, seconds=time.monotonic() - began))
    return None


def raise_if_interrupted(outcome: Outcome) -> None:
    """Raises `Interrupted` for an outcome that was."""
    if outcome.interrupted:
        raise Interrupted("interrupted: what was begun is done, the rest is not")
