"""Several layers at once, each in a process of its own where that pays."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

from composer.errors import ImageError, ImageRefused
from composer.host.proc import environment
from composer.image.unpack import LayerDigests, Limits, unpack_layer

_WORTH_A_PROCESS = 4 << 20
"""Bytes of a blob above which starting an interpreter (some 40 ms) is worth it."""


class LayerJob(NamedTuple):
    """A layer's bytes (`size` from `offset`; None: the whole file) and the empty directory for its tree."""

    blob_path: str
    target: str
    offset: int = 0
    size: int | None = None


def unpack_layers(jobs: Sequence[LayerJob], *, limits: Limits | None = None, workers: int = 0) -> list[LayerDigests]:
    """Unpacks all; `workers` at once (0: one per core). Raises `ImageRefused` or `ImageError` of the first that fails;
    the others are stopped.
    """
    limits = limits or Limits()
    big = [job for job in jobs if _size(job) > _WORTH_A_PROCESS]
    if len(big) < 2:
        return [
            unpack_layer(job.blob_path, job.target, limits=limits, offset=job.offset, size=job.size) for job in jobs
        ]
    done: dict[LayerJob, LayerDigests] = {}
    running: dict[LayerJob, subprocess.Popen[bytes]] = {}
    most = workers or len(os.sched_getaffinity(0))
    waiting = sorted(big, key=_size)
    try:
        while waiting or running:
            while waiting and len(running) < most:
                job = waiting.pop()
                running[job] = _start(job, limits)
            if len(done) == 0:
                for small in jobs:
                    if small not in big:
                        done[small] = unpack_layer(
                            small.blob_path, small.target, limits=limits, offset=small.offset, size=small.size
                        )
            job = next(iter(running))
            done[job] = _finish(running[job], job)
            del running[job]
    finally:
        for process in running.values():
            process.kill()
            process.communicate()
    return [done[job] for job in jobs]


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
    process.stdin.write(json.dumps({**job._asdict(), "limits": list(limits)}).encode())
    process.stdin.close()
    process.stdin = None
    return process


def _finish(process: subprocess.Popen[bytes], job: LayerJob) -> LayerDigests:
    out, said = process.communicate()
    try:
        report: dict[str, Any] = json.loads(out)
    except ValueError:
        raise ImageError(
            f"unpacking {os.path.basename(job.blob_path)} ended with code {process.returncode}: "
            f"{said.decode(errors='replace').strip()[-300:] or 'it said nothing'}"
        ) from None
    if "error" in report:
        kind = ImageRefused if report["refused"] else ImageError
        raise kind(report["error"], hint=report["hint"])
    report["implicit_parents"] = tuple(bytes.fromhex(path) for path in report["implicit_parents"])
    return LayerDigests(**report)
