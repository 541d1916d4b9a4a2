"""Labels of SELinux: written where it is on, to what may have them. A file stands for its switch."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from composer.errors import ContainerError
from composer.host.relabel import relabel

pytestmark = pytest.mark.real
LABEL = b"system_u:object_r:container_file_t:s0\0"


def label_of(path: Path) -> bytes | None:
    try:
        return os.getxattr(path, "security.selinux", follow_symlinks=False)
    except OSError:
        return None


def test_all_below_is_labelled_and_no_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "switch").touch()
    (tmp_path / "outside").touch()
    top = tmp_path / "top"
    (top / "deep").mkdir(parents=True)
    (top / "deep" / "file").touch()
    (top / "link").symlink_to(tmp_path / "outside")
    relabel(str(top), enforce=str(tmp_path / "off"))
    assert label_of(top) is None
    relabel(str(top), enforce=str(tmp_path / "switch"))
    assert [label_of(path) for path in (top, top / "deep", top / "deep" / "file")] == [LABEL] * 3
    assert label_of(tmp_path / "outside") is None


def test_what_the_machine_needs_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "switch").touch()
    (tmp_path / "link").symlink_to("/etc")
    for path in ("/", "/usr", str(tmp_path / "link")):
        with pytest.raises(ContainerError, match="the machine itself needs it"):
            relabel(path, enforce=str(tmp_path / "switch"))
