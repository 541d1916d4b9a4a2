"""Named volumes: what is in them outlives containers and stacks, until somebody asks for their end."""

from __future__ import annotations

import os
import subprocess

import pytest
from scenarios.conftest import Stack

pytestmark = pytest.mark.real

SERVICE = "    image: demo\n    network_mode: none\n    init: true\n    command: [sleep, '1000']\n"
STACK = f"""services:
  one:
{SERVICE}    volumes: [data:/data]
  two:
{SERVICE}    volumes: [{{type: volume, source: data, target: /seen, read_only: true}}]
volumes: {{data: {{}}}}
"""


def inside(stack: Stack, service: str, script: str, code: int | None = 0) -> subprocess.CompletedProcess[str]:
    return stack("exec", "-T", service, "sh", "-c", script, code=code)


def test_services_share_a_volume_that_outlives_them(stack: Stack) -> None:
    stack.write(STACK)
    assert "CreateVolume web_data: it does not exist" in stack("plan").stdout
    stack("up", "-d")
    inside(stack, "one", "echo kept > /data/file")
    assert inside(stack, "two", "cat /seen/file").stdout == "kept\n"
    assert "Read-only" in inside(stack, "two", "echo no > /seen/file", code=None).stderr
    stack("down", "-t", "0")
    assert "Volume" not in stack("plan").stdout
    stack("up", "-d")
    assert inside(stack, "one", "cat /data/file").stdout == "kept\n"
    stack("down", "-t", "0", "-v")
    stack.assert_nothing_left()


def test_a_fresh_volume_has_what_the_image_has_there_with_its_owners(stack: Stack) -> None:
    stack.write(
        f"services:\n  one:\n{SERVICE}    volumes: ['home:/home', 'bare:/etc:nocopy']\nvolumes: {{home: , bare: }}\n"
    )
    stack("up", "-d")
    assert inside(stack, "one", "stat -c %u:%g /home/app").stdout == "1000:1000\n"
    assert inside(stack, "one", "ls /etc/passwd", code=None).returncode != 0
    inside(stack, "one", "rm -r /home/app; echo > /home/mine")
    stack("up", "-d", "--force-recreate", "-t", "0")
    assert inside(stack, "one", "ls -A /home").stdout == "mine\n"
    stack("down", "-t", "0", "-v")
    stack.assert_nothing_left()


def test_a_one_off_uses_the_volumes_of_the_stack(stack: Stack) -> None:
    stack.write(STACK)
    stack("run", "--rm", "-T", "one", "sh", "-c", "echo early > /data/file")
    assert stack("run", "--rm", "-T", "-v", "data:/there:ro", "two", "cat", "/there/file").stdout == "early\n"
    assert "no service of the stack uses a volume 'date'" in stack("run", "-v", "date:/x", "one", code=2).stderr
    stack("down", "-t", "0", "-v", "--remove-orphans")
    stack.assert_nothing_left()


def test_external_volumes_are_used_and_left(stack: Stack) -> None:
    text = (
        f"services:\n  one:\n{SERVICE}    volumes: [data:/data]\nvolumes: {{data: {{external: true, name: others}}}}\n"
    )
    stack.write(text)
    assert "volume others is declared external" in stack("up", "-d", code=1).stderr
    stack.write(text.replace("external: true, ", ""), name="maker.yml")
    stack("-f", "maker.yml", "-p", "maker", "up", "-d")
    stack("up", "-d")
    stack("down", "-t", "0", "-v")
    stack("-f", "maker.yml", "-p", "maker", "exec", "-T", "one", "ls", "/data")
    stack("-f", "maker.yml", "-p", "maker", "down", "-t", "0", "-v")
    stack.assert_nothing_left()


def test_a_volume_stays_as_long_as_another_stack_uses_it(stack: Stack) -> None:
    stack.write(STACK)
    stack("up", "-d")
    other = stack.another("other")
    other.write(
        f"services:\n  one:\n{SERVICE}    volumes: [d:/data]\nvolumes: {{d: {{external: true, name: web_data}}}}\n"
    )
    other("up", "-d")
    inside(stack, "one", "echo kept > /data/file")
    said = stack("down", "-t", "0", "-v").stderr
    assert "volume web_data stays: other-one-1 of another stack uses it" in said
    assert inside(other, "one", "cat /data/file").stdout == "kept\n"
    other("down", "-t", "0")
    stack("down", "-v")
    stack.assert_nothing_left()


def test_who_uses_an_empty_volume_sees_what_is_put_into_it_later(stack: Stack) -> None:
    stack.write(
        f"services:\n  bare:\n{SERVICE}    volumes: ['v:/nothing']\n"
        f"  full:\n{SERVICE}    volumes: ['v:/home']\nvolumes: {{v: }}\n"
    )
    stack("up", "-d", "bare")
    stack("up", "-d")
    assert inside(stack, "bare", "ls /nothing").stdout == "app\n"
    inside(stack, "bare", "echo > /nothing/mine")
    assert inside(stack, "full", "ls /home").stdout == "app\nmine\n"
    stack("down", "-t", "0", "-v")
    stack.assert_nothing_left()


def test_names_like_those_of_anonymous_volumes(stack: Stack) -> None:
    name = "ab" * 32
    stack.write(f"services:\n  one:\n{SERVICE}    volumes: [data:/data, /own]\nvolumes: {{data: {{name: {name!r}}}}}\n")
    stack("up", "-d")
    assert "Volume" not in stack("plan").stdout
    (anonymous,) = set(os.listdir(stack.paths.volumes)) - {name}
    other = stack.another("other")
    other.write(f"services:\n  one:\n{SERVICE}    volumes: [data:/data]\nvolumes: {{data: {{name: {anonymous!r}}}}}\n")
    assert f"volume {anonymous} is the anonymous one of container" in other("up", "-d", code=1).stderr
    other("down", "-v")
    stack("down", "-t", "0", "-v")
    stack.assert_nothing_left()
