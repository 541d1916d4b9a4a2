"""The supervisor's loop: who is watched, what is due, what has happened. All decisions are those of `plan.health` and
`plan.restart`."""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from composer.actual.state import Status
from composer.desired.life import life_from_json
from composer.errors import JockerError
from composer.execute import restarting
from composer.host import records
from composer.host.files import write_json
from composer.host.log_sizes import trim
from composer.host.runtime import Runtime
from composer.host.state import FirstProcess, Snapshot, first_process, health_file, snapshot
from composer.host.supervising import EVERYTHING
from composer.model.life import Check
from composer.paths import Paths
from composer.plan.health import Health, Probe, after, begin, from_json, to_json
from composer.plan.restart import GiveUp, Past
from composer.supervisor.again import DONE, LOADING_TAKES, fork
from composer.supervisor.probing import Place, Running

_LONGEST_SLEEP = 30.0
_TRIM_EVERY = 10.0
"""Seconds between two looks whether logs are due for rotation."""
_NO_LIFE = FirstProcess(0, 0)
_PAUSED_FOR = 0.5
"""Seconds until we look again at a container that is paused."""


class Watched:
    """One life of one container."""

    def __init__(self, record: Mapping[str, Any], first: FirstProcess, check: Check | None, fd: int) -> None:
        self.record, self.first, self.check, self.fd = record, first, check, fd
        self.health: Health | None = None
        self.probe: Running | None = None


class Ended:
    """A container that has ended and is started again; `pid` and `fd` are of the process that does it."""

    def __init__(self, record: Mapping[str, Any], life: FirstProcess, due: float, past: Past) -> None:
        self.record, self.life, self.due, self.past = record, life, due, past
        self.pid, self.fd = 0, -1


class Supervisor:
    """Supervises one stack, from one thread. `bell` is the fifo on which commands tell what they have started, `lock`
    what makes it the only one.
    """

    def __init__(self, paths: Paths, project: str, bell: int, lock: int) -> None:
        self._paths, self._project, self._bell, self._lock = paths, project, bell, lock
        self._trimmed = time.monotonic()
        self._ended: dict[str, Ended] = {}
        self._children: dict[int, Ended] = {}
        self._watched: dict[str, Watched] = {}
        self._poll = select.epoll()
        self._poll.register(bell, select.EPOLLIN)
        self._by_fd: dict[int, tuple[str, Watched]] = {}

    def run(self) -> None:
        """Returns when there is nothing left to supervise."""
        self._look_at_all()
        while self._has_something() or not self._has_nothing_to_do():
            for fd, _ in self._poll.poll(self._until_next()):
                if fd == self._bell:
                    self._answer()
                elif fd in self._by_fd:
                    self._happened(fd, *self._by_fd[fd])
                elif fd in self._children:
                    self._restarted(self._children.pop(fd))
            self._do_what_is_due()
            self._trim_logs()

    def _trim_logs(self) -> None:
        now = time.monotonic()
        if now >= self._trimmed + _TRIM_EVERY:
            self._trimmed = now
            trim(self._paths, tuple(self._watched))

    def _has_something(self) -> bool:
        return bool(self._watched or self._ended or self._children)

    def _has_nothing_to_do(self) -> bool:
        """Closes the ears first: who starts a container from here on finds nobody, and starts another supervisor."""
        self._poll.unregister(self._bell)
        os.close(self._bell)
        self._look_at_all()
        if not self._has_something():
            return True
        self._bell = os.open(f"{self._paths.supervision(self._project)}/bell", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._poll.register(self._bell, select.EPOLLIN)
        self._look_at_all()
        return False

    def _answer(self) -> None:
        words = set(os.read(self._bell, 65536).decode(errors="replace").split())
        if EVERYTHING in words or any(len(word) != 64 for word in words):
            self._look_at_all()
            return
        for container_id in words:
            self._look_at(records.read(self._paths, container_id))

    def _look_at_all(self) -> None:
        for record in records.every(self._paths):
            self._look_at(record)

    def _look_at(self, record: Mapping[str, Any] | None) -> None:
        """Begins to watch a container that runs and is to be watched; a new life of one is another."""
        if record is None or record.get("project") != self._project or not isinstance(record.get("spec"), dict):
            return
        try:
            life = life_from_json({name: record["spec"].get(name) for name in ("healthcheck", "restart")})
        except (TypeError, ValueError) as error:
            _say(f"{record.get('name')}: its record is damaged: {error}")
            return
        container_id = record["id"]
        first = first_process(self._paths, container_id)
        if first is None and life.get("restart") and restarting.past(self._paths, self._project, container_id).restarts:
            first = _NO_LIFE  # it could not be started again, and is not given up
        known = self._watched.get(container_id)
        if not life or first is None or (known is not None and known.first == first):
            return
        if known is not None:
            self._forget(known)
        seen = snapshot(self._paths, record)
        if not seen.status.is_alive:
            if seen.status is Status.EXITED and life.get("restart"):
                self._settle(record, first, seen)
            return
        self._ended.pop(container_id, None)
        with suppress(ProcessLookupError):
            one = Watched(record, first, life.get("healthcheck"), os.pidfd_open(first.pid))
            self._watched[container_id] = one
            self._listen(one.fd, "end", one)
            if one.check is not None:
                self._begin(one, seen.started_at)

    def _begin(self, one: Watched, started_at: float) -> None:
        place, now = self._place(one), time.time()
        place.sweep()
        found = health_file(self._paths, one.record, one.first)
        one.health = (from_json(found) if found else None) or begin(started_at or now, now)

    def _place(self, one: Watched) -> Place:
        return Place(self._paths, self._project, one.record["id"])

    def _listen(self, fd: int, what: str, one: Watched) -> None:
        self._by_fd[fd] = (what, one)
        self._poll.register(fd, select.EPOLLIN)

    def _deafen(self, fd: int) -> None:
        if self._by_fd.pop(fd, None):
            self._poll.unregister(fd)

    def _happened(self, fd: int, what: str, one: Watched) -> None:
        if what == "end":
            self._forget(one)
            self._look_at(records.read(self._paths, one.record["id"]))
        elif what == "output" and one.probe is not None:
            if not one.probe.read():
                self._deafen(fd)
        elif what == "probe":
            self._take_result(one)

    def _settle(self, record: Mapping[str, Any], life: FirstProcess, seen: Snapshot) -> None:
        """Decides about a container that has ended, once for each life."""
        container_id = record["id"]
        known = self._ended.get(container_id)
        if known is not None and (known.life == life or known.pid):
            return
        found = restarting.verdict(self._paths, record, seen)
        if isinstance(found, GiveUp):
            self._ended.pop(container_id, None)
            return
        waited = min(found.wait, max(0.0, time.time() - seen.finished_at)) if seen.finished_at else 0.0
        self._ended[container_id] = Ended(record, life, time.monotonic() + found.wait - waited, found.past)
        code = "?" if seen.exit_code is None else seen.exit_code
        _say(f"{record['name']} has ended with {code}: again in {found.wait:g} s, for the {found.past.restarts}. time")

    def _start_again(self, one: Ended) -> None:
        one.pid = fork(self._paths, one.record, one.life, one.due, one.past, (self._bell, self._lock))
        one.fd = os.pidfd_open(one.pid)
        self._children[one.fd] = one
        self._poll.register(one.fd, select.EPOLLIN)

    def _restarted(self, one: Ended) -> None:
        """The process has ended. What could not be started is an end like any other."""
        self._poll.unregister(one.fd)
        os.close(one.fd)
        code = os.waitstatus_to_exitcode(os.waitpid(one.pid, 0)[1])
        container_id = one.record["id"]
        if self._ended.get(container_id) is one:
            del self._ended[container_id]
        self._look_at(records.read(self._paths, container_id))
        if code != DONE and (late := self._ended.get(container_id)) is not None:
            late.due = time.monotonic() + late.past.wait  # counted from now, not from the end

    def _take_result(self, one: Watched) -> None:
        if one.probe is None:
            return
        self._deafen(one.probe.fd)
        self._deafen(one.probe.output_fd)
        found, one.probe = one.probe.result(), None
        self._judge(one, found)

    def _judge(self, one: Watched, found: Probe) -> None:
        if one.check is None or one.health is None or not self._is_alive(one):
            return
        before = one.health.state
        one.health = after(one.health, found, one.check, time.time())
        if one.health.state != before:
            _say(f"{one.record['name']} is {one.health.state}")
        path = f"{self._paths.supervision(self._project)}/{one.record['id']}.health"
        write_json(path, {**to_json(one.health), "life": list(one.first)}, sync=False)

    def _is_alive(self, one: Watched) -> bool:
        return not select.select([one.fd], [], [], 0)[0]

    def _forget(self, one: Watched) -> None:
        self._deafen(one.fd)
        if one.probe is not None:
            self._deafen(one.probe.fd)
            self._deafen(one.probe.output_fd)
            one.probe.abandon()
        os.close(one.fd)
        self._place(one).forget()
        if self._watched.get(one.record["id"]) is one:
            del self._watched[one.record["id"]]

    def _until_next(self) -> float:
        """Seconds until something is due."""
        now, ticks = time.time(), time.monotonic()
        waits = [_LONGEST_SLEEP]
        waits += [one.due - LOADING_TAKES - ticks for one in self._ended.values() if not one.pid]
        for one in self._watched.values():
            if one.probe is not None:
                waits.append(one.probe.deadline - ticks)
            elif one.health is not None:
                waits.append(one.health.due - now)
        return max(0.0, min(waits))

    def _do_what_is_due(self) -> None:
        now, ticks = time.time(), time.monotonic()
        for ended in list(self._ended.values()):
            if not ended.pid and ticks >= ended.due - LOADING_TAKES:
                self._start_again(ended)
        for one in list(self._watched.values()):
            if one.probe is not None:
                if ticks >= one.probe.deadline:
                    one.probe.stop()
            elif one.health is not None and one.check is not None:
                # The clock of the machine may have been set back meanwhile.
                if one.health.due > now + max(one.check.interval, one.check.start_interval):
                    one.health = one.health._replace(due=now)
                if now >= one.health.due:
                    self._probe(one, one.check, one.health)

    def _probe(self, one: Watched, check: Check, health: Health) -> None:
        if snapshot(self._paths, one.record).status is Status.PAUSED:
            one.health = health._replace(due=time.time() + _PAUSED_FOR)
            return
        place = self._place(one)
        try:
            if not os.path.exists(place.description):
                place.describe(check)
            runtime = Runtime.chosen(self._paths, self._environment(one))
            one.probe = Running(place, runtime, check)
        except FileNotFoundError:  # it is being removed, and its end is about to be told
            one.health = health._replace(due=time.time() + _PAUSED_FOR)
        except (JockerError, OSError) as error:
            now = time.time()
            self._judge(one, Probe(now, now, -1, str(error)))
        else:
            self._listen(one.probe.fd, "probe", one)
            self._listen(one.probe.output_fd, "output", one)

    @staticmethod
    def _environment(one: Watched) -> Mapping[str, str]:
        own = one.record["spec"].get("runtime")
        return {"JOCKER_RUNTIME": own} if own else os.environ


def _say(text: str) -> None:
    """Into the supervisor's log."""
    sys.stderr.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S')} {text}\n")
