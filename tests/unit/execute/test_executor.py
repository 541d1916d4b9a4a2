"""The executor on a machine that only remembers: order, failures, interrupts, workers, events."""

from __future__ import annotations

import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from plancases import Situation, plan_cases
from recorder import DEADLINE, Recorder

from composer.errors import ContainerError, Interrupted, JockerError
from composer.execute.events import Event
from composer.execute.executor import Outcome, default_workers, execute, raise_if_interrupted
from composer.model.service import Retry
from composer.plan.plan import Node, Plan
from composer.plan.steps import (
    AnyStep,
    CreateContainer,
    KillContainer,
    PullImage,
    RemoveContainer,
    RemoveImage,
    RemoveStack,
    StartContainer,
    StopContainer,
    WaitCompleted,
)


def start(container_id: str, retry: Retry | None = None) -> StartContainer:
    return StartContainer(
        subject=f"p-{container_id}", because="test", container_id=container_id, service="s", retry=retry
    )


def wait(container_id: str) -> WaitCompleted:
    return WaitCompleted(subject=f"p-{container_id}", because="test", container_id=container_id)


def plan(*steps: AnyStep | tuple[AnyStep, tuple[int, ...]]) -> Plan:
    """Steps numbered from 1, each alone or with the numbers it waits for."""
    pairs = [step if isinstance(step, tuple) else (step, ()) for step in steps]
    return Plan(nodes=tuple(Node(number, step, after) for number, (step, after) in enumerate(pairs, 1)))


def chain(*names: str) -> Plan:
    return plan(*((start(name), (number,) if number else ()) for number, name in enumerate(names)))


def no_pause(_seconds: float) -> None:
    """No test sleeps."""


def run(what: Plan, host: Recorder, *, workers: int = 4, **given: Any) -> tuple[Outcome, list[Event]]:
    events: list[Event] = []
    outcome = execute(what, host, on_event=events.append, workers=workers, **{"pause": no_pause, **given})
    return outcome, events


def told(events: list[Event]) -> list[tuple[str, int]]:
    return [(event.kind, event.number) for event in events]


def numbers(nodes: tuple[Node, ...]) -> list[int]:
    return sorted(node.number for node in nodes)


# what is done


def test_nothing_to_do_asks_nobody() -> None:
    host = Recorder()
    assert run(Plan(), host) == (Outcome(), [])
    assert host.begun == []


def test_each_step_is_its_call() -> None:
    situation = Situation({"stack": "services: {web: {volumes: [/data]}}", "actual": {}})
    create = next(node.step for node in situation.plan().nodes if isinstance(node.step, CreateContainer))
    host = Recorder()
    steps: list[AnyStep] = [
        PullImage(subject="app", because="", services=("web",)),
        CreateContainer(subject="p-web-1", because="", container=create.container, container_id="c1"),
        CreateContainer(
            subject="p-web-1",
            because="",
            container=create.container,
            container_id="c2",
            replaces="c1",
            volumes={"/data": "v1"},
        ),
        start("c1"),
        StopContainer(subject="", because="", container_id="c1", signal="SIGINT", grace_seconds=2.5),
        KillContainer(subject="", because="", container_id="c1", signal="SIGHUP"),
        RemoveContainer(subject="", because="", container_id="c1"),
        RemoveContainer(subject="", because="", container_id="c2", volumes=True),
        wait("c1"),
        WaitCompleted(subject="", because="", container_id="c2", required=False),
        RemoveStack(subject="p", because=""),
        RemoveImage(subject="app", because=""),
    ]
    run(plan(*((step, (number,) if number else ()) for number, step in enumerate(steps))), host)
    assert host.ended == [
        "pull app",
        "create p-web-1 c1",
        "create p-web-1 c2 for c1 /data=v1",
        "start c1",
        "stop c1 SIGINT 2.5",
        "kill c1 SIGHUP",
        "remove c1",
        "remove c2 volumes",
        "wait c1",
        "wait c2 optional",
        "remove stack p",
        "remove image app",
    ]


def test_a_step_begins_only_when_all_before_it_have_ended() -> None:
    """Over many graphs at random: when a call begins, those it waits for have ended."""
    chance = random.Random(11)
    for _ in range(40):
        size = chance.randrange(2, 14)
        after = [
            tuple(sorted(chance.sample(range(1, number), chance.randrange(0, min(number, 4))))) if number > 1 else ()
            for number in range(1, size + 1)
        ]
        seen: dict[str, set[str]] = {}
        host = Recorder()
        for number in range(1, size + 1):
            host.during[f"start {number}"] = partial(_look, seen, f"start {number}", host)
        outcome, _ = run(plan(*((start(str(number)), needs) for number, needs in enumerate(after, 1))), host)
        assert numbers(outcome.done) == list(range(1, size + 1))
        for number, needs in enumerate(after, 1):
            assert {f"start {need}" for need in needs} <= seen[f"start {number}"]


def _look(seen: dict[str, set[str]], call: str, host: Recorder) -> None:
    seen[call] = set(host.ended)


@pytest.mark.parametrize("case", [case for case in plan_cases() if "error" not in case], ids=lambda case: case["name"])
def test_every_plan_of_the_cases_can_be_carried_out(case: dict[str, Any]) -> None:
    what = Situation(case).plan()
    outcome, _ = run(what, Recorder())
    assert numbers(outcome.done) == [node.number for node in what.nodes]
    assert (outcome.failed, outcome.skipped, outcome.interrupted) == ((), (), False)


# workers


@pytest.mark.parametrize("workers", [2, 3])
def test_as_many_steps_at_once_as_there_are_workers_and_no_more(workers: int) -> None:
    together = threading.Barrier(workers, timeout=DEADLINE)
    names = [str(number) for number in range(workers * 3)]
    host = Recorder(during={f"start {name}": together.wait for name in names})
    run(plan(*map(start, names)), host, workers=workers)
    assert host.most_at_once == workers


def test_one_worker_does_one_after_the_other_in_order() -> None:
    names = [str(number) for number in range(8)]
    host = Recorder()
    run(plan(*map(start, names)), host, workers=1)
    assert host.begun == [f"start {name}" for name in names]
    assert host.most_at_once == 1


def test_a_waiting_branch_does_not_hold_up_another() -> None:
    """`wait` lasts until the other branch has got to its end."""
    reached = threading.Event()
    host = Recorder(during={"wait a": lambda: reached.wait(DEADLINE) or pytest.fail("the other branch stood still")})
    host.during["start d"] = reached.set
    run(plan(wait("a"), start("b"), (start("c"), (2,)), (start("d"), (3,))), host, workers=2)
    assert host.ended[-1] == "wait a"


def test_without_a_number_there_are_at_least_two_workers() -> None:
    assert default_workers() >= 2
    together = threading.Barrier(2, timeout=DEADLINE)
    host = Recorder(during={"start a": together.wait, "start b": together.wait})
    outcome, _ = run(plan(start("a"), start("b")), host, workers=0)
    assert numbers(outcome.done) == [1, 2]


# failures


def test_a_failed_step_stops_what_depends_on_it_and_nothing_else() -> None:
    broken = ContainerError("no room")
    host = Recorder(fails={"start a": [broken]})
    what = plan(
        start("a"), (start("b"), (1,)), (start("c"), (2,)), start("x"), (start("y"), (4,)), (start("z"), (2, 5))
    )
    outcome, events = run(what, host, workers=1)
    assert [(node.number, error) for node, error in outcome.failed] == [(1, broken)]
    assert numbers(outcome.done) == [4, 5]
    assert numbers(outcome.skipped) == [2, 3, 6]
    assert host.begun == ["start a", "start x", "start y"]
    skipped = [event for event in events if event.kind == "skipped"]
    assert {event.number: event.detail for event in skipped} == dict.fromkeys((2, 3, 6), "needs step #1, which failed")


def test_two_failures_are_both_told() -> None:
    host = Recorder(fails={"start a": [ContainerError("one")], "start b": [ContainerError("two")]})
    outcome, events = run(plan(start("a"), start("b"), (start("c"), (1, 2))), host)
    assert sorted(error.message for _, error in outcome.failed) == ["one", "two"]
    assert sorted(event.detail for event in events if event.kind == "failed") == ["one", "two"]
    assert numbers(outcome.skipped) == [3]


def test_a_refusal_of_the_kernel_is_a_failure_with_the_name_of_the_container() -> None:
    host = Recorder(fails={"start a": [PermissionError(13, "Permission denied", "/sys/x")]})
    outcome, _ = run(plan(start("a"), start("b")), host)
    assert outcome.failed[0][1].message == "p-a: Permission denied (/sys/x)"
    assert numbers(outcome.done) == [2]


def test_a_mistake_of_ours_is_not_taken_for_a_failure_and_leaves_no_step_half_done() -> None:
    """It is raised, but only when the steps that were running have ended."""
    other_runs = threading.Event()

    def first() -> None:
        assert other_runs.wait(DEADLINE)

    def last() -> None:
        other_runs.set()
        until_main_rests_in("dismiss")

    host = Recorder(fails={"start a": [RuntimeError("a bug")]}, during={"start a": first, "start b": last})
    with pytest.raises(RuntimeError, match="a bug"):
        run(plan(start("a"), start("b"), (start("c"), (1,))), host, workers=2)
    assert host.ended == ["start b"]


# patience


def transient(text: str) -> JockerError:
    return JockerError(text, transient=True)


def test_what_is_transient_is_tried_again_until_it_works() -> None:
    pauses: list[float] = []
    host = Recorder(fails={"start a": [transient("busy"), transient("still busy")]})
    outcome, events = run(chain("a", "b"), host, pause=pauses.append)
    assert host.begun == ["start a"] * 3 + ["start b"]
    assert numbers(outcome.done) == [1, 2]
    assert [(e.kind, e.detail, e.attempt, e.attempts) for e in events if e.number == 1] == [
        ("started", "", 0, 0),
        ("retrying", "busy", 2, 5),
        ("retrying", "still busy", 3, 5),
        ("done", "", 0, 0),
    ]
    assert len(pauses) == 2
    assert 0.1 <= pauses[0] <= 0.2
    assert 0.2 <= pauses[1] <= 0.3


def test_after_five_attempts_the_last_failure_is_told() -> None:
    host = Recorder(fails={"start a": [transient(f"busy {number}") for number in range(1, 9)]})
    outcome, events = run(chain("a", "b"), host)
    assert host.begun == ["start a"] * 5
    assert [error.message for _, error in outcome.failed] == ["busy 5"]
    assert told(events) == [("started", 1), *[("retrying", 1)] * 4, ("failed", 1), ("skipped", 2)]


def test_what_is_not_transient_is_not_tried_again() -> None:
    pauses: list[float] = []
    host = Recorder(fails={"start a": [ContainerError("no")], "start b": [transient("busy"), ContainerError("no")]})
    outcome, _ = run(plan(start("a"), start("b")), host, workers=1, pause=pauses.append)
    assert host.begun == ["start a", "start b", "start b"]
    assert len(outcome.failed) == 2
    assert len(pauses) == 1


def test_a_retry_of_the_container_itself_is_told_as_one() -> None:
    _, events = run(plan(start("a", Retry(attempts=3))), Recorder())
    assert [(event.kind, event.detail, event.attempt, event.attempts) for event in events] == [
        ("started", "", 0, 0),
        ("retrying", "it died", 2, 3),
        ("done", "", 0, 0),
    ]


# events


def test_events_tell_each_step_from_begin_to_end() -> None:
    host = Recorder(says={"stop a SIGTERM 10": "killed"})
    what = plan(
        PullImage(subject="app", because="", services=()),
        (StopContainer(subject="", because="", container_id="a", signal="SIGTERM", grace_seconds=10), (1,)),
    )
    _, events = run(what, host)
    assert [(event.kind, event.number, event.detail) for event in events] == [
        ("started", 1, ""),
        ("progress", 1, "1/2 MB"),
        ("done", 1, ""),
        ("started", 2, ""),
        ("done", 2, "killed"),
    ]
    assert all(event.step is what.nodes[event.number - 1].step for event in events)
    assert all(event.seconds > 0 for event in events if event.kind == "done")


def test_events_come_one_at_a_time() -> None:
    inside, overlaps = threading.Lock(), []
    together = threading.Barrier(4, timeout=DEADLINE)
    names = [str(number) for number in range(12)]
    host = Recorder(during={f"start {name}": together.wait for name in names})

    def on_event(event: Event) -> None:
        if not inside.acquire(blocking=False):
            overlaps.append(event)
            return
        time.sleep(0)  # lets another thread in, if one could come
        inside.release()

    execute(plan(*map(start, names)), host, on_event=on_event, workers=4)
    assert overlaps == []


# Ctrl-C


@pytest.fixture(autouse=True)
def _ctrl_c_is_heard() -> Iterator[None]:
    """A shell starts what runs in its background with Ctrl-C ignored; the tests send it all the same."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupt() -> None:
    """Ctrl-C, once the main thread waits for a step to end."""
    main = threading.main_thread().ident
    assert main is not None
    until_main_rests_in("ended", on_top=True)
    signal.pthread_kill(main, signal.SIGINT)


def until_main_rests_in(function: str, *, on_top: bool = False) -> None:
    """Returns when the main thread has stood at one place inside a function for five looks."""
    deadline = time.monotonic() + DEADLINE
    looks: list[tuple[str, int] | None] = []
    while len(looks) < 5 or looks[-1] is None or len({*looks[-5:]}) > 1:
        assert time.monotonic() < deadline, f"the main thread never waited in {function}"
        looks.append(_place_of_main(function, on_top=on_top))
        time.sleep(0.001)


def _place_of_main(function: str, *, on_top: bool) -> tuple[str, int] | None:
    top = frame = sys._current_frames().get(threading.main_thread().ident or 0)
    while frame is not None and frame.f_code.co_name != function and not on_top:
        frame = frame.f_back
    if frame is None or top is None or frame.f_code.co_name != function:
        return None
    return top.f_code.co_name, top.f_lasti


def after_interrupt(host: Recorder) -> Callable[[], None]:
    """Interrupts, and goes on when the executor has noticed."""

    def act() -> None:
        interrupt()
        assert host.interrupted.wait(DEADLINE), "the machine was not told"

    return act


def test_ctrl_c_lets_what_runs_end_and_begins_nothing_else() -> None:
    host = Recorder()
    host.during["start a"] = after_interrupt(host)
    asked: list[int] = []
    outcome, events = run(chain("a", "b", "c"), host, on_interrupt=asked.append)
    assert host.ended == ["start a"]
    assert asked == [1]
    assert outcome.interrupted
    assert (numbers(outcome.done), numbers(outcome.skipped)) == ([1], [2, 3])
    assert told(events) == [("started", 1), ("done", 1)]
    with pytest.raises(Interrupted) as caught:
        raise_if_interrupted(outcome)
    assert caught.value.exit_code == 130


def test_ctrl_c_ends_a_wait_that_would_last() -> None:
    host = Recorder(fails={"wait a": [Interrupted("interrupted")]})
    host.during["wait a"] = after_interrupt(host)
    outcome, _ = run(plan(wait("a"), (start("b"), (1,))), host)
    assert outcome.interrupted
    assert host.begun == ["wait a"]
    assert numbers(outcome.done) == []


def test_a_second_ctrl_c_leaves_at_once() -> None:
    """The step goes on for ever; execute must not wait for it."""
    host, release = Recorder(), threading.Event()
    left: list[str] = []

    def hang() -> None:
        interrupt()
        assert host.interrupted.wait(DEADLINE)
        interrupt()
        release.wait(DEADLINE)
        left.append("released")

    host.during["start a"] = hang
    try:
        with pytest.raises(KeyboardInterrupt):
            run(chain("a", "b"), host)
        assert left == []
    finally:
        release.set()
        for thread in threading.enumerate():
            if thread.name.startswith("step"):
                thread.join(DEADLINE)
    assert host.begun == ["start a"]


def test_a_failure_after_ctrl_c_is_still_told() -> None:
    host = Recorder(fails={"start a": [ContainerError("no")]})
    host.during["start a"] = after_interrupt(host)
    outcome, events = run(chain("a", "b"), host)
    assert [error.message for _, error in outcome.failed] == ["no"]
    assert numbers(outcome.skipped) == [2]
    assert ("failed", 1) in told(events)


def test_who_was_not_interrupted_goes_on() -> None:
    raise_if_interrupted(Outcome())
