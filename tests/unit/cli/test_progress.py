"""What is shown of events: a line each, JSON Lines, or lines that a terminal redraws."""

from __future__ import annotations

import io
import json
import re
from typing import Any

import pytest

from composer.cli.globals import Globals
from composer.cli.progress import _WORDS, _Terminal, line, view_for
from composer.execute.events import Event, EventKind
from composer.frozen import replace
from composer.plan.plan import Plan
from composer.plan.steps import (
    AnyStep,
    PullImage,
    RemoveContainer,
    RemoveStack,
    StartContainer,
    StopContainer,
    WaitCompleted,
)

START = StartContainer(subject="p-web-1", because="", container_id="c1", service="web")
STOP = StopContainer(subject="p-web-1", because="", container_id="c1", signal="SIGTERM", grace_seconds=1)
PULL = PullImage(subject="docker.io/library/app:latest", because="", services=("web",))
WAIT = WaitCompleted(subject="p-mig-1", because="", container_id="c2")
TIDY = RemoveStack(subject="p", because="")

OPTIONS = Globals(
    files=(),
    project_name=None,
    profiles=(),
    env_files=(),
    project_directory=None,
    progress="plain",
    ansi="auto",
    parallel=0,
    lock_timeout=60.0,
    runtime=None,
)


def event(kind: EventKind, step: AnyStep = START, number: int = 1, **more: Any) -> Event:
    return Event(kind, number, step, **more)


LINES = [
    (event("started"), " Container p-web-1  Starting"),
    (event("done"), " Container p-web-1  Started"),
    (event("done", STOP, detail="killed"), " Container p-web-1  Stopped (killed)"),
    (event("failed", detail="no room"), " Container p-web-1  Error no room"),
    (
        event("skipped", detail="needs step #1, which failed"),
        " Container p-web-1  Skipped: needs step #1, which failed",
    ),
    (
        event("retrying", detail="it died", attempt=2, attempts=3),
        " Container p-web-1  Starting, attempt 2/3: it died",
    ),
    (event("progress", PULL, detail="1/2 MB"), " Image docker.io/library/app:latest  Pulling 1/2 MB"),
    (event("done", PULL), " Image docker.io/library/app:latest  Pulled"),
    (event("started", WAIT), " Container p-mig-1  Waiting"),
    (event("done", WAIT), " Container p-mig-1  Exited"),
    (event("failed", detail="a\nb\x1b[2J\r"), r" Container p-web-1  Error a\nb\x1b[2J\r"),
    (event("done", replace(START, subject="a\nb")), r" Container a\nb  Started"),
]


@pytest.mark.parametrize(("what", "shown"), LINES, ids=[shown for _, shown in LINES])
def test_an_event_is_one_line(what: Event, shown: str) -> None:
    assert line(what) == shown


def test_every_step_has_its_words() -> None:
    assert set(_WORDS) == set(AnyStep.__args__)  # type: ignore[attr-defined]


def shown(kind: str, events: list[Event], capsys: pytest.CaptureFixture[str]) -> list[str]:
    view = view_for(replace(OPTIONS, progress=kind), Plan())
    for one in events:
        view.show(one)
    view.close()
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err.splitlines()


RUN = [
    event("started", PULL, 1),
    event("progress", PULL, 1, detail="1/2 MB"),
    event("done", PULL, 1, seconds=1.23456),
    event("started", START, 2),
    event("retrying", START, 2, detail="busy", attempt=2, attempts=5),
    event("failed", START, 2, detail="no", seconds=0.5),
    event("skipped", WAIT, 3, detail="needs step #2, which failed"),
]


def test_a_log_gets_a_line_per_change(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown("plain", RUN, capsys) == [
        " Image docker.io/library/app:latest  Pulled",
        " Container p-web-1  Starting, attempt 2/5: busy",
        " Container p-web-1  Error no",
        " Container p-mig-1  Skipped: needs step #2, which failed",
    ]


def test_a_program_gets_everything_as_json_lines(capsys: pytest.CaptureFixture[str]) -> None:
    image, container = "Image docker.io/library/app:latest", "Container p-web-1"
    assert [json.loads(text) for text in shown("json", RUN, capsys)] == [
        {"id": image, "status": "Pulling", "event": "started"},
        {"id": image, "status": "Pulling", "event": "progress", "text": "1/2 MB"},
        {"id": image, "status": "Pulled", "event": "done", "seconds": 1.235},
        {"id": container, "status": "Starting", "event": "started"},
        {"id": container, "status": "Starting", "event": "retrying", "text": "busy", "attempt": 2, "attempts": 5},
        {"id": container, "status": "Error", "event": "failed", "text": "no", "seconds": 0.5},
        {
            "id": "Container p-mig-1",
            "status": "Skipped",
            "event": "skipped",
            "text": "needs step #2, which failed",
        },
    ]


def test_json_is_one_line_of_ascii_whatever_stands_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    (text,) = shown("json", [event("failed", detail="a\nb\x1bé\udcff")], capsys)
    assert text.isascii()
    assert json.loads(text)["text"] == "a\nb\x1bé\udcff"


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown("quiet", RUN, capsys) == []


def test_tidying_up_is_told_only_if_it_fails(capsys: pytest.CaptureFixture[str]) -> None:
    events = [event("started", TIDY), event("done", TIDY), event("skipped", TIDY), event("failed", TIDY, detail="busy")]
    assert shown("plain", events, capsys) == [" Stack p  Error busy"]
    assert terminal(events)[0] == ["✘ Stack p  Error busy"]


def test_who_is_no_terminal_gets_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown("auto", [event("done")], capsys) == [" Container p-web-1  Started"]


# the terminal


class Screen(io.StringIO):
    """What a terminal would show: understands what the view sends, and nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.lines = [""]
        self.row = 0
        self.coloured = False

    def write(self, text: str) -> int:
        for piece in re.findall(r"\x1b\[\d*[A-Za-z]|\r|\n|[^\x1b\r\n]+|\x1b", text):
            self._take(piece)
        return len(text)

    def _take(self, piece: str) -> None:
        if piece == "\n":
            self.row += 1
            self.lines[self.row :] = self.lines[self.row :] or [""]
        elif piece == "\x1b[J":
            del self.lines[self.row :]
            self.lines.append("")
        elif up := re.fullmatch(r"\x1b\[(\d+)A", piece):
            self.row -= int(up[1])
            assert self.row >= 0, "above the screen"
        elif re.fullmatch(r"\x1b\[\d+m", piece):
            self.coloured = True
        elif piece != "\r":
            assert "\x1b" not in piece
            self.lines[self.row] += piece


def terminal(events: list[Event], *, colour: bool = False, close: bool = True) -> tuple[list[str], Screen]:
    screen = Screen()
    view = _Terminal(screen, 9, colour=colour)
    for one in events:
        view.show(one)
    if close:
        view.close()
    return [text.strip() for text in screen.lines if text.strip()], screen


def test_what_is_done_scrolls_up_and_what_runs_stands_below() -> None:
    lines, _ = terminal([*RUN[:4], event("started", WAIT, 3), event("progress", PULL, 4, detail="9 MB")], close=False)
    assert lines == [
        "✔ Image docker.io/library/app:latest  Pulled  1.2s",
        "⠿ Container p-web-1  Starting",
        "⠿ Container p-mig-1  Waiting",
        "⠿ Image docker.io/library/app:latest  Pulling 9 MB",
    ]


def test_at_the_end_only_what_happened_is_left() -> None:
    lines, screen = terminal([*RUN, event("started", WAIT, 9)])
    assert lines == [
        "✔ Image docker.io/library/app:latest  Pulled  1.2s",
        "✘ Container p-web-1  Error no  0.5s",
        "- Container p-mig-1  Skipped: needs step #2, which failed",
    ]
    assert not screen.coloured


def test_colour_marks_how_it_went() -> None:
    assert terminal(RUN, colour=True)[1].coloured


def test_long_and_forged_lines_stay_one_line_of_the_screen() -> None:
    events = [event("progress", PULL, 1, detail="x" * 500), event("retrying", START, 2, detail="a\nb\x1b[9A\r")]
    lines, _ = terminal(events, close=False)
    assert len(lines) == 2
    assert all(len(text) < 80 for text in lines)


def test_more_steps_than_rows_do_not_scroll_the_screen_away() -> None:
    events = [event("started", replace(START, subject=f"c{number}"), number) for number in range(100)]
    lines, _ = terminal(events, close=False)
    assert len(lines) <= 22


def test_removals_are_told_as_such() -> None:
    step = RemoveContainer(subject="p-web-1", because="", container_id="c1")
    assert line(event("done", step)) == " Container p-web-1  Removed"
