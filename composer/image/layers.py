"""Several layers at once, each in a process of its own where that pays."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from composer.errors import ImageError, ImageRefused
from composer.host.proc import environment
from composer.image.unpack import LayerDigests, Limits, unpack_layer

_WORTH_A_PROCESS = 4 << 20
"""Bytes of a blob above which starting an interpreter (some 40 ms) is worth it."""


class LayerJob(NamedTuple):
    """A layer's bytes (`size` from `offset`; None: the whole file) and the empty directory for its tree.

    `what` is what errors call it.
    """

    blob_path: str
    target: str
    offset: int = 0
    size: int | None = None
    what: str = "the layer"


def unpack_layers(jobs: Sequence[LayerJob], *, limits: Limits | None = None, workers: int = 0) -> list[LayerDigests]:
    """Unpacks all; `workers` at once (0: one per core). Raises `ImageRefused` or `ImageError` of the first that fails;
    the others are stopped.
    """
    limits = limits or Limits()
    big = sorted((job for job in jobs if _size(job) > _WORTH_A_PROCESS), key=_size)
    if len(big) < 2:
        return [_unpack(job, limits) for job in jobs]
    small = [job for job in jobs if job not in big]
    done: dict[LayerJob, LayerDigests] = {}
    busy: list[_Worker] = []
    idle: list[_Worker] = []
    most = workers or len(os.sched_getaffinity(0))
    try:
        while big or busy:
            while big and len(busy) < most:
                busy.append(idle.pop() if idle else _Worker(limits))
                busy[-1].give(big.pop())
            while small:
                done[small[-1]] = _unpack(small[-1], limits)
                small.pop()
            for worker in _ready(busy):
                done[worker.job] = worker.report()
                busy.remove(worker)
                idle.append(worker)
    finally:
        for worker in busy + idle:
            worker.end()
    return [done[job] for job in jobs]


def _unpack(job: LayerJob, limits: Limits) -> LayerDigests:
    try:
        return unpack_layer(job.blob_path, job.target, limits=limits, offset=job.offset, size=job.size)
    except ImageError as error:
        raise type(error)(f"{job.what}: {error.message}", hint=error.hint) from error


def _ready(busy: Sequence[_Worker]) -> list[_Worker]:
    """Waits until one of them reports, or is gone."""
    pipes = {worker.pipe: worker for worker in busy}
    readable, _, _ = select.select(pipes, [], [])
    return [pipes[fd] for fd in readable]


def _size(job: LayerJob) -> int:
    return os.stat(job.blob_path).st_size if job.size is None else job.size


class _Worker:
    """A process that unpacks one layer after another: see `unpack_worker`."""

    job: LayerJob

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._process = subprocess.Popen(
            (sys.executable, "-P", "-m", "composer.image.unpack_worker"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment({"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}),
            cwd="/",
        )
        if self._process.stdin is None or self._process.stdout is None:
            raise AssertionError("pipes were asked for")
        self._orders, self._reports = self._process.stdin, self._process.stdout

    @property
    def pipe(self) -> int:
        """Readable when there is a report, or when there will never be one."""
        return self._reports.fileno()

    def give(self, job: LayerJob) -> None:
        self.job = job
        with suppress(BrokenPipeError):  # it is gone: `report` tells
            self._orders.write(json.dumps({**job._asdict(), "limits": self._limits}).encode() + b"\n")
            self._orders.flush()

    def report(self) -> LayerDigests:
        """What came of the job it was given. Raises `ImageRefused`, `ImageError`."""
        try:
            report: dict[str, Any] = json.loads(self._reports.readline())
        except ValueError:
            _, said = self._process.communicate()
            raise ImageError(
                f"{self.job.what}: unpacking it ended with code {self._process.returncode}: "
                f"{said.decode(errors='replace').strip()[-300:] or 'it said nothing'}"
            ) from None
        if "error" in report:
            kind = ImageRefused if report["refused"] else ImageError
            raise kind(f"{self.job.what}: {report['error']}", hint=report["hint"])
        report["implicit_parents"] = tuple(bytes.fromhex(path) for path in report["implicit_parents"])
        return LayerDigests(**report)

    def end(self) -> None:
        self._process.kill()
        with suppress(BrokenPipeError, ValueError):
            self._process.communicate()
