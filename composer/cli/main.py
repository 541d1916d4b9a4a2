"""Entry point: runs one command, turns errors into text and exit codes. The only place that exits."""

from __future__ import annotations

import errno
import gc
import os
import signal
import sys
from contextlib import suppress
from types import FrameType
from typing import NoReturn

from composer.cli.text import escape
from composer.errors import JockerError, StackFileError

EXIT_INTERRUPTED = 130
EXIT_UNREAD = 141
"""Whoever read our output has gone; as a shell shows SIGPIPE."""
_UNWRITTEN = "the output cannot be written"


def main() -> NoReturn:
    """`jocker`."""
    gc.disable()  # a command ends before it would pay: `logs --follow` and the like turn it on again
    try:
        signal.signal(signal.SIGTERM, _terminated)
        _prepare_streams()
        code = run(sys.argv[1:])
        sys.stdout.flush()
        with suppress(OSError):
            sys.stderr.flush()
    except KeyboardInterrupt:
        code = EXIT_INTERRUPTED
    except BrokenPipeError:
        code = EXIT_UNREAD
    except OSError as error:  # what was to be read is lost, so it is no success
        with suppress(OSError):
            _say(f"jocker: {_UNWRITTEN}: {error.strerror}")
        code = 1
    # Nothing is left to tidy that the kernel does not: taking the interpreter apart would cost 10 ms.
    os._exit(code)


def _prepare_streams() -> None:
    """Closed ones become /dev/null, or a file that we open would be taken for one of them, by us or by a child. Text
    is UTF-8 wherever we run, and bytes that are not come out as they came in.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream = getattr(sys, name)
        if stream is None:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            stream = open(number, "w" if number else "r", closefd=False)  # noqa: SIM115  kept for good
            setattr(sys, name, stream)
        stream.reconfigure(encoding="utf-8", errors="surrogateescape" if number < 2 else "backslashreplace")


def run(arguments: list[str]) -> int:
    """Runs `jocker ARGUMENTS` and returns the exit code. Prints errors to stderr."""
    from composer.cli.globals import take_settings
    from composer.cli.quick import recognised

    try:
        take_settings(arguments, os.environ)
        command = recognised(arguments, os.environ)
        if command is None:
            return _by_typer(arguments)
        command()
    except KeyboardInterrupt:
        _say("jocker: interrupted")
        return EXIT_INTERRUPTED
    except JockerError as error:
        if os.environ.get("JOCKER_DEBUG"):
            raise
        _tell(error, arguments)
        return error.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return EXIT_UNREAD
    except OSError as error:
        if os.environ.get("JOCKER_DEBUG"):
            raise
        from composer.host.refusals import told

        to_nobody = error.filename is None and error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EIO}
        refused = JockerError(f"{_UNWRITTEN}: {error.strerror}") if to_nobody else told(error)
        _tell(refused, arguments)
        return refused.exit_code
    except Exception as error:
        if os.environ.get("JOCKER_DEBUG"):
            raise
        _say(f"jocker: {type(error).__name__}: {escape(str(error))}")
        _say("  this is a bug in jocker: JOCKER_DEBUG=1 shows where")
        return 1
    return 0


def _by_typer(arguments: list[str]) -> int:
    from typer import Abort, Exit
    from typer._click.exceptions import ClickException, NoArgsIsHelpError

    from composer.cli.app import as_written, build_app

    arguments = as_written(arguments)
    try:
        result = build_app(arguments)(arguments, prog_name="jocker", standalone_mode=False)
    except Exit as leave:
        return int(leave.exit_code)
    except Abort:
        raise KeyboardInterrupt from None
    except NoArgsIsHelpError as error:
        print(error.format_message())
        return 0
    except ClickException as error:
        _usage(error, arguments)
        return 2
    return result if isinstance(result, int) else 0


def _terminated(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _usage(error: object, arguments: list[str]) -> None:
    from composer.cli.app import COMMANDS, command_name

    context = getattr(error, "ctx", None)
    name = command_name(arguments)
    if name is not None and name not in COMMANDS:
        from difflib import get_close_matches

        near = get_close_matches(name, COMMANDS, 1)
        _say(f"jocker: no such command: {escape(name)}")
        _say(f"  did you mean `{near[0]}`?" if near else "  see jocker --help")
        return
    if context is not None:
        _say(context.get_usage())
    message = getattr(error, "format_message", lambda: str(error))()
    _say(f"jocker: {escape(message)}")
    if context is not None:
        _say(f"  see {context.command_path} --help")


def _tell(error: JockerError, arguments: list[str]) -> None:
    """On stderr: for people, or as JSON for whoever asked for it; for GitHub's runner in addition."""
    from composer.cli.annotations import github_lines, json_lines, wants_json

    lines = json_lines(error) if wants_json(arguments, os.environ) else [explained(error)]
    if os.environ.get("GITHUB_ACTIONS") == "true":
        with suppress(FileNotFoundError):  # of a directory that is gone there is no file to point at
            lines += github_lines(error, os.environ, os.getcwd())
    for line in lines:
        _say(line)


def explained(error: JockerError) -> str:
    """An error as people read it: where, what, the line, how to mend it. No control characters of others."""
    if isinstance(error, StackFileError):
        parts = []
        for complaint in error.complaints:
            place = complaint.place
            lines = [f"{escape(str(place))}: {escape(complaint.message)}"]
            if place.text:
                number = f"{place.line:>5}"
                lines.append(f"{number} │ {escape(place.text)}")
                lines.append(f"{'':5} │ {' ' * (place.column - 1)}{'^' * max(1, place.width)}")
            if complaint.hint:
                lines.append(f"  {escape(complaint.hint)}")
            lines += [f"  {escape(link)}" for link in complaint.chain]
            parts.append("\n".join(lines))
        return "\n".join(parts)
    text = f"jocker: {escape(error.message)}"
    if error.place is not None:
        text = f"{escape(str(error.place))}: {escape(error.message)}"
    return f"{text}\n  {escape(error.hint)}" if error.hint else text


def _say(text: str) -> None:
    print(text, file=sys.stderr)
