"""The output of a stack's containers as it comes, beside whatever else a command does."""

from __future__ import annotations

import sys
from collections.abc import Collection
from itertools import cycle
from threading import Event, Lock, Thread

from composer.actual.observe import observe
from composer.actual.state import ActualContainer
from composer.cli.globals import Globals
from composer.cli.text import wants_colour
from composer.desired.names import short_name
from composer.host import logs
from composer.host.logs import LogLine

_LOOK_EVERY = 1.0
_COLOURS = ("36", "33", "32", "35", "34")
_SHOWN = frozenset({"", "file", "json-file", "k8s-file", "local"})


class Following(Thread):
    """Shows what containers of the `services` write from now on, also those that are yet to be made, line by line
    under `output`. `stop` shows the rest and returns.
    """

    def __init__(self, options: Globals, project: str, services: Collection[str], output: Lock) -> None:
        super().__init__(name="following", daemon=True)
        self._options, self._project, self._services, self._output = options, project, frozenset(services), output
        self._follower = logs.Follower()
        self._ended = Event()
        self._colours = cycle(_COLOURS if wants_colour(ansi=options.ansi) else ("",))
        self._prefixes: dict[str, bytes] = {}
        self._open: dict[tuple[str, str], bytes] = {}
        """The beginnings of lines, by container and stream."""
        self._alive: set[str] = set()
        self._take_in(from_end=True)

    def run(self) -> None:
        while not self._ended.is_set():
            self._show()
            self._follower.wait(_LOOK_EVERY)
            self._take_in(from_end=False)

    def stop(self) -> None:
        """Ends it; what has been written until now is shown."""
        self._ended.set()
        self.join()
        self._take_in(from_end=False)
        self._show()
        self._follower.close()

    def _take_in(self, *, from_end: bool) -> None:
        found = [one for one in observe(self._options.paths, self._project).containers if self._is_shown(one)]
        for one in found:
            if one.id not in self._prefixes:
                self._follower.add(self._options.paths.log(one.id), from_end=from_end)
                self._follower.watch(self._options.paths.exit_dir(one.id))
                text, colour = f"{short_name(self._project, one.name)}  | ", next(self._colours)
                self._prefixes[one.id] = (f"\x1b[{colour}m{text}\x1b[0m" if colour else text).encode()
        alive = {one.id for one in found if one.status.is_alive}
        for one in found:
            if one.id in self._alive - alive:
                self._show()
                with self._output:
                    print(f"{short_name(self._project, one.name)} exited with code {one.exit_code}", flush=True)
        self._alive = alive
        logs.rotate(self._options.paths, alive)

    def _is_shown(self, one: ActualContainer) -> bool:
        log = one.spec.get("logging")
        driver = log.get("driver", "") if isinstance(log, dict) else ""
        is_ours = one.service in self._services and not one.oneoff
        return is_ours and driver in _SHOWN and one.spec.get("attach") is not False

    def _show(self) -> None:
        out = sys.stdout.buffer
        with self._output:
            sys.stdout.flush()
            for container_id, prefix in self._prefixes.items():
                for line in self._follower.new_lines(self._options.paths.log(container_id)):
                    whole = self._whole(container_id, line)
                    if whole is not None:
                        out.write(prefix + whole + b"\n")
            out.flush()

    def _whole(self, container_id: str, line: LogLine) -> bytes | None:
        """The line with what came of it before, or None while it goes on."""
        source = container_id, line.stream
        text = self._open.pop(source, b"") + line.text
        if line.is_whole:
            return text
        self._open[source] = text
        return None
