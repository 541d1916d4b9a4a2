"""Providers asked and released: the record first, then the program; the program first, then the record."""

from __future__ import annotations

from collections.abc import Callable

from composer.host import providing
from composer.host.providing import Record
from composer.paths import Paths
from composer.plan.steps import ReleaseProvider, RunProvider

OnProgress = Callable[[str], None]


def run(paths: Paths, step: RunProvider, on_progress: OnProgress, is_cancelled: Callable[[], bool]) -> None:
    """Has the provider make it, and keeps what it tells. Raises `ContainerError`, `MachineError`, `Interrupted`."""
    # Who is not there can have made nothing: then there is no record of it either.
    providing.program_of(step.provider.type, step.directory, step.environment)
    before = providing.read(paths, step.project).get(step.subject)
    record = Record(step.provider, step.directory)
    if before is not None and before.provider.type != step.provider.type:
        _take_down(paths, step, before, on_progress, is_cancelled)  # another one made it: nobody else knows of it
        before = None
    providing.write(
        paths, step.project, step.subject, record._replace(variables=before.variables) if before else record
    )
    variables = providing.call(
        "up",
        step.subject,
        record,
        project=step.project,
        environment=step.environment,
        on_info=on_progress,
        is_cancelled=is_cancelled,
    )
    providing.write(paths, step.project, step.subject, record._replace(variables=variables))


def release(paths: Paths, step: ReleaseProvider, on_progress: OnProgress, is_cancelled: Callable[[], bool]) -> None:
    """Has the provider take it down, and forgets it. Raises as `run`."""
    record = providing.read(paths, step.project).get(step.subject)
    if record is not None:
        _take_down(paths, step, record, on_progress, is_cancelled)


def _take_down(
    paths: Paths,
    step: RunProvider | ReleaseProvider,
    record: Record,
    on_progress: OnProgress,
    is_cancelled: Callable[[], bool],
) -> None:
    providing.call(
        "down",
        step.subject,
        record,
        project=step.project,
        environment=step.environment,
        on_info=on_progress,
        is_cancelled=is_cancelled,
    )
    providing.remove(paths, step.project, step.subject)
