"""Files of the Container Device Interface: what they say, and what is wrong with them."""

from __future__ import annotations

from typing import Any

import pytest

from composer.bundle.cdi import NO_EDITS, CdiError, Node, edits_for, names_of, parse_spec
from composer.model.resources import DeviceRequest


def spec(**changed: Any) -> dict[str, Any]:
    return {
        "cdiVersion": "0.6.0",
        "kind": "v.com/card",
        "devices": [{"name": "0", "containerEdits": {"env": ["A=0"]}}],
        **changed,
    }


def edited(**edits: Any) -> Any:
    return parse_spec(spec(containerEdits=edits), "f").edits


def test_edits_of_file_and_device_are_joined_and_said_once() -> None:
    devices = [{"name": name, "containerEdits": {"env": [f"D{name}=1", "SAME=1"]}} for name in ("0", "1")]
    parsed = parse_spec(spec(devices=devices, containerEdits={"env": ["ALL=1"]}), "f")
    assert edits_for(["v.com/card=0", "v.com/card=1"], [parsed]).env == ("D0=1", "SAME=1", "ALL=1", "D1=1")


def test_the_later_file_goes_before_the_earlier() -> None:
    later = spec(devices=[{"name": "0", "containerEdits": {"env": ["A=later"]}}])
    specs = [parse_spec(spec(), "f"), parse_spec(later, "g")]
    assert edits_for(["v.com/card=0"], specs).env == ("A=later",)


def test_everything_there_is() -> None:
    edits = edited(
        deviceNodes=[{"path": "/dev/a"}, {"path": "/dev/b", "hostPath": "/dev/c", "type": "u", "major": 1, "minor": 2,
                      "fileMode": 0o600, "uid": 3, "gid": 4, "permissions": "r"}],
        mounts=[{"hostPath": "/x", "containerPath": "/y"}, {"hostPath": "t", "containerPath": "/z"}][:1],
        hooks=[{"hookName": "poststop", "path": "/bin/x", "args": ["x"], "env": ["A=1"], "timeout": 5}],
        additionalGids=[44],
    )  # fmt: skip
    assert edits.nodes == (Node("/dev/a", "/dev/a"), Node("/dev/b", "/dev/c", "c", 1, 2, 0o600, 3, 4, "r"))
    assert edits.mounts == ({"destination": "/y", "type": "bind", "source": "/x", "options": ["rbind"]},)
    assert edits.hooks == (("poststop", {"path": "/bin/x", "args": ["x"], "env": ["A=1"], "timeout": 5}),)
    assert edits.gids == (44,)


@pytest.mark.parametrize(
    ("tree", "told"),
    [
        ([], "not a CDI file"),
        (None, "not a CDI file"),
        ({"kind": "v/c"}, "it has no cdiVersion"),
        (spec(kind="card"), "`kind` must be"),
        (spec(devices="x"), "`devices` must be a list"),
        (spec(devices=["x"]), "a device without a name"),
        (spec(devices=[{"name": True}]), "a device without a name"),
        (spec(containerEdits=[]), "`containerEdits` must be a mapping"),
        (spec(containerEdits={"env": "A=1"}), "`env` must be a list"),
        (spec(containerEdits={"env": ["=1"]}), "`env` must be NAME=VALUE"),
        (spec(containerEdits={"env": [5]}), "`env` must be NAME=VALUE"),
        (spec(containerEdits={"deviceNodes": [5]}), "`path` must be an absolute path"),
        (spec(containerEdits={"deviceNodes": [{"path": "dev"}]}), "`path` must be an absolute path"),
        (spec(containerEdits={"deviceNodes": [{"path": "/d", "type": "p"}]}), "no such type of device"),
        (spec(containerEdits={"deviceNodes": [{"path": "/d", "type": ["c"]}]}), "no such type of device"),
        (spec(containerEdits={"deviceNodes": [{"path": "/d", "permissions": "x"}]}), "permissions must be"),
        (spec(containerEdits={"deviceNodes": [{"path": "/d", "major": -1}]}), "`major` must be a whole number"),
        (spec(containerEdits={"mounts": [5]}), "`hostPath` must be"),
        (spec(containerEdits={"mounts": [{"hostPath": "/a"}]}), "`containerPath` must be"),
        (spec(containerEdits={"mounts": [{"hostPath": "/a", "containerPath": "/b", "options": [1]}]}), "`options`"),
        (spec(containerEdits={"hooks": [{"hookName": "never", "path": "/a"}]}), "no such hook: 'never'"),
        (spec(containerEdits={"hooks": [{"hookName": ["never"], "path": "/a"}]}), "no such hook"),
        (spec(containerEdits={"hooks": [{"hookName": "poststart", "path": "a"}]}), "`path` must be"),
        (spec(containerEdits={"hooks": [{"hookName": "poststart", "path": "/a", "args": [1]}]}), "`args` of a hook"),
        (spec(containerEdits={"intelRdt": {"closID": "x"}}), "`intelRdt` is not supported"),
    ],
)
def test_what_is_wrong_is_told_with_the_file(tree: Any, told: str) -> None:
    with pytest.raises(CdiError) as raised:
        parse_spec(tree, "/etc/cdi/f.json")
    assert str(raised.value).startswith("/etc/cdi/f.json: ")
    assert told in str(raised.value)


GPU = ("gpu",)


@pytest.mark.parametrize(
    ("request_", "names"),
    [
        (DeviceRequest("", -1, (), GPU), ("nvidia.com/gpu=all",)),
        (DeviceRequest("nvidia", 2, (), GPU), ("nvidia.com/gpu=0", "nvidia.com/gpu=1")),
        (DeviceRequest("", 0, ("3", "x"), GPU), ("nvidia.com/gpu=3", "nvidia.com/gpu=x")),
        (DeviceRequest("amd", -1, (), GPU), ("amd.com/gpu=all",)),
        (DeviceRequest("cdi", 0, ("v.com/card=0",)), ("v.com/card=0",)),
        (DeviceRequest("", 0, (), GPU), ()),
    ],
)
def test_requests_have_names(request_: DeviceRequest, names: tuple[str, ...]) -> None:
    assert names_of((), (request_,)) == names


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        (DeviceRequest("", -1, (), ("tpu", "x")), "any driver with capabilities: tpu, x"),
        (DeviceRequest("odd", -1, (), GPU), "driver 'odd' with capabilities: gpu"),
        (DeviceRequest("", -1), "capabilities: none"),
        (DeviceRequest("", 10**30, (), GPU), r"no machine has 10+ devices nvidia\.com/gpu"),
    ],
)
def test_requests_that_nobody_can_fulfil(request_: DeviceRequest, told: str) -> None:
    with pytest.raises(CdiError, match=told):
        names_of((), (request_,))


def test_a_device_that_is_not_there_is_told_with_those_that_are() -> None:
    parsed = parse_spec(spec(), "f")
    with pytest.raises(CdiError, match=r"no CDI device v\.com/card=9: there are: v\.com/card=0"):
        edits_for(["v.com/card=9"], [parsed])
    with pytest.raises(CdiError, match=r"no file describes w\.com/card"):
        edits_for(["w.com/card=0"], [parsed])
    assert edits_for([], [parsed]) == NO_EDITS
