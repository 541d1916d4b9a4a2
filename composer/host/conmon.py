"""conmon, the shim of every container: it keeps the log, learns the exit status, serves attach, and outlives us.

`create` follows conmon's protocol (conmon(8)): it reports the container's pid, or the runtime's error, as one JSON line
on the pipe named by `_OCI_SYNCPIPE`; before it forks it waits for a byte on `_OCI_STARTPIPE`, which gives us the moment
to move it into the shim cgroup.
"""

from __future__ import annotations

import json
import os
import subprocess

from composer.errors import ContainerError, MachineError, ToolMissing
from composer.frozen import frozen
from composer.host import cgroup
from composer.host.proc import environment, require
from composer.host.runtime import Runtime, explained
from composer.model.process import DEFAULT_LOG, Log
from composer.paths import Paths

HARD_LOG_CAP = 64 * 1024 * 1024
"""Bytes after which conmon itself starts a new log, where nobody comes to rotate it (`host.logs`): the disk's guard."""


JOURNAL = "/run/systemd/journal/socket"
"""Where journald listens."""


@frozen
class Shim:
    """What conmon is told about one container. `stdin` keeps its standard input open for whoever attaches,
    `stdin_once` closes it when the first who attached leaves. `at_end` is the command line of a program it runs when
    the container has ended; `keeps` are descriptors it holds open until then. `log` is where what it says goes.
    """

    container_id: str
    project: str
    name: str
    tty: bool = False
    stdin: bool = False
    stdin_once: bool = False
    at_end: tuple[str, ...] = ()
    keeps: tuple[int, ...] = ()
    log: Log = DEFAULT_LOG


def command_line(conmon: str, runtime: Runtime, paths: Paths, shim: Shim) -> tuple[str, ...]:
    """The argv of conmon for one container."""
    container_id = shim.container_id
    bundle, run = paths.bundle(container_id), paths.conmon(container_id)
    argv = [
        conmon, "--api-version", "1",
        "--cid", container_id, "--cuuid", container_id, "--name", shim.name,
        "--runtime", runtime.binary, "--bundle", bundle,
        "--container-pidfile", f"{run}/pidfile", "--conmon-pidfile", f"{run}/conmon.pid",
        "--exit-dir", paths.exit_dir(container_id), "--full-attach",
        *_log(paths, shim),
        "--no-sync-log",  # else every end and every new log file waits for the disk
        "--log-level", "warning",
        "--runtime-arg", "--root", "--runtime-arg", runtime.root,
        "--runtime-arg", "--log", "--runtime-arg", f"{run}/runtime.log",
        "--runtime-arg", "--log-format", "--runtime-arg", "json",
    ]  # fmt: skip
    if shim.at_end:
        program, *arguments = shim.at_end
        argv += ["--exit-command", program]
        argv += [word for argument in arguments for word in ("--exit-command-arg", argument)]
    if shim.tty:
        argv.append("--terminal")
    if shim.stdin:
        argv.append("--stdin")
        if not shim.stdin_once:
            argv.append("--leave-stdin-open")
    return tuple(argv)


def _log(paths: Paths, shim: Shim) -> tuple[str, ...]:
    log = shim.log
    if log.driver == "file":
        path = ("--log-path", f"k8s-file:{paths.log(shim.container_id)}")
        return path if log.max_size < 0 else (*path, "--log-size-max", str(log.max_size or HARD_LOG_CAP))
    return ("--log-path", log.driver, *(("--log-tag", log.tag) if log.tag else ()))


def create(paths: Paths, runtime: Runtime, shim: Shim) -> int:
    """Makes the container through conmon, not started; returns the pid of its first process.

    The bundle and the exit directory are there already. Raises `ContainerError` with the runtime's reason,
    `MachineError` when conmon itself fails.
    """
    if shim.log.driver == "journald" and not os.path.exists(JOURNAL):
        raise MachineError(
            f"{shim.name}: logging: there is no journald here ({JOURNAL})",
            hint="another driver: json-file, local, none",
        )
    argv = command_line(require("conmon"), runtime, paths, shim)
    shim_cgroup = cgroup.make(paths.shim_cgroup(shim.project), for_processes=True)
    sync_read, sync_write = os.pipe()
    start_read, start_write = os.pipe()
    # What it says goes to a file, for a pipe the container would hold open for ever; in memory, which is freed when
    # conmon lets go of it, once the container is made.
    with open(os.memfd_create("conmon"), "r+b") as said, open(sync_read, "rb") as report:
        try:
            process = subprocess.Popen(
                argv,
                pass_fds=(sync_write, start_read, *shim.keeps),
                # conmon keeps this environment for the container's whole life: nothing of ours belongs in it.
                env=environment({"_OCI_SYNCPIPE": str(sync_write), "_OCI_STARTPIPE": str(start_read)}),
                stdin=subprocess.DEVNULL,
                stdout=None if shim.log.driver == "passthrough" else subprocess.DEVNULL,
                stderr=None if shim.log.driver == "passthrough" else said,
                cwd="/",
                start_new_session=True,
            )
        except FileNotFoundError:
            os.close(start_write)
            raise ToolMissing("conmon") from None
        finally:
            os.close(sync_write)
            os.close(start_read)
        try:
            cgroup.put(shim_cgroup, process.pid)
            os.write(start_write, b"\0")
        except BaseException:
            process.kill()  # before it forked: nothing has been made yet
            process.wait()
            raise
        finally:
            os.close(start_write)
        process.wait()
        line = report.readline()
        said.seek(0)
        complaint = said.read(65536).decode(errors="replace")
    return _understood(line, complaint, shim.name)


def _understood(line: bytes, complaint: str, name: str) -> int:
    if not line:
        raise MachineError(
            f"{name}: conmon failed: {complaint.strip() or 'it said nothing'}", hint="run `jocker doctor`"
        )
    try:
        report = json.loads(line)
        pid = int(report["data"])
    except (ValueError, KeyError, TypeError):
        raise ContainerError(f"{name}: conmon reported {line[:200]!r}") from None
    if pid < 0:
        raise explained(str(report.get("message") or complaint), name)
    return pid
