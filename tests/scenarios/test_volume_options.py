"""Volumes with `driver_opts`: mounted from the first container that uses one to the last, whatever happens between."""

from __future__ import annotations

import os
import subprocess

import pytest
from leftovers import mounts
from scenarios.conftest import Stack, kill

from composer.host import kernel, volumes
from composer.host.volume_mounts import is_mounted

pytestmark = pytest.mark.real

SERVICE = "    image: demo\n    network_mode: none\n    init: true\n    command: [sleep, '1000']\n"
TWO = f"""services:
  one:
{SERVICE}    volumes: [data:/data]
  two:
{SERVICE}    volumes: [data:/data]
volumes: {{data: {{driver: local, driver_opts: %s}}}}
"""
TMPFS = TWO % "{type: tmpfs, device: tmpfs, o: 'size=1m,mode=0750,uid=7'}"


def inside(stack: Stack, service: str, script: str, code: int | None = 0) -> subprocess.CompletedProcess[str]:
    return stack("exec", "-T", service, "sh", "-c", script, code=code)


def data_of(stack: Stack) -> str:
    return volumes.path(stack.paths, "web_data")


def test_a_tmpfs_is_shared_and_goes_with_the_last_who_uses_it(stack: Stack) -> None:
    stack.write(TMPFS)
    stack("up", "-d")
    inside(stack, "one", "echo kept > /data/file")
    assert inside(stack, "two", "cat /data/file; stat -c '%a %u' /data").stdout == "kept\n750 7\n"
    stack("stop", "-t", "0", "one")
    assert inside(stack, "two", "cat /data/file").stdout == "kept\n"
    stack("start", "one")
    assert inside(stack, "one", "cat /data/file").stdout == "kept\n"
    stack("stop", "-t", "0")
    assert not is_mounted(data_of(stack))
    stack("start")
    assert inside(stack, "one", "ls /data").stdout == ""
    stack("kill", "one")
    assert is_mounted(data_of(stack))
    stack("kill", "two")
    assert not is_mounted(data_of(stack))
    stack("down", "-v")
    stack.assert_nothing_left()


def test_a_directory_of_the_machine_that_is_another_than_the_one_bound(stack: Stack) -> None:
    source = stack.directory / "mine"
    stack.write(TWO % "{type: none, o: bind, device: ./mine}")
    said = stack("up", "-d", code=1).stderr
    assert f"volume web_data: cannot mount {source} (bind): No such file or directory" in said
    assert "the device must be there" in said
    source.mkdir()
    (source / "file").write_text("mine\n")
    stack("up", "-d")
    assert inside(stack, "one", "cat /data/file").stdout == "mine\n"
    inside(stack, "two", "echo > /data/other")
    assert "other" in os.listdir(source)
    stack("down", "-t", "0", "-v")
    assert sorted(os.listdir(source)) == ["file", "other"]
    stack.assert_nothing_left()


def test_read_only_is_what_the_volume_is_for_all(stack: Stack) -> None:
    (stack.directory / "mine").mkdir()
    stack.write(TWO % f"{{type: none, o: 'bind,ro', device: {stack.directory}/mine}}")
    stack("up", "-d")
    assert "Read-only" in inside(stack, "one", "echo > /data/file", code=None).stderr
    stack("down", "-t", "0", "-v")
    stack.assert_nothing_left()


def test_what_an_image_has_gets_into_a_file_system_of_another_kind(stack: Stack) -> None:
    stack.write((TWO % "{type: tmpfs, device: tmpfs}").replace("data:/data", "data:/home"))
    stack("up", "-d", "one")
    assert inside(stack, "one", "stat -c %u:%g /home/app").stdout == "1000:1000\n"
    stack("down", "-t", "0", "-v")
    stack.assert_nothing_left()


def test_after_a_reboot_it_is_mounted_again(stack: Stack) -> None:
    stack.write(TMPFS)
    stack("up", "-d")
    stack("kill")
    data = data_of(stack)
    kernel.mount("tmpfs", data, "tmpfs", 0)  # of an earlier life: nobody who uses it runs
    stack("up", "-d")
    assert mounts().count(data) == 1
    stack("down", "-t", "0", "-v")
    stack.assert_nothing_left()


def test_another_definition_is_told_and_followed_only_when_asked(stack: Stack) -> None:
    stack.write((TWO % "{}").replace("driver_opts: {}", "labels: {a: b}"))
    stack("up", "-d")
    inside(stack, "one", "echo old > /data/file")
    stack.write(TMPFS)
    said = stack("up", "-d", stdin="y\n").stderr
    assert "volume web_data was made by what the stack file said of it before, and stays as it is" in said
    assert inside(stack, "one", "cat /data/file").stdout == "old\n"
    stack("up", "-d", "-y", "-t", "0")
    assert inside(stack, "one", "ls /data").stdout == ""
    assert is_mounted(data_of(stack))
    assert "stays as it is" not in stack("up", "-d").stderr
    stack("down", "-t", "0", "-v")
    stack.assert_nothing_left()


@pytest.mark.parametrize("next_command", ["up", "down"])
def test_killed_when_it_is_mounted_the_next_command_goes_on(stack: Stack, next_command: str) -> None:
    stack.write(TMPFS)
    command = stack.start("up", "-d")
    stack.wait_for(lambda: is_mounted(data_of(stack)), "the volume is mounted")
    kill(command)
    if next_command == "up":
        stack("up", "-d", "-t", "0")
        assert mounts().count(data_of(stack)) == 1
        inside(stack, "one", "echo > /data/file")
        inside(stack, "two", "cat /data/file")
    stack("down", "-t", "0", "-v")
    stack.assert_nothing_left()


def test_killed_when_it_is_unmounted_down_goes_on(stack: Stack) -> None:
    stack.write(TMPFS)
    stack("up", "-d")
    command = stack.start("down", "-t", "0")
    stack.wait_for(lambda: not is_mounted(data_of(stack)), "the volume is unmounted")
    kill(command)
    stack("down", "-t", "0", "-v")
    stack.assert_nothing_left()


@pytest.mark.parametrize("kind", ["nfs", "cifs", "nonsense"])
def test_what_cannot_be_mounted_says_what_the_kernel_says(stack: Stack, kind: str) -> None:
    stack.write(TWO % f"{{type: {kind}, device: ':/x', o: 'addr=127.0.0.1,password=hidden'}}")
    done = stack("up", "-d", code=1)
    assert f"volume web_data: cannot mount :/x ({kind}, addr=127.0.0.1,password=…): " in done.stderr
    assert "hidden" not in done.stderr + stack("config", "--format", "json", code=0).stderr
    stack("down", "-v")
    stack.assert_nothing_left()


def test_a_volume_of_another_driver_is_refused_with_its_place(stack: Stack) -> None:
    stack.write((TWO % "{}").replace("driver: local", "driver: rexray"))
    assert "driver: rexray" in stack("config").stdout
    assert "jocker.yml:14:26  volumes.data.driver: there is no volume driver rexray" in stack("up", "-d", code=3).stderr
