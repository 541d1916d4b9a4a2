"""Parts of volumes, files of images, and what containers have from one another."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from leftovers import mounts
from scenarios.conftest import Stack

from composer.host import volumes

pytestmark = pytest.mark.real

SERVICE = "    image: demo\n    network_mode: none\n    init: true\n    command: [sleep, '1000']\n"
LENT = f"""services:
  lender:
{SERVICE}    volumes: ['data:/data', /own, './here:/here', {{type: tmpfs, target: /t}}]
  first:
{SERVICE}    volumes_from: [lender]
  second:
{SERVICE}    volumes_from: ['lender:ro']
    volumes: ['./mine:/here']
volumes: {{data: }}
"""


def inside(stack: Stack, service: str, script: str, code: int | None = 0) -> subprocess.CompletedProcess[str]:
    return stack("exec", "-T", service, "sh", "-c", script, code=code)


def names(stack: Stack) -> list[str]:
    return stack("volume", "ls", "-q").stdout.split()


def test_a_service_has_the_mounts_of_another(stack: Stack) -> None:
    stack.write(LENT)
    stack("up", "-d")
    inside(stack, "lender", "echo d > /data/f; echo o > /own/f; echo h > /here/f")
    assert inside(stack, "first", "cat /data/f /own/f /here/f").stdout == "d\no\nh\n"
    assert "Read-only" in inside(stack, "second", "echo > /own/f", code=None).stderr
    assert inside(stack, "second", "cat /own/f; ls /here; ls -d /t 2>&1", code=None).stdout.startswith("o\nls: ")
    [own] = set(names(stack)) - {"web_data"}
    assert "in use by web-first-1, web-lender-1, web-second-1" in stack("volume", "rm", own, code=1).stderr
    before = stack.ids()
    assert stack("plan").stdout.startswith("nothing to do")
    stack("up", "-d", "-t", "0", "--force-recreate", "lender")
    after = stack.ids()
    assert all(before[name] != after[name] for name in ("web-lender-1",))
    assert "volumes_from: service:lender is another container now" in stack("plan").stdout
    stack("up", "-d", "-t", "0")
    assert stack("plan").stdout.startswith("nothing to do")
    assert inside(stack, "first", "cat /own/f").stdout == "o\n"
    stack("down", "-t", "0", "-v")
    stack.assert_nothing_left()


def test_what_is_lent_stays_with_who_has_it_and_goes_with_the_last(stack: Stack) -> None:
    stack.write(LENT)
    stack("up", "-d")
    inside(stack, "lender", "echo o > /own/f")
    stack("rm", "-s", "-f", "-v", "lender", code=None)
    stack("stop", "-t", "0", "first")
    assert inside(stack, "second", "cat /own/f").stdout == "o\n"
    stack("down", "-t", "0", "-v")
    stack.assert_nothing_left()


def test_of_a_container_by_its_name(stack: Stack) -> None:
    other = stack.another("other")
    other.write(f"services:\n  one:\n{SERVICE}    container_name: theirs\n    volumes: [/own]\n")
    stack.write(f"services:\n  one:\n{SERVICE}    volumes_from: ['container:theirs:ro']\n")
    assert "container:theirs: there is no such container" in stack("up", "-d", code=1).stderr
    other("up", "-d")
    inside(other, "one", "echo o > /own/f")
    stack("up", "-d")
    assert inside(stack, "one", "cat /own/f").stdout == "o\n"
    other("down", "-t", "0", "-v")
    assert inside(stack, "one", "cat /own/f").stdout == "o\n"
    stack("restart", "-t", "0")
    assert inside(stack, "one", "cat /own/f").stdout == "o\n"
    stack("down", "-t", "0", "-v")
    stack.assert_nothing_left()


def test_a_part_of_a_volume(stack: Stack) -> None:
    stack.write(
        f"services:\n  all:\n{SERVICE}    volumes: ['data:/data']\n"
        f"  part:\n{SERVICE}    volumes: [{{type: volume, source: data, target: /p, volume: {{subpath: a/b}}}}]\n"
        f"  file:\n{SERVICE}    volumes: [{{type: volume, source: data, target: /f, volume: {{subpath: a/file}}}}]\n"
        "volumes: {data: }\n"
    )
    said = stack("up", "-d", "all", "part", code=1).stderr
    assert "volume web_data has no 'a/b' to mount: No such file or directory" in said
    stack("up", "-d", "all")
    inside(stack, "all", "mkdir -p /data/a/b; echo x > /data/a/b/x; echo y > /data/a/file")
    stack("up", "-d")
    assert inside(stack, "part", "cat /p/x; echo z > /p/z; ls /p").stdout == "x\nx\nz\n"
    assert inside(stack, "file", "cat /f").stdout == "y\n"
    assert sum(f"{stack.paths.run}/" in line and "/parts/" in line for line in mounts()) == 2
    stack("restart", "-t", "0", "part")
    assert inside(stack, "part", "ls /p").stdout == "x\nz\n"
    stack("stop", "-t", "0")
    assert not any("/parts/" in line and stack.paths.run in line for line in mounts())
    stack("down", "-t", "0", "-v")
    stack.assert_nothing_left()


def test_a_part_that_leads_out_stays_within(stack: Stack) -> None:
    stack.write(
        f"services:\n  one:\n{SERVICE}    volumes:\n"
        "      - {type: volume, source: data, target: /p, volume: {subpath: link}}\n"
        "volumes: {data: {external: true, name: data}}\n"
    )
    stack("volume", "create", "data")
    data = Path(volumes.path(stack.paths, "data"))
    (data / "link").symlink_to("/etc")
    assert "volume data has no 'link' to mount" in stack("up", "-d", code=1).stderr
    (data / "etc").mkdir()
    (data / "etc" / "mine").touch()
    stack("up", "-d")
    assert inside(stack, "one", "ls /p").stdout == "mine\n"
    stack("down", "-t", "0")
    os.mkfifo(data / "fifo")
    stack.write((stack.directory / "jocker.yml").read_text().replace("subpath: link", "subpath: fifo"))
    assert "'fifo' is neither a directory nor a file" in stack("up", "-d", code=1).stderr
    stack("down")
    stack("volume", "rm", "data")
    stack.assert_nothing_left()


def test_the_files_of_an_image(stack: Stack) -> None:
    stack.write(
        f"services:\n  one:\n{SERVICE}    volumes:\n      - {{type: image, source: demo, target: /whole}}\n"
        "      - {type: image, source: demo, target: /part, image: {subpath: etc}}\n"
    )
    stack("up", "-d")
    assert inside(stack, "one", "ls -d /whole/home/app; ls /part/passwd").stdout == "/whole/home/app\n/part/passwd\n"
    assert "Read-only" in inside(stack, "one", "touch /whole/x", code=None).stderr
    assert "Read-only" in inside(stack, "one", "touch /part/x", code=None).stderr
    assert stack("plan").stdout.startswith("nothing to do")
    stack("restart", "-t", "0")
    inside(stack, "one", "ls /part/passwd")
    assert "image demo is used by" in stack("image", "rm", "demo", code=1).stderr.replace("docker.io/library/", "")
    stack("down", "-t", "0", "-v")
    stack.assert_nothing_left()


def test_labels_of_an_anonymous_volume(stack: Stack) -> None:
    stack.write(f"services:\n  one:\n{SERVICE}    volumes: [{{type: volume, target: /o, volume: {{labels: [a=b]}}}}]\n")
    stack("up", "-d")
    [name] = names(stack)
    assert json.loads(stack("volume", "inspect", name).stdout)[0]["Labels"]["a"] == "b"
    stack("down", "-t", "0", "-v")
    stack.assert_nothing_left()
