"""Rendered bundles, run by the real runtime: what the process inside then sees."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bundles
import pytest

from composer.bundle.render import render_config, render_hosts
from composer.host import kernel, proc, rootfs
from composer.host.machine_facts import machine_facts
from composer.host.trees import remove_tree

pytestmark = pytest.mark.real

PASSWD = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n"
GROUP = "root:x:0:\nextra:x:2000:app\n"


class Bundle:
    """A busybox root and a cgroup of its own; `run` renders, runs, and gives what came out."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.root = directory / "rootfs"
        self.id = f"jktest{secrets.token_hex(6)}"
        self.cgroup = f"/jktest-{self.id}"
        for name in ("bin", "etc", "tmp", "root"):
            (self.root / name).mkdir(parents=True)
        shutil.copy("/bin/busybox", self.root / "bin/busybox")
        for applet in ("sh", "cat", "id", "ls", "stat", "mount", "unshare", "hostname", "sleep", "true"):
            (self.root / "bin" / applet).symlink_to("busybox")
        (self.root / "etc/passwd").write_text(PASSWD)
        (self.root / "etc/group").write_text(GROUP)

    def render(
        self,
        *,
        files: dict[str, str] | None = None,
        volumes: dict[str, str] | None = None,
        **fields: Any,
    ) -> str:
        desired = bundles.container(**fields)
        return render_config(
            desired,
            container_id=self.id,
            rootfs=str(self.root),
            cgroup_path=f"{self.cgroup}/{self.id}",
            user=rootfs.look_up_user(str(self.root), desired.spec.user, desired.spec.group_add),
            facts=machine_facts(),
            files=files or {},
            volumes=volumes or {},
        )

    def run(self, script: str, **fields: Any) -> subprocess.CompletedProcess[str]:
        """`script` is for /bin/sh in the container."""
        text = self.render(command=["/bin/sh", "-c", script], **fields)
        (self.directory / "config.json").write_text(text)
        rootfs.check_rootfs(str(self.root))
        return subprocess.run(
            [proc.require("runc"), "--root", f"{self.directory}/runc", "run", "--bundle", str(self.directory), self.id],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=60,
        )

    def said(self, script: str, **fields: Any) -> str:
        done = self.run(script, **fields)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@pytest.fixture
def bundle(tmp_path: Path) -> Iterator[Bundle]:
    made = Bundle(tmp_path)
    yield made
    # runc removes the container's cgroup and leaves the parent, which is ours.
    for parent in Path("/sys/fs/cgroup").glob(f"**{made.cgroup}"):
        parent.rmdir()
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()


def test_the_process_sees_what_docker_would_show_it(bundle: Bundle) -> None:
    shown = bundle.said("hostname; pwd; id; echo $HOME; echo $PATH; echo $HOSTNAME", working_dir="/tmp")
    assert shown.splitlines() == [
        bundle.id[:12],
        "/tmp",
        "uid=0(root) gid=0(root) groups=0(root)",
        "/root",
        "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        bundle.id[:12],
    ]


def test_the_image_user_gets_its_groups_and_home_and_no_capabilities(bundle: Bundle) -> None:
    shown = bundle.said("id; echo $HOME; cat /proc/self/status", user="app", group_add=("7",))
    lines = shown.splitlines()
    assert lines[0] == "uid=1000(app) gid=1000 groups=7,1000,2000(extra)"
    assert lines[1] == "/home/app"
    assert "CapEff:\t0000000000000000" in lines
    assert "CapBnd:\t00000000a80425fb" in lines


def test_root_has_dockers_capabilities_and_a_seccomp_filter(bundle: Bundle) -> None:
    status = bundle.said("cat /proc/self/status").splitlines()
    assert "CapEff:\t00000000a80425fb" in status
    assert "CapInh:\t0000000000000000" in status
    assert "CapAmb:\t0000000000000000" in status
    assert "Seccomp:\t2" in status


def test_the_filter_stops_what_the_profile_does_not_allow(bundle: Bundle) -> None:
    """swapoff is answered by the filter (EPERM) before the kernel looks for the file (ENOENT)."""
    shutil.copy("/bin/busybox", bundle.root / "bin/swapoff")
    assert "Operation not permitted" in bundle.run("swapoff /nothing").stderr
    unconfined = bundle.run("swapoff /nothing; cat /proc/self/status", security_opt=("seccomp=unconfined",))
    assert "Seccomp:\t0" in unconfined.stdout


def test_a_private_network_has_only_a_loopback_that_is_up(bundle: Bundle) -> None:
    assert bundle.said("ls /sys/class/net; cat /sys/class/net/lo/flags") == "lo\n0x9"


def test_low_ports_and_ping_are_open_to_users_in_a_private_network(bundle: Bundle) -> None:
    shown = bundle.said("cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/net/ipv4/ping_group_range")
    assert shown.split() == ["0", "0", "2147483647"]


def test_the_machines_network_is_shared_on_request(bundle: Bundle) -> None:
    shown = bundle.said("ls -l /proc/self/ns/net; hostname", network_mode="host")
    assert os.readlink("/proc/self/ns/net") in shown
    assert shown.splitlines()[1] == os.uname().nodename


def test_system_paths_are_masked_and_read_only(bundle: Bundle) -> None:
    assert bundle.said("cat /proc/keys; ls /sys/firmware; true") == ""
    assert bundle.run("echo 1 > /proc/sys/kernel/printk").returncode != 0
    assert bundle.run("echo x > /sys/kernel/x").returncode != 0


def test_a_read_only_root_cannot_be_written(bundle: Bundle) -> None:
    done = bundle.run(
        "echo x > /x; echo y > /tmp/y && cat /tmp/y", read_only=True, mounts=[{"tmpfs": {"target": "/tmp"}}]
    )
    assert "Read-only file system" in done.stderr
    assert done.stdout == "y\n"


def test_tmpfs_has_dockers_options_and_size(bundle: Bundle) -> None:
    mounts = bundle.said("cat /proc/mounts", mounts=[{"tmpfs": {"target": "/t", "options": ["size=1m", "exec"]}}])
    (line,) = [line for line in mounts.splitlines() if " /t " in line]
    assert {"nosuid", "nodev", "size=1024k"} <= set(line.split()[3].split(","))
    assert "noexec" not in line


def test_shared_memory_has_the_size_asked_for(bundle: Bundle) -> None:
    mounts = bundle.said("cat /proc/mounts", shm_size=8 * 1024 * 1024)
    (line,) = [line for line in mounts.splitlines() if " /dev/shm " in line]
    assert "size=8192k" in line


def test_nested_mounts_work_in_whatever_order_they_are_written(bundle: Bundle, tmp_path: Path) -> None:
    outer, inner = tmp_path / "outer", tmp_path / "inner"
    outer.mkdir()
    inner.mkdir()
    (outer / "o").write_text("outer")
    (inner / "i").write_text("inner")
    shown = bundle.said(
        "cat /a/o /a/b/i",
        mounts=[
            {"bind": {"target": "/a/b", "source": str(inner)}},
            {"bind": {"target": "/a", "source": str(outer)}},
        ],
    )
    assert shown == "outerinner"


def test_a_read_only_bind_is_read_only_below_too(bundle: Bundle, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    kernel.mount("tmpfs", str(source / "sub"), "tmpfs", 0)
    try:
        done = bundle.run(
            "echo x > /s/sub/x; echo x > /w/sub/x",
            mounts=[
                {"bind": {"target": "/s", "source": str(source), "read_only": True}},
                {"bind": {"target": "/w", "source": str(source), "read_only": True, "recursive": "writable"}},
            ],
        )
        assert "can't create /s/sub/x: Read-only file system" in done.stderr
        assert (source / "sub/x").exists()
    finally:
        kernel.umount(str(source / "sub"))


def test_given_files_and_volumes_are_there(bundle: Bundle, tmp_path: Path) -> None:
    hosts, volume = tmp_path / "hosts", tmp_path / "volume"
    hosts.write_text(render_hosts(bundles.container(extra_hosts=[["db", "10.1.2.3"]])))
    volume.mkdir()
    shown = bundle.said(
        "cat /etc/hosts; echo kept > /data/x",
        files={"/etc/hosts": str(hosts)},
        mounts=[{"volume": {"target": "/data"}}],
        volumes={"/data": str(volume)},
    )
    assert shown.splitlines()[-1] == "10.1.2.3\tdb"
    assert (volume / "x").read_text() == "kept\n"


def test_mounts_through_links_of_the_image_stay_inside(bundle: Bundle, tmp_path: Path) -> None:
    outside, hosts, volume = tmp_path / "outside", tmp_path / "hosts", tmp_path / "volume"
    for directory in (outside, volume):
        directory.mkdir()
    hosts.write_text("given")
    (bundle.root / "v").symlink_to(outside)
    (bundle.root / "etc/hosts").symlink_to(outside.parent / "beside")
    shown = bundle.said(
        f"echo x > /v/x; cat /etc/hosts {outside}/x",
        files={"/etc/hosts": str(hosts)},
        mounts=[{"volume": {"target": "/v"}}],
        volumes={"/v": str(volume)},
    )
    assert shown == "givenx"
    assert not (tmp_path / "beside").exists()
    assert os.listdir(outside) == []
    assert os.listdir(volume) == ["x"]


def test_limits_reach_the_cgroup_and_the_process(bundle: Bundle) -> None:
    v2 = machine_facts().cgroup_v2
    files = (
        ("memory.max", "pids.max", "cpu.max")
        if v2
        else ("memory/memory.limit_in_bytes", "pids/pids.max", "cpu/cpu.cfs_quota_us")
    )
    shown = bundle.said(
        f"ulimit -n; cd /sys/fs/cgroup; cat {' '.join(files)}",
        mem_limit=64 * 1024 * 1024,
        pids_limit=50,
        cpus=0.5,
        ulimits={"nofile": (100, 200)},
    )
    assert shown.splitlines() == ["100", "67108864", "50", "50000 100000" if v2 else "50000"]


def test_init_is_the_first_process(bundle: Bundle) -> None:
    shown = bundle.said("cat /proc/1/cmdline; echo; echo $$", init=True)
    assert shown.startswith("/sbin/docker-init\0--\0/bin/sh\0-c\0")
    assert shown.splitlines()[-1] != "1"


def test_a_privileged_container_has_it_all(bundle: Bundle) -> None:
    shown = bundle.said("cat /proc/self/status; ls /dev/kmsg; stat -c %a /proc/sys/kernel/printk", privileged=True)
    status = Path("/proc/self/status").read_text()
    assert next(line for line in status.splitlines() if line.startswith("CapBnd")) in shown
    assert "Seccomp:\t0" in shown
    assert "/dev/kmsg" in shown


def test_no_new_privileges_and_sysctls_are_set(bundle: Bundle) -> None:
    shown = bundle.said(
        "cat /proc/self/status /proc/sys/kernel/msgmax",
        security_opt=("no-new-privileges:true",),
        sysctls={"kernel.msgmax": "4096"},
    )
    assert "NoNewPrivs:\t1" in shown
    assert shown.endswith("\n4096")


def test_an_own_template_reaches_the_runtime(bundle: Bundle) -> None:
    template = (
        '{% extends "config.json.j2" %}\n'
        '{% block env %}{{ super() }}{{ ("FROM_TEMPLATE=" ~ container.name) | tojson }}{% endblock %}\n'
        '{% block mounts %}{{ super() }}{"destination": "/mine", "type": "tmpfs", "source": "mine"}{% endblock %}\n'
    )
    assert bundle.said("echo $FROM_TEMPLATE; cat /proc/mounts", template=template).startswith("shop-web-1\n")


def test_the_example_runs(bundle: Bundle) -> None:
    template = (Path(__file__).parents[2] / "examples/custom-template/mine.json.j2").read_text()
    shown = bundle.said("echo $SLOT; ls /sys; cat /proc/self/oom_score_adj /proc/mounts", template=template)
    lines = shown.splitlines()
    assert lines[:2] == ["1", "500"]
    assert [line for line in lines if line.startswith("scratch /scratch tmpfs") and "size=16384k" in line]


def test_a_hook_of_a_template_runs(bundle: Bundle, tmp_path: Path) -> None:
    template = (
        '{% extends "config.json.j2" %}\n{% block hooks %}"hooks": {"createRuntime": [{"path": "/bin/sh", '
        f'"args": ["sh", "-c", "cat > {tmp_path}/state"]}}]}}{{% endblock %}}\n'
    )
    bundle.said("true", template=template)
    assert json.loads((tmp_path / "state").read_text())["id"] == bundle.id


def test_odd_text_in_the_environment_survives(bundle: Bundle) -> None:
    shown = bundle.said('echo "$ODD"', environment={"ODD": 'a"b\\c\té\u2028.'})
    assert shown == 'a"b\\c\té\u2028.'


def test_every_container_gets_a_session_keyring_of_its_own(bundle: Bundle) -> None:
    text = bundle.render(command=["/bin/true"])
    assert "keyring" not in text  # runc makes one unless told not to, as under docker


def test_removing_a_bundle_needs_no_unmounting(bundle: Bundle, tmp_path: Path) -> None:
    bundle.said("true", mounts=[{"tmpfs": {"target": "/t"}}])
    remove_tree(str(bundle.root))
    assert not bundle.root.exists()
