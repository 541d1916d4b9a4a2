"""What all tests share: the wall around unit tests, and machines of their own for real ones."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from leftovers import leftovers, sweep

from composer.host import net_paths, proc
from composer.paths import Paths

REPOSITORY = Path(__file__).resolve().parent.parent

BUSYBOX = "/bin/busybox"

APPLETS = """
ash cat chmod chown cp date dd df echo env expr false find free grep head hostname id ip kill ln ls mkdir mknod mount
mv nc nice nslookup od ping printf ps pwd readlink rm rmdir sed seq sh sleep sort stat stty sync tail tar test time
timeout top touch tr true tty umount uname unshare vi wc wget which whoami xargs yes
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Unit tests first: what is wrong in a pure part is told before the kernel is asked."""
    items.sort(key=lambda item: item.get_closest_marker("real") is not None)


@pytest.fixture(autouse=True)
def _wall(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A unit test cannot run a program; a real one without root fails instead of being skipped."""
    if request.node.get_closest_marker("real"):
        if os.geteuid() != 0:
            pytest.fail("this test needs root: run scripts/test as root")
        return

    def refuse(*args: object, **options: object) -> NoReturn:
        pytest.fail(f"a unit test ran a program: {args[1:] or args}; mark it `real` or pass a double in")

    monkeypatch.setattr(proc, "run", refuse)
    # Not the class itself: annotations and isinstance checks must keep working.
    monkeypatch.setattr(subprocess.Popen, "__init__", refuse)
    for name in ("fork", "posix_spawn", "posix_spawnp", "system", "execv", "execve"):
        monkeypatch.setattr(os, name, refuse)


@pytest.fixture(scope="session")
def busybox_rootfs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root file system of about 2 MB for the whole run: static busybox, its applets, users. Do not write to it."""
    root = tmp_path_factory.mktemp("busybox") / "rootfs"
    for name in ("bin", "dev", "etc", "home/app", "proc", "root", "sys", "tmp", "var/tmp"):
        (root / name).mkdir(parents=True)
    for name in ("tmp", "var/tmp"):
        (root / name).chmod(0o1777)
    shutil.copy(BUSYBOX, root / "bin/busybox")
    for applet in APPLETS.split():
        (root / "bin" / applet).symlink_to("busybox")
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:app:/home/app:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\napp:x:1000:\nextra:x:2000:app\n")
    os.chown(root / "home/app", 1000, 1000)
    return root


@pytest.fixture
def jocker_dirs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Paths]:
    """A store of this test's own, named in the environment; the test fails if it leaves anything running or mounted.

    What is left is removed, so that one bad test does not spoil the next. The names are short: a unix socket's path
    has room for 107 bytes.
    """
    base = tempfile.mkdtemp(prefix="jk", dir=os.environ.get("JOCKER_TEST_DIR", "/tmp"))
    paths = Paths(f"{base}/d", f"{base}/r")
    monkeypatch.setenv("JOCKER_DATA_DIR", paths.data)
    monkeypatch.setenv("JOCKER_RUN_DIR", paths.run)
    try:
        yield paths
        left = leftovers(f"{base}/", paths.cgroup_root, f"table inet {net_paths.host_table(paths)}")
    finally:
        sweep(paths)
        shutil.rmtree(base, ignore_errors=True)
    assert not left, "left behind:\n" + "\n".join(sorted(left))


Jocker = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def jocker(jocker_dirs: Paths) -> Jocker:
    """Runs the command as a user does: `jocker("up", "-d", cwd=...)`.

    Output is text; `code` is what it must end with (0; None for whatever comes); `env` is added to a minimal one; with
    `netns` it runs in the network namespace pinned there.
    """

    def run(
        *arguments: str,
        cwd: Path | str = "/",
        code: int | None = 0,
        stdin: str = "",
        env: dict[str, str] | None = None,
        timeout: float = 120,
        netns: str = "",
    ) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": proc.PATH,
            "HOME": jocker_dirs.data,
            "PYTHONPATH": str(REPOSITORY),
            "JOCKER_DATA_DIR": jocker_dirs.data,
            "JOCKER_RUN_DIR": jocker_dirs.run,
            **(env or {}),
        }
        done = subprocess.run(
            [*(("nsenter", f"--net={netns}") if netns else ()), sys.executable, "-m", "composer", *arguments],
            cwd=cwd,
            env=environment,
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
        if code is not None and done.returncode != code:
            pytest.fail(
                f"jocker {' '.join(arguments)} ended with {done.returncode}, not {code}\n{done.stdout}{done.stderr}"
            )
        return done

    return run


@pytest.fixture
def demo_image(jocker: Jocker, busybox_rootfs: Path) -> str:
    """The busybox image in this test's store; gives its name."""
    jocker("image", "import", str(busybox_rootfs), "demo:latest", "--change", 'CMD ["sh"]')
    return "demo:latest"
