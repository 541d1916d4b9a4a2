"""What is built and installed: holds all it needs and nothing else, and runs without the tree it came from."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from composer import __version__
from composer.host import proc
from composer.paths import Paths

pytestmark = pytest.mark.real

REPOSITORY = Path(__file__).resolve().parents[2]
ELSEWHERE = {"PATH": proc.PATH, "HOME": "/nonexistent", "LANG": "C.UTF-8"}
"""An environment in which nothing points to the repository."""


class Built(NamedTuple):
    """An sdist, the wheel of the repository, and the wheel of what the sdist holds."""

    sdist: Path
    wheel: Path
    wheel_of_sdist: Path


def _hatchling(kind: str, tree: Path, target: Path) -> Path:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "hatchling", "build", "-t", kind, "-d", str(target)],
        cwd=tree,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (built,) = target.iterdir()
    return built


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    place = tmp_path_factory.mktemp("built")
    sdist = _hatchling("sdist", REPOSITORY, place / "sdist")
    (place / "tree").mkdir()
    subprocess.run(["tar", "-xzf", str(sdist), "-C", str(place / "tree")], check=True)
    (tree,) = (place / "tree").iterdir()
    return Built(sdist, _hatchling("wheel", REPOSITORY, place / "a"), _hatchling("wheel", tree, place / "b"))


@pytest.fixture(scope="module")
def installed(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel and what it requires; nothing of the repository is on its path."""
    venv = tmp_path_factory.mktemp("installed") / "venv"
    subprocess.run([sys.executable, "-P", "-m", "venv", "--without-pip", str(venv)], check=True, cwd="/")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "pip", "--python", str(venv), "install", "--no-deps", "--no-index", built.wheel],
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    # Its requirements are borrowed from the tests' own environment; the link from there to this repository is a .pth
    # file, and those are read only where a .pth file would name a site directory, not a plain one.
    (site,) = venv.glob("lib/python3*/site-packages")
    (site / "borrowed.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return venv


Run = Callable[..., str]


@pytest.fixture
def run(installed: Path, jocker_dirs: Paths, tmp_path: Path) -> Iterator[Run]:
    """The installed command, in a directory outside the repository."""
    directory = tmp_path / "stack"
    directory.mkdir()
    (directory / "jocker.yml").write_text("services: {web: {image: demo, network_mode: none, command: [sleep, '9']}}\n")
    environment = {**ELSEWHERE, "JOCKER_DATA_DIR": jocker_dirs.data, "JOCKER_RUN_DIR": jocker_dirs.run}

    def call(*arguments: str) -> str:
        done = subprocess.run(
            [str(installed / "bin/jocker"), *arguments],
            cwd=directory,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"jocker {' '.join(arguments)}\n{done.stdout}{done.stderr}"
        return done.stdout

    return call


def _files(top: str, *suffixes: str) -> set[str]:
    """What the repository holds below a directory, as paths relative to it."""
    below = REPOSITORY / top
    return {
        path.relative_to(below).as_posix()
        for path in below.rglob("*")
        if path.is_file() and path.suffix in suffixes and "__pycache__" not in path.parts
    }


def test_the_wheel_holds_the_package_and_its_templates_and_nothing_else(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as archive:
        names = set(archive.namelist())
    about = {name for name in names if ".dist-info/" in name}
    assert {Path(name).name for name in about} == {"METADATA", "WHEEL", "RECORD", "entry_points.txt"}
    code = {f"composer/{name}" for name in _files("composer", ".py")}
    templates = {f"composer/_templates/{name}" for name in _files("templates", ".j2")}
    assert code
    assert templates
    assert names - about == code | templates


def test_the_source_archive_holds_the_wheel_s_sources_and_nothing_else(built: Built) -> None:
    with tarfile.open(built.sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    code = {f"composer/{name}" for name in _files("composer", ".py")}
    templates = {f"templates/{name}" for name in _files("templates", ".j2")}
    # hatchling adds the last three by itself.
    assert names == code | templates | {"README.md", "pyproject.toml", "PKG-INFO", ".gitignore"}


def test_the_wheel_of_the_source_archive_is_the_same(built: Built) -> None:
    assert built.wheel_of_sdist.read_bytes() == built.wheel.read_bytes()


def test_the_installed_package_knows_nothing_of_the_repository(installed: Path) -> None:
    ask = "import sys, composer; from composer.paths import templates_dir; print(composer.__file__, templates_dir())"
    answer = subprocess.run(
        [str(installed / "bin/python"), "-c", f"{ask}; print(*sys.path, sep=chr(10))"],
        cwd="/",
        env=ELSEWHERE,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    package, templates = answer[0].split()
    assert package.startswith(f"{installed}/lib/")
    assert templates == f"{os.path.dirname(package)}/_templates"
    assert str(REPOSITORY) not in answer[1:]


def test_the_installed_command_tells_its_version(run: Run) -> None:
    assert run("--version") == f"jocker {__version__}\n"


def test_the_installed_command_reads_a_stack(run: Run) -> None:
    assert "image: demo\n" in run("config")


def test_the_installed_command_imports_renders_and_runs(run: Run, busybox_rootfs: Path, tmp_path: Path) -> None:
    """Unpacking starts the package again as another process, and rendering needs the templates."""
    archive = tmp_path / "demo.tar"
    run("image", "import", str(busybox_rootfs), "demo")
    run("image", "save", "-o", str(archive), "demo")
    run("image", "rm", "demo")
    run("image", "load", "-i", str(archive))
    assert '"sleep"' in run("render", "web")
    run("up", "-d")
    assert "web" in run("ps", "--services")
    run("down", "-t", "0")
