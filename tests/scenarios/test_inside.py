"""What a process sees inside, with what docker compose 2.40 on dockerd shows it: every expectation was measured there.

A table names a service, what it says besides its script, the script, and what that prints. The services of a table
come up as one stack.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scenarios.conftest import Stack

pytestmark = pytest.mark.real

Table = dict[str, tuple[dict[str, Any], str, str]]

WHO = "id; echo $HOME"
USERS: Table = {
    "root": ({}, WHO, "uid=0(root) gid=0(root) groups=0(root)\n/root\n"),
    "name": ({"user": "app"}, WHO, "uid=1000(app) gid=1000(app) groups=1000(app),2000(extra)\n/home/app\n"),
    "number": ({"user": "1000"}, WHO, "uid=1000(app) gid=1000(app) groups=1000(app),2000(extra)\n/home/app\n"),
    "nobodys": ({"user": "4242"}, WHO, "uid=4242 gid=0(root) groups=0(root)\n/\n"),
    "both": ({"user": "app:extra"}, WHO, "uid=1000(app) gid=2000(extra) groups=2000(extra)\n/home/app\n"),
    "numbers": ({"user": "1000:7"}, WHO, "uid=1000(app) gid=7 groups=7\n/home/app\n"),
    "group": ({"user": ":2000"}, WHO, "uid=0(root) gid=2000(extra) groups=2000(extra)\n/root\n"),
    "added": (
        {"user": "4242:4243", "group_add": ["extra", "77"]},
        WHO,
        "uid=4242 gid=4243 groups=77,2000(extra),4243\n/\n",
    ),
    "home": ({"user": "app", "environment": {"HOME": "/mine"}}, "echo $HOME", "/mine\n"),
    "workdir": ({"user": "app", "working_dir": "/new/deep"}, "pwd; stat -c '%u %g %a' .", "/new/deep\n0 0 755\n"),
}

MAY = "grep -E '^(Cap...|NoNewPrivs|Seccomp):' /proc/self/status | cut -f 2 | tr '\\n' ' '; echo"
NONE = "0000000000000000"
USUAL = "00000000a80425fb"
RIGHTS: Table = {
    "root": ({}, MAY, f"{NONE} {USUAL} {USUAL} {USUAL} {NONE} 0 2 \n"),
    "user": ({"user": "app"}, MAY, f"{NONE} {NONE} {NONE} {USUAL} {NONE} 0 2 \n"),
    "dropped": ({"cap_drop": ["ALL"]}, MAY, f"{NONE} {NONE} {NONE} {NONE} {NONE} 0 2 \n"),
    "kept": (
        {"cap_drop": ["ALL"], "cap_add": ["NET_BIND_SERVICE", "cap_chown"]},
        MAY,
        f"{NONE} 0000000000000401 0000000000000401 0000000000000401 {NONE} 0 2 \n",
    ),
    "added": (
        {"cap_add": ["SYS_PTRACE"], "user": "app"},
        MAY,
        f"{NONE} {NONE} {NONE} 00000000a80c25fb {NONE} 0 2 \n",
    ),
    "noprivs": ({"security_opt": ["no-new-privileges:true"]}, MAY, f"{NONE} {USUAL} {USUAL} {USUAL} {NONE} 1 2 \n"),
    "unfiltered": ({"security_opt": ["seccomp=unconfined"]}, MAY, f"{NONE} {USUAL} {USUAL} {USUAL} {NONE} 0 0 \n"),
}

# Some kernels show inode64 with every tmpfs.
MOUNTS = "grep -E '^[^ ]+ ({}) ' /proc/mounts | cut -d ' ' -f 2-4 | sed 's/,inode64//' | sort"
DEVICES = "cd /dev; for d in *; do stat -c '%N %a %t,%T' $d; done | sed \"s/'//g\""
WRITABLE = "for p in /proc/sys/kernel/msgmax /proc/sysrq-trigger /sys/kernel/x /etc/x /dev/x /tmp/x; do"
WRITABLE += " (true > $p) 2>/dev/null && echo $p; done"
SYSTEM: Table = {
    "mounts": (
        {},
        MOUNTS.format("/proc|/proc/sys|/dev|/dev/pts|/dev/shm|/dev/mqueue|/sys"),
        "/dev tmpfs rw,nosuid,size=65536k,mode=755\n"
        "/dev/mqueue mqueue rw,nosuid,nodev,noexec,relatime\n"
        "/dev/pts devpts rw,nosuid,noexec,relatime,gid=5,mode=620,ptmxmode=666\n"
        "/dev/shm tmpfs rw,nosuid,nodev,noexec,relatime,size=65536k\n"
        "/proc proc rw,nosuid,nodev,noexec,relatime\n"
        "/proc/sys proc ro,nosuid,nodev,noexec,relatime\n"
        "/sys sysfs ro,nosuid,nodev,noexec,relatime\n",
    ),
    "devices": (
        {},
        DEVICES,
        "fd -> /proc/self/fd 777 0,0\nfull 666 1,7\nmqueue 1777 0,0\nnull 666 1,3\nptmx -> pts/ptmx 777 0,0\n"
        "pts 755 0,0\nrandom 666 1,8\nshm 1777 0,0\nstderr -> /proc/self/fd/2 777 0,0\n"
        "stdin -> /proc/self/fd/0 777 0,0\nstdout -> /proc/self/fd/1 777 0,0\ntty 666 5,0\nurandom 666 1,9\n"
        "zero 666 1,5\n",
    ),
    "masked": (
        {},
        "stat -c '%t,%T' /proc/keys /proc/timer_list; ls -A /sys/firmware | wc -l",
        "1,3\n1,3\n0\n",
    ),
    "writable": ({}, WRITABLE, "/etc/x\n/dev/x\n/tmp/x\n"),
    "readonly": ({"read_only": True}, WRITABLE, "/dev/x\n"),
    "scratch": ({"read_only": True, "tmpfs": ["/tmp"]}, WRITABLE, "/dev/x\n/tmp/x\n"),
    "process": (
        {},
        "umask; cat /proc/self/oom_score_adj; readlink /proc/1/fd/0; ls /proc/self/fd | wc -l; tty",
        "0022\n0\n/dev/null\n4\nnot a tty\n",
    ),
    "terminal": ({"tty": True}, "tty; echo $TERM; readlink /proc/1/fd/2", "/dev/pts/0\nxterm\n/dev/pts/0\n"),
    "init": ({"init": True}, "cat /proc/1/cmdline | tr '\\0' ' ' | cut -c -31", "/sbin/docker-init -- sh -c cat \n"),
    "ended": ({"init": True}, "kill -9 $$", ""),
}

ENVIRONMENT = "env | grep -vE '^(PWD|SHLVL|OLDPWD)=' | sort"
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
LOCALHOST = (
    "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::0\tip6-localnet\n"
    "ff00::0\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n"
)
NAMES: Table = {
    "variables": (
        {"hostname": "h", "environment": ["A=1", "B=", "D=x=y", "NOT_SET_ANYWHERE"]},
        ENVIRONMENT,
        f"A=1\nB=\nD=x=y\nHOME=/root\nHOSTNAME=h\n{PATH}",
    ),
    "named": (
        {"hostname": "my.host.example", "extra_hosts": ["h1:1.2.3.4"]},
        "hostname; cat /etc/hostname /etc/hosts; stat -c '%a %u %g' /etc/hosts /etc/hostname /etc/resolv.conf",
        f"my.host.example\nmy.host.example\n{LOCALHOST}1.2.3.4\th1\n644 0 0\n644 0 0\n644 0 0\n",
    ),
    "unnamed": ({}, 'test "$(hostname)" = "$HOSTNAME" && echo ${#HOSTNAME}', "12\n"),
    "arguments": ({}, "cat /proc/self/cmdline | tr '\\0' '|'; echo", "cat|/proc/self/cmdline|\n"),
}

LIMIT = "cat /sys/fs/cgroup/{} /sys/fs/cgroup/{} 2>/dev/null"
LIMITS: Table = {
    "memory": ({"mem_limit": "64m"}, LIMIT.format("memory.max", "memory/memory.limit_in_bytes"), "67108864\n"),
    "pids": ({"pids_limit": 30}, LIMIT.format("pids.max", "pids/pids.max"), "30\n"),
    "anypids": ({"pids_limit": -1}, LIMIT.format("pids.max", "pids/pids.max"), "max\n"),
    "shm": ({"shm_size": "10m"}, "df -k /dev/shm | tail -n 1 | tr -s ' ' | cut -d ' ' -f 1,2", "shm 10240\n"),
    "files": (
        {"ulimits": {"nofile": {"soft": 100, "hard": 200}, "core": 0}},
        "ulimit -Sn; ulimit -Hn; ulimit -c",
        "100\n200\n0\n",
    ),
    "sysctls": (
        {"sysctls": {"net.ipv4.ip_unprivileged_port_start": 80, "fs.mqueue.msg_max": 20}},
        "cd /proc/sys; cat net/ipv4/ip_unprivileged_port_start net/ipv4/ping_group_range fs/mqueue/msg_max",
        "80\n0\t2147483647\n20\n",
    ),
    "usual": ({}, "cat /proc/sys/net/ipv4/ip_unprivileged_port_start", "0\n"),
}

FLAGS = "grep -E '^[^ ]+ ({}) ' /proc/mounts | cut -d ' ' -f 2,4 | cut -d , -f 1 | sort"
PLACES: Table = {
    "binds": (
        {"volumes": ["./src:/a", "./src:/b:ro", "./src/file:/dir/new:ro", "./made/here:/c"]},
        FLAGS.format("/a|/b|/c|/dir/new") + "; cat /dir/new; stat -c '%u %g %a' /c; ls /a",
        "/a rw\n/b ro\n/c rw\n/dir/new ro\ntext\n0 0 755\nfile\n",
    ),
    "nested": (
        {"volumes": ["./src:/a/b:ro", "./made/here:/a"]},
        FLAGS.format("/a|/a/b") + "; ls /a/b",
        "/a rw\n/a/b ro\nfile\n",
    ),
    "tmpfs": (
        {
            "tmpfs": ["/plain", "/set:size=1m,mode=700,uid=1000,exec"],
            "volumes": [{"type": "tmpfs", "target": "/long", "tmpfs": {"size": "2m", "mode": 0o1770}}],
        },
        MOUNTS.format("/plain|/set|/long"),
        "/long tmpfs rw,nosuid,nodev,noexec,relatime,size=2048k,mode=1770\n"
        "/plain tmpfs rw,nosuid,nodev,noexec,relatime\n"
        "/set tmpfs rw,nosuid,nodev,relatime,size=1024k,mode=700,uid=1000\n",
    ),
    "volumes": (
        {"volumes": ["/home", "/brand/new"]},
        "stat -c '%n %u %g %a' /home /home/app /brand/new; touch /home/x /brand/new/x && echo written",
        "/home 0 0 755\n/home/app 1000 1000 755\n/brand/new 0 0 755\nwritten\n",
    ),
}

TABLES = {"users": USERS, "rights": RIGHTS, "system": SYSTEM, "names": NAMES, "limits": LIMITS, "places": PLACES}


def stack_of(table: Table) -> str:
    """One stack file for a table."""
    services = {
        name: {
            "image": "demo",
            "network_mode": "none",
            "command": ["sh", "-c", script.replace("$", "$$")],
            **keys,
        }
        for name, (keys, script, _) in table.items()
    }
    return json.dumps({"services": services})


@pytest.mark.parametrize("table", TABLES)
def test_a_process_sees_what_docker_would_show_it(stack: Stack, table: str) -> None:
    (stack.directory / "src").mkdir()
    (stack.directory / "src/file").write_text("text\n")
    stack.write(stack_of(TABLES[table]))
    stack("up", "-d")
    stack.wait_for(lambda: set(stack.states().values()) == {"exited"}, "all scripts have ended")
    seen = {name: stack("logs", "--no-log-prefix", name).stdout for name in TABLES[table]}
    assert seen == {name: expected for name, (_, _, expected) in TABLES[table].items()}
    stack("down", "-v")


SAYS = 'echo "$0 $*"; id -u; pwd; echo "$A $B"; stat -c "%u:%g %a" . /home/app /fresh'
IMAGE = (
    f"ENTRYPOINT {json.dumps(['sh', '-c', SAYS])}",
    *('CMD ["one", "t wo"]', 'ENV A=img B="two words"', "USER app", "WORKDIR /opt/made", "VOLUME /home /fresh"),
)
OWNED = "1000:1000 755\n0:0 755\n"
IMAGE_TABLE: dict[str, tuple[dict[str, Any], str]] = {
    "all": ({}, f"one t wo\n1000\n/opt/made\nimg two words\n0:0 755\n{OWNED}"),
    "command": ({"command": ["x"]}, f"x \n1000\n/opt/made\nimg two words\n0:0 755\n{OWNED}"),
    "entrypoint": ({"entrypoint": ["echo", "only"]}, "only\n"),
    "neither": ({"entrypoint": [], "command": ["echo", "mine"]}, "mine\n"),
    "others": (
        {"user": "root", "working_dir": "/tmp", "environment": {"A": "file", "B": None}},
        f"one t wo\n0\n/tmp\nfile \n0:0 1777\n{OWNED}",
    ),
}


def image_stack() -> str:
    """The services of the image's table."""
    services = {name: {"image": "rich", "network_mode": "none", **keys} for name, (keys, _) in IMAGE_TABLE.items()}
    return json.dumps({"services": services})


def test_what_an_image_says_holds_until_the_stack_file_says_otherwise(
    stack: Stack, jocker: Callable[..., Any], busybox_rootfs: Path
) -> None:
    flags = [word for change in IMAGE for word in ("--change", change)]
    jocker("image", "import", str(busybox_rootfs), "rich", *flags)
    stack.write(image_stack())
    stack("up", "-d")
    stack.wait_for(lambda: set(stack.states().values()) == {"exited"}, "all have ended")
    seen = {name: stack("logs", "--no-log-prefix", name).stdout for name in IMAGE_TABLE}
    assert seen == {name: expected for name, (_, expected) in IMAGE_TABLE.items()}
    stack("down", "-v")
