"""`up` in the foreground: what containers say is shown until all have ended, or until somebody has had enough."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from types import FrameType
from typing import Literal, NamedTuple

from composer.actual.observe import observe, observe_stack
from composer.cli import keys, road
from composer.cli.attaching import Wanted
from composer.cli.following import Following, Manner
from composer.cli.globals import Globals
from composer.cli.text import escape
from composer.desired.names import container_name, short_name
from composer.errors import Interrupted, JockerError, UsageError
from composer.frozen import replace
from composer.model.service import Project
from composer.plan.attention import Attention, Ended, attached, awaited
from composer.plan.order import selected
from composer.plan.policy import Policy
from composer.plan.teardown import plan_stop

_INTERRUPTED = 130
_KILLS = 2
_LEAVES = 3
"""Ctrl-C, counted: the first stops, the second kills, the third leaves."""
_LOOK_EVERY = 0.5
"""Seconds after which we look even if nobody woke us: a signal that another thread was given (it may be, after SIGSTOP)
waits until this one does something.
"""


def up_attached(options: Globals, policy: Policy, wanted: Wanted) -> int:
    """Makes the machine as the stack file says, shows what containers say, and gives the code to end with.

    Raises as `road.up`, `UsageError`, and `KeyboardInterrupt` for who will not wait for the end.
    """
    import gc

    gc.enable()  # we are to live for long
    if os.getpid() == 1:
        from composer.host.reaping import become_a_child

        become_a_child()
    project = road.load(options, policy.services)
    graph = {name: service.depends_on for name, service in project.services.items()}
    coming = selected(graph, policy.services, with_dependencies=not policy.no_deps)
    for option, names in (
        ("--attach", wanted.attach),
        ("--no-attach", wanted.no_attach),
        ("--exit-code-from", (wanted.exit_code_from,) if wanted.exit_code_from else ()),
    ):
        for name in names:
            if name not in coming:
                raise UsageError(f"{option}: no such service comes up: {name}", hint=f"there are: {', '.join(coming)}")
    shown = attached(
        project,
        sorted(coming),
        named=policy.services,
        attach=wanted.attach,
        no_attach=wanted.no_attach,
        with_dependencies=wanted.attach_dependencies,
    )
    watched = frozenset(policy.services) or shown or coming
    attention = Attention(
        watched=watched | ({wanted.exit_code_from} if wanted.exit_code_from else set()),
        abort_on=_abort_on(wanted),
        exit_code_from=wanted.exit_code_from,
        awaited=awaited(project),
    )
    names = _names(project, policy, shown)
    manner = Manner(names=names, colour=wanted.colour, prefix=wanted.prefix, timestamps=wanted.timestamps, split=True)
    if names:
        print(f"Attaching to {escape(', '.join(names))}", flush=True)
    return _Foreground(options, project, policy, attention, shown, manner).run()


def _abort_on(wanted: Wanted) -> Literal["never", "exit", "failure"]:
    if wanted.abort_on_failure:
        return "failure"
    return "exit" if wanted.abort_on_exit or wanted.exit_code_from else "never"


def _names(project: Project, policy: Policy, shown: frozenset[str]) -> tuple[str, ...]:
    """The containers that will be shown, as they are called before their lines."""
    found = []
    for name in shown:
        service = project.services[name]
        for number in range(1, policy.scale.get(name, service.replicas) + 1):
            full = service.container_name or container_name(project.name, name, number)
            found.append(short_name(project.name, full))
    return tuple(sorted(found))


class _Pressed(NamedTuple):
    """Ctrl-C, or SIGTERM."""


class _Stopped(NamedTuple):
    """The stack has been stopped, or not."""

    error: BaseException | None


class _Foreground:
    def __init__(
        self,
        options: Globals,
        project: Project,
        policy: Policy,
        attention: Attention,
        shown: frozenset[str],
        manner: Manner,
    ) -> None:
        if options.progress == "auto":
            options = replace(options, progress="plain")  # lines that stay where they are, among those of containers
        self._options, self._project, self._policy, self._attention = options, project, policy, attention
        self._news: SimpleQueue[Ended | _Pressed | _Stopped] = SimpleQueue()
        self._endings: list[Ended] = []
        self._starting = True
        self._presses = 0
        self._abort_signals = 0
        """Signals that we have sent ourselves: nobody has pressed anything."""
        self._aborting = self._detached = False
        self._stopping = False
        self._lock = threading.Lock()
        self._main = threading.get_ident()
        self._following = Following(
            options,
            project.name,
            shown,
            threading.Lock(),
            watched=attention.watched,
            manner=manner,
            on_end=self._on_end,
        )

    def run(self) -> int:
        following = self._following
        following.quiet_about_old = True
        following.start()
        with self._pressed_counted():
            try:
                self._bring_up()
                if keys.are_heard():
                    print("press d to detach: containers run on", file=sys.stderr)
                    with keys.heard(self._key_pressed):
                        self._watch()
                else:
                    self._watch()
            except KeyboardInterrupt:
                if self._presses < _LEAVES:
                    following.stop()
                raise
            except BaseException:
                following.stop()
                raise
            following.stop()
        if self._presses:
            return _INTERRUPTED
        return 0 if self._detached else self._attention.exit_code(self._endings)

    def _bring_up(self) -> None:
        """Returns when everything is up, or when it is all to end."""
        try:
            try:
                road.up(self._options, self._project, self._policy)
            finally:
                with self._lock:
                    self._starting = False
        except (KeyboardInterrupt, Interrupted):
            if not (self._presses or self._aborting):
                raise
        except JockerError as error:
            self._following.look_now()
            if not (self._aborting or self._presses):
                raise
            _say(escape(error.message))
        self._following.quiet_about_old = False

    def _watch(self) -> None:
        """Until all have ended, by themselves or because they were stopped."""
        while True:
            if (self._presses or self._aborting) and not self._stopping:
                self._begin_to_stop()
            if self._detached and not self._stopping:
                return
            if not self._stopping and not self._any_alive():
                self._following.look_now()
                if not self._aborting:
                    return
                continue
            try:
                news = self._news.get(timeout=_LOOK_EVERY)
            except Empty:
                continue
            if isinstance(news, _Stopped):
                if news.error is not None:
                    raise news.error
                return

    def _key_pressed(self, key: bytes) -> None:
        if key == b"d" and not (self._aborting or self._presses):
            self._detached = True
            self._news.put(_Pressed())

    def _any_alive(self) -> bool:
        found = observe(self._options.paths, self._project.name).containers
        mine = [one for one in found if one.service in self._attention.watched and not one.oneoff]
        return any(one.status.is_alive or one.comes_back for one in mine)

    def _begin_to_stop(self) -> None:
        self._stopping = True
        if self._presses:
            _say("Gracefully stopping... (press Ctrl+C again to force)")
        else:
            _say("Aborting on container exit...")
        threading.Thread(target=self._stop, name="stopping", daemon=True).start()
        if self._presses >= _KILLS:
            self._kill()

    def _stop(self) -> None:
        error: BaseException | None = None
        try:
            options, name = self._options, self._project.name
            with road.stack_lock(options, name, "up"):
                actual = observe_stack(options.paths, name, faults=False)
                known = tuple(self._project.services)
                services = self._policy.services
                road.apply(options, plan_stop(actual, services=services, known=known, timeout=self._policy.timeout))
        except BaseException as caught:  # noqa: BLE001  raised again in the main thread
            error = caught
        self._news.put(_Stopped(error))

    def _kill(self) -> None:
        """Those that are being stopped, at once: whoever stops them finds them ended."""
        threading.Thread(target=self._kill_all, name="killing", daemon=True).start()

    def _kill_all(self) -> None:
        from composer.execute.machine import Machine

        _say("Killing...")
        machine = Machine(self._options.paths, self._options.wanted_runtime())
        services = self._policy.services or tuple(self._project.services)
        for one in observe(self._options.paths, self._project.name).containers:
            if one.service in services and not one.oneoff and one.status.can_signal:
                try:
                    machine.kill_container(one.id, "SIGKILL")
                except JockerError as error:
                    _say(escape(error.message))

    def _on_end(self, ended: Ended) -> None:
        """From the thread that follows."""
        self._endings.append(ended)
        with self._lock:
            if not self._aborting and not self._stopping and self._attention.aborts(ended):
                self._aborting = True
                if self._starting:
                    self._abort_signals += 1
                    signal.pthread_kill(self._main, signal.SIGINT)
        self._news.put(ended)

    @contextmanager
    def _pressed_counted(self) -> Iterator[None]:
        numbers = (signal.SIGINT, signal.SIGTERM)
        previous = {number: signal.signal(number, self._pressed) for number in numbers}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _pressed(self, _number: int, _frame: FrameType | None) -> None:
        if self._abort_signals:
            self._abort_signals -= 1
        else:
            self._presses += 1
            if self._presses >= _LEAVES:
                raise KeyboardInterrupt
            if self._presses == _KILLS and self._stopping:
                self._kill()
        if self._starting:
            raise KeyboardInterrupt
        self._news.put(_Pressed())


def _say(text: str) -> None:
    """Straight to stderr: nothing that waits for a reader keeps a stop from beginning."""
    try:
        os.write(sys.stderr.fileno(), f"{text}\n".encode())
    except OSError:
        return
