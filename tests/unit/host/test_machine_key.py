"""The machine's key: private, made once, whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from composer.host.machine_key import machine_key
from composer.paths import Paths


def paths(directory: Path) -> Paths:
    return Paths(str(directory / "data"), str(directory / "run"))


def test_it_is_made_once_and_is_private(tmp_path: Path) -> None:
    here = paths(tmp_path)
    key = machine_key(here, make=True)
    assert len(key) == 32
    assert machine_key(here, make=True) == machine_key(here, make=False) == key
    assert stat.S_IMODE(os.stat(here.key).st_mode) == 0o600
    assert os.listdir(here.data) == ["key"]


def test_who_only_asks_writes_nothing(tmp_path: Path) -> None:
    here = paths(tmp_path)
    assert machine_key(here, make=False) != machine_key(here, make=False)
    assert not os.path.exists(here.data)


@pytest.mark.parametrize("damage", [b"", b"short", b"x" * 33])
def test_a_damaged_one_is_made_anew(tmp_path: Path, damage: bytes) -> None:
    here = paths(tmp_path)
    os.mkdir(here.data)
    Path(here.key).write_bytes(damage)
    key = machine_key(here, make=True)
    assert len(key) == 32
    assert machine_key(here, make=False) == key
    assert os.listdir(here.data) == ["key"]


def test_whoever_is_first_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = paths(tmp_path)
    link = os.link

    def first_somebody_else(source: str, target: str) -> None:
        Path(target).write_bytes(b"x" * 32)
        link(source, target)

    monkeypatch.setattr(os, "link", first_somebody_else)
    assert machine_key(here, make=True) == b"x" * 32
    assert os.listdir(here.data) == ["key"]
