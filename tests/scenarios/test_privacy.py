"""What other users of the machine get to see of it: nothing, whatever the umask of who calls."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from scenarios.conftest import SLEEP, Jocker, Stack

from composer.host import proc
from composer.paths import Paths

pytestmark = pytest.mark.real


@pytest.mark.parametrize("umask", [0, 0o022])
def test_nobody_else_enters_the_directories(
    jocker_dirs: Paths, jocker: Jocker, busybox_rootfs: Path, tmp_path: Path, umask: int
) -> None:
    """Each level keeps others out by itself: one that an administrator opens shows no more than names."""
    (tmp_path / "jocker.yml").write_text(f"name: web\nservices:\n  web:\n{SLEEP}    volumes: [/data]\n")
    before = os.umask(umask)
    try:
        jocker("image", "import", str(busybox_rootfs), "demo")
        jocker("up", "-d", cwd=tmp_path)
    finally:
        os.umask(before)
    inside = {"rootfs", "diff", "upper", "work", "_data"}  # these have the modes of the image
    seen = list(jocker_dirs)
    for top in jocker_dirs:
        for where, directories, _ in os.walk(top):
            if where != jocker_dirs.runc:  # what the runtime makes has the modes it likes
                seen += [f"{where}/{name}" for name in directories if name not in inside]
            directories[:] = [name for name in directories if name not in inside]
    modes = {where: stat.S_IMODE(os.stat(where).st_mode) for where in seen}
    jocker("down", "-v", cwd=tmp_path)
    assert len(seen) > 15
    assert {where: oct(mode) for where, mode in modes.items() if mode & 0o077} == {}


def test_a_command_in_a_container_does_not_take_our_umask(stack: Stack) -> None:
    stack.write(f"services:\n  web:\n{SLEEP}")
    before = os.umask(0o077)
    try:
        stack("up", "-d")
        shown = stack("exec", "web", "sh", "-c", "umask; grep Umask /proc/1/status").stdout.split()
    finally:
        os.umask(before)
    assert shown == ["0022", "Umask:", "0022"]
    stack("down")


def test_credentials_do_not_reach_the_disk(jocker_dirs: Paths) -> None:
    """A pull that is killed leaves none."""
    from composer.image.transfer import Access, credentials_file

    with credentials_file("registry:5000/a:1", Access(credentials="ann:secret")) as path:
        done = proc.run(proc.Command(argv=("cat", path)))
        assert '"registry:5000"' in done.stdout
        assert os.stat(path).st_nlink == 0
    assert not os.path.exists(path)
