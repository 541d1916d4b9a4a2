"""Several layers at once, each in a process of its own where that pays."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Mapping, Sequence
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
    running: dict[LayerJob, subprocess.Popen[bytes]] = {}
    most = workers or len(os.sched_getaffinity(0))
    try:
        while big or running:
            while big and len(running) < most:
                job = big.pop()
                running[job] = _start(job, limits)
            while small:
                done[small[-1]] = _unpack(small[-1], limits)
                small.pop()
            for job in _ended(running):
                done[job] = _finish(running[job], job)
                del running[job]
    finally:
        for process in running.values():
            process.kill()
            process.communicate()
    return [done[job] for job in jobs]


def _unpack(job: LayerJob, limits: Limits) -> LayerDigests:
    try:
        return unpack_layer(job.blob_path, job.target, limits=limits, offset=job.offset, size=job.size)
    except ImageError as error:
        raise type(error)(f"{job.what}: {error.message}", hint=error.hint) from error


def _ended(running: Mapping[LayerJob, subprocess.Popen[bytes]]) -> list[LayerJob]:
    """Waits until one of them reports, which is the last thing it does."""
    pipes = {process.stdout.fileno(): job for job, process in running.items() if process.stdout is not None}
    readable, _, _ = select.select(pipes, [], [])
    return [pipes[fd] for fd in readable]


def _size(job: LayerJob) -> int:
    return os.stat(job.blob_path).st_size if job.size is None else job.size


def _start(job: LayerJob, limits: Limits) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        (sys.executable, "-P", "-m", "composer.image.unpack_worker"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment({"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}),
        cwd="/",
    )
    if process.stdin is None:
        raise AssertionError("a pipe was asked for")
    process.stdin.write(json.dumps({**job._asdict(), "limits": limits}).encode())
    process.stdin.close()
    process.stdin = None
    return process


def _finish(process: subprocess.Popen[bytes], job: LayerJob) -> LayerDigests:
    out, said = process.communicate()
    try:
        report: dict[str, Any] = json.loads(out)
    except ValueError:
        raise ImageError(
            f"{job.what}: unpacking it ended with code {process.returncode}: "
            f"{said.decode(errors='replace').strip()[-300:] or 'it said nothing'}"
        ) from None
    if "error" in report:
        kind = ImageRefused if report["refused"] else ImageError
        raise kind(f"{job.what}: {report['error']}", hint=report["hint"])
    report["implicit_parents"] = tuple(bytes.fromhex(path) for path in report["implicit_parents"])
    return LayerDigests(**report)
