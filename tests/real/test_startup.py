"""Start-up time is a feature: which modules the hot commands load, command by command.

Loading is nearly all that a no-op costs. What a command loads needlessly is imported where it is used instead.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from scenarios.conftest import SLEEP, Jocker

from composer.host import proc
from composer.paths import Paths

pytestmark = pytest.mark.real

REPOSITORY = Path(__file__).resolve().parents[2]

# main() leaves by os._exit, past every hook of the interpreter: so the hook is there.
PROBE = """
import os, sys
before, leave = set(sys.modules), os._exit
def tell(code):
    with open(os.environ["SEEN"], "w") as file:
        for name, module in sys.modules.items():
            if name not in before:
                file.write(f"{name} {getattr(module, '__file__', None) or '-'}\\n")
    leave(code)
os._exit = tell
from composer.cli.main import main
sys.argv[0] = "jocker"
main()
"""

NEVER = (
    *("asyncio", "concurrent.futures", "logging", "multiprocessing", "socket", "ssl", "http", "email", "xml"),
    *("ctypes", "hashlib", "_hashlib", "random", "secrets", "tempfile", "decimal", "tarfile", "zipfile"),
    *("rich", "jinja2", "markupsafe", "tenacity", "pydantic", "pygments", "click"),
    *("composer.execute", "composer.bundle", "composer.supervisor", "composer.daemon"),
    *("composer.image.unpack", "composer.image.transfer", "composer.image.archive", "composer.host.runtime"),
)
"""None of these, nor anything below, for any command in the table."""

ONLY_TYPER_MAY = ("dataclasses", "inspect", "subprocess", "shutil", "urllib", "platform")
"""What typer loads anyway: commands that go without it go without these."""

TYPER = {"annotated_doc", "shellingham", "typer"}
YAML = {"_ruamel_yaml", "ruamel"}


class Case(NamedTuple):
    """`packages` are all that may come from site-packages; `most` modules of ours at most: the number may sink."""

    command: str
    packages: set[str]
    most: int


RUNNING = (
    Case("--version", TYPER, 12),
    Case("version", TYPER, 13),
    Case("ps", set(), 56),
    Case("-p web ps", set(), 56),
    Case("ps --format json", TYPER, 60),
    Case("config", YAML, 50),
    Case("config --quiet", YAML, 50),
    Case("config --format json", TYPER | YAML, 60),
    Case("plan", YAML, 85),
    Case("plan --diff", TYPER | YAML, 90),
    Case("up -d", YAML, 85),
)
"""With a stack that is up, as its file says."""

NOTHING_THERE = (
    Case("ps", set(), 56),
    Case("plan", YAML, 85),
    Case("down", YAML, 85),
    Case("-p web down", set(), 80),
)


class Loaded(NamedTuple):
    modules: frozenset[str]
    packages: set[str]


def loaded_by(command: str, directory: Path, paths: Paths) -> Loaded:
    seen = directory / "seen"
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *command.split()],
        cwd=directory,
        env={
            "PATH": proc.PATH,
            "HOME": paths.data,
            "PYTHONPATH": str(REPOSITORY),
            "JOCKER_DATA_DIR": paths.data,
            "JOCKER_RUN_DIR": paths.run,
            "SEEN": str(seen),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    files = dict(line.split(" ", 1) for line in seen.read_text().splitlines())
    foreign = {name.partition(".")[0] for name, file in files.items() if "-packages/" in file}
    return Loaded(frozenset(files), foreign)


def wrong_with(case: Case, directory: Path, paths: Paths) -> list[str]:
    modules, packages = loaded_by(case.command, directory, paths)
    assert "composer.cli.main" in modules
    never = NEVER if "typer" in case.packages else (*NEVER, *ONLY_TYPER_MAY)
    found = [f"loads {one}" for one in never if any(name == one or name.startswith(f"{one}.") for name in modules)]
    found += [f"loads {one} of site-packages" for one in sorted(packages - case.packages)]
    ours = sorted(name for name in modules if name.startswith("composer"))
    if len(ours) > case.most:
        found.append(f"loads {len(ours)} modules of ours, not {case.most}: {' '.join(ours)}")
    return [f"jocker {case.command} {text}" for text in found]


def test_commands_that_change_nothing_load_little(
    jocker: Jocker, jocker_dirs: Paths, demo_image: str, tmp_path: Path
) -> None:
    (tmp_path / "jocker.yml").write_text(f"name: web\nservices:\n  web:\n{SLEEP}")
    jocker("up", "-d", cwd=tmp_path)
    wrong = [text for case in RUNNING for text in wrong_with(case, tmp_path, jocker_dirs)]
    jocker("down", "-t", "0", cwd=tmp_path)
    wrong += [text for case in NOTHING_THERE for text in wrong_with(case, tmp_path, jocker_dirs)]
    assert not wrong, "\n".join(wrong)


def test_the_probe_sees_what_is_loaded(jocker: Jocker, jocker_dirs: Paths, demo_image: str, tmp_path: Path) -> None:
    """A test of what is not there must be shown to see what is."""
    (tmp_path / "jocker.yml").write_text(f"name: web\nservices:\n  web:\n{SLEEP}")
    modules, packages = loaded_by("create", tmp_path, jocker_dirs)
    jocker("down", cwd=tmp_path)
    assert {"composer.execute.machine", "ctypes", "hashlib", "jinja2"} <= modules
    assert {"jinja2", "markupsafe", "ruamel", "typer"} <= packages
