"""What the supervisor's process is: small, and tidy about logs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from composer.host import proc
from composer.paths import Paths
from composer.supervisor import watching
from composer.supervisor.watching import Supervisor

pytestmark = pytest.mark.real

HEAVY = ("asyncio", "ctypes", "jinja2", "markupsafe", "ruamel", "tenacity", "typer", "rich", "logging", "urllib")
ROOT = Path(__file__).resolve().parents[2]


def test_it_loads_little() -> None:
    script = "import composer.supervisor.main, sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-P", "-c", script],
        env={"PATH": proc.PATH, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = done.stdout.split()
    assert "composer.supervisor.watching" in loaded
    assert [name for name in loaded if name.partition(".")[0] in HEAVY] == []
    assert [name for name in loaded if name.startswith(("composer.cli", "composer.composefile"))] == []


def test_logs_are_looked_at_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = Paths(f"{tmp_path}/d", f"{tmp_path}/r")
    seen: list[tuple[str, ...]] = []
    monkeypatch.setattr(watching, "trim", lambda _, ids: seen.append(tuple(ids)))
    ear, mouth = os.pipe()
    try:
        supervisor = Supervisor(paths, "web", ear, -1)
        supervisor._trim_logs()
        assert not seen
        supervisor._trimmed -= 100
        supervisor._trim_logs()
        supervisor._trim_logs()
        assert seen == [()]
    finally:
        os.close(ear)
        os.close(mouth)
