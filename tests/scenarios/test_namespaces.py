"""Namespaces that are shared: with the machine, with a service, with a container."""

from __future__ import annotations

import os

import pytest
from scenarios.conftest import Stack
from scenarios.wires import QUIET

from composer.host.state import first_process

pytestmark = pytest.mark.real

ALONE = f"{QUIET}    cgroup: private\n"
"""Of cgroups a container has the machine's view otherwise, on cgroup v1."""
MODES = f"""
services:
  base:
{ALONE}    ipc: shareable
    hostname: front
  net:
{ALONE}    network_mode: service:base
  pid:
{ALONE}    pid: service:base
  ipc:
{ALONE}    ipc: service:base
  all:
{ALONE}    network_mode: container:web-base-1
    pid: container:web-base-1
    ipc: container:web-base-1
    depends_on: [base]
  further:
{ALONE}    network_mode: service:net
  machine:
{QUIET}    network_mode: host
    pid: host
    ipc: host
    uts: host
    cgroup: host
  guest:
{ALONE}    network_mode: service:machine
  none:
{ALONE}    network_mode: none
  old:
{ALONE}    network_mode: bridge
"""
KINDS = ("net", "pid", "ipc", "uts", "cgroup")


def namespaces(stack: Stack) -> dict[str, dict[str, str]]:
    """By service and kind which namespace its first process is in."""
    found = {}
    for one in stack.ps().values():
        first = first_process(stack.paths, one["ID"])
        assert first is not None
        found[one["Service"]] = {kind: os.readlink(f"/proc/{first.pid}/ns/{kind}") for kind in KINDS}
    return found


def of_machine() -> dict[str, str]:
    return {kind: os.readlink(f"/proc/self/ns/{kind}") for kind in KINDS}


def test_each_mode_shares_what_it_says_and_nothing_else(stack: Stack) -> None:
    stack.write(MODES)
    stack("up", "-d")
    found, machine = namespaces(stack), of_machine()
    base = found["base"]
    shared = {
        "net": {"net": base},
        "pid": {"pid": base},
        "ipc": {"ipc": base},
        "all": {"net": base, "pid": base, "ipc": base},
        "further": {"net": base},
        "machine": dict.fromkeys(KINDS, machine),
        "guest": {"net": machine},
    }
    for name, own in found.items():
        for kind in KINDS:
            wanted = shared.get(name, {}).get(kind)
            if wanted is not None:
                assert own[kind] == wanted[kind], (name, kind)
            else:
                others = [
                    one[kind] for other, one in found.items() if kind not in shared.get(other, {}) and other != name
                ]
                assert own[kind] not in {*others, machine[kind]}, (name, kind)

    def says(service: str, *words: str) -> str:
        return stack("exec", "-T", service, *words).stdout.strip()

    assert says("net", "hostname") == says("further", "hostname") == "front"
    assert "eth0" not in says("none", "ip", "address")
    assert "eth0" in says("old", "ip", "address")
    assert says("net", "nslookup", "base").count("Address:") == 2  # 127.0.0.11, and the one
    assert stack("exec", "-T", "old", "nslookup", "base", code=None).returncode != 0
    says("base", "sh", "-c", "echo hello > /dev/shm/word")
    assert says("ipc", "cat", "/dev/shm/word") == says("all", "cat", "/dev/shm/word") == "hello"
    assert "sleep 1000" in says("pid", "ps")
    assert "nothing to do" in stack("plan").stdout
    stack("down")
    stack.assert_nothing_left()


def test_who_shares_follows_when_its_target_is_made_anew_or_started_again(stack: Stack) -> None:
    stack.write(
        f"services:\n  base:\n{QUIET}    environment: {{V: '${{V:-0}}'}}\n"
        f"  side:\n{QUIET}    network_mode: service:base\n    pid: service:base\n"
        f"  other:\n{QUIET}"
    )
    stack("up", "-d")
    ids = stack.ids()

    def is_shared() -> bool:
        found = namespaces(stack)
        return all(found["side"][kind] == found["base"][kind] for kind in ("net", "pid"))

    assert is_shared()
    stack("up", "-d", env={"V": "1"})
    assert is_shared()
    now = stack.ids()
    assert ids["web-base-1"] != now["web-base-1"]
    assert ids["web-other-1"] == now["web-other-1"]
    for words in (("restart", "base"), ("restart",), ("stop",), ("start",), ("kill",), ("up", "-d")):
        stack(*words, env={"V": "1"})
        if words[0] in {"stop", "kill"}:
            stack.wait_for(lambda: set(stack.states().values()) == {"exited"}, "all have ended")
        else:
            assert set(stack.states().values()) == {"running"}
            assert is_shared(), words
    assert stack.ids() == now
    stack("up", "-d", "--no-deps", "--force-recreate", "side")
    assert is_shared()
    assert stack.ids()["web-base-1"] == now["web-base-1"]
    stack("down")
    stack.assert_nothing_left()


def test_who_would_share_with_nobody_is_told(stack: Stack) -> None:
    stack.write(f"services:\n  side:\n{QUIET}    network_mode: container:nobody\n")
    assert "container:nobody: there is no such container" in stack("up", "-d", code=1).stderr
    stack.write(f"services:\n  base:\n{QUIET}  side:\n{QUIET}    network_mode: service:base\n")
    said = stack("up", "-d", "--no-deps", "side", code=1).stderr
    assert "service:base: there is no such container" in said
    stack("down")
    stack.assert_nothing_left()
