"""Views of the executor's events: live lines for a terminal, a line per change for a log, JSON Lines for a program."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol, TextIO

from composer.cli.text import is_terminal, one_line, status_stream, wants_colour
from composer.plan.steps import (
    AssignAddresses,
    BuildImage,
    CreateContainer,
    CreateNetwork,
    CreateVolume,
    KillContainer,
    LimitStack,
    PullImage,
    ReleaseProvider,
    RemoveContainer,
    RemoveImage,
    RemoveNetwork,
    RemoveStack,
    RemoveVolume,
    RepairNetwork,
    RunProvider,
    StartContainer,
    StopContainer,
    WaitCompleted,
    WaitHealthy,
)

if TYPE_CHECKING:
    from composer.cli.globals import Globals
    from composer.execute.events import Event
    from composer.plan.plan import Plan

_WORDS: dict[type, tuple[str, str, str]] = {
    PullImage: ("Image", "Pulling", "Pulled"),
    BuildImage: ("Image", "Building", "Built"),
    CreateNetwork: ("Network", "Creating", "Created"),
    RepairNetwork: ("Network", "Repairing", "Repaired"),
    RemoveNetwork: ("Network", "Removing", "Removed"),
    AssignAddresses: ("Network", "Assigning addresses", "Addresses assigned"),
    CreateVolume: ("Volume", "Creating", "Created"),
    RemoveVolume: ("Volume", "Removing", "Removed"),
    CreateContainer: ("Container", "Creating", "Created"),
    StartContainer: ("Container", "Starting", "Started"),
    StopContainer: ("Container", "Stopping", "Stopped"),
    KillContainer: ("Container", "Killing", "Killed"),
    RemoveContainer: ("Container", "Removing", "Removed"),
    WaitCompleted: ("Container", "Waiting", "Exited"),
    WaitHealthy: ("Container", "Waiting", "Healthy"),
    LimitStack: ("Stack", "Limiting", "Limited"),
    RemoveStack: ("Stack", "Removing", "Removed"),
    RemoveImage: ("Image", "Removing", "Removed"),
    RunProvider: ("Service", "Creating", "Created"),
    ReleaseProvider: ("Service", "Removing", "Removed"),
}


class View(Protocol):
    """Shows events, and notes between them; `close` leaves the terminal tidy. That nobody watches any more, or that
    there is no room for what is shown, stops no work.
    `told_builds`: what builds said has been shown.
    """

    told_builds: bool

    def show(self, event: Event) -> None: ...

    def note(self, text: str) -> None: ...

    def close(self) -> None: ...


def view_for(options: Globals, plan: Plan) -> View:
    """The view that suits whoever looks."""
    kind, out = options.progress, status_stream()
    if kind == "auto":
        kind = "tty" if is_terminal(out) and options.ansi != "never" else "plain"
    if kind == "quiet":
        return _Quiet()
    if kind == "json":
        return _Json()
    if kind == "tty":
        return _Terminal(out, len(plan.nodes), colour=wants_colour(ansi=options.ansi, stream=out))
    return _Plain(quiet_build=options.quiet_build)


def line(event: Event) -> str:
    """One line about an event: ` Container demo-web-1  Started`."""
    kind, doing, done = _WORDS[type(event.step)]
    word = {
        "started": doing,
        "progress": f"{doing} {event.detail}",
        "retrying": f"{doing}, attempt {event.attempt}/{event.attempts}: {event.detail}",
        "done": done + (f" ({event.detail})" if event.detail else ""),
        "failed": f"Error {event.detail}",
        "skipped": f"Skipped: {event.detail}",
    }[event.kind]
    return f" {kind} {one_line(event.step.subject)}  {one_line(word)}"


def build_line(event: Event) -> str:
    """One line of a build: who is built, and what was said."""
    if event.kind == "started":
        return line(event)
    service = event.step.service if isinstance(event.step, BuildImage) else ""
    return f"{one_line(service)} | {one_line(event.detail.expandtabs())}"


def _write(out: TextIO, text: str) -> None:
    with suppress(OSError):
        out.write(text)
        out.flush()


def _is_quiet(event: Event) -> bool:
    """What nobody asked about, as long as it works."""
    return isinstance(event.step, (AssignAddresses, RemoveStack)) and event.kind != "failed"


class _Quiet:
    told_builds = False

    def show(self, event: Event) -> None:
        """Says nothing: errors come as errors."""

    def note(self, text: str) -> None:
        _write(status_stream(), f"jocker: {text}\n")

    def close(self) -> None:
        """There is nothing to tidy."""


class _Plain:
    def __init__(self, *, quiet_build: bool = False) -> None:
        self.told_builds = not quiet_build

    def show(self, event: Event) -> None:
        if isinstance(event.step, BuildImage) and event.kind in {"started", "progress"}:
            if self.told_builds:
                _write(status_stream(), f"{build_line(event)}\n")
        elif event.kind not in {"started", "progress"} and not _is_quiet(event):
            _write(status_stream(), f"{line(event)}\n")

    def note(self, text: str) -> None:
        _write(status_stream(), f"jocker: {text}\n")

    def close(self) -> None:
        """Each line stands for itself."""


class _Json:
    told_builds = True

    def show(self, event: Event) -> None:
        kind, doing, done = _WORDS[type(event.step)]
        words = {"started": doing, "progress": doing, "retrying": doing, "done": done, "skipped": "Skipped"}
        status = words.get(event.kind, "Error")
        value: dict[str, object] = {"id": f"{kind} {event.step.subject}", "status": status, "event": event.kind}
        if event.detail:
            value["text"] = event.detail
        if event.attempts:
            value |= {"attempt": event.attempt, "attempts": event.attempts}
        if event.seconds:
            value["seconds"] = round(event.seconds, 3)
        _write(status_stream(), f"{json.dumps(value)}\n")

    def note(self, text: str) -> None:
        _write(status_stream(), f"{json.dumps({'event': 'note', 'text': text})}\n")

    def close(self) -> None:
        """Each line stands for itself."""


class _Terminal:
    """What is done scrolls up; what is being done stands below it and is redrawn."""

    told_builds = False

    def __init__(self, out: TextIO, total: int, *, colour: bool) -> None:
        self._out = out
        self._total = total
        self._finished = 0
        self._colour = colour
        self._running: dict[int, Event] = {}
        self._drawn = 0
        self._began = time.monotonic()

    def show(self, event: Event) -> None:
        if event.kind in {"started", "progress", "retrying"}:
            self._running[event.number] = event
            self._redraw("")
            return
        self._running.pop(event.number, None)
        self._finished += 1
        if _is_quiet(event):
            self._redraw("")
            return
        mark, colour = {"done": ("✔", "32"), "failed": ("✘", "31")}.get(event.kind, ("-", "33"))
        seconds = f"  {event.seconds:.1f}s" if event.seconds >= 0.05 else ""
        self._redraw(f" {self._paint(mark, colour)}{line(event)}{seconds}\n")

    def note(self, text: str) -> None:
        self._redraw(f"jocker: {text}\n")

    def _paint(self, text: str, colour: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._colour else text

    def _redraw(self, finished: str) -> None:
        columns, rows = _size(self._out)
        below = [f" ⠿{line(event)}"[: columns - 1] for event in list(self._running.values())[: max(1, rows - 2)]]
        up = f"\x1b[{self._drawn}A" if self._drawn else ""
        _write(self._out, f"\r{up}\x1b[J{finished}" + "".join(f"{text}\n" for text in below))
        self._drawn = len(below)

    def close(self) -> None:
        self._running.clear()
        self._redraw("")


def _size(out: TextIO) -> tuple[int, int]:
    import os

    try:
        size = os.get_terminal_size(out.fileno())
    except OSError:
        return 80, 24
    return size.columns or 80, size.lines or 24
