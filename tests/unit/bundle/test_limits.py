"""Limits and devices in OCI's words, on kernels of every kind."""

from __future__ import annotations

from typing import Any

import bundles
import pytest

from composer.bundle import resources
from composer.bundle.cdi import Edits
from composer.bundle.context import HostDevice
from composer.bundle.resources import Allowed, Found
from composer.errors import ContainerError, MachineError
from composer.model.resources import Device, DiskLimit, Resources

V2 = resources.EVERYTHING - {resources.RT, resources.SWAPPINESS, resources.OOM_KILL_DISABLE}
SDA = "/dev/sda"


def rendered(asked: Resources, found: Found | None = None, **fields: Any) -> dict[str, Any]:
    return bundles.render(bundles.container(resources=asked, **fields), found=found or Found())


def limits(asked: Resources, found: Found | None = None, **fields: Any) -> dict[str, Any]:
    given: dict[str, Any] = rendered(asked, found, **fields)["linux"]["resources"]
    del given["devices"]
    return given


def test_memory_has_its_reservation_swappiness_and_no_killer() -> None:
    asked = Resources(mem_reservation=5, mem_swappiness=60, memswap_limit=300, oom_kill_disable=True)
    assert limits(asked, mem_limit=200) == {
        "memory": {"limit": 200, "swap": 300, "reservation": 5, "swappiness": 60, "disableOOMKiller": True}
    }


@pytest.mark.parametrize(("asked", "swap"), [(0, {"swap": 400}), (-1, {}), (200, {"swap": 200})])
def test_swap_is_twice_the_memory_or_as_asked_or_without_end(asked: int, swap: dict[str, int]) -> None:
    given = limits(Resources(memswap_limit=asked, cpu_shares=5), mem_limit=200)
    assert given["memory"] == {"limit": 200, **swap}


def test_what_cgroup_v2_has_not_is_left_out_and_told() -> None:
    asked = Resources(mem_swappiness=60, oom_kill_disable=True, cpu_shares=5)
    assert limits(asked, Found(able=V2)) == {"cpu": {"shares": 5}}
    told = resources.left_out(bundles.spec(resources=asked), Found(able=V2), swap_limit=True)
    assert list(told) == ["mem_swappiness", "oom_kill_disable"]


def test_a_kernel_that_can_nothing_goes_without_all_of_it() -> None:
    disk = (DiskLimit(SDA, 5),)
    asked = Resources(
        cpu_shares=5, cpu_quota=1000, cpuset="0", mem_reservation=9, memswap_limit=9, blkio_weight=10,
        weight_device=disk, device_read_bps=disk,
    )  # fmt: skip
    assert limits(asked, Found(able=frozenset())) == {}
    told = resources.left_out(bundles.spec(resources=asked), Found(able=frozenset()), swap_limit=False)
    assert list(told) == [
        "mem_reservation", "cpu_shares", "cpu_quota", "cpuset", "blkio_config.weight", "blkio_config.weight_device",
        "blkio_config.device_read_bps", "memswap_limit",
    ]  # fmt: skip
    assert list(resources.left_out(bundles.spec(), Found(able=frozenset()), swap_limit=False)) == []


def test_cpus() -> None:
    asked = Resources(
        cpu_shares=9, cpu_period=50000, cpu_quota=-1, cpuset="0-1,3", cpu_rt_period=1000, cpu_rt_runtime=9
    )
    assert limits(asked, Found(cpus=frozenset(range(4)))) == {
        "cpu": {
            "shares": 9, "period": 50000, "quota": -1, "cpus": "0-1,3", "realtimePeriod": 1000, "realtimeRuntime": 9,
        }
    }  # fmt: skip


def test_cpus_that_are_not_there() -> None:
    with pytest.raises(ContainerError, match="cpuset: this machine has no CPU 2"):
        limits(Resources(cpuset="0-3"), Found(cpus=frozenset({0, 1, 3})))


def test_real_time_without_groups_for_it() -> None:
    with pytest.raises(MachineError, match="need real-time groups, which this kernel does not have"):
        limits(Resources(cpu_rt_runtime=9), Found(able=V2))


def test_disks() -> None:
    disk = (DiskLimit(SDA, 7),)
    asked = Resources(
        blkio_weight=300, weight_device=disk, device_read_bps=disk, device_read_iops=disk, device_write_bps=disk,
        device_write_iops=disk,
    )  # fmt: skip
    rate = [{"major": 8, "minor": 0, "rate": 7}]
    assert limits(asked, Found(disks={SDA: (8, 0)})) == {
        "blockIO": {
            "weight": 300,
            "weightDevice": [{"major": 8, "minor": 0, "weight": 7}],
            "throttleReadBpsDevice": rate,
            "throttleReadIOPSDevice": rate,
            "throttleWriteBpsDevice": rate,
            "throttleWriteIOPSDevice": rate,
        }
    }


def test_devices_are_nodes_and_rules() -> None:
    node = HostDevice("/dev//mine", "c", 1, 7, 0o640, 3, 4)
    asked = Resources(devices=(Device("/dev/full", "/dev//mine", "r"),), device_cgroup_rules=("b *:* r", "a 7:* rw"))
    linux = rendered(asked, Found(devices=(Allowed(node, "r"),)))["linux"]
    assert linux["devices"] == [
        {"path": "/dev/mine", "type": "c", "major": 1, "minor": 7, "fileMode": 0o640, "uid": 3, "gid": 4}
    ]
    assert linux["resources"]["devices"][-4:] == [
        {"allow": True, "type": "c", "major": 1, "minor": 7, "access": "r"},
        {"allow": True, "type": "b", "access": "r"},
        {"allow": True, "type": "b", "access": "rw", "major": 7},
        {"allow": True, "type": "c", "access": "rw", "major": 7},
    ]


def test_a_privileged_container_has_the_machines_devices_and_its_own() -> None:
    machine = (HostDevice("/dev/a", "c", 1, 1, 0o600, 0, 0), HostDevice("/dev/b", "c", 1, 2, 0o600, 0, 0))
    mine = HostDevice("/dev/a", "c", 9, 9, 0o600, 0, 0)
    config = bundles.render(
        bundles.container(privileged=True, resources=Resources(devices=(Device("/dev/x", "/dev/a"),))),
        facts=bundles.facts(devices=machine),
        found=Found(devices=(Allowed(mine, "rwm"),)),
    )
    assert [(one["path"], one["major"]) for one in config["linux"]["devices"]] == [("/dev/b", 1), ("/dev/a", 9)]
    assert config["linux"]["resources"]["devices"] == [{"allow": True, "access": "rwm"}]


@pytest.mark.parametrize("path", ["/", "/proc/x", "/.."])
def test_a_device_cannot_be_everywhere(path: str) -> None:
    node = Allowed(HostDevice(path, "c", 1, 7, 0o600, 0, 0), "r")
    with pytest.raises(ContainerError):
        rendered(Resources(devices=(Device("/dev/full", path),)), Found(devices=(node,)))


def test_what_comes_with_devices() -> None:
    edits = Edits(
        env=("A=1",),
        mounts=(
            {"destination": "/lib/x/y", "type": "bind", "source": "/y", "options": ["rbind"]},
            {"destination": "/lib/x", "type": "bind", "source": "/x", "options": ["rbind"]},
            {"destination": "/own", "type": "bind", "source": "/not", "options": ["rbind"]},
        ),
        hooks=(("createRuntime", {"path": "/bin/a"}), ("createRuntime", {"path": "/bin/b"})),
        gids=(44,),
    )
    config = rendered(Resources(cpu_shares=5), Found(edits=edits), mounts=[{"tmpfs": {"target": "/own"}}])
    assert config["process"]["env"][-1] == "A=1"
    assert config["process"]["user"]["additionalGids"] == [0, 44]
    assert config["hooks"] == {"createRuntime": [{"path": "/bin/a"}, {"path": "/bin/b"}]}
    assert [mount["destination"] for mount in config["mounts"][-2:]] == ["/lib/x", "/lib/x/y"]
    own = bundles.mount_at(config, "/own")
    assert own is not None
    assert own["type"] == "tmpfs"


def test_the_score_for_the_killer_of_processes() -> None:
    assert rendered(Resources(oom_score_adj=300))["process"]["oomScoreAdj"] == 300
    assert "oomScoreAdj" not in rendered(Resources(cpu_shares=5))["process"]
    with pytest.raises(ContainerError, match="oom_score_adj: -5 is below what this machine lets us set, 0"):
        rendered(Resources(oom_score_adj=-5), Found(oom_score_least=0))
