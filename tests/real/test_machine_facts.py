"""What this machine is, as bundles need to know it."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from composer.bundle.defaults import ALL_CAPABILITIES
from composer.errors import MachineError
from composer.host.machine_facts import (
    INIT_PROGRAMS,
    architecture,
    find_init,
    is_static,
    kernel_version,
    machine_facts,
    seccomp_default,
)

pytestmark = pytest.mark.real


def test_the_facts_are_those_of_this_machine() -> None:
    facts = machine_facts()
    assert facts.hostname == os.uname().nodename
    assert facts.kernel >= (4, 0)
    assert facts.cgroup_v2 == (Path("/sys/fs/cgroup/cgroup.controllers").exists())
    assert facts.capabilities <= set(ALL_CAPABILITIES)
    assert "CAP_SYS_ADMIN" in facts.capabilities
    assert facts.seccomp_default is not None
    assert facts.seccomp_default["defaultAction"] == "SCMP_ACT_ERRNO"
    assert machine_facts() is facts


def test_device_nodes_are_found_and_no_others() -> None:
    devices = {device.path: device for device in machine_facts().devices}
    null = devices["/dev/null"]
    assert (null.type, null.major, null.minor) == ("c", 1, 3)
    assert not [path for path in devices if path.startswith(("/dev/pts/", "/dev/shm/", "/dev/fd"))]


def test_open_files_are_limited_by_the_kernel_at_least() -> None:
    nr_open = int(Path("/proc/sys/fs/nr_open").read_text())
    assert machine_facts().hard_limits["RLIMIT_NOFILE"] <= nr_open


def test_without_the_capability_our_own_hard_limits_are_the_highest() -> None:
    """Seen from a process that has given CAP_SYS_RESOURCE up, with limits lowered besides."""
    script = (
        "from composer.host.machine_facts import machine_facts; import resource;"
        "resource.setrlimit(resource.RLIMIT_CORE, (5, 6)); print(machine_facts().hard_limits['RLIMIT_CORE'])"
    )
    drop = ["setpriv", "--bounding-set=-sys_resource", "--inh-caps=-all"]
    done = subprocess.run([*drop, sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "6\n"
    assert resource.getrlimit(resource.RLIMIT_CORE) != (5, 6)


def test_an_init_is_one_that_needs_no_libraries(tmp_path: Path) -> None:
    shutil.copy("/bin/ls", tmp_path / "dynamic")
    shutil.copy("/bin/busybox", tmp_path / "static")
    (tmp_path / "script").write_text("#!/bin/sh\n")
    (tmp_path / "script").chmod(0o755)
    (tmp_path / "torn").write_bytes(b"\x7fELF\x02\x01")
    shutil.copy("/bin/busybox", tmp_path / "forbidden")
    (tmp_path / "forbidden").chmod(0o644)
    names = ("missing", "script", "torn", "forbidden", "dynamic", "static")
    assert find_init(tuple(str(tmp_path / name) for name in names)) == str(tmp_path / "static")
    assert find_init((str(tmp_path / "dynamic"),)) is None
    assert not is_static("/proc/self/nothing")


def test_this_machine_has_an_init() -> None:
    assert find_init(INIT_PROGRAMS) == machine_facts().init_path is not None


def test_the_administrators_seccomp_profile_comes_first(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    second.write_text('{"defaultAction": "second"}')
    assert seccomp_default((str(first), str(second))) == {"defaultAction": "second"}
    first.write_text('{"defaultAction": "first"}')
    assert seccomp_default((str(first), str(second))) == {"defaultAction": "first"}
    assert seccomp_default(()) is None


@pytest.mark.parametrize(("text", "message"), [("{", "not JSON"), ("[]", "not a seccomp profile")])
def test_a_broken_profile_is_not_passed_over(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "profile").write_text(text)
    with pytest.raises(MachineError, match=message):
        seccomp_default((str(tmp_path / "profile"),))


def test_names_of_machines_and_kernels() -> None:
    assert [architecture(name) for name in ("x86_64", "aarch64", "riscv64", "odd")] == [
        "amd64",
        "arm64",
        "riscv64",
        "odd",
    ]
    assert [kernel_version(text) for text in ("6.1.0-18-amd64", "5.15", "odd")] == [(6, 1), (5, 15), (0, 0)]
