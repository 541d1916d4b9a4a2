"""Limits and devices of real containers: what the kernel has of them, and what cannot be is told."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from scenarios.conftest import SLEEP, Stack

from composer.bundle.resources import RT
from composer.host import cgroup
from composer.host.cdi import specs
from composer.host.devices import able

pytestmark = pytest.mark.real


def service(text: str) -> str:
    lines = "".join(f"    {line}\n" for line in text.strip().splitlines())
    return f"services:\n  web:\n{SLEEP}{lines}"


def knob(stack: Stack, *names: str) -> str:
    """What a file of the container's cgroup says, of the first of these names that is there."""
    (container_id,) = stack.ids().values()
    path = f"{stack.paths.stack_cgroup('web')}/{container_id}"
    for hierarchy in cgroup.hierarchies():
        for name in names:
            file = Path(f"{hierarchy.path}{path}/{name}")
            if file.exists():
                return file.read_text().strip()
    pytest.fail(f"there is none of {names}")


IS_V2 = cgroup.mode() == "v2"


def test_limits_are_the_kernels(stack: Stack) -> None:
    stack.write(
        service(
            "cpu_shares: 512\ncpu_period: 50000\ncpu_quota: 25000\ncpuset: '0'\nmem_limit: 64m\nmem_reservation: 32m\n"
            "memswap_limit: 96m\npids_limit: 50\noom_score_adj: 300\nshm_size: 8m\n"
            "ulimits: {nofile: {soft: 90, hard: 99}}"
        )
    )
    stack("up", "-d")
    if IS_V2:
        assert knob(stack, "cpu.max") == "25000 50000"
        assert knob(stack, "memory.max") == str(64 << 20)
        assert knob(stack, "memory.low") == str(32 << 20)
        assert knob(stack, "memory.swap.max") == str(32 << 20)
    else:
        assert knob(stack, "cpu.shares") == "512"
        assert (knob(stack, "cpu.cfs_period_us"), knob(stack, "cpu.cfs_quota_us")) == ("50000", "25000")
        assert knob(stack, "memory.limit_in_bytes") == str(64 << 20)
        assert knob(stack, "memory.soft_limit_in_bytes") == str(32 << 20)
        assert knob(stack, "memory.memsw.limit_in_bytes") == str(96 << 20)
    assert knob(stack, "cpuset.cpus") == "0"
    assert knob(stack, "pids.max") == "50"
    assert stack("exec", "-T", "web", "cat", "/proc/1/oom_score_adj").stdout == "300\n"
    assert "size=8192k" in stack("exec", "-T", "web", "grep", "/dev/shm", "/proc/mounts").stdout
    assert " 90                   99 " in stack("exec", "-T", "web", "grep", "open files", "/proc/1/limits").stdout
    before = stack.ids()
    assert stack("plan").stdout.startswith("nothing to do\n")
    stack.write(service("cpu_shares: 256\nmem_limit: 64m"))
    told = stack("plan", "--diff").stdout
    assert "cpu_shares: 512 → 256" in told
    assert "oom_score_adj: 300 → (none)" in told
    stack("up", "-d")
    assert stack.ids() != before
    stack("down")
    stack.assert_nothing_left()


def test_limits_of_deploy_count_and_swap_is_twice_the_memory(stack: Stack) -> None:
    stack.write(
        service("deploy: {resources: {limits: {cpus: '0.5', memory: 64m, pids: 40}, reservations: {memory: 32m}}}")
    )
    stack("up", "-d")
    if IS_V2:
        assert knob(stack, "cpu.max") == "50000 100000"
        assert knob(stack, "memory.swap.max") == str(64 << 20)
    else:
        assert (knob(stack, "cpu.cfs_period_us"), knob(stack, "cpu.cfs_quota_us")) == ("100000", "50000")
        assert knob(stack, "memory.memsw.limit_in_bytes") == str(128 << 20)
        assert knob(stack, "memory.soft_limit_in_bytes") == str(32 << 20)
    assert knob(stack, "memory.max", "memory.limit_in_bytes") == str(64 << 20)
    assert knob(stack, "pids.max") == "40"
    stack("down")


def test_what_only_cgroup_v1_can_is_done_there_and_told_elsewhere(stack: Stack) -> None:
    stack.write(service("mem_limit: 64m\nmem_swappiness: 10\noom_kill_disable: true\nmemswap_limit: -1"))
    done = stack("up", "-d")
    if IS_V2:
        assert "it goes without: mem_swappiness, oom_kill_disable" in done.stderr
    else:
        assert knob(stack, "memory.swappiness") == "10"
        assert knob(stack, "memory.oom_control").startswith("oom_kill_disable 1\n")
        assert int(knob(stack, "memory.memsw.limit_in_bytes")) > 1 << 60
    stack("down")


def test_real_time_is_given_or_told(stack: Stack) -> None:
    text = "cpu_rt_period: 1000000\ncpu_rt_runtime: 20000\ndeploy: {replicas: 3}"
    stack.write(service(text))
    done = stack("up", "-d", code=0 if RT in able() else 4)
    if RT in able():
        assert set(stack.states().values()) == {"running"}
        (cpu,) = (one.path for one in cgroup.hierarchies() if "cpu" in one.controllers)
        parent = Path(f"{cpu}{stack.paths.stack_cgroup('web')}")
        given = [(parent / one / "cpu.rt_runtime_us").read_text() for one in stack.ids().values()]
        assert given == ["20000\n"] * 3
        assert int((parent / "cpu.rt_runtime_us").read_text()) >= 60000
    else:
        assert "need real-time groups, which this kernel does not have" in done.stderr
    stack("down")
    stack.write(service("cpu_rt_runtime: 990000"))
    done = stack("up", "-d", code=4)
    assert 'service "web": cpu_rt_runtime' in done.stderr
    stack("down")
    stack.assert_nothing_left()


def a_disk() -> str:
    """A whole disk of this machine."""
    for name in sorted(os.listdir("/sys/block")):
        if os.path.exists(f"/dev/{name}"):
            return f"/dev/{name}"
    pytest.fail("this machine has no disk")


def test_disks_are_limited(stack: Stack) -> None:
    disk = a_disk()
    stack.write(
        service(
            f"blkio_config:\n  weight: 300\n  device_read_bps: [{{path: {disk}, rate: 1mb}}]\n"
            f"  device_write_iops: [{{path: {disk}, rate: 50}}]"
        )
    )
    stack("up", "-d")
    number = os.stat(disk).st_rdev
    device = f"{os.major(number)}:{os.minor(number)}"
    if IS_V2:
        assert f"{device} rbps=1048576 wbps=max riops=max wiops=50" in knob(stack, "io.max")
    else:
        assert knob(stack, "blkio.throttle.read_bps_device") == f"{device} 1048576"
        assert knob(stack, "blkio.throttle.write_iops_device") == f"{device} 50"
    assert "300" in knob(stack, "blkio.bfq.weight", "blkio.weight", "io.bfq.weight", "io.weight")
    stack("down")
    stack.assert_nothing_left()


def test_devices_are_there_and_no_others(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/dev/zero")
    directory = tmp_path / "many"
    (directory / "below").mkdir(parents=True)
    for path, minor in ((directory / "a", 3), (directory / "below/b", 5)):
        os.mknod(path, 0o600 | 0o020000, os.makedev(1, minor))
    (directory / "text").write_text("no device")
    stack.write(
        service(
            f"devices: ['/dev/kmsg:/dev/mine:r', '{tmp_path}/link:/dev/z', '{directory}:/dev/many']\n"
            "device_cgroup_rules: ['c 10:200 rwm', 'a 7:* rm']"
        )
    )
    stack("up", "-d")
    script = (
        "stat -c '%t:%T' /dev/mine /dev/z /dev/many/a /dev/many/below/b; ls /dev/many; echo x > /dev/mine; "
        "dd if=/dev/z bs=2 count=1 of=/dev/null 2>&1"
    )
    inside = stack("exec", "-T", "web", "sh", "-c", script, code=None)
    assert inside.stdout.splitlines()[:6] == ["1:b", "1:5", "1:3", "1:5", "a", "below"]
    assert "can't create /dev/mine: Operation not permitted" in inside.stderr
    assert "1+0 records in" in inside.stdout
    if not IS_V2:
        allowed = knob(stack, "devices.list").splitlines()
        assert {"c 1:11 r", "c 10:200 rwm", "b 7:* rm", "c 7:* rm"} <= set(allowed)
        assert "a *:* rwm" not in allowed
    stack("down")
    stack.assert_nothing_left()


@pytest.fixture
def vendor() -> Iterator[str]:
    """A vendor of CDI devices with a file of its own."""
    name = f"jktest{secrets.token_hex(4)}.com"
    os.makedirs("/var/run/cdi", exist_ok=True)
    file = Path(f"/var/run/cdi/{name}.json")
    yield name
    file.unlink(missing_ok=True)


def describe(vendor: str, tmp_path: Path) -> None:
    (tmp_path / "library").write_text("driver")
    spec = {
        "cdiVersion": "0.6.0",
        "kind": f"{vendor}/card",
        "annotations": {"made.by": "a test"},
        "containerEdits": {
            "env": ["VENDOR=yes"],
            "mounts": [{"hostPath": f"{tmp_path}/library", "containerPath": "/lib/driver", "options": ["ro", "bind"]}],
            "hooks": [{
                "hookName": "createRuntime", "path": "/bin/sh", "args": ["sh", "-c", f"cat > {tmp_path}/hooked"],
            }],
        },
        "devices": [
            {"name": name, "containerEdits": {"deviceNodes": [node], "env": [f"CARD_{name}=1"]}}
            for name, node in (
                ("0", {"path": "/dev/card0", "hostPath": "/dev/kmsg", "permissions": "r", "fileMode": 0o640}),
                ("1", {"path": "/dev/card1", "type": "c", "major": 1, "minor": 5, "uid": 7}),
            )
        ],
    }  # fmt: skip
    Path(f"/var/run/cdi/{vendor}.json").write_text(json.dumps(spec))


def test_devices_come_by_cdi(stack: Stack, tmp_path: Path, vendor: str) -> None:
    describe(vendor, tmp_path)
    stack.write(service(f"devices: ['{vendor}/card=0', '{vendor}/card=1']"))
    stack("up", "-d")
    script = (
        "stat -c '%t:%T %a %u' /dev/card0 /dev/card1; tr '\\0' '\\n' < /proc/1/environ; cat /lib/driver; "
        "echo x > /dev/card0"
    )
    inside = stack("exec", "-T", "web", "sh", "-c", script, code=None)
    lines = inside.stdout.splitlines()
    assert lines[0] == "1:b 640 0"
    assert lines[1].startswith("1:5 ")
    assert lines[1].endswith(" 7")
    assert {"VENDOR=yes", "CARD_0=1", "CARD_1=1"} <= set(lines)
    assert lines[-1] == "driver"
    assert "Operation not permitted" in inside.stderr
    assert json.loads((tmp_path / "hooked").read_text())["id"] in stack.ids().values()
    stack("down")
    stack.assert_nothing_left()


def test_a_request_for_devices_names_them_by_cdi(stack: Stack, tmp_path: Path, vendor: str) -> None:
    describe(vendor, tmp_path)
    request = f"{{driver: cdi, device_ids: ['{vendor}/card=1'], capabilities: [gpu]}}"
    stack.write(service(f"deploy: {{resources: {{reservations: {{devices: [{request}]}}}}}}"))
    stack("up", "-d")
    assert stack("exec", "-T", "web", "sh", "-c", "echo $CARD_1; ls /dev/card1").stdout == "1\n/dev/card1\n"
    stack("down")


@pytest.mark.parametrize(
    ("text", "code", "told"),
    [
        ("devices: [/dev/none]", 1, "devices: '/dev/none': No such file or directory"),
        ("devices: [/etc/passwd]", 1, "devices: '/etc/passwd' is not a device"),
        ("devices: [/etc/ssl]", 1, "devices: there is no device below '/etc/ssl'"),
        ("devices: [/proc]", 1, "devices: there is too much below '/proc'"),
        ("devices: ['/dev/null:/']", 1, "nothing can be mounted on `/`"),
        ("devices: ['/dev/null:/proc/x']", 1, "it belongs to the container's own processes"),
        ("devices: ['no.such/card=1']", 4, "no CDI device no.such/card=1: no file describes no.such/card"),
        ("gpus: [{driver: strange}]", 4, "no device for driver 'strange' with capabilities: gpu"),
        (
            "deploy: {resources: {reservations: {devices: [{capabilities: [tpu]}]}}}",
            4,
            "no device for any driver with capabilities: tpu",
        ),
        ("cpuset: '0,900'", 1, "cpuset: this machine has no CPU 900"),
        ("blkio_config: {device_read_bps: [{path: /dev/none, rate: 1}]}", 1, "'/dev/none': No such file or directory"),
        ("blkio_config: {device_read_bps: [{path: /dev/null, rate: 1}]}", 1, "'/dev/null' is not a disk"),
    ],
)
def test_what_is_not_there_is_told(stack: Stack, text: str, code: int, told: str) -> None:
    stack.write(service(text))
    done = stack("up", "-d", code=code)
    assert 'service "web": ' in done.stderr
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    stack("down")
    stack.assert_nothing_left()


def test_gpus_without_a_description_are_told(stack: Stack) -> None:
    """A machine that has such GPUs gives them."""
    has_gpus = any(spec.kind == "nvidia.com/gpu" for spec in specs()[0])
    stack.write(service("gpus: all"))
    done = stack("up", "-d", code=None)
    assert has_gpus or "no CDI device nvidia.com/gpu=all: no file describes nvidia.com/gpu" in done.stderr
    assert (done.returncode == 0) is has_gpus
    stack("down")


def test_a_score_below_our_own_is_given_or_told(stack: Stack) -> None:
    stack.write(service("oom_score_adj: -900"))
    status = Path("/proc/self/status").read_text()
    may = int(next(line for line in status.splitlines() if line.startswith("CapEff")).split()[1], 16) >> 24 & 1
    done = stack("up", "-d", code=0 if may else 1)
    assert may or "oom_score_adj: -900 is below what this machine lets us set, " in done.stderr
    assert not may or stack("exec", "-T", "web", "cat", "/proc/1/oom_score_adj").stdout == "-900\n"
    stack("down")
    stack.assert_nothing_left()


def test_what_needs_more_memory_than_its_limit_is_told(stack: Stack) -> None:
    stack.write(
        "services: {web: {image: demo, network_mode: none, x-jocker: {retry: {attempts: 2, wait: 0}},"
        " memswap_limit: 24m, deploy: {resources: {limits: {memory: 24m}}},"
        " command: [dd, if=/dev/zero, of=/dev/null, bs=300M]}}"
    )
    done = stack("up", "-d", code=1)
    assert "ran out of memory (its mem_limit is 24 MiB)" in done.stderr
    stack("down")
