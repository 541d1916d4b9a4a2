"""Volumes and their mounts in the model; what is warned of."""

from __future__ import annotations

import sys

import pytest
from stackcases import load

from composer.model.service import AnonymousVolume, BindMount, NamedVolume, TmpfsMount, Volume

FULL = """\
services:
  a:
    image: x
    volumes:
      - data:/d:ro,nocopy
      - ./data:/e
      - {type: volume, source: theirs, target: /f, volume: {nocopy: true}}
      - /anon
    tmpfs: /t
  b: {image: x, scale: 3, volumes: ["data:/d:z"]}
  c: {image: x, profiles: [p], volumes: ["unused:/d"]}
volumes:
  unused:
  theirs: {external: true, name: the-volume}
  data: {labels: {l: 1}}
"""


def test_mounts_name_the_key_of_their_volume() -> None:
    project = load({"stack": FULL})
    assert project.services["a"].mounts == (
        NamedVolume("/d", "data", read_only=True, nocopy=True),
        BindMount("/e", "/stack/data"),
        NamedVolume("/f", "theirs", nocopy=True),
        AnonymousVolume("/anon"),
        TmpfsMount("/t"),
    )
    assert project.services["b"].mounts == (NamedVolume("/d", "data"),)
    assert project.disabled["c"].mounts == (NamedVolume("/d", "unused"),)


def test_the_model_has_the_volumes_that_services_use_in_the_order_of_the_file() -> None:
    volumes = load({"stack": FULL}).volumes
    assert list(volumes) == ["theirs", "data"]
    assert volumes["theirs"] == Volume(
        key="theirs", name="the-volume", place=volumes["theirs"].place, external=True, labels={}
    )
    assert volumes["data"] == Volume(key="data", name="stack_data", place=volumes["data"].place, labels={"l": "1"})
    assert str(volumes["data"].place) == "jocker.yml:15:3  volumes.data"


def test_a_profile_brings_its_volumes() -> None:
    assert list(load({"stack": FULL, "profiles": ["p"]}).volumes) == ["unused", "theirs", "data"]


def test_the_obsolete_name_of_an_external_volume_is_warned_of() -> None:
    assert load({"volume": "{external: {name: old}}"}).warnings == (
        "jocker.yml:3:19  volumes.v1.external.name: obsolete: write `name:` and `external: true`",
    )
    assert load({"volume": "{external: true, name: old}"}).warnings == ()


def test_a_name_is_as_long_as_a_directory_may_be() -> None:
    name = "n" * 255
    assert load({"volume": f"{{name: {name}}}"}).volumes["v1"].name == name


def test_a_stack_without_volumes_does_not_load_what_reads_them(monkeypatch: pytest.MonkeyPatch) -> None:
    module = "composer.composefile.volumes"
    load({"volume": ""})
    assert module in sys.modules
    monkeypatch.delitem(sys.modules, module)
    load({"service": "volumes: [./a:/a, /anon]"})
    assert module not in sys.modules
