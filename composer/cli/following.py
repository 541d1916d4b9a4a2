"""The output of a stack's containers as it comes, and their ends, beside whatever else a command does."""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import cycle
from threading import Event, Lock, Thread
from typing import TextIO

from composer.actual.observe import observe
from composer.actual.state import ActualContainer, Status
from composer.cli.globals import Globals
from composer.cli.text import escape, is_terminal, wants_colour
from composer.desired.names import short_name
from composer.frozen import frozen
from composer.host import logs
from composer.host.logs import LogLine
from composer.plan.attention import Ended

_LOOK_EVERY = 1.0
"""Seconds after which we look who lives even if nothing woke us."""
_LOOK_AGAIN_AFTER = 0.2
"""Seconds between two looks, while all that comes is output."""
_LONGEST_LINE = 1 << 20
"""Bytes after which a line that does not end is shown as far as it has come."""
_COLOURS = ("36", "33", "32", "35", "34", "96", "93", "92", "95", "94")
_SHOWN = frozenset({"", "file", "json-file", "k8s-file", "local"})


@frozen
class Manner:
    """How output is shown. `names` are those expected: their prefixes are equally long. `split`: what containers say
    on stderr goes to ours.
    """

    names: tuple[str, ...] = ()
    colour: bool = True
    prefix: bool = True
    timestamps: bool = False
    split: bool = False


class Following(Thread):
    """Shows what containers of the services `shown` write from now on, also those that are yet to be made, line by line
    under `output`; and tells of the ends of these and of the `watched` ones, `on_end` too, from this thread. `stop`
    shows the rest and returns.
    """

    def __init__(
        self,
        options: Globals,
        project: str,
        shown: frozenset[str],
        output: Lock,
        *,
        watched: frozenset[str] = frozenset(),
        manner: Manner = Manner(),  # noqa: B008  a value
        on_end: Callable[[Ended], None] = lambda _: None,
    ) -> None:
        super().__init__(name="following", daemon=True)
        self._paths, self._project, self._output = options.paths, project, output
        self._shown, self._watched, self._manner, self._on_end = shown, shown | watched, manner, on_end
        self._logs, self._places = logs.Follower(), logs.Follower()
        self._ended = Event()
        self._looking = Lock()
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        ansi = options.ansi if manner.colour else "never"
        self._colours = cycle(_COLOURS if wants_colour(ansi=ansi) else ("",))
        self._width = max(map(len, manner.names), default=0)
        self._prefixes: dict[str, bytes] = {}
        self._open: dict[tuple[str, str], LogLine] = {}
        """The beginnings of lines, by container and stream."""
        self._pids: dict[int, str] = {}
        """Descriptors of first processes, and whose they are."""
        self._lives: dict[str, tuple[ActualContainer, bool]] = {}
        """Each container as last seen, and whether its end has been told."""
        self.quiet_about_old = False
        """Whether those that ran at the beginning may end without a word: `up` replaces them."""
        self._old: frozenset[tuple[str, float]] = frozenset()
        os.makedirs(self._paths.containers, mode=0o700, exist_ok=True)
        self._places.watch(self._paths.containers)
        self._look(is_first=True)
        self._old = frozenset((one.id, one.started_at) for one, _ in self._lives.values())

    def run(self) -> None:
        looked = time.monotonic()
        while not self._ended.is_set():
            urgent = self._wait()
            self._show()
            if urgent or time.monotonic() - looked > _LOOK_AGAIN_AFTER:
                self._look()
                self._show()
                looked = time.monotonic()

    def stop(self) -> None:
        """Ends it; what has been written until now is shown."""
        self._ended.set()
        with suppress(BlockingIOError):
            os.write(self._wake_write, b"\0")
        self.join()
        self._look()
        self._show()
        for source in tuple(self._open):
            self._flush(*source)
        for fd in (*self._pids, self._wake_read, self._wake_write):
            os.close(fd)
        self._logs.close()
        self._places.close()

    def look_now(self) -> None:
        """Tells every end until now, from the caller's thread."""
        self._look()

    def _wait(self) -> bool:
        """Until something happens, or a while; True if that may be more than output."""
        waiting = select.poll()
        for fd in (self._logs.fileno(), self._places.fileno(), self._wake_read, *self._pids):
            waiting.register(fd, select.POLLIN)
        ready = [fd for fd, _ in waiting.poll(_LOOK_EVERY * 1000)]
        self._logs.wait(0)
        self._places.wait(0)
        with suppress(BlockingIOError):
            os.read(self._wake_read, 4096)
        return not ready or ready != [self._logs.fileno()]

    def _look(self, *, is_first: bool = False) -> None:
        with self._looking:
            self._take_in(is_first=is_first)

    def _take_in(self, *, is_first: bool) -> None:
        """Whoever is new, and tells who has ended."""
        found = {one.id: one for one in observe(self._paths, self._project).containers if self._is_meant(one)}
        for one in found.values():
            if one.id not in self._prefixes and self._is_readable(one):
                self._logs.add(self._paths.log(one.id), from_end=is_first)
                self._prefixes[one.id] = self._prefix(one)
            self._places.watch(self._paths.exit_dir(one.id))
        for container_id in tuple(self._lives):
            if container_id not in found:
                gone, is_told = self._lives.pop(container_id)
                if not is_told and gone.started_at:
                    self._tell(gone, None)
        for one in found.values():
            known = self._lives.get(one.id)
            is_over = one.status is Status.EXITED and one.started_at > 0
            is_told = is_first or (known is not None and known[1] and known[0].started_at == one.started_at)
            self._lives[one.id] = one, is_over
            if is_over and not is_told:
                self._tell(one, one.exit_code)
        self._hold_processes(found)
        logs.rotate(self._paths, [one.id for one in found.values() if one.status.is_alive])

    def _hold_processes(self, found: dict[str, ActualContainer]) -> None:
        for fd in self._pids:
            os.close(fd)
        self._pids = {}
        for one in found.values():
            if one.status.is_alive:
                with suppress(ProcessLookupError):
                    self._pids[os.pidfd_open(one.pid)] = one.id

    def _tell(self, one: ActualContainer, code: int | None) -> None:
        self._show()
        for stream in ("stdout", "stderr"):
            self._flush(one.id, stream)
        if self.quiet_about_old and (one.id, one.started_at) in self._old:
            return
        name = short_name(self._project, one.name)
        told = f"exited with code {code}" if code is not None else "ended, and its exit code is unknown"
        with self._output:
            begin = "\r\x1b[K" if is_terminal(sys.stdout) else ""  # over the ^C that the terminal has put there
            with suppress(OSError):
                print(f"{begin}{escape(name)} {told}")
            self._flush_streams()
        self._on_end(Ended(one.service, name, code))

    def _is_meant(self, one: ActualContainer) -> bool:
        return one.service in self._watched and not one.oneoff

    def _is_readable(self, one: ActualContainer) -> bool:
        log = one.spec.get("logging")
        driver = log.get("driver", "") if isinstance(log, dict) else ""
        return one.service in self._shown and driver in _SHOWN

    def _prefix(self, one: ActualContainer) -> bytes:
        if not self._manner.prefix:
            return b""
        colour = next(self._colours)
        text = f"{short_name(self._project, one.name):{self._width}}  | "
        return (f"\x1b[{colour}m{text}\x1b[0m" if colour else text).encode()

    def _show(self) -> None:
        with self._output:
            for container_id in self._prefixes:
                for line in self._logs.new_lines(self._paths.log(container_id)):
                    self._join(container_id, line)
            self._flush_streams()

    def _join(self, container_id: str, line: LogLine) -> None:
        """Shows the line with what came of it before, or keeps it while it goes on."""
        source = container_id, line.stream
        begun = self._open.pop(source, None)
        if begun is not None:
            line = begun._replace(text=begun.text + line.text, is_whole=line.is_whole)
        if line.is_whole or len(line.text) > _LONGEST_LINE:
            self._write(container_id, line)
        else:
            self._open[source] = line

    def _flush(self, container_id: str, stream: str) -> None:
        line = self._open.pop((container_id, stream), None)
        if line is not None:
            with self._output:
                self._write(container_id, line)
                self._flush_streams()

    def _write(self, container_id: str, line: LogLine) -> None:
        from composer.cli.logs import stamp

        said = f"{stamp(line)} ".encode() if self._manner.timestamps else b""
        text = self._prefixes[container_id] + said + line.text + b"\n"
        to_stderr = self._manner.split and line.stream == "stderr"
        first, other = (sys.stderr, sys.stdout) if to_stderr else (sys.stdout, sys.stderr)
        _flush(other)  # whoever sees both sees them in the order they came
        try:
            first.buffer.write(text)
        except BrokenPipeError:
            _silence(first)
        except OSError:  # a full disk: whoever flushes last will say so
            return

    @staticmethod
    def _flush_streams() -> None:
        for stream in (sys.stdout, sys.stderr):
            _flush(stream)


def _flush(stream: TextIO) -> None:
    try:
        stream.flush()
    except BrokenPipeError:
        _silence(stream)
    except OSError:
        return


def _silence(stream: TextIO) -> None:
    """Nobody reads it any more: that ends no container, and is no failure of ours."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)
