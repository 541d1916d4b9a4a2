"""What is said when steps failed: what is up, then each failure with the last output; the cause comes last."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from composer.cli.text import escape
from composer.errors import BuildFailed, Failed, HookFailed
from composer.plan.steps import CreateContainer, StartContainer, WaitCompleted, WaitHealthy

if TYPE_CHECKING:
    from composer.execute.executor import Outcome
    from composer.paths import Paths

_LINES = 10


def told(paths: Paths, outcome: Outcome, *, with_builds: bool = True) -> Failed:
    """Shows the last output of the containers (and `with_builds` of the builds) that failed; returns the error with the
    summary.
    """
    for node, error in outcome.failed:
        if isinstance(error, HookFailed):
            _show(f"its hook ({node.step.subject})", error.output)
        elif isinstance(node.step, (CreateContainer, StartContainer, WaitCompleted)):
            _last_output(paths, node.step.subject, node.step.container_id)
        elif isinstance(node.step, WaitHealthy):
            last_words(paths, node.step.subject, node.step.container_id)
        elif isinstance(error, BuildFailed) and with_builds:
            _show(node.step.subject, error.output)
    up = sorted({node.step.subject for node in outcome.done if isinstance(node.step, StartContainer)})
    skipped = sorted({node.step.subject for node in outcome.skipped})
    if up:
        print(f"started: {', '.join(up)}", file=sys.stderr)
    if skipped:
        print(f"not done: {', '.join(skipped)}", file=sys.stderr)
    causes = [error.message + (f"\n  {error.hint}" if error.hint else "") for _, error in outcome.failed]
    codes = {error.exit_code for _, error in outcome.failed}
    return Failed("\njocker: ".join(map(escape, causes)), exit_code=codes.pop() if len(codes) == 1 else 1)


def last_words(paths: Paths, name: str, container_id: str) -> None:
    """Shows the last output of a container, and that of its last probe."""
    _last_output(paths, name, container_id)
    from composer.host import records
    from composer.host.state import first_process, health_file

    record, first = records.read(paths, container_id), first_process(paths, container_id)
    health = health_file(paths, record, first) if record and first else None
    if health and health.get("Log"):
        last = health["Log"][-1]
        _show(f"{name}'s last health probe (exit code {last['ExitCode']})", str(last["Output"]).splitlines()[-_LINES:])


def _last_output(paths: Paths, name: str, container_id: str) -> None:
    from composer.host.logs import last_lines

    lines = last_lines(paths.log(container_id), _LINES)
    _show(name, [line.text.decode(errors="replace") for line in lines])


def _show(name: str, lines: Sequence[str]) -> None:
    if lines:
        print(f"the last output of {name}:", file=sys.stderr)
        for line in lines:
            print(f"  │ {escape(line.rstrip())}", file=sys.stderr)
