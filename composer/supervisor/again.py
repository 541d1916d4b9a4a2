"""Starting a container again: in a process of its own, which loads all that making one takes, and ends.

So the supervisor stays small. The loading is done while the back-off passes.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Collection, Mapping
from typing import Any

from composer.errors import JockerError
from composer.execute import restarting
from composer.host.state import FirstProcess
from composer.paths import Paths
from composer.plan.restart import Past

LOADING_TAKES = 0.3
"""Seconds before it is due that the process is started."""
DONE, FAILED = 0, 1


def fork(
    paths: Paths, record: Mapping[str, Any], life: FirstProcess, due: float, past: Past, closed: Collection[int]
) -> int:
    """Starts the process; gives its pid. It ends with `DONE`, also if there is nothing to do any more, or `FAILED`.

    `due` is of the monotonic clock, `past` what the container's past is then. `closed` are descriptors that are the
    supervisor's alone.
    """
    pid = os.fork()
    if pid:
        return pid
    code = FAILED
    try:
        for fd in closed:
            os.close(fd)
        code = _restart(paths, record, life, due, past)
    except JockerError as error:
        sys.stderr.write(f"{record['name']} cannot be started again: {error.message}\n")
    except BaseException:  # noqa: BLE001  it must not go on as a second supervisor
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _restart(paths: Paths, record: Mapping[str, Any], life: FirstProcess, due: float, past: Past) -> int:
    from composer.execute.machine import Machine

    project, container_id = record["project"], record["id"]
    machine = Machine(paths)
    machine.load()
    time.sleep(max(0.0, due - time.monotonic()))
    with restarting.may_restart(paths, project, container_id, life) as is_due:
        if is_due:
            with restarting.coming(paths, project, container_id, past):
                machine.restart_container(container_id)
    return DONE
