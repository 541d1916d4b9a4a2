"""300 lines in a file is a question, 500 a refusal: such a file has two jobs."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MOST = 500
FILES = [
    path.relative_to(ROOT).as_posix()
    for folder in ("composer", "templates", "tests", "benchmarks", "scripts")
    for path in sorted((ROOT / folder).rglob("*"))
    if path.suffix in {".py", ".j2", ".sh"} or (folder == "scripts" and path.is_file())
]


@pytest.mark.parametrize("file", FILES)
def test_a_file_has_one_job(file: str) -> None:
    assert len((ROOT / file).read_text().splitlines()) <= MOST


def test_no_two_files_of_tests_have_one_name() -> None:
    """pytest imports them by their names alone: it could not collect the second."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))
