"""`jocker volume …` and `jocker volumes`."""

from __future__ import annotations

import json
import os

import pytest
from scenarios.conftest import Stack

from composer.host import volumes

pytestmark = pytest.mark.real

SERVICE = "    image: demo\n    network_mode: none\n    init: true\n    command: [sleep, '1000']\n"
STACK = f"""services:
  one:
{SERVICE}    volumes: [data:/data, /own]
  two:
{SERVICE}    volumes: [other:/data]
volumes: {{data: {{labels: {{tier: gold}}}}, other: }}
"""


def names(stack: Stack, *arguments: str) -> list[str]:
    return stack("volume", "ls", "-q", *arguments).stdout.split()


def test_a_volume_is_made_shown_and_removed(stack: Stack) -> None:
    assert stack("volume", "create", "mine", "--label", "a=b", "--label", "c").stdout == "mine\n"
    stack("volume", "create", "mine")
    made = json.loads(stack("volume", "inspect", "mine").stdout)[0]
    assert made.pop("CreatedAt").endswith("Z")
    assert made == {
        "Driver": "local",
        "Labels": {"a": "b", "c": ""},
        "Mountpoint": f"{stack.paths.volumes}/mine/_data",
        "Name": "mine",
        "Options": None,
        "Scope": "local",
    }
    assert stack("volume", "ls").stdout == "DRIVER   VOLUME NAME\nlocal    mine\n"
    [line] = stack("volume", "ls", "--format", "json").stdout.splitlines()
    assert json.loads(line) == {
        "Availability": "N/A",
        "Driver": "local",
        "Group": "N/A",
        "Labels": "a=b,c=",
        "Links": "N/A",
        "Mountpoint": f"{stack.paths.volumes}/mine/_data",
        "Name": "mine",
        "Scope": "local",
        "Size": "N/A",
        "Status": "N/A",
    }
    assert stack("volume", "rm", "mine").stdout == "mine\n"
    assert "no such volume: mine" in stack("volume", "rm", "mine", code=1).stderr
    stack("volume", "rm", "-f", "mine")
    stack.assert_nothing_left()


def test_what_no_volume_can_be_is_refused(stack: Stack) -> None:
    assert "no such driver" in stack("volume", "create", "-d", "nfs", "x", code=2).stderr
    assert "no option of the local driver" in stack("volume", "create", "-o", "a=b", "x", code=2).stderr
    assert "write NAME=VALUE" in stack("volume", "create", "-o", "type", "x", code=2).stderr
    for name in ("../x", ".", "a/b", ""):
        assert "is not the name of a volume" in stack("volume", "create", "--label", "a", "--", name, code=1).stderr
    stack("volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "t")
    assert "with other options" in stack("volume", "create", "-o", "type=ramfs", "-o", "device=x", "t", code=1).stderr
    assert json.loads(stack("volume", "inspect", "t").stdout)[0]["Options"] == {"device": "tmpfs", "type": "tmpfs"}
    assert "keys are dangling" in stack("volume", "ls", "-f", "size=1", code=2).stderr
    stack("volume", "rm", "t")
    stack.assert_nothing_left()


def test_what_is_in_use_stays_and_what_is_not_can_go(stack: Stack) -> None:
    stack.write(STACK)
    stack("up", "-d")
    [anonymous] = set(names(stack)) - {"web_data", "web_other"}
    assert stack("volumes", "-q").stdout == "web_data\nweb_other\n"
    assert stack("volumes", "-q", "two").stdout == "web_other\n"
    assert json.loads(stack("volumes", "--format", "json", "one").stdout)["Name"] == "web_data"
    assert "no such service: three" in stack("volumes", "three", code=2).stderr
    assert names(stack, "-f", "dangling=true") == []
    assert names(stack, "-f", "label=tier=gold") == ["web_data"]
    assert names(stack, "-f", "name=oth", "-f", "driver=local") == ["web_other"]
    for name, user in (("web_data", "web-one-1"), (anonymous, "web-one-1")):
        assert f"volume {name} is in use by {user}" in stack("volume", "rm", name, code=1).stderr
    assert "no unused volumes" in stack("volume", "prune", "-a", "-f").stderr
    stack("down", "-t", "0")
    assert names(stack, "-f", "dangling=true") == sorted([anonymous, "web_data", "web_other"])
    assert "nobody to ask" in stack("volume", "prune", code=2).stderr
    said = stack("volume", "prune", "-f").stdout
    assert said == f"Deleted Volumes:\n{anonymous}\n\nTotal reclaimed space: 0B\n"
    stack("volume", "prune", "-a", "-f", "--filter", "label!=tier=gold")
    assert names(stack) == ["web_data"]
    stack("volume", "prune", "-f", "--filter", "all=true")
    stack.assert_nothing_left()


def test_an_unnamed_volume_is_anonymous_and_can_be_used(stack: Stack) -> None:
    name = stack("volume", "create").stdout.strip()
    assert len(name) == 64
    stack.write(STACK.replace("other: }", f"other: {{external: true, name: '{name}'}}}}"))
    stack("up", "-d")
    stack("down", "-t", "0", "-v")
    assert names(stack) == [name]
    stack("volume", "prune", "-f")
    stack.assert_nothing_left()


def test_what_a_crash_left_without_a_record_is_pruned(stack: Stack) -> None:
    stack("volume", "create", "whole")
    os.mkdir(f"{stack.paths.volumes}/wreck")
    assert names(stack) == ["whole", "wreck"]
    stack("volume", "prune", "-f")
    assert names(stack) == ["whole"]
    assert volumes.read(stack.paths, "wreck") is None
    stack("volume", "rm", "whole")
    stack.assert_nothing_left()
